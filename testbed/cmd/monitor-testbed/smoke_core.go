package main

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"go.temporal.io/api/common/v1"
	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"

	"github.com/planetlab/monitor/activities"
	"github.com/planetlab/monitor/issue"
	sites "github.com/planetlab/monitor/site"
	"github.com/planetlab/monitor/store"
	"github.com/planetlab/monitor/testbed"
	"github.com/planetlab/monitor/testbed/fakenode"
	"github.com/planetlab/monitor/testbed/pcudev"
)

func coreScenarios() []scenario {
	return []scenario{
		{id: "OrdersHold", name: "skip, pause and close while a reboot waits for its PCU: nothing is switched",
			run: ordersHold},
		{id: "OutletOwed", name: "a PCU dies after \"off\": the outlet is owed, and turned on when the PCU is back",
			run: outletOwed},
		{id: "WorkflowsThatDie",
			name: "issues and their site are terminated, cancelled and reset: nothing is left over, and the ledger says what was repaired", run: workflowsThatDie},
		{id: "SiteContinues", name: "a site's workflow continues as new under its own name", run: siteContinues},
	}
}

// seenBad waits until a node's status is bad.
func (s *stage) seenBad(ctx context.Context, node string) error {
	return s.until(ctx, node+" is seen down", 15, func() (bool, error) {
		n, err := s.Store.Node(ctx, node)
		return n.Record.Status.Faulty(), err
	})
}

func (s *stage) hang(nodes ...string) error {
	for _, node := range nodes {
		if err := s.Break(node, testbed.Fault{State: fakenode.Hung, FixedBy: testbed.Nobody}); err != nil {
			return err
		}
	}
	return nil
}

// underWay waits until an activity of a workflow has begun.
func (s *stage) underWay(ctx context.Context, id, activity string) error {
	return s.until(ctx, activity+" of "+id+" is under way", 5, func() (bool, error) {
		d, err := s.Temporal.DescribeWorkflowExecution(ctx, id, "")
		if err != nil {
			return false, err
		}
		for _, a := range d.PendingActivities {
			if a.ActivityType.GetName() == activity && a.State == enums.PENDING_ACTIVITY_STATE_STARTED {
				return true, nil
			}
		}
		return false, nil
	})
}

func ordersHold(ctx context.Context, s *stage) error {
	const site = "lima"
	orders := map[string]issue.Order{host(site, 1): issue.OrderSkip, host(site, 2): issue.OrderPause, host(site,
		3): issue.OrderClose}
	for node := range orders {
		if err := s.hang(node); err != nil {
			return err
		}
	}
	for node := range orders {
		if err := s.seenBad(ctx, node); err != nil {
			return err
		}
	}
	pcu, err := s.Store.Node(ctx, host(site, 1))
	if err != nil {
		return err
	}
	unlock, err := s.Store.LockPCU(ctx, pcu.Feeds[0].PCUID) // as somebody who talks to the PCU does
	if err != nil {
		return err
	}
	release := sync.OnceFunc(unlock)
	defer release()
	for node, order := range orders {
		start := client.StartWorkflowOptions{ID: nodeDown(node), TaskQueue: activities.TaskQueue}
		if _, err := s.Temporal.ExecuteWorkflow(ctx, start, issue.NodeDown,
			map[string]string{"node": node}); err != nil {
			return err
		}
		if err := s.underWay(ctx, nodeDown(node), string(issue.Reboot)); err != nil {
			return err
		}
		if err := s.command(ctx, nodeDown(node), string(order), "its disk has data"); err != nil {
			return err
		}
	}
	release()
	if err := errors.Join(s.status(ctx, nodeDown(host(site, 2)), issue.Paused, 8), s.status(ctx, nodeDown(host(site,
		3)), issue.Closed, 8)); err != nil {
		return err
	}
	err = s.until(ctx, "the issue whose reboot was skipped has gone on to people", 25, func() (bool,
		error) {
		return len(s.mailTo(site)) > 0, nil
	})
	var all []error
	for node := range orders {
		all = append(all, s.cuts(node, 0), s.Heal(node))
	}
	all = append(all, s.status(ctx, nodeDown(host(site, 1)), issue.Closed, 12), s.status(ctx, nodeDown(host(site, 2)),
		issue.Closed, 12))
	return errors.Join(append(all, err)...)
}

func outletOwed(ctx context.Context, s *stage) error {
	const site = "sofia"
	node := host(site, 1)
	s.BreakPCU(site, pcudev.StaysOff)
	if err := s.Break(node, testbed.Fault{State: fakenode.Hung, FixedBy: testbed.Reboot}); err != nil {
		return err
	}
	if err := s.until(ctx, "its power is cut", 20, func() (bool, error) {
		return s.PowerCuts(node) == 1,
			nil
	}); err != nil {
		return err
	}
	s.BreakPCU(site, pcudev.StaysOff+","+pcudev.Mute)
	err := s.until(ctx, "the outlet is owed", 15, func() (bool, error) {
		list, err := s.Store.Claims(ctx, store.ClaimFilter{Kind: store.ClaimOutlet, Site: site})
		return len(list) == 1, err
	})
	if err != nil {
		return err
	}
	err = s.until(ctx, "the command has ended", 15, func() (bool, error) {
		list, err := s.Store.Actions(ctx, store.ActionFilter{Node: node, Kind: store.KindReboot})
		return len(list) == 1 && list[0].Outcome != "", err
	})
	if err != nil {
		return err
	}
	if s.Powered(node) {
		return errors.New("the outlet came on by itself: the scenario proves nothing")
	}
	s.BreakPCU(site, "")
	if err := s.until(ctx, "Monitor has turned the outlet on again", 10, func() (bool, error) {
		return s.Powered(node),
			nil
	}); err != nil {
		return err
	}
	if err := s.status(ctx, nodeDown(node), issue.Closed, 15); err != nil {
		return err
	}
	return errors.Join(s.nothingHeld(ctx, site), s.cuts(node, 1))
}

// nothingHeld waits until no claim of a site is left, in the store or in PLC.
func (s *stage) nothingHeld(ctx context.Context, site string) error {
	return s.until(ctx, "nothing is held at "+site, 12, func() (bool, error) {
		list, err := s.Store.Claims(ctx, store.ClaimFilter{Site: site})
		if err == nil && len(list) > 0 {
			err = fmt.Errorf("held: %+v", list)
		}
		return len(list) == 0 && len(s.Suspended(site)) == 0 && s.DB.Get("Sites", "login_base",
			site)["enabled"] == true, err
	})
}

// repaired waits until the ledger tells of something put right for an issue.
func (s *stage) repaired(ctx context.Context, site string) error {
	return s.until(ctx, "the ledger says what was repaired at "+site, 10, func() (bool, error) {
		list, err := s.Store.Actions(ctx, store.ActionFilter{Kind: store.KindReconcile, Site: site})
		return len(list) > 0, err
	})
}

// anew waits until an issue has another run than this, and is open.
func (s *stage) anew(ctx context.Context, id, run string) error {
	return s.until(ctx, id+" is open again", 12, func() (bool, error) {
		i, err := s.Store.Issue(ctx, id)
		return err == nil && i.RunID != run && i.Status == string(issue.Open), err
	})
}

func workflowsThatDie(ctx context.Context, s *stage) error {
	const site = "accra"
	node := host(site, 1)
	id := nodeDown(node)
	if _, err := s.onlyHumans(site); err != nil {
		return err
	}
	disabled := func() (bool, error) { return s.DB.Get("Sites", "login_base", site)["enabled"] != true, nil }
	if err := s.until(ctx, "penalty 1 is in PLC", 30, disabled); err != nil {
		return err
	}
	i, err := s.Store.Issue(ctx, id)
	if err != nil {
		return err
	}
	// Terminated while it holds a level: its hold is released, and it opens again.
	if err := s.Temporal.TerminateWorkflow(ctx, id, i.RunID, "smoke"); err != nil {
		return err
	}
	if err := s.anew(ctx, id, i.RunID); err != nil {
		return err
	}
	// A site that is terminated is started again, and knows from the store what it denies.
	if err := s.Temporal.TerminateWorkflow(ctx, sites.ID(site), "", "smoke"); err != nil {
		return err
	}
	if err := s.siteIs(ctx, site, "is awake again", 10, func(sites.State) bool { return true }); err != nil {
		return err
	}
	// Reset to its beginning, and cancelled.
	if err := s.resetWorkflow(ctx, &common.WorkflowExecution{WorkflowId: pcuDown(site), RunId: s.runOf(ctx,
		pcuDown(site))}); err != nil {
		return fmt.Errorf("reset %s: %w", pcuDown(site), err)
	}
	if err := s.Temporal.CancelWorkflow(ctx, id, ""); err != nil {
		return err
	}
	if err := s.mend(site); err != nil {
		return err
	}
	for _, id := range []string{id, pcuDown(site)} {
		if err := s.status(ctx, id, issue.Closed, 15); err != nil {
			return err
		}
	}
	return errors.Join(s.nothingHeld(ctx, site), s.repaired(ctx, site), s.cuts(node, 0))
}

func (s *stage) runOf(ctx context.Context, id string) string {
	d, err := s.Temporal.DescribeWorkflowExecution(ctx, id, "")
	if err != nil {
		return ""
	}
	return d.WorkflowExecutionInfo.Execution.RunId
}

func (s *stage) isRunning(ctx context.Context, id string) (bool, error) {
	d, err := s.Temporal.DescribeWorkflowExecution(ctx, id, "")
	return err == nil && d.WorkflowExecutionInfo.Status == enums.WORKFLOW_EXECUTION_STATUS_RUNNING, err
}

func siteContinues(ctx context.Context, s *stage) error {
	const site = "quetta"
	if _, err := s.onlyHumans(site); err != nil {
		return err
	}
	id := sites.ID(site)
	if err := s.until(ctx, "the site has its workflow", 20, func() (bool, error) {
		return s.runOf(ctx, id) != "",
			nil
	}); err != nil {
		return err
	}
	first, events := s.runOf(ctx, id), int64(0)
	err := s.until(ctx, "it continues as new", 40, func() (bool, error) {
		d, err := s.Temporal.DescribeWorkflowExecution(ctx, id, "")
		if err != nil || d.WorkflowExecutionInfo.Execution.RunId != first {
			return err == nil, err
		}
		// temporal-dev suggests a new run after 2,048; no run ends in the moment in which a signal comes
		if events = d.WorkflowExecutionInfo.HistoryLength; events > 2_500 {
			return false, nil
		}
		for range 200 {
			if err := s.Temporal.SignalWorkflow(ctx, id, "", sites.SignalLook, nil); err != nil {
				return false, err
			}
		}
		return false, nil
	})
	if err != nil {
		return fmt.Errorf("%w; its run has %d events", err, events)
	}
	if err := s.siteIs(ctx, site, "goes on in its new run", 5,
		func(state sites.State) bool { return len(state.Holds) > 0 }); err != nil {
		return err
	}
	if err := s.mend(site); err != nil {
		return err
	}
	return errors.Join(s.status(ctx, nodeDown(host(site, 1)), issue.Closed, 12), s.nothingHeld(ctx, site))
}
