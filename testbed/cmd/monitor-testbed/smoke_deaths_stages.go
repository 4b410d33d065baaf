package main

import (
	"context"
	"errors"
	"slices"
	"time"

	"go.temporal.io/api/common/v1"
	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/workflow/v1"

	"github.com/planetlab/monitor/issue"
	sites "github.com/planetlab/monitor/site"
)

// reach waits until a workflow is at its stage, and helps where it would take too long.
func (m *matrix) reach(ctx context.Context, d *death) error {
	if d.typ == sites.Type {
		return m.reachSite(ctx, d)
	}
	open := func(what string, is func(issue.State) bool) error {
		return m.await(ctx, d.id+" "+what, func(b *books) (bool, error) {
			state, open := b.memory(d.id)
			return open && is(state), nil
		})
	}
	acted := func(s issue.State) bool {
		return (s.Rung > 0 || s.Idle > 0) && s.Blocked == nil && s.RecoveredAt.IsZero() && s.Due.After(time.Now())
	}
	switch d.stage {
	case atFirstWait:
		return open("waits for its first rung", func(s issue.State) bool {
			return s.Blocked != nil &&
				s.Blocked.Check == "blacklist"
		})
	case inRung:
		return m.await(ctx, d.id+" does a rung", func(*books) (bool, error) { return m.rungUnderWay(ctx, d.id) })
	case betweenRungs:
		return open("waits after a rung", acted)
	case whilePaused:
		if err := open("is open", func(issue.State) bool { return true }); err != nil {
			return err
		}
		if err := m.command(ctx, d.id, string(issue.OrderPause), "somebody is on the way"); err != nil {
			return err
		}
		return open("is paused", func(s issue.State) bool { return s.Status == issue.Paused })
	case inLongWait:
		if err := m.skipToLast(ctx, d); err != nil {
			return err
		}
		return open("has done its last rung", func(s issue.State) bool { return s.Idle > 0 })
	}
	return m.await(ctx, d.id+" has its site denied what it asks for", func(b *books) (bool, error) {
		return b.open[d.id].Level > 0 && m.DB.Get("Sites", "login_base", d.site)["enabled"] != true, nil
	})
}

// skipToLast orders an issue to pass over all rungs but its last.
func (m *matrix) skipToLast(ctx context.Context, d *death) error {
	t, _ := issue.Lookup(d.typ)
	last := len(t.Ladder.Rungs) - 1
	for {
		rung := -1
		err := m.await(ctx, d.id+" is open", func(b *books) (bool, error) {
			state, open := b.memory(d.id)
			if open {
				rung = state.Rung
			}
			return open, nil
		})
		if err != nil || rung == last {
			return err
		}
		if err := m.command(ctx, d.id, string(issue.OrderSkip), "to the end"); err != nil {
			return err
		}
		err = m.await(ctx, d.id+" has skipped a rung", func(b *books) (bool, error) {
			state, open := b.memory(d.id)
			return open && state.Rung > rung, nil
		})
		if err != nil {
			return err
		}
	}
}

func (m *matrix) rungUnderWay(ctx context.Context, id string) (bool, error) {
	d, err := m.Temporal.DescribeWorkflowExecution(ctx, id, "")
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(d.PendingActivities, func(a *workflow.PendingActivityInfo) bool {
		return a.State == enums.PENDING_ACTIVITY_STATE_STARTED
	}), nil
}

// reachSite waits until the workflow of a site is at its stage.
func (m *matrix) reachSite(ctx context.Context, d *death) error {
	if d.stage == withPenalty {
		return m.await(ctx, d.site+" is denied something", func(*books) (bool, error) {
			return m.DB.Get("Sites",
				"login_base", d.site)["enabled"] != true, nil
		})
	}
	if err := m.await(ctx, d.site+" was written to", func(*books) (bool, error) {
		return len(m.mailTo(d.site)) > 0,
			nil
	}); err != nil || d.stage != whilePaused {
		return err
	}
	if err := m.command(ctx, d.id, string(issue.OrderPause), "somebody is on the way"); err != nil {
		return err
	}
	return m.await(ctx, d.site+" is paused", func(*books) (bool, error) {
		state, err := m.siteState(ctx, d.site)
		return state.Pause != nil, err
	})
}

// end ends the run of a workflow by hand.
func (m *matrix) end(ctx context.Context, d *death) error {
	if d.run = m.runOf(ctx, d.id); d.run == "" {
		return errors.New("it does not run")
	}
	switch d.way {
	case terminated:
		return m.Temporal.TerminateWorkflow(ctx, d.id, d.run, "smoke")
	case cancelled:
		return m.Temporal.CancelWorkflow(ctx, d.id, d.run)
	}
	return m.resetWorkflow(ctx, &common.WorkflowExecution{WorkflowId: d.id, RunId: d.run})
}
