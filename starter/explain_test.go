package main

import (
	"context"
	"strings"
	"testing"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/planetlab/monitor/activities"
	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/workflows"
)

// gatekeeper answers in the place of the gate, which package activities tests: here it is its answer that is shown.
type gatekeeper struct{ asked []activities.WhyNotRequest }

func (g *gatekeeper) WhyNot(_ context.Context, in activities.WhyNotRequest) (activities.WhyNotAnswer, error) {
	g.asked = append(g.asked, in)
	yes := policy.Yes("it is in PLC")
	no := policy.No(noon().Add(time.Hour), "the fleet's budget of 30 an hour to %s is spent", in.Act)
	in.At = noon()
	return activities.WhyNotAnswer{WhyNotRequest: in, Check: "budget", Reason: no.Reason, Until: no.Until, Issue: "nodedown/" + host,
		Checks: []policy.CheckAnswer{{Name: "target", Decision: yes}, {Name: "budget", Decision: no}}}, nil
}

func (g *gatekeeper) LookAtNode(_ context.Context, host string) (activities.Glance, error) {
	if strings.HasPrefix(host, "nobody") {
		return activities.Glance{}, temporal.NewNonRetryableApplicationError("no node "+host+" is known", activities.ErrNoSuchTarget, nil)
	}
	return activities.Glance{Host: host, Site: "princeton", At: noon(), Alive: true, State: policy.StateBoot, Category: policy.CategoryProd,
		Uptime: 7200}, nil
}

func TestANodeIsLookedAtNow(t *testing.T) {
	tc := temporalServer(t)
	w := worker.New(tc, activities.TaskQueue, worker.Options{})
	w.RegisterWorkflowWithOptions(workflows.Look, workflow.RegisterOptions{Name: activities.LookType})
	w.RegisterActivity(&gatekeeper{})
	if err := w.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Stop)
	got := call(t.Context(), "node", "status", host)
	wantCode(t, got, exitOK)
	wantIn(t, got.out, host, "princeton", "BOOT", "2h0m0s")
	got = call(t.Context(), "node", "status", "nobody.example", host)
	wantCode(t, got, exitFailure)
	wantIn(t, got.err, "nobody could look at nobody.example: no node nobody.example is known")
	wantIn(t, got.out, host, "2h0m0s")
	keep(t, tc, activities.LookType+"/"+host, "", "look_"+host)
}

func TestATargetIsExplained(t *testing.T) {
	db, url := fleet(t)
	fill(t, db, url)
	openNodeDown(t, db, func(s *issue.State) {
		s.Began()
		s.Ran(noon(), issue.Result{Outcome: issue.Wait, Check: "budget", Reason: "the fleet's budget is spent", Until: noon().Add(time.Hour)})
	})
	away := []string{"--timeout", "4s", "--set", "temporal.address=127.0.0.1:1"}
	got := call(t.Context(), append([]string{"explain", host}, away...)...)
	wantCode(t, got, exitOK)
	wantIn(t, got.err, "temporal at 127.0.0.1:1")
	wantGolden(t, "explain-alone", got.out)
	got = call(t.Context(), "explain", "nobody.example")
	wantCode(t, got, exitNotFound)
	got = call(t.Context(), append([]string{"why-not", host, "reboot"}, away...)...)
	wantCode(t, got, exitFailure)
	wantIn(t, got.err, "only a worker can answer")

	tc := temporalServer(t)
	g := &gatekeeper{}
	w := worker.New(tc, activities.TaskQueue, worker.Options{})
	w.RegisterWorkflowWithOptions(workflows.WhyNot, workflow.RegisterOptions{Name: activities.WhyNotType})
	w.RegisterActivity(g)
	if err := w.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Stop)
	for name, args := range map[string][]string{
		"explain-node": {"explain", host},
		"explain-site": {"explain", "princeton"},
		"explain-pcu":  {"explain", "pcu1.princeton.example"},
		"why-not":      {"why-not", host, "reboot"},
	} {
		got := call(t.Context(), args...)
		wantCode(t, got, exitOK)
		wantGolden(t, name, got.out)
		got = call(t.Context(), append(args, "-o", "json")...)
		wantCode(t, got, exitOK)
		wantStable(t, got.out)
	}
	if q := g.asked[len(g.asked)-1]; q.Target == "" || q.Act == "" {
		t.Errorf("the worker was asked %+v", g.asked)
	}
	for _, c := range []struct{ target, act, says string }{
		{host, "penalize", "penalize is not done to a node, only to a site"},
		{"princeton", "reboot", "reboot is not done to a site, only to a node"},
		{host, "dance", "is no act: say one of disable, notify, open"},
	} {
		got := call(t.Context(), "why-not", c.target, c.act)
		wantCode(t, got, exitUsage)
		wantIn(t, got.err, c.says)
	}
	if _, err := db.Issue(t.Context(), "nodedown/"+host); err != nil { // nothing was changed by asking
		t.Error(err)
	}
}
