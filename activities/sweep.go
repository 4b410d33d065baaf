package activities

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"go.temporal.io/sdk/activity"

	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/probe"
	"github.com/planetlab/monitor/store"
)

// SyncPLC refreshes the PLC snapshot when it is older than the cache allows, and cuts the fleet into batches. When PLC does
// not answer the sweep goes on with the last snapshot, and says so, for the guard.
func (a *Activities) SyncPLC(ctx context.Context) (Plan, error) {
	plan := Plan{Started: a.now(), PLC: "ok"}
	taken, err := a.Store.SnapshotTaken(ctx)
	if err != nil {
		return plan, err
	}
	if a.now().Sub(taken) >= a.PLCCache {
		snap, err := a.PLC.Snapshot(ctx)
		if err == nil {
			err = a.Store.SaveSnapshot(ctx, snap)
		}
		if err != nil {
			plan.PLC = err.Error()
			a.Log.Warn("PLC was not read; the last snapshot serves", "error", err)
		}
		for _, row := range snap.Unreadable {
			a.Log.Warn("something in PLC cannot be read", "what", row)
		}
	}
	for after := int64(0); ; {
		nodes, err := a.Store.Nodes(ctx, after, a.BatchSize)
		if err != nil {
			return plan, err
		}
		if len(nodes) == 0 {
			break
		}
		plan.Nodes = append(plan.Nodes, Batch{after, a.BatchSize})
		after = int64(nodes[len(nodes)-1].NodeID)
	}
	for after := int64(0); ; {
		pcus, err := a.Store.PCUs(ctx, after, a.BatchSize)
		if err != nil {
			return plan, err
		}
		if len(pcus) == 0 {
			break
		}
		plan.PCUs = append(plan.PCUs, Batch{after, a.BatchSize})
		after = int64(pcus[len(pcus)-1].PCUID)
	}
	return plan, nil
}

// ProbeNodes looks at a batch of nodes at once and writes what it saw.
func (a *Activities) ProbeNodes(ctx context.Context, b Batch) (int, error) {
	nodes, err := a.Store.Nodes(ctx, b.After, b.Limit)
	if err != nil {
		return 0, err
	}
	targets := make([]probe.Target, len(nodes))
	for i, n := range nodes {
		targets[i] = probeTarget(n)
	}
	var looks []store.NodeLook
	var failed error
	a.Prober.Nodes(ctx, targets, func(r probe.NodeResult) {
		look, err := storedLook(r, a.infer(r))
		if err != nil {
			failed = err
			return
		}
		looks = append(looks, look)
		activity.RecordHeartbeat(ctx, len(looks))
	})
	if failed != nil || ctx.Err() != nil {
		return 0, fmt.Errorf("probe: %w", firstError(failed, ctx.Err()))
	}
	return len(looks), a.Store.SaveNodeLooks(ctx, looks)
}

func firstError(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

// pcusAtOnce bounds the conversations with PCUs in one batch.
const pcusAtOnce = 32

// ProbePCUs tries the dry run of a batch of PCUs and writes how it went. An entry that lacks what a login needs fails
// without a try.
func (a *Activities) ProbePCUs(ctx context.Context, b Batch) (int, error) {
	pcus, err := a.Store.PCUs(ctx, b.After, b.Limit)
	if err != nil {
		return 0, err
	}
	looks := make([]store.PCULook, len(pcus))
	slots := make(chan struct{}, pcusAtOnce)
	var wg sync.WaitGroup
	for i, p := range pcus {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			ok, reason := a.testPCU(ctx, p)
			looks[i] = store.PCULook{PCUID: p.PCUID, At: a.now(), OK: ok, Reason: reason}
			activity.RecordHeartbeat(ctx, p.PCUID)
		})
	}
	wg.Wait()
	if ctx.Err() != nil {
		return 0, ctx.Err()
	}
	return len(looks), a.Store.SavePCULooks(ctx, looks)
}

// Judge turns what a sweep saw into statuses, asks the fleet guard, then opens and clears issues.
func (a *Activities) Judge(ctx context.Context, plan Plan) (SweepResult, error) {
	now := a.now()
	var res SweepResult
	var changes []store.Change
	var verdicts []policy.Verdict
	nodes, err := a.Store.Nodes(ctx, 0, 1<<30)
	if err != nil {
		return res, err
	}
	newlyDown := 0
	up := map[string]int{}
	fine := map[string]bool{} // issue id -> the target is good
	for _, n := range nodes {
		if n.SeenAt.Before(plan.Started) {
			continue // not looked at in this sweep, as a node that PLC has just gained
		}
		record, reason := policy.NextNode(a.Numbers, n.Record, policy.NodeSeen{State: n.State, BootState: n.BootState, Uptime: n.Uptime, NeverContacted: n.LastContact.IsZero()}, now)
		if record != n.Record {
			changes = append(changes, store.Change{Kind: "node", Target: n.Hostname, Was: n.Record, Record: record, Reason: reason})
		}
		if n.Record.Status.Fine() && record.Status == policy.Offline {
			newlyDown++
		}
		if record.Status.Fine() {
			res.Up++
		}
		if _, listed, err := a.Store.Blacklisted(ctx, n.Hostname, "", now); err != nil {
			return res, err
		} else if listed || record.Status != policy.IsDown {
			up[n.Site]++
		}
		fine[NodeDownType+"/"+n.Hostname] = record.Status.Fine()
		finding := policy.Finding{State: n.State, Category: n.Category, Firewall: n.Firewall, Reason: n.Reason}
		if v, open := policy.NodeVerdict(a.Numbers, n.Hostname, n.Site, record, finding, now); open {
			verdicts = append(verdicts, v)
		}
		res.Nodes++
	}
	pcus, err := a.Store.PCUs(ctx, 0, 1<<30)
	if err != nil {
		return res, err
	}
	for _, p := range pcus {
		if p.SeenAt.Before(plan.Started) {
			continue
		}
		record, reason := policy.NextPCU(a.Numbers, p.Record, p.OK, now)
		if record != p.Record {
			changes = append(changes, store.Change{Kind: "pcu", Target: strconv.Itoa(p.PCUID), Was: p.Record, Record: record, Reason: reason})
		}
		fine[PCUDownType+"/"+p.Name] = record.Status.Fine()
		if v, open := policy.PCUVerdict(a.Numbers, p.Name, p.Site, record, p.Reason, now); open {
			verdicts = append(verdicts, v)
		}
		res.PCUs++
	}
	guard := policy.FleetGuard(a.Numbers, newlyDown, len(nodes), plan.PLC == "ok")
	if !guard.Do {
		// Nothing of this sweep is believed, not even the statuses: the next sweep looks again.
		res.Held = guard.Reason
		key := "guard/" + plan.Started.UTC().Format(time.RFC3339Nano)
		if _, _, err := a.Store.Intent(ctx, store.Action{Key: key, Kind: "guard", Reason: guard.Reason}); err != nil {
			return res, err
		}
		a.Log.Warn("the fleet guard holds everything back", "reason", guard.Reason)
		return res, a.Store.Outcome(ctx, key, store.Skipped, guard.Reason)
	}
	sites, err := a.Store.Sites(ctx)
	if err != nil {
		return res, err
	}
	for _, s := range sites {
		record, reason := policy.NextSite(a.Numbers, s.Record, up[s.LoginBase], s.Created, now)
		if record != s.Record {
			changes = append(changes, store.Change{Kind: "site", Target: s.LoginBase, Was: s.Record, Record: record, Reason: reason})
		}
	}
	if err := a.Store.SaveChanges(ctx, changes, now); err != nil {
		return res, err
	}
	return res, a.openAndClear(ctx, verdicts, fine, &res)
}

// openAndClear starts what is not open yet and tells open issues whose target has become good.
func (a *Activities) openAndClear(ctx context.Context, verdicts []policy.Verdict, fine map[string]bool, res *SweepResult) error {
	open, err := a.Store.Issues(ctx, store.IssueFilter{Open: true, Limit: 1 << 30})
	if err != nil {
		return err
	}
	isOpen := map[string]bool{}
	for _, i := range open {
		isOpen[i.ID] = true
		if fine[i.ID] && i.Next != Recovering {
			if err := a.Temporal.SignalWorkflow(ctx, i.ID, "", SignalCleared, nil); err != nil {
				a.Log.Warn("an issue could not be told that its target is good", "issue", i.ID, "error", err)
				continue
			}
			res.Cleared++
		}
	}
	for _, v := range verdicts {
		id := v.Type + "/" + v.Target
		if isOpen[id] {
			continue
		}
		ref := Ref{ID: id, Type: v.Type, Node: v.Node, Site: v.Site, PCU: v.PCU}
		decision, err := a.mayAct(ctx, ref)
		if err != nil {
			return err
		}
		if !decision.Do {
			// Once a policy day is enough to say so.
			day := a.now().Truncate(a.Numbers.Day).UTC().Format(time.RFC3339)
			if err := a.skip(ctx, "skip/"+id+"/"+day, ref, "not opened: "+decision.Reason); err != nil {
				return err
			}
			continue
		}
		if err := a.openIssue(ctx, v.Type, ref, v.Reason, nil); err != nil {
			return err
		}
		res.Opened++
	}
	return nil
}
