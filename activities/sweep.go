package activities

import (
	"context"
	"fmt"
	"sync"

	"github.com/planetlab/monitor/probe"
	"github.com/planetlab/monitor/store"
)

// SyncPLC refreshes the PLC snapshot when it is older than the cache allows, and cuts the fleet into batches. When PLC does
// not answer the sweep goes on with the last snapshot, and says so, for the guard.
func (a *Activities) SyncPLC(ctx context.Context) (Plan, error) {
	defer heartbeat(ctx)()
	plan := Plan{Started: a.now(), PLC: "ok"}
	taken, err := a.Store.SnapshotTaken(ctx)
	if err != nil {
		return plan, err
	}
	if a.now().Sub(taken) >= a.PLCCache {
		snap, err := a.PLC.Snapshot(ctx)
		if err == nil {
			var saved store.Saved
			saved, err = a.Store.SaveSnapshot(ctx, snap, false)
			snap.Unreadable = append(snap.Unreadable, saved.Odd...)
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
	defer heartbeat(ctx)()
	nodes, err := a.Store.Nodes(ctx, b.After, b.Limit)
	if err != nil {
		return 0, err
	}
	targets, byHost := make([]probe.Target, len(nodes)), map[string]store.Node{}
	for i, n := range nodes {
		targets[i], byHost[n.Hostname] = probeTarget(n), n
	}
	var looks []store.NodeLook
	var failed error
	a.Prober.Nodes(ctx, targets, func(r probe.NodeResult) {
		look, err := a.storedLook(byHost[r.Host], r)
		if err != nil {
			failed = err
			return
		}
		looks = append(looks, look)
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
// without a try; where we could not try, nothing is written, so that no PCU is blamed.
func (a *Activities) ProbePCUs(ctx context.Context, b Batch) (int, error) {
	defer heartbeat(ctx)()
	pcus, err := a.Store.PCUs(ctx, b.After, b.Limit)
	if err != nil {
		return 0, err
	}
	var looks []store.PCULook
	var mu sync.Mutex
	slots := make(chan struct{}, pcusAtOnce)
	var wg sync.WaitGroup
	for _, p := range pcus {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			ok, reason, err := a.testPCU(ctx, p)
			if err != nil {
				a.Log.Warn("a PCU could not be tried", "pcu", p.Name, "error", err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			looks = append(looks, store.PCULook{PCUID: p.PCUID, At: a.now(), OK: ok, Reason: reason})
		})
	}
	wg.Wait()
	if ctx.Err() != nil {
		return 0, ctx.Err()
	}
	return len(looks), a.Store.SavePCULooks(ctx, looks)
}
