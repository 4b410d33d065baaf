package activities

import (
	"slices"
	"strings"
	"testing"

	"github.com/planetlab/monitor/issue"
	sites "github.com/planetlab/monitor/site"
	"github.com/planetlab/monitor/store"
)

// A store that counts sweeps which Temporal has seen before is an older one: whatever is open is asked where it stands.
func TestASweepOfARestoredStoreAsksWhatIsOpen(t *testing.T) {
	b := newBench(t)
	ctx := b.Context()
	b.tc.runs = [][2]string{{issue.NodeDown, "nodedown/" + sick}, {sites.Type, sites.ID(site)}, {"sweep", "sweep-fleet"}}
	b.tc.gone = []string{"nodedown/gone.example"} // listed for a moment after its end, and nobody's fault
	b.tc.runs = append(b.tc.runs, [2]string{issue.NodeDown, b.tc.gone[0]})
	sweep := func(last func(before int64) int64) {
		t.Helper()
		before, err := b.Store.LastSweep(ctx)
		b.must(err)
		b.tc.signals = nil
		plan, err := b.Sweep.SyncPLC(ctx, SweepInput{Last: last(before.ID)})
		b.must(err)
		b.must(b.Sweep.EndSweep(ctx, SweepEnd{Sweep: plan.Sweep, Reason: "of the test"}))
	}
	b.swept()
	for name, last := range map[string]func(int64) int64{
		"the sweep after it":     func(before int64) int64 { return before },
		"one by hand":            func(int64) int64 { return 0 },
		"after one that was cut": func(before int64) int64 { return before - 1 },
	} {
		if sweep(last); len(b.tc.signals) > 0 {
			t.Errorf("%s: it asks %q", name, b.tc.signals)
		}
	}
	sweep(func(before int64) int64 { return before + 20 })
	want := []string{"nodedown/" + sick + " " + SignalForgotten, sites.ID(site) + " " + sites.SignalLook}
	if !slices.Equal(b.tc.signals, want) {
		t.Errorf("it asks %q, want %q", b.tc.signals, want)
	}
	list, err := b.Store.Actions(ctx, store.ActionFilter{Kind: store.KindReconcile})
	if err != nil || len(list) != 1 || !strings.Contains(list[0].Reason, "restored from an older backup") ||
		!strings.Contains(list[0].Detail, "2 workflows") {
		t.Errorf("the ledger says %+v, %v", list, err)
	}
}
