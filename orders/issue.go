package orders

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

	"github.com/planetlab/monitor/access"
	"github.com/planetlab/monitor/activities"
	"github.com/planetlab/monitor/answers"
	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/store"
	"github.com/planetlab/monitor/workflows"
)

// Words are what an order to an issue, or to a site, says beside its reason.
type Words struct {
	Until time.Time // of a pause: when it ends by itself; zero: when somebody resumes it
	Step  int       // of a veto, and its end: the step of the ladder, from 1
}

// Issue gives an order to an open issue, whose workflow answers where it then stands. Where the order was given before,
// or would only be, no workflow is asked, and the status is empty.
func (d Desk) Issue(ctx context.Context, o Order, name issue.Order, id string,
	w Words) (Receipt, workflows.Status, error) {
	var s workflows.Status
	if err := CheckID(id); err != nil {
		return Receipt{}, s, err
	}
	a, err := d.aboutIssue(ctx, id)
	if err != nil {
		return Receipt{}, s, err
	}
	a.verb, a.words = access.Verb("issue."+string(name)), map[string]any{}
	a.does = string(name) + " " + id
	if !w.Until.IsZero() {
		a.words["until"] = w.Until.UTC().Format(time.RFC3339)
		a.does += " until " + w.Until.UTC().Format(time.RFC3339)
	}
	if w.Step != 0 {
		a.words["step"] = w.Step
		a.does += fmt.Sprintf(" step %d", w.Step)
	}
	return d.tellIssue(ctx, o, a, name, id, w)
}

// LongestPledge is how far ahead people of a site may promise: whoever needs longer asks an operator for a pause.
const LongestPledge = 31 * 24 * time.Hour

// Pledge is the promise of a person to see to an issue until a time, which pauses it until then.
func (d Desk) Pledge(ctx context.Context, o Order, id string,
	until time.Time) (Receipt, workflows.Status, error) {
	var s workflows.Status
	switch now := d.now(); {
	case CheckID(id) != nil:
		return Receipt{}, s, CheckID(id)
	case !until.After(now):
		return Receipt{}, s, invalid("a pledge is until a time ahead, not until %s", until.UTC().Format(time.RFC3339))
	case until.After(now.Add(LongestPledge)):
		return Receipt{}, s, invalid("a pledge is for %d days at most: give an earlier day, or ask an operator to pause "+
			"the issue", int(LongestPledge.Hours()/24))
	}
	a, err := d.aboutIssue(ctx, id)
	if err != nil {
		return Receipt{}, s, err
	}
	a.verb, a.words = access.IssuePledge, map[string]any{"until": until.UTC().Format(time.RFC3339)}
	a.does = "pause " + id + " until " + until.UTC().Format(time.RFC3339) + ", as somebody is at it"
	return d.tellIssue(ctx, o, a, issue.OrderPause, id, Words{Until: until})
}

// tellIssue sends an order to the workflow of an issue.
func (d Desk) tellIssue(ctx context.Context, o Order, a act, name issue.Order, id string,
	w Words) (Receipt, workflows.Status, error) {
	var s workflows.Status
	var run string
	c := issue.Command{By: o.by(), Reason: o.reason(), Until: w.Until, Step: w.Step}
	if o.DryRun {
		a.check = func(ctx context.Context) error { return d.wouldObey(ctx, id, name, c) }
	}
	a.do = func(ctx context.Context, key string) (string, error) {
		absent := notFound("no issue %s is open: see `monitor issue list --all`", id)
		var err error
		run, err = d.update(ctx, id, string(name), key, c, &s)
		return "", answered(id, err, absent)
	}
	r, err := d.give(ctx, o, a)
	r.Run = run
	return r, s, err
}

// update sends an Update to a workflow, which takes one with the same key only once, and waits for its answer. It says
// which run took it.
func (d Desk) update(ctx context.Context, id, name, key string, c issue.Command, answer any) (run string, err error) {
	if err := d.connected(); err != nil {
		return "", err
	}
	handle, err := d.Temporal.UpdateWorkflow(ctx, client.UpdateWorkflowOptions{
		UpdateID: key, WorkflowID: id, UpdateName: name, Args: []any{c}, WaitForStage: client.WorkflowUpdateStageCompleted,
	})
	if err != nil {
		return "", err
	}
	return handle.RunID(), handle.Get(ctx, answer)
}

// wouldObey asks the issue's memory, as the store last had it, whether it would take an order.
func (d Desk) wouldObey(ctx context.Context, id string, name issue.Order, c issue.Command) error {
	stored, err := d.Store.Issue(ctx, id)
	if errors.Is(err, store.ErrNotFound) || err == nil && stored.Status == string(issue.Closed) {
		return notFound("no issue %s is open: see `monitor issue list --all`", id)
	}
	if err != nil {
		return err
	}
	s, err := stored.Memory()
	if err != nil {
		return err
	}
	if err := s.Check(name, c, d.now()); err != nil {
		return refused("%s refuses: %w", id, err)
	}
	return nil
}

// aboutIssue says what an issue is about. One that the store does not know yet, and whose target nobody knows, is of no
// site: only those who may order something of all sites may order something of it.
func (d Desk) aboutIssue(ctx context.Context, id string) (act, error) {
	a := act{target: id, issue: id}
	stored, err := d.Store.Issue(ctx, id)
	if err == nil {
		a.site, a.node, a.pcu = stored.Site, stored.Node, stored.PCUID
		return a, nil
	}
	if !errors.Is(err, store.ErrNotFound) {
		return a, err
	}
	t, err := answers.Find(ctx, d.Store, id)
	if errors.Is(err, store.ErrNotFound) {
		return a, nil
	}
	if t.Kind == answers.KindNode {
		a.node = t.Name
	}
	a.site = t.Site
	return a, err
}

// Opened is what became of the order to open an issue.
type Opened struct {
	ID, Run string
	Before  bool // it was open already, and nothing was started
}

// Open opens an issue by hand, as a sweep would. An issue looks before it acts: one about a healthy target closes by
// itself.
func (d Desk) Open(ctx context.Context, o Order, typ, target, cause string,
	evidence []string) (Receipt, Opened, error) {
	opened := Opened{ID: typ + "/" + target}
	t, known := issue.Lookup(typ)
	if !known {
		return Receipt{}, opened, CheckType(typ)
	}
	a, err := d.aboutIssue(ctx, opened.ID)
	if err != nil {
		return Receipt{}, opened, err
	}
	a.verb, a.does, a.words = access.IssueOpen, "open "+opened.ID, map[string]any{}
	if cause != "" {
		a.words["cause"] = cause
	}
	in := t.Input(target)
	in.Cause, in.Evidence = cause, evidence
	a.do = func(ctx context.Context, _ string) (string, error) {
		if err := d.connected(); err != nil {
			return "", err
		}
		run, err := d.Temporal.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
			ID: opened.ID, TaskQueue: activities.TaskQueue,
			WorkflowIDReusePolicy:                    enums.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE,
			WorkflowIDConflictPolicy:                 enums.WORKFLOW_ID_CONFLICT_POLICY_FAIL,
			WorkflowExecutionErrorWhenAlreadyStarted: true,
			StaticSummary:                            typ + " of " + target + ", opened by " + o.by(),
		}, typ, in)
		var already *serviceerror.WorkflowExecutionAlreadyStarted
		if errors.As(err, &already) {
			opened.Run, opened.Before = already.RunId, true
			return opened.ID + " is open already; nothing was started", nil
		}
		if err != nil {
			return "", fmt.Errorf("open %s: %w", opened.ID, err)
		}
		opened.Run = run.GetRunID()
		return "", nil
	}
	r, err := d.give(ctx, o, a)
	return r, opened, err
}

// CheckID keeps orders from workflows that are no issues.
func CheckID(id string) error {
	typ, target, _ := strings.Cut(id, "/")
	if target == "" {
		return invalid("%q is no issue: its id looks like %s/planetlab1.example.edu", id, issue.NodeDown)
	}
	return CheckType(typ)
}

// CheckType refuses a type of issue that nobody knows.
func CheckType(typ string) error {
	var types []string
	for _, t := range issue.Types() {
		types = append(types, t.Name)
	}
	if !slices.Contains(types, typ) {
		return invalid("%q is no type of issue: there are %s", typ, strings.Join(types, ", "))
	}
	return nil
}
