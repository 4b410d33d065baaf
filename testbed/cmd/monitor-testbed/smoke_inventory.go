package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/store"
	"github.com/planetlab/monitor/testbed"
	"github.com/planetlab/monitor/testbed/fakenode"
	"github.com/planetlab/monitor/testbed/rig"
)

// inventoryOptions are those of the rig of a lab: no PLC, a file says what there is, and each machine has its BMC.
func inventoryOptions(bin string, log io.Writer) rig.Options {
	return rig.Options{Bin: bin, Log: log, NoPLC: true, UIPort: -1, Policy: slowly(), Probe: unhurried(),
		Sites: append([]testbed.Site{{Login: "lab", Nodes: 3, BMCs: true}, {Login: "hall", Nodes: 2}}, calm(12)...)}
}

// brokenInventoryID is the scenario that holds all others up: no act is done while an inventory is broken.
const brokenInventoryID = "BrokenInventory"

func inventoryScenarios() []scenario {
	return []scenario{
		{id: "NoPLCReinstall",
			name: "without PLC: a reboot does not help, the node boots from the network once, and comes back reinstalled",
			run:  noPLCReinstall},
		{id: "NoPLCPeople",
			name: "without PLC: a rack cannot reinstall, so people are written to, and nobody is threatened with what cannot come",
			run:  noPLCPeople},
		{id: brokenInventoryID,
			name: "a broken edit of the inventory: the last good one stands, no machine vanishes, the admins are told, and it ends with the mistake",
			run:  brokenInventory},
	}
}

func noPLCReinstall(ctx context.Context, s *stage) error {
	node := host("lab", 1)
	if err := s.Break(node, testbed.Fault{State: fakenode.Hung, FixedBy: testbed.Reinstall}); err != nil {
		return err
	}
	if err := s.status(ctx, nodeDown(node), issue.Closed, 25); err != nil {
		return err
	}
	if n := len(s.WipeTimes(node)); n != 1 {
		return fmt.Errorf("%s was installed %d times, want once, by its BMC's word", node, n)
	}
	err := s.until(ctx, "its boot state is boot again, and nothing is held", 12, func() (bool, error) {
		n, err := s.Store.Node(ctx, node)
		if err != nil {
			return false, err
		}
		claims, err := s.Store.Claims(ctx, store.ClaimFilter{Site: "lab"})
		return n.BootState == "boot" && len(claims) == 0, err
	})
	return errors.Join(err, s.opened(ctx, nodeDown(node), 1), s.actsAre(ctx, node, "reboot done", "reinstall done"),
		s.cuts(node, 2), s.nobodyMailed("lab"))
}

func noPLCPeople(ctx context.Context, s *stage) error {
	node := host("hall", 1)
	if err := s.Break(node, testbed.Fault{State: fakenode.Hung, FixedBy: testbed.Nobody}); err != nil {
		return err
	}
	id := nodeDown(node)
	passed := func() (bool, error) {
		i, err := s.Store.Issue(ctx, id)
		if errors.Is(err, store.ErrNotFound) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		events, err := s.Store.Timeline(ctx, id, i.RunID)
		for _, e := range events {
			if strings.Contains(fmt.Sprint(e), "nothing can have it installed anew") {
				return true, err
			}
		}
		return false, err
	}
	if err := s.until(ctx, "the reinstallation is passed over, and why", 20, passed); err != nil {
		return err
	}
	err := s.until(ctx, "the technicians have mail", 15, func() (bool, error) { return len(s.mailTo("hall")) > 0, nil })
	if err != nil {
		return err
	}
	if err := s.days(ctx, 8); err != nil { // the time in which a penalty would come
		return err
	}
	wrong := regexp.MustCompile(`\bPLC\b|PlanetLab Central|new slices|suspended`)
	for _, m := range s.Mail.Messages() {
		if strings.Contains(strings.Join(m.To, " "), "hall.example") {
			if found := wrong.FindString(m.Subject + "\n" + m.Body); found != "" {
				return fmt.Errorf("a mail speaks of %q, which is not here:\n%s\n%s", found, m.Subject, m.Body)
			}
		}
	}
	row, err := s.Store.Site(ctx, "hall")
	if err == nil && row.PenaltyLevel != 0 {
		err = fmt.Errorf("hall is at penalty level %d", row.PenaltyLevel)
	}
	return errors.Join(err, s.cuts(node, 1), s.Heal(node), s.status(ctx, id, issue.Closed, 15))
}

func brokenInventory(ctx context.Context, s *stage) error {
	file := filepath.Join(filepath.Dir(s.Config), "fleet.yaml")
	good, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	write := func(text string) error { return os.WriteFile(file, []byte(text), 0o600) }
	defer func() { _ = write(string(good)) }()
	before, err := s.Store.Nodes(ctx, 0, 1<<20)
	if err != nil {
		return err
	}
	line := strings.Index(string(good), "name: "+host("lab", 2))
	if err := write(string(good[:line]) + "nmae" + string(good[line+len("name"):])); err != nil {
		return err
	}
	said := func(m string) bool {
		return strings.Contains(m, "the inventory has a mistake") && strings.Contains(m, `there is no key "nmae" here`)
	}
	err = s.until(ctx, "the admins are told of the mistake and its line", 8, func() (bool, error) {
		for _, m := range s.Mail.Messages() {
			if strings.Contains(strings.Join(m.To, " "), "noc@") && said(strings.Join(strings.Fields(m.Body), " ")) {
				return true, nil
			}
		}
		return false, nil
	})
	if err != nil {
		return err
	}
	if err := s.days(ctx, 2); err != nil {
		return err
	}
	now, err := s.Store.Nodes(ctx, 0, 1<<20)
	if err != nil {
		return err
	}
	if len(now) != len(before) {
		return fmt.Errorf("there are %d nodes, and were %d", len(now), len(before))
	}
	if err := write(string(good)); err != nil {
		return err
	}
	return s.until(ctx, "a sweep is believed again", 8, func() (bool, error) {
		last, err := s.Store.LastSweep(ctx)
		return last.Believed, err
	})
}
