package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
	"go.temporal.io/sdk/client"
	"golang.org/x/crypto/ssh"

	"github.com/planetlab/monitor/activities"
	"github.com/planetlab/monitor/probe"
	"github.com/planetlab/monitor/testbed"
	"github.com/planetlab/monitor/testbed/fakenode"
	"github.com/planetlab/monitor/testbed/rig"
)

func benchCommand() *cobra.Command {
	var issues int
	var parts []string
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure sweeps, a judgement, the API and a ladder",
		Long: "Measure sweeps of 1,000 and of 5,000 nodes, a tenth of them silent, against one time-out, against the handshakes alone, and against\n" +
			"the way of the old Monitor on 500 nodes: ten at a time, one port after the other, five seconds for each. Then judge 100,000 nodes of\n" +
			"which nothing is new, a scrape of the metrics of 10,000, and every operation of the API over as many, 2,000 open issues and a ledger of\n" +
			"1,000,000 lines. Then measure nodedown's whole ladder against a bare workflow of as many activities and timers on the same server.\n" +
			"It takes some twenty minutes.",
		Args:    cobra.NoArgs,
		Example: "  monitor-testbed bench\n  monitor-testbed bench --part sweep,judge\n  monitor-testbed bench --part ladder --issues 500",
		RunE: func(cmd *cobra.Command, _ []string) error {
			out := cmd.OutOrStdout()
			for _, part := range parts {
				var err error
				switch part {
				case "sweep":
					err = errors.Join(benchSweep(cmd.Context(), out, 1000), benchSweep(cmd.Context(), out, 5000))
				case "judge":
					err = benchJudge(cmd.Context(), out)
				case "metrics":
					err = benchMetrics(cmd.Context(), out)
				case "api":
					err = benchAPI(cmd.Context(), out)
				case "ladder":
					err = withBench(cmd.Context(), out, benchFleet(20), func(r *rig.Rig) error {
						r.StopWorker() // the ladder's own one serves its queues now
						return benchLadder(cmd.Context(), out, r.Temporal, issues)
					})
				default:
					err = fmt.Errorf("--part %s: it must be sweep, judge, metrics, api or ladder", part)
				}
				if err != nil {
					return err
				}
			}
			return nil
		},
	}
	cmd.Flags().IntVar(&issues, "issues", 200, "how many `issues` climb the ladder at once")
	cmd.Flags().StringSliceVar(&parts, "part", []string{"sweep", "judge", "metrics", "api", "ladder"}, "measure only these `parts`")
	return cmd
}

const (
	nodesOfASite = 20
	deadOfASite  = 2 // a tenth
	sitesWithPCU = 50
	oldAtOnce    = 10
	oldNodes     = 500
	benchTimeout = 5 * time.Second // as in life
)

// Bounds of what is measured.
const (
	mostTimeouts     = 1.6 // of a sweep of 1,000 nodes
	mostOfHandshakes = 1.5 // of one of 5,000: times a time-out, or the handshakes alone, whichever is longer
	leastRatio       = 50  // to the old way, of a sweep of 5,000: one of 1,000 waits for its time-out, of which the old way takes 30
	mostMemory       = 150 << 20
)

func benchFleet(nodes int) []testbed.Site {
	var sites []testbed.Site
	for i := range nodes / nodesOfASite {
		sites = append(sites, testbed.Site{Login: fmt.Sprintf("site%03d", i+1), Nodes: nodesOfASite, NoPCU: i >= sitesWithPCU})
	}
	return sites
}

func withBench(ctx context.Context, out io.Writer, sites []testbed.Site, run func(*rig.Rig) error) error {
	r, err := rig.Start(ctx, rig.Options{Sites: sites, Day: 24 * time.Hour, Log: out, Probe: map[string]any{
		"timeout": benchTimeout.String(), "tries": 3, "parallel": 200}}) // as in life
	if err != nil {
		return err
	}
	return errors.Join(run(r), r.Close())
}

// benchSweep measures the product's sweep, from PLC to the verdicts in Postgres.
func benchSweep(ctx context.Context, out io.Writer, nodes int) error {
	return withBench(ctx, out, benchFleet(nodes), func(r *rig.Rig) error {
		key, err := r.Key()
		if err != nil {
			return err
		}
		list, err := r.Store.Nodes(ctx, 0, nodes)
		if err != nil {
			return err
		}
		healthy, some := map[string]bool{}, []string{} // by address
		for i, n := range list {
			healthy[n.IP] = i%nodesOfASite >= deadOfASite
			if i < oldNodes {
				some = append(some, n.IP)
			}
			if healthy[n.IP] {
				continue
			}
			if err := r.Break(n.Hostname, testbed.Fault{State: fakenode.Filtered, FixedBy: testbed.Nobody}); err != nil {
				return err
			}
		}
		up := nodes - nodes/nodesOfASite*deadOfASite
		fmt.Fprintf(out, "\nsweeping %d nodes, %d of them silent ...\n", nodes, nodes-up)
		ours, err := timeSweep(ctx, r, nodes, up)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "shaking hands with %d nodes, and nothing else ...\n", up)
		hands, err := timeHandshakes(healthy, key)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "looking at %d of them the old way, %d at a time, a port after the other, %s each ...\n", len(some), oldAtOnce, benchTimeout)
		start := time.Now()
		if got, want := lookTheOldWay(ctx, some, key), len(some)-len(some)/nodesOfASite*deadOfASite; got != want {
			return fmt.Errorf("the old way saw %d nodes up, not %d", got, want)
		}
		old := time.Duration(float64(time.Since(start)) * float64(nodes) / float64(len(some)))
		return reportSweep(out, measured{nodes, ours, hands, old, peakMemory(r.Workers[0].Process().Pid)})
	})
}

// timeSweep starts a sweep beside the schedule. Its news may be too much for the fleet guard, which takes nothing from what is measured.
func timeSweep(ctx context.Context, r *rig.Rig, nodes, up int) (time.Duration, error) {
	start := time.Now()
	run, err := r.Temporal.ExecuteWorkflow(ctx, client.StartWorkflowOptions{ID: "sweep/bench", TaskQueue: activities.TaskQueue}, activities.SweepType, activities.SweepInput{})
	if err != nil {
		return 0, err
	}
	var swept activities.SweepResult
	if err := run.Get(ctx, &swept); err != nil {
		return 0, err
	}
	if swept.Nodes != nodes || swept.Up != up {
		return 0, fmt.Errorf("the sweep saw %d nodes and %d up, not %d and %d: %s", swept.Nodes, swept.Up, nodes, up, swept.Held)
	}
	return time.Since(start), nil
}

// handsAtOnce is enough for every core to be busy all the time.
const handsAtOnce = 32

// timeHandshakes logs into all healthy nodes and reads each, on all cores: no sweep can take less.
func timeHandshakes(healthy map[string]bool, key ssh.Signer) (time.Duration, error) {
	var wg sync.WaitGroup
	var failed atomic.Int64
	slots := make(chan struct{}, handsAtOnce)
	start := time.Now()
	for ip, up := range healthy {
		if !up {
			continue
		}
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			if !oldInside(ip, key) {
				failed.Add(1)
			}
		})
	}
	wg.Wait()
	if n := failed.Load(); n > 0 {
		return 0, fmt.Errorf("%d healthy nodes let nobody in", n)
	}
	return time.Since(start), nil
}

type measured struct {
	nodes            int
	ours, hands, old time.Duration
	memory           int64 // bytes; 0: not known on this system
}

func reportSweep(out io.Writer, m measured) error {
	rate := func(d time.Duration) float64 { return float64(m.nodes) / d.Seconds() }
	round := func(d time.Duration) time.Duration { return d.Round(10 * time.Millisecond) }
	floor := max(benchTimeout, m.hands)
	ratio := m.old.Seconds() / m.ours.Seconds()
	fmt.Fprintf(out, "\nsweep:      %8.1f nodes/s (%s, which is %.2f time-outs and %.2f of the longer of a time-out and the handshakes)\n"+
		"handshakes: %8.1f nodes/s (%s, alone)\nold way:    %8.1f nodes/s (%s, from %d)\nratio:      %8.1f\nmemory:     %8.1f MB, the worker's peak\n",
		rate(m.ours), round(m.ours), m.ours.Seconds()/benchTimeout.Seconds(), m.ours.Seconds()/floor.Seconds(), rate(m.hands), round(m.hands),
		rate(m.old), round(m.old), oldNodes, ratio, float64(m.memory)/(1<<20))
	var errs []error
	if m.nodes <= 1000 && m.ours.Seconds() > mostTimeouts*benchTimeout.Seconds() {
		errs = append(errs, fmt.Errorf("a sweep of %d nodes took %s, more than %.1f time-outs", m.nodes, round(m.ours), mostTimeouts))
	}
	if m.nodes > 1000 && m.ours.Seconds() > mostOfHandshakes*floor.Seconds() {
		errs = append(errs, fmt.Errorf("a sweep of %d nodes took %s, more than %.1f of %s", m.nodes, round(m.ours), mostOfHandshakes, round(floor)))
	}
	if m.nodes > 1000 && ratio < leastRatio {
		errs = append(errs, fmt.Errorf("a sweep is %.1f times the old way, not %d", ratio, leastRatio))
	}
	if m.memory > mostMemory {
		errs = append(errs, fmt.Errorf("the worker took %d MB, more than %d", m.memory>>20, mostMemory>>20))
	}
	return errors.Join(errs...)
}

// lookTheOldWay counts the nodes that are up as the cron jobs did.
func lookTheOldWay(ctx context.Context, ips []string, key ssh.Signer) int {
	var wg sync.WaitGroup
	var mu sync.Mutex
	up := 0
	slots := make(chan struct{}, oldAtOnce)
	for _, ip := range ips {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			open := 0
			for _, port := range fakenode.Ports {
				if conn, err := (&net.Dialer{Timeout: benchTimeout}).DialContext(ctx, "tcp", oldAddress(ip, port)); err == nil {
					open++
					_ = conn.Close()
				}
			}
			if open == len(fakenode.Ports) && oldInside(ip, key) {
				mu.Lock()
				up++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return up
}

func oldAddress(ip string, port int) string {
	return net.JoinHostPort(ip, strconv.Itoa(testbed.PortMap()[port]))
}

func oldInside(ip string, key ssh.Signer) bool {
	c, err := ssh.Dial("tcp", oldAddress(ip, 22), &ssh.ClientConfig{
		User: "root", Auth: []ssh.AuthMethod{ssh.PublicKeys(key)}, Timeout: benchTimeout, HostKeyCallback: ssh.InsecureIgnoreHostKey(),
	})
	if err != nil {
		return false
	}
	defer c.Close()
	s, err := c.NewSession()
	if err != nil {
		return false
	}
	defer s.Close()
	text, err := s.Output(probe.Script("", 3*time.Second))
	return err == nil && strings.Contains(string(text), "kernel=")
}

// peakMemory is the most that a process ever had resident, in bytes, as Linux knows it; 0: not known.
func peakMemory(pid int) int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kB, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
			return kB << 10
		}
	}
	return 0
}
