package web

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/jackc/pgx/v5"

	"github.com/planetlab/monitor/testbed/chrome"
)

// chromium is shared by all tests of this process.
var chromium chrome.Browser

func startBrowser(t testing.TB, f *fixture) *chrome.Page {
	t.Helper()
	return chromium.Page(t, f.http.URL, 5*time.Minute)
}

func signIn(b *chrome.Page, account string) {
	b.Open("/sign-in")
	b.Run(chromedp.SendKeys(chromedp.CSS("#account"), account), chromedp.SendKeys(chromedp.CSS("#password"), "pw of "+account+"\r"))
	b.Shows("Sign out")
}

// screenshots keeps a picture of every page in both themes, wide and narrow, where MONITOR_SCREENSHOTS names a folder:
// see make screenshots.
func TestScreenshots(t *testing.T) {
	dir := os.Getenv("MONITOR_SCREENSHOTS")
	if dir == "" {
		t.Skip("MONITOR_SCREENSHOTS names no folder: run `make screenshots`")
	}
	f := newFixture(t)
	b := startBrowser(t, f)
	b.Open("/sign-in")
	b.Picture(dir, "sign-in")
	signIn(b, anAdmin)
	b.Theme("light")
	b.Size(1280, 900)
	b.Open("/issues")
	b.Run(chromedp.Evaluate[chromedp.Void](`document.querySelectorAll('input[name=id]').forEach(e => e.click()); document.querySelector('button[value="issue.pause"]').click()`))
	b.Shows("Exactly these")
	b.Picture(dir, "plan")
	b.Run(chromedp.SendKeys(chromedp.CSS("#reason"), "to see how it looks\r"))
	b.Shows("What came of it")
	b.Picture(dir, "result")
	for name, path := range everyPage() {
		for _, theme := range []string{"light", "dark"} {
			b.Theme(theme)
			b.Size(1280, 900)
			b.Open(path)
			b.Picture(dir, name+" "+theme)
		}
		b.Theme("light")
		b.Size(320, 640)
		b.Open(path)
		b.Picture(dir, name+" narrow")
	}
}

// axeFinding is what axe-core finds fault with.
type axeFinding struct {
	ID, Impact, Help string
	Nodes            []struct{ HTML, FailureSummary string }
}

func TestNoPageHasAFaultForThoseWhoUseItOtherwise(t *testing.T) {
	f := oneFleet(t)
	b := startBrowser(t, f)
	axe, err := os.ReadFile("testdata/axe.min.js")
	f.must(t, err)
	signIn(b, anAdmin)
	for name, path := range everyPage() {
		for _, theme := range []string{"light", "dark"} {
			b.Theme(theme)
			b.Open(path)
			// evaluated by the debugger, which the page's own policy does not concern
			text := chrome.Ask(b, chromedp.Evaluate[string](string(axe)+`;axe.run().then(r => JSON.stringify(r.violations))`, chromedp.EvalAwaitPromise))
			var found []axeFinding
			f.must(t, json.Unmarshal([]byte(text), &found))
			for _, v := range found {
				t.Errorf("%s, %s: %s (%s): %s\n%.300s\n%s", name, theme, v.ID, v.Impact, v.Help, v.Nodes[0].HTML, v.Nodes[0].FailureSummary)
			}
		}
	}
}

func TestABrowserAsksNobodyElseAndHasNothingToComplainOf(t *testing.T) {
	f := oneFleet(t)
	b := startBrowser(t, f)
	signIn(b, anAdmin)
	for name, path := range everyPage() {
		b.Open(path)
		b.Run(chromedp.Sleep(50 * time.Millisecond)) // for scripts that come late
		if wrong := b.Complaints(); len(wrong) > 0 {
			t.Errorf("%s: %q", name, wrong)
		}
	}
	for _, to := range b.Asked() {
		if u, err := url.Parse(to); err != nil || "http://"+u.Host != f.http.URL {
			t.Errorf("the browser asked %s", to)
		}
	}
	if n := len(b.Asked()); n < 3*len(everyPage()) {
		t.Errorf("only %d requests were seen", n)
	}
}

func TestAChangeIsSeenWithinASecond(t *testing.T) {
	f := newFixture(t)
	b := startBrowser(t, f)
	signIn(b, anAdmin)
	b.Open("/sites/tokyo")
	b.UntilSeen(func(n int) string {
		const why = "the page listens"
		f.must(t, f.Note(t.Context(), noted("tokyo", fmt.Sprintf("%s, try %d", why, n))))
		return why
	})
	var took []time.Duration
	for n := range 3 {
		why := fmt.Sprintf("change number %d", n)
		began := time.Now()
		f.must(t, f.Note(t.Context(), noted("tokyo", why)))
		b.Shows(why)
		took = append(took, time.Since(began))
	}
	if slices.Min(took) > time.Second {
		t.Errorf("changes were seen after %v", took)
	}
	if wrong := b.Complaints(); len(wrong) > 0 {
		t.Errorf("%q", wrong)
	}
}

// A page that came just before the program stopped finds it again when it is back, though its stream never began.
func TestAPageWhoseStreamDidNotBeginTriesAgain(t *testing.T) {
	f := newFixture(t)
	var asked atomic.Int64
	away := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/live" && asked.Add(1) == 1 {
			http.Error(w, "away", http.StatusBadGateway)
			return
		}
		f.pages.Handler().ServeHTTP(w, r)
	}))
	t.Cleanup(func() { away.CloseClientConnections(); away.Close() })
	b := chromium.Page(t, away.URL, 5*time.Minute)
	signIn(b, anAdmin)
	asked.Store(0)
	b.Open("/sites/tokyo")
	b.Until("the page asks for its stream", func() bool { return asked.Load() > 0 })
	f.must(t, f.Note(t.Context(), noted("tokyo", "told while nobody listened")))
	b.Until("the page asks for it again", func() bool { return asked.Load() > 1 })
	b.Shows("told while nobody listened")
}

func TestPagesFitOnANarrowScreen(t *testing.T) {
	f := oneFleet(t)
	b := startBrowser(t, f)
	signIn(b, anAdmin)
	b.Size(320, 640)
	for name, path := range everyPage() {
		b.Open(path)
		if wide := chrome.Ask(b, chromedp.Evaluate[int](`document.documentElement.scrollWidth`)); wide > 320 {
			t.Errorf("%s is %d wide", name, wide)
		}
	}
}

// A whole task by the keyboard alone, in a browser that runs no scripts: sign in, find what is down, silence it.
func TestATaskNeedsNeitherMouseNorScripts(t *testing.T) {
	f := newFixture(t)
	b := startBrowser(t, f)
	b.WithoutScripts()
	b.Open("/sign-in?next=%2Fnodes")
	b.TabTo(`e.id == "account"`)
	b.Press(anOperator, kb.Tab, "pw of "+anOperator, kb.Enter)
	b.Shows("Every node that PLC has")
	b.TabTo(`e.name == "select"`)
	b.Press("site=huji", kb.Enter)
	b.Shows("1–2 of 2 selected")
	b.TabTo(`e.name == "id" && e.value == "planetlab1.huji.example"`)
	b.Press(" ")
	b.TabTo(`e.value == "target.silence"`)
	b.Press(kb.Enter)
	b.Shows("Exactly these")
	if text := b.Text(); strings.Contains(text, "planetlab2.huji.example") {
		t.Errorf("more is planned than was ticked: %s", text)
	}
	b.TabTo(`e.name == "until"`)
	b.Press("3d")
	b.TabTo(`e.name == "reason"`)
	b.Press("its rack is moved", kb.Enter)
	b.Shows("1 of 1 done")
	if got := silenced(t, f); !slices.Equal(got, []string{"planetlab1.huji.example"}) {
		t.Errorf("%v is silenced", got)
	}
}

// What somebody ticks and types stays, when the list is fetched again under his hands.
func TestAChangeDoesNotTakeAwayWhatIsTicked(t *testing.T) {
	f := newFixture(t)
	b := startBrowser(t, f)
	signIn(b, anOperator)
	b.Open("/issues")
	ticked := `document.querySelector('input[name=id][value="nodedown/planetlab1.huji.example"]')`
	b.Run(chromedp.Evaluate[chromedp.Void](ticked + `.click()`))
	conn, err := pgx.Connect(t.Context(), f.url)
	f.must(t, err)
	defer func() { _ = conn.Close(context.Background()) }()
	b.UntilSeen(func(n int) string {
		const cause = "changed under his hands"
		_, err := conn.Exec(t.Context(), `update issue set cause = $1 where id = 'nodedown/planetlab2.tokyo.example'`,
			fmt.Sprintf("%s, time %d", cause, n))
		f.must(t, err)
		return cause
	})
	if !chrome.Ask(b, chromedp.Evaluate[bool](ticked+`.checked`)) {
		t.Error("the tick is gone")
	}
	if wrong := b.Complaints(); len(wrong) > 0 {
		t.Errorf("%q", wrong)
	}
}

// On paper stands what a page says, all of it, and nothing that can be pressed.
func TestAPageOnPaperHasAllItSaysAndNothingToPress(t *testing.T) {
	f := oneFleet(t)
	b := startBrowser(t, f)
	signIn(b, anOperator)
	for name, path := range everyPage() {
		b.OnPaper()
		b.Open(path)
		const seen = `[...document.querySelectorAll("button, input, select, nav, footer, header.top")].filter(e => e.getClientRects().length).map(e => e.outerHTML.slice(0, 80)).join("\n")`
		if left := chrome.Ask(b, chromedp.Evaluate[string](seen)); left != "" {
			t.Errorf("%s has on paper what can only be pressed:\n%s", name, left)
		}
		text := b.Text()
		for _, want := range map[string][]string{
			"nodes":  {"planetlab1.huji.example", "planetlab4.sydney.example", "1–28 of 28"},
			"issues": {"nodedown/planetlab1.huji.example"}, "fleet": {"Sites in trouble"},
			"issue": {"apply second penalty", "it does not answer."}, // the letter, which is folded on a screen
		}[name] {
			if !strings.Contains(text, want) {
				t.Errorf("%s does not say %q on paper:\n%s", name, want, text)
			}
		}
	}
}
