package activities

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/notify"
	"github.com/planetlab/monitor/policy"
	sites "github.com/planetlab/monitor/site"
	"github.com/planetlab/monitor/store"
)

// stillTrue are the notices that hold at this moment, and may be said. Good news passes always. What is about a type of
// issue that Monitor only looks at for now waits, by its name.
func (a *People) stillTrue(ctx context.Context, in sites.MailRequest,
	may policy.Answer) (kept []sites.Notice, waits []string, err error) {
	controls, err := a.Store.Controls(ctx)
	if err != nil {
		return nil, nil, err
	}
	for _, n := range in.Notices {
		why := a.gate.onlyLooked(controls, in.Site, n.Ref.Type)
		if why != "" {
			waits = append(waits, n.Name())
		} else if why, err = a.unsaid(ctx, in, n, may); err != nil {
			return nil, nil, err
		}
		if why == "" {
			kept = append(kept, n)
		} else if err := a.skipSite(ctx, in.Site, n.Kind+" "+targetOf(n, in.Site), why); err != nil {
			return nil, nil, err
		}
	}
	return kept, waits, nil
}

// unsaid is why a notice is not to be said now; empty: it is.
func (a *People) unsaid(ctx context.Context, in sites.MailRequest, n sites.Notice, may policy.Answer) (string, error) {
	if why := overtakenBy(in.Level, n.Kind); why != "" {
		return why, nil
	}
	switch n.Kind {
	case sites.Online:
		return a.notGood(ctx, n.Ref)
	case sites.Gone, sites.Closed:
		return a.notEnded(ctx, n)
	case sites.Cleared, sites.Eased:
		return "", nil
	}
	if !may.Do && may.Check != "mode" { // in observe mode it is said what would be
		return may.Reason, nil
	}
	switch n.Kind {
	case sites.Warn:
		return a.notComing(ctx, in)
	case sites.Penalty, sites.Resumed, sites.Continued:
		return "", nil
	}
	if n.Ref.Node != "" {
		node, err := a.Store.Node(ctx, n.Ref.Node)
		switch {
		case errors.Is(err, store.ErrNotFound) || err == nil && node.Gone:
			return a.from() + " does not have it any more", nil
		case err != nil:
			return "", err
		case n.Kind == string(notify.Down) && node.Record.Status.Healthy():
			return "it works again: " + node.Reason, nil
		}
		if why := mended(n, node); why != "" {
			return why, nil
		}
		if node.ExemptUntil.After(a.now()) {
			return "the node is exempt in " + a.from(), nil
		}
	}
	if n.Ref.PCUID != 0 && n.Ref.Node == "" {
		p, err := a.Store.PCU(ctx, n.Ref.PCUID)
		switch {
		case errors.Is(err, store.ErrNotFound) || err == nil && p.Gone:
			return a.from() + " does not have it any more", nil
		case err != nil:
			return "", err
		case p.OK && p.SeenAt.After(n.NotBefore):
			return "it works again", nil
		}
	}
	entry, listed, err := a.Store.Blacklisted(ctx, n.Ref.Node, in.Site, aboutPCU(n.Ref), a.now())
	switch {
	case err != nil:
		return "", err
	case listed:
		return "exempt: " + entry.Reason, nil
	}
	last, err := a.Store.LastNotice(ctx, n.Kind, targetOf(n, in.Site))
	if err != nil {
		return "", err
	}
	if due := policy.NoticeDue(a.Policy, n.Kind, last, a.now()); !due.Do {
		return due.Reason, nil
	}
	return "", nil
}

// mended is what a look at a node has found since a notice was due, if that ends what the notice is about: the message may
// have waited for days.
func mended(n sites.Notice, node store.Node) string {
	typ, known := issue.Lookup(n.Ref.Type)
	if !known || typ.Recovered == nil || !node.SeenAt.After(n.NotBefore) {
		return ""
	}
	if ok, why := typ.Recovered(issue.Facts{Node: storedFacts(node)}); ok {
		return "it works again: " + why
	}
	return ""
}

// overtakenBy is why nothing is said of a step of the level: another one came before the message went out.
func overtakenBy(level int, kind string) string {
	if kind == sites.Penalty && level == 0 || kind == sites.Eased && level != 1 || kind == sites.Cleared && level != 0 {
		return fmt.Sprintf("the penalty level is %d by now", level)
	}
	return ""
}

// notComing is why nobody is warned of a step: who let go meanwhile, or came back, has taken it away.
func (a *People) notComing(ctx context.Context, in sites.MailRequest) (string, error) {
	row, err := a.Store.Site(ctx, in.Site)
	if err != nil {
		return "", err
	}
	threatens, err := a.threatens(ctx, in, row)
	if err != nil {
		return "", err
	}
	if !threatens || !slices.ContainsFunc(in.Coming, func(c sites.Coming) bool { return c.What == sites.ComesStep }) {
		return "the step that it warns of does not come any more", nil
	}
	return "", nil
}

// notGood is why nobody is to be thanked for a target: it is bad again, or other trouble with it is open.
func (a *People) notGood(ctx context.Context, ref issue.Ref) (string, error) {
	switch {
	case ref.Node != "":
		n, err := a.Store.Node(ctx, ref.Node)
		if errors.Is(err, store.ErrNotFound) {
			return a.from() + " does not have it any more", nil
		}
		if err != nil {
			return "", err
		}
		if n.Gone || n.Record.Status.Unhealthy() {
			return "it is not good again: " + n.Reason, nil
		}
		return a.openTrouble(ctx, ref)
	case ref.PCUID != 0:
		p, err := a.Store.PCU(ctx, ref.PCUID)
		if errors.Is(err, store.ErrNotFound) {
			return a.from() + " does not have it any more", nil
		}
		if err == nil && !p.OK && !p.SeenAt.IsZero() {
			return "it is not good again: " + p.Reason, nil
		}
		return "", err
	}
	return "", nil
}

// notEnded is why nobody is told that a target is let be: PLC has it again, or other trouble with it is open.
func (a *People) notEnded(ctx context.Context, n sites.Notice) (string, error) {
	if n.Kind == sites.Gone {
		if gone, err := a.rungs.gone(ctx, n.Ref); err != nil || !gone {
			return a.from() + " has it", err
		}
	}
	return a.openTrouble(ctx, n.Ref)
}

// openTrouble names an open issue of a node; empty: there is none.
func (a *People) openTrouble(ctx context.Context, ref issue.Ref) (string, error) {
	if ref.Node == "" {
		return "", nil
	}
	open, err := a.Store.Issues(ctx, store.IssueFilter{Node: ref.Node, Open: true, Limit: 1})
	if err != nil || len(open) == 0 {
		return "", err
	}
	return open[0].ID + " is open", nil
}

func targetOf(n sites.Notice, login string) string {
	if t := n.Ref.Target(); t != "" {
		return t
	}
	return login
}
