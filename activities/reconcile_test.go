package activities

import (
	"context"
	"slices"
	"strconv"
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

// A boot state that Monitor has set is given back while its issue is still open: when the node is up again, whether or
// not it was reinstalled, and when the command that it was set for was given up.
func TestReconcile_ABootStateIsGivenBackWhenTheNodeIsUp(t *testing.T) {
	b := newBench(t)
	ctx := b.Context()
	up, silent := func(string) bool { return false }, func(host string) bool { return host == sick }
	for i, c := range []struct {
		name, outcome, inPLC string
		silent               func(string) bool
		held                 bool
		want                 string
	}{
		{"it is up, and a reboot would wipe it", store.Done, "reinstall", up, false, "boot"},
		{"it was reinstalled, and its BootManager has said so", store.Done, "boot", up, false, "boot"},
		{"somebody has set it meanwhile", store.Done, "safeboot", up, false, "safeboot"},
		{"it is silent yet", store.Done, "reinstall", silent, true, "reinstall"},
		{"the answer was lost, and it is silent", store.Ambiguous, "reinstall", silent, true, "reinstall"},
		{"the answer was lost, and it is up", store.Ambiguous, "reinstall", up, false, "boot"},
		{"the command was given up", store.Failed, "reinstall", silent, false, "boot"},
		{"the command is under way", "", "reinstall", up, true, "reinstall"},
	} {
		t.Run(c.name, func(t *testing.T) {
			req := b.task(issue.NodeDown, strconv.Itoa(i), reinstallRung)
			ref := req.State.Ref
			putIssue(t, b.url, store.Issue{ID: ref.ID, RunID: ref.Run, Type: ref.Type, Target: sick, Node: sick,
				Site: site, Status: "open", Opened: time.Now()})
			b.intend(req)
			b.commit(req)
			if c.outcome != "" {
				b.must(b.Store.Settle(ctx, req.Key, c.outcome, "as the test has it",
					[]store.ClaimKind{store.ClaimOutlet}))
			}
			b.inPLC("boot_state", c.inPLC)
			plan := b.looks(c.silent)
			b.must(b.Sweep.EndSweep(ctx, SweepEnd{Sweep: plan.Sweep, Reason: "the test needs its looks only"}))
			b.reconcile()
			claims, err := b.Store.Claims(ctx, store.ClaimFilter{Kind: store.ClaimBootState})
			b.must(err)
			if (len(claims) > 0) != c.held {
				t.Errorf("held are %+v", claims)
			}
			if state := b.w.DB.Get("Nodes", "hostname", sick)["boot_state"]; state != c.want {
				t.Errorf("PLC has it at %v, want %s", state, c.want)
			}
			for _, left := range claims { // for the next case
				b.must(b.Store.Release(ctx, left.ID, "the test is over"))
			}
		})
	}
}
