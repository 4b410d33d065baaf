package pcucontrol_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/planetlab/monitor/pcucontrol"
	"github.com/planetlab/monitor/pcucontrol/models"
)

// plugs is the device of testdata/custom.yaml.
func plugs(t *testing.T, r *rack) *url.URL {
	m := http.NewServeMux()
	outlet := func(w http.ResponseWriter, n int) bool {
		if n < 1 || n > r.Count() {
			http.Error(w, fmt.Sprintf("no plug %d", n), http.StatusNotFound)
		}
		return n >= 1 && n <= r.Count()
	}
	m.HandleFunc("GET /api/whoami",
		func(w http.ResponseWriter, q *http.Request) { fmt.Fprint(w, `{"role":"operator"}`) })
	m.HandleFunc("GET /api/plugs/{n}", func(w http.ResponseWriter, q *http.Request) {
		if n, _ := strconv.Atoi(q.PathValue("n")); outlet(w, n+1) {
			on, _ := r.State(n + 1)
			fmt.Fprintf(w, `{"power": %v}`, on)
		}
	})
	m.HandleFunc("PUT /api/plugs/{n}", func(w http.ResponseWriter, q *http.Request) {
		if n, _ := strconv.Atoi(q.PathValue("n")); outlet(w, n+1) {
			body, _ := io.ReadAll(q.Body)
			_ = r.Set(n+1, string(body) == `{"power":true}`)
			w.WriteHeader(http.StatusAccepted)
		}
	})
	m.HandleFunc("POST /cycle", func(w http.ResponseWriter, q *http.Request) {
		if n, _ := strconv.Atoi(q.PostFormValue("plug")); n == 4 {
			fmt.Fprint(w, "locked by somebody")
		} else if outlet(w, n) {
			_, _ = r.Set(n, false), r.Set(n, true)
			fmt.Fprint(w, "done")
		}
	})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if user, pw, ok := q.BasicAuth(); !ok || user != "admin" || pw != password {
			w.Header().Set("WWW-Authenticate", `Basic realm="plugs"`)
			http.Error(w, "who are you?", http.StatusUnauthorized)
			return
		}
		m.ServeHTTP(w, q)
	}))
	t.Cleanup(s.Close)
	u, _ := url.Parse(s.URL)
	return u
}

func TestAnOperatorAddsAModelByAFile(t *testing.T) {
	t.Parallel()
	catalog, err := models.Open("testdata")
	if err != nil {
		t.Fatal(err)
	}
	r := &rack{}
	at := plugs(t, r)
	port, _ := strconv.Atoi(at.Port())
	target := pcucontrol.Target{
		Model:     "RoomPlugs",
		Transport: "http",
		Host:      at.Hostname(),
		Port:      port,
		User:      "admin",
		Password:  password,
		Outlet:    3,
	}
	if res, err := catalog.Test(enough(t), target); err != nil || r.events() != "" {
		t.Errorf("a dry run gives %+v, %v and switched %q", res, err, r.events())
	}
	if res, err := catalog.Cycle(enough(t), target); err != nil || !res.Verified || res.Before != pcucontrol.On ||
		res.After != pcucontrol.On ||
		r.events() != "off on" {
		t.Errorf("a cycle gives %+v, %v and switched %q", res, err, r.events())
	}
	target.Outlet = 9
	if _, err := catalog.Status(enough(t), target); pcucontrol.KindOf(err) != pcucontrol.NoOutlet {
		t.Errorf("outlet nine of eight gives %v", err)
	}
	target.Model, target.Outlet = "RoomPlugsByForm", 2
	if res, err := catalog.Cycle(enough(t), target); err != nil || res.Verified || res.Note != "sent, not verified" ||
		r.events() != "off on off on" {
		t.Errorf("a cycle by form gives %+v, %v and switched %q", res, err, r.events())
	}
	target.Outlet = 4
	if _, err := catalog.Cycle(enough(t), target); pcucontrol.KindOf(err) != pcucontrol.Busy ||
		r.events() != "off on off on" {
		t.Errorf("a locked plug gives %v", err)
	}
	target.Password = "guess-me"
	if _, err := catalog.Cycle(enough(t), target); pcucontrol.KindOf(err) != pcucontrol.Auth ||
		strings.Contains(err.Error(), "guess-me") {
		t.Errorf("a wrong password gives %v", err)
	}
}

func TestCustomSaysThatItNeedsAFile(t *testing.T) {
	_, err := models.Builtin().Test(t.Context(), pcucontrol.Target{Model: "Custom", Host: "10.0.0.1"})
	if pcucontrol.KindOf(err) != pcucontrol.UnknownModel || !strings.Contains(err.Error(), "needs a model file") ||
		!strings.Contains(err.Error(), "10.0.0.1") {
		t.Errorf("got %v", err)
	}
	dir := t.TempDir()
	file := "about: ours\ntransports: [http 80]\nmodels:\n  Custom:\n    pages:\n      test: [{get: /}]\n      " +
		"cycle: [{get: '/cycle?plug={outlet}', commit: true}]\n"
	if err := os.WriteFile(filepath.Join(dir, "custom.yaml"), []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	catalog, err := models.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if m, err := catalog.Resolve("Custom"); err != nil || m.About != "ours" {
		t.Errorf("with a file it is %+v, %v", m, err)
	}
}

func TestAModelFileThatCouldNotWorkIsRefused(t *testing.T) {
	for name, c := range map[string]struct{ pages, says string }{
		"a page that asks for nothing": {"test: [{expect: x}]\n      cycle: [{get: /c, commit: true}]",
			"each needs one of"},
		"a page that asks twice": {"test: [{get: /a, post: /b}]\n      cycle: [{get: /c, commit: " +
			"true}]", "each needs one of"},
		"a page without a path": {"test: [{get: 'http://elsewhere/'}]\n      cycle: [{get: /c, " +
			"commit: true}]", "each needs one of"},
		"a form and a body": {"test: [{post: /a, form: {a: b}, body: c}]\n      cycle: [{get: " +
			"/c, commit: true}]", "there cannot be both"},
		"a pattern that is none": {"test: [{get: /a, expect: '('}]\n      cycle: [{get: /c, commit: " +
			"true}]", "missing closing"},
		"a state that is not marked": {"test: [{get: /a}]\n      status: [{get: /a, read: on}]\n      " +
			"cycle: [{get: /c, commit: true}]", "needs one group"},
		"no cycle": {"test: [{get: /a}]", "cycle or on and off"},
		"a cycle that never commits": {"test: [{get: /a}]\n      cycle: [{get: /c}]",
			"need a page with commit"},
		"a dry run that commits": {"test: [{get: /a, commit: true}]\n      cycle: [{get: /c, commit: " +
			"true}]", "no others may have one"},
		"something else than the five": {"test: [{get: /a}]\n      reboot: [{get: /c}]\n      cycle: [{get: " +
			"/c, commit: true}]", "is not test, status, list, on, off, cycle"},
		"a key that there is not": {"test: [{fetch: /a}]\n      cycle: [{get: /c, commit: true}]",
			"there is no key \"fetch\""},
		"an error of a kind that is not theirs": {"test: [{get: /a, errors: [{hear: x, kind: ambiguous}]}]\n      " +
			"cycle: [{get: /c, commit: true}]", "no kind of error"},
	} {
		dir := t.TempDir()
		file := "transports: [http 80]\nmodels:\n  Ours:\n    pages:\n      " + c.pages + "\n"
		if err := os.WriteFile(filepath.Join(dir, "ours.yaml"), []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := models.Open(dir); err == nil || !strings.Contains(err.Error(), c.says) ||
			!strings.Contains(err.Error(), "ours.yaml:") ||
			!strings.Contains(err.Error(), ": Ours: ") {
			t.Errorf("%s gives %v", name, err)
		}
	}
}

func TestACommandWithoutAnAnswerIsSentOnceAndAmbiguous(t *testing.T) {
	dir := t.TempDir()
	file := "transports: [http 80]\nmodels:\n  Ours:\n    pages:\n      test: [{get: /}]\n      cycle: [{get: " +
		"/cycle, commit: true}]\n"
	if err := os.WriteFile(filepath.Join(dir, "ours.yaml"), []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	catalog, err := models.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	for name, answer := range map[string]func(http.ResponseWriter){
		"one that hangs up":    func(http.ResponseWriter) { panic(http.ErrAbortHandler) },
		"one that breaks down": func(w http.ResponseWriter) { w.WriteHeader(http.StatusInternalServerError) },
		"one that redirects": func(w http.ResponseWriter) {
			w.Header().Set("Location",
				"/cycle")
			w.WriteHeader(http.StatusFound)
		},
	} {
		cycles := make(chan bool, 10)
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
			if q.URL.Path == "/cycle" {
				cycles <- true
				answer(w)
			}
		}))
		at, _ := url.Parse(s.URL)
		port, _ := strconv.Atoi(at.Port())
		_, err := catalog.Cycle(enough(t),
			pcucontrol.Target{Model: "Ours", Host: at.Hostname(), Port: port, Password: password, Outlet: 1})
		if pcucontrol.KindOf(err) != pcucontrol.Ambiguous || len(cycles) != 1 {
			t.Errorf("%s gives %v after %d commands", name, err, len(cycles))
		}
		s.Close()
	}
}

func TestAFormMayLeadToAPageOfTheSameDevice(t *testing.T) {
	dir := t.TempDir()
	file := "transports: [http 80]\nmodels:\n  Ours:\n    pages:\n      test: [{get: /}]\n" +
		"      cycle: [{post: /form, form: {P1: r}, expect: done, commit: true}]\n"
	if err := os.WriteFile(filepath.Join(dir, "ours.yaml"), []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	catalog, err := models.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		status int
		to     string
		kind   pcucontrol.Kind
	}{
		"the next page":                  {http.StatusSeeOther, "/after", ""},
		"the next page, as old ones say": {http.StatusFound, "after", ""},
		"another device":                 {http.StatusFound, "http://192.0.2.1/after", pcucontrol.Ambiguous},
		"the form, to be sent again":     {http.StatusTemporaryRedirect, "/form", pcucontrol.Ambiguous},
		"itself":                         {http.StatusFound, "/form", pcucontrol.Ambiguous},
	} {
		forms := 0
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
			switch {
			case q.Method == "POST":
				forms++
				http.Redirect(w, q, c.to, c.status)
			case q.URL.Path == "/after":
				fmt.Fprint(w, "done")
			case q.URL.Path == "/form":
				http.Redirect(w, q, c.to, c.status)
			}
		}))
		at, _ := url.Parse(s.URL)
		port, _ := strconv.Atoi(at.Port())
		_, err := catalog.Cycle(enough(t),
			pcucontrol.Target{Model: "Ours", Host: at.Hostname(), Port: port, Password: password, Outlet: 1})
		if pcucontrol.KindOf(err) != c.kind || forms != 1 {
			t.Errorf("%s gives %v after %d forms", name, err, forms)
		}
		s.Close()
	}
}

func TestAnEPowerSwitchThatShowsNoStatesIsSwitchedAllTheSame(t *testing.T) {
	var did []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if _, pw, ok := q.BasicAuth(); !ok || pw != password {
			w.Header().Set("WWW-Authenticate", `Basic realm="ePowerSwitch"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		switch {
		case q.Method == "POST" && q.URL.Path == "/cmd.html":
			did = append(did, "P3="+q.PostFormValue("P3"))
		case q.URL.Path != "/":
			http.NotFound(w, q)
		default:
			fmt.Fprint(w, "<title>ePowerSwitch 4</title>")
		}
	}))
	defer s.Close()
	at, _ := url.Parse(s.URL)
	port, _ := strconv.Atoi(at.Port())
	target := pcucontrol.Target{
		Model:    "ePowerSwitchNew",
		Host:     at.Hostname(),
		Port:     port,
		User:     "admin",
		Password: password,
		Outlet:   3,
	}
	if r, err := models.Builtin().Test(enough(t), target); err != nil || len(did) > 0 {
		t.Errorf("a dry run gives %+v, %v and did %v", r, err, did)
	}
	if r, err := models.Builtin().Cycle(enough(t), target); err != nil || r.Verified ||
		r.Note != "sent, not verified" ||
		strings.Join(did, " ") != "P3=r" {
		t.Errorf("a cycle gives %+v, %v and did %v", r, err, did)
	}
}

func TestAPasswordIsWrittenAsTheBodyNeedsIt(t *testing.T) {
	dir := t.TempDir()
	const secret = `a"b&c<d`
	file := "transports: [http 80]\nmodels:\n  Ours:\n    pages:\n      test:\n" +
		"        - {post: /json, type: application/json, body: '{\"pw\":\"{password}\"}'}\n" +
		"        - {post: /xml, type: text/xml, body: '<pw>{password}</pw>'}\n" +
		"        - {post: /form, form: {pw: '{password}'}}\n" +
		"        - {post: /query, type: application/x-www-form-urlencoded, body: 'pw={password}'}\n" +
		"        - {get: '/path?pw={password}'}\n" +
		"      cycle: [{get: /c, commit: true}]\n"
	if err := os.WriteFile(filepath.Join(dir, "ours.yaml"), []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	catalog, err := models.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		body, _ := io.ReadAll(q.Body)
		got = append(got, q.URL.RequestURI()+" "+string(body))
		_, _ = w.Write(body) // it may say it back
	}))
	defer s.Close()
	at, _ := url.Parse(s.URL)
	port, _ := strconv.Atoi(at.Port())
	var trace strings.Builder
	target := pcucontrol.Target{
		Model:    "Ours",
		Host:     at.Hostname(),
		Port:     port,
		Password: secret,
		Trace:    func(s string) { trace.WriteString(s) },
	}
	if _, err := catalog.Test(enough(t), target); err != nil {
		t.Fatal(err)
	}
	want := []string{`/json {"pw":"a\"b\u0026c\u003cd"}`, `/xml <pw>a&quot;b&amp;c&lt;d</pw>`, `/form pw=a%22b%26c%3Cd`,
		`/query pw=a%22b%26c%3Cd`, `/path?pw=a%22b%26c%3Cd `}
	if !slices.Equal(got, want) || strings.Contains(trace.String(), "c<d") || strings.Contains(trace.String(), "3Cd") ||
		strings.Contains(trace.String(), "lt;d") {
		t.Errorf("it was sent\n%s\nand traced\n%s", strings.Join(got, "\n"), trace.String())
	}
}
