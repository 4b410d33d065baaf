package pcucontrol

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// ribclTranscripts are answers as iLOs give them.
func ribclTranscripts() map[string]string {
	ok := "<?xml version=\"1.0\"?>\r\n<RIBCL VERSION=\"2.22\">\r\n<RESPONSE\r\n    STATUS=\"0x0000\"\r\n    MESSAGE='No error'\r\n     />\r\n</RIBCL>\r\n"
	with := func(response, more string) string {
		return ok + ok + "<?xml version=\"1.0\"?>\r\n<RIBCL VERSION=\"2.22\"/>\r\n<RIBCL VERSION=\"2.22\">\r\n" + response + "\r\n" + more + "</RIBCL>\r\n"
	}
	const fine = "<RESPONSE STATUS='0x0000' MESSAGE=\"No error\"/>"
	return map[string]string{
		"on":              with(fine, "<GET_HOST_POWER\r\n    HOST_POWER=\"ON\"\r\n    />\r\n"),
		"off, old quotes": with(fine, "<GET_HOST_POWER HOST_POWER='OFF' />\r\n"),
		"login":           ok + with("<RESPONSE STATUS=\"0x005F\" MESSAGE='Login credentials rejected.'/>", ""),
		"already off":     with("<RESPONSE STATUS=\"0x0071\" MESSAGE='Host power is already OFF.' />", ""),
		"syntax":          with("<RESPONSE\r\n    STATUS=\"0x0001\"\r\n    MESSAGE='Syntax error: Line #4: syntax error near \">\" in the line: \"<RESET_SERVER/>\"'\r\n     />", ""),
		"busy":            with("<RESPONSE STATUS=\"0x0049\" MESSAGE=\"The iLO is busy; can't do it.\"/>", ""),
		"late":            with(fine, "<INFORM>Server being reset.</INFORM>\r\n") + "<?xml version=\"1.0\"?><RIBCL VERSION=\"2.22\"><RESPONSE STATUS=\"0x003C\" MESSAGE='Server power is off &amp; stays so.'/></RIBCL>",
		"no status":       "<?xml version=\"1.0\"?><RIBCL VERSION=\"2.22\"></RIBCL>",
		"no number":       with("<RESPONSE STATUS=\"none\" MESSAGE='No error'/>", ""),
	}
}

func TestEveryStatusOfARIBCLAnswerCounts(t *testing.T) {
	for name, want := range map[string]struct {
		kind  Kind
		says  string
		state State
	}{
		"on":              {"", "", On},
		"off, old quotes": {"", "", Off},
		"login":           {Auth, "Login credentials rejected.", Unknown},
		"already off":     {Refused, "Host power is already OFF.", Unknown},
		"syntax":          {Refused, `near ">" in the line: "<RESET_SERVER/>"`, Unknown},
		"busy":            {Busy, "can't do it", Unknown},
		"late":            {Refused, "Server power is off & stays so. (status 0x003c)", Unknown},
		"no status":       {Unexpected, "no status", Unknown},
		"no number":       {Unexpected, `status "none"`, Unknown},
	} {
		a := ribclAnswer(ribclTranscripts()[name])
		kind, says := a.judge()
		state, _ := a.power()
		if kind != want.kind || !strings.Contains(says, want.says) || state != want.state {
			t.Errorf("%s means %q, %q, %s", name, kind, says, state)
		}
	}
}

func FuzzRIBCL(f *testing.F) {
	for _, a := range ribclTranscripts() {
		f.Add([]byte(a), "GET_HOST_POWER")
		f.Add([]byte(a[:len(a)/2]), "")
	}
	f.Fuzz(func(t *testing.T, stream []byte, wanted string) {
		r := &io.LimitedReader{R: &dribble{*bytes.NewReader(stream)}, N: maxRead}
		a, err := readDocuments(t.Context(), r, func(time.Time) error { return nil }, wanted)
		if !strings.HasPrefix(string(stream), string(a)) {
			t.Errorf("it heard what was not said")
		}
		if err == nil && !wholeDocument([]byte(a)) {
			t.Errorf("half a document is an answer: %q", a)
		}
		if kind, says := a.judge(); kind != "" && says == "" || kind == "" && len(a.attributes("RESPONSE")) == 0 {
			t.Errorf("it means %q, %q", kind, says)
		}
		a.power()
		a.alreadyOff()
	})
}

// dribble breaks a stream into pieces of seven bytes.
type dribble struct{ bytes.Reader }

func (d *dribble) Read(p []byte) (int, error) { return d.Reader.Read(p[:min(7, len(p))]) }

// canned answers every request alike.
type canned struct {
	status int
	header http.Header
	body   string
}

func (c canned) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: c.status, Status: http.StatusText(c.status), Header: c.header, Body: io.NopCloser(strings.NewReader(c.body)), Request: r}, nil
}

func FuzzRedfish(f *testing.F) {
	for _, body := range []string{
		`{"@odata.id":"/redfish/v1/","Systems":{"@odata.id":"/redfish/v1/Systems"},"Links":{"Sessions":{"@odata.id":"/redfish/v1/SessionService/Sessions"}}}`,
		`{"Members":[{"@odata.id":"/redfish/v1/Systems/System.Embedded.1"}],"Members@odata.count":1,"Members@odata.nextLink":"/redfish/v1/Systems?$skip=1"}`,
		`{"Id":"1","PowerState":"PoweringOn","Members":[{"@odata.id":"/redfish/v1/Systems/1/"}],"Actions":{"#ComputerSystem.Reset":{"target":"/redfish/v1/Systems/1/Actions/ComputerSystem.Reset","ResetType@Redfish.AllowableValues":["On","ForceOff","PowerCycle"]}}}`,
		`{"PowerState":null,"Members":[{"@odata.id":"https://elsewhere/redfish/v1/Systems/1"}],"Actions":{"#ComputerSystem.Reset":{"target":"x","@Redfish.ActionInfo":"/redfish/v1/Systems/1/ResetActionInfo"}}}`,
		`{"Parameters":[{"Name":"ResetType","AllowableValues":["On"]}]}`,
		`{"error":{"code":"Base.1.0.GeneralError","message":"A general error","@Message.ExtendedInfo":[{"MessageId":"Base.1.0.SessionLimitExceeded","Message":"Too many"}]}}`,
		`{"Members":{}}`, `[]`, `null`, "\x00",
	} {
		f.Add(200, "t0ken", "/redfish/v1/SessionService/Sessions/1", body)
		f.Add(400, "", "", body)
	}
	f.Fuzz(func(t *testing.T, status int, token, location, body string) {
		s := newRedfish(Target{Host: "h", Port: 1, Transport: "https", User: "u", Password: "s3cret", Outlet: 1})
		s.w.client.Transport = canned{100 + min(max(status, 0), 899), http.Header{"X-Auth-Token": {token}, "Location": {location}}, body}
		err := s.open(t.Context())
		if err == nil {
			allowed, _ := s.resets(t.Context())
			if command, _ := s.reset("cycle", allowed, "PowerCycle", "ForceRestart"); command != nil {
				err = command(t.Context())
			}
		}
		s.close(t.Context())
		proper(t, err)
	})
}

// proper fails for errors that are not of this package.
func proper(t *testing.T, err error) {
	t.Helper()
	if err != nil && KindOf(err) == "" {
		t.Errorf("the error %v has no kind", err)
	}
}

func FuzzAMT(f *testing.F) {
	for _, body := range []string{
		`<?xml version="1.0" encoding="UTF-8"?><a:Envelope xmlns:a="http://www.w3.org/2003/05/soap-envelope" xmlns:g="http://schemas.xmlsoap.org/ws/2004/09/enumeration"><a:Body><g:EnumerateResponse><g:EnumerationContext>A4070000-0000-0000-0000-000000000000</g:EnumerationContext></g:EnumerateResponse></a:Body></a:Envelope>`,
		`<a:Envelope xmlns:a="e"><a:Body><g:PullResponse xmlns:g="g"><g:Items><h:CIM_AssociatedPowerManagementService xmlns:h="h"><h:PowerState>2</h:PowerState></h:CIM_AssociatedPowerManagementService></g:Items><g:EndOfSequence/></g:PullResponse></a:Body></a:Envelope>`,
		`<a:Envelope xmlns:a="e"><a:Body><g:RequestPowerStateChange_OUTPUT xmlns:g="g"><g:ReturnValue>4097</g:ReturnValue></g:RequestPowerStateChange_OUTPUT></a:Body></a:Envelope>`,
		`<a:Envelope xmlns:a="e"><a:Body><a:Fault><a:Code><a:Value>a:Receiver</a:Value></a:Code><a:Reason><a:Text xml:lang="en-US">The action is not supported by the service.</a:Text></a:Reason></a:Fault></a:Body></a:Envelope>`,
		`<soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/"><soap:Body><GetSystemPowerStateResponse xmlns="r"><Status>0</Status><SystemPowerState>5</SystemPowerState></GetSystemPowerStateResponse></soap:Body></soap:Envelope>`,
		`<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>`, `<a><b>`, `<a></b>`, "",
	} {
		f.Add(200, body)
		f.Add(404, body)
	}
	f.Fuzz(func(t *testing.T, status int, body string) {
		s := openAMT(Target{Host: "h", Port: 1, Transport: "http", User: "u", Password: "s3cret"})
		s.w.client.Transport = canned{100 + min(max(status, 0), 899), http.Header{"Www-Authenticate": {`Digest realm="a", nonce="b", qop="auth"`}}, body}
		_, err := s.state(t.Context())
		proper(t, err)
		proper(t, s.request("cycle", amtCycle, amtReset)(t.Context()))
	})
}

func TestDocumentsWithATypeAreRefused(t *testing.T) {
	for body, refused := range map[string]bool{
		`<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>`: true, `<a>&b;</a>`: true, `<a>`: true, `text`: true, ``: true, `<a><c>&amp;</c></a>`: false,
	} {
		if fields, err := xmlFields(body); (err != nil) != refused || !refused && fields["c"] != "&" {
			t.Errorf("%q has %v, %v", body, fields, err)
		}
	}
}

func FuzzChallenge(f *testing.F) {
	for _, c := range []string{
		`Digest realm="Digest:A3B2C1D0E0F0A0B0C0D0E0F0A0B0C0D0", nonce="x7mVAAIAAAAAAAAAtqw", stale="false", qop="auth"`,
		`Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm=SHA-256, nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"`,
		`Digest realm="a\"b", nonce="`, `Digest realm=a,nonce=b,algorithm=MD5-sess`, `Basic realm="Maverick"`, `Digest`, `Negotiate`,
	} {
		f.Add(c)
	}
	f.Fuzz(func(t *testing.T, challenge string) {
		c, ok := answerTo(http.Header{"Www-Authenticate": {challenge}})
		h := c.header(Target{User: "u", Password: "s3cret"}, "GET", "/")
		if ok != (h != "") || strings.ContainsAny(h, "\r\n") || strings.Contains(h, "s3cret") {
			t.Errorf("%q is answered with %q", challenge, h)
		}
	})
}

// The vectors of RFC 7616, section 3.9.1, and of RFC 2617, section 3.5.
func TestDigestIsThatOfTheRFC(t *testing.T) {
	const nonce, cnonce = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"
	for algorithm, want := range map[string]string{
		"MD5":     "8ca523f5e9506fed4657c9700eebdbec",
		"SHA-256": "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
	} {
		p := parameters(`realm="http-auth@example.org", qop="auth, auth-int", algorithm=` + algorithm + `, nonce="` + nonce + `", opaque="o"`)
		if got := digest(p, "Mufasa", "Circle of Life", "GET", "/dir/index.html", cnonce, 1); !strings.Contains(got, `response="`+want+`"`) {
			t.Errorf("%s gives %s", algorithm, got)
		}
	}
	p := parameters(`realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093"`)
	if got := digest(p, "Mufasa", "Circle Of Life", "GET", "/dir/index.html", "", 1); !strings.Contains(got, `response="670fd8c2df070c60b045671b8b24ff02"`) {
		t.Errorf("without qop it gives %s", got)
	}
}

func TestAPasswordIsHiddenHoweverItIsWritten(t *testing.T) {
	const password = `a"b<c&d e`
	for _, text := range []string{
		"plain " + password + " plain", script(Target{User: "u", Password: password}, ribInfo, "X"), `{"Password":"a\"b\u003cc\u0026d e"}`, "pwd=a%22b%3Cc%26d+e&x=y",
	} {
		if got := veil(text, password); got == text || strings.Contains(got, "d e") || strings.Contains(got, "d+e") {
			t.Errorf("%q shows", got)
		}
	}
}

func TestARedfishLinkElsewhereIsTakenForItsPathOnly(t *testing.T) {
	var asked []string
	s := newRedfish(Target{Host: "h", Port: 1, Transport: "https"})
	s.w.client.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
		asked = append(asked, r.URL.String())
		return canned{200, nil, "{}"}.RoundTrip(r)
	})
	_, _ = s.ask(context.Background(), "x", "GET", "https://elsewhere/redfish/v1/Systems/1?a=b", "")
	_, err := s.ask(context.Background(), "x", "GET", "redfish", "")
	if len(asked) != 1 || asked[0] != "https://h:1/redfish/v1/Systems/1?a=b" || KindOf(err) != Refused {
		t.Errorf("asked for %v, %v", asked, err)
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
