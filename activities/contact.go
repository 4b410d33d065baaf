package activities

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/planetlab/monitor/notify"
	"github.com/planetlab/monitor/notify/rt"
	"github.com/planetlab/monitor/policy"
	sites "github.com/planetlab/monitor/site"
	"github.com/planetlab/monitor/store"
)

// toOne is the line of the ledger for one recipient of a message.
func toOne(key, who string) string { return key + "/to/" + who }

// refusedTo writes down for each recipient whom a mail server refuses that he has not got a message. Those that it has
// accepted stand with the message, those that it has deferred get their line when they are tried again.
func (a *People) refusedTo(ctx context.Context, key, login string, l letter, r notify.Receipt) error {
	for who, why := range r.Rejected {
		line := toOne(key, who)
		_, _, err := a.Store.Intent(ctx, store.Action{Key: line, Kind: store.KindNotice, Issue: l.Said[0].Issue,
			Node: l.Said[0].Node, Site: login, Reason: about(l.Said)})
		if err == nil {
			err = a.Store.Outcome(ctx, line, store.Refused, why)
		}
		if err == nil && isDead(r, why) {
			err = a.dead(ctx, login, who, why)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// isDead says that a refusal speaks of the recipient. One that meets everybody, or that is for a reason of policy (5.7, RFC
// 3463), speaks of us.
func isDead(r notify.Receipt, why string) bool {
	return (len(r.Accepted) > 0 || len(r.Deferred) > 0 || len(r.Rejected) == 1) && !strings.Contains(why, " 5.7.")
}

// unreachedFor is how long people are told that somebody is out of reach, from the last sign of it, in policy days.
const unreachedFor = 14

// contact is what the ledger keeps of somebody who is out of reach by mail.
type contact struct {
	Address string `json:"address"`
	Why     string `json:"why"`
}

// OutOfReach is the line of the ledger that somebody at a site is out of reach by mail, one a week.
func OutOfReach(p policy.Policy, login, who, why string, now time.Time) (store.Action, error) {
	data, err := json.Marshal(contact{who, why})
	week := now.Truncate(7 * p.Day).UTC().Format(time.RFC3339)
	return store.Action{Key: fmt.Sprintf("contact/%s/%s/%s", login, who, week), Kind: store.KindContact,
		Issue: sites.ID(login), Site: login, Reason: who + ": " + why, Data: data}, err
}

// dead keeps the evidence that somebody at a site is out of reach by mail, and tells the admins. The others at the site
// read of it in what is written to them anyway.
func (a *People) dead(ctx context.Context, login, who, why string) error {
	sign, err := OutOfReach(a.Policy, login, who, why, a.now())
	if err != nil {
		return err
	}
	sign, _, err = a.Store.Intent(ctx, sign)
	if err != nil || sign.Outcome != "" {
		return err
	}
	return a.post.tellOutOfReach(ctx, sign)
}

// tellOutOfReach has the admins told of a contact.
func (a *post) tellOutOfReach(ctx context.Context, sign store.Action) error {
	var c contact
	if err := json.Unmarshal(sign.Data, &c); err != nil {
		return fmt.Errorf("ledger %s: %w", sign.Key, err)
	}
	err := a.flagSite(ctx, sign.Site, causeContact, sign.Key+"/flag", []string{
		"mail to " + c.Address + " is not delivered: " + c.Why,
		"correct the address in " + a.from() + ", or take it out if the person has left",
	})
	if err != nil {
		return err
	}
	return a.Store.Outcome(ctx, sign.Key, store.Refused, c.Why)
}

// outOfReach names those of the people to whom mail was not delivered of late, each with the reason.
func (a *post) outOfReach(ctx context.Context, login string, to []string) ([]string, error) {
	signs, err := a.Store.Actions(ctx, store.ActionFilter{Kind: store.KindContact, Site: login,
		Since: a.now().Add(-unreachedFor * a.Policy.Day)})
	if err != nil {
		return nil, err
	}
	var list, seen []string
	for _, sign := range signs { // the newest first
		var c contact
		if err := json.Unmarshal(sign.Data, &c); err != nil {
			return nil, fmt.Errorf("ledger %s: %w", sign.Key, err)
		}
		if slices.Contains(to, c.Address) && !slices.Contains(seen, c.Address) {
			seen = append(seen, c.Address)
			list = append(list, c.Address+": "+c.Why)
		}
	}
	slices.Sort(list)
	return list, nil
}

// bounced takes what mail servers wrote into a site's ticket. Anybody may write such a letter, so that it counts for
// the people of the site alone.
func (a *People) bounced(ctx context.Context, login string, bounces []rt.Bounce) error {
	if len(bounces) == 0 {
		return nil
	}
	people, _, err := a.Store.Contacts(ctx, login, policy.Audience(policy.Top), a.now())
	if err != nil {
		return err
	}
	for _, b := range bounces {
		i := slices.IndexFunc(people, func(c store.Contact) bool { return strings.EqualFold(c.Email, b.To) })
		if i < 0 {
			continue
		}
		if err := a.dead(ctx, login, people[i].Email, b.Why); err != nil {
			return err
		}
	}
	return nil
}
