package activities

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/notify"
	"github.com/planetlab/monitor/policy"
	sites "github.com/planetlab/monitor/site"
	"github.com/planetlab/monitor/store"
)

// letter is what the ledger keeps of a message from its intent on, so that a second try says the same to the same people.
type letter struct {
	Message    notify.Message `json:"message"`
	Exempt     []string       `json:"exempt,omitempty"`
	Said       []said         `json:"said"`
	Threatened bool           `json:"threatened,omitempty"`
	NotBefore  time.Time      `json:"not_before,omitzero"`
	Test       bool           `json:"test,omitempty"` // only the test address gets it
}

// said is one notice of a message.
type said struct {
	Kind   string `json:"kind"`
	Target string `json:"target"`
	Issue  string `json:"issue,omitempty"`
	Node   string `json:"node,omitempty"`
}

// WriteToSite writes one message to a site's people about what holds of the notices that have gathered. It is composed at the last moment,
// from facts read now. A second try under the same key finds in the ledger how far the first has come.
func (a *Activities) WriteToSite(ctx context.Context, in sites.MailRequest) (sites.MailResult, error) {
	defer heartbeat(ctx)()
	res := sites.MailResult{Outcome: sites.MailNothing, Ticket: in.Ticket}
	before, err := a.Store.Action(ctx, in.Key)
	var l letter
	switch {
	case errors.Is(err, store.ErrNotFound):
		if l, res, err = a.compose(ctx, in); err != nil || res.Outcome != sites.MailSent {
			return res, err
		}
		if before, err = a.intend(ctx, in, l); err != nil {
			return res, err
		}
	case err != nil:
		return res, err
	}
	if err := json.Unmarshal(before.Data, &l); err != nil {
		return res, fmt.Errorf("ledger %s: %w", in.Key, err)
	}
	switch before.Outcome {
	case "", store.Ambiguous:
	case store.Sent:
		return a.sent(in, l, sites.MailResult{Outcome: sites.MailSent, Ticket: in.Ticket, Reached: !l.Test}), nil
	case store.Refused:
		res.Outcome, res.Reason = sites.MailRefused, before.Detail
		return res, nil
	default:
		res.Outcome, res.Reason = sites.MailWait, before.Detail
		return res, nil
	}
	if !before.Begun() {
		if a.ordered(ctx) != "" {
			res.Outcome, res.Reason = sites.MailStopped, "what came in meanwhile changes it"
			return res, a.Store.Outcome(context.WithoutCancel(ctx), in.Key, store.Skipped, res.Reason)
		}
		if mine, err := a.Store.Commit(ctx, in.Key); err != nil || !mine {
			return sites.MailResult{Outcome: sites.MailWait, Reason: "another try has taken it", Ticket: in.Ticket}, err
		}
	}
	return a.deliver(context.WithoutCancel(ctx), in, l)
}

func (a *Activities) intend(ctx context.Context, in sites.MailRequest, l letter) (store.Action, error) {
	data, err := json.Marshal(l)
	if err != nil {
		return store.Action{}, err
	}
	action, _, err := a.Store.Intent(ctx, store.Action{Key: in.Key, Kind: store.KindNotice, Issue: l.Said[0].Issue, Node: l.Said[0].Node, Site: in.Site, Reason: about(l.Said), Data: data})
	return action, err
}

func (a *Activities) sent(in sites.MailRequest, l letter, res sites.MailResult) sites.MailResult {
	res.Threatened, res.NotBefore, res.MessageID = l.Threatened, l.NotBefore, l.Message.MessageID
	return res
}

// compose makes the message of what may be said now. Its outcome is MailSent when there is one.
func (a *Activities) compose(ctx context.Context, in sites.MailRequest) (letter, sites.MailResult, error) {
	res := sites.MailResult{Outcome: sites.MailNothing, Ticket: in.Ticket}
	facts, err := a.siteFacts(ctx, policy.ActNotify, in.Site)
	if err != nil {
		return letter{}, res, err
	}
	if !facts.Exists { // nobody is there any more
		return letter{}, res, nil
	}
	answer := policy.Ask(a.Policy, facts, a.now())
	kept, err := a.stillTrue(ctx, in, answer)
	if err != nil {
		return letter{}, res, err
	}
	if len(kept) == 0 {
		if !answer.Do && (answer.Check == "lease" || answer.Check == "switch") { // held back for now, not unsaid for ever
			res.Outcome, res.Reason, res.Until = sites.MailWait, answer.Reason, answer.Until
		}
		return letter{}, res, nil
	}
	to, exempt, err := a.audience(ctx, in.Site, in.Reaches)
	if err != nil {
		return letter{}, res, err
	}
	if len(to) == 0 {
		res.Outcome, res.Reason = sites.MailNobody, "nobody at the site can be written to: it has nobody in PLC who is enabled and not exempt"
		return letter{}, res, a.flagUnreachable(ctx, in.Site, res.Reason)
	}
	l := letter{Exempt: exempt, Test: a.Mode == notify.ModeTest}
	n, err := a.notice(ctx, in, kept, &l)
	if err != nil {
		return l, res, err
	}
	n.To = to
	if a.observes() || facts.Mode != policy.ModeAct {
		res.Reason = fmt.Sprintf("observe mode: %s would be written to about %s", strings.Join(to, ", "), about(l.Said))
		return l, res, a.skipSite(ctx, in.Site, "message", res.Reason)
	}
	l.Message, err = notify.Render(n)
	res.Outcome = sites.MailSent
	return l, res, err
}

// audience are the people for a level. Where it has nobody, the next ones are written to: somebody is to hear of it before anything is
// denied.
func (a *Activities) audience(ctx context.Context, login string, level int) (to, exempt []string, err error) {
	for ; ; level++ {
		people, skipped, err := a.Store.Contacts(ctx, login, policy.Audience(level), a.now())
		if err != nil {
			return nil, nil, err
		}
		exempt = skipped
		for _, p := range people {
			to = append(to, p.Email)
		}
		if len(to) > 0 || level >= policy.Top {
			return to, exempt, nil
		}
	}
}

// flagUnreachable tells the admins, once a week, that a site has nobody who can be told.
func (a *Activities) flagUnreachable(ctx context.Context, login, reason string) error {
	week := a.now().Truncate(7 * a.Policy.Day).UTC().Format(time.RFC3339)
	return a.flagSite(ctx, login, sites.ID(login)+"/unreachable/"+week, []string{reason, "nothing is denied to it until somebody can be told"})
}

// stillTrue are the notices that hold at this moment, and may be said. Good news passes always.
func (a *Activities) stillTrue(ctx context.Context, in sites.MailRequest, may policy.Answer) ([]sites.Notice, error) {
	var kept []sites.Notice
	for _, n := range in.Notices {
		why, err := a.unsaid(ctx, in, n, may)
		if err != nil {
			return nil, err
		}
		if why == "" {
			kept = append(kept, n)
		} else if err := a.skipSite(ctx, in.Site, n.Kind+" "+targetOf(n, in.Site), why); err != nil {
			return nil, err
		}
	}
	return kept, nil
}

// unsaid is why a notice is not to be said now; empty: it is.
func (a *Activities) unsaid(ctx context.Context, in sites.MailRequest, n sites.Notice, may policy.Answer) (string, error) {
	switch n.Kind {
	case sites.Online:
		return a.notGood(ctx, n.Ref)
	case sites.Cleared, sites.Eased:
		return "", nil
	}
	if !may.Do && may.Check != "mode" { // in observe mode it is said what would be
		return may.Reason, nil
	}
	if n.Kind == sites.Penalty || n.Kind == sites.Warn || n.Kind == sites.Resumed {
		return "", nil
	}
	if n.Ref.Node != "" {
		node, err := a.Store.Node(ctx, n.Ref.Node)
		switch {
		case errors.Is(err, store.ErrNotFound) || err == nil && node.Gone:
			return "PLC does not have it any more", nil
		case err != nil:
			return "", err
		case n.Kind == string(notify.Down) && node.Record.Status.Healthy():
			return "it works again: " + node.Reason, nil
		}
		entry, listed, err := a.Store.Blacklisted(ctx, n.Ref.Node, in.Site, a.now())
		switch {
		case err != nil:
			return "", err
		case node.ExemptUntil.After(a.now()):
			return "the node is exempt in PLC", nil
		case listed:
			return "blacklisted: " + entry.Reason, nil
		}
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

// notGood is why nobody is to be thanked for a target: it is bad again, or other trouble with it is open.
func (a *Activities) notGood(ctx context.Context, ref issue.Ref) (string, error) {
	switch {
	case ref.Node != "":
		n, err := a.Store.Node(ctx, ref.Node)
		if errors.Is(err, store.ErrNotFound) {
			return "PLC does not have it any more", nil
		}
		if err != nil {
			return "", err
		}
		if n.Gone || n.Record.Status.Unhealthy() {
			return "it is not good again: " + n.Reason, nil
		}
		open, err := a.Store.Issues(ctx, store.IssueFilter{Node: ref.Node, Open: true, Limit: 1})
		if err != nil || len(open) == 0 {
			return "", err
		}
		return open[0].ID + " is open", nil
	case ref.PCUID != 0:
		p, err := a.Store.PCU(ctx, ref.PCUID)
		if errors.Is(err, store.ErrNotFound) {
			return "PLC does not have it any more", nil
		}
		if err == nil && !p.OK && !p.SeenAt.IsZero() {
			return "it is not good again: " + p.Reason, nil
		}
		return "", err
	}
	return "", nil
}

func targetOf(n sites.Notice, login string) string {
	if t := n.Ref.Target(); t != "" {
		return t
	}
	return login
}

// notice puts together what is said and what comes next, as data. A step is announced only if nothing of what it needs is missing.
func (a *Activities) notice(ctx context.Context, in sites.MailRequest, kept []sites.Notice, l *letter) (notify.Notice, error) {
	row, err := a.Store.Site(ctx, in.Site)
	if err != nil {
		return notify.Notice{}, err
	}
	n := notify.Notice{Site: in.Site, SiteName: row.Name, Level: in.Level, Open: in.Open, At: a.now().UTC(), MessageID: notify.MessageID(in.Key, a.Domain)}
	if last := len(in.Thread); last > 0 {
		n.InReplyTo, n.References = in.Thread[last-1], in.Thread
	}
	if a.RT != nil {
		n.ReplyHolds = in.ReplyPause
	}
	bad := false
	for _, k := range kept {
		l.Said = append(l.Said, said{Kind: k.Kind, Target: targetOf(k, in.Site), Issue: k.Ref.ID, Node: k.Ref.Node})
		item := notify.Item{Kind: notify.Kind(k.Kind), Issue: k.Ref.ID, Type: k.Ref.Type, Target: k.Ref.Target(), Since: k.Since.UTC(), Evidence: k.Evidence,
			Deeds: k.Deeds, Advice: k.Advice}
		switch k.Kind {
		case sites.Penalty, sites.Warn, sites.Resumed, sites.Eased:
			if item.Evidence, err = a.holdersNow(ctx, in.Holds); err != nil {
				return n, err
			}
		}
		bad = bad || k.Kind != sites.Online && k.Kind != sites.Cleared
		n.Items = append(n.Items, item)
	}
	if !bad { // good news carries no threats
		return n, nil
	}
	return n, a.foretell(ctx, in, row, &n, l)
}

// holdersNow says of each machine that holds a level what is known of it now.
func (a *Activities) holdersNow(ctx context.Context, holds []sites.Hold) ([]string, error) {
	var lines []string
	for _, h := range holds {
		line := h.Ref.Target()
		if h.Ref.Node != "" {
			n, err := a.Store.Node(ctx, h.Ref.Node)
			if err != nil && !errors.Is(err, store.ErrNotFound) {
				return nil, err
			}
			if n.Reason != "" {
				line += ": " + n.Reason
			}
		}
		if !slices.Contains(lines, line) {
			lines = append(lines, line)
		}
	}
	return lines, nil
}

// foretell takes over what comes next. It asks the conditions of the acts themselves: a site that has enough nodes is not threatened, and
// neither is one where nothing is raised.
func (a *Activities) foretell(ctx context.Context, in sites.MailRequest, row store.Site, n *notify.Notice, l *letter) error {
	up, _, err := a.nodesUp(ctx, in.Site)
	if err != nil {
		return err
	}
	spared, err := a.spared(ctx, row, row.Gone)
	if err != nil {
		return err
	}
	threatens := up < a.Policy.SiteMinUp && spared == nil
	var from time.Time // a site must be down so long
	if !row.Record.Changed.IsZero() && row.Record.Status.Unhealthy() {
		from = row.Record.Changed.Add(a.Policy.SiteDownBeforePenalty)
	} else {
		from = a.now().Add(a.Policy.SiteDownBeforePenalty)
	}
	for _, c := range in.Coming {
		if c.What == sites.ComesStep {
			if !threatens {
				continue
			}
			if c.At.Before(from) {
				c.At = from
			}
			if in.Threat != nil && c.Level == in.Threat.Level {
				l.Threatened, l.NotBefore = true, c.At
			}
			from = c.At.Add(a.Policy.PenaltyStep)
		}
		n.Coming = append(n.Coming, c)
	}
	return nil
}

// about lists what a message says, for the ledger.
func about(list []said) string {
	var kinds []string
	targets := map[string][]string{}
	for _, s := range list {
		if targets[s.Kind] == nil {
			kinds = append(kinds, s.Kind)
		}
		targets[s.Kind] = append(targets[s.Kind], s.Target)
	}
	for i, k := range kinds {
		kinds[i] = strings.TrimSpace(k + " " + strings.Join(targets[k], " "))
	}
	return strings.Join(kinds, ", ")
}

// deliver takes a message to where the site's people are: into its ticket, or to their mailboxes.
func (a *Activities) deliver(ctx context.Context, in sites.MailRequest, l letter) (sites.MailResult, error) {
	res := a.sent(in, l, sites.MailResult{Outcome: sites.MailSent, Ticket: in.Ticket, Reached: !l.Test})
	var detail string
	if a.RT != nil {
		var failure error
		var unsent bool
		res.Ticket, detail, unsent, failure = a.intoTicket(ctx, in, l)
		if failure != nil {
			return a.notDelivered(ctx, in, res, unsent, failure)
		}
	} else {
		receipt, err := a.Mail.Send(ctx, l.Message)
		detail = receipt.String()
		switch failure := notify.FailureOf(err); {
		case len(receipt.Accepted) > 0: // who is deferred is tried again, alone
			res.Deferred = receipt.Left()
			if err != nil {
				detail += ": " + err.Error()
			}
		case err == nil:
			res.Reached = false // observe mode of the sender
		case failure == notify.Permanent:
			res.Outcome, res.Reason, res.Reached = sites.MailRefused, detail+": "+err.Error(), false
			a.Log.Error("the mail server refuses a message, to everybody", "site", in.Site, "reason", res.Reason)
			return res, errors.Join(a.flagUnreachable(ctx, in.Site, res.Reason), a.Store.Outcome(ctx, in.Key, store.Refused, res.Reason))
		default:
			return a.notDelivered(ctx, in, res, failure != notify.Ambiguous, err)
		}
	}
	if len(l.Exempt) > 0 {
		detail += fmt.Sprintf("; %d exempt people left out", len(l.Exempt))
	}
	if err := a.Store.Outcome(ctx, in.Key, store.Sent, detail); err != nil {
		return res, err
	}
	if l.Test { // nobody at the site knows of it
		return res, nil
	}
	for _, s := range l.Said {
		if err := a.Store.RecordNotice(ctx, store.Notice{Kind: s.Kind, Target: s.Target, Site: in.Site, MessageID: l.Message.MessageID, Recipients: l.Message.To, At: a.now()}); err != nil {
			return res, err
		}
	}
	return res, nil
}

// notDelivered is a message that nobody has, or of which nobody knows whether somebody has it.
func (a *Activities) notDelivered(ctx context.Context, in sites.MailRequest, res sites.MailResult, unsent bool, why error) (sites.MailResult, error) {
	a.Log.Warn("a message waits", "site", in.Site, "reason", why)
	ticket := res.Ticket
	res = sites.MailResult{Outcome: sites.MailLost, Reason: why.Error(), Ticket: ticket}
	outcome := store.Ambiguous
	if unsent {
		res.Outcome, outcome = sites.MailWait, store.Failed
		action, err := a.Store.Action(ctx, in.Key)
		if err != nil {
			return res, err
		}
		if action.Outcome == store.Ambiguous { // an earlier try may have got through: it stays so
			res.Outcome = sites.MailLost
			return res, nil
		}
	}
	return res, a.Store.Outcome(ctx, in.Key, outcome, why.Error())
}

// mostLostTries is how often a message is sent once more to somebody who may have it already.
const mostLostTries = 5

// WriteToTheLate sends a message once more to each of those whose server has deferred it, and answers who is still without it. What becomes
// of each stands in the ledger.
func (a *Activities) WriteToTheLate(ctx context.Context, in sites.LateRequest) ([]string, error) {
	defer heartbeat(ctx)()
	action, err := a.Store.Action(ctx, in.Key)
	if err != nil {
		return nil, err
	}
	var l letter
	if err := json.Unmarshal(action.Data, &l); err != nil {
		return nil, fmt.Errorf("ledger %s: %w", in.Key, err)
	}
	now, exempt, err := a.audience(ctx, in.Site, policy.Top)
	if err != nil {
		return nil, err
	}
	var left []string
	for _, to := range in.To {
		late, err := a.writeToOne(ctx, in, l, to, !slices.Contains(exempt, to) && slices.Contains(now, to))
		if err != nil {
			return nil, err
		}
		if late {
			left = append(left, to)
		}
	}
	return left, nil
}

func (a *Activities) writeToOne(ctx context.Context, in sites.LateRequest, l letter, to string, still bool) (late bool, err error) {
	key := in.Key + "/to/" + to
	action, _, err := a.Store.Intent(ctx, store.Action{Key: key, Kind: store.KindNotice, Issue: l.Said[0].Issue, Node: l.Said[0].Node, Site: in.Site, Reason: "deferred at first: " + about(l.Said)})
	if err != nil || action.Outcome != "" && action.Outcome != store.Ambiguous {
		return false, err
	}
	if !still {
		return false, a.Store.Outcome(ctx, key, store.Skipped, "is no contact of the site any more, or exempt")
	}
	m := l.Message
	m.Only = []string{to}
	receipt, sendErr := a.Mail.Send(ctx, m)
	ctx = context.WithoutCancel(ctx)
	switch {
	case sendErr == nil:
		return false, a.Store.Outcome(ctx, key, store.Sent, receipt.String())
	case notify.FailureOf(sendErr) == notify.Permanent:
		return false, a.Store.Outcome(ctx, key, store.Refused, sendErr.Error())
	case notify.FailureOf(sendErr) == notify.Ambiguous:
		return in.Tries < mostLostTries && !in.Last, a.Store.Outcome(ctx, key, store.Ambiguous, sendErr.Error())
	case in.Last && action.Outcome == store.Ambiguous:
		return false, nil
	case in.Last:
		return false, a.Store.Outcome(ctx, key, store.Failed, fmt.Sprintf("deferred since %s: %v", in.Since.UTC().Format(time.RFC3339), sendErr))
	}
	return true, nil
}

// send is mail for those who have no other way to be told: that everybody is refused is part of its receipt.
func (a *Activities) send(ctx context.Context, n notify.Notice, only []string) (string, error) {
	message, err := notify.Render(n)
	if err != nil {
		return "", err
	}
	message.Only = only
	receipt, err := a.Mail.Send(ctx, message)
	if len(receipt.Accepted) > 0 || notify.FailureOf(err) == notify.Permanent {
		text := receipt.String()
		if err != nil {
			text += ": " + err.Error()
		}
		return text, nil
	}
	return receipt.String(), err
}
