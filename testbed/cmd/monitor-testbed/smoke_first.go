package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/store"
	"github.com/planetlab/monitor/testbed"
	"github.com/planetlab/monitor/testbed/fakenode"
	"github.com/planetlab/monitor/testbed/pcudev"
)

func hungNode(ctx context.Context, s *stage) error {
	node := host("princeton", 1)
	if err := s.Break(node, testbed.Fault{State: fakenode.Hung, FixedBy: testbed.Reboot}); err != nil {
		return err
	}
	if err := s.status(ctx, nodeDown(node), issue.Closed, 20); err != nil {
		return err
	}
	if err := s.days(ctx, 2); err != nil { // it stays closed
		return err
	}
	return errors.Join(s.opened(ctx, nodeDown(node), 1), s.actsAre(ctx, node, "reboot done"), s.cuts(node, 1),
		s.nobodyMailed("princeton"))
}

func reinstallHelps(ctx context.Context, s *stage) error {
	node := host("upmc", 1)
	if err := s.Break(node, testbed.Fault{State: fakenode.Hung, FixedBy: testbed.Reinstall}); err != nil {
		return err
	}
	if err := s.status(ctx, nodeDown(node), issue.Closed, 20); err != nil {
		return err
	}
	if state := s.DB.Get("Nodes", "hostname", node)["boot_state"]; state != "boot" {
		return fmt.Errorf("PLC has %s at boot state %v after its reinstallation", node, state)
	}
	return errors.Join(s.opened(ctx, nodeDown(node), 1), s.actsAre(ctx, node, "reboot done", "reinstall done"),
		s.cuts(node, 2), s.nobodyMailed("upmc"))
}

func brokenPCU(ctx context.Context, s *stage) error {
	const site = "huji"
	node := host(site, 1)
	s.BreakPCU(site, pcudev.WrongPassword)
	if err := s.Break(node, testbed.Fault{State: fakenode.Hung, FixedBy: testbed.Nobody}); err != nil {
		return err
	}
	if err := s.status(ctx, pcuDown(site), issue.Open, 10); err != nil {
		return err
	}
	enabled := func() bool { return s.DB.Get("Sites", "login_base", site)["enabled"] == true }
	suspended := func() bool { return len(s.Suspended(site)) == 2 }
	err := s.until(ctx, "penalty 1: the site is disabled in PLC and its slices still run", 20, func() (bool,
		error) {
		return !enabled() && !suspended(), nil
	})
	if err != nil {
		return err
	}
	err = s.until(ctx, "penalty 2: its slices are suspended", 20, func() (bool, error) {
		return !enabled() &&
			suspended(), nil
	})
	if err != nil {
		return err
	}
	err = s.until(ctx, "tech, pi and user have mail", 10, func() (bool, error) {
		all := strings.Join(s.mailTo(site), "\n")
		return strings.Contains(all, "tech: ") && strings.Contains(all, "pi: ") && strings.Contains(all, "user: "), nil
	})
	if err != nil {
		return err
	}
	widens := s.widens(site)
	s.BreakPCU(site, "")
	if err := s.Heal(node); err != nil {
		return err
	}
	for _, id := range []string{nodeDown(node), pcuDown(site)} {
		if err := s.status(ctx, id, issue.Closed, 12); err != nil {
			return err
		}
	}
	err = s.until(ctx, "both penalties are gone from PLC", 10, func() (bool, error) {
		return enabled() &&
			len(s.Suspended(site)) == 0, nil
	})
	if err != nil {
		return err
	}
	err = s.until(ctx, "thanks are sent to all who were written to", 10, func() (bool, error) {
		return s.thanked(site),
			nil
	})
	return errors.Join(err, widens, s.opened(ctx, nodeDown(node), 1), s.opened(ctx, pcuDown(site), 1), s.cuts(node, 0))
}

// widens checks that technicians hear first, investigators second and users last.
func (s *stage) widens(site string) error {
	first := map[string]int{}
	for i, m := range s.mailTo(site) {
		who, _, _ := strings.Cut(m, ":")
		if _, ok := first[who]; !ok {
			first[who] = i
		}
	}
	if first["tech"] < first["pi"] && first["pi"] < first["user"] {
		return nil
	}
	return fmt.Errorf("the mail did not widen from technicians to investigators to users: %q", s.mailTo(site))
}

func (s *stage) thanked(site string) bool {
	who := map[string]bool{}
	for _, m := range s.mailTo(site) {
		if name, subject, _ := strings.Cut(m, ": "); strings.Contains(subject, "thank") {
			who[name] = true
		}
	}
	return who["tech"] && who["pi"] && who["user"]
}

func recoversAlone(ctx context.Context, s *stage) error {
	node := host("inria", 1)
	if err := s.Break(node, testbed.Fault{State: fakenode.Hung, FixedBy: testbed.Nobody}); err != nil {
		return err
	}
	seen := func(want bool) func() (bool, error) {
		return func() (bool, error) {
			n, err := s.Store.Node(ctx, node)
			return n.Record.Status.Healthy() == want, err
		}
	}
	if err := s.until(ctx, node+" is seen offline", 3, seen(false)); err != nil {
		return err
	}
	if err := s.Heal(node); err != nil {
		return err
	}
	if err := s.until(ctx, node+" is seen online", 3, seen(true)); err != nil {
		return err
	}
	if err := s.days(ctx, 5); err != nil {
		return err
	}
	return errors.Join(s.opened(ctx, nodeDown(node), 0), s.actsAre(ctx, node), s.nobodyMailed("inria"))
}

func operator(ctx context.Context, s *stage) error {
	node := host("tokyo", 1)
	id := nodeDown(node)
	if err := s.Break(node, testbed.Fault{State: fakenode.Hung, FixedBy: testbed.Nobody}); err != nil {
		return err
	}
	if err := s.status(ctx, id, issue.Open, 10); err != nil {
		return err
	}
	err := s.until(ctx, "it is power-cycled once", 5, func() (bool, error) { return s.PowerCuts(node) == 1, nil })
	if err != nil {
		return err
	}
	if err := s.command(ctx, id, string(issue.OrderPause), "the technician is on the way"); err != nil {
		return err
	}
	if err := s.days(ctx, 4); err != nil {
		return err
	}
	if err := errors.Join(s.cuts(node, 1), s.nobodyMailed("tokyo"), s.status(ctx, id, issue.Paused, 1)); err != nil {
		return fmt.Errorf("while paused: %w", err)
	}
	for _, name := range []string{string(issue.OrderSkip), string(issue.OrderResume)} {
		if err := s.command(ctx, id, name, "its disk holds data: no reinstallation"); err != nil {
			return err
		}
	}
	// The rung after the one that was skipped writes to people: when that is done, none has reinstalled.
	err = s.until(ctx, "the technicians have mail", 10, func() (bool, error) { return len(s.mailTo("tokyo")) > 0, nil })
	if err != nil {
		return err
	}
	if err := errors.Join(s.cuts(node, 1), s.actsAre(ctx, node, "reboot done", "notice sent")); err != nil {
		return err
	}
	if err := s.Heal(node); err != nil {
		return err
	}
	if err := s.command(ctx, id, string(issue.OrderClose), "mended by hand"); err != nil {
		return err
	}
	return errors.Join(s.status(ctx, id, issue.Closed, 5), s.opened(ctx, id, 1))
}

func leftAlone(ctx context.Context, s *stage) error {
	node, exempt := host("warsaw", 1), host("cornell", 1)
	err := s.Store.AddBlacklist(ctx, store.BlacklistEntry{Kind: "node", Target: node, Reason: "waits for a new board",
		Owner: "smoke"})
	if err != nil {
		return err
	}
	s.Exempt("cornell", time.Now().AddDate(0, 1, 0))
	for _, h := range []string{node, exempt} {
		if err := s.Break(h, testbed.Fault{State: fakenode.Hung, FixedBy: testbed.Nobody}); err != nil {
			return err
		}
	}
	for h, why := range map[string]string{node: "waits for a new board", exempt: "exempt"} {
		err := s.until(ctx, "the ledger says why "+h+" is left alone", 10, func() (bool, error) {
			list, err := s.acts(ctx, h)
			return len(list) > 0 && list[0].Kind == "skip" && strings.Contains(list[0].Reason, why), err
		})
		if err != nil {
			return err
		}
	}
	if err := s.days(ctx, 3); err != nil {
		return err
	}
	var all []error
	for _, h := range []string{node, exempt} {
		n, err := s.Store.Node(ctx, h)
		if err == nil && n.Record.Status.Healthy() {
			err = fmt.Errorf("%s was not looked at: it is %s", h, n.Record.Status)
		}
		all = append(all, err, s.opened(ctx, nodeDown(h), 0), s.cuts(h, 0))
	}
	for h, check := range map[string]string{node: "blacklist", exempt: "exempt"} {
		all = append(all, s.whyNot(ctx, h, "open", check))
	}
	return errors.Join(append(all, s.nobodyMailed("warsaw"), s.nobodyMailed("cornell"))...)
}
