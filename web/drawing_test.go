package web

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/planetlab/monitor/access"
	"github.com/planetlab/monitor/store"
)

// counted is a page that says how often it was made, and takes a while for it.
func counted(made *atomic.Int64) page {
	return func(r *request) (view, error) {
		if r.URL.Path == "/broken" {
			return view{}, notFound("not for %s", r.who.Name)
		}
		made.Add(1)
		time.Sleep(50 * time.Millisecond)
		return view{Template: "sequences", Title: "counted", Topics: []string{"issue"}}, nil
	}
}

// hears waits until the pages hear of changes: the first that they are told is that anything may have changed.
func hears(s *Server) {
	for s.live.toldNow()[store.Everything] == 0 {
		time.Sleep(10 * time.Millisecond)
	}
}

func TestOneDrawingIsForAllWithTheSameRights(t *testing.T) {
	s := newFixture(t).pages
	hears(s)
	var made atomic.Int64
	p := s.shared(counted(&made))
	ask := func(path string, who access.Who) error {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
		_, err := p(&request{Request: r, now: time.Now(), who: who})
		return err
	}
	operator := access.Who{Name: "a", Account: "a", Role: access.Operator, Sites: []string{access.AllSites}}
	var wait sync.WaitGroup
	for range 100 {
		wait.Go(func() { _ = ask("/x", operator) })
	}
	wait.Wait()
	other := operator
	other.Name, other.Account = "b", "b"
	_ = ask("/x", other)
	if n := made.Load(); n != 1 {
		t.Errorf("101 visitors with the same rights cost %d drawings", n)
	}
	siteman, stranger := other, other
	siteman.Role, siteman.Sites, stranger.Account = access.Site, []string{"huji"}, public
	other.Sites = []string{"huji"}
	for _, who := range []access.Who{siteman, stranger, other} {
		_ = ask("/x", who)
	}
	_ = ask("/x?select=a", operator)
	if n := made.Load(); n != 5 {
		t.Errorf("3 others and another address cost %d drawings, and not 4", n-1)
	}
	for _, name := range []string{"a", "b"} {
		operator.Name = name
		if err := ask("/broken", operator); err == nil || !strings.HasSuffix(err.Error(), "for "+name) {
			t.Errorf("%s is told %v", name, err)
		}
	}
}

func TestADrawingEndsWithWhatItShows(t *testing.T) {
	f := newFixture(t)
	hears(f.pages)
	var made atomic.Int64
	p := f.pages.shared(counted(&made))
	ask := func() {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/x", nil)
		_, err := p(&request{Request: r, now: time.Now(), who: access.Who{Account: "a", Role: access.Admin, Sites: []string{access.AllSites}}})
		f.must(t, err)
	}
	ask()
	page, leave := f.pages.live.join()
	defer leave()
	change := func(c store.Happening) {
		f.pages.live.tell(c)
		select {
		case <-page:
		case <-time.After(30 * time.Second):
			t.Fatal("the page hears of no change")
		}
	}
	change(store.Happening{Topic: "ledger"})
	ask()
	if n := made.Load(); n != 1 {
		t.Errorf("a change of something else costs a drawing: %d", n)
	}
	change(store.Happening{Topic: "issue"})
	ask()
	if n := made.Load(); n != 2 {
		t.Errorf("after a change: %d drawings", n)
	}
	f.pages.drawings.anew()
	ask()
	if n := made.Load(); n != 3 {
		t.Errorf("after an order: %d drawings", n)
	}
}

// TestADrawingDoesNotEndWithItsVisitor: the one who leaves was drawing for others.
func TestADrawingDoesNotEndWithItsVisitor(t *testing.T) {
	s := newFixture(t).pages
	ctx, leave := context.WithCancel(t.Context())
	p := s.shared(func(r *request) (view, error) {
		leave()
		return view{Template: "sequences", Title: "x"}, r.Context().Err()
	})
	if _, err := p(&request{Request: httptest.NewRequestWithContext(ctx, http.MethodGet, "/x", nil), now: time.Now()}); err != nil {
		t.Error(err)
	}
}
