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
	"github.com/planetlab/monitor/notify/rt"
	"github.com/planetlab/monitor/policy"
	sites "github.com/planetlab/monitor/site"
	"github.com/planetlab/monitor/store"
)

// People tells a site's people and the admins: Email and Flag are rungs, the others are what a site's workflow says, in
// mail or in a ticket.
type People struct {
	*ledger
	rungs     *rungs
	gate      *gate
	workflows *workflows
	post      *post
	RT        *rt.Client // nil: people are written to by mail alone
	TestTo    string     // gets all mail in test mode
	Pages     string     // address of PLC's web pages; empty: messages have no links
	Probes    []string   // addresses from which Monitor looks, as people are told
	Link      Linker     // nil: messages have no pages on which one says that one is at it
}

// Linker makes the address of a page for the people of a site, where they say that they are at an issue.
type Linker func(ref issue.Ref, now time.Time) string

// letter is what the ledger keeps of a message from its intent on, so that a second try says the same to the same
// people.
type letter struct {
	Message    notify.Message `json:"message"`
	Facts      notify.Notice  `json:"facts"`             // from which it was made; package proof holds it against them
	Covers     int            `json:"covers,omitempty"`  // a level all of whose people it goes to
	Without    []string       `json:"without,omitempty"` // who is taken from the watchers of the ticket
	Exempt     []string       `json:"exempt,omitempty"`
	Said       []said         `json:"said"`
	Waits      []string       `json:"waits,omitempty"` // notices that were left out for now
	Threatened bool           `json:"threatened,omitempty"`
	NotBefore  time.Time      `json:"not_before,omitzero"`
	Test       bool           `json:"test,omitempty"` // only the test address gets it

	Result *sites.MailResult `json:"result,omitempty"` // what it has come to, once it went out
}

// said is one notice of a message.
type said struct {
	Kind   string `json:"kind"`
	Target string `json:"target"`
	Issue  string `json:"issue,omitempty"`
	Node   string `json:"node,omitempty"`
}

// WriteToSite writes one message to a site's people about what holds of the notices that have gathered. It is composed
// at the last moment, from facts read now. A second try under the same key finds in the ledger how far the first has
// come.
func (a *People) WriteToSite(ctx context.Context, in sites.MailRequest) (sites.MailResult, error) {
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
	res.Waits = l.Waits
	switch before.Outcome {
	case "", store.Ambiguous:
	case store.Sent:
		if l.Result == nil {
			return res, fmt.Errorf("ledger %s: it went out, and does not say to whom", in.Key)
		}
		return *l.Result, nil
	case store.Refused:
		res.Outcome, res.Reason = sites.MailRefused, before.Detail
		return res, nil
	default:
		res.Outcome, res.Reason = sites.MailWait, before.Detail
		return res, nil
	}
	// it is asked for under the same key what became of it: composed anew it would be said twice
	taken := sites.MailResult{Outcome: sites.MailLost, Reason: takenByAnother, Ticket: in.Ticket,
		Waits: l.Waits}
	forgo := func() (sites.MailResult, error) {
		begun, err := a.Store.Forgo(context.WithoutCancel(ctx), in.Key, res.Reason)
		if begun {
			return taken, err
		}
		return res, err
	}
	if !before.Begun() && a.workflows.ordered(ctx) != "" {
		res.Outcome, res.Reason = sites.MailStopped, "what came in meanwhile changes it"
		return forgo()
	}
	if no, err := a.mayNotRepeat(ctx, in.Site, l); err != nil || no.Reason != "" {
		res.Outcome, res.Reason, res.Until = sites.MailHeld, no.Reason, no.Until
		if err == nil && !before.Begun() { // nobody has it: it is composed anew when it may be said
			res.Outcome = sites.MailWait
			return forgo()
		}
		return res, err
	}
	if may, err := a.maySend(ctx, before); err != nil || !may {
		return taken, err
	}
	return a.deliver(context.WithoutCancel(ctx), in, l)
}

func (a *People) intend(ctx context.Context, in sites.MailRequest, l letter) (store.Action, error) {
	data, err := json.Marshal(l)
	if err != nil {
		return store.Action{}, err
	}
	action, _, err := a.Store.Intent(ctx, store.Action{Key: in.Key, Kind: store.KindNotice, Issue: l.Said[0].Issue,
		Node: l.Said[0].Node, Site: in.Site, Reason: about(l.Said), Data: data})
	return action, err
}

func (a *People) sent(in sites.MailRequest, l letter, res sites.MailResult) sites.MailResult {
	res.Threatened, res.NotBefore, res.MessageID, res.Covers = l.Threatened, l.NotBefore, l.Message.MessageID, l.Covers
	res.Waits = l.Waits
	return res
}

// compose makes the message of what may be said now. Its outcome is MailSent when there is one.
func (a *People) compose(ctx context.Context, in sites.MailRequest) (letter, sites.MailResult, error) {
	res := sites.MailResult{Outcome: sites.MailNothing, Ticket: in.Ticket}
	facts, err := a.gate.siteFacts(ctx, policy.ActNotify, in.Site)
	if err != nil {
		return letter{}, res, err
	}
	if !facts.Exists { // nobody is there any more
		return letter{}, res, nil
	}
	answer := policy.Ask(a.Policy, facts, a.now())
	kept, waits, err := a.stillTrue(ctx, in, answer)
	if err != nil {
		return letter{}, res, err
	}
	res.Waits = waits
	if len(kept) == 0 {
		// These two end by themselves: the message waits for that, and is not lost.
		if !answer.Do && (answer.Check == "lease" || answer.Check == "switch") {
			res.Outcome, res.Reason, res.Until = sites.MailWait, answer.Reason, answer.Until
		}
		return letter{}, res, nil
	}
	to, exempt, err := a.audience(ctx, in.Site, in.Reaches)
	if err != nil {
		return letter{}, res, err
	}
	if len(to) == 0 {
		res.Outcome, res.Reason = sites.MailNobody,
			"nobody at the site can be written to: it has nobody in "+a.from()+" who is enabled and not exempt"
		return letter{}, res, a.flagUnreachable(ctx, in.Site, res.Reason)
	}
	l := letter{Exempt: exempt, Test: a.Mode == notify.ModeTest, Waits: waits}
	n, err := a.notice(ctx, in, kept, to, &l)
	if err != nil || len(n.Items) == 0 {
		return l, res, err
	}
	n.To = to
	if err := a.addressees(ctx, in.Site, to, &n, &l); err != nil {
		return l, res, err
	}
	if a.observes() || facts.Mode != policy.ModeAct {
		if !a.observes() { // an order ends some day, and then it is to be said
			res.Outcome = sites.MailWait
		}
		res.Reason = fmt.Sprintf("observe mode: %s would be written to about %s", strings.Join(to, ", "), about(l.Said))
		return l, res, a.skipSite(ctx, in.Site, "message", res.Reason)
	}
	l.Message, err = notify.Render(n)
	l.Facts = n
	res.Outcome = sites.MailSent
	return l, res, err
}

// audience are the people for a level. Where it has nobody, the next ones are written to: somebody is to hear of it
// before anything is denied.
func (a *People) audience(ctx context.Context, login string, level int) (to, exempt []string, err error) {
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
func (a *People) flagUnreachable(ctx context.Context, login, reason string) error {
	week := a.now().Truncate(7 * a.Policy.Day).UTC().Format(time.RFC3339)
	return a.post.flagSite(ctx, login, causeUnreachable, sites.ID(login)+"/unreachable/"+week,
		[]string{reason, "nothing is denied to it until somebody can be told"})
}

// notice puts together what is said and what comes next, as data. A step is announced only if nothing of what it needs
// is missing.
func (a *People) notice(ctx context.Context, in sites.MailRequest, kept []sites.Notice, to []string,
	l *letter) (notify.Notice, error) {
	row, err := a.Store.Site(ctx, in.Site)
	if err != nil {
		return notify.Notice{}, err
	}
	n := notify.Notice{Site: in.Site, SiteName: row.Name, Level: in.Level, Open: in.Open, At: a.now().UTC(),
		MessageID: notify.MessageID(in.Key, a.post.Domain), NoPLC: a.NoPLC != nil}
	if last := len(in.Thread); last > 0 {
		n.InReplyTo, n.References = in.Thread[last-1], in.Thread
	}
	if a.RT != nil {
		n.ReplyHolds = in.ReplyPause
	}
	for _, h := range in.Holds {
		if target := h.Ref.Target(); h.Ref.Type != sites.OrderType && !slices.Contains(n.Still, target) {
			n.Still = append(n.Still, target)
		}
	}
	good := func(k sites.Notice) bool { return sites.Ends(k.Kind) || k.Kind == sites.Cleared }
	if slices.ContainsFunc(kept, func(k sites.Notice) bool { return !good(k) }) { // good news carries no threats
		if err := a.foretell(ctx, in, row, &n, l); err != nil {
			return n, err
		}
	}
	if !l.Threatened { // nothing is to come, so that there is nothing to warn of
		kept = slices.DeleteFunc(kept, func(k sites.Notice) bool { return k.Kind == sites.Warn })
	}
	for _, k := range kept {
		l.Said = append(l.Said, said{Kind: k.Kind, Target: targetOf(k, in.Site), Issue: k.Ref.ID, Node: k.Ref.Node})
		item, err := a.item(ctx, in, k)
		if err != nil {
			return n, err
		}
		if k.Kind == sites.Penalty {
			if n.Announced, err = a.announced(ctx, k.Word, to); err != nil {
				return n, err
			}
		}
		n.Items = append(n.Items, item)
	}
	return n, nil
}

// item is what is known now of one thing to say.
func (a *People) item(ctx context.Context, in sites.MailRequest, k sites.Notice) (notify.Item, error) {
	item := notify.Item{Kind: notify.Kind(k.Kind), Issue: k.Ref.ID, Type: k.Ref.Type, Target: k.Ref.Target(),
		Since: k.Since.UTC(), Evidence: k.Evidence, Deeds: k.Deeds, Advice: k.Advice, By: k.By, Why: string(k.Why)}
	var err error
	switch k.Kind {
	case sites.Penalty, sites.Warn, sites.Resumed, sites.Continued, sites.Eased:
		if item.Evidence, err = a.holdersNow(ctx, meant(in, k.Kind)); err != nil {
			return item, err
		}
		var order policy.Order
		order, err = a.gate.orderOf(ctx, in.Site, 1)
		item.Ordered = order.Reason
	case sites.Cleared:
		item.Level = k.Level
	case sites.Online, sites.Gone, sites.Closed:
	default:
		item.From = a.Probes
		if item.Page, err = a.page(ctx, k.Ref); err != nil {
			return item, err
		}
		if a.Link != nil && k.Ref.Site == in.Site {
			item.Act = a.Link(k.Ref, a.now())
		}
		if item.Evidence, err = a.seenSince(ctx, k); err != nil {
			return item, err
		}
		if item.Told, err = a.Store.LastNotice(ctx, k.Kind, targetOf(k, in.Site)); !item.Told.IsZero() {
			item.Told = item.Told.UTC()
		}
	}
	return item, err
}

// page is the address of what an issue is about among PLC's web pages; empty: it has none.
func (a *People) page(ctx context.Context, ref issue.Ref) (string, error) {
	switch {
	case a.Pages == "":
		return "", nil
	case ref.PCUID != 0 && ref.Node == "":
		return fmt.Sprintf("%s/sites/pcu.php?id=%d", a.Pages, ref.PCUID), nil
	case ref.Node == "":
		return "", nil
	}
	node, err := a.Store.Node(ctx, ref.Node)
	if errors.Is(err, store.ErrNotFound) {
		return "", nil
	}
	return fmt.Sprintf("%s/nodes/node.php?id=%d", a.Pages, node.NodeID), err
}

// seenSince is the evidence of a notice. Its first line is how the target was found; where a look has found it otherwise since
// the notice was due, as after an outage of the mail server, that is told.
func (a *People) seenSince(ctx context.Context, k sites.Notice) ([]string, error) {
	if k.Ref.Node == "" || len(k.Evidence) == 0 {
		return k.Evidence, nil
	}
	node, err := a.Store.Node(ctx, k.Ref.Node)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, err
	}
	if node.Reason == "" || !node.SeenAt.After(k.NotBefore) || node.Reason == k.Evidence[0] {
		return k.Evidence, nil
	}
	return append([]string{node.Reason}, k.Evidence[1:]...), nil
}

// announced is when a step was announced to those who are now told of it: zero, unless each of them had that word.
func (a *People) announced(ctx context.Context, word *sites.Warning, to []string) (time.Time, error) {
	if word == nil {
		return time.Time{}, nil
	}
	had := map[string]bool{}
	for _, key := range word.Letters {
		action, err := a.Store.Action(ctx, key)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return time.Time{}, err
		}
		var l letter
		if err := json.Unmarshal(action.Data, &l); err != nil {
			return time.Time{}, fmt.Errorf("ledger %s: %w", key, err)
		}
		for _, who := range l.Message.To {
			one, err := a.Store.Action(ctx, toOne(key, who))
			if errors.Is(err, store.ErrNotFound) || err == nil && one.Outcome == store.Sent {
				had[who] = true
			} else if err != nil {
				return time.Time{}, err
			}
		}
	}
	for _, who := range to {
		if !had[who] {
			return time.Time{}, nil
		}
	}
	return word.At.UTC(), nil
}

// addressees fills in who else there is: whom mail does not reach, who is taken from the ticket, and for which levels
// the message speaks to everybody.
func (a *People) addressees(ctx context.Context, login string, to []string, n *notify.Notice, l *letter) error {
	for level := policy.Top; level > 0; level-- {
		all, _, err := a.Store.Contacts(ctx, login, policy.Audience(level), a.now())
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(all, func(c store.Contact) bool { return !slices.Contains(to, c.Email) }) {
			l.Covers = level
			break
		}
	}
	var err error
	if n.Unreached, err = a.post.outOfReach(ctx, login, to); err != nil || a.RT == nil {
		return err
	}
	l.Without, err = a.left(ctx, login)
	return err
}

// left are the people whom Monitor has written to about a site, and whom PLC does not have there any more. Watchers
// that others have added are no business of Monitor's.
func (a *People) left(ctx context.Context, login string) ([]string, error) {
	written, err := a.Store.WrittenTo(ctx, login)
	if err != nil {
		return nil, err
	}
	now, exempt, err := a.Store.Contacts(ctx, login, policy.Audience(policy.Top), a.now())
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(written, func(who string) bool {
		return slices.Contains(exempt, who) ||
			slices.ContainsFunc(now, func(c store.Contact) bool { return c.Email == who })
	}), nil
}

// meant are the holds that a word about a site's level is about: those that would be the reason of the next step, those
// that people know of, or those of the level that is in force.
func meant(in sites.MailRequest, kind string) []sites.Hold {
	return slices.DeleteFunc(slices.Clone(in.Holds), func(h sites.Hold) bool {
		switch {
		case kind == sites.Warn && in.Threat != nil:
			return !slices.Contains(in.Threat.Issues, h.Ref.ID)
		case kind == sites.Resumed, kind == sites.Continued:
			return !h.Told && h.Level == 0
		}
		return h.Level == 0
	})
}

// holdersNow says of each machine that holds a level what is known of it now.
func (a *People) holdersNow(ctx context.Context, holds []sites.Hold) ([]string, error) {
	var lines []string
	for _, h := range holds {
		line := h.Ref.Target()
		if h.Ref.Type == sites.OrderType { // its reason is told with what it does
			continue
		}
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

// foretell takes over what comes next. It asks the conditions of the acts themselves: a site that has enough nodes is
// not threatened, and neither is one where nothing is raised.
func (a *People) foretell(ctx context.Context, in sites.MailRequest, row store.Site, n *notify.Notice,
	l *letter) error {
	threatens, err := a.threatens(ctx, in, row)
	if err != nil {
		return err
	}
	order, err := a.gate.orderOf(ctx, in.Site, 1)
	if err != nil {
		return err
	}
	var from time.Time // a site must be down so long
	if order.Given() {
		n.HowToStop = "The operators decide when this ends. Answer this message, and they read what you write."
	} else if !row.Record.Changed.IsZero() && row.Record.Status.Unhealthy() {
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

// threatens reports whether a site may be denied anything: one that has enough nodes, or is spared, is not, and nothing
// is for issues that Monitor only looks at.
func (a *People) threatens(ctx context.Context, in sites.MailRequest, row store.Site) (bool, error) {
	var reasons []string // in a pause, what might be those of the step after it
	for _, h := range in.Holds {
		reasons = append(reasons, h.Ref.ID)
	}
	if in.Threat != nil {
		reasons = in.Threat.Issues
	}
	if list, looked, err := a.gate.acting(ctx, in.Site, reasons); err != nil || len(list) == 0 && looked != "" {
		return false, err
	}
	up, _, err := a.gate.nodesUp(ctx, row.LoginBase)
	if err != nil {
		return false, err
	}
	spared, err := a.gate.spared(ctx, row, row.Gone)
	if err != nil || spared != nil {
		return false, err
	}
	order, err := a.gate.orderOf(ctx, row.LoginBase, 1)
	return up < a.Policy.SiteMinUp || order.Given(), err
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
