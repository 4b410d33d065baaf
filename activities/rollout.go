package activities

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/planetlab/monitor/clean"
	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/probe"
	"github.com/planetlab/monitor/rollout"
	"github.com/planetlab/monitor/selection"
	"github.com/planetlab/monitor/store"
)

// Rollouts keep the plans of roll-outs, and look whether nodes have become what their group waits for. What is done to
// a node is the work of its request.
type Rollouts struct {
	*ledger
	observer *observer
}

// RolloutGroup asks for a group of a roll-out.
type RolloutGroup struct {
	Name  string `json:"name"`
	Group int    `json:"group"`
	Size  int    `json:"size"`
}

// RolloutBegun is a group that was taken from a plan.
type RolloutBegun struct {
	Begin   []rollout.Node `json:"begin,omitempty"`
	Skipped []rollout.Node `json:"skipped,omitempty"`
}

// RolloutResult is what became of nodes of a group.
type RolloutResult struct {
	Name  string         `json:"name"`
	Nodes []rollout.Node `json:"nodes"`
}

// RolloutNote is how a roll-out stands.
type RolloutNote struct {
	Name   string         `json:"name"`
	Run    string         `json:"run"`
	Group  int            `json:"group"` // after which
	Status rollout.Status `json:"status"`
	Why    string         `json:"why"`
}

// OpenRollout reads the plan of a roll-out.
func (a *Rollouts) OpenRollout(ctx context.Context, name string) (rollout.Plan, error) {
	r, err := a.Store.Rollout(ctx, name)
	if errors.Is(err, store.ErrNotFound) {
		return rollout.Plan{}, noTarget("no roll-out %q is planned", name)
	}
	return r.Plan, err
}

// BeginRolloutGroup takes the next nodes of a plan; the same ones when it is asked again for the same group.
func (a *Rollouts) BeginRolloutGroup(ctx context.Context, in RolloutGroup) (out RolloutBegun, err error) {
	out.Begin, out.Skipped, err = a.Store.BeginGroup(ctx, in.Name, in.Group, in.Size, a.now())
	return out, err
}

// EndRolloutGroup writes down what became of the nodes of a group.
func (a *Rollouts) EndRolloutGroup(ctx context.Context, in RolloutResult) error {
	return a.Store.EndNodes(ctx, in.Name, in.Nodes)
}

// NoteRollout writes down how a roll-out stands, and in the ledger how it came to that.
func (a *Rollouts) NoteRollout(ctx context.Context, in RolloutNote) error {
	if err := a.Store.NoteRollout(ctx, in.Name, in.Status, clean.Line(in.Why)); err != nil {
		return err
	}
	r, err := a.Store.Rollout(ctx, in.Name)
	if err != nil {
		return err
	}
	return a.Store.Note(ctx, store.Action{Key: fmt.Sprintf("%s/%s/%s/%d", rollout.ID(in.Name), in.Run, in.Status, in.Group),
		Kind: store.KindOrder, Issue: rollout.ID(in.Name), Outcome: store.Done,
		Reason: clean.Line(r.Plan.Order.By + ": " + r.Plan.Order.Reason),
		Detail: clean.Line(fmt.Sprintf("%s of %d nodes is %s: %s", r.Plan.Act, r.Plan.Count, in.Status, in.Why))})
}

// RolloutWait asks whether nodes are what their group waits for.
type RolloutWait struct {
	Hosts  []string `json:"hosts"`
	Select string   `json:"select"`
}

// RolloutReached looks at nodes, writes down what it saw, and answers those that are not yet what is waited for.
func (a *Rollouts) RolloutReached(ctx context.Context, in RolloutWait) (missing []string, err error) {
	defer heartbeat(ctx)()
	table := selection.Nodes(issueNames())
	set, err := selection.NewSet(table, selection.Request{Select: []string{in.Select}}, selection.Options{Now: a.now()})
	if err != nil {
		return nil, badRequest("what the group waits for: %v", err)
	}
	var looks []store.NodeLook
	var targets []probe.Target
	byHost := map[string]store.Node{}
	for _, host := range in.Hosts {
		n, err := a.Store.Node(ctx, host)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		byHost[host], targets = n, append(targets, probeTarget(n))
	}
	a.observer.Prober.Nodes(ctx, targets, func(r probe.NodeResult) {
		look, err := a.observer.storedLook(byHost[r.Host], r)
		if r.Fault == "" && err == nil {
			looks = append(looks, look)
		}
	})
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err := a.Store.SaveNodeLooks(ctx, looks); err != nil {
		return nil, err
	}
	rows, _, err := a.Store.NodeRowsOf(ctx, a.now(), selection.NodePartsOf(set.Uses), in.Hosts)
	if err != nil {
		return nil, err
	}
	reached := map[string]bool{}
	for i := range rows {
		if !slices.Contains(in.Hosts, rows[i].Name) {
			continue
		}
		if reached[rows[i].Name], err = set.Match(&rows[i]); err != nil {
			return nil, badRequest("what the group waits for: %v", err)
		}
	}
	return slices.DeleteFunc(slices.Clone(in.Hosts), func(h string) bool { return reached[h] }), nil
}

func issueNames() (names []string) {
	for _, t := range issue.Types() {
		names = append(names, t.Name)
	}
	return names
}
