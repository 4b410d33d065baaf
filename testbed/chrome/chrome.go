// Package chrome shows tests Monitor's pages as people see them, in a real Chromium (Debian's).
package chrome

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/planetlab/monitor/testbed/debian"
)

// Page is a window of a browser with cookies of its own. It notes what went wrong in it, and every address that it
// asked. What cannot be done in it fails the test.
type Page struct {
	t    testing.TB
	ctx  context.Context
	base string

	mu    sync.Mutex
	wrong []string
	asked []string
}

// Browser is a Chromium; the zero value starts when its first page opens, and ends with the process.
type Browser struct {
	mu  sync.Mutex
	ctx context.Context
}

// Page opens a page for the test, of a server at base. After limit nothing can be done in it any more.
func (b *Browser) Page(t testing.TB, base string, limit time.Duration) *Page {
	t.Helper()
	if testing.Short() {
		t.Skip("starts a browser")
	}
	path := debian.Need(t, "chromium", "chromium")
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ctx == nil {
		options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]), chromedp.ExecPath(path), chromedp.NoSandbox,
			chromedp.Flag("disable-dev-shm-usage", true), chromedp.WindowSize(1280, 900))
		alloc, _ := chromedp.NewExecAllocator(context.Background(), options...)
		ctx, _ := chromedp.NewContext(alloc)
		if err := chromedp.Do(ctx); err != nil {
			t.Fatal(err)
		}
		b.ctx = ctx
	}
	ctx, cancel := chromedp.NewContext(b.ctx, chromedp.WithNewBrowserContext())
	p := &Page{t: t, base: base}
	if err := chromedp.Listen(ctx, p.hear); err != nil {
		t.Fatal(err)
	}
	timed, stop := context.WithTimeout(ctx, limit)
	t.Cleanup(func() { stop(); cancel() })
	p.ctx = timed
	call(p, network.Enable, network.EnableParams{})
	call(p, log.Enable, cdp.Empty{})
	call(p, runtime.Enable, cdp.Empty{})
	return p
}

func (p *Page) hear(event any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		p.asked = append(p.asked, e.Request.URL)
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError || strings.Contains(e.Entry.Text, "Content Security Policy") {
			p.wrong = append(p.wrong, e.Entry.Text+" "+e.Entry.URL)
		}
	case *runtime.EventExceptionThrown:
		p.wrong = append(p.wrong, fmt.Sprintf("%s %+v", e.ExceptionDetails.Text, e.ExceptionDetails.Exception))
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError || e.Type == runtime.ConsoleAPICalledTypeWarning {
			for _, a := range e.Args {
				p.wrong = append(p.wrong, "console: "+string(a.Value))
			}
		}
	}
}

// Complaints are what went wrong since it was last asked.
func (p *Page) Complaints() (list []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	list, p.wrong = p.wrong, nil
	return list
}

// Asked are all addresses that the page asked.
func (p *Page) Asked() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.asked)
}

// Run does something in the page.
func (p *Page) Run(actions ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	if err := chromedp.Do(p.ctx, actions...); err != nil {
		p.t.Fatal(err)
	}
}

// Ask runs an action that answers.
func Ask[T any](p *Page, a chromedp.Action[T]) T {
	p.t.Helper()
	v, err := chromedp.Run(p.ctx, a)
	if err != nil {
		p.t.Fatal(err)
	}
	return v
}

// call sends the browser a command of its protocol.
func call[P, R any](p *Page, cmd cdp.Command[P, R], params P) {
	p.t.Helper()
	if _, err := chromedp.Call(p.ctx, cmd, params); err != nil {
		p.t.Fatal(err)
	}
}

// Open goes to a path of the server.
func (p *Page) Open(path string) {
	p.t.Helper()
	p.Run(chromedp.Navigate(p.base+path), chromedp.WaitReady(chromedp.CSS("main")))
}

// Text is what the page shows; of hidden things it has nothing. On its way to another address it shows nothing.
func (p *Page) Text() string {
	p.t.Helper()
	text, err := chromedp.Run(p.ctx, chromedp.Evaluate[string](`document.body ? document.body.innerText : ""`))
	if left(err) {
		return ""
	}
	if err != nil {
		p.t.Fatal(err)
	}
	return text
}

// left reports whether an action has no answer since its page was left for another meanwhile.
func left(err error) bool {
	const serverError = -32000 // of the browser, which has no other word for it
	var answer *cdproto.Error
	return errors.As(err, &answer) && answer.Code == serverError
}

// Until waits for a condition.
func (p *Page) Until(what string, is func() bool) {
	p.t.Helper()
	for deadline := time.Now().Add(15 * time.Second); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			asked := p.Asked()
			p.t.Fatalf("not seen: %s\n%s\n%q\nat %s; it asked last %q", what, p.Text(), p.Complaints(),
				time.Now().UTC().Format(time.TimeOnly), asked[max(0, len(asked)-20):])
		}
	}
}

// Shows waits until the page shows a text.
func (p *Page) Shows(text string) {
	p.t.Helper()
	p.Until(text, func() bool { return strings.Contains(p.Text(), text) })
}

// UntilSeen makes a change, and another one each second, until the page shows one without being asked for: its stream
// of news is open then, however late. The change answers with the text by which it is known, however often it is made:
// on a busy machine a page may show the one before.
func (p *Page) UntilSeen(change func(n int) (shown string)) {
	p.t.Helper()
	n := 0
	p.Until("a change", func() bool {
		n++
		shown := change(n)
		for deadline := time.Now().Add(time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
			if strings.Contains(p.Text(), shown) {
				return true
			}
		}
		return false
	})
}

// Theme is light or dark.
func (p *Page) Theme(name string) {
	p.t.Helper()
	call(p, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: name}}})
}

// OnPaper shows the page as it is printed.
func (p *Page) OnPaper() {
	p.t.Helper()
	call(p, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Media: "print"})
}

// WithoutScripts has the page run none from now on.
func (p *Page) WithoutScripts() {
	p.t.Helper()
	call(p, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
}

// Size is that of the window, in CSS pixels.
func (p *Page) Size(width, height int64) {
	p.t.Helper()
	p.Run(chromedp.EmulateViewport(width, height))
}

// Picture keeps a picture of the whole page as name.png.
func (p *Page) Picture(dir, name string) {
	p.t.Helper()
	png := Ask(p, chromedp.FullScreenshot(100))
	if err := os.WriteFile(filepath.Join(dir, strings.ReplaceAll(name, " ", "-")+".png"), png, 0o644); err != nil {
		p.t.Fatal(err)
	}
}

// Press strikes keys: text, or those of package kb.
func (p *Page) Press(keys ...string) {
	p.t.Helper()
	for _, k := range keys {
		p.Run(chromedp.KeyEvent(k))
	}
}

// mostTabs bounds the way by keyboard to a thing on a page.
const mostTabs = 250

// TabTo moves the focus by the keyboard, as far as it takes, to the element that an expression of JavaScript about e
// tells.
func (p *Page) TabTo(what string) {
	p.t.Helper()
	for range mostTabs {
		if Ask(p, chromedp.Evaluate[bool](`(e => !!e && (`+what+`))(document.activeElement)`)) {
			return
		}
		p.Press(kb.Tab)
	}
	p.t.Fatalf("the keyboard does not lead to %s:\n%s", what, p.Text())
}
