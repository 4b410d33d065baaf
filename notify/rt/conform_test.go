package rt_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/planetlab/monitor/notify/rt"
	"github.com/planetlab/monitor/testbed/fakert"
)

// tracker is a Request Tracker to test against: the simulated one, or Debian's.
type tracker struct {
	url          string
	robot, human string // tokens
	queue        string
	dir          string // where the real one keeps its files, and the mail that it sends
	// bounce lets a mail server write to a ticket that it could not bring somebody his mail.
	bounce func(t *testing.T, ticket int, to string)
	// hide moves a ticket to where the robot may see nothing.
	hide func(t *testing.T, ticket int)
}

func TestTheSimulatedTrackerConforms(t *testing.T) {
	fake := fakert.New(fakert.Options{Users: map[string]string{"robot-token": "monitor", "human-token": "alice"}, Queue: "General"})
	server := httptest.NewServer(fake)
	t.Cleanup(server.Close)
	conform(t, tracker{url: server.URL, robot: "robot-token", human: "human-token", queue: "General",
		bounce: func(_ *testing.T, ticket int, to string) { fake.Bounce(ticket, to, "550 no such user") },
		hide:   func(_ *testing.T, ticket int) { fake.Hide(ticket, true) }})
}

func TestARealTrackerConforms(t *testing.T) { conform(t, debianRT(t)) }

// put is a change that a human makes.
func (x tracker) put(t *testing.T, ticket int, body map[string]any) {
	t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, fmt.Sprintf("%s/REST/2.0/ticket/%d", x.url, ticket), bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "token "+x.human)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("PUT %v: %s", body, resp.Status)
	}
}

// wire is a network that fails on demand.
type wire struct {
	lose  func(*http.Request) bool // the request arrives, the answer is lost
	cut   func(*http.Request) bool // the request does not arrive
	calls []string
}

func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	w.calls = append(w.calls, r.Method+" "+r.URL.Path)
	if w.cut != nil && w.cut(r) {
		return nil, errors.New("cut")
	}
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err == nil && w.lose != nil && w.lose(r) {
		resp.Body.Close()
		return nil, errors.New("connection reset by peer")
	}
	return resp, err
}

func changes(r *http.Request) bool { return r.Method == http.MethodPost }

func (x tracker) client(t *testing.T, change func(*rt.Options)) *rt.Client {
	t.Helper()
	o := rt.Options{URL: x.url, Token: x.robot, Queue: x.queue}
	if change != nil {
		change(&o)
	}
	c, err := rt.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func opening(site, key string) rt.Opening {
	return rt.Opening{Reference: "monitor:" + site, Key: key, Subject: "nodes of\n" + site + " are down", Text: "Hello,\n\nplanetlab1 is down.\n", Cc: []string{"tech@" + site + ".example"}}
}

// spoken counts who wrote how often to a ticket's people.
func spoken(t *testing.T, c *rt.Client, id int, kind string) string {
	t.Helper()
	events, err := c.History(t.Context(), id, 0)
	if err != nil {
		t.Fatal(err)
	}
	by := map[string]int{}
	for _, e := range events {
		if e.Type == kind {
			by[e.By]++
		}
	}
	return fmt.Sprint(by)
}

// conform is what the client relies on. Each part has a site, and so a ticket, of its own.
func conform(t *testing.T, x tracker) {
	ctx := t.Context()
	c, human := x.client(t, nil), x.client(t, func(o *rt.Options) { o.Token = x.human })
	open := func(t *testing.T, site string) (rt.Ticket, rt.Place) {
		t.Helper()
		ticket, said, err := c.Open(ctx, opening(site, "k1"))
		if err != nil || !said {
			t.Fatalf("got %+v, %v, %v", ticket, said, err)
		}
		return ticket, rt.Place{Ticket: ticket.ID, Robot: ticket.Creator, After: ticket.Version}
	}

	t.Run("a ticket is made once, and found by its reference", func(t *testing.T) {
		first, _ := open(t, "a")
		if first.Status != "new" || first.Creator != "monitor" || first.Subject != "nodes of a are down [monitor:a:k1]" || !slices.Equal(first.Cc, []string{"tech@a.example"}) || first.Version == 0 {
			t.Errorf("got %+v", first)
		}
		again, said, err := c.Open(ctx, opening("a", "k1"))
		if err != nil || again.ID != first.ID || !said {
			t.Errorf("a repeated opening gave %+v, %v, %v", again, said, err)
		}
		other, said, err := c.Open(ctx, opening("a", "k2"))
		if err != nil || other.ID != first.ID || said {
			t.Errorf("another opening gave %+v, %v, %v", other, said, err)
		}
		if far, _ := open(t, "a2"); far.ID == first.ID {
			t.Error("a site whose name begins the same got the same ticket")
		}
		if err := c.SetStatus(ctx, first.ID, rt.Resolved); err != nil {
			t.Fatal(err)
		}
		if next, said, err := c.Open(ctx, opening("a", "k3")); err != nil || next.ID == first.ID || !said {
			t.Errorf("after the first was resolved: %+v, %v, %v", next, said, err)
		}
	})

	t.Run("an opening whose answer was lost is not made twice", func(t *testing.T) {
		lossy := x.client(t, func(o *rt.Options) { o.Transport = &wire{lose: changes} })
		if _, _, err := lossy.Open(ctx, opening("b", "k1")); rt.FailureOf(err) != rt.Ambiguous || rt.Unsent(err) {
			t.Fatalf("got %v", err)
		}
		ticket, said, err := c.Open(ctx, opening("b", "k1"))
		if err != nil || !said {
			t.Fatalf("got %+v, %v, %v", ticket, said, err)
		}
		network := &wire{}
		counting := x.client(t, func(o *rt.Options) { o.Transport = network })
		if _, _, err := counting.Open(ctx, opening("b", "k1")); err != nil || slices.ContainsFunc(network.calls, func(s string) bool { return strings.HasPrefix(s, "POST") }) {
			t.Errorf("calls %v, %v", network.calls, err)
		}
	})

	t.Run("a reply is sent once, though its answer was lost", func(t *testing.T) {
		_, place := open(t, "c")
		lossy := x.client(t, func(o *rt.Options) { o.Transport = &wire{lose: changes} })
		m := rt.Message{Subject: "still down", Text: "planetlab1 is still down.\n"}
		if _, _, err := lossy.Correspond(ctx, place, m); rt.FailureOf(err) != rt.Ambiguous {
			t.Fatalf("got %v", err)
		}
		_, id, err := c.Correspond(ctx, place, m)
		if err != nil || id <= place.After {
			t.Fatalf("got %d, %v", id, err)
		}
		if got := spoken(t, c, place.Ticket, "Correspond"); got != "map[monitor:1]" {
			t.Errorf("correspondence %s", got)
		}
		place.After = id
		if _, next, err := c.Correspond(ctx, place, m); err != nil || next <= id {
			t.Errorf("the next reply: %d, %v", next, err)
		}
		if got := spoken(t, c, place.Ticket, "Correspond"); got != "map[monitor:2]" {
			t.Errorf("correspondence %s", got)
		}
	})

	t.Run("whom somebody else adds at the same moment stays a watcher", func(t *testing.T) {
		_, place := open(t, "d")
		added := false
		meanwhile := &wire{cut: func(r *http.Request) bool {
			if r.Method == http.MethodPut && !added { // between the robot's look and its change
				added = true
				if _, _, err := human.Correspond(ctx, rt.Place{Ticket: place.Ticket, Robot: "nobody"}, rt.Message{Text: "we are on it", Cc: []string{"dean@d.example"}}); err != nil {
					t.Error(err)
				}
			}
			return false
		}}
		ticket, _, err := x.client(t, func(o *rt.Options) { o.Transport = meanwhile }).Correspond(ctx, place, rt.Message{Text: "down", Cc: []string{"pi@d.example"}})
		if err != nil || !slices.Equal(slices.Sorted(slices.Values(ticket.Cc)), []string{"dean@d.example", "pi@d.example", "tech@d.example"}) {
			t.Errorf("watchers %q, %v", ticket.Cc, err)
		}
		if got := spoken(t, c, place.Ticket, "Correspond"); got != "map[alice:1 monitor:1]" {
			t.Errorf("correspondence %s", got)
		}
	})

	t.Run("watchers are merged, not replaced", func(t *testing.T) {
		_, place := open(t, "e")
		ticket, _, err := c.Correspond(ctx, place, rt.Message{Text: "down", Cc: []string{"PI@e.example", "Tech@e.example", "not an address"}})
		if err != nil || !slices.Equal(slices.Sorted(slices.Values(ticket.Cc)), []string{"PI@e.example", "tech@e.example"}) {
			t.Errorf("watchers %q, %v", ticket.Cc, err)
		}
		if missing := ticket.Missing([]string{"pi@e.example", "not an address"}); !slices.Equal(missing, []string{"not an address"}) {
			t.Errorf("missing %q", missing)
		}
		place.After = ticket.Version + 1000 // as if the first reply was known
		ticket, _, err = c.Correspond(ctx, place, rt.Message{Text: "down", Cc: []string{"user@e.example"}, Without: []string{"pi@e.example"}})
		if err != nil || !slices.Equal(slices.Sorted(slices.Values(ticket.Cc)), []string{"tech@e.example", "user@e.example"}) {
			t.Errorf("without an exempt person the watchers are %q, %v", ticket.Cc, err)
		}
	})

	t.Run("only what a human writes is a reply", func(t *testing.T) {
		_, place := open(t, "f")
		if _, _, err := c.Correspond(ctx, place, rt.Message{Text: "down"}); err != nil {
			t.Fatal(err)
		}
		ticket, err := c.Ticket(ctx, place.Ticket)
		if err != nil || ticket.Status != "open" {
			t.Fatalf("the robot's own mail makes it %q, %v", ticket.Status, err)
		}
		if _, err := c.Comment(ctx, place, "an internal note"); err != nil {
			t.Fatal(err)
		}
		if replies, err := c.Replies(ctx, place); err != nil || len(replies) != 0 {
			t.Errorf("before anybody answered: %+v, %v", replies, err)
		}
		if _, err := human.Comment(ctx, rt.Place{Ticket: place.Ticket, Robot: "nobody"}, "a note among colleagues"); err != nil {
			t.Fatal(err)
		}
		if _, _, err := human.Correspond(ctx, rt.Place{Ticket: place.Ticket, Robot: "nobody"}, rt.Message{Text: "new disk on Friday"}); err != nil {
			t.Fatal(err)
		}
		replies, err := c.Replies(ctx, place)
		if err != nil || len(replies) != 1 || replies[0].By != "alice" || replies[0].At.IsZero() {
			t.Fatalf("got %+v, %v", replies, err)
		}
		place.After = replies[0].ID
		if replies, err := c.Replies(ctx, place); err != nil || len(replies) != 0 {
			t.Errorf("a reply was seen twice: %+v, %v", replies, err)
		}
	})

	t.Run("a watcher whose address is not ASCII costs nobody else his mail", func(t *testing.T) {
		const wide = "jörg@l.example"
		o := opening("l", "k1")
		o.Cc = append(o.Cc, wide)
		ticket, said, err := c.Open(ctx, o)
		if err != nil || !said || !slices.Equal(ticket.Cc, []string{"tech@l.example"}) {
			t.Fatalf("got %+v, %v, %v", ticket, said, err)
		}
		place := rt.Place{Ticket: ticket.ID, Robot: ticket.Creator, After: ticket.Version}
		ticket, _, err = c.Correspond(ctx, place, rt.Message{Text: "down", Cc: []string{wide, "pi@l.example"}})
		if err != nil || !slices.Equal(slices.Sorted(slices.Values(ticket.Cc)), []string{"pi@l.example", "tech@l.example"}) {
			t.Errorf("watchers %q, %v", ticket.Cc, err)
		}
		if missing := ticket.Missing([]string{wide}); !slices.Equal(missing, []string{wide}) {
			t.Errorf("missing %q", missing)
		}
	})

	t.Run("a ticket that people merged into theirs is theirs", func(t *testing.T) {
		mine, place := open(t, "m")
		other, otherPlace := open(t, "n")
		x.put(t, mine.ID, map[string]any{"MergeInto": other.ID})
		now, err := c.Ticket(ctx, mine.ID)
		if err != nil || now.Merged != other.ID || now.ID != mine.ID {
			t.Fatalf("got %+v, %v", now, err)
		}
		if _, _, err := c.Correspond(ctx, otherPlace, rt.Message{Subject: "[n] is down", Text: "n is down"}); err != nil {
			t.Fatal(err)
		}
		if _, _, err := c.Correspond(ctx, place, rt.Message{Subject: "[m] is down", Text: "m is down"}); err != nil {
			t.Fatal(err)
		}
		if got := spoken(t, c, mine.ID, "Correspond"); got != "map[monitor:2]" {
			t.Errorf("a reply about another site was taken for this site's: %s", got)
		}
		if _, _, err := c.Correspond(ctx, place, rt.Message{Subject: "[m] is down", Text: "m is down"}); err != nil {
			t.Fatal(err)
		}
		if got := spoken(t, c, mine.ID, "Correspond"); got != "map[monitor:2]" {
			t.Errorf("a try that is repeated wrote again: %s", got)
		}
		if err := c.SetStatus(ctx, mine.ID, rt.Resolved); rt.FailureOf(err) != rt.Refused {
			t.Errorf("it was resolved: %v", err)
		}
		if now, err := c.Ticket(ctx, other.ID); err != nil || rt.Closed(now.Status) {
			t.Errorf("theirs is %+v, %v", now, err)
		}
	})

	t.Run("what people have put away is not brought back", func(t *testing.T) {
		for _, status := range []string{rt.Rejected, rt.Deleted} {
			ticket, place := open(t, "o"+status)
			if err := human.SetStatus(ctx, ticket.ID, status); err != nil && rt.FailureOf(err) != rt.Missing {
				t.Fatal(err)
			}
			if _, _, err := c.Correspond(ctx, place, rt.Message{Text: "down"}); rt.FailureOf(err) != rt.Missing {
				t.Errorf("%s: %v", status, err)
			}
			if now, err := c.Ticket(ctx, ticket.ID); err == nil && now.Status != status {
				t.Errorf("%s: it is %s", status, now.Status)
			}
		}
	})

	t.Run("a ticket that may not be seen is denied, though its history reads as empty", func(t *testing.T) {
		ticket, place := open(t, "q")
		if _, _, err := human.Correspond(ctx, rt.Place{Ticket: ticket.ID, Robot: "nobody"}, rt.Message{Text: "new disk on Friday"}); err != nil {
			t.Fatal(err)
		}
		x.hide(t, ticket.ID)
		if events, err := c.History(ctx, ticket.ID, 0); err != nil || len(events) != 0 {
			t.Logf("this tracker says more than nothing: %+v, %v", events, err)
		}
		if _, err := c.Ticket(ctx, ticket.ID); rt.FailureOf(err) != rt.Denied {
			t.Errorf("the ticket itself: %v", err)
		}
		if _, _, err := c.Correspond(ctx, place, rt.Message{Text: "down"}); rt.FailureOf(err) != rt.Denied {
			t.Errorf("a reply: %v", err)
		}
	})

	t.Run("a mail that comes back is no answer, and says who is out of reach", func(t *testing.T) {
		_, place := open(t, "p")
		x.bounce(t, place.Ticket, "tech@p.example")
		letters, err := c.Letters(ctx, place)
		if err != nil || len(letters.Replies) != 0 || len(letters.Bounces) != 1 || letters.Last == 0 {
			t.Fatalf("got %+v, %v", letters, err)
		}
		if b := letters.Bounces[0]; b.To != "tech@p.example" || b.Why != "550 no such user" {
			t.Errorf("got %+v", b)
		}
		place.After = letters.Last
		if letters, err := c.Letters(ctx, place); err != nil || letters.Last != 0 || len(letters.Bounces) != 0 {
			t.Errorf("it is read twice: %+v, %v", letters, err)
		}
	})

	t.Run("a ticket of somebody else with our mark is not ours", func(t *testing.T) {
		theirs, said, err := human.Open(ctx, opening("k", "k1"))
		if err != nil || !said || theirs.Creator != "alice" {
			t.Fatalf("got %+v, %v, %v", theirs, said, err)
		}
		mine, said, err := c.Open(ctx, opening("k", "k1"))
		if err != nil || !said || mine.ID == theirs.ID || mine.Creator != "monitor" {
			t.Errorf("with a ticket of hers there, ours is %+v, %v, %v", mine, said, err)
		}
		if again, _, err := c.Open(ctx, opening("k", "k2")); err != nil || again.ID != mine.ID {
			t.Errorf("then %+v, %v", again, err)
		}
	})

	t.Run("a note is written once, though its answer was lost", func(t *testing.T) {
		_, place := open(t, "g")
		lossy := x.client(t, func(o *rt.Options) { o.Transport = &wire{lose: changes} })
		if _, err := lossy.Comment(ctx, place, "level 1"); rt.FailureOf(err) != rt.Ambiguous {
			t.Fatalf("got %v", err)
		}
		if _, err := c.Comment(ctx, place, "level 1"); err != nil {
			t.Fatal(err)
		}
		if got := spoken(t, c, place.Ticket, "Comment"); got != "map[monitor:1]" {
			t.Errorf("comments %s", got)
		}
	})

	t.Run("a refused change that answers 200 is an error", func(t *testing.T) {
		ticket, _ := open(t, "h")
		if err := c.SetStatus(ctx, ticket.ID, "nonsense"); rt.FailureOf(err) != rt.Refused || !strings.Contains(err.Error(), "still new") || !strings.Contains(err.Error(), "valid status") {
			t.Errorf("got %v", err)
		}
		if err := c.SetStatus(ctx, ticket.ID, rt.Resolved); err != nil {
			t.Error(err)
		}
		if err := c.SetStatus(ctx, ticket.ID, rt.Resolved); err != nil {
			t.Errorf("resolved twice: %v", err)
		}
	})

	t.Run("a long history is read to its end", func(t *testing.T) {
		_, place := open(t, "i")
		for n := range 4 {
			id, err := c.Comment(ctx, place, fmt.Sprint("note ", n))
			if err != nil {
				t.Fatal(err)
			}
			place.After = id
		}
		pages := &wire{cut: func(r *http.Request) bool { // pages of three lines, so that few notes are many
			r.URL.RawQuery = strings.Replace(r.URL.RawQuery, "per_page=100", "per_page=3", 1)
			return false
		}}
		if got := spoken(t, x.client(t, func(o *rt.Options) { o.Transport = pages }), place.Ticket, "Comment"); got != "map[monitor:4]" || len(pages.calls) < 3 {
			t.Errorf("comments %s after %q", got, pages.calls)
		}
	})

	t.Run("failures say what may be done about them", func(t *testing.T) {
		ticket, place := open(t, "j")
		cut := &wire{cut: changes}
		for want, do := range map[rt.Failure]func() error{
			rt.Auth: func() error {
				_, err := x.client(t, func(o *rt.Options) { o.Token = "1-2-wrong" }).Ticket(ctx, ticket.ID)
				return err
			},
			rt.Denied: func() error {
				_, _, err := x.client(t, func(o *rt.Options) { o.Queue = "no such queue" }).Open(ctx, opening("j2", "k1"))
				return err
			},
			rt.Missing: func() error { _, err := c.Ticket(ctx, 1_000_000); return err },
			rt.Away: func() error {
				_, err := x.client(t, func(o *rt.Options) { o.URL = "http://127.0.0.1:1" }).Ticket(ctx, 1)
				return err
			},
			rt.Ambiguous: func() error {
				_, _, err := x.client(t, func(o *rt.Options) { o.Transport = cut }).Correspond(ctx, place, rt.Message{Text: "x"})
				return err
			},
		} {
			err := do()
			if rt.FailureOf(err) != want || strings.Contains(err.Error(), "wrong") || strings.Contains(err.Error(), x.robot) {
				t.Errorf("want %s, got %v (%s)", want, err, rt.FailureOf(err))
			}
		}
		ended, cancel := context.WithCancel(ctx)
		cancel()
		if _, err := c.Ticket(ended, 1); rt.FailureOf(err) != rt.Away {
			t.Errorf("got %v", err)
		}
	})
}
