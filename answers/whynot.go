package answers

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"

	"github.com/planetlab/monitor/activities"
	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/policy"
)

// acts are the words for acts on a command line and in the API, with the type of issue that does each if none is named.
func acts() map[string]struct {
	act  policy.Act
	kind []string
	typ  map[string]string // by kind of target
} {
	type entry = struct {
		act  policy.Act
		kind []string
		typ  map[string]string
	}
	down := map[string]string{KindNode: issue.NodeDown, KindPCU: issue.PCUDown, KindSite: issue.SiteDown}
	node := []string{KindNode}
	return map[string]entry{
		"open":      {policy.ActOpen, []string{KindNode, KindPCU, KindSite}, down},
		"reboot":    {policy.ActReboot, node, down},
		"reinstall": {policy.ActReinstall, node, down},
		"repair":    {policy.ActRepair, node, map[string]string{KindNode: issue.Failboot}},
		"disable":   {policy.ActDisable, node, map[string]string{KindNode: issue.OldBootCD}},
		"notify":    {policy.ActNotify, []string{KindNode, KindPCU, KindSite}, down},
		"penalize":  {policy.ActPenalize, []string{KindSite}, map[string]string{KindSite: ""}},
	}
}

// Acts are the words for acts, sorted.
func Acts() []string {
	var words []string
	for word := range acts() {
		words = append(words, word)
	}
	slices.Sort(words)
	return words
}

// ActsOf are the words for the acts that a kind of target may have done to it, sorted.
func ActsOf(kind string) []string {
	all := acts()
	return slices.DeleteFunc(Acts(), func(word string) bool { return !slices.Contains(all[word].kind, kind) })
}

// Question makes the question why an act is not done to a target, at a time; the zero time is now.
func Question(t Target, word string, at time.Time) (activities.WhyNotRequest, error) {
	act, known := acts()[word]
	switch {
	case !known:
		return activities.WhyNotRequest{}, fmt.Errorf("%q is no act: say one of %s", word, strings.Join(Acts(), ", "))
	case !slices.Contains(act.kind, t.Kind):
		return activities.WhyNotRequest{}, fmt.Errorf("%s is not done to a %s, only to a %s", word, t.Kind,
			strings.Join(act.kind, " or a "))
	}
	q := activities.WhyNotRequest{Act: act.act, Type: act.typ[t.Kind], Target: t.Name, At: at}
	if t.Type != "" && act.act != policy.ActPenalize {
		q.Type = t.Type
	}
	return q, nil
}

// WhyNot asks a worker, which asks the gate on fresh facts as if it were to act.
func WhyNot(ctx context.Context, tc client.Client, q activities.WhyNotRequest) (activities.WhyNotAnswer, error) {
	id := fmt.Sprintf("%s/%s/%s/%d", activities.WhyNotType, strings.ReplaceAll(string(q.Act), " ", "-"), q.Target, time.Now().UnixNano())
	run, err := tc.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
		ID: id, TaskQueue: activities.TaskQueue, WorkflowExecutionTimeout: 2 * time.Minute,
		StaticSummary: fmt.Sprintf("why not %s %s?", q.Act, q.Target),
	}, activities.WhyNotType, q)
	if err != nil {
		return activities.WhyNotAnswer{}, err
	}
	return await[activities.WhyNotAnswer](ctx, tc, run)
}

// ErrNobody says that no worker answers.
var ErrNobody = errors.New("nobody answers: is monitor-worker running?")

// await waits for the answer, which may take as long as a look at the target, but only while a worker is at work on it.
func await[T any](ctx context.Context, tc client.Client, run client.WorkflowRun) (answer T, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		tick := time.NewTicker(patience / 10)
		defer tick.Stop()
		for range tick.C {
			d, err := tc.DescribeWorkflowExecution(ctx, run.GetID(), run.GetRunID())
			if ctx.Err() != nil {
				return
			}
			task := d.GetPendingWorkflowTask()
			waits := time.Since(task.GetScheduledTime().AsTime())
			if err == nil && task.GetState() == enums.PENDING_WORKFLOW_TASK_STATE_SCHEDULED && waits > patience {
				cancel(ErrNobody)
				return
			}
		}
	}()
	err = run.Get(ctx, &answer)
	if cause := context.Cause(ctx); errors.Is(cause, ErrNobody) || err != nil && Silent(err) {
		err = ErrNobody
	}
	return answer, err
}
