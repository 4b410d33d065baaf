package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/planetlab/monitor/issue"
	sites "github.com/planetlab/monitor/site"
	"github.com/planetlab/monitor/store"
	"github.com/planetlab/monitor/testbed"
	"github.com/planetlab/monitor/testbed/fakenode"
	"github.com/planetlab/monitor/testbed/fakeplc"
	"github.com/planetlab/monitor/testbed/mailbox"
)

// fleetScenarios touch the whole fleet and PLC, or Monitor's own servers: each of the two groups has a testbed of its
// own, on which they run one after the other. What takes them long to begin with is prepared for all of them at once.
func fleetScenarios() (plc, servers []scenario) {
	plc = []scenario{
		{id: "ServersAway", name: "a worker starts while Postgres, then Temporal is away: it waits for them",
			run: serversAway},
		{id: "ObserveThenAct",
			name: "days in observe mode, then act: nothing was used up, and the node is power-cycled then",
			run:  observeThenAct},
		{id: "NoSweepIsTold", name: "the sweep's schedule is paused: the admins are told within hours",
			run: noSweepIsTold},
		{id: "RoleLost",
			name: "PLC takes our role admin, and then shows half of its nodes: nothing closes, nobody is thanked, nothing is done", run: roleLost, prepare: penalise("cusco")},
		plcRestored(),
		{id: "PLCRestoredTooMuch",
			name: "PLC is restored from a backup that has a penalty which was lifted since: it is lifted again",
			run:  plcRestoredTooMuch, prepare: penalise("hanoi")},
	}
	servers = []scenario{
		{id: "PostgresRestored",
			name: "Postgres is restored from a backup that has a penalty which was lifted since: nothing is left over",
			run:  postgresRestored, prepare: penalise("ghent")},
		postgresForgot(),
		// the last of those that are prepared: what workflows remember is what the others need
		{id: "NamespaceLost",
			name: "Temporal loses all it has: open issues open again, and nothing is left over in the end",
			run:  namespaceLost, prepare: penalise("essen")},
		{id: "PostgresForgotDeeds",
			name: "Postgres is restored from a backup taken before a reinstallation, a node that was disabled, an outlet left off and a power cycle: within two sweeps it knows them again, and all is given back",
			run:  postgresForgotDeeds},
	}
	return plc, servers
}

func fleetSites() []testbed.Site {
	return []testbed.Site{{Login: "bergen", Nodes: 2}, {Login: "cusco", Nodes: 2}, {Login: "delft", Nodes: 2},
		{Login: "essen", Nodes: 2}, {Login: "faro", Nodes: 2}, {Login: "ghent", Nodes: 2}, {Login: "hanoi", Nodes: 2},
		{Login: reinstalledSite, Nodes: 2}, {Login: disabledSite, Nodes: 2}, {Login: leftOffSite, Nodes: 2}}
}

// penalise brings a site to level 1.
func penalise(site string) func(context.Context, *stage) error {
	return func(ctx context.Context, s *stage) error { return s.penalised(ctx, site) }
}

func serversAway(ctx context.Context, s *stage) error {
	w := s.Workers[0]
	for _, link := range []string{"postgres", "temporal"} {
		w.Stop(20 * time.Second)
		s.Wires[link].Away(true)
		began := time.Now()
		err := w.Start()
		if err == nil {
			err = s.until(ctx, "the worker says that it waits for "+link, 10, func() (bool, error) {
				if w.GaveUp() {
					return false, errors.New("it gave up")
				}
				lines := strings.Split(s.WorkerLog(), "\n")
				return strings.Contains(strings.Join(lines[max(0, len(lines)-4):], "\n"), "what="+link) ||
					time.Since(began) > 2*s.Day && w.Running(), nil
			})
		}
		s.Wires[link].Away(false)
		if err != nil {
			return err
		}
		if err := s.until(ctx, "the worker works", 20, func() (bool, error) {
			err := w.Healthy()
			return err == nil,
				err
		}); err != nil {
			return err
		}
	}
	return nil
}

func observeThenAct(ctx context.Context, s *stage) error {
	const site = "bergen"
	node := host(site, 1)
	if err := s.Store.SetControl(ctx, store.Control{Name: store.ControlMode, Value: "observe", By: "smoke",
		Reason: "a trial"}); err != nil {
		return err
	}
	if err := s.Break(node, testbed.Fault{State: fakenode.Hung, FixedBy: testbed.Reboot}); err != nil {
		return err
	}
	err := s.until(ctx, "the ledger says what would be done", 15, func() (bool, error) {
		list, err := s.acts(ctx, node)
		return len(list) > 0 && list[0].Kind == store.KindSkip && strings.Contains(list[0].Reason, "observe"), err
	})
	if err == nil {
		err = s.days(ctx, 4)
	}
	if err != nil {
		return err
	}
	if err := errors.Join(s.cuts(node, 0), s.nobodyMailed(site)); err != nil {
		return fmt.Errorf("in observe mode: %w", err)
	}
	if err := s.Store.SetControl(ctx, store.Control{Name: store.ControlMode, By: "smoke",
		Reason: "the trial is over"}); err != nil {
		return err
	}
	if err := s.status(ctx, nodeDown(node), issue.Closed, 20); err != nil {
		return err
	}
	return errors.Join(s.cuts(node, 1), s.nobodyMailed(site))
}

// held waits until sweeps are not believed, and say why.
func (s *stage) held(ctx context.Context, why string) error {
	return s.until(ctx, "sweeps are not believed: "+why, 12, func() (bool, error) {
		_, doubt, err := s.Store.LastBelieved(ctx)
		return strings.Contains(doubt, why), err
	})
}

// penalised breaks a site until it is at level 1.
func (s *stage) penalised(ctx context.Context, site string) error {
	if _, err := s.onlyHumans(site); err != nil {
		return err
	}
	return s.isPenalised(ctx, site)
}

func (s *stage) isPenalised(ctx context.Context, site string) error {
	return s.until(ctx, "penalty 1 is in PLC for "+site, 30, func() (bool, error) { return !s.enabled(site), nil })
}

// mended ends what penalised began.
func (s *stage) mended(ctx context.Context, site string) error {
	if err := s.mend(site); err != nil {
		return err
	}
	for _, id := range []string{nodeDown(host(site, 1)), pcuDown(site)} {
		if err := s.status(ctx, id, issue.Closed, 15); err != nil {
			return err
		}
	}
	return s.nothingHeld(ctx, site)
}

func roleLost(ctx context.Context, s *stage) error {
	const site = "cusco"
	s.DB.SetRoles("user")
	err := s.stays(ctx, site, "admin")
	s.DB.SetRoles("admin")
	if err != nil {
		return fmt.Errorf("without the role: %w", err)
	}
	s.DB.Hide("Nodes", 0.5)
	err = s.stays(ctx, site, "nodes")
	s.DB.Hide("Nodes", 0)
	if err != nil {
		return fmt.Errorf("with half of the nodes: %w", err)
	}
	return s.mended(ctx, site)
}

// stays checks that a penalised site stays as it is while sweeps are not believed, though it is mended in the eyes of
// who believes them.
func (s *stage) stays(ctx context.Context, site, why string) error {
	err := s.held(ctx, why)
	if err == nil {
		err = s.days(ctx, 3)
	}
	if err != nil {
		return err
	}
	i, err := s.Store.Issue(ctx, nodeDown(host(site, 1)))
	switch mails := strings.Join(s.mailTo(site), "\n"); {
	case err != nil:
		return err
	case i.Status != string(issue.Open):
		return fmt.Errorf("the issue is %s: %s", i.Status, i.Outcome)
	case strings.Contains(mails, "thank"):
		return fmt.Errorf("people are thanked: %s", mails)
	case s.enabled(site):
		return errors.New("the penalty is lifted")
	}
	return nil
}

// noSweepIsTold: nothing in Temporal fails then, and so nobody but the workers themselves can notice.
func noSweepIsTold(ctx context.Context, s *stage) error {
	told := func(m mailbox.Message) bool {
		return slices.Contains(m.To, "noc@plc.example") && strings.Contains(m.Body, "no sweep was believed")
	}
	return s.betweenSweeps(ctx, func() error {
		return s.until(ctx, "the admins are told", 20, func() (bool,
			error) {
			return slices.ContainsFunc(s.Mail.Messages(), told), nil
		})
	})
}

func (s *stage) enabled(site string) bool {
	return s.DB.Get("Sites", "login_base", site)["enabled"] == true
}

// plcRestored takes the backup before the penalty.
func plcRestored() scenario {
	const site = "delft"
	var before fakeplc.State
	return scenario{
		id:   "PLCRestored",
		name: "PLC is restored from an older backup: what it forgot is in force again, and is undone in the end",
		prepare: func(ctx context.Context, s *stage) error {
			before = s.DB.Backup()
			return s.penalised(ctx, site)
		},
		run: func(ctx context.Context, s *stage) error {
			s.DB.Restore(before)
			err := s.until(ctx, "the penalty that PLC forgot is in force again", 10, func() (bool,
				error) {
				return !s.enabled(site), nil
			})
			return errors.Join(err, s.mended(ctx, site))
		},
	}
}

// plcRestoredTooMuch takes the backup during the penalty, and restores it after its end.
func plcRestoredTooMuch(ctx context.Context, s *stage) error {
	const site = "hanoi"
	during := s.DB.Backup()
	if err := s.mended(ctx, site); err != nil {
		return err
	}
	s.DB.Restore(during)
	if s.enabled(site) {
		return errors.New("the backup has no penalty: the scenario proves nothing")
	}
	return errors.Join(s.nothingHeld(ctx, site), s.repaired(ctx, site))
}

func namespaceLost(ctx context.Context, s *stage) error {
	const site = "essen"
	runs := map[string]string{}
	for _, id := range []string{nodeDown(host(site, 1)), pcuDown(site), sites.ID(site)} {
		runs[id] = s.runOf(ctx, id)
	}
	if err := s.LoseTemporal(ctx); err != nil {
		return err
	}
	for _, id := range []string{nodeDown(host(site, 1)), pcuDown(site)} {
		if err := s.anew(ctx, id, runs[id]); err != nil {
			return err
		}
	}
	if err := s.siteIs(ctx, site, "is awake again", 10, func(sites.State) bool { return true }); err != nil {
		return err
	}
	if err := s.remembered(ctx, nodeDown(host(site, 1)), runs[nodeDown(host(site, 1))]); err != nil {
		return err
	}
	return errors.Join(s.mended(ctx, site), s.repaired(ctx, site))
}

// remembered checks that the store has an earlier episode of an issue, with its timeline.
func (s *stage) remembered(ctx context.Context, id, run string) error {
	episodes, err := s.Store.Episodes(ctx, id)
	if err != nil || len(episodes) != 2 || episodes[1].RunID != run || episodes[1].Status != string(issue.Closed) {
		return errors.Join(err, fmt.Errorf("the episodes of %s are %+v", id, episodes))
	}
	events, err := s.Store.Timeline(ctx, id, run)
	if err != nil || len(events) < 3 {
		return errors.Join(err, fmt.Errorf("the timeline of the lost episode of %s is %+v", id, events))
	}
	return nil
}

// postgresRestored: a site was mended since the backup. The store then knows of issues and a penalty that are none any
// more.
func postgresRestored(ctx context.Context, s *stage) error {
	const site = "ghent"
	restore, err := s.BackUpPostgres()
	if err != nil {
		return err
	}
	if err := s.mended(ctx, site); err != nil {
		return err
	}
	if err := restore(ctx); err != nil {
		return err
	}
	var list []store.Claim
	err = s.until(ctx, "Postgres answers", 5, func() (bool, error) { // it ended all connections, ours as well
		list, err = s.Store.Claims(ctx, store.ClaimFilter{Site: site})
		return err == nil, err
	})
	if err != nil || len(list) == 0 {
		return errors.Join(err, errors.New("the backup has no claim: the scenario proves nothing"))
	}
	return errors.Join(s.nothingHeld(ctx, site), s.repaired(ctx, site))
}

// postgresForgot: a site fell since the backup. The store then does not know of a penalty, nor of the issues that hold
// it.
func postgresForgot() scenario {
	const site = "faro"
	var restore func(context.Context) error
	return scenario{
		id:   "PostgresForgot",
		name: "Postgres is restored from a backup taken before a penalty: the store learns of it again, and it is undone in the end",
		prepare: func(ctx context.Context, s *stage) (err error) {
			if restore, err = s.BackUpPostgres(); err != nil {
				return err
			}
			return s.penalised(ctx, site)
		},
		run: func(ctx context.Context, s *stage) error {
			if err := restore(ctx); err != nil {
				return err
			}
			for _, id := range []string{nodeDown(host(site, 1)), pcuDown(site)} {
				if err := s.status(ctx, id, issue.Open, 12); err != nil {
					return err
				}
			}
			if err := s.repaired(ctx, site); err != nil {
				return err
			}
			err := s.until(ctx, "the claims say what PLC says", 12, func() (bool, error) {
				list, err := s.Store.Claims(ctx, store.ClaimFilter{Kind: store.ClaimSiteDisabled, Site: site})
				return (len(list) == 0) == s.enabled(site), err
			})
			return errors.Join(err, s.mended(ctx, site))
		},
	}
}
