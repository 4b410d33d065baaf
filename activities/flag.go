package activities

import (
	"context"

	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/policy"
)

// Flag tells the admins, once an issue, that Monitor can do no more; after that the rung only looks.
func (a *People) Flag(ctx context.Context, req issue.Request) (issue.Result, error) {
	return a.rungs.run(ctx, req, func(ctx context.Context, t task) (issue.Result, error) {
		answer, err := a.gate.ask(ctx, policy.ActNotify, t.ref(), t.seen)
		if err != nil {
			return issue.Result{}, err
		}
		if !answer.Do {
			return a.rungs.refuse(ctx, t, answer)
		}
		said, err := a.post.flagOnce(ctx, t, "flag", "the last rung was reached", "")
		return issue.Result{Outcome: issue.Acted, Reason: said}, err
	})
}
