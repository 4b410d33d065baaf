package chrome

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// What is asked of a page that goes to another address meanwhile is no failure of the test: it shows nothing then.
func TestAPageOnItsWayShowsNothing(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`<!DOCTYPE html><main>here</main>`))
	}))
	defer s.Close()
	var b Browser
	p := b.Page(t, s.URL, time.Minute)
	p.Open("/")
	asked := make(chan error)
	go func() {
		_, err := chromedp.Run(p.ctx, chromedp.Evaluate[string](`new Promise(() => {})`, chromedp.EvalAwaitPromise))
		asked <- err
	}()
	p.Run(chromedp.Sleep(200 * time.Millisecond))
	p.Open("/other")
	if err := <-asked; !left(err) {
		t.Errorf("it answers %v", err)
	}
	p.Shows("here")
}
