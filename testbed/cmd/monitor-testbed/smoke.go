package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fatih/color"
	"github.com/spf13/cobra"
	"go.temporal.io/api/workflowservice/v1"

	"github.com/planetlab/monitor/answers"
	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/store"
	"github.com/planetlab/monitor/testbed"
	"github.com/planetlab/monitor/testbed/fakenode"
	"github.com/planetlab/monitor/testbed/pcudev"
	"github.com/planetlab/monitor/testbed/rig"
)

func smokeCommand() *cobra.Command {
	var histories, only string
	cmd := &cobra.Command{
		Use:   "smoke",
		Short: "Run every scenario to its end on real parts and count what passed",
		Args:  cobra.NoArgs,
		Example: `  monitor-testbed smoke
  monitor-testbed smoke --histories workflows/testdata/histories`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return smoke(cmd.Context(), cmd.OutOrStdout(), histories, only)
		},
	}
	cmd.Flags().StringVar(&only, "run", "", "run only the scenarios whose id matches this regular `expression`")
	cmd.Flags().StringVar(&histories, "histories", "", "folder to write the workflows' histories to, for replay tests")
	return cmd
}

// scenario is one story with an end that can be checked. Scenarios share a testbed and run at once, each at its own
// sites.
type scenario struct {
	id   string // names it for `go test -run Smoke/<id>` and for --run
	name string
	run  func(context.Context, *stage) error

	prepare   func(context.Context, *stage) error // what takes long before run; nil: nothing does
	onlyNamed bool                                // too much beside others: played only by those who choose it
}

func scenarios() []scenario {
	return slices.Concat([]scenario{
		{id: "HungNode", name: "a hung node with a good PCU: one issue, one power cycle, nobody mailed", run: hungNode},
		{id: "ReinstallHelps", name: "a reboot does not help, the reinstall does", run: reinstallHelps},
		{id: "BrokenPCU",
			name: "a broken PCU: mails widen, penalties rise to 2 in PLC, a human repairs it, all is given back",
			run:  brokenPCU},
		{id: "RecoversAlone", name: "a node that recovers by itself before its threshold: no issue",
			run: recoversAlone},
		{id: "Operator", name: "an operator pauses an issue for days, resumes it, skips a rung, closes it",
			run: operator},
		{id: "StuckNode",
			name: "a node stuck in debug mode: bootman reads its log and starts its BootManager, no power cycle, nobody mailed", run: stuckNode},
		{id: "LeftAlone",
			name: "a blacklisted node and an exempt site: looked at, not acted on, and the ledger says why",
			run:  leftAlone},
		{id: "AnswersAndGoesSilent",
			name: "a human answers the ticket at level 1 and goes silent for 31 days: the level is kept, then goes on and says so", run: answersAndGoesSilent},
		{id: "TrackerAway",
			name: "the tracker is away for a day: its site waits and says so, nothing is lost and nothing sent twice",
			run:  trackerAway},
		{id: "PauseEnds",
			name: "the time that somebody asked for passes: paused until then, shown as that, and the next message says that it was waited for", run: pauseEnds},
	}, typeScenarios(), coreScenarios(), plcScenarios())
}

// smokeOptions are those of the rig that scenarios share. The guard doubts what it would doubt in life: around what
// breaks stand enough sites that work.
func smokeOptions(bin string, log io.Writer) rig.Options {
	return rig.Options{Bin: bin, Log: log, Sites: append(smokeSites(), calm(40)...), Policy: slowly(),
		Probe: unhurried()}
}

// fleetOptions are those of the rig for scenarios that touch the whole fleet.
func fleetOptions(bin string, log io.Writer) rig.Options {
	return rig.Options{Bin: bin, Log: log, Sites: append(fleetSites(), calm(14)...), Wires: true, UIPort: -1,
		Policy: slowly(), Probe: unhurried()}
}

// calm are sites where nothing happens.
func calm(n int) []testbed.Site {
	var list []testbed.Site
	for i := range n {
		list = append(list, testbed.Site{Login: fmt.Sprintf("calm%d", i), Nodes: 2})
	}
	return list
}

// slowly lets the trouble that a node has while it changes its state pass for what it is: it must last some sweeps.
func slowly() map[string]any { return map[string]any{"trouble_after": "4d"} }

// unhurried gives a node time to answer where the machine is busy: a node that is merely slow would be the scenarios'
// trouble.
func unhurried() map[string]any { return map[string]any{"timeout": "1500ms"} }

func smoke(ctx context.Context, out io.Writer, histories, only string) error {
	chosen, err := regexp.Compile(only)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 7*time.Minute)
	defer cancel()
	k := &tally{out: out, started: time.Now()}
	var all sync.WaitGroup
	all.Go(func() { k.shared(ctx, chosen, histories) })
	plc, servers := fleetScenarios()
	all.Go(func() { k.alone(ctx, choose(plc, chosen)) })
	all.Go(func() { k.alone(ctx, choose(servers, chosen)) })
	all.Go(func() { k.dying(ctx, chosen) })
	all.Go(func() { k.withoutPLC(ctx, chosen) })
	all.Wait()
	fmt.Fprintf(out, "%d passed, %d failed\n", k.passed, k.failed)
	if k.failed > 0 {
		return errors.New("the smoke test failed")
	}
	return k.err
}

// tally counts scenarios.
type tally struct {
	out     io.Writer
	started time.Time

	mu             sync.Mutex
	passed, failed int
	err            error // of the testbeds themselves
}

func (k *tally) play(ctx context.Context, r *rig.Rig, s scenario) {
	k.note(s, s.run(ctx, &stage{r}))
}

func (k *tally) note(s scenario, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err != nil {
		k.failed++
		fmt.Fprintf(k.out, "%s %s: %s: %v\n", color.RedString("failed"), s.id, s.name, err)
		return
	}
	k.passed++
	fmt.Fprintf(k.out, "%s %s: %s, %.0f s\n", color.GreenString("passed"), s.id, s.name,
		time.Since(k.started).Seconds())
}

func choose(all []scenario, chosen *regexp.Regexp) []scenario {
	return slices.DeleteFunc(all, func(s scenario) bool {
		return !chosen.MatchString(s.id) || s.onlyNamed &&
			chosen.String() == ""
	})
}

// shared runs scenarios at once on one testbed.
func (k *tally) shared(ctx context.Context, chosen *regexp.Regexp, histories string) {
	k.on(ctx, smokeOptions("", k.out), choose(scenarios(), chosen), func(r *rig.Rig, list []scenario) error {
		var all sync.WaitGroup
		for _, s := range list {
			all.Go(func() { k.play(ctx, r, s) })
		}
		all.Wait()
		if histories == "" {
			return nil
		}
		return exportHistories(context.WithoutCancel(ctx), r, histories)
	})
}

// alone runs scenarios one after the other on a testbed whose servers may fail.
func (k *tally) alone(ctx context.Context, list []scenario) {
	k.on(ctx, fleetOptions("", io.Discard), list, func(r *rig.Rig, list []scenario) error {
		var prepared []scenario
		for _, s := range list {
			if s.prepare != nil {
				prepared = append(prepared, s)
				continue
			}
			k.play(ctx, r, s)
		}
		errs := make([]error, len(prepared))
		var all sync.WaitGroup
		for n, s := range prepared {
			all.Go(func() { errs[n] = s.prepare(ctx, &stage{r}) })
		}
		all.Wait()
		for n, s := range prepared {
			if errs[n] != nil {
				k.note(s, errs[n])
				continue
			}
			k.play(ctx, r, s)
		}
		return nil
	})
}

// dying runs the scenario of a fleet whose workflows die.
func (k *tally) dying(ctx context.Context, chosen *regexp.Regexp) {
	k.on(ctx, deathOptions("", io.Discard), choose(deathScenarios(), chosen), func(r *rig.Rig, list []scenario) error {
		for _, s := range list {
			k.play(ctx, r, s)
		}
		return nil
	})
}

// withoutPLC runs the scenarios of a fleet that a file describes. The last one breaks the file, so it comes after the
// others.
func (k *tally) withoutPLC(ctx context.Context, chosen *regexp.Regexp) {
	list := choose(inventoryScenarios(), chosen)
	k.on(ctx, inventoryOptions("", io.Discard), list, func(r *rig.Rig, list []scenario) error {
		var all sync.WaitGroup
		for _, s := range list {
			if s.id == brokenInventoryID {
				all.Wait()
			}
			all.Go(func() { k.play(ctx, r, s) })
		}
		all.Wait()
		return nil
	})
}

func (k *tally) on(ctx context.Context, o rig.Options, list []scenario, play func(*rig.Rig, []scenario) error) {
	if len(list) == 0 {
		return
	}
	r, err := rig.Start(ctx, o)
	if err == nil {
		failed := k.failures()
		err = play(r, list)
		k.play(ctx, r, words())
		if k.failures() > failed {
			fmt.Fprintf(k.out, "\nthe worker's last words:\n%s\n", r.WorkerLog())
		}
		err = errors.Join(err, r.Close())
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.err = errors.Join(k.err, err)
}

func (k *tally) failures() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.failed
}

// stage is what a scenario plays on.
type stage struct{ *rig.Rig }

func host(site string, n int) string { return fmt.Sprintf("planetlab%d.%s.example", n, site) }
func nodeDown(host string) string    { return issue.NodeDown + "/" + host }
func pcuDown(site string) string     { return issue.PCUDown + "/pcu." + site + ".example" }

// days waits a number of policy days.
func (s *stage) days(ctx context.Context, n float64) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(time.Duration(n * float64(s.Day))):
		return nil
	}
}

// until asks until the answer is yes. Days are how long that takes by policy where the machine has time for it; twice
// that is waited for, and whoever cares when something happened asks for that.
func (s *stage) until(ctx context.Context, what string, days float64, ask func() (bool, error)) error {
	deadline := time.Now().Add(time.Duration(2 * days * float64(s.Day)))
	for {
		ok, err := ask()
		if ok && err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return errors.Join(fmt.Errorf("not within %.0f policy days: %s", days, what), err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w", what, ctx.Err())
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (s *stage) status(ctx context.Context, id string, status issue.Status, days float64) error {
	err := s.until(ctx, id+" is "+string(status), days, func() (bool, error) {
		i, err := s.Store.Issue(ctx, id)
		if errors.Is(err, store.ErrNotFound) {
			err = nil
		}
		return i.Status == string(status), err
	})
	if err != nil {
		err = fmt.Errorf("%w; %s", err, s.story(ctx, id))
	}
	return err
}

// story is what an issue last lived through, for who must find out why it does not go on.
func (s *stage) story(ctx context.Context, id string) string {
	ctx = context.WithoutCancel(ctx)
	i, err := s.Store.Issue(ctx, id)
	if err != nil {
		return err.Error()
	}
	events, err := s.Store.Timeline(ctx, id, i.RunID)
	text := fmt.Sprintf("at %s it is %s, next: %s, at %s", time.Now().Format(time.TimeOnly), i.Status, i.Next,
		i.NextAt.Local().Format(time.TimeOnly))
	for _, e := range events[max(0, len(events)-6):] {
		text += fmt.Sprintf("; %s %s", e.At.Local().Format(time.TimeOnly), e)
	}
	if err != nil {
		text += "; " + err.Error()
	}
	return text
}

// runs counts how often an issue was ever opened, as Temporal knows it.
func (s *stage) runs(ctx context.Context, id string) (int64, error) {
	res, err := s.Temporal.CountWorkflow(ctx,
		&workflowservice.CountWorkflowExecutionsRequest{Query: fmt.Sprintf("WorkflowId = '%s'", id)})
	if err != nil {
		return 0, err
	}
	return res.Count, nil
}

// opened checks how often an issue was opened.
func (s *stage) opened(ctx context.Context, id string, want int64) error {
	n, err := s.runs(ctx, id)
	if err == nil && n != want {
		err = fmt.Errorf("%s was opened %d times, want %d", id, n, want)
	}
	return err
}

func (s *stage) mailTo(site string) []string {
	var to []string
	for _, m := range s.Mail.Messages() {
		for _, r := range m.To {
			if strings.HasSuffix(r, "@"+site+".example") {
				to = append(to, strings.TrimSuffix(r, "@"+site+".example")+": "+m.Subject)
			}
		}
	}
	return to
}

func (s *stage) nobodyMailed(site string) error {
	if to := s.mailTo(site); len(to) > 0 {
		return fmt.Errorf("mail went out: %q", to)
	}
	return nil
}

// acts lists the ledger of a node: kinds with their outcomes, oldest first.
func (s *stage) acts(ctx context.Context, node string) ([]store.Action, error) {
	return s.Store.Actions(ctx, store.ActionFilter{Node: node, Limit: 1000})
}

func (s *stage) actsAre(ctx context.Context, node string, want ...string) error {
	return s.until(ctx, fmt.Sprintf("the ledger of %s says %q", node, want), 3, func() (bool,
		error) { // an outcome comes a moment after its effect
		list, err := s.acts(ctx, node)
		var got []string
		for _, a := range list {
			if a.Kind == store.KindNotice && a.Outcome == store.Failed { // the tracker is away in another scenario
				continue
			}
			got = append([]string{string(a.Kind) + " " + a.Outcome}, got...) // the ledger gives the newest first
		}
		return strings.Join(got, ", ") == strings.Join(want, ", "), err
	})
}

func (s *stage) cuts(node string, want int) error {
	if got := s.PowerCuts(node); got != want {
		return fmt.Errorf("the power of %s was cut %d times, want %d", node, got, want)
	}
	return nil
}

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

// command sends an operator's command as any client would: by names alone.
func (s *stage) command(ctx context.Context, id, name, reason string) error {
	return s.Temporal.SignalWorkflow(ctx, id, "", name, map[string]string{"reason": reason, "by": "smoke"})
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

// whyNot asks as an operator does why something is not done, and wants one check of the gate as the answer.
func (s *stage) whyNot(ctx context.Context, target, act, check string) error {
	t, err := answers.Find(ctx, s.Store, target)
	if err != nil {
		return err
	}
	question, err := answers.Question(t, act, time.Time{})
	if err != nil {
		return err
	}
	answer, err := answers.WhyNot(ctx, s.Temporal, question)
	if err == nil && answer.Check != check {
		err = fmt.Errorf("why not %s %s: %s says %q, want it of %s", act, target, answer.Check, answer.Reason, check)
	}
	return err
}
