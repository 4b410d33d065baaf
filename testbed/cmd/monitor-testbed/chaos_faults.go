package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"go.temporal.io/api/common/v1"
	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/workflowservice/v1"

	"github.com/planetlab/monitor/activities"
	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/store"
	"github.com/planetlab/monitor/testbed"
	"github.com/planetlab/monitor/testbed/fakenode"
	"github.com/planetlab/monitor/testbed/pcudev"
	"github.com/planetlab/monitor/testbed/rig"
)

// The faults that are counted apart.
const (
	killed  = "workers killed"
	frozen  = "workers frozen past every time-out"
	stopped = "workers stopped"
	gaveUp  = "workers that ended by themselves and were started again"
)

func pick[T any](rng *rand.Rand, list ...T) T { return list[rng.IntN(len(list))] }

// breakNodes gives nodes what reboots, reinstallations, bootman or only humans mend, and is the human after some days.
func (c *chaos) breakNodes(ctx context.Context, rng *rand.Rand) {
	for pause(ctx, rng, c.Day/8, c.Day/2) {
		h := pick(rng, c.Hosts()...)
		a := pick(rng,
			testbed.Fault{State: fakenode.Hung, FixedBy: testbed.Reboot},
			testbed.Fault{State: fakenode.Hung, FixedBy: testbed.Reboot},
			testbed.Fault{State: fakenode.Hung, FixedBy: testbed.Reinstall},
			testbed.Fault{State: fakenode.Hung, FixedBy: testbed.Nobody},
			testbed.Fault{State: fakenode.Debug, FixedBy: testbed.Bootman, Fix: "BootManager.py boot"})
		stays := time.Duration(8+rng.IntN(20)) * c.Day
		if a.FixedBy == testbed.Nobody {
			stays *= 3 // so long that its site is denied something
		}
		if !c.take(c.broken, h) {
			continue
		}
		if err := c.Break(h, a); err != nil {
			fmt.Fprintln(c.out, err)
			continue
		}
		c.did("nodes broken", h, a.State, a.FixedBy)
		time.AfterFunc(stays, func() {
			if ctx.Err() == nil {
				_ = c.Fix(h)
			}
			c.leave(c.broken, h)
		})
	}
}

// take marks something as broken, unless it is.
func (c *chaos) take(set map[string]struct{}, name string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, is := set[name]; is {
		return false
	}
	set[name] = struct{}{}
	return true
}

func (c *chaos) leave(set map[string]struct{}, name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(set, name)
}

func (c *chaos) breakPCUs(ctx context.Context, rng *rand.Rand) {
	for pause(ctx, rng, c.Day/2, 2*c.Day) {
		site := pick(rng, chaosSites()...)
		fault := pick(rng, pcudev.WrongPassword, pcudev.WrongPassword, pcudev.Mute, pcudev.Refuses, pcudev.Busy,
			pcudev.Babbles, pcudev.Strange, pcudev.StaysOff, pcudev.DropsFirst)
		stays := c.Day/2 + time.Duration(rng.Int64N(int64(6*c.Day)))
		if !site.NoPCU {
			c.breakPCU(ctx, site.Login, fault, stays)
		}
	}
}

// breakPCU breaks a site's PCU for a while.
func (c *chaos) breakPCU(ctx context.Context, site, fault string, stays time.Duration) {
	if !c.take(c.sick, site) {
		return
	}
	c.BreakPCU(site, fault)
	c.did("PCUs broken", site, fault)
	time.AfterFunc(stays, func() {
		if ctx.Err() == nil {
			c.BreakPCU(site, "")
		}
		c.leave(c.sick, site)
	})
}

// stopWorkers freezes a worker past its heartbeats, or asks it to end.
func (c *chaos) stopWorkers(ctx context.Context, rng *rand.Rand) {
	for pause(ctx, rng, 15*time.Second, 40*time.Second) {
		n, how := rng.IntN(len(c.Workers)), rng.IntN(2)
		freeze := 12*time.Second + time.Duration(rng.Int64N(int64(6*time.Second))) // a heartbeat is missed after 10 s
		switch {
		case c.calm():
		case how == 0:
			c.did(frozen, n+1, freeze)
			thaw := c.Workers[n].Freeze()
			wait(ctx, freeze)
			thaw()
		default:
			c.did(stopped, n+1)
			go c.Workers[n].Stop(15 * time.Second)
		}
	}
}

// keepWorkers starts workers that have ended, as a supervisor would.
func (c *chaos) keepWorkers(ctx context.Context, _ *rand.Rand) {
	for wait(ctx, 100*time.Millisecond) {
		for n, w := range c.Workers {
			if w.Running() {
				continue
			}
			c.mu.Lock()
			until := c.down[n]
			c.mu.Unlock()
			if time.Now().Before(until) {
				continue
			}
			if w.GaveUp() {
				c.did(gaveUp, n+1)
			}
			if err := w.Start(); err != nil {
				fmt.Fprintln(c.out, "a worker does not start:", err)
			}
		}
	}
}

func (c *chaos) failServers(ctx context.Context, rng *rand.Rand) {
	for pause(ctx, rng, 2*time.Second, 10*time.Second) {
		link := pick(rng, rig.Links()...)
		times, away := 1+rng.IntN(3), time.Duration(500+rng.IntN(3500))*time.Millisecond
		if what := rng.IntN(12); !c.calm() {
			c.failServer(ctx, what, link, times, away)
		}
	}
}

func (c *chaos) failServer(ctx context.Context, what int, link string, times int, away time.Duration) {
	wire := c.Wires[link]
	switch what {
	case 0, 1:
		c.did("connections cut: "+link, link)
		wire.Cut()
	case 2, 3, 4:
		c.did("answers lost: "+link, times)
		wire.LoseAnswers(times)
	case 5:
		c.did("servers unreachable: "+link, away)
		wire.Away(true)
		wait(ctx, away)
		wire.Away(false)
	case 6:
		c.did("Postgres restarted")
		c.must(c.RestartPostgres(context.WithoutCancel(ctx), false))
	case 7:
		c.did("Postgres crashed")
		c.must(c.RestartPostgres(context.WithoutCancel(ctx), true))
	case 8:
		c.did("Temporal killed")
		c.must(c.RestartTemporal(context.WithoutCancel(ctx)))
	case 9:
		c.did("the tracker away", away)
		c.Tracker.Away(true)
		wait(ctx, away)
		c.Tracker.Away(false)
	case 10:
		c.did("the mail server out of order", away)
		c.Mail.RefuseData(451, "out of order")
		wait(ctx, away)
		c.Mail.RefuseData(0, "")
	default:
		c.did("mails whose answer was lost after DATA", times)
		c.Mail.Drop(times)
	}
}

func (c *chaos) must(err error) {
	if err != nil {
		fmt.Fprintln(c.out, "chaos itself fails:", err)
	}
}

// giveOrders is a busy operator.
func (c *chaos) giveOrders(ctx context.Context, rng *rand.Rand) {
	for pause(ctx, rng, c.Day/2, 3*c.Day) {
		order := pick(rng, issue.OrderSkip, issue.OrderPause, issue.OrderResume, issue.OrderClose)
		days := 1 + rng.IntN(4)
		which := rng.IntN(1000)
		open, err := c.Store.Issues(ctx, store.IssueFilter{Open: true})
		if err != nil || len(open) == 0 {
			continue
		}
		command := map[string]any{"reason": "chaos", "by": "chaos"}
		if order == issue.OrderPause {
			command["until"] = time.Now().Add(time.Duration(days) * c.Day).UTC().Format(time.RFC3339Nano)
		}
		if err := c.Temporal.SignalWorkflow(ctx, open[which%len(open)].ID, "", string(order), command); err == nil {
			c.did("orders: " + string(order))
		}
	}
}

// endWorkflows terminates, cancels and resets workflows of every type.
func (c *chaos) endWorkflows(ctx context.Context, rng *rand.Rand) {
	for pause(ctx, rng, 2*c.Day, 5*c.Day) {
		how, which := rng.IntN(5), rng.IntN(1000)
		list, err := c.Temporal.ListWorkflow(ctx, &workflowservice.ListWorkflowExecutionsRequest{
			Query: running + " AND WorkflowType IN ('" + strings.Join(typeNames(), "','") + "')"})
		if err != nil || len(list.Executions) == 0 {
			continue
		}
		id := list.Executions[which%len(list.Executions)].Execution
		if strings.HasPrefix(id.WorkflowId, activities.SweepType) && which%8 > 0 { // one runs nearly always
			continue
		}
		switch how {
		case 0, 1:
			err = c.Temporal.TerminateWorkflow(ctx, id.WorkflowId, id.RunId, "chaos")
			c.did("workflows terminated", id.WorkflowId, err)
		case 2, 3:
			err = c.Temporal.CancelWorkflow(ctx, id.WorkflowId, id.RunId)
			c.did("workflows cancelled", id.WorkflowId, err)
		default:
			err = c.resetWorkflow(ctx, id)
			c.did("workflows reset", id.WorkflowId, err)
		}
	}
}

// running finds our workflows that run.
const running = "ExecutionStatus = 'Running' AND TaskQueue = '" + activities.TaskQueue + "'"

// resetWorkflow takes a workflow back to the first of its tasks that ended, as an operator would with `temporal
// workflow reset`.
func (s *stage) resetWorkflow(ctx context.Context, id *common.WorkflowExecution) error {
	events := s.Temporal.GetWorkflowHistory(ctx, id.WorkflowId, id.RunId, false, enums.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for events.HasNext() {
		e, err := events.Next()
		if err != nil {
			return err
		}
		if e.EventType != enums.EVENT_TYPE_WORKFLOW_TASK_COMPLETED {
			continue
		}
		_, err = s.Temporal.ResetWorkflowExecution(ctx, &workflowservice.ResetWorkflowExecutionRequest{
			Namespace: "default", WorkflowExecution: id, Reason: "testbed", WorkflowTaskFinishEventId: e.EventId,
			RequestId: fmt.Sprint(time.Now().UnixNano()),
		})
		return err
	}
	return fmt.Errorf("%s has no task that ended", id.WorkflowId)
}
