package store

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/planetlab/monitor/policy"
)

func TestASweepIsALease(t *testing.T) {
	s, ctx := fleetOfSize(t, 10), context.Background()
	last := func(believed bool, why string) {
		t.Helper()
		at, got, err := s.LastBelieved(ctx)
		if err != nil || at.IsZero() == believed || !strings.Contains(got, why) || (why == "") != (got == "") {
			t.Errorf("believed at %s, %q, %v; want %v, %q", at, got, err, believed, why)
		}
	}
	end := func(run string, w Sweep) {
		t.Helper()
		begun, err := s.StartSweep(ctx, run)
		if err != nil {
			t.Fatal(err)
		}
		w.ID = begun.ID
		if err := s.EndSweep(ctx, w); err != nil {
			t.Fatal(err)
		}
	}
	last(false, "")
	end("a", Sweep{Reason: "PLC refused our login"})
	last(false, "PLC refused our login")
	end("b", Sweep{Believed: true, Counts: map[string]int{"nodes": 10}})
	last(true, "")
	if v, err := s.LastVouched(ctx); err != nil || !v.IsZero() {
		t.Errorf("vouched for at %s, %v", v, err)
	}
	end("c", Sweep{Reason: "300 nodes became bad", Doubts: map[string]string{"pcudown": "no route"}})
	last(true, "300 nodes became bad")
	if w, err := s.LastSweep(ctx); err != nil || w.Run != "c" || w.Doubts["pcudown"] != "no route" {
		t.Errorf("the last one is %+v, %v", w, err)
	}
	end("c", Sweep{Believed: true}) // a late second answer
	last(true, "300 nodes became bad")

	d, err := s.StartSweep(ctx, "d")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.StartSweep(ctx, "e"); !errors.Is(err, ErrSweepUnderWay) || !strings.Contains(err.Error(), ": d") {
		t.Errorf("a second one at once: %v", err)
	}
	if again, err := s.StartSweep(ctx, "d"); err != nil || again.ID != d.ID {
		t.Errorf("the same once more is %+v, %v", again, err)
	}
	if _, err := s.pool.Exec(ctx, `update sweep set beat = now() - interval '4 minutes' where id = $1`,
		d.ID); err != nil {
		t.Fatal(err)
	}
	last(true, "does not come to its end")
	if _, err := s.StartSweep(ctx, "e"); err != nil {
		t.Errorf("after one that was lost: %v", err)
	}
	if err := s.BeatSweep(ctx, d.ID); !errors.Is(err, ErrSweepOver) {
		t.Errorf("the lost one lives on: %v", err)
	}
	last(true, "it did not come to its end")
}

func TestManySweepsStartOne(t *testing.T) {
	s, ctx := fleetOfSize(t, 10), context.Background()
	var mu sync.Mutex
	var wg sync.WaitGroup
	started := 0
	for _, run := range strings.Split("abcdefgh", "") {
		wg.Go(func() {
			_, err := s.StartSweep(ctx, run)
			if err != nil && !errors.Is(err, ErrSweepUnderWay) {
				t.Errorf("%s: %v", run, err)
			}
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				started++
			}
		})
	}
	wg.Wait()
	if started != 1 {
		t.Errorf("%d started", started)
	}
}

func TestWritersThatCrossEachOtherDoNotDeadlock(t *testing.T) {
	s, ctx := fleetOfSize(t, 200), context.Background()
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for n := range 10 {
				at := time.Now()
				list := looks(200, at, time.Duration(1+i+n)*time.Hour)
				var changes []Change
				for k := range list {
					l := list[(k*7+i*31)%200]
					changes = append(changes, Change{Kind: "node", Target: l.Host,
						Record: policy.Record{Status: policy.StatusOffline, Changed: at}})
				}
				if err := s.SaveNodeLooks(ctx, list); err != nil {
					t.Error(err)
				}
				if err := s.SaveChanges(ctx, changes, at); err != nil {
					t.Error(err)
				}
				if err := s.SaveSeen(ctx, Seen{Kind: "node", After: int64(i * 20), Upto: int64(i*20 + 10 + n),
					At: at}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}
