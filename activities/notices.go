package activities

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/planetlab/monitor/notify"
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/store"
)

// SendNotices writes one message to a site's people about everything that has gathered. While the ticket system or the mail
// server is away it answers MailWait: the site goes on meanwhile, and comes back with the same key.
func (a *Activities) SendNotices(ctx context.Context, in MailInput) (MailResult, error) {
	none := MailResult{Outcome: MailNone, Ticket: in.Ticket}
	before, err := a.Store.Action(ctx, in.Key)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return none, err
	}
	repeat := before.Outcome == store.Sent                                // by a worker that died before it could tell
	if guard, err := a.guarded(ctx); err != nil || !guard.Do && !repeat { // what is held back for an hour is not unsaid for ever
		return MailResult{Outcome: MailWait, Reason: guard.Reason, Until: guard.Until, Unsent: before.Key == "", Ticket: in.Ticket}, err
	}
	notice, said, err := a.compose(ctx, in, repeat)
	if err != nil || len(notice.Items) == 0 {
		return none, err
	}
	ref := Ref{ID: SiteType + "/" + in.Site, Site: in.Site}
	to, exempt, err := a.Store.Contacts(ctx, in.Site, policy.Audience(in.Level), a.now())
	if err != nil {
		return none, err
	}
	if len(to) == 0 {
		none.Reason = fmt.Sprintf("nobody to write to: the site has no %v in PLC who is not exempt", policy.Audience(in.Level))
		return none, a.skip(ctx, in.Key+"/nobody", ref, none.Reason)
	}
	for _, c := range to {
		notice.To = append(notice.To, c.Email)
	}
	if a.observes() {
		none.Reason = fmt.Sprintf("observe mode: %s would be written to about %s", strings.Join(notice.To, ", "), about(said))
		return none, a.skip(ctx, in.Key+"/observe", ref, none.Reason)
	}
	_, _, err = a.Store.Intent(ctx, store.Action{Key: in.Key, Kind: "notice", Issue: said[0].Ref.ID, Node: said[0].Ref.Node, Site: in.Site, Reason: about(said)})
	if err != nil {
		return none, err
	}
	res, detail := a.deliver(ctx, in, notice, exempt, repeat)
	ctx = context.WithoutCancel(ctx) // what was sent is written down even if the activity is being cancelled
	switch res.Outcome {
	case MailWait:
		a.Log.Warn("a message waits", "site", in.Site, "reason", res.Reason)
		return res, nil
	case MailNone:
		a.Log.Error("the mail server refuses a message, to everybody", "site", in.Site, "reason", res.Reason)
		return res, a.Store.Outcome(ctx, in.Key, store.Refused, res.Reason)
	}
	if len(exempt) > 0 {
		detail += fmt.Sprintf("; %d exempt people left out", len(exempt))
	}
	if err := a.Store.Outcome(ctx, in.Key, store.Sent, detail); err != nil {
		return res, err
	}
	for _, l := range said {
		if err := a.Store.RecordNotice(ctx, store.Notice{Kind: l.Kind, Target: targetOf(l, in.Site), Site: in.Site, MessageID: notice.MessageID, Recipients: notice.To, At: a.now()}); err != nil {
			return res, err
		}
	}
	return res, nil
}

// compose makes the notice of what may be said now, and returns it with what it says. In a repeat all of it has been said.
func (a *Activities) compose(ctx context.Context, in MailInput, repeat bool) (notify.Notice, []Lean, error) {
	now := a.now()
	site, err := a.Store.Site(ctx, in.Site)
	if err != nil {
		return notify.Notice{}, nil, err
	}
	may, err := a.mayAct(ctx, Ref{Site: in.Site})
	if err != nil {
		return notify.Notice{}, nil, err
	}
	notice := notify.Notice{Site: in.Site, SiteName: site.Name, Level: in.Level, At: now.UTC(), MessageID: notify.MessageID(in.Key, a.Domain)}
	if n := len(in.Thread); n > 0 {
		notice.InReplyTo, notice.References = in.Thread[n-1], in.Thread
	}
	if a.RT != nil {
		notice.ReplyHolds = in.ReplyPause
	}
	var said []Lean
	for _, l := range in.Notices {
		decision := may
		if repeat || !may.Do && (l.Kind == string(notify.Online) || l.Kind == string(notify.Cleared)) { // good news harms nobody
			decision = policy.Decision{Do: true}
		}
		target := targetOf(l, in.Site)
		if decision.Do && !repeat && l.Ref.Node != "" && l.Kind != string(notify.Online) {
			if decision, err = a.mayAct(ctx, l.Ref); err != nil {
				return notice, nil, err
			}
		}
		if decision.Do && !repeat {
			last, err := a.Store.LastNotice(ctx, l.Kind, target)
			if err != nil {
				return notice, nil, err
			}
			decision = policy.NoticeDue(a.Policy, l.Kind, last, now)
		}
		if !decision.Do {
			if err := a.skip(ctx, in.Key+"/"+l.Kind+"/"+target, l.Ref, decision.Reason); err != nil {
				return notice, nil, err
			}
			continue
		}
		said = append(said, l)
		notice.Items = append(notice.Items, notify.Item{Kind: notify.Kind(l.Kind), Issue: l.Ref.ID, Type: l.Ref.Type, Target: l.Ref.Target(), Since: l.Since.UTC(), Evidence: l.Evidence, Tried: deeds(l.Tried), Fix: l.Fix})
	}
	notice.Forecast = forecast(in.Forecast, now)
	return notice, said, nil
}

func targetOf(l Lean, site string) string {
	if t := l.Ref.Target(); t != "" {
		return t
	}
	return site
}

// deeds are what was done about a target in words for its people: without the conditions of rungs, and without the messages
// that they have themselves.
func deeds(tried []string) []string {
	var list []string
	for _, deed := range tried {
		if rung, done, found := strings.Cut(deed, ": "); found && (strings.HasPrefix(rung, "if ") || strings.HasPrefix(rung, "create_issue ")) {
			deed = done
		}
		if !strings.HasPrefix(deed, "send email") {
			list = append(list, deed)
		}
	}
	return list
}

// about lists what a message says, for the ledger.
func about(said []Lean) string {
	var kinds []string
	targets := map[string][]string{}
	for _, l := range said {
		if targets[l.Kind] == nil {
			kinds = append(kinds, l.Kind)
		}
		targets[l.Kind] = append(targets[l.Kind], targetOf(l, l.Ref.Site))
	}
	for i, k := range kinds {
		kinds[i] = strings.TrimSpace(k + " " + strings.Join(targets[k], " "))
	}
	return strings.Join(kinds, ", ")
}

// forecast puts rungs into the words of those whom they meet: each thing once, at its earliest.
func forecast(steps []Step, now time.Time) []notify.Forecast {
	steps = slices.Clone(steps)
	slices.SortStableFunc(steps, func(a, b Step) int { return a.At.Compare(b.At) })
	var list []notify.Forecast
	for _, s := range steps {
		what := s.What
		switch {
		case strings.Contains(what, "second penalty"):
			what = "another message, also to the users of the slices, and the slices of the site are suspended if they are not yet"
		case strings.Contains(what, "penalty"):
			what = "another message, also to the principal investigators, and the site cannot create new slices if it still can"
		case strings.Contains(what, "send email"):
			what = "another message like this one"
		case strings.Contains(what, "flag for admin"):
			what = "the operators are asked to look at it"
		}
		if s.At.After(now) && !slices.ContainsFunc(list, func(f notify.Forecast) bool { return f.What == what }) {
			list = append(list, notify.Forecast{At: s.At.UTC(), What: what})
		}
	}
	return list
}

// deliver takes a message to where the site's people are: into its ticket, or to their mailboxes. What was sent before, as
// the ledger knows, is not sent by mail again; a ticket is asked itself.
func (a *Activities) deliver(ctx context.Context, in MailInput, n notify.Notice, exempt []string, done bool) (MailResult, string) {
	res := MailResult{Outcome: MailSent, Ticket: in.Ticket, MessageID: n.MessageID}
	var detail string
	var err error
	unsent := false
	switch {
	case a.RT != nil:
		res.Ticket, detail, unsent, err = a.intoTicket(ctx, in, n, exempt)
	case done:
		detail = "sent before"
	default:
		detail, err = a.mail(ctx, n, nil)
		switch notify.FailureOf(err) {
		case notify.Permanent:
			return MailResult{Outcome: MailNone, Reason: detail + ": " + err.Error()}, ""
		case notify.Temporary, notify.Auth, notify.TLS:
			unsent = true
		}
	}
	if err != nil {
		return MailResult{Outcome: MailWait, Reason: err.Error(), Until: a.now().Add(a.Policy.Hour()), Unsent: unsent, Ticket: res.Ticket}, ""
	}
	return res, detail
}

// send is mail for those who have no other way to be told: that everybody is refused is part of its receipt.
func (a *Activities) send(ctx context.Context, n notify.Notice, only []string) (string, error) {
	receipt, err := a.mail(ctx, n, only)
	if notify.FailureOf(err) == notify.Permanent {
		return receipt + ": " + err.Error(), nil
	}
	return receipt, err
}

// mail renders and sends. While some recipients are only deferred it tries them again, and them alone; what is still left
// then is part of the receipt. An error says that nobody is known to have it.
func (a *Activities) mail(ctx context.Context, n notify.Notice, only []string) (string, error) {
	message, err := notify.Render(n)
	if err != nil {
		return "", err
	}
	message.Only = only
	accepted := 0
	for try := 0; ; try++ {
		receipt, err := a.Mail.Send(ctx, message)
		accepted += len(receipt.Accepted)
		if err == nil {
			return receipt.String(), nil
		}
		left := receipt.Left()
		if accepted == 0 || len(left) == 0 || try == 5 {
			if accepted > 0 {
				return receipt.String() + ": " + err.Error(), nil // part of it went out
			}
			return receipt.String(), err
		}
		message.Only = left
		select {
		case <-ctx.Done():
			return receipt.String() + ": " + err.Error(), nil
		case <-time.After(time.Duration(try+1) * time.Second):
		}
	}
}
