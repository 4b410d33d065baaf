package pcucontrol

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

// canned answers every request alike, and counts in asked what for.
type canned struct {
	status int
	header http.Header
	body   string
	asked  *[]string
}

func (c canned) RoundTrip(r *http.Request) (*http.Response, error) {
	if c.asked != nil {
		*c.asked = append(*c.asked, r.URL.String())
	}
	body := io.NopCloser(strings.NewReader(c.body))
	return &http.Response{StatusCode: c.status, Status: http.StatusText(c.status), Header: c.header, Body: body, Request: r}, nil
}

// proper fails for errors that are not of this package.
func proper(t *testing.T, err error) {
	t.Helper()
	if err != nil && KindOf(err) == "" {
		t.Errorf("the error %v has no kind", err)
	}
}

func FuzzRedfish(f *testing.F) {
	for _, body := range []string{
		`{"Systems":{"@odata.id":"/redfish/v1/Systems"},"Links":{"Sessions":{"@odata.id":"/redfish/v1/SessionService/Sessions"}}}`,
		`{"Members":[{"@odata.id":"/redfish/v1/Systems/System.Embedded.1"}],"Members@odata.nextLink":"/redfish/v1/Systems?$skip=1"}`,
		`{"Id":"1","PowerState":"PoweringOn","Members":[{"@odata.id":"/redfish/v1/Systems/1/"}],
			"Actions":{"#ComputerSystem.Reset":{"target":"/redfish/v1/Systems/1/Actions/ComputerSystem.Reset",
			"ResetType@Redfish.AllowableValues":["On","ForceOff","PowerCycle"]}}}`,
		`{"PowerState":null,"Members":[{"@odata.id":"https://elsewhere/redfish/v1/Systems/1"}],
			"Actions":{"#ComputerSystem.Reset":{"target":"x","@Redfish.ActionInfo":"/redfish/v1/Systems/1/ResetActionInfo"}}}`,
		`{"Parameters":[{"Name":"ResetType","AllowableValues":["On"]}]}`,
		`{"error":{"message":"A general error",
			"@Message.ExtendedInfo":[{"MessageId":"Base.1.0.SessionLimitExceeded","Message":"Too many"}]}}`,
		`{"Members":{}}`, `[]`, `null`, "\x00",
	} {
		f.Add(200, "t0ken", "/redfish/v1/SessionService/Sessions/1", body)
		f.Add(400, "", "", body)
	}
	f.Fuzz(func(t *testing.T, status int, token, location, body string) {
		s := newRedfish(Target{Host: "h", Port: 1, Transport: "https", User: "u", Password: "s3cret", Outlet: 1})
		header := http.Header{"X-Auth-Token": {token}, "Location": {location}}
		s.w.client.Transport = canned{status: 100 + min(max(status, 0), 899), header: header, body: body}
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

func TestARedfishLinkElsewhereIsTakenForItsPathOnly(t *testing.T) {
	var asked []string
	s := newRedfish(Target{Host: "h", Port: 1, Transport: "https"})
	s.w.client.Transport = canned{status: 200, body: "{}", asked: &asked}
	_, _ = s.ask(t.Context(), "x", "GET", "https://elsewhere/redfish/v1/Systems/1?a=b", "")
	_, err := s.ask(t.Context(), "x", "GET", "redfish", "")
	if len(asked) != 1 || asked[0] != "https://h:1/redfish/v1/Systems/1?a=b" || KindOf(err) != Refused {
		t.Errorf("asked for %v, %v", asked, err)
	}
}

func TestRedfishErrorsAreToldInTheDevicesWords(t *testing.T) {
	extended := func(id string) string {
		return `{"error":{"message":"See below.","@Message.ExtendedInfo":[{"MessageId":"Base.1.8.` + id + `","Message":"In words."}]}}`
	}
	for _, c := range []struct {
		status int
		body   string
		kind   Kind
		says   string
	}{
		{204, "", "", ""},
		{400, extended("ActionParameterNotSupported"), Refused, "status 400: Base.1.8.ActionParameterNotSupported In words."},
		{400, extended("SessionLimitExceeded"), Busy, "SessionLimitExceeded"},
		{400, extended("UnauthorizedLoginAttempt"), Auth, "UnauthorizedLoginAttempt"},
		{401, "", Auth, "user name or password refused"},
		{500, `{"error":{"message":"It broke."}}`, Unexpected, "It broke."},
		{503, "<html>", Busy, "status 503"},
	} {
		s := newRedfish(Target{Host: "h", Password: "s3cret"})
		err := s.judge("reset", reply{status: c.status, body: c.body})
		if KindOf(err) != c.kind || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%d %s means %v", c.status, c.body, err)
		}
	}
}
