package activities

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/planetlab/monitor/notify"
	"github.com/planetlab/monitor/policy"
	sites "github.com/planetlab/monitor/site"
	"github.com/planetlab/monitor/store"
)

// The causes for which admins are told of a site; flags of issues have their type and mark as cause.
const (
	causeUnreachable = "a site that nobody can be told of"
	causeContact     = "a contact out of reach"
	causeTicket      = "a ticket that cannot be used"
	causeTracker     = "Request Tracker refuses"
	causePLC         = "a change is refused"
	causeLifted      = "a penalty lifted by hand"
)

// flagged is what the ledger keeps of a flag until the admins were told of it: all flags of one cause and hour are one
// message.
type flagged struct {
	Cause string      `json:"cause"`
	Item  notify.Item `json:"item"`
}

// digested is what the ledger keeps of such a message, so that it can be sent again as it is.
type digested struct {
	Facts   notify.Notice  `json:"facts"`
	Message notify.Message `json:"message"`
	Flags   []string       `json:"flags"` // their keys
}

// mostDigested is how many flags one message takes; the others come with the next.
const mostDigested = 200

// unsureFor is how long a message is tried of which nobody knows whether it has left.
const unsureFor = 7 * 24 * time.Hour

// digest tells the admins of what was flagged since the last time: one message for a cause and an hour, threaded. It
// waits a little for more of the same. A message that could not be sent is sent as it was before another one of its
// cause is made.
func (a *post) digest(ctx context.Context) error {
	if len(a.Admins) == 0 {
		return nil
	}
	open, err := a.Store.Actions(
		ctx,
		store.ActionFilter{Kind: store.KindFlag, Unfinished: true, Limit: 10 * mostDigested},
	)
	if err != nil {
		return err
	}
	byCause := map[string][]store.Action{}
	for _, action := range slices.Backward(open) { // the oldest first
		var f flagged
		if len(action.Data) == 0 {
			continue // of an older release, which has told of it or tries again by itself
		}
		if err := json.Unmarshal(action.Data, &f); err != nil {
			return fmt.Errorf("ledger %s: %w", action.Key, err)
		}
		if f.Cause == "" { // a message of its own
			continue
		}
		byCause[f.Cause] = append(byCause[f.Cause], action)
	}
	waiting, err := a.Store.Actions(
		ctx,
		store.ActionFilter{Kind: store.KindDigest, Unfinished: true, Limit: mostDigested},
	)
	if err != nil {
		return err
	}
	// a worker may have died of it, and the next try have failed: that is not known to have reached anybody either
	unsure, err := a.Store.Actions(ctx, store.ActionFilter{Kind: store.KindDigest, Outcome: store.Ambiguous,
		Since: a.now().Add(-unsureFor), Limit: mostDigested})
	if err != nil {
		return err
	}
	var failed []error
	for _, action := range append(waiting, unsure...) {
		delete(byCause, strings.TrimPrefix(action.Issue, "digest/"))
		failed = append(failed, a.sendDigest(ctx, action))
	}
	for _, cause := range slices.Sorted(maps.Keys(byCause)) {
		failed = append(failed, a.digestOf(ctx, cause, byCause[cause]))
	}
	return errors.Join(failed...)
}

// digestOf makes one message of the flags of a cause, if it is time.
func (a *post) digestOf(ctx context.Context, cause string, flags []store.Action) error {
	now := a.now()
	if now.Sub(flags[0].At) < a.Policy.GroupWait {
		return nil
	}
	hour := now.Truncate(a.Policy.Hour()).UTC()
	key := "digest/" + cause + "/" + hour.Format(time.RFC3339Nano)
	if _, err := a.Store.Action(ctx, key); !errors.Is(err, store.ErrNotFound) {
		return err // this hour's has gone
	}
	d := digested{Facts: notify.Notice{At: now.UTC(), To: a.Admins, NoPLC: a.NoPLC != nil,
		MessageID: notify.MessageID(key, a.Domain)}}
	root := notify.MessageID("digest/"+cause, a.Domain) // never sent: what names it is shown as one thread
	d.Facts.InReplyTo, d.Facts.References = root, []string{root}
	for _, action := range flags[:min(len(flags), mostDigested)] {
		var f flagged
		if err := json.Unmarshal(action.Data, &f); err != nil {
			return fmt.Errorf("ledger %s: %w", action.Key, err)
		}
		if f.Item.Site = action.Site; len(flags) > 1 {
			f.Item.Kind = notify.Digest
		} else {
			f.Item.Kind = cmp.Or(f.Item.Kind, notify.Flagged)
		}
		d.Facts.Items = append(d.Facts.Items, f.Item)
		d.Flags = append(d.Flags, action.Key)
	}
	if err := a.address(ctx, cause, &d.Facts); err != nil {
		return err
	}
	var err error
	if d.Message, err = notify.Render(d.Facts); err != nil {
		return err
	}
	data, err := json.Marshal(d)
	if err != nil {
		return err
	}
	action, _, err := a.Store.Intent(ctx, store.Action{Key: key, Kind: store.KindDigest, Issue: "digest/" + cause,
		Reason: fmt.Sprintf("%d flags: %s", len(d.Flags), cause), Data: data})
	if err != nil {
		return err
	}
	return a.sendDigest(ctx, action)
}

// address names the site of a digest, or the fleet, and whom Monitor does not reach at the sites that it speaks of.
func (a *post) address(ctx context.Context, cause string, n *notify.Notice) error {
	n.Site = "fleet"
	var logins []string
	for _, item := range n.Items {
		if item.Site != "" && !slices.Contains(logins, item.Site) {
			logins = append(logins, item.Site)
		}
	}
	slices.Sort(logins)
	if len(logins) == 1 {
		n.Site = logins[0]
	}
	if cause == causeContact || cause == causeUnreachable { // that is what it is about
		return nil
	}
	for _, login := range logins {
		people, _, err := a.Store.Contacts(ctx, login, policy.Audience(policy.Top), a.now())
		if err != nil {
			return err
		}
		var to []string
		for _, p := range people {
			to = append(to, p.Email)
		}
		lost, err := a.outOfReach(ctx, login, to)
		if err != nil {
			return err
		}
		for _, who := range lost {
			n.Unreached = append(n.Unreached, login+": "+who)
		}
		if len(to) == 0 {
			n.Unreached = append(n.Unreached, login+": it has nobody in "+a.from()+" who can be written to")
		}
	}
	return nil
}

// sendDigest sends a message to the admins, and ends the flags that it tells of.
func (a *post) sendDigest(ctx context.Context, action store.Action) error {
	var d digested
	if err := json.Unmarshal(action.Data, &d); err != nil {
		return fmt.Errorf("ledger %s: %w", action.Key, err)
	}
	if may, err := a.maySend(ctx, action); err != nil || !may {
		return err
	}
	said, err := a.mail(ctx, d.Message)
	ctx = context.WithoutCancel(ctx)
	if notify.FailureOf(err) == notify.Ambiguous { // it may be there: nobody gets it again every sweep for that
		said, err = said+"; the mail server hung up before it said whether it took the message", nil
	}
	if err != nil {
		return fmt.Errorf("tell the admins of %s: %w", action.Issue,
			errors.Join(err, a.Store.Withdraw(ctx, action.Key)))
	}
	for _, key := range d.Flags {
		if err := a.Store.Outcome(ctx, key, store.Done, "the admins were told"); err != nil {
			return err
		}
	}
	return a.Store.Outcome(ctx, action.Key, store.Sent, said)
}

// flag writes down that the admins are to be told of something, once for each key. New says that it was not known yet.
func (a *post) flag(ctx context.Context, action store.Action, f flagged) (known store.Action, fresh bool, err error) {
	data, err := json.Marshal(f)
	if err != nil {
		return known, false, err
	}
	action.Kind, action.Data = store.KindFlag, data
	known, existed, err := a.Store.Intent(ctx, action)
	if err != nil || existed {
		return known, false, err
	}
	if len(a.Admins) == 0 {
		err = a.Store.Outcome(
			ctx,
			action.Key,
			store.Done,
			"flagged; mail.admins is empty, so that nobody is written to",
		)
	}
	return known, true, err
}

// flagSite has the admins told, once for each key, what no later try at a site will mend.
func (a *post) flagSite(ctx context.Context, login, cause, key string, evidence []string) error {
	return a.flagSiteAs(ctx, "", login, cause, key, evidence)
}

// flagSiteAs is flagSite with words of its own where it is the only one of its cause.
func (a *post) flagSiteAs(ctx context.Context, kind notify.Kind, login, cause, key string, evidence []string) error {
	action := store.Action{Key: key, Issue: sites.ID(login), Site: login, Reason: strings.Join(evidence, "; ")}
	_, fresh, err := a.flag(
		ctx,
		action,
		flagged{Cause: cause, Item: notify.Item{Kind: kind, Type: "site", Target: login, Evidence: evidence}},
	)
	if err == nil && fresh {
		a.event(notify.EventFlagged, key, siteRef(login), 0, action.Reason)
	}
	return err
}

// flagOnce has the admins told about an issue, once for each mark, and answers what became of that.
func (a *post) flagOnce(ctx context.Context, t task, mark, reason, fix string) (string, error) {
	ref := t.ref()
	key := ref.Episode() + "/" + mark
	known, fresh, err := a.flag(
		ctx,
		store.Action{Key: key, Issue: ref.ID, RunID: ref.Run, Node: ref.Node, Site: ref.Site,
			PCUID: ref.PCUID, Reason: reason},
		flagged{Cause: mark + " " + ref.Type, Item: notify.Item{
			Issue: ref.ID, Type: ref.Type, Target: ref.Target(), Since: t.State.Opened.UTC(), Evidence: t.evidence(),
			Deeds: t.State.Deeds, Fix: fix,
		}},
	)
	switch {
	case err != nil:
		return "", err
	case fresh:
		a.event(notify.EventFlagged, key, ref, t.State.Level, t.State.Cause)
		if len(a.Admins) == 0 {
			return "flagged; mail.admins is empty, so nobody is written to", nil
		}
		return "flagged for the admins", nil
	case known.Outcome == "":
		return "still not good; the admins are told with the next digest", nil
	}
	return "still not good; the admins know", nil
}
