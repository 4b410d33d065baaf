package orders

import (
	"context"
	"fmt"
	"time"

	"github.com/planetlab/monitor/access"
	"github.com/planetlab/monitor/clean"
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/remote"
	"github.com/planetlab/monitor/store"
)

// Run has a script run on nodes over ssh, and keeps what each of them said. It runs where it is ordered, not on a
// worker: it ends with the context, and what has not begun by then is skipped. What is exempt is left alone, and nothing
// runs while Monitor is stopped or only observes. Each result is handed to a function once it is kept.
func (d Desk) Run(ctx context.Context, o Order, opts remote.Options, nodes []remote.Node, script string,
	each func(store.RunNode)) (Receipt, string, error) {
	id := d.now().UTC().Format("20060102-150405.000")
	a := act{verb: access.FleetRun, target: id, issue: store.RunIssue + id, why: "the ledger keeps it",
		does: clean.Line(fmt.Sprintf("run on %d nodes: %s", len(nodes), script))}
	a.words = map[string]any{"nodes": len(nodes), "command": clean.Bounded(script, clean.MaxText)}
	a.check = func(ctx context.Context) error { return d.mayRun(ctx, nodes, script) }
	a.do = func(ctx context.Context, _ string) (string, error) {
		planned, left, err := d.leftAlone(ctx, nodes)
		if err != nil {
			return "", err
		}
		var rows []store.RunNode
		for _, n := range planned {
			rows = append(rows, store.RunNode{Host: n.Host, Site: n.Site, State: "planned"})
		}
		order := store.RunOrder{By: o.by(), From: o.Who.From, Reason: o.reason()}
		if err := d.Store.StartRun(ctx, store.Run{ID: id, Command: script, Ordered: order}, append(rows, left...)); err != nil {
			return "", err
		}
		for _, n := range left {
			each(n)
		}
		keep := context.WithoutCancel(ctx) // also what was called off is written down
		ctx, stop := d.runBeats(ctx, id)
		defer stop()
		done := 0
		var lost error
		opts.Begins = func(n remote.Node) { _ = d.Store.BeginRunNode(keep, id, n.Host) }
		remote.Run(ctx, opts, planned, script, func(r remote.Result) {
			n := rowOf(r)
			if r.State == remote.Done {
				done++
			}
			if err := d.Store.SaveRunNode(keep, id, n); err != nil {
				lost = err
			}
			each(n)
		})
		if err := d.Store.EndRun(keep, id); err != nil {
			lost = err
		}
		return fmt.Sprintf("done on %d of %d nodes", done, len(nodes)), lost
	}
	r, err := d.give(ctx, o, a)
	return r, id, err
}

// runBeats gives signs of life of a run, so that one that is cut off is told from one that goes on. The context ends when
// the run was ended by others, who took it for dead.
func (d Desk) runBeats(ctx context.Context, id string) (context.Context, func()) {
	return store.Beat(ctx, store.RunSilence/6, func(ctx context.Context) error { return d.Store.BeatRun(ctx, id) },
		store.ErrRunOver)
}

// mayRun says whether anything may run now.
func (d Desk) mayRun(ctx context.Context, nodes []remote.Node, script string) error {
	if err := remote.Check(script); err != nil {
		return &Error{Invalid, err}
	}
	if len(nodes) == 0 {
		return invalid("no node is named")
	}
	controls, err := d.Store.Controls(ctx)
	if err != nil {
		return err
	}
	if why := controls.Stopped(); why != "" {
		return refused("Monitor is stopped: %s", why)
	}
	if mode, why := controls.Mode(controls.Configured(), "", ""); mode != policy.ModeAct {
		return refused("observe mode: %s", why)
	}
	return nil
}

// leftAlone parts the nodes that are exempt from the others, each with the reason.
func (d Desk) leftAlone(ctx context.Context, nodes []remote.Node) (planned []remote.Node, left []store.RunNode, err error) {
	controls, err := d.Store.Controls(ctx)
	if err != nil {
		return nil, nil, err
	}
	for _, n := range nodes {
		why, err := d.exempt(ctx, n)
		if err != nil {
			return nil, nil, err
		}
		if mode, narrowed := controls.Mode(controls.Configured(), n.Site, ""); why == "" && mode != policy.ModeAct {
			why = "observe mode: " + narrowed
		}
		if why == "" {
			planned = append(planned, n)
			continue
		}
		left = append(left, store.RunNode{Host: n.Host, Site: n.Site, State: string(remote.Skipped), Reason: why})
	}
	return planned, left, nil
}

func (d Desk) exempt(ctx context.Context, n remote.Node) (string, error) {
	node, err := d.Store.Node(ctx, n.Host)
	if err != nil {
		return "", err
	}
	if node.ExemptUntil.After(d.now()) {
		return "exempt in the inventory until " + node.ExemptUntil.UTC().Format(time.DateOnly), nil
	}
	e, listed, err := d.Store.Blacklisted(ctx, n.Host, n.Site, "", d.now())
	if err != nil || !listed {
		return "", err
	}
	return clean.Line("exempt: " + e.Reason), nil
}

func rowOf(r remote.Result) store.RunNode {
	n := store.RunNode{Host: r.Host, Site: r.Site, State: string(r.State), Output: r.Output, Errors: r.Errors, Cut: r.Cut,
		Reason: r.Reason, Began: r.Began, Ended: r.Ended}
	if r.State == remote.Done || r.State == remote.Failed {
		n.Status = &r.Status
	}
	return n
}
