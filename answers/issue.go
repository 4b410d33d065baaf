package answers

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/store"
	"github.com/planetlab/monitor/workflows"
)

// Issue is all that is known of an issue, put together from the store, the workflow and the ledger.
type Issue struct {
	ID      string    `json:"id"`
	RunID   string    `json:"run_id,omitempty"`
	Type    string    `json:"type"`
	Target  string    `json:"target"`
	Site    string    `json:"site"`
	Status  string    `json:"status"`
	Cause   string    `json:"cause"`
	Penalty int       `json:"penalty_level"`
	Opened  time.Time `json:"opened,omitzero"`
	Closed  time.Time `json:"closed,omitzero"`
	Next    string    `json:"next,omitempty"`
	NextAt  time.Time `json:"next_at,omitzero"`
	Blocked string    `json:"blocked,omitempty"` // why the next rung waits
	Outcome string    `json:"outcome,omitempty"`

	Evidence []string       `json:"evidence,omitempty"`
	Timeline []issue.Event  `json:"story,omitempty"`
	Earlier  []Episode      `json:"earlier,omitempty"` // the latest first
	Actions  []store.Action `json:"actions,omitempty"` // oldest first
	Missing  string         `json:"missing,omitempty"` // what could not be asked, and why

	unknown bool // to the store
}

// Episode is an earlier life of an issue.
type Episode struct {
	RunID   string    `json:"run_id"`
	Opened  time.Time `json:"opened"`
	Closed  time.Time `json:"closed,omitzero"`
	Outcome string    `json:"outcome"`
}

// IssueOf is an issue as a list shows it.
func IssueOf(i store.Issue) Issue {
	return Issue{
		ID: i.ID, RunID: i.RunID, Type: i.Type, Target: i.Target, Site: i.Site, Status: i.Status, Cause: i.Cause, Penalty: i.Level,
		Opened: i.Opened.UTC(), Closed: i.Closed.UTC(), Next: i.Next, NextAt: i.NextAt.UTC(), Outcome: i.Outcome,
	}
}

// Answer takes over what the issue's workflow says of itself.
func (v *Issue) Answer(s workflows.Status) {
	v.Status, v.Penalty, v.Next, v.NextAt, v.Blocked = string(s.Status), s.Level, s.Next, s.NextAt.UTC(), s.Blocked
	v.Timeline = joined(v.Timeline, s.Timeline)
	v.Evidence = s.Evidence
	for _, t := range []struct {
		to   *string
		from string
	}{{&v.ID, s.ID}, {&v.Type, s.Type}, {&v.Target, s.Target}, {&v.Site, s.Site}, {&v.Cause, s.Cause}} {
		if t.from != "" {
			*t.to = t.from
		}
	}
}

// NewIssue is an issue of which only the id is known.
func NewIssue(id string) Issue {
	typ, target, _ := strings.Cut(id, "/")
	return Issue{ID: id, Type: typ, Target: target}
}

// StoredIssue reads what the store has of an issue. It may not know one that was opened a moment ago: Live then says
// whether there is one.
func StoredIssue(ctx context.Context, db *store.Store, id string) (Issue, error) {
	stored, err := db.Issue(ctx, id)
	v := IssueOf(stored)
	if errors.Is(err, store.ErrNotFound) {
		v = NewIssue(id)
		v.unknown = true
	} else if err != nil {
		return v, err
	}
	actions, err := db.Actions(ctx, store.ActionFilter{Issue: id})
	if err != nil {
		return v, err
	}
	v.Actions = oldestFirst(actions)
	episodes, err := db.Episodes(ctx, id)
	if err != nil {
		return v, err
	}
	for _, e := range episodes {
		if e.RunID != stored.RunID {
			v.Earlier = append(v.Earlier, Episode{e.RunID, e.Opened.UTC(), e.Closed.UTC(), e.Outcome})
		}
	}
	v.Timeline, err = db.Timeline(ctx, id, stored.RunID)
	return v, err
}

// Live adds what the workflow says; away says why there is no client to ask with. Temporal may not know an issue that
// ended long since. An issue that neither the store nor Temporal knows is store.ErrNotFound.
func (v *Issue) Live(ctx context.Context, tc client.Client, away error) error {
	err := away
	if tc != nil {
		err = v.Ask(ctx, tc)
	}
	switch {
	case err == nil:
	case v.unknown && errors.Is(err, ErrNoWorkflow):
		return fmt.Errorf("issue %s: %w", v.ID, store.ErrNotFound)
	case v.unknown:
		return err
	case !errors.Is(err, ErrNoWorkflow):
		v.Missing = fmt.Sprintf("this is what the store last knew: %v", err)
	case v.Status != string(issue.Closed):
		v.Missing = fmt.Sprintf("the store says %s, but Temporal has no such workflow: it was deleted, or this is another server", v.Status)
	}
	return nil
}

func oldestFirst(list []store.Action) []store.Action {
	slices.Reverse(list)
	for i := range list {
		list[i].At, list[i].Finished = list[i].At.UTC(), list[i].Finished.UTC()
	}
	return list
}

// Ask fills in what Temporal knows of an issue: a running one is asked itself, one that is done left its result.
func (v *Issue) Ask(ctx context.Context, tc client.Client) error {
	d, err := tc.DescribeWorkflowExecution(ctx, v.ID, "")
	var none *serviceerror.NotFound
	if errors.As(err, &none) {
		return ErrNoWorkflow
	}
	if err != nil {
		return err
	}
	info := d.WorkflowExecutionInfo
	v.RunID = info.Execution.RunId
	switch info.Status {
	case enums.WORKFLOW_EXECUTION_STATUS_RUNNING:
		return v.query(ctx, tc)
	case enums.WORKFLOW_EXECUTION_STATUS_COMPLETED:
		var r workflows.Result
		if err := tc.GetWorkflow(ctx, v.ID, v.RunID).Get(ctx, &r); err != nil {
			return fmt.Errorf("result of %s: %w", v.ID, err)
		}
		v.Status, v.Outcome, v.Cause, v.Timeline = string(issue.Closed), r.Outcome, r.Cause, joined(v.Timeline, r.Timeline)
		v.Opened, v.Closed = r.Opened.UTC(), info.CloseTime.AsTime()
		v.Next, v.NextAt = "", time.Time{}
	default: // the store cannot know: the workflow did not end in its own way
		v.Status = strings.ToLower(info.Status.String())
		v.Closed, v.Next, v.NextAt = info.CloseTime.AsTime(), "", time.Time{}
		v.Outcome = "the workflow was " + v.Status
		if err := tc.GetWorkflow(ctx, v.ID, v.RunID).Get(ctx, nil); err != nil {
			v.Outcome = ReasonOf(err)
		}
	}
	return nil
}

// query asks a running issue. A third of the time must do, so that who waits in vain can still turn to the store.
func (v *Issue) query(ctx context.Context, tc client.Client) error {
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(deadline)/3)
		defer cancel()
	}
	answer, err := tc.QueryWorkflow(ctx, v.ID, v.RunID, workflows.QueryStatus)
	var s workflows.Status
	if err == nil {
		err = answer.Get(&s)
	}
	switch {
	case err == nil:
		v.Answer(s)
		return nil
	case Silent(err):
		return fmt.Errorf("%s does not answer: is monitor-worker running?", v.ID)
	}
	return fmt.Errorf("ask %s: %w", v.ID, err)
}

// ReasonOf is the innermost message of a workflow's failure, without the SDK's wrapping.
func ReasonOf(err error) string {
	var app *temporal.ApplicationError
	if errors.As(err, &app) {
		return app.Message()
	}
	return err.Error()
}

// joined is the whole timeline: what the store has, and what only the running issue knows yet.
func joined(stored, live []issue.Event) []issue.Event {
	for _, e := range live {
		if i := slices.IndexFunc(stored, func(s issue.Event) bool { return s.Seq == e.Seq }); i >= 0 {
			stored[i] = e
		} else {
			stored = append(stored, e)
		}
	}
	slices.SortStableFunc(stored, func(a, b issue.Event) int { return a.Seq - b.Seq })
	return stored
}
