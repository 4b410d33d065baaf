package activities

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/selection"
	"github.com/planetlab/monitor/sources"
	"github.com/planetlab/monitor/testbed"
)

// A sweep reads the sources beside the inventory. One that is away is noted; it makes no node bad, and holds no sweep.
func TestASweepReadsTheSources(t *testing.T) {
	path := filepath.Join(t.TempDir(), "racks")
	b := benchWith(t, func(_ *testbed.World, o *Options) {
		o.Sources = Sources{List: []sources.Source{sources.Lines{File: path}}, Timeout: 5 * time.Second, Fresh: time.Hour}
	})
	b.must(os.WriteFile(path, []byte(`{"node": "`+sick+`", "facts": {"rack": "b4"}}`+"\n"), 0o600))
	b.was("node", sick, policy.StatusGood, 3)
	sweep := func() {
		t.Helper()
		plan, err := b.Sweep.SyncPLC(b.Context(), SweepInput{})
		b.must(err)
		if plan.PLC != PLCAnswers {
			t.Errorf("the sweep is not believed: %s", plan.PLC)
		}
		b.must(b.Sweep.EndSweep(b.Context(), SweepEnd{Sweep: plan.Sweep}))
	}
	look := func(trouble bool) {
		t.Helper()
		rows, _, err := b.Store.NodeRows(b.Context(), time.Now(), selection.NodeParts{Details: true})
		b.must(err)
		for _, r := range rows {
			if r.Name == sick && (r.Facts["rack"] != "b4" || r.Status != string(policy.StatusGood)) {
				t.Errorf("the node is %s with %v", r.Status, r.Facts)
			}
		}
		list, err := b.Store.Sources(b.Context())
		b.must(err)
		if len(list) != 1 || list[0].Facts != 1 || (list[0].Trouble != "") != trouble {
			t.Errorf("the sources are %+v", list)
		}
	}
	sweep()
	look(false)
	b.must(os.Remove(path))
	sweep()
	look(true)
}
