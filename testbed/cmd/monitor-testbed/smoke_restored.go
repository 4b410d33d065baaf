package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.temporal.io/sdk/client"

	"github.com/planetlab/monitor/activities"
	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/store"
	"github.com/planetlab/monitor/testbed"
	"github.com/planetlab/monitor/testbed/fakenode"
	"github.com/planetlab/monitor/testbed/pcudev"
	"github.com/planetlab/monitor/workflows"
)

// The sites of postgresForgotDeeds, by what Monitor does there after the backup.
const (
	reinstalledSite = "izmir" // a reinstallation that does not help: PLC has the node at reinstall, and it was the second power cycle
	disabledSite    = "jena"
	leftOffSite     = "kobe" // its PCU does not turn the outlet on again
)

// postgresForgotDeeds: in the midst of issues a backup is taken, and restored when Monitor has done more than it knows of.
func postgresForgotDeeds(ctx context.Context, s *stage) error {
	reinstalled, disabled, off := host(reinstalledSite, 1), host(disabledSite, 1), host(leftOffSite, 1)
	if err := s.Break(reinstalled, testbed.Fault{State: fakenode.Hung, FixedBy: testbed.Nobody, Dead: true}); err != nil {
		return err
	}
	err := s.until(ctx, "a reboot of "+reinstalled+" stands in the ledger", 12, func() (bool, error) {
		list, err := s.Store.Actions(ctx, store.ActionFilter{Node: reinstalled, Kind: store.KindReboot})
		return len(list) == 1 && list[0].Outcome == store.Done, err
	})
	if err != nil {
		return err
	}
	restore, err := s.BackUpPostgres()
	if err != nil {
		return err
	}
	was := s.bootState(disabled)
	if err := s.doMore(ctx, reinstalled, disabled, off); err != nil {
		return err
	}
	last, err := s.Store.LastSweep(ctx)
	if err != nil {
		return err
	}
	if err := restore(ctx); err != nil {
		return err
	}
	if err := s.agreesAgain(ctx, last); err != nil {
		return err
	}
	cycles, err := s.Store.PowerCycles(ctx, reinstalled, time.Now().Add(-time.Hour))
	if err != nil || len(cycles) != 2 {
		return errors.Join(err, fmt.Errorf("the gate counts %d power cycles of %s, of 2", len(cycles), reinstalled))
	}
	s.BreakPCU(leftOffSite, "")
	err = s.until(ctx, "Monitor has turned the outlet on again", 10, func() (bool, error) { return s.Powered(off), nil })
	for _, node := range []string{reinstalled, disabled, off} {
		err = errors.Join(err, s.Heal(node))
	}
	if err != nil {
		return err
	}
	for id, site := range forgottenIssues() {
		if err := errors.Join(s.status(ctx, id, issue.Closed, 15), s.nothingHeld(ctx, site)); err != nil {
			return err
		}
	}
	if got := s.bootState(disabled); got != was {
		return fmt.Errorf("PLC has %s at %s, and had it at %s before", disabled, got, was)
	}
	return errors.Join(s.boots(reinstalled), s.cuts(reinstalled, 2), s.cuts(off, 1), s.saysWhatWasForgotten(ctx))
}

// forgottenIssues are the issues of whose deeds the backup knows nothing, with their sites.
func forgottenIssues() map[string]string {
	return map[string]string{
		nodeDown(host(reinstalledSite, 1)):            reinstalledSite,
		issue.OldBootCD + "/" + host(disabledSite, 1): disabledSite,
		nodeDown(host(leftOffSite, 1)):                leftOffSite,
	}
}

func (s *stage) bootState(node string) string {
	return fmt.Sprint(s.DB.Get("Nodes", "hostname", node)["boot_state"])
}

func (s *stage) boots(node string) error {
	if state := s.bootState(node); state != "boot" {
		return fmt.Errorf("PLC has %s at %s: its next boot would wipe it", node, state)
	}
	return nil
}

// doMore waits until Monitor has done what the backup does not know of.
func (s *stage) doMore(ctx context.Context, reinstalled, disabled, off string) error {
	s.BreakPCU(leftOffSite, pcudev.StaysOff)
	err := errors.Join(s.Break(off, testbed.Fault{State: fakenode.Hung, FixedBy: testbed.Nobody}),
		s.Break(disabled, testbed.Fault{State: fakenode.OldBootCD, FixedBy: testbed.Nobody}))
	if err != nil {
		return err
	}
	if err := s.seenBad(ctx, disabled); err != nil {
		return err
	}
	if _, err := s.Temporal.ExecuteWorkflow(ctx, client.StartWorkflowOptions{ID: issue.OldBootCD + "/" + disabled,
		TaskQueue: activities.TaskQueue}, issue.OldBootCD, map[string]string{"node": disabled}); err != nil {
		return err
	}
	err = s.until(ctx, "a node is set to reinstall, one disabled, and an outlet left off", 15, func() (bool, error) {
		list, err := s.Store.Actions(ctx, store.ActionFilter{Kind: store.KindReinstall, Node: reinstalled})
		claims, failed := s.Store.Claims(ctx, store.ClaimFilter{Kind: store.ClaimOutlet, Site: leftOffSite})
		cut, failedToo := s.Store.Actions(ctx, store.ActionFilter{Kind: store.KindReboot, Node: off})
		done := func(list []store.Action) bool { return len(list) == 1 && list[0].Outcome != "" }
		ok := done(list) && done(cut) && len(claims) == 1 && s.bootState(reinstalled) == "reinstall" &&
			s.bootState(disabled) == "disabled" && !s.Powered(off)
		if err = errors.Join(err, failed, failedToo); err == nil && !ok {
			err = fmt.Errorf("%s at %s after %d; %s at %s; %s on %t after %d, with %d claims", reinstalled,
				s.bootState(reinstalled), len(list), disabled, s.bootState(disabled), off, s.Powered(off), len(cut), len(claims))
		}
		return ok, err
	})
	if err != nil {
		return err
	}
	for id := range forgottenIssues() { // what is under way has to end: nobody would remember that it was begun
		if err := s.remembers(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

// remembers waits until an issue's workflow has heard of what its rungs have left in the world.
func (s *stage) remembers(ctx context.Context, id string) error {
	return s.until(ctx, id+" knows what it did", 10, func() (bool, error) {
		value, err := s.Temporal.QueryWorkflow(ctx, id, "", issue.QueryStatus)
		var status workflows.Status
		if err == nil {
			err = value.Get(&status)
		}
		return slices.ContainsFunc(status.Deeds, func(d issue.Deed) bool {
			return d.What == issue.DeedReinstall || d.What == issue.DeedDisabled || d.How == string(issue.LeftOff)
		}), err
	})
}

// agreesAgain waits until the store, issues and PLC agree, which may take two sweeps, and the rest of the one under way.
func (s *stage) agreesAgain(ctx context.Context, last store.Sweep) error {
	var first int64                                                   // the number of the last sweep that the backup knows
	err := s.until(ctx, "Postgres answers", 5, func() (bool, error) { // it ended all connections, ours as well
		sweep, err := s.Store.LastSweep(ctx)
		first = sweep.ID
		return err == nil, err
	})
	if err == nil && first >= last.ID {
		err = fmt.Errorf("the backup has sweep %d, of %d: the scenario proves nothing", first, last.ID)
	}
	if err != nil {
		return err
	}
	want := map[string]store.ClaimKind{reinstalledSite: store.ClaimBootState, disabledSite: store.ClaimNodeDisabled,
		leftOffSite: store.ClaimOutlet}
	var late error
	err = s.until(ctx, "what was forgotten is known again", 10, func() (bool, error) {
		b, err := s.readBooks(ctx)
		if err != nil {
			return false, err
		}
		var missing []string
		for id, site := range forgottenIssues() {
			if _, open := b.open[id]; !open {
				missing = append(missing, id+" is not open")
			}
			if !slices.ContainsFunc(b.claims[site], func(c store.Claim) bool { return c.Kind == want[site] }) {
				missing = append(missing, fmt.Sprintf("no claim %q at %s", want[site], site))
			}
		}
		switch {
		case len(missing) == 0:
			return true, nil
		case b.sweep >= first+4: // the one under way when it was restored, two more, and what the second of them woke
			late = fmt.Errorf("after sweep %d of a backup from sweep %d: %s", b.sweep, first, strings.Join(missing, "; "))
			return true, nil
		}
		return false, errors.New(strings.Join(missing, "; "))
	})
	return errors.Join(err, late)
}

// saysWhatWasForgotten wants the ledger to tell of each deed that the store had forgotten.
func (s *stage) saysWhatWasForgotten(ctx context.Context) error {
	list, err := s.Store.Actions(ctx, store.ActionFilter{Kind: store.KindReconcile, Limit: 1000})
	if err != nil {
		return err
	}
	for _, want := range []struct{ issue, words string }{
		{"", "the store was restored from an older backup"},
		{nodeDown(host(reinstalledSite, 1)), "boot state"},
		{issue.OldBootCD + "/" + host(disabledSite, 1), "node disabled"},
		{nodeDown(host(leftOffSite, 1)), "outlet"},
	} {
		if !slices.ContainsFunc(list, func(a store.Action) bool {
			return a.Issue == want.issue && strings.Contains(a.Reason, want.words)
		}) {
			return fmt.Errorf("the ledger does not say of %q that %q was forgotten", want.issue, want.words)
		}
	}
	recalled, err := s.Store.Actions(ctx, store.ActionFilter{Kind: store.KindReinstall, Node: host(reinstalledSite, 1)})
	if err == nil && (len(recalled) != 1 || !strings.Contains(recalled[0].Reason, "forgotten")) {
		err = fmt.Errorf("the ledger has the reinstallation as %+v", recalled)
	}
	return err
}
