package activities

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/planetlab/monitor/notify"
	"github.com/planetlab/monitor/notify/rt"
	sites "github.com/planetlab/monitor/site"
	"github.com/planetlab/monitor/store"
)

func placeOf(t sites.Ticket, after int) rt.Place {
	return rt.Place{Ticket: t.ID, Robot: t.Robot, After: after}
}

// intoTicket says a message in the site's ticket, and makes the ticket first where there is none. The ticket it returns
// is good even with an error. Unsent says that nothing of the message can have got out.
func (a *People) intoTicket(ctx context.Context, in sites.MailRequest,
	l letter) (t sites.Ticket, detail string, unsent bool, err error) {
	message, to := l.Message, l.Message.To
	reference := "monitor:" + in.Site
	if l.Test {
		reference = "monitor-test:" + in.Site // on the real ticket there are real people
		message.Text = "This is a test. Without test mode it would have gone to: " + strings.Join(to,
			", ") + "\n\n" + message.Text
		message.Subject, to = "[test] "+message.Subject, []string{a.TestTo}
	}
	if t = in.Ticket; t.Test != l.Test {
		t = sites.Ticket{}
	}
	reply := rt.Message{
		Subject: message.Subject,
		Text:    message.Text,
		Cc:      to,
		Without: append(slices.Clone(l.Exempt), l.Without...),
	}
	if t.ID != 0 {
		now, said, err := a.RT.Correspond(ctx, placeOf(t, t.Said), reply)
		if err == nil {
			t.Said = said
			return t, receipt(t.ID, "", now, to), false, a.unwatched(ctx, in.Site, now, to)
		}
		if rt.FailureOf(err) != rt.Missing {
			return t, "", rt.Unsent(err), err
		}
		if err := a.putAway(ctx, in.Site, t.ID, err); err != nil {
			return t, "", true, err
		}
		t = sites.Ticket{}
	}
	now, said, err := a.RT.Open(ctx, rt.Opening{Reference: reference, Key: mark(in.Key), Subject: message.Subject,
		Text: message.Text, Cc: to})
	if err != nil {
		return t, "", rt.Unsent(err), err
	}
	t = sites.Ticket{ID: now.ID, Robot: now.Creator, Test: l.Test}
	if said {
		return t, receipt(t.ID, "new ", now, to), false, a.unwatched(ctx, in.Site, now, to)
	}
	t.Said, t.Seen = now.Version, now.Version // one of an earlier life of the site goes on
	if now, t.Said, err = a.RT.Correspond(ctx, placeOf(t, t.Said), reply); err != nil {
		t.Said = t.Seen
		return t, "", rt.Unsent(err), err
	}
	return t, receipt(t.ID, "", now, to), false, a.unwatched(ctx, in.Site, now, to)
}

// putAway tells the admins that people have ended a ticket for good, and that what is still to be said goes into
// another.
func (a *People) putAway(ctx context.Context, login string, ticket int, why error) error {
	key := fmt.Sprintf("%s/ticket/%d/put away", sites.ID(login), ticket)
	return a.post.flagSite(ctx, login, causeTicket, key, []string{
		fmt.Sprintf("ticket %d is not used any more, and what is to be said next makes another one: %v", ticket, why),
		"to keep Monitor from writing to the site, exempt it (`monitor exempt set`), or pause it",
	})
}

// unwatched tells the admins of people whom Request Tracker does not take as watchers.
func (a *People) unwatched(ctx context.Context, login string, t rt.Ticket, to []string) error {
	for _, who := range t.Missing(to) {
		if rt.Watchable(who) { // RT knows the person by another name
			continue
		}
		if err := a.dead(ctx, login, who, "Request Tracker does not take the address as a watcher"); err != nil {
			return err
		}
	}
	return nil
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

// LookAtTicket looks whether people have answered. A tracker that is away, or a ticket that may not be read, is not
// silence: nobody knows.
func (a *People) LookAtTicket(ctx context.Context, in sites.TicketRequest) (sites.TicketResult, error) {
	defer heartbeat(ctx)()
	res := sites.TicketResult{Ticket: in.Ticket}
	if a.RT == nil || a.observes() {
		return res, nil
	}
	if _, err := a.RT.Ticket(ctx, in.Ticket.ID); err != nil { // its history reads as empty to those who may not see it
		a.trackerSaid(ctx, err)
		return a.unseen(ctx, in, err)
	}
	letters, err := a.RT.Letters(ctx, placeOf(in.Ticket, in.Ticket.Seen))
	a.trackerSaid(ctx, err)
	if err != nil {
		return a.unseen(ctx, in, err)
	}
	res.Ticket.Seen = max(res.Ticket.Seen, letters.Last)
	if n := len(letters.Replies); n > 0 {
		res.By, res.At = letters.Replies[n-1].By, letters.Replies[n-1].At
	}
	return res, a.bounced(ctx, in.Site, letters.Bounces)
}

// flagTracker tells the admins, once a day for all sites, what Request Tracker denies Monitor, which no later try
// mends.
func (a *People) flagTracker(ctx context.Context, login, what string, err error) error {
	lacks := trackerLacks(err)
	if lacks == "" {
		return nil
	}
	day := a.now().Truncate(a.Policy.Day).UTC().Format(time.RFC3339)
	return a.post.flagSite(ctx, login, causeTracker+" "+mark(lacks), "rt/"+mark(lacks)+"/"+day,
		[]string{what + ", and so may others: " + err.Error(), lacks})
}

// trackerLacks says what an admin has to do about a failed call; nothing: it may mend itself.
func trackerLacks(err error) string {
	var e *rt.Error
	if !errors.As(err, &e) {
		return ""
	}
	switch e.Failure {
	case rt.Auth:
		return "Request Tracker does not take the token: make a new one for Monitor's user there, and set it as " +
			"rt.token"
	case rt.Denied:
		return "give Monitor's user in Request Tracker the right " + rightFor(e.Call) + " on the queue rt.queue"
	case rt.Refused:
		return "Request Tracker refuses what Monitor writes: look at the ticket, its queue and its lifecycle there"
	}
	return ""
}

// rightFor is the right that a call of Request Tracker's REST API 2.0 needs.
func rightFor(call string) string {
	switch {
	case call == "POST ticket":
		return "CreateTicket"
	case strings.HasSuffix(call, "/correspond"):
		return "ReplyToTicket"
	case strings.HasSuffix(call, "/comment"):
		return "CommentOnTicket"
	case strings.HasPrefix(call, "PUT "):
		return "ModifyTicket"
	}
	return "ShowTicket"
}

// unseen is a ticket that could not be read. What an admin must mend is told to the admins, once a day.
func (a *People) unseen(ctx context.Context, in sites.TicketRequest, err error) (sites.TicketResult, error) {
	res := sites.TicketResult{Ticket: in.Ticket, Away: err.Error()}
	switch rt.FailureOf(err) {
	case rt.Missing:
		return sites.TicketResult{Gone: true}, nil
	case rt.Denied, rt.Auth, rt.Refused:
		key := fmt.Sprintf("%s/ticket/%d/unseen/%s", sites.ID(in.Site), in.Ticket.ID,
			a.now().Truncate(a.Policy.Day).UTC().Format(time.RFC3339))
		return res, a.post.flagSite(ctx, in.Site, causeTicket, key,
			[]string{fmt.Sprintf("ticket %d cannot be read, so nobody knows whether the site has answered: %v",
				in.Ticket.ID, err),
				"its penalty level does not rise meanwhile; give the robot the right ShowTicket on the ticket's queue"})
	case "":
		return res, err
	}
	return res, nil
}

// ResolveTicket ends a site's ticket: nothing of what it is about is left. It answers MailWait while the tracker is
// away.
func (a *People) ResolveTicket(ctx context.Context, in sites.TicketRequest) (sites.MailResult, error) {
	defer heartbeat(ctx)()
	res := sites.MailResult{Outcome: sites.MailSent}
	if a.RT == nil || a.observes() {
		return res, nil
	}
	action, _, err := a.Store.Intent(ctx, store.Action{Key: in.Key, Kind: store.KindTicket, Issue: sites.ID(in.Site),
		Site:   in.Site,
		Reason: fmt.Sprintf("resolve ticket %d: every issue of the site let go", in.Ticket.ID)})
	if err != nil || action.Outcome != "" {
		return res, err
	}
	err = a.RT.SetStatus(ctx, in.Ticket.ID, rt.Resolved)
	a.trackerSaid(ctx, err)
	ctx = context.WithoutCancel(ctx)
	if err := a.flagTracker(ctx, in.Site, fmt.Sprintf("ticket %d is done with and cannot be resolved", in.Ticket.ID),
		err); err != nil {
		return res, err
	}
	switch rt.FailureOf(err) {
	case "":
		if err != nil {
			return res, err
		}
		return res, a.Store.Outcome(ctx, in.Key, store.Done, "resolved")
	case rt.Missing, rt.Refused, rt.Denied: // no later try would do better, and the site must not live for ever for it
		return res, a.Store.Outcome(ctx, in.Key, store.Refused, err.Error())
	}
	a.Log.Warn("a ticket is not resolved yet", "site", in.Site, "ticket", in.Ticket.ID, "error", err)
	return sites.MailResult{Outcome: sites.MailWait, Reason: err.Error(), Until: a.now().Add(a.Policy.Hour())},
		a.Store.Outcome(ctx, in.Key, store.Failed, err.Error())
}

// NoteTicket leaves a note for the operators in a site's ticket: that an answer was heard, and what it does. It is a
// courtesy: when it fails, the site's own status says the same.
func (a *People) NoteTicket(ctx context.Context, in sites.TicketRequest) error {
	defer heartbeat(ctx)()
	if a.RT == nil || a.observes() || in.Ticket.ID == 0 || in.Pause == nil {
		return nil
	}
	text := notify.AnswerHeard(in.Site, in.Level, in.Pause.By, in.Pause.Until)
	if _, err := a.RT.Comment(ctx, placeOf(in.Ticket, in.Ticket.Seen), text); err != nil {
		a.Log.Warn("a ticket has no note of a pause", "site", in.Site, "ticket", in.Ticket.ID, "error", err)
		return a.flagTracker(ctx, in.Site, fmt.Sprintf("ticket %d gets no note of a pause", in.Ticket.ID), err)
	}
	return nil
}
