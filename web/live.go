package web

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/planetlab/monitor/store"
)

// hub tells all open pages what changes.
type hub struct {
	before func(context.Context) // called before pages are told, so that what they then ask for is there

	mu     sync.Mutex
	counts map[string]uint64 // of changes, by topic
	told   map[string]uint64 // of those that pages were told
	hears  bool
	pages  map[chan store.Happening]bool
	queue  []store.Happening // not told to pages yet
	wake   chan struct{}
}

func newHub() *hub {
	return &hub{counts: map[string]uint64{}, told: map[string]uint64{}, pages: map[chan store.Happening]bool{}, wake: make(chan struct{}, 1)}
}

// changes counts what has changed in some topics, so that reads know whether they are old.
func (h *hub) changes(topics []string) (n uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, t := range topics {
		n += h.counts[t]
	}
	return n + h.counts[store.Everything]
}

// toldNow is what pages were told so far, by topic.
func (h *hub) toldNow() map[string]uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return maps.Clone(h.told)
}

// listens reports whether changes are told at all.
func (h *hub) listens() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.hears
}

func (h *hub) tell(c store.Happening) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.hears = c.Topic != store.Deaf
	h.counts[c.Topic]++
	if h.hears {
		h.queue = append(h.queue, c)
	}
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

// run tells pages what changed, until the context ends: changes that come together at once, and after the reads that
// they make old were read anew.
func (h *hub) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-h.wake:
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(settleFor):
		}
		h.mu.Lock()
		queue := h.queue
		h.queue = nil // what comes from now on is told when it was read, too
		h.mu.Unlock()
		h.before(ctx)
		h.mu.Lock()
		for _, c := range queue {
			h.told[c.Topic]++
			for page := range h.pages {
				select {
				case page <- c:
				default: // it has enough to fetch itself for already
				}
			}
		}
		h.mu.Unlock()
	}
}

func (h *hub) join() (page chan store.Happening, leave func()) {
	page = make(chan store.Happening, 64)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.pages[page] = true
	return page, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.pages, page)
	}
}

// How a stream of changes is paced.
const (
	gatherFor  = 50 * time.Millisecond // changes that come together are told once
	aliveEvery = 20 * time.Second      // a proxy may cut what is silent
	writeIn    = 10 * time.Second
	streamFor  = 30 * time.Minute // then the page connects again, and is asked again who it is
)

// liveURL is the stream of a page that shows what pages had been told until then.
func liveURL(topics, names []string, told map[string]uint64) string {
	q := url.Values{"topic": topics, "name": names, "since": {toldIn(topics, told)}}
	return "/live?" + q.Encode()
}

// toldIn counts what was told in some topics.
func toldIn(topics []string, told map[string]uint64) string {
	n := told[store.Everything]
	for _, t := range topics {
		n += told[t]
	}
	return strconv.FormatUint(n, 10)
}

// serveLive streams the event "changed" whenever something changes that a page is about (HTML, Server-sent events), and
// at once where something did since the page was drawn, or since the stream broke.
func (s *Server) serveLive(w http.ResponseWriter, r *http.Request) {
	if !viewerOf(r.Context()).Known() {
		http.Error(w, "you are not signed in", http.StatusUnauthorized)
		return
	}
	q := r.URL.Query()
	topics, names := q["topic"], q["name"]
	concerns := func(c store.Happening) bool {
		if !slices.Contains(topics, c.Topic) {
			return c.Topic == store.Everything
		}
		return len(names) == 0 || len(c.Names) == 0 || slices.ContainsFunc(c.Names, func(n string) bool {
			return slices.Contains(names, n)
		})
	}
	page, leave := s.live.join()
	defer leave()
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Accel-Buffering", "no")
	out := http.NewResponseController(w)
	_ = out.SetReadDeadline(time.Time{}) // that of the request would end the stream
	send := func(format string, args ...any) bool {
		_ = out.SetWriteDeadline(time.Now().Add(writeIn))
		_, err := fmt.Fprintf(w, format, args...)
		return err == nil && out.Flush() == nil
	}
	if !send(": connected\n\n") {
		return
	}
	if since := q.Get("since"); since != "" && since != toldIn(topics, s.live.toldNow()) && !send("event: changed\ndata: %s\n\n", store.Everything) {
		return
	}
	alive, end := time.NewTicker(aliveEvery), time.After(streamFor)
	defer alive.Stop()
	var gathered []store.Happening
	var due <-chan time.Time
	for {
		select {
		case <-r.Context().Done():
			return
		case <-end:
			return
		case <-alive.C:
			if !send(": alive\n\n") {
				return
			}
		case c := <-page:
			if !concerns(c) {
				continue
			}
			if gathered = append(gathered, c); due == nil {
				due = time.After(gatherFor)
			}
		case <-due:
			topic := gathered[0].Topic
			gathered, due = nil, nil
			if !send("event: changed\ndata: %s\n\n", topic) {
				return
			}
		}
	}
}

// open is how many pages are open.
func (h *hub) open() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.pages)
}
