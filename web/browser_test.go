package web

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/jackc/pgx/v5"

	"github.com/planetlab/monitor/testbed/debian"
)

// browser is a real Chromium with one page. It notes what went wrong in the page, and every address that it asked.
type browser struct {
	t    testing.TB
	ctx  context.Context
	base string

	mu    sync.Mutex
	wrong []string
	asked []string
}

var chromium struct {
	sync.Mutex
	ctx context.Context
}

// startBrowser opens a page of a Chromium that all tests of this process share.
func startBrowser(t testing.TB, f *fixture) *browser {
	t.Helper()
	if testing.Short() {
		t.Skip("starts a browser")
	}
	path := debian.Need(t, "chromium", "chromium")
	chromium.Lock()
	defer chromium.Unlock()
	if chromium.ctx == nil {
		options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]), chromedp.ExecPath(path), chromedp.NoSandbox,
			chromedp.Flag("disable-dev-shm-usage", true), chromedp.WindowSize(1280, 900))
		alloc, _ := chromedp.NewExecAllocator(context.Background(), options...)
		ctx, _ := chromedp.NewContext(alloc)
		if err := chromedp.Do(ctx); err != nil {
			t.Fatal(err)
		}
		chromium.ctx = ctx
	}
	ctx, cancel := chromedp.NewContext(chromium.ctx, chromedp.WithNewBrowserContext())
	b := &browser{t: t, base: f.http.URL}
	if err := chromedp.Listen(ctx, b.hear); err != nil {
		t.Fatal(err)
	}
	timed, stop := context.WithTimeout(ctx, 80*time.Second)
	t.Cleanup(func() { stop(); cancel() })
	b.ctx = timed
	_, err := chromedp.Call(b.ctx, network.Enable, network.EnableParams{})
	if err == nil {
		_, err = chromedp.Call(b.ctx, log.Enable, cdp.Empty{})
	}
	if err == nil {
		_, err = chromedp.Call(b.ctx, runtime.Enable, cdp.Empty{})
	}
	f.must(t, err)
	return b
}

func (b *browser) hear(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		b.asked = append(b.asked, e.Request.URL)
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError || strings.Contains(e.Entry.Text, "Content Security Policy") {
			b.wrong = append(b.wrong, e.Entry.Text+" "+e.Entry.URL)
		}
	case *runtime.EventExceptionThrown:
		b.wrong = append(b.wrong, fmt.Sprintf("%s %+v", e.ExceptionDetails.Text, e.ExceptionDetails.Exception))
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError || e.Type == runtime.ConsoleAPICalledTypeWarning {
			for _, a := range e.Args {
				b.wrong = append(b.wrong, "console: "+string(a.Value))
			}
		}
	}
}

// complaints are what went wrong since it was last asked.
func (b *browser) complaints() (list []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	list, b.wrong = b.wrong, nil
	return list
}

func (b *browser) run(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, actions...); err != nil {
		b.t.Fatal(err)
	}
}

// ask runs an action that answers.
func ask[T any](b *browser, a chromedp.Action[T]) T {
	b.t.Helper()
	v, err := chromedp.Run(b.ctx, a)
	if err != nil {
		b.t.Fatal(err)
	}
	return v
}

func (b *browser) open(path string) {
	b.t.Helper()
	b.run(chromedp.Navigate(b.base+path), chromedp.WaitReady(chromedp.CSS("main")))
}

func (b *browser) text() string {
	b.t.Helper()
	return ask(b, chromedp.Evaluate[string](`document.body ? document.body.innerText : ""`))
}

func (b *browser) signIn(account string) {
	b.t.Helper()
	b.open("/sign-in")
	b.run(chromedp.SendKeys(chromedp.CSS("#account"), account), chromedp.SendKeys(chromedp.CSS("#password"), "pw of "+account+"\r"))
	b.until("it is signed in", func() bool { return strings.Contains(b.text(), "Sign out") })
}

// until waits for a condition.
func (b *browser) until(what string, is func() bool) {
	b.t.Helper()
	for deadline := time.Now().Add(15 * time.Second); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			b.t.Fatalf("not seen: %s\n%s\n%q", what, b.text(), b.complaints())
		}
	}
}

// untilSeen makes a change, and another one each second, until the page shows one without being asked for: its stream
// of news is open then, however late. The change answers with the text by which it is known, however
// often it is made: on a busy machine a page may show the one before.
func (b *browser) untilSeen(change func(n int) (shown string)) {
	b.t.Helper()
	n := 0
	b.until("a change", func() bool {
		n++
		shown := change(n)
		for deadline := time.Now().Add(time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
			if strings.Contains(b.text(), shown) {
				return true
			}
		}
		return false
	})
}

func (b *browser) theme(name string) {
	b.t.Helper()
	if _, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: name}}}); err != nil {
		b.t.Fatal(err)
	}
}

func (b *browser) size(width, height int64) {
	b.t.Helper()
	b.run(chromedp.EmulateViewport(width, height))
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
	b.open("/sign-in")
	b.picture(dir, "sign-in")
	b.signIn(anAdmin)
	b.theme("light")
	b.size(1280, 900)
	b.open("/issues")
	b.run(chromedp.Evaluate[chromedp.Void](`document.querySelectorAll('input[name=id]').forEach(e => e.click()); document.querySelector('button[value="issue.pause"]').click()`))
	b.until("the plan", func() bool { return strings.Contains(b.text(), "Exactly these") })
	b.picture(dir, "plan")
	b.run(chromedp.SendKeys(chromedp.CSS("#reason"), "to see how it looks\r"))
	b.until("the result", func() bool { return strings.Contains(b.text(), "What came of it") })
	b.picture(dir, "result")
	for name, path := range everyPage() {
		for _, theme := range []string{"light", "dark"} {
			b.theme(theme)
			b.size(1280, 900)
			b.open(path)
			b.picture(dir, name+" "+theme)
		}
		b.theme("light")
		b.size(320, 640)
		b.open(path)
		b.picture(dir, name+" narrow")
	}
}

func (b *browser) picture(dir, name string) {
	b.t.Helper()
	png := ask(b, chromedp.FullScreenshot(100))
	if err := os.WriteFile(filepath.Join(dir, strings.ReplaceAll(name, " ", "-")+".png"), png, 0o644); err != nil {
		b.t.Fatal(err)
	}
}

// axeFinding is what axe-core finds fault with.
type axeFinding struct {
	ID, Impact, Help string
	Nodes            []struct{ HTML, FailureSummary string }
}

func testNoPageHasAFaultForThoseWhoUseItOtherwise(t *testing.T, f *fixture) {
	b := startBrowser(t, f)
	axe, err := os.ReadFile("testdata/axe.min.js")
	f.must(t, err)
	b.signIn(anAdmin)
	for name, path := range everyPage() {
		for _, theme := range []string{"light", "dark"} {
			b.theme(theme)
			b.open(path)
			// evaluated by the debugger, which the page's own policy does not concern
			text := ask(b, chromedp.Evaluate[string](string(axe)+`;axe.run().then(r => JSON.stringify(r.violations))`, chromedp.EvalAwaitPromise))
			var found []axeFinding
			f.must(t, json.Unmarshal([]byte(text), &found))
			for _, v := range found {
				t.Errorf("%s, %s: %s (%s): %s\n%.300s\n%s", name, theme, v.ID, v.Impact, v.Help, v.Nodes[0].HTML, v.Nodes[0].FailureSummary)
			}
		}
	}
}

func testABrowserAsksNobodyElseAndHasNothingToComplainOf(t *testing.T, f *fixture) {
	b := startBrowser(t, f)
	b.signIn(anAdmin)
	for name, path := range everyPage() {
		b.open(path)
		b.run(chromedp.Sleep(50 * time.Millisecond)) // for scripts that come late
		if wrong := b.complaints(); len(wrong) > 0 {
			t.Errorf("%s: %q", name, wrong)
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, to := range b.asked {
		if u, err := url.Parse(to); err != nil || "http://"+u.Host != b.base {
			t.Errorf("the browser asked %s", to)
		}
	}
	if len(b.asked) < 3*len(everyPage()) {
		t.Errorf("only %d requests were seen", len(b.asked))
	}
}

func TestAChangeIsSeenWithinASecond(t *testing.T) {
	f := newFixture(t)
	b := startBrowser(t, f)
	b.signIn(anAdmin)
	b.open("/sites/tokyo")
	b.untilSeen(func(n int) string {
		const why = "the page listens"
		f.must(t, f.Note(t.Context(), noted("tokyo", fmt.Sprintf("%s, try %d", why, n))))
		return why
	})
	var took []time.Duration
	for n := range 3 {
		why := fmt.Sprintf("change number %d", n)
		began := time.Now()
		f.must(t, f.Note(t.Context(), noted("tokyo", why)))
		b.until(why, func() bool { return strings.Contains(b.text(), why) })
		took = append(took, time.Since(began))
	}
	if slices.Min(took) > time.Second {
		t.Errorf("changes were seen after %v", took)
	}
	if wrong := b.complaints(); len(wrong) > 0 {
		t.Errorf("%q", wrong)
	}
}

func testPagesFitOnANarrowScreen(t *testing.T, f *fixture) {
	b := startBrowser(t, f)
	b.signIn(anAdmin)
	b.size(320, 640)
	for name, path := range everyPage() {
		b.open(path)
		if wide := ask(b, chromedp.Evaluate[int](`document.documentElement.scrollWidth`)); wide > 320 {
			t.Errorf("%s is %d wide", name, wide)
		}
	}
}

// tabTo moves the focus by the keyboard, as far as it takes, to the element that an expression of JavaScript about e
// tells.
func (b *browser) tabTo(what string) {
	b.t.Helper()
	for range 150 {
		b.run(chromedp.KeyEvent(kb.Tab))
		if ask(b, chromedp.Evaluate[bool](`(e => !!e && (`+what+`))(document.activeElement)`)) {
			return
		}
	}
	b.t.Fatalf("the keyboard does not lead to %s", what)
}

// A whole task by the keyboard alone, in a browser that runs no scripts: sign in, find what is down, silence it.
func TestATaskNeedsNeitherMouseNorScripts(t *testing.T) {
	f := newFixture(t)
	b := startBrowser(t, f)
	_, err := chromedp.Call(b.ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	f.must(t, err)
	b.open("/sign-in?next=%2Fnodes")
	b.tabTo(`e.id == "account"`)
	b.run(chromedp.KeyEvent(anOperator), chromedp.KeyEvent(kb.Tab), chromedp.KeyEvent("pw of "+anOperator), chromedp.KeyEvent(kb.Enter))
	b.until("the list", func() bool { return strings.Contains(b.text(), "Every node that PLC has") })
	b.tabTo(`e.name == "select"`)
	b.run(chromedp.KeyEvent("site=huji"), chromedp.KeyEvent(kb.Enter))
	b.until("two nodes", func() bool { return strings.Contains(b.text(), "1–2 of 2 selected") })
	b.tabTo(`e.name == "id" && e.value == "planetlab1.huji.example"`)
	b.run(chromedp.KeyEvent(" "))
	b.tabTo(`e.value == "target.silence"`)
	b.run(chromedp.KeyEvent(kb.Enter))
	b.until("the plan", func() bool { return strings.Contains(b.text(), "Exactly these") })
	if text := b.text(); strings.Contains(text, "planetlab2.huji.example") {
		t.Errorf("more is planned than was ticked: %s", text)
	}
	b.tabTo(`e.name == "until"`)
	b.run(chromedp.KeyEvent("3d"))
	b.tabTo(`e.name == "reason"`)
	b.run(chromedp.KeyEvent("its rack is moved"), chromedp.KeyEvent(kb.Enter))
	b.until("the result", func() bool { return strings.Contains(b.text(), "1 of 1 done") })
	if got := silenced(t, f); !slices.Equal(got, []string{"planetlab1.huji.example"}) {
		t.Errorf("%v is silenced", got)
	}
}

// What somebody ticks and types stays, when the list is fetched again under his hands.
func TestAChangeDoesNotTakeAwayWhatIsTicked(t *testing.T) {
	f := newFixture(t)
	b := startBrowser(t, f)
	b.signIn(anOperator)
	b.open("/issues")
	ticked := `document.querySelector('input[name=id][value="nodedown/planetlab1.huji.example"]')`
	b.run(chromedp.Evaluate[chromedp.Void](ticked + `.click()`))
	conn, err := pgx.Connect(t.Context(), f.url)
	f.must(t, err)
	defer func() { _ = conn.Close(context.Background()) }()
	b.untilSeen(func(n int) string {
		const cause = "changed under his hands"
		_, err := conn.Exec(t.Context(), `update issue set cause = $1 where id = 'nodedown/planetlab2.tokyo.example'`,
			fmt.Sprintf("%s, time %d", cause, n))
		f.must(t, err)
		return cause
	})
	if !ask(b, chromedp.Evaluate[bool](ticked+`.checked`)) {
		t.Error("the tick is gone")
	}
	if wrong := b.complaints(); len(wrong) > 0 {
		t.Errorf("%q", wrong)
	}
}
