package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"go.temporal.io/sdk/client"
	"golang.org/x/crypto/ssh"

	"github.com/planetlab/monitor/activities"
	"github.com/planetlab/monitor/probe"
	"github.com/planetlab/monitor/testbed"
	"github.com/planetlab/monitor/testbed/rig"
	"github.com/planetlab/monitor/testbed/simnode"
)

func benchCommand() *cobra.Command {
	var issues int
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure a sweep and a ladder, each against something in the same run",
		Long: "Measure a sweep of a thousand nodes, a tenth of them dead, against the way of the old Monitor: ten nodes at a time, one port\n" +
			"after the other, five seconds for each. Then measure nodedown's whole ladder against a bare workflow of as many activities and\n" +
			"timers on the same server. It takes some five minutes, most of which the old way needs.",
		Args:    cobra.NoArgs,
		Example: "  monitor-testbed bench\n  monitor-testbed bench --issues 500",
		RunE: func(cmd *cobra.Command, _ []string) error {
			out := cmd.OutOrStdout()
			r, err := rig.Start(cmd.Context(), rig.Options{
				Sites: benchFleet(), Day: 24 * time.Hour, Log: out,
				Probe: map[string]any{"timeout": "5s", "tries": 3}, // as in life
			})
			if err != nil {
				return err
			}
			defer r.Close()
			if err := benchSweep(cmd.Context(), out, r); err != nil {
				return err
			}
			r.StopWorker() // the ladder's own one serves its queues now
			return benchLadder(cmd.Context(), out, r.Temporal, issues)
		},
	}
	cmd.Flags().IntVar(&issues, "issues", 200, "how many `issues` climb the ladder at once")
	return cmd
}

const (
	benchSites    = 50
	nodesOfASite  = 20
	deadOfASite   = 2
	oldAtOnce     = 10
	oldTimeout    = 5 * time.Second
	benchNodes    = benchSites * nodesOfASite
	benchDeadOnes = benchSites * deadOfASite
)

func benchFleet() []testbed.Site {
	var sites []testbed.Site
	for i := range benchSites {
		sites = append(sites, testbed.Site{Login: fmt.Sprintf("site%02d", i+1), Nodes: nodesOfASite})
	}
	return sites
}

// benchSweep compares the product's sweep, from PLC to the verdicts in Postgres, with nothing but the looks of the old way.
func benchSweep(ctx context.Context, out io.Writer, r *rig.Rig) error {
	for _, s := range benchFleet() {
		for n := range deadOfASite {
			if err := r.Break(host(s.Login, n+1), testbed.Ailment{State: simnode.Filtered, Healer: testbed.Nobody}); err != nil {
				return err
			}
		}
	}
	fmt.Fprintf(out, "\nsweeping %d nodes, %d of them dead ...\n", benchNodes, benchDeadOnes)
	start := time.Now()
	run, err := r.Temporal.ExecuteWorkflow(ctx, client.StartWorkflowOptions{ID: "sweep/bench", TaskQueue: activities.TaskQueue}, activities.SweepType)
	if err != nil {
		return err
	}
	var swept activities.SweepResult
	if err := run.Get(ctx, &swept); err != nil {
		return err
	}
	ours := time.Since(start)
	if want := benchNodes - benchDeadOnes; swept.Nodes != benchNodes || swept.Up != want {
		return fmt.Errorf("the sweep saw %d nodes and %d up, not %d and %d", swept.Nodes, swept.Up, benchNodes, want)
	}
	fmt.Fprintf(out, "looking the old way, %d at a time, a port after the other, %s each ...\n", oldAtOnce, oldTimeout)
	key, err := r.Key()
	if err != nil {
		return err
	}
	nodes, err := r.Store.Nodes(ctx, 0, benchNodes)
	if err != nil {
		return err
	}
	var ips []string
	for _, n := range nodes {
		ips = append(ips, n.IP)
	}
	start = time.Now()
	up := lookTheOldWay(ctx, ips, key)
	old := time.Since(start)
	if up != benchNodes-benchDeadOnes {
		return fmt.Errorf("the old way saw %d nodes up, not %d", up, benchNodes-benchDeadOnes)
	}
	rate := func(d time.Duration) float64 { return benchNodes / d.Seconds() }
	fmt.Fprintf(out, "\nsweep:   %7.1f nodes/s (%s, the worker's peak memory %s)\nold way: %7.1f nodes/s (%s)\nratio:   %7.1f\n",
		rate(ours), ours.Round(10*time.Millisecond), peakMemory(r.Worker.Pid), rate(old), old.Round(10*time.Millisecond), old.Seconds()/ours.Seconds())
	return nil
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
			for _, port := range simnode.Ports {
				if conn, err := (&net.Dialer{Timeout: oldTimeout}).DialContext(ctx, "tcp", oldAddress(ip, port)); err == nil {
					open++
					_ = conn.Close()
				}
			}
			if open == len(simnode.Ports) && oldInside(ip, key) {
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
		User: "root", Auth: []ssh.AuthMethod{ssh.PublicKeys(key)}, Timeout: oldTimeout, HostKeyCallback: ssh.InsecureIgnoreHostKey(),
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
	text, err := s.Output(probe.Script(""))
	return err == nil && strings.Contains(string(text), "kernel=")
}

// peakMemory is the most that a process ever had resident, as Linux knows it.
func peakMemory(pid int) string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return "not known on this system"
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			return strings.Join(strings.Fields(value), " ")
		}
	}
	return "unknown"
}
