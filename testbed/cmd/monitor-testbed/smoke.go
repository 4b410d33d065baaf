package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fatih/color"
	"github.com/spf13/cobra"

	"github.com/planetlab/monitor/testbed"
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
	slow, err := slowness(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, scaled(7*time.Minute, slow))
	defer cancel()
	k := &tally{out: out, started: time.Now(), slow: slow}
	if slow > 1 {
		fmt.Fprintf(out, "this machine is slow, or busy: a policy day lasts %.1f times as long\n", slow)
	}
	var shared, all sync.WaitGroup
	shared.Go(func() { k.shared(ctx, chosen, histories) })
	plc, servers := fleetScenarios()
	all.Go(func() { k.alone(ctx, choose(plc, chosen)) })
	all.Go(func() { k.alone(ctx, choose(servers, chosen)) })
	all.Go(func() { k.inTurn(ctx, hostileOptions("", io.Discard), choose(hostileScenarios(), chosen)) })
	all.Go(func() { k.withoutPLC(ctx, chosen) })
	all.Wait()
	// Every type at every stage is load enough for two cores, but for the longest waits of the shared testbed.
	k.inTurn(ctx, deathOptions("", io.Discard), choose(deathScenarios(), chosen))
	shared.Wait()
	fmt.Fprintf(out, "%d passed, %d failed\n", k.passed, k.failed)
	if k.err != nil { // no scenario's, so that none need be played again
		fmt.Fprintf(out, "broken: %v\n", k.err)
	}
	if k.failed > 0 {
		return errors.Join(errors.New("the smoke test failed"), k.err)
	}
	return k.err
}

const (
	usualStarts  = 80 // of a program of ours in a second, where two cores play all scenarios at once with ease
	startsAtOnce = 4  // more than they have cores for, as in a scenario: what else is busy then counts in full
	mostSlow     = 3
)

// slowness is how many times as long as usual this machine takes now to start programs for some seconds, and 1 at
// least. What the scenarios wait for is counted in policy days: where servers and workers take longer, so must a day.
func slowness(ctx context.Context) (float64, error) {
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	var starts atomic.Int64
	var all sync.WaitGroup
	errs, began := make([]error, startsAtOnce), time.Now()
	for n := range errs {
		all.Go(func() {
			for errs[n] == nil && time.Since(began) < 3*time.Second {
				errs[n] = exec.CommandContext(ctx, self, "--help").Run()
				starts.Add(1)
			}
		})
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		return 0, err
	}
	return min(max(1, usualStarts*time.Since(began).Seconds()/float64(starts.Load())), mostSlow), nil
}

func scaled(d time.Duration, by float64) time.Duration { return time.Duration(float64(d) * by) }

// tally counts scenarios.
type tally struct {
	out     io.Writer
	started time.Time
	slow    float64 // so many times as long as usual a policy day lasts

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
		if chosen.String() == "" { // else the worker has not done all that there is to do
			text, err := scrape(ctx, r)
			if err != nil {
				return err
			}
			fmt.Fprintf(k.out, "after all of that, what the worker tells Prometheus has %d bytes\n", len(text))
			if err := small(len(text)); err != nil {
				return err
			}
		}
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

// inTurn runs scenarios one after the other on a testbed of their own.
func (k *tally) inTurn(ctx context.Context, o rig.Options, list []scenario) {
	k.on(ctx, o, list, func(r *rig.Rig, list []scenario) error {
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
	o.Day = scaled(cmp.Or(o.Day, rig.UsualDay), k.slow)
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
