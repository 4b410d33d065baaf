package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/notify/rt"
	sites "github.com/planetlab/monitor/site"
	"github.com/planetlab/monitor/testbed"
	"github.com/planetlab/monitor/testbed/fakenode"
	"github.com/planetlab/monitor/testbed/fakert"
	"github.com/planetlab/monitor/testbed/pcudev"
	"github.com/planetlab/monitor/workflows"
)

// onlyHumans breaks a node so that none but a human can help: its PCU does not let Monitor in.
func (s *stage) onlyHumans(site string) (node string, err error) {
	node = host(site, 1)
	s.BreakPCU(site, pcudev.WrongPassword)
	return node, s.Break(node, testbed.Fault{State: fakenode.Hung, FixedBy: testbed.Nobody})
}

// mend is a human who mends both.
func (s *stage) mend(site string) error {
	s.BreakPCU(site, "")
	return s.Heal(host(site, 1))
}

// tickets are those of a site, the oldest first.
func (s *stage) tickets(site string) []fakert.Ticket {
	var list []fakert.Ticket
	for _, t := range s.Tracker.Tickets() {
		if strings.Contains(t.Subject, "[monitor:"+site+":") {
			list = append(list, t)
		}
	}
	return list
}

// siteState asks the site's workflow, as any client would: by names and small JSON.
func (s *stage) siteState(ctx context.Context, site string) (sites.State, error) {
	var state sites.State
	answer, err := s.Temporal.QueryWorkflow(ctx, "site/"+site, "", workflows.QueryStatus)
	if err == nil {
		err = answer.Get(&state)
	}
	return state, err
}

func (s *stage) siteIs(ctx context.Context, site, what string, days float64, is func(sites.State) bool) error {
	return s.until(ctx, site+" "+what, days, func() (bool, error) {
		state, err := s.siteState(ctx, site)
		return err == nil && is(state), err
	})
}

// resolved waits until the one ticket of a site is resolved.
func (s *stage) resolved(ctx context.Context, site string, days float64) error {
	return s.until(ctx, "the ticket of "+site+" is resolved, and is the only one", days, func() (bool, error) {
		list := s.tickets(site)
		return len(list) == 1 && list[0].Status == rt.Resolved, nil
	})
}

func answersAndGoesSilent(ctx context.Context, s *stage) error {
	const site = "nairobi"
	node, err := s.onlyHumans(site)
	if err != nil {
		return err
	}
	level := func(n int) func(sites.State) bool {
		return func(state sites.State) bool { return state.Level == n }
	}
	if err := s.siteIs(ctx, site, "is at penalty level 1", 20, level(1)); err != nil {
		return err
	}
	if !s.Answer(site, "We have ordered a new disk.") {
		return errors.New("the site has no ticket to answer")
	}
	answered := time.Now()
	held := func(state sites.State) bool { return state.Pause != nil && state.Level == 1 }
	if err := s.siteIs(ctx, site, "is held at level 1 by the answer", 2, held); err != nil {
		return err
	}
	if err := s.days(ctx, 29-time.Since(answered).Seconds()/s.Day.Seconds()); err != nil {
		return err
	}
	if state, err := s.siteState(ctx, site); err != nil || !held(state) || len(s.Suspended(site)) > 0 {
		return fmt.Errorf("29 days after the answer: %+v, %d slices suspended, %v", state, len(s.Suspended(site)), err)
	}
	if err := s.siteIs(ctx, site, "goes on to level 2, a week after it was told so", 12, level(2)); err != nil {
		return err
	}
	if waited := time.Since(answered).Seconds() / s.Day.Seconds(); waited < 30 {
		return fmt.Errorf("level 2 came %.1f days after the answer", waited)
	}
	err = s.until(ctx, "the site is told that Monitor goes on, and to level 2", 3, func() (bool, error) {
		all := strings.Join(s.mailTo(site), "\n")
		return strings.Contains(all, "we have waited") && strings.Contains(all, "slices are suspended"), nil
	})
	if err != nil {
		return err
	}
	if err := s.mend(site); err != nil {
		return err
	}
	for _, id := range []string{nodeDown(node), pcuDown(site)} {
		if err := s.status(ctx, id, issue.Closed, 12); err != nil {
			return err
		}
	}
	return errors.Join(s.resolved(ctx, site, 10), s.cuts(node, 0))
}

func trackerAway(ctx context.Context, s *stage) error {
	const site = "pisa"
	node, err := s.onlyHumans(site)
	if err != nil {
		return err
	}
	if err := s.status(ctx, nodeDown(node), issue.Open, 10); err != nil {
		return err
	}
	s.Tracker.Away(true)
	err = s.siteIs(ctx, site, "says that it waits for the tracker, with what its node and its PCU have to say", 12, func(state sites.State) bool {
		return strings.Contains(state.Blocked, "503") && len(state.Pending) == 2
	})
	if err == nil {
		err = s.days(ctx, 1)
	}
	if err == nil {
		err = s.nobodyMailed(site)
	}
	s.Tracker.Away(false)
	if err != nil {
		return err
	}
	err = s.until(ctx, "the message is in a ticket", 3, func() (bool, error) { return len(s.tickets(site)) == 1 && len(s.mailTo(site)) > 0, nil })
	if err != nil {
		return err
	}
	if err := s.days(ctx, 1); err != nil { // nothing follows it
		return err
	}
	if to := s.mailTo(site); len(to) != 1 || !strings.Contains(to[0], node) || !strings.Contains(to[0], "pcu."+site) {
		return fmt.Errorf("the site was to get one message about its node and its PCU, and got %q", to)
	}
	if err := s.mend(site); err != nil {
		return err
	}
	return errors.Join(s.status(ctx, nodeDown(node), issue.Closed, 12), s.resolved(ctx, site, 10))
}

func pauseEnds(ctx context.Context, s *stage) error {
	const site = "cambridge"
	node, err := s.onlyHumans(site)
	if err != nil {
		return err
	}
	id := nodeDown(node)
	err = s.until(ctx, "the technicians have mail, though the tracker is away in another scenario", 25, func() (bool, error) { return len(s.mailTo(site)) > 0, nil })
	if err != nil {
		return err
	}
	until := time.Now().Add(4 * s.Day)
	order := map[string]any{"reason": "fixed by Friday", "by": "smoke", "until": until.UTC().Format(time.RFC3339Nano)}
	if err := s.Temporal.SignalWorkflow(ctx, id, "", string(issue.OrderPause), order); err != nil {
		return err
	}
	if err := s.status(ctx, id, issue.Paused, 1); err != nil {
		return err
	}
	row, err := s.Store.Issue(ctx, id)
	if err != nil || !strings.Contains(row.Next, "fixed by Friday") || row.NextAt.Sub(until).Abs() > time.Second {
		return fmt.Errorf("the pause is not shown: next is %q at %s, %v", row.Next, row.NextAt, err)
	}
	if err := s.status(ctx, id, issue.Open, 6); err != nil {
		return err
	}
	if time.Now().Before(until) {
		return errors.New("it went on before its pause had passed")
	}
	err = s.until(ctx, "the next message says that it was waited for", 12, func() (bool, error) {
		for _, m := range s.Mail.Messages() {
			if strings.Contains(strings.Join(strings.Fields(m.Body), " "), "as was asked by smoke: fixed by Friday") && strings.Contains(m.Body, node) {
				return true, nil
			}
		}
		return false, nil
	})
	if err != nil {
		return err
	}
	if err := s.mend(site); err != nil {
		return err
	}
	return errors.Join(s.status(ctx, id, issue.Closed, 12), s.resolved(ctx, site, 10))
}
