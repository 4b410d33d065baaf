package activities

import (
	"context"

	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/notify"
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/store"
)

// Flag tells the admins, once an issue, that Monitor can do no more; after that the rung only looks.
func (a *Activities) Flag(ctx context.Context, req issue.Request) (issue.Result, error) {
	return a.runRung(ctx, req, func(ctx context.Context, t task) (issue.Result, error) {
		answer, err := a.ask(ctx, policy.ActNotify, t.ref(), t.seen)
		if err != nil {
			return issue.Result{}, err
		}
		if !answer.Do {
			return a.refuse(ctx, t, answer)
		}
		said, err := a.flagOnce(ctx, t, "flag", "the last rung was reached", "")
		return issue.Result{Outcome: issue.Acted, Reason: said}, err
	})
}

// flagOnce writes to the admins about an issue, once for each mark, and answers what became of that.
func (a *Activities) flagOnce(ctx context.Context, t task, mark, reason, fix string) (string, error) {
	ref := t.ref()
	key := ref.Episode() + "/" + mark
	action, existed, err := a.Store.Intent(ctx, store.Action{
		Key: key, Kind: store.KindFlag, Issue: ref.ID, RunID: ref.Run, Node: ref.Node, Site: ref.Site, PCU: ref.PCUID, Reason: reason,
	})
	if err != nil {
		return "", err
	}
	if existed && action.Outcome != "" {
		return "still not good; the admins know", nil
	}
	a.postEvent(notify.EventFlagged, key, ref, t.State.Level, t.State.Cause)
	if len(a.Admins) == 0 {
		return "flagged; mail.admins is empty, so nobody was written to", a.Store.Outcome(ctx, key, store.Done, "flagged")
	}
	return a.tell(ctx, key, store.Done, "flagged for the admins", notify.Notice{
		Kind: notify.Flagged, Site: ref.Site, At: a.now().UTC(), To: a.Admins, MessageID: notify.MessageID(key, a.Domain),
		Items: []notify.Item{{
			Issue: ref.ID, Type: ref.Type, Target: ref.Target(), Since: t.State.Opened, Evidence: t.evidence(), Deeds: t.State.Deeds, Fix: fix,
		}},
	})
}

// tell writes to the admins and writes down that they know. A server that took the message and hung up may have delivered it: nobody
// gets it again every hour for that.
func (a *Activities) tell(ctx context.Context, key, outcome, said string, n notify.Notice) (string, error) {
	_, err := a.send(ctx, n, nil)
	if notify.FailureOf(err) == notify.Ambiguous {
		said, err = said+"; the mail server hung up before it said whether it took the message", nil
	}
	if err != nil {
		return "", err
	}
	return said, a.Store.Outcome(context.WithoutCancel(ctx), key, outcome, said)
}
