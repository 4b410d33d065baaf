package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/planetlab/monitor/activities"
	"github.com/planetlab/monitor/answers"
	"github.com/planetlab/monitor/orders"
)

// sweepView is how a sweep went.
type sweepView struct {
	ID      string  `json:"id"`
	RunID   string  `json:"run_id"`
	Seconds float64 `json:"seconds"`
	activities.SweepResult
}

func (a *app) sweep() *cobra.Command {
	var believe string
	cmd := &cobra.Command{
		Use: "sweep", Short: "Look at the whole fleet now, and wait for what comes of it", Args: takes(),
		Long: "Start a sweep now by the schedule that the worker keeps, show how far it is, and print its result.\n" +
			"A sweep under way is not disturbed: the new one follows it. Ctrl-C stops the watching, not the sweep.",
		Example: "  monitor sweep\n  monitor sweep -o json\n  monitor sweep --believe \"the fibre to the east is cut\"",
		RunE: func(cmd *cobra.Command, _ []string) error {
			doubted := cmd.Flags().Changed("believe")
			if doubted && strings.TrimSpace(believe) == "" {
				return badInput("--believe needs a reason: the ledger keeps it")
			}
			v, err := a.look(cmd.Context(), doubted, believe)
			if err != nil {
				return err
			}
			return a.show(v, func() { a.drawSweep(v) })
		},
	}
	cmd.Flags().StringVar(&believe, "believe", "", "take for true what the fleet guard doubts; the `reason` goes into the ledger")
	return cmd
}

// sweepNow has the schedule start a sweep.
func (a *app) sweepNow(ctx context.Context, d orders.Desk) (orders.Run, error) {
	_, run, err := d.Sweep(ctx, orders.Order{Who: a.person("")}, func() {
		a.progress("a sweep is under way; the new one follows it")
	})
	return run, err
}

// believed starts a sweep on an operator's word.
func (a *app) believed(reason string) func(context.Context, orders.Desk) (orders.Run, error) {
	return func(ctx context.Context, d orders.Desk) (orders.Run, error) {
		_, run, err := d.Believe(ctx, orders.Order{Who: a.person(""), Reason: reason})
		return run, err
	}
}

// look has the fleet looked at, on somebody's word or not, and sees that to its end, which may be long in coming: only
// --timeout bounds it.
func (a *app) look(ctx context.Context, believe bool, reason string) (v sweepView, err error) {
	r, err := a.remote()
	if err != nil {
		return v, err
	}
	bounded := ctx
	if a.timeout > 0 {
		var cancel context.CancelFunc
		bounded, cancel = context.WithTimeout(ctx, a.timeout)
		defer cancel()
	}
	if r != nil {
		v, err = a.followOver(bounded, r, believe, reason)
		err = flagged(err)
	} else {
		start := a.sweepNow
		if believe {
			start = a.believed(reason)
		}
		v, err = a.follow(ctx, bounded, start)
	}
	if err != nil && bounded.Err() != nil && ctx.Err() == nil {
		return v, fmt.Errorf("no sweep has ended within %s: is monitor-worker running? The one that was asked for is not called off", a.timeout)
	}
	return v, err
}

// follow starts a sweep and watches it.
func (a *app) follow(ctx, bounded context.Context, start func(context.Context, orders.Desk) (orders.Run, error)) (v sweepView, err error) {
	tc, err := a.openTemporal(ctx)
	if err != nil {
		return v, err
	}
	defer tc.Close()
	db, err := a.openStore(ctx)
	if err != nil {
		return v, err
	}
	defer db.Close()
	w, err := start(bounded, orders.Desk{Store: db, Temporal: tc, Now: a.now})
	if err != nil {
		return v, err
	}
	return a.watch(bounded, func(ctx context.Context) (answers.Sweep, error) {
		return answers.ReadSweep(ctx, tc, w.WorkflowID, w.FirstExecutionRunID)
	})
}

// followOver starts a sweep over the API and watches it.
func (a *app) followOver(ctx context.Context, r *apiServer, believe bool, reason string) (v sweepView, err error) {
	path, o := "/sweeps", orders.Order{}
	if believe {
		path, o.Reason = "/sweeps/believed", reason
	}
	var given struct {
		ID  string `json:"id"`
		Run string `json:"run_id"`
	}
	if err := r.post(ctx, path, o, nil, &given); err != nil {
		return v, err
	}
	return a.watch(ctx, func(ctx context.Context) (s answers.Sweep, err error) {
		err = r.get(ctx, pathOf("sweeps", given.ID, given.Run), nil, &s)
		return s, err
	})
}

func (a *app) progress(format string, args ...any) {
	fmt.Fprintf(a.err, "%s %s\n", a.now().UTC().Format(time.TimeOnly), clean(fmt.Sprintf(format, args...)))
}

func poll(ctx context.Context, done func() (bool, error)) error {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		if ok, err := done(); ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// watch tells what a sweep is doing until it has ended.
func (a *app) watch(ctx context.Context, read func(context.Context) (answers.Sweep, error)) (v sweepView, err error) {
	last := ""
	err = poll(ctx, func() (bool, error) {
		s, err := read(ctx)
		if err != nil {
			return false, err
		}
		if v.ID == "" {
			a.progress("%s has begun", s.ID)
		}
		v = sweepView{ID: s.ID, RunID: s.RunID, Seconds: s.Seconds, SweepResult: s.SweepResult}
		switch {
		case s.Failed != "":
			return false, fmt.Errorf("%s failed: %s", s.ID, s.Failed)
		case s.Untaken > patience.Seconds():
			return false, fmt.Errorf("nobody has taken up %s for %s: is monitor-worker running? One that starts goes on with it", s.ID, patience)
		}
		if now := strings.Join(s.Doing, ", "); now != last && now != "" {
			last = now
			a.progress("%s", now)
		}
		return !s.Running, nil
	})
	return v, err
}

func (a *app) drawSweep(v sweepView) {
	a.say("%s looked at %d nodes (%d up) and %d PCUs in %s: %d issues opened, %d cleared", v.ID, v.Nodes, v.Up, v.PCUs,
		time.Duration(v.Seconds*float64(time.Second)).Round(time.Millisecond), v.Opened, v.Cleared)
	if v.Held != "" {
		a.say("held back by the fleet guard: %s", clean(v.Held))
	}
}
