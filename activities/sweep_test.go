package activities

import (
	"testing"
	"time"

	"github.com/planetlab/monitor/testbed"
)

// A PCU that somebody holds, as a host that died without a word, costs a sweep the time of its batch and no more. It is
// not blamed: it was not seen.
func TestASweepWaitsForNoPCUThatIsHeld(t *testing.T) {
	b := newBench(t, testbed.Site{Login: site, Nodes: 1}, testbed.Site{Login: "oslo", Nodes: 1})
	release, err := b.Store.LockPCU(b.Context(), b.pcuID())
	b.must(err)
	defer release()
	plan, err := b.Sweep.SyncPLC(b.Context(), SweepInput{})
	b.must(err)
	began := time.Now()
	seen := 0
	for _, batch := range plan.PCUs {
		batch.Until = time.Now().Add(8 * time.Second)
		n, err := b.Sweep.ProbePCUs(b.Context(), batch)
		b.must(err)
		seen += n
	}
	if took := time.Since(began); seen != 1 || took > time.Minute {
		t.Errorf("%d PCUs were seen, in %s", seen, took)
	}
	other, err := b.Store.PCUByName(b.Context(), "pcu.oslo.example")
	if b.must(err); !other.OK || other.SeenAt.IsZero() {
		t.Errorf("the other one is %+v", other)
	}
	if held := b.pcu(); !held.SeenAt.IsZero() || held.Reason != "" {
		t.Errorf("the one that is held is said to be %q, seen at %s", held.Reason, held.SeenAt)
	}
}
