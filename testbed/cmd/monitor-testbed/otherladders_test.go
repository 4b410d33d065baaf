package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.temporal.io/sdk/client"

	"github.com/planetlab/monitor/activities"
	"github.com/planetlab/monitor/issue"
	sites "github.com/planetlab/monitor/site"
	"github.com/planetlab/monitor/store"
	"github.com/planetlab/monitor/testbed"
	"github.com/planetlab/monitor/testbed/otherladders"
	"github.com/planetlab/monitor/testbed/rig"
)

// Issues of every type are open when a release comes in which every ladder has another order. They climb on by the
// ladder with which they opened; what opens then has the new one.
func TestOpenIssuesOutliveABuildWithOtherLadders(t *testing.T) {
	bin, err := filepath.Abs("../../../bin")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(bin, "monitor-worker")); err != nil || testing.Short() {
		t.Skip("needs the programs of `make build`, and compiles one more")
	}
	dir := t.TempDir()
	if err := otherladders.Worker(dir); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	o := deathOptions(bin, t.Output())
	o.Sites = ladderSites()
	r, err := rig.Start(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	m := &matrix{stage: &stage{r}, gates: map[string]*gate{}}
	for _, tr := range troubles() {
		for _, typ := range tr.types {
			if typ != sites.Type && tr.name != "told" {
				m.all = append(m.all, oneOf(tr, typ))
			}
		}
	}
	if err := m.replaceLadders(ctx, dir); err != nil {
		t.Errorf("%v\n%s", err, r.WorkerLog())
	}
}

// oneOf is an issue at the one site of a trouble.
func oneOf(tr trouble, typ string) *death {
	d := &death{trouble: tr, typ: typ, site: tr.name}
	for _, target := range d.input() {
		d.id = typ + "/" + target
	}
	return d
}

func ladderSites() []testbed.Site {
	var list []testbed.Site
	for _, tr := range troubles() {
		list = append(list, testbed.Site{Login: tr.name, Nodes: tr.nodes, NoPCU: tr.noPCU})
	}
	return list
}

// replaceLadders lets every issue climb, replaces the worker by that of another build, and lets them climb on.
func (m *matrix) replaceLadders(ctx context.Context, dir string) error {
	go m.read(ctx)
	if err := m.begin(ctx); err != nil {
		return err
	}
	was := map[string]store.Issue{}
	for _, d := range m.all {
		err := m.await(ctx, d.id+" has done a rung", func(b *books) (bool, error) {
			s, open := b.memory(d.id)
			was[d.id] = b.open[d.id]
			return open && (s.Rung > 0 || s.Idle > 0), nil
		})
		if err != nil {
			return err
		}
	}
	w := m.Workers[0]
	w.Stop(20 * time.Second)
	w.Bin(dir)
	if err := w.Start(); err != nil {
		return err
	}
	for _, d := range m.all {
		if err := m.climbsOn(ctx, d, was[d.id]); err != nil {
			return fmt.Errorf("%s: %w", d.id, err)
		}
	}
	return m.opensAnew(ctx)
}

// climbsOn waits until an issue has done one more rung, and checks that this is the one that its own ladder has there.
func (m *matrix) climbsOn(ctx context.Context, d *death, was store.Issue) error {
	before, err := was.Memory()
	if err != nil {
		return err
	}
	var after issue.State
	err = m.await(ctx, d.id+" has done one more rung", func(b *books) (bool, error) {
		var open bool
		after, open = b.memory(d.id)
		return open && (after.Rung > before.Rung || after.Idle > before.Idle), nil
	})
	if err != nil {
		return err
	}
	mine, _ := issue.Lookup(d.typ)
	if after.Ref.Run != before.Ref.Run || after.Ladder.Version != mine.Ladder.Version {
		return fmt.Errorf("it is run %s with ladder %d, and was run %s with ladder %d", after.Ref.Run,
			after.Ladder.Version, before.Ref.Run, mine.Ladder.Version)
	}
	events, err := m.Store.Timeline(ctx, d.id, after.Ref.Run)
	if err != nil {
		return err
	}
	at, rungs := 0, mine.Ladder.Rungs
	for _, e := range events {
		if e.Kind != issue.EventRung {
			continue
		}
		for at < len(rungs)-1 && rungs[at].String() != e.Rung {
			at++
		}
		if rungs[at].String() != e.Rung {
			return fmt.Errorf("its ladder has no %q at or after rung %d", e.Rung, at)
		}
	}
	return nil
}

// opensAnew opens an issue under the other build.
func (m *matrix) opensAnew(ctx context.Context) error {
	d := oneOf(troubles()[0], issue.NodeDown)
	d.site = "told"
	id := nodeDown(d.node())
	if err := m.hang(d.node()); err != nil {
		return err
	}
	start := client.StartWorkflowOptions{ID: id, TaskQueue: activities.TaskQueue}
	if _, err := m.Temporal.ExecuteWorkflow(ctx, start, issue.NodeDown, d.input()); err != nil {
		return err
	}
	mine, _ := issue.Lookup(issue.NodeDown)
	want := otherladders.Of(mine.Ladder)
	return m.await(ctx, id+" has done its first rung", func(b *books) (bool, error) {
		s, open := b.memory(id)
		if open && (s.Ladder.Version != want.Version || s.Ladder.Rungs[0].Do != want.Rungs[0].Do) {
			return false, errors.New("the new build opens issues with the old ladder: the test proves nothing")
		}
		return open && s.Rung > 0, nil
	})
}
