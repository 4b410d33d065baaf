package api

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/planetlab/monitor/access"
	"github.com/planetlab/monitor/store"
)

func now() time.Time { return time.Now() }

func tomorrow() string { return now().Add(24 * time.Hour).UTC().Format(time.RFC3339) }

// open begins a stream, which ends with ctx.
func (s *served) open(ctx context.Context, token, path string, headers ...string) *http.Response {
	s.t.Helper()
	r, err := http.NewRequestWithContext(ctx, "GET", s.url+Prefix+path, nil)
	s.must(err)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	answer, err := s.http.Do(r)
	s.must(err)
	return answer
}

// head is the status of a stream that is closed at once.
func (s *served) head(token, path string) int {
	s.t.Helper()
	ctx, cancel := context.WithCancel(s.t.Context())
	defer cancel()
	answer := s.open(ctx, token, path)
	defer answer.Body.Close()
	return answer.StatusCode
}

// heard are the events of a stream as they come: id and data in one line.
func heard(answer *http.Response) <-chan string {
	c := make(chan string, 1000)
	go func() {
		defer close(c)
		defer answer.Body.Close()
		id := ""
		for lines := bufio.NewScanner(answer.Body); lines.Scan(); {
			switch name, value, _ := strings.Cut(lines.Text(), ": "); name {
			case "id":
				id = value
			case "event":
				if value != "ledger" {
					c <- value
				}
			case "data":
				c <- id + " " + value
			}
		}
	}()
	return c
}

func await(t *testing.T, events <-chan string, part string) string {
	t.Helper()
	for limit := time.After(30 * time.Second); ; {
		select {
		case e, open := <-events:
			if !open {
				t.Fatalf("the stream ended before %q", part)
			}
			if strings.Contains(e, part) {
				return e
			}
		case <-limit:
			t.Fatalf("%q was not told", part)
		}
	}
}

// withNews serves an API with news, and waits until they are listened to.
func withNews(t *testing.T) *served {
	t.Helper()
	var news *store.News
	s := serveAPI(t, func(o *Options) {
		news = store.NewsOf(o.Store, slog.New(slog.DiscardHandler))
		o.News = news
	})
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { news.Run(ctx); close(ended) }()
	t.Cleanup(func() { stop(); <-ended })
	for i := range 300 {
		lines, cancel := news.Subscribe()
		s.note(fmt.Sprint("warm ", i), "")
		select {
		case _, open := <-lines:
			if cancel(); open {
				return s
			}
		case <-time.After(100 * time.Millisecond):
			cancel()
		}
	}
	t.Fatal("nobody listens")
	return nil
}

func (s *served) note(key, site string) {
	s.t.Helper()
	s.must(s.db.Note(s.t.Context(), store.Action{Key: key, Kind: store.KindGuard, Site: site, Outcome: store.Done}))
}

func TestEventsAreHeardAtOnceAndWhatWasMissedIsTold(t *testing.T) {
	s := withNews(t)
	ops, tech := s.token("ops", access.Operator, access.AllSites), s.token("tech", access.Site, mine)
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	all, own := heard(s.open(ctx, ops, "/events")), heard(s.open(ctx, tech, "/events"))

	began := time.Now()
	s.note("of the foreign one", foreign)
	s.note("of the fleet", "")
	s.note("of mine", mine)
	await(t, all, "of the foreign one")
	await(t, all, "of the fleet")
	last := await(t, all, "of mine")
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %s", took)
	}
	if e := <-own; !strings.Contains(e, "of mine") {
		t.Errorf("a tech of %s hears %s", mine, e)
	}

	leave()
	s.note("while nobody listens", mine)
	id, _, _ := strings.Cut(last, " ")
	again, stop := context.WithCancel(t.Context())
	defer stop()
	await(t, heard(s.open(again, ops, "/events", "Last-Event-ID", id)), "while nobody listens")
	await(t, heard(s.open(again, tech, "/events", "Last-Event-ID", id)), "while nobody listens")
	if status := s.open(again, ops, "/events", "Last-Event-ID", "x").StatusCode; status != 422 {
		t.Errorf("an id that is no number: %d", status)
	}
}

func TestAStreamOutlivesTheTimeOutsOfRequests(t *testing.T) {
	t.Parallel()
	s := withNews(t)
	ops := s.token("ops", access.Operator, access.AllSites)
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	events := heard(s.open(ctx, ops, "/events"))
	time.Sleep(16 * time.Second) // longer than both of this server
	s.note("long after", "")
	await(t, events, "long after")
}

func TestAnAccountHasOnlySoManyStreamsOpen(t *testing.T) {
	s := withNews(t)
	ops := s.token("ops", access.Operator, access.AllSites)
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	for i := range mostStreams {
		answer := s.open(ctx, ops, "/events")
		defer answer.Body.Close()
		if answer.StatusCode != 200 {
			t.Fatalf("stream %d: %d", i, answer.StatusCode)
		}
	}
	if status := s.head(ops, "/events"); status != http.StatusTooManyRequests {
		t.Errorf("one too many: %d", status)
	}
	leave()
	for end := time.Now().Add(30 * time.Second); s.head(ops, "/events") != 200; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("streams that ended are counted for ever")
		}
	}
}
