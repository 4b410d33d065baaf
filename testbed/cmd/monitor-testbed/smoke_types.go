package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"

	"github.com/planetlab/monitor/activities"
	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/store"
	"github.com/planetlab/monitor/testbed"
	"github.com/planetlab/monitor/testbed/fakenode"
	"github.com/planetlab/monitor/testbed/fakeplc"
	"github.com/planetlab/monitor/testbed/pcudev"
)

// smokeSites are the sites of these scenarios, beside the testbed's usual ones.
func smokeSites() []testbed.Site {
	return append(testbed.Fleet(),
		testbed.Site{Login: "chennai", Nodes: 40}, testbed.Site{Login: "lisbon", Nodes: 2}, testbed.Site{Login: "oslo", Nodes: 2},
		testbed.Site{Login: "quito", Nodes: 2}, testbed.Site{Login: "turin", Nodes: 3}, testbed.Site{Login: "dakar", Nodes: 3},
		testbed.Site{Login: "lima", Nodes: 5}, testbed.Site{Login: "sofia", Nodes: 3}, testbed.Site{Login: "accra", Nodes: 2}, testbed.Site{Login: "quetta", Nodes: 2},
		testbed.Site{Login: "malmo", Nodes: 2}, testbed.Site{Login: "perth", Nodes: 2})
}

func typeScenarios() []scenario {
	return []scenario{
		{id: "DarkSite", name: "forty nodes of one site lose power at once: one story, one mail", run: darkSite},
		{id: "ExemptBetweenRungs", name: "an exemption is added between two rungs: nothing more is done, and the ledger says why", run: exemptBetweenRungs},
		{id: "LiftedByHand", name: "a penalty is lifted by hand in PLC: it is applied again, said, and undone without what others had done", run: liftedByHand},
		{id: "TwoHold", name: "two issues hold one site, which is denied nothing once enough nodes work, though one is open", run: twoHold},
		{id: "PCUGivenBack", name: "a PCU is mended: the node that had to do without it is power-cycled once", run: pcuGivenBack},
		{id: "EveryType", name: "every type of issue starts by name, and ends by itself where nothing is wrong", run: everyType},
	}
}

// betweenSweeps does something while no sweep looks, so that what happens at once is seen at once.
func (s *stage) betweenSweeps(ctx context.Context, do func() error) error {
	h := s.Temporal.ScheduleClient().GetHandle(ctx, activities.SweepType)
	if err := h.Pause(ctx, client.SchedulePauseOptions{Note: "smoke: a site loses power"}); err != nil {
		return err
	}
	err := s.until(ctx, "no sweep is under way", 5, func() (bool, error) {
		d, err := h.Describe(ctx)
		return err == nil && len(d.Info.RunningWorkflows) == 0, err
	})
	if err == nil {
		err = do()
	}
	return errors.Join(err, h.Unpause(ctx, client.ScheduleUnpauseOptions{}))
}

// issuesAt counts the issues of a type that a site ever had, as Temporal knows it.
func (s *stage) issuesAt(ctx context.Context, site, typ string) (int64, error) {
	query := fmt.Sprintf("WorkflowType = '%s' AND Site = '%s'", typ, site)
	res, err := s.Temporal.CountWorkflow(ctx, &workflowservice.CountWorkflowExecutionsRequest{Query: query})
	if err != nil {
		return 0, err
	}
	return res.Count, nil
}

func darkSite(ctx context.Context, s *stage) error {
	const site = "chennai"
	id := issue.SiteDown + "/" + site
	err := s.betweenSweeps(ctx, func() error {
		s.BreakPCU(site, pcudev.Refuses)
		for n := 1; n <= 40; n++ {
			if err := s.Break(host(site, n), testbed.Fault{State: fakenode.Off, FixedBy: testbed.Nobody, Because: "a power cut"}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := s.status(ctx, id, issue.Open, 20); err != nil {
		return err
	}
	err = s.until(ctx, "its technicians have mail", 6, func() (bool, error) { return len(s.mailTo(site)) > 0, nil })
	if err != nil {
		return err
	}
	if err := s.days(ctx, 2); err != nil {
		return err
	}
	if to := s.mailTo(site); len(to) != 1 || !strings.HasPrefix(to[0], "tech: ") {
		return fmt.Errorf("want one mail to its technicians, not %q", to)
	}
	held, err := s.Store.Actions(ctx, store.ActionFilter{Kind: store.KindGuard})
	held = slices.DeleteFunc(held, func(a store.Action) bool { return !strings.HasPrefix(a.Key, "guard/") }) // others say that no sweep came
	if err != nil || len(held) > 0 {
		return errors.Join(err, fmt.Errorf("the fleet guard took a power cut for the observer's fault: %+v", held))
	}
	s.BreakPCU(site, "")
	for n := 1; n <= 40; n++ {
		if err := s.Heal(host(site, n)); err != nil {
			return err
		}
	}
	if err := s.status(ctx, id, issue.Closed, 8); err != nil {
		return err
	}
	if err := s.days(ctx, 2); err != nil {
		return err
	}
	all := []error{s.opened(ctx, id, 1)}
	for _, typ := range []string{issue.NodeDown, issue.PCUDown, issue.PCUMissing} {
		n, err := s.issuesAt(ctx, site, typ)
		if err == nil && n > 0 {
			err = fmt.Errorf("%d issues of type %s beside the one story", n, typ)
		}
		all = append(all, err)
	}
	return errors.Join(all...)
}

func exemptBetweenRungs(ctx context.Context, s *stage) error {
	const site = "lisbon"
	node := host(site, 1)
	if err := s.Break(node, testbed.Fault{State: fakenode.Hung, FixedBy: testbed.Nobody}); err != nil {
		return err
	}
	err := s.until(ctx, "its technicians have mail", 15, func() (bool, error) { return len(s.mailTo(site)) > 0, nil })
	if err != nil {
		return err
	}
	cuts := s.PowerCuts(node)
	s.Exempt(site, time.Now().AddDate(0, 1, 0))
	err = s.until(ctx, "the ledger says why nothing more is done", 15, func() (bool, error) {
		list, err := s.Store.Actions(ctx, store.ActionFilter{Issue: nodeDown(node), Kind: "skip"})
		return len(list) > 0 && strings.Contains(list[0].Reason, "exempt in PLC"), err
	})
	if err != nil {
		return err
	}
	// What PLC says is read once a sweep, and mail may go out until then. The next step of people is in the days after.
	mails := len(s.mailTo(site))
	if err := s.days(ctx, 8); err != nil {
		return err
	}
	if to := s.mailTo(site); len(to) != mails {
		return fmt.Errorf("mail went to an exempt site: %q", to[mails:])
	}
	if s.DB.Get("Sites", "login_base", site)["enabled"] != true {
		return errors.New("an exempt site is penalised")
	}
	if err := s.command(ctx, nodeDown(node), string(issue.OrderClose), "the scenario is over"); err != nil {
		return err
	}
	return errors.Join(s.cuts(node, cuts), s.status(ctx, nodeDown(node), issue.Closed, 5), s.opened(ctx, nodeDown(node), 1))
}

func liftedByHand(ctx context.Context, s *stage) error {
	const site = "oslo"
	node, row := host(site, 1), s.DB.Get("Sites", "login_base", site)
	enabled := func(want bool) func() (bool, error) {
		return func() (bool, error) { return s.DB.Get("Sites", "login_base", site)["enabled"] == want, nil }
	}
	others := site + "_coral" // somebody else suspended it long before
	s.DB.Add("SliceTags", fakeplc.Row{"slice_id": s.DB.Get("Slices", "name", others)["slice_id"], "tagname": "enabled", "value": "0"})
	s.BreakPCU(site, pcudev.WrongPassword)
	if err := s.Break(node, testbed.Fault{State: fakenode.Hung, FixedBy: testbed.Nobody}); err != nil {
		return err
	}
	if err := s.until(ctx, "penalty 1 is in PLC", 25, enabled(false)); err != nil {
		return err
	}
	s.DB.Set("Sites", row["site_id"].(int), "enabled", true)
	if err := s.until(ctx, "what was lifted by hand is in PLC again", 5, enabled(false)); err != nil {
		return err
	}
	err := s.until(ctx, "the ledger and the admins know", 12, func() (bool, error) {
		list, err := s.Store.Actions(ctx, store.ActionFilter{Kind: store.KindPenalty, Site: site})
		return len(list) > 0 && list[0].Outcome == store.Done && s.adminsWereTold(site, "by hand"), err
	})
	if err != nil {
		return err
	}
	err = s.until(ctx, "penalty 2: its slices are suspended", 20, func() (bool, error) { return len(s.Suspended(site)) == 2, nil })
	if err != nil {
		return err
	}
	s.BreakPCU(site, "")
	if err := s.Heal(node); err != nil {
		return err
	}
	for _, id := range []string{nodeDown(node), pcuDown(site)} {
		if err := s.status(ctx, id, issue.Closed, 12); err != nil {
			return err
		}
	}
	if err := s.until(ctx, "both penalties are gone from PLC", 5, enabled(true)); err != nil {
		return err
	}
	if got := s.Suspended(site); !slices.Equal(got, []string{others}) {
		return fmt.Errorf("suspended are %q, and only %s was before Monitor came", got, others)
	}
	return nil
}

// adminsWereTold says whether a mail about a site that holds some words reached the admins.
func (s *stage) adminsWereTold(site, words string) bool {
	for _, m := range s.Mail.Messages() {
		if slices.Contains(m.To, "noc@plc.example") && strings.Contains(m.Subject, site) && strings.Contains(m.Subject, words) {
			return true
		}
	}
	return false
}

func twoHold(ctx context.Context, s *stage) error {
	const site = "quito"
	node := host(site, 1)
	enabled := func() (bool, error) { return s.DB.Get("Sites", "login_base", site)["enabled"] == true, nil }
	s.BreakPCU(site, pcudev.WrongPassword)
	if err := s.Break(node, testbed.Fault{State: fakenode.Hung, FixedBy: testbed.Nobody}); err != nil {
		return err
	}
	err := s.until(ctx, "penalty 1 is in PLC", 25, func() (bool, error) { on, err := enabled(); return !on, err })
	if err != nil {
		return err
	}
	err = s.until(ctx, "both issues hold the level", 5, func() (bool, error) {
		n, err := s.Store.Issue(ctx, nodeDown(node))
		if err != nil {
			return false, err
		}
		p, err := s.Store.Issue(ctx, pcuDown(site))
		return n.Level > 0 && p.Level > 0, err
	})
	if err != nil {
		return err
	}
	if err := s.Heal(node); err != nil {
		return err
	}
	if err := s.status(ctx, nodeDown(node), issue.Closed, 8); err != nil {
		return err
	}
	// Enough nodes work again, so the site is denied nothing, though its PCU still has an issue.
	if err := s.until(ctx, "the level falls with the site", 6, enabled); err != nil {
		return err
	}
	if i, err := s.Store.Issue(ctx, pcuDown(site)); err != nil || i.Status == string(issue.Closed) {
		return fmt.Errorf("the PCU's issue is %s, %v", i.Status, err)
	}
	s.BreakPCU(site, "")
	return s.status(ctx, pcuDown(site), issue.Closed, 8)
}

func pcuGivenBack(ctx context.Context, s *stage) error {
	const site = "turin"
	node := host(site, 1)
	s.BreakPCU(site, pcudev.WrongPassword)
	if err := s.Break(node, testbed.Fault{State: fakenode.Hung, FixedBy: testbed.Reboot}); err != nil {
		return err
	}
	if err := s.status(ctx, pcuDown(site), issue.Open, 10); err != nil {
		return err
	}
	if err := s.days(ctx, 1); err != nil {
		return err
	}
	if err := s.cuts(node, 0); err != nil {
		return err
	}
	s.BreakPCU(site, "")
	for _, id := range []string{pcuDown(site), nodeDown(node)} {
		if err := s.status(ctx, id, issue.Closed, 12); err != nil {
			return err
		}
	}
	return errors.Join(s.cuts(node, 1), s.opened(ctx, nodeDown(node), 1))
}

func everyType(ctx context.Context, s *stage) error {
	const site = "dakar"
	node := host(site, 1)
	var runs []client.WorkflowRun
	for _, t := range issue.Types() {
		field, target := "node", node
		switch t.Name {
		case issue.PCUDown:
			field, target = "pcu", "pcu."+site+".example"
		case issue.SiteDown:
			field, target = "site", site
		}
		start := client.StartWorkflowOptions{ID: t.Name + "/" + target, TaskQueue: activities.TaskQueue}
		run, err := s.Temporal.ExecuteWorkflow(ctx, start, t.Name, map[string]string{field: target})
		if err != nil {
			return err
		}
		runs = append(runs, run)
	}
	for _, run := range runs {
		var res struct{ Outcome string }
		if err := run.Get(ctx, &res); err != nil || res.Outcome != "good again" {
			return fmt.Errorf("%s ended as %q: %w", run.GetID(), res.Outcome, err)
		}
	}
	return errors.Join(s.cuts(node, 0), s.nobodyMailed(site))
}
