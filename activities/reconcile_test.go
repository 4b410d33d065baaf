package activities

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/store"
)

func (b *bench) reconcile() Reconciled {
	b.Helper()
	res, err := b.Reconciler.Reconcile(b.Context())
	b.must(err)
	return res
}

// A rung that settles its own claim while the reconciler waits for the PCU left nothing to repair.
func TestReconcile_AClaimThatIsSettledMeanwhileWasNotRepaired(t *testing.T) {
	b := newBench(t)
	ctx := b.Context()
	b.Policy.OwedAfter = 0
	req := b.task(issue.NodeDown, "0", rebootRung)
	ref := req.State.Ref
	putIssue(b.T, b.url, store.Issue{ID: ref.ID, RunID: ref.Run, Type: ref.Type, Target: sick, Node: sick, Site: site,
		Status: "open", Opened: time.Now()}) // it asks itself what became of its rung
	b.intend(req)
	b.commit(req)
	release, err := b.Store.LockPCU(ctx, b.pcuID())
	b.must(err)
	type answer struct {
		Reconciled
		err error
	}
	done := make(chan answer, 1)
	go func() {
		res, err := b.Reconciler.Reconcile(ctx)
		done <- answer{res, err}
	}()
	b.waits()
	b.must(b.Store.Settle(ctx, req.Key, store.Done, "cycled and read back on", []store.ClaimKind{store.ClaimOutlet}))
	release()
	res := <-done
	if b.must(res.err); len(res.Repaired) > 0 || len(res.Left) > 0 {
		t.Errorf("repaired %q, left %q", res.Repaired, res.Left)
	}
	b.wantLedger(req.State.Ref.ID, "reboot done")
}

// What the reconciler found of an outlet that was owed is told as it was.
func TestReconcile_AnOwedOutletIsReadOn(t *testing.T) {
	b := newBench(t)
	b.Policy.OwedAfter = 0
	req := b.task(issue.NodeDown, "0", rebootRung)
	b.intend(req)
	b.commit(req)
	b.must(b.Store.Outcome(context.Background(), req.Key, store.Ambiguous, "the answer was lost"))
	res := b.reconcile()
	said := func(line string) bool {
		return strings.HasPrefix(line, "outlet ") && strings.HasSuffix(line, ": is on")
	}
	if !slices.ContainsFunc(res.Repaired, said) {
		t.Errorf("repaired %q, left %q", res.Repaired, res.Left)
	}
	b.wantClaims()
}
