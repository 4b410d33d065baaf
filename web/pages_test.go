package web

import (
	"context"
	"encoding/csv"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/planetlab/monitor/answers"
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/selection"
	"github.com/planetlab/monitor/store"
)

// everyPage is a path of each kind of page.
func everyPage() map[string]string {
	return map[string]string{
		"fleet": "/", "issues": "/issues", "closed issues": "/issues?closed=1", "issue": "/issues/nodedown/planetlab1.huji.example",
		"nodes": "/nodes", "node": "/nodes/planetlab1.huji.example", "boot log": "/nodes/planetlab3.princeton.example/boot-log",
		"sites": "/sites", "site": "/sites/huji", "pcus": "/pcus", "pcu": "/pcus/1003", "ledger": "/ledger",
		"ledger entry": "/ledger/entry?key=site%2Fhuji%2Fmail%2F1", "agenda": "/agenda", "sequences": "/sequences", "audit": "/audit",
		"left alone": "/exempt", "why": "/explain?target=planetlab1.huji.example", "legend": "/legend", "status": "/status",
	}
}

func TestEveryPageIsShown(t *testing.T) {
	f := oneFleet(t)
	v := f.as(t, anAdmin)
	for name, path := range everyPage() {
		code, body := v.get(path)
		if code != http.StatusOK || !strings.Contains(body, "<h1") || !strings.Contains(body, "</html>") {
			t.Errorf("%s: %d\n%s", name, code, body)
		}
		if strings.Contains(body, "/assets/missing/") || strings.Contains(body, "%!") || strings.Contains(body, "pcu-s3cret") {
			t.Errorf("%s names an asset that is none, prints badly, or shows a password", name)
		}
	}
	for path, want := range map[string]string{
		"/":       `<a href="/nodes?select=%2A.example">example <b>21</b> of 28</a>`,
		"/issues": `nodedown/planetlab1.huji.example`,
		"/issues/nodedown/planetlab1.huji.example": `send email`,
		"/nodes/planetlab1.huji.example":           `no ssh: timeout`,
		"/sites/huji":                              `tech@huji.example`,
		"/pcus/1003":                               `planetlab1.huji.example`,
		"/agenda":                                  `send email`,
		"/exempt":                                  `their building is closed`,
	} {
		if _, body := v.get(path); !strings.Contains(body, want) {
			t.Errorf("%s does not tell %q", path, want)
		}
	}
}

func TestUnknownThingsAreNotFound(t *testing.T) {
	f := oneFleet(t)
	v := f.as(t, anAdmin)
	for _, path := range []string{"/nodes/no.example", "/sites/nosuch", "/pcus/77", "/pcus/x", "/issues/nodedown/no.example", "/issues/odd/x",
		"/ledger/entry?key=no", "/nowhere", "/nodes/planetlab1.huji.example/boot-log", "/assets/0/style.css", "/assets/../web.go", "/jump?q=nosuchname"} {
		if code, body := v.get(path); code != http.StatusNotFound || strings.Contains(body, "package web") {
			t.Errorf("%s: %d", path, code)
		}
	}
}

var rowLink = regexp.MustCompile(`href="/nodes/([^"/?]+)"`)

func TestAListTakesTheExpressionsOfTheCommandLine(t *testing.T) {
	f := oneFleet(t)
	v := f.as(t, anAdmin)
	for query, want := range map[string][]string{
		"select=site%3Dhuji":                      {"planetlab1.huji.example", "planetlab2.huji.example"},
		"select=status%3Ddown&not-in=site%3Dhuji": {"planetlab1.evil.example", "planetlab2.tokyo.example", "planetlab4.sydney.example"},
		"select=planetlab1.tokyo.example":         {"planetlab1.tokyo.example"},
		"select=status%20%3D%3D%20%22failboot%22": {"planetlab3.princeton.example"},
	} {
		code, body := v.get("/nodes?" + query)
		var got []string
		for _, m := range rowLink.FindAllStringSubmatch(body, -1) {
			got = append(got, m[1])
		}
		slices.Sort(got)
		if code != http.StatusOK || !slices.Equal(got, want) {
			t.Errorf("%s: %d, %v", query, code, got)
		}
	}
	for query, want := range map[string]string{
		"select=stauts%3Ddown":      "did you mean status",
		"select=site%3D%3D":         "column",
		"fields=nosuch":             "nosuch",
		"sort=nosuch":               "nosuch",
		"select=file%3A/etc/passwd": "for the command line only",
	} {
		code, body := v.get("/nodes?" + query)
		if code != http.StatusBadRequest || !strings.Contains(body, want) || rowLink.MatchString(body) {
			t.Errorf("%s: %d, and it shows rows or does not say %q", query, code, want)
		}
	}
	if code, body := v.get("/nodes?select=site%3Dhuji%2Cstatus%3Dgood"); code != http.StatusOK || !strings.Contains(body, "Nothing is selected.") {
		t.Errorf("an expression that selects nothing: %d", code)
	}
}

func TestColumnsAndOrderStandInTheAddress(t *testing.T) {
	f := oneFleet(t)
	v := f.as(t, anAdmin)
	_, text := v.get("/nodes?fields=name&fields=site,kernel&sort=-name&select=site%3Dhuji|tokyo&format=csv")
	rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil || len(rows) != 7 || !slices.Equal(rows[0], []string{"name", "site", "kernel"}) || rows[1][0] != "planetlab4.tokyo.example" {
		t.Errorf("%v %v", rows, err)
	}
	_, text = v.get("/sites?fields=name&select=evil&format=csv")
	if rows, err := csv.NewReader(strings.NewReader(text)).ReadAll(); err != nil || len(rows) != 2 || rows[1][0] != evil {
		t.Errorf("%q %v", text, err)
	}
	if got := plain("=1+2"); got != "'=1+2" {
		t.Errorf("a formula stays one: %q", got)
	}
}

func TestTheJumpBoxFindsThings(t *testing.T) {
	f := oneFleet(t)
	v := f.as(t, anAdmin)
	v.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	for q, want := range map[string]string{
		"planetlab1.huji.example": "/nodes/planetlab1.huji.example", "huji": "/sites/huji", "pcu.huji.example": "/pcus/1003", "": "/",
		"nodedown/planetlab1.huji.example": "/issues/nodedown/planetlab1.huji.example", "*.huji.example": "/nodes?select=%2A.huji.example",
		"PLANETLAB1.huji.example": "/nodes/planetlab1.huji.example", "3.princ": "/nodes/planetlab3.princeton.example",
		"status=down": "/nodes?select=status%3Ddown", "//evil.example/": "/nodes?",
	} {
		resp, err := v.http.Get(v.base + "/jump?q=" + strings.NewReplacer("*", "%2A", "=", "%3D", "/", "%2F").Replace(q))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if to := resp.Header.Get("Location"); to != want && q != "//evil.example/" || strings.HasPrefix(to, "//") {
			t.Errorf("%q leads to %q (%d)", q, to, resp.StatusCode)
		}
	}
}

func TestAllRowsAreOnOnePageToBePrinted(t *testing.T) {
	f := oneFleet(t)
	rows := make([]selection.Action, 2*rowsAPage+1)
	for query, want := range map[string]int{"": rowsAPage, "page=3": 1, "page=all": len(rows)} {
		r, err := http.NewRequest(http.MethodGet, "/ledger?"+query, nil)
		f.must(t, err)
		v, err := list[selection.Action]{Kind: "ledger", table: selection.Ledger(), brief: []string{"key"},
			read: func(context.Context, func(string) bool) ([]selection.Action, error) { return rows, nil }}.show(f.pages, &request{Request: r, now: noon})
		f.must(t, err)
		if l := v.Data.(listing); len(l.Rows) != want || (l.OnOne == "") != (want == len(rows)) {
			t.Errorf("%q: %d rows, and all are at %q", query, len(l.Rows), l.OnOne)
		}
	}
}

func TestABannerSaysWhatKeepsMonitorFromActingOrKnowing(t *testing.T) {
	seen := &answers.LastSweep{Ended: noon, Believed: noon}
	for want, s := range map[string]answers.Status{
		"":                            {Controls: answers.Controls{Mode: policy.ModeAct}, Sweep: seen},
		"Stopped: by ann":             {Controls: answers.Controls{Mode: policy.ModeAct, Stopped: "by ann"}, Sweep: seen},
		"Monitor only observes: why":  {Controls: answers.Controls{Mode: policy.ModeObserve, Why: "why"}, Sweep: seen},
		"No sweep has ended yet":      {Controls: answers.Controls{Mode: policy.ModeAct}},
		"is not believed":             {Controls: answers.Controls{Mode: policy.ModeAct}, Sweep: &answers.LastSweep{Ended: noon, Doubt: "PLC does not answer"}},
		"No sweep has ended for long": {Controls: answers.Controls{Mode: policy.ModeAct}, Sweep: &answers.LastSweep{Ended: noon.Add(-time.Hour)}},
		"The mail server does not take mail, and what is to be said waits: no room": {Controls: answers.Controls{Mode: policy.ModeAct}, Sweep: seen, Away: []store.Away{{Server: store.ServerMail, Why: "no room", Since: noon}}},
		"Request Tracker does not answer":                                           {Controls: answers.Controls{Mode: policy.ModeAct}, Sweep: seen, Away: []store.Away{{Server: store.ServerTracker, Since: noon}}},
		"What comon knows of nodes is":                                              {Controls: answers.Controls{Mode: policy.ModeAct}, Sweep: seen, Sources: []store.SourceState{{Name: "comon", Trouble: "no answer", Since: noon}}},
	} {
		list := bannersOf(s, 10*time.Minute, noon)
		if want == "" && len(list) > 0 || want != "" && (len(list) != 1 || !strings.Contains(list[0].Text, want)) {
			t.Errorf("%q: %+v", want, list)
		}
	}
}

func TestAServerThatIsAwayIsToldOnEveryPageUntilItIsBack(t *testing.T) {
	f := newFixture(t, func(o *Options) { o.Public = PublicStatus })
	v, stranger := f.as(t, anAdmin), f.visitor(t)
	shown := func(v *visitor, path string) bool {
		_, body := v.get(path)
		return strings.Contains(body, "does not take mail") && strings.Contains(body, "smtp.example: no room")
	}
	wait := func(want bool) {
		t.Helper()
		for deadline := time.Now().Add(20 * time.Second); shown(v, "/agenda") != want; time.Sleep(20 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("the banner is shown: %v", !want)
			}
		}
	}
	wait(false)
	f.must(t, f.SayAway(t.Context(), store.ServerMail, "smtp.example: no room", time.Now()))
	wait(true)
	if shown(stranger, "/status") {
		t.Error("a stranger reads the name of the mail server")
	}
	f.must(t, f.SayBack(t.Context(), store.ServerMail))
	wait(false)
}
