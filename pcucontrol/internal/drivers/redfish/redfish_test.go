package redfish

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/planetlab/monitor/pcucontrol"
	"github.com/planetlab/monitor/pcucontrol/internal/web"
	"github.com/planetlab/monitor/pcucontrol/internal/wiretest"
)

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
		s := newSession(
			pcucontrol.Target{Host: "h", Port: 1, Transport: "https", User: "u", Password: "s3cret", Outlet: 1})
		header := http.Header{"X-Auth-Token": {token}, "Location": {location}}
		s.w.HTTP.Transport = wiretest.Canned{Status: 100 + min(max(status, 0), 899), Header: header, Body: body}
		err := s.open(t.Context())
		if err == nil {
			allowed, _ := s.resets(t.Context())
			if command, _ := s.reset("cycle", allowed, "PowerCycle", "ForceRestart"); command != nil {
				err = command(t.Context())
			}
		}
		s.close(t.Context())
		wiretest.WantTyped(t, err)
	})
}

func TestARedfishLinkElsewhereIsTakenForItsPathOnly(t *testing.T) {
	var asked []string
	s := newSession(pcucontrol.Target{Host: "h", Port: 1, Transport: "https"})
	s.w.HTTP.Transport = wiretest.Canned{Status: 200, Body: "{}", Asked: &asked}
	_, _ = s.ask(t.Context(), "x", "GET", "https://elsewhere/redfish/v1/Systems/1?a=b", "")
	_, err := s.ask(t.Context(), "x", "GET", "redfish", "")
	if len(asked) != 1 || asked[0] != "https://h:1/redfish/v1/Systems/1?a=b" ||
		pcucontrol.KindOf(err) != pcucontrol.Refused {
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
		kind   pcucontrol.Kind
		says   string
	}{
		{204, "", "", ""},
		{400, extended("ActionParameterNotSupported"), pcucontrol.Refused, "status 400: In words."},
		{400, extended("SessionLimitExceeded"), pcucontrol.Busy, "In words."},
		{400, extended("UnauthorizedLoginAttempt"), pcucontrol.Auth, "In words."},
		{401, "", pcucontrol.Auth, "user name or password refused"},
		{500, `{"error":{"message":"It broke."}}`, pcucontrol.Unexpected, "It broke."},
		{503, "<html>", pcucontrol.Busy, "status 503"},
	} {
		s := newSession(pcucontrol.Target{Host: "h", Password: "s3cret"})
		err := s.judge("reset", web.Reply{Status: c.status, Body: c.body})
		if pcucontrol.KindOf(err) != c.kind || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%d %s means %v", c.status, c.body, err)
		}
	}
}

// served lets a handler answer requests.
type served struct{ http.Handler }

func (h served) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result(), nil
}

func TestRedfishIsToldWhoCallsAsItWantsIt(t *testing.T) {
	const system, collection = `{"PowerState":"On"}`, `{"Members":[{"@odata.id":"/redfish/v1/Systems/1"}]}`
	for name, c := range map[string]struct {
		guarded  bool
		sessions string // in the root
		status   int    // of a login
		password string
		asked    string
		kind     pcucontrol.Kind
	}{
		"by a session": {false, "/s", 201, "s3cret", "GET / POST /s GET /Systems+ GET " +
			"/Systems/1+ DELETE /s/1+", ""},
		"by Basic where there are none": {false, "", 0, "s3cret", "GET / GET /Systems* GET /Systems/1*", ""},
		"by Basic where they do not work": {false, "/s", 404, "s3cret", "GET / POST /s GET /Systems* GET " +
			"/Systems/1*", ""},
		"by Basic where everything wants it": {true, "/s", 0, "s3cret", "GET / GET /* GET /Systems* GET /Systems/1*",
			""},
		"a wrong password is tried only once": {false, "/s", 401, "guess-me", "GET / POST /s", pcucontrol.Auth},
		"nor more often by Basic":             {true, "", 0, "guess-me", "GET / GET /*", pcucontrol.Auth},
		"too many sessions are busy":          {false, "/s", 503, "s3cret", "GET / POST /s", pcucontrol.Busy},
	} {
		var asked []string
		h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, password, basic := r.BasicAuth()
			how := map[bool]string{true: "*"}[basic] + map[bool]string{true: "+"}[r.Header.Get("X-Auth-Token") == "t0ken"]
			path := strings.TrimPrefix(r.URL.Path, "/redfish/v1")
			asked = append(asked, r.Method+" "+path+how)
			switch {
			case c.guarded && (!basic || password != "s3cret"):
				w.WriteHeader(401)
			case path == "/":
				_, _ = io.WriteString(
					w,
					`{"Systems":{"@odata.id":"/redfish/v1/Systems"},"Links":{"Sessions":{"@odata.id":"`+c.sessions+`"}}}`,
				)
			case r.Method == "POST":
				if c.status == 201 {
					w.Header().Set("X-Auth-Token", "t0ken")
					w.Header().Set("Location", "https://elsewhere/s/1")
				}
				w.WriteHeader(c.status)
			case path == "/Systems":
				_, _ = io.WriteString(w, collection)
			default:
				_, _ = io.WriteString(w, system)
			}
		})
		s := newSession(pcucontrol.Target{Host: "h", Port: 1, Transport: "https", User: "u", Password: c.password})
		s.w.HTTP.Transport = served{h}
		err := s.open(t.Context())
		s.close(t.Context())
		if got := strings.Join(asked, " "); got != c.asked || pcucontrol.KindOf(err) != c.kind {
			t.Errorf("%s: it was asked %s, and the error is %v", name, got, err)
		}
	}
}
