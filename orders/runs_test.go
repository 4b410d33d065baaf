package orders

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/planetlab/monitor/access"
	"github.com/planetlab/monitor/bootman"
	"github.com/planetlab/monitor/plc"
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/remote"
	"github.com/planetlab/monitor/store"
)

// hanging are runs on nodes that let nobody in before the run ends.
func hanging(t *testing.T, d Desk) (*Runs, Job, access.Who) {
	t.Helper()
	who := alice()
	who.Role = access.Admin
	if err := d.Store.SayConfigured(t.Context(), policy.ModeAct, "the test's worker"); err != nil {
		t.Fatal(err)
	}
	r := NewRuns(func(ctx context.Context, _, _ string) bootman.Target { <-ctx.Done(); return bootman.Target{Host: host} }, nil,
		slog.New(slog.DiscardHandler))
	t.Cleanup(r.Close)
	opts := remote.Options{Parallel: 1, PerSite: 1, Limit: time.Minute, Keep: 100}
	return r, Job{Options: opts, Nodes: []remote.Node{{Host: host, Site: "princeton"}, {Host: "planetlab1.epfl.example", Site: "epfl"}},
		Script: "true"}, who
}

// ended waits for the end of a run, and is the run and the words for each node.
func ended(t *testing.T, d Desk, id string) (store.Run, []store.RunNode) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		r, err := d.Store.Run(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if !r.Ended.IsZero() {
			nodes, err := d.Store.RunNodes(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			return r, nodes
		}
		if time.Now().After(deadline) {
			t.Fatalf("run %s never ends: %+v", id, r)
		}
	}
}

func TestARunIsStartedOnceUnderItsKey(t *testing.T) {
	d := desk(t)
	runs, job, who := hanging(t, d)
	order := Order{Who: who, Reason: "x", Key: "one"}
	var mu sync.Mutex
	ids, news := map[string]bool{}, 0
	var all sync.WaitGroup
	for range mostRuns {
		all.Go(func() {
			r, id, err := runs.Start(t.Context(), d, order, job)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Error(err)
			}
			if ids[id] = true; !r.Before {
				news++
			}
		})
	}
	all.Wait()
	list, err := d.Store.Runs(t.Context(), 10)
	if err != nil || len(ids) != 1 || len(list) != 1 || news != 1 || !ids[list[0].ID] {
		t.Fatalf("%v, %d new, %+v, %v", ids, news, list, err)
	}
	job.Script = "false"
	if _, _, err := runs.Start(t.Context(), d, order, job); KindOf(err) != Reused {
		t.Errorf("another script under the same key: %v", err)
	}
	job.Script, job.Nodes = "true", []remote.Node{job.Nodes[0], {Host: "planetlab2.epfl.example", Site: "epfl"}}
	if _, _, err := runs.Start(t.Context(), d, order, job); KindOf(err) != Reused {
		t.Errorf("other nodes under the same key: %v", err)
	}
}

func TestARunIsCalledOffFromAnywhere(t *testing.T) {
	d := desk(t)
	runs, job, who := hanging(t, d)
	start, id, err := runs.Start(t.Context(), d, Order{Who: who, Reason: "x"}, job)
	if err != nil {
		t.Fatal(err)
	}
	elsewhere := Desk{Store: d.Store}
	operator := who
	operator.Role = access.Operator
	for name, c := range map[string]struct {
		order Order
		id    string
		want  Kind
	}{
		"by an operator":        {Order{Who: operator, Reason: "x"}, id, Forbidden},
		"without a reason":      {Order{Who: who}, id, Invalid},
		"one that is not there": {Order{Who: who, Reason: "x"}, "nowhere", NotFound},
		"only to see":           {Order{Who: who, Reason: "x", DryRun: true}, id, ""},
	} {
		if _, err := elsewhere.CancelRun(t.Context(), c.order, c.id); KindOf(err) != c.want {
			t.Errorf("%s: %v", name, err)
		}
	}
	if r, err := d.Store.Run(t.Context(), id); err != nil || r.CalledOff != "" || !r.Ended.IsZero() {
		t.Fatalf("%+v, %v", r, err)
	}
	if _, err := elsewhere.CancelRun(t.Context(), Order{Who: who, Reason: "the wrong script"}, id); err != nil {
		t.Fatal(err)
	}
	run, nodes := ended(t, d, id)
	by := "by " + Order{Who: who}.by() + ": the wrong script"
	if run.CalledOff != by {
		t.Errorf("called off %q", run.CalledOff)
	}
	for _, n := range nodes {
		if n.State != string(remote.Skipped) || n.Reason != "called off ("+by+") before it began" {
			t.Errorf("%+v", n)
		}
	}
	runs.Close() // and so the ledger is written
	if line, err := d.Store.Action(t.Context(), start.Key); err != nil || line.Detail != "called off: "+by+": done on 0 of 2 nodes" {
		t.Errorf("the ledger says %+v, %v", line, err)
	}
	if _, err := elsewhere.CancelRun(t.Context(), Order{Who: who, Reason: "x"}, id); KindOf(err) != Refused {
		t.Errorf("one that has ended: %v", err)
	}
}

// What is ordered while a run is under way holds for each node that has not begun.
func TestWhatIsOrderedDuringARunHolds(t *testing.T) {
	d := desk(t)
	_, job, who := hanging(t, d)
	entered := []string{}
	job.Enter = func(ctx context.Context, name, _ string) bootman.Target {
		entered = append(entered, name)
		switch len(entered) {
		case 1:
			if err := d.Store.AddBlacklist(ctx, store.BlacklistEntry{Kind: "node", Target: "planetlab1.epfl.example", Starts: noon().Add(-time.Hour), Reason: "being moved"}); err != nil {
				t.Error(err)
			}
		case 2:
			if _, err := d.Stop(ctx, Order{Who: who, Reason: "power works"}); err != nil {
				t.Error(err)
			}
		}
		return bootman.Target{Host: name} // without an address, so that it is away
	}
	job.Nodes = []remote.Node{{Host: host, Site: "princeton"}, {Host: "planetlab1.epfl.example", Site: "princeton"},
		{Host: "planetlab2.princeton.example", Site: "princeton"}, {Host: "planetlab3.princeton.example", Site: "princeton"}}
	s := d.Store
	if _, err := s.SaveSnapshot(t.Context(), plc.Snapshot{
		Taken: noon(), Sites: []plc.Site{{SiteID: 1, LoginBase: "princeton", Enabled: true}},
		Nodes: []plc.Node{{NodeID: 10, Hostname: host, SiteID: 1}, {NodeID: 12, Hostname: "planetlab1.epfl.example", SiteID: 1},
			{NodeID: 13, Hostname: "planetlab2.princeton.example", SiteID: 1}, {NodeID: 14, Hostname: "planetlab3.princeton.example", SiteID: 1}},
	}, true); err != nil {
		t.Fatal(err)
	}
	_, id, err := d.Run(t.Context(), Order{Who: who, Reason: "x"}, job)
	if err != nil {
		t.Fatal(err)
	}
	_, nodes := ended(t, d, id)
	said := map[string]string{}
	for _, n := range nodes {
		said[n.Host] = n.State + " " + n.Reason
	}
	if len(entered) != 2 || said["planetlab1.epfl.example"] != "skipped exempt: being moved" ||
		!strings.HasPrefix(said["planetlab3.princeton.example"], "skipped Monitor is stopped: power works") {
		t.Errorf("entered %q, and %q", entered, said)
	}
}

func TestAServerCarriesOutFewRunsAndEndsThemWithItself(t *testing.T) {
	d := desk(t)
	runs, job, who := hanging(t, d)
	var ids []string
	for range mostRuns {
		_, id, err := runs.Start(t.Context(), d, Order{Who: who, Reason: "x"}, job)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	if _, _, err := runs.Start(t.Context(), d, Order{Who: who, Reason: "x"}, job); KindOf(err) != Refused ||
		!strings.Contains(err.Error(), "monitor run cancel") {
		t.Errorf("one too many: %v", err)
	}
	if r, _, err := runs.Start(t.Context(), d, Order{Who: who, Reason: "x", DryRun: true}, job); err != nil || r.Refused == "" {
		t.Errorf("the plan of one too many: %+v, %v", r, err)
	}
	runs.Close()
	for _, id := range ids {
		_, nodes := ended(t, d, id)
		for _, n := range nodes {
			if n.State != string(remote.Skipped) || n.Reason != "called off (the server was stopped) before it began" {
				t.Errorf("%+v", n)
			}
		}
	}
	if _, _, err := runs.Start(t.Context(), d, Order{Who: who, Reason: "x"}, job); KindOf(err) != Refused {
		t.Errorf("while the server stops: %v", err)
	}
	list, err := d.Store.Runs(t.Context(), 100)
	if err != nil || len(list) != mostRuns {
		t.Errorf("%d runs are on record, %v", len(list), err)
	}
	none := NewRuns(nil, errors.New("there is no key"), slog.New(slog.DiscardHandler))
	if _, _, err := none.Start(t.Context(), d, Order{Who: who, Reason: "x"}, job); KindOf(err) != Refused || !strings.Contains(err.Error(), "no key") {
		t.Errorf("a server without keys: %v", err)
	}
}
