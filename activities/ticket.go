package activities

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/planetlab/monitor/notify"
	"github.com/planetlab/monitor/notify/rt"
	"github.com/planetlab/monitor/store"
)

func (a *Activities) observes() bool { return a.Mode == notify.ModeObserve }

func (t Ticket) place(after int) rt.Place {
	return rt.Place{Ticket: t.ID, Robot: t.Robot, After: after}
}

// intoTicket says a message in the site's ticket, and makes the ticket first where there is none. The ticket it returns is
// good even with an error. Unsent says that nothing of the message can have got out.
func (a *Activities) intoTicket(ctx context.Context, in MailInput, n notify.Notice, exempt []string) (t Ticket, detail string, unsent bool, err error) {
	message, err := notify.Render(n)
	if err != nil {
		return in.Ticket, "", true, err
	}
	test := a.Mode == notify.ModeTest
	reference := "monitor:" + in.Site
	if test {
		reference = "monitor-test:" + in.Site // on the real ticket there are real people
		message.Text = "This is a test. Without test mode it would have gone to: " + strings.Join(n.To, ", ") + "\n\n" + message.Text
		message.Subject, n.To = "[test] "+message.Subject, []string{a.TestTo}
	}
	if t = in.Ticket; t.Test != test {
		t = Ticket{}
	}
	reply := rt.Message{Subject: message.Subject, Text: message.Text, Cc: n.To, Without: exempt}
	if t.ID != 0 {
		now, said, err := a.RT.Correspond(ctx, t.place(t.Said), reply)
		if err == nil {
			t.Said = said
			return t, receipt(t.ID, "", now, n.To), false, nil
		}
		if rt.FailureOf(err) != rt.Missing {
			return t, "", rt.Unsent(err), err
		}
		t = Ticket{} // somebody deleted it
	}
	now, said, err := a.RT.Open(ctx, rt.Opening{Reference: reference, Key: mark(in.Key), Subject: message.Subject, Text: message.Text, Cc: n.To})
	if err != nil {
		return t, "", rt.Unsent(err), err
	}
	t = Ticket{ID: now.ID, Robot: now.Creator, Test: test}
	if said {
		return t, receipt(t.ID, "new ", now, n.To), false, nil
	}
	t.Said, t.Seen = now.Version, now.Version // one of an earlier life of the site goes on
	if now, t.Said, err = a.RT.Correspond(ctx, t.place(t.Said), reply); err != nil {
		t.Said = t.Seen
		return t, "", rt.Unsent(err), err
	}
	return t, receipt(t.ID, "", now, n.To), false, nil
}

// mark names a message in a ticket's subject.
func mark(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:4])
}

func receipt(id int, kind string, t rt.Ticket, to []string) string {
	text := fmt.Sprintf("in %sticket %d, to %d of the site's people", kind, id, len(to))
	if missing := t.Missing(to); len(missing) > 0 {
		text += "; Request Tracker does not name as watchers: " + strings.Join(missing, ", ")
	}
	return text
}

// FollowTicket looks whether people have answered. A tracker that is away is not an error: the site asks again.
func (a *Activities) FollowTicket(ctx context.Context, in FollowInput) (FollowResult, error) {
	res := FollowResult{Ticket: in.Ticket}
	if a.RT == nil || a.observes() {
		return res, nil
	}
	replies, err := a.RT.Replies(ctx, in.Ticket.place(in.Ticket.Seen))
	switch rt.FailureOf(err) {
	case "":
	case rt.Missing:
		return FollowResult{Gone: true}, nil
	default:
		res.Away = err.Error()
		return res, nil
	}
	if n := len(replies); n > 0 {
		last := replies[n-1]
		res.Ticket.Seen, res.By, res.At = last.ID, last.By, last.At
	}
	return res, nil
}

// ResolveTicket ends a site's ticket: nothing of what it is about is left. It answers MailWait while the tracker is away.
func (a *Activities) ResolveTicket(ctx context.Context, in ResolveInput) (MailResult, error) {
	res := MailResult{Outcome: MailSent}
	if a.RT == nil || a.observes() {
		return res, nil
	}
	ref := Ref{ID: SiteType + "/" + in.Site, Site: in.Site}
	if _, _, err := a.Store.Intent(ctx, store.Action{Key: in.Key, Kind: "ticket", Issue: ref.ID, Site: in.Site, Reason: fmt.Sprintf("resolve ticket %d: every issue of the site let go", in.Ticket.ID)}); err != nil {
		return res, err
	}
	err := a.RT.SetStatus(ctx, in.Ticket.ID, rt.Resolved)
	switch rt.FailureOf(err) {
	case "":
		return res, a.Store.Outcome(ctx, in.Key, store.Done, "resolved")
	case rt.Missing, rt.Refused, rt.Denied: // no later try would do better, and the site must not live for ever for it
		return res, a.Store.Outcome(ctx, in.Key, store.Refused, err.Error())
	}
	a.Log.Warn("a ticket is not resolved yet", "site", in.Site, "ticket", in.Ticket.ID, "error", err)
	return MailResult{Outcome: MailWait, Reason: err.Error(), Until: a.now().Add(a.Policy.Hour())}, nil
}

// NoteTicket leaves a note for the operators in a site's ticket. It is a courtesy: when it fails, the ledger and the site's
// own status say the same.
func (a *Activities) NoteTicket(ctx context.Context, in NoteInput) error {
	if a.RT == nil || a.observes() || in.Ticket.ID == 0 {
		return nil
	}
	_, err := a.RT.Comment(ctx, in.Ticket.place(in.After), in.Text)
	return err
}
