package store

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/planetlab/monitor/testbed/pglocal"
)

// newsroom is a store whose ledger is listened to.
func newsroom(t *testing.T) (*Store, *News, string) {
	t.Helper()
	url := pglocal.ForTest(t)
	s, err := Open(t.Context(), Options{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	n := NewsOf(s, slog.New(slog.DiscardHandler))
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { n.Run(ctx); close(ended) }()
	t.Cleanup(func() { stop(); <-ended })
	return s, n, url
}

// awaitListener waits until lines arrive: before that the listener may not listen yet.
func awaitListener(t *testing.T, s *Store, n *News) {
	t.Helper()
	for i := range 500 {
		lines, cancel := n.Subscribe()
		if err := s.Note(t.Context(), Action{Key: fmt.Sprint("first/", i), Kind: KindGuard, Outcome: Done}); err != nil {
			t.Fatal(err)
		}
		select {
		case _, open := <-lines:
			cancel()
			if open {
				return
			}
		case <-time.After(100 * time.Millisecond):
			cancel()
		}
	}
	t.Fatal("nothing is told")
}

func next(t *testing.T, lines <-chan Line) Line {
	t.Helper()
	select {
	case l, open := <-lines:
		if !open {
			t.Fatal("the subscriber was dropped")
		}
		return l
	case <-time.After(30 * time.Second):
		t.Fatal("nothing is told")
	}
	return Line{}
}

func TestEverySubscriberIsToldOfALineThatBeginsAndEnds(t *testing.T) {
	s, n, _ := newsroom(t)
	awaitListener(t, s, n)
	ctx := t.Context()
	var all []<-chan Line
	for range 3 {
		lines, cancel := n.Subscribe()
		defer cancel()
		all = append(all, lines)
	}
	if _, _, err := s.Intent(ctx, Action{Key: "k", Kind: KindReboot, Site: "princeton"}); err != nil {
		t.Fatal(err)
	}
	var seq int64
	for _, lines := range all {
		l := next(t, lines)
		if l.Key != "k" || l.Outcome != "" || l.Site != "princeton" || l.ID == 0 {
			t.Errorf("told was %+v", l)
		}
		seq = l.ID
	}
	if err := s.Outcome(ctx, "k", Done, "off and on"); err != nil {
		t.Fatal(err)
	}
	for _, lines := range all {
		if l := next(t, lines); l.ID != seq || l.Outcome != Done {
			t.Errorf("told was %+v", l)
		}
	}
}

func TestASlowSubscriberIsDroppedAndOthersGoOn(t *testing.T) {
	s, n, _ := newsroom(t)
	awaitListener(t, s, n)
	slow, cancel := n.Subscribe()
	defer cancel()
	quick, cancelQuick := n.Subscribe()
	defer cancelQuick()
	told := make(chan int)
	go func() {
		count := 0
		for range quick {
			if count++; count == mostUnread+10 {
				break
			}
		}
		told <- count
	}()
	for i := range mostUnread + 10 {
		if err := s.Note(t.Context(), Action{Key: fmt.Sprint(i), Kind: KindGuard, Outcome: Done}); err != nil {
			t.Fatal(err)
		}
	}
	if count := <-told; count != mostUnread+10 {
		t.Errorf("the quick one was told %d lines", count)
	}
	count := 0
	for range slow { // it ends, since the channel is closed
		count++
	}
	if count > mostUnread {
		t.Errorf("the slow one was told %d lines", count)
	}
}

func TestALostConnectionDropsSubscribersAndIsMadeAgain(t *testing.T) {
	s, n, _ := newsroom(t)
	awaitListener(t, s, n)
	lines, cancel := n.Subscribe()
	defer cancel()
	if _, err := s.pool.Exec(t.Context(), `select pg_terminate_backend(pid) from pg_stat_activity where query = $1
		and datname = current_database()`, listenSQL); err != nil {
		t.Fatal(err)
	}
	late := time.After(30 * time.Second)
	for dropped := false; !dropped; { // a line of before may still be on its way
		select {
		case _, open := <-lines:
			dropped = !open
		case <-late:
			t.Fatal("the subscriber was not dropped, and would never know what it missed")
		}
	}
	awaitListener(t, s, n)
}

func TestWhoWasAwayReadsWhatHeMissed(t *testing.T) {
	s, _, _ := newsroom(t)
	ctx := t.Context()
	for _, key := range []string{"a", "b"} {
		if _, _, err := s.Intent(ctx, Action{Key: key, Kind: KindReboot}); err != nil {
			t.Fatal(err)
		}
	}
	seen, err := s.LastLine(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Outcome(ctx, "a", Done, ""); err != nil { // an older line ends meanwhile
		t.Fatal(err)
	}
	if err := s.Note(ctx, Action{Key: "c", Kind: KindGuard, Outcome: Done}); err != nil {
		t.Fatal(err)
	}
	lines, more, err := s.LinesSince(ctx, seen, 10)
	if err != nil || more {
		t.Fatal(lines, more, err)
	}
	told := map[string]string{}
	for _, l := range lines {
		told[l.Key] = l.Outcome
	}
	if told["a"] != Done || told["c"] != Done {
		t.Errorf("told is %v", told)
	}
	if lines, more, err := s.LinesSince(ctx, 0, 2); err != nil || !more || len(lines) != 2 || lines[0].Key != "a" {
		t.Errorf("from the beginning: %+v, %t, %v", lines, more, err)
	}
	t.Run("old lines are not told again", func(t *testing.T) {
		if _, err := s.pool.Exec(ctx, `update action set at = at - interval '1 hour', finished = finished - interval '1 hour'`); err != nil {
			t.Fatal(err)
		}
		if err := s.Note(ctx, Action{Key: "d", Kind: KindGuard, Outcome: Done}); err != nil {
			t.Fatal(err)
		}
		last, err := s.LastLine(ctx)
		if err != nil {
			t.Fatal(err)
		}
		lines, _, err := s.LinesSince(ctx, last, 10)
		if err != nil || len(lines) != 1 || lines[0].Key != "d" {
			t.Errorf("told are %+v, %v", lines, err)
		}
	})
}
