package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/planetlab/monitor/testbed"
	"github.com/planetlab/monitor/testbed/rig"
)

func chaosCommand() *cobra.Command {
	var o chaosOptions
	cmd := &cobra.Command{
		Use:   "chaos",
		Short: "Run two workers while everything fails around them, then count what was doubled, lost or left over",
		Long: "Run two workers on the small PlanetLab, with a real Temporal and Postgres, while a generator breaks nodes\n" +
			"and PCUs, kills, freezes and stops workers, restarts servers, cuts connections, loses answers and gives\n" +
			"orders. Then all faults end, everything heals, and the records of the devices, of PLC, of the tracker and\n" +
			"of the mailbox say what Monitor has done. docs/chaos.md tells how to read it.",
		Args:    cobra.NoArgs,
		Example: "  monitor-testbed chaos --for 2m\n  monitor-testbed chaos --seed 7 --for 4m",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runChaos(cmd.Context(), cmd.OutOrStdout(), o)
		},
	}
	f := cmd.Flags()
	f.Uint64Var(&o.seed, "seed", 0, "`number` that repeats the draws of an earlier run; 0 takes a new one")
	f.DurationVar(&o.length, "for", 2*time.Minute, "how long things fail")
	f.DurationVar(&o.patience, "heal", 3*time.Minute, "how long everything may take to heal afterwards")
	f.BoolVar(&o.verbose, "verbose", false, "say each fault as it happens")
	f.StringVar(&o.keep, "log", "", "`file` to write the logs of the workers and of Temporal to")
	return cmd
}

type chaosOptions struct {
	seed             uint64
	length, patience time.Duration
	verbose          bool
	keep             string
}

// chaos is one run. Each kind of faults has draws of its own, so that a seed repeats them whatever the others do.
type chaos struct {
	*stage
	o   chaosOptions
	out io.Writer

	mu     sync.Mutex
	counts map[string]int
	down   map[int]time.Time   // workers that are down on purpose, until when
	broken map[string]struct{} // nodes that are broken
	sick   map[string]struct{} // sites whose PCU is broken

	believed time.Time     // when a sweep was last believed
	sweeps   int           // how many were
	held     time.Duration // how long faults waited for one
}

func chaosSites() []testbed.Site {
	var list []testbed.Site
	for _, s := range testbed.Fleet()[:10] {
		list = append(list, testbed.Site{Login: s.Login, Nodes: 3, NoPCU: s.NoPCU})
	}
	return list
}

func runChaos(ctx context.Context, out io.Writer, o chaosOptions) error {
	if o.seed == 0 {
		o.seed = uint64(time.Now().UnixNano() % 1_000_000)
	}
	fmt.Fprintf(out, "chaos with --seed %d for %s\n", o.seed, o.length)
	r, err := rig.Start(ctx, rig.Options{
		Log: out, Sites: chaosSites(), Workers: 2, Wires: true, SweepEvery: "1d", PLCTimeout: "4s", UIPort: -1,
		NoRT: o.seed%2 == 1, // odd seeds write mails, even ones tickets
		// a sweep waits for the PCUs that say nothing
		PCU:   map[string]any{"connect_timeout": "1s", "operation_timeout": "3s"},
		Probe: unhurried(),
		Policy: map[string]any{
			// what breaks here is meant to be believed
			"guard": map[string]any{"share": 1, "at_least": 1000, "snapshot_share": 1},
			// so that much is done within minutes
			"people_step": "2d", "penalty_step": "2d", "site_down_before_penalty": "1d", "site_min_up": 3,
		},
	})
	if err != nil {
		return err
	}
	defer r.Close()
	c := &chaos{stage: &stage{r}, o: o, out: out, counts: map[string]int{}, down: map[int]time.Time{},
		broken: map[string]struct{}{}, sick: map[string]struct{}{}, believed: time.Now()}
	if err := c.tell(ctx); err != nil {
		return err
	}
	c.play(ctx)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	c.heal(ctx)
	found := c.settle(ctx)
	found = append(found, c.judge(ctx)...)
	done, err := c.summary(ctx)
	if o.keep != "" {
		err = errors.Join(err, c.keepLogs(ctx, o.keep))
	}
	return errors.Join(err, c.report(done, found))
}

// play lets everything fail until the time is over.
func (c *chaos) play(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, c.o.length)
	defer cancel()
	var all sync.WaitGroup
	for n, actor := range []func(context.Context, *rand.Rand){
		c.breakNodes, c.breakPCUs, c.aim, c.stopWorkers, c.failServers, c.giveOrders, c.endWorkflows, c.keepWorkers,
		c.watchSweeps,
	} {
		all.Go(func() { actor(ctx, rand.New(rand.NewPCG(c.o.seed, uint64(n)))) })
	}
	all.Wait()
}

// did counts a fault.
func (c *chaos) did(what string, about ...any) {
	c.mu.Lock()
	c.counts[what]++
	c.mu.Unlock()
	if c.o.verbose {
		fmt.Fprintln(c.out, append([]any{time.Now().Format("15:04:05.000"), what}, about...)...)
	}
}

// pause waits between two draws; it answers false when the time is over.
func pause(ctx context.Context, rng *rand.Rand, least, most time.Duration) bool {
	return wait(ctx, least+time.Duration(rng.Int64N(int64(most-least))))
}

func wait(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// heal ends every fault. What only Monitor can put right, as an outlet that it left off, stays as it is.
func (c *chaos) heal(ctx context.Context) {
	for _, w := range c.Wires {
		w.LoseAnswers(0)
		w.Away(false)
	}
	c.Tracker.Away(false)
	c.Mail.RefuseData(0, "")
	c.Mail.Drop(0)
	for _, s := range chaosSites() {
		if !s.NoPCU {
			c.BreakPCU(s.Login, "")
		}
	}
	for _, h := range c.Hosts() {
		_ = c.Fix(h)
	}
	for _, w := range c.Workers {
		if err := w.Start(); err != nil {
			fmt.Fprintln(c.out, "a worker does not start:", err)
		}
	}
	for n, w := range c.Workers {
		err := c.until(ctx, fmt.Sprintf("worker %d works", n+1), 40, func() (bool, error) {
			if !w.Running() {
				return false, errors.Join(errors.New("it ended by itself"), w.Start())
			}
			err := w.Healthy()
			return err == nil, err
		})
		if err != nil {
			fmt.Fprintln(c.out, err)
		}
	}
}
