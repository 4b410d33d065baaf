package store

import (
	"bytes"
	"context"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/planetlab/monitor/plc"
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/testbed/pglocal"
)

func openPages(t *testing.T) *Store {
	t.Helper()
	s, err := Open(t.Context(), Options{URL: pglocal.ForTest(t), Key: bytes.Repeat([]byte{1}, 32)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestWhereASiteIsComesFromPLCAndGoesWithIt(t *testing.T) {
	s := openPages(t)
	snap := plc.Snapshot{Taken: time.Now(), Sites: []plc.Site{
		{SiteID: 1, LoginBase: "here", Enabled: true, Place: &plc.Place{Latitude: -1.5, Longitude: 36}}, {SiteID: 2, LoginBase: "nowhere", Enabled: true}}}
	if _, err := s.SaveSnapshot(t.Context(), snap, true); err != nil {
		t.Fatal(err)
	}
	places, err := s.SitePlaces(t.Context())
	if err != nil || len(places) != 1 || places[0].Site != "here" || places[0].Latitude != -1.5 || places[0].Longitude != 36 {
		t.Errorf("%+v, %v", places, err)
	}
	snap.Taken, snap.Sites[0].Place = snap.Taken.Add(time.Second), nil
	if _, err := s.SaveSnapshot(t.Context(), snap, true); err != nil {
		t.Fatal(err)
	}
	if places, err := s.SitePlaces(t.Context()); err != nil || len(places) != 0 {
		t.Errorf("%+v, %v", places, err)
	}
}

func TestAvailabilityGoesBackByTheChangesThatWereWritten(t *testing.T) {
	s := openPages(t)
	now, day := time.Now().UTC(), 24*time.Hour
	snap := plc.Snapshot{Taken: now, Sites: []plc.Site{{SiteID: 1, LoginBase: "a", Enabled: true}}}
	for n, host := range []string{"n1", "n2", "n3"} {
		snap.Nodes = append(snap.Nodes, plc.Node{NodeID: n + 1, Hostname: host, SiteID: 1, BootState: "boot"})
	}
	if _, err := s.SaveSnapshot(t.Context(), snap, true); err != nil {
		t.Fatal(err)
	}
	change := func(host string, was, is policy.Status, ago time.Duration) {
		t.Helper()
		err := s.SaveChanges(t.Context(), []Change{{Kind: "node", Target: host, Was: policy.Record{Status: was}, Record: policy.Record{Status: is, Changed: now.Add(-ago)}}}, now.Add(-ago))
		if err != nil {
			t.Fatal(err)
		}
	}
	// SaveChanges writes what stood in the row before, so the order is that of time
	change("n1", "", policy.StatusGood, 9*day)
	change("n2", "", policy.StatusGood, 9*day)
	change("n3", "", policy.StatusDown, 9*day)
	change("n1", policy.StatusGood, policy.StatusDown, 3*day+time.Hour)
	change("n1", policy.StatusDown, policy.StatusGood, time.Hour)
	list, err := s.Availability(t.Context(), now, day, 6)
	var up, of []int
	for _, u := range list {
		up, of = append(up, u.Up), append(of, u.Of)
	}
	if want := []int{2, 2, 1, 1, 1, 2}; err != nil || !slices.Equal(up, want) || !slices.Equal(of, []int{3, 3, 3, 3, 3, 3}) {
		t.Errorf("%v of %v, %v", up, of, err)
	}
	if !list[5].Until.Equal(now) || !list[0].Until.Equal(now.Add(-5*day)) {
		t.Errorf("%v", list)
	}
}

func TestWatchTellsWhatChanged(t *testing.T) {
	s := openPages(t)
	ctx, cancel := context.WithCancel(t.Context())
	heard, ended := make(chan Happening, 100), make(chan struct{})
	n := NewsOf(s, slog.New(slog.DiscardHandler))
	n.Watch(func(h Happening) { heard <- h })
	go func() { n.Run(ctx); close(ended) }()
	hear := func(topic, name string) {
		t.Helper()
		deadline := time.After(30 * time.Second)
		for {
			select {
			case h := <-heard:
				if h.Topic == topic && (name == "" || slices.Contains(h.Names, name)) {
					return
				}
			case <-deadline:
				t.Fatalf("%s %s was not told", topic, name)
			}
		}
	}
	hear("all", "")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(s.Note(ctx, Action{Key: "k", Kind: KindFlag, Issue: "nodedown/a", Outcome: Done}))
	hear("ledger", "nodedown/a")
	must(s.SetControl(ctx, Control{Name: ControlStop, Value: "stopped", By: "me", Reason: "r"}))
	hear("control", "")
	sweep, err := s.StartSweep(ctx, "sweep/1")
	must(err)
	must(s.EndSweep(ctx, sweep))
	hear("sweep", "")
	// the connection is lost, and comes back
	_, err = s.pool.Exec(ctx, `select pg_terminate_backend(pid) from pg_stat_activity where query = $1 and datname = current_database()`, listenSQL)
	must(err)
	hear("deaf", "")
	hear("all", "")
	must(s.Note(ctx, Action{Key: "k2", Kind: KindFlag, Issue: "nodedown/b", Outcome: Done}))
	hear("ledger", "nodedown/b")
	late := make(chan Happening, 1) // whoever watches from now on cannot know what was before
	n.Watch(func(h Happening) { late <- h })
	if h := <-late; h.Topic != Everything {
		t.Errorf("who comes late is told %q first", h.Topic)
	}
	cancel()
	<-ended
}

func TestATokenOfASessionIsNotInTheTable(t *testing.T) {
	s := Sessions{openPages(t)}
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(s.CommitCtx(ctx, "s3cret-token", []byte("data"), time.Now().Add(time.Hour)))
	must(s.CommitCtx(ctx, "old", []byte("x"), time.Now().Add(-time.Hour)))
	if data, found, err := s.FindCtx(ctx, "s3cret-token"); err != nil || !found || string(data) != "data" {
		t.Errorf("%s %v %v", data, found, err)
	}
	if _, found, err := s.FindCtx(ctx, "old"); err != nil || found {
		t.Errorf("one that is over is found: %v", err)
	}
	var n int
	must(s.pool.QueryRow(ctx, `select count(*) from web_session where position('s3cret'::bytea in token) > 0`).Scan(&n))
	if n != 0 {
		t.Error("the token is in the table")
	}
	must(s.DeleteCtx(ctx, "s3cret-token"))
	if _, found, _ := s.FindCtx(ctx, "s3cret-token"); found {
		t.Error("it is there still")
	}
}
