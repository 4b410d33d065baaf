package activities

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"go.temporal.io/api/serviceerror"

	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/store"
)

// OpenPCUDown opens pcudown on the PCUs of a node that do not work.
func (a *Issues) OpenPCUDown(ctx context.Context, req issue.Request) (issue.Result, error) {
	return a.rungs.run(ctx, req, a.openPCUDown)
}

func (a *Issues) openPCUDown(ctx context.Context, t task) (issue.Result, error) {
	node, err := a.Store.Node(ctx, t.ref().Node)
	if err != nil {
		return issue.Result{}, err
	}
	feeds := feedsOf(node)
	if len(feeds) == 0 {
		return issue.Result{Outcome: issue.Passed, Reason: "no PCU feeds it"}, nil
	}
	if answer, err := a.gate.ask(ctx, policy.ActOpen, t.ref(), t.seen); err != nil || !answer.Do {
		if err != nil {
			return issue.Result{}, err
		}
		return a.rungs.refuse(ctx, t, answer)
	}
	res := issue.Result{Outcome: issue.Passed}
	for _, f := range feeds {
		p, err := a.Store.PCU(ctx, f.PCUID)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return issue.Result{}, err
		}
		ok, reason, err := a.outlets.test(ctx, p)
		if err != nil {
			return issue.Result{}, err
		}
		if ok {
			res.Reason = "its PCU works: " + reason
			continue
		}
		ref := Ref{ID: issue.PCUDown + "/" + p.Name, Type: issue.PCUDown, PCU: p.Name, Site: p.Site, PCUID: p.PCUID}
		answer, err := a.gate.ask(ctx, policy.ActOpen, ref, observation{})
		switch {
		case err != nil:
			return issue.Result{}, err
		case answer.Check == "blacklist": // its node's issue goes on without it
			res.Reason = fmt.Sprintf("its PCU %s is left alone: %s", p.Name, answer.Reason)
			continue
		case !answer.Do:
			return a.rungs.refuse(ctx, t, answer)
		}
		if why, _, err := a.gate.againstOpening(ctx, ref); err != nil {
			return issue.Result{}, err
		} else if why != "" {
			res.Reason = fmt.Sprintf("its PCU %s fails, and %s is not opened: %s", p.Name, ref.ID, why)
			continue
		}
		cause := "a dry run for " + t.ref().ID + " fails" // though it may have passed in the last sweep
		if err := a.workflows.openIssue(ctx, issue.PCUDown, ref, cause, []string{reason}); err != nil {
			return issue.Result{}, err
		}
		return issue.Result{Outcome: issue.Acted, Reason: "opened " + ref.ID,
			Deeds: []issue.Deed{{At: a.now(), What: issue.DeedPCUDownOpened, How: p.Name}}}, nil
	}
	return res, nil
}

// notifyPCURecovered tells the nodedown issues of a PCU's nodes that it may work again, for those that had to do without
// it. An error is worth another try: nobody else would tell them, and to be told twice does no harm.
func (a *workflows) notifyPCURecovered(ctx context.Context, pcu Ref, why string) error {
	open, err := a.Store.Issues(ctx, store.IssueFilter{Type: issue.NodeDown, Open: true, Limit: 1 << 30})
	if err != nil {
		return err
	}
	var failed []error
	for _, i := range open {
		node, err := a.Store.Node(ctx, i.Node)
		if errors.Is(err, store.ErrNotFound) { // its own issue finds that out
			continue
		}
		if err != nil {
			return err
		}
		if slices.ContainsFunc(feedsOf(node), func(f store.Feed) bool { return f.PCUID == pcu.PCUID }) {
			failed = append(failed, a.tellPCUBack(ctx, i, fmt.Sprintf("%s/%s %s", issue.PCUDown, pcu.Target(), why)))
		}
	}
	return errors.Join(failed...)
}

func (a *workflows) tellPCUBack(ctx context.Context, i store.Issue, why string) error {
	err := a.Temporal.SignalWorkflow(ctx, i.ID, "", SignalPCUBack, issue.Command{Reason: why})
	var none *serviceerror.NotFound
	if errors.As(err, &none) { // one that is gone is found by the next sweep
		return nil
	}
	return err
}
