package metrics

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"

	"github.com/planetlab/monitor/activities"
	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/notify/rt"
	"github.com/planetlab/monitor/pcucontrol"
	"github.com/planetlab/monitor/plc"
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/store"
	"github.com/planetlab/monitor/testbed/pglocal"
)

var update = flag.Bool("update", false, "write docs/metrics.md")

func TestPage(t *testing.T) {
	const file = "../docs/metrics.md"
	if *update {
		if err := os.WriteFile(file, []byte(Page()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != Page() {
		t.Errorf("%s is out of date: run `go test ./metrics -run Page -update` (%v)", file, err)
	}
}

func stored(t *testing.T) (*store.Store, *Stored) {
	t.Helper()
	s, err := store.Open(t.Context(), store.Options{URL: pglocal.ForTest(t), Key: make([]byte, 32)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s, &Stored{Store: s, Policy: policy.Defaults(24 * time.Hour), Mode: policy.ModeAct, Every: 30 * time.Minute,
		Log: slog.New(slog.DiscardHandler)}
}

// gathered are all series with their label values, as name{label=value,...}.
func gathered(t *testing.T, r *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]float64{}
	for _, f := range families {
		for _, m := range f.Metric {
			var labels []string
			for _, l := range m.Label {
				labels = append(labels, l.GetName()+"="+l.GetValue())
			}
			slices.Sort(labels)
			name := f.GetName() + "{" + strings.Join(labels, ",") + "}"
			out[name] = m.GetGauge().GetValue() + m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return out
}

// every is the combinations of a series' label values.
func every(s Series) []string {
	combos := []string{""}
	labels := slices.Clone(s.Labels)
	slices.SortFunc(labels, func(a, b Label) int { return strings.Compare(a.Name, b.Name) })
	for _, l := range labels {
		var next []string
		for _, c := range combos {
			for _, v := range l.Values {
				next = append(next, strings.TrimPrefix(c+","+l.Name+"="+v, ","))
			}
		}
		combos = next
	}
	return combos
}

func TestEverySeriesExistsAtZeroOnAnEmptyStore(t *testing.T) {
	_, of := stored(t)
	r := prometheus.NewRegistry()
	r.MustRegister(of)
	NewCounted(r)
	got := gathered(t, r)
	expected := map[string]bool{}
	for _, s := range All() {
		switch s.Name {
		case build:
			continue
		case failures:
			for _, service := range services() {
				for _, e := range errorsOf(service) {
					expected[fmt.Sprintf("%s{error=%s,service=%s}", s.Name, e, service)] = true
				}
			}
			continue
		}
		for _, labels := range every(s) {
			expected[s.Name+"{"+labels+"}"] = true
		}
	}
	for name := range expected {
		if _, there := got[name]; !there {
			t.Errorf("%s is missing", name)
		}
	}
	for name, value := range got {
		switch {
		case strings.HasPrefix(name, build):
		case !expected[name]:
			t.Errorf("%s is not listed in series.go", name)
		case value != 0 && !slices.ContainsFunc([]string{storeUp, scrape, interval, limit, mode + "{mode=act}"},
			func(p string) bool { return strings.HasPrefix(name, p) }):
			t.Errorf("%s is %v where nothing has happened", name, value)
		}
	}
	if got[storeUp+"{}"] != 1 || got[interval+"{}"] != 1800 || got[limit+"{act=reboot}"] != 30 {
		t.Errorf("up %v, interval %v, limit %v", got[storeUp+"{}"], got[interval+"{}"], got[limit+"{act=reboot}"])
	}
}

func TestWithoutPostgresNothingIsMadeUp(t *testing.T) {
	db, of := stored(t)
	r := prometheus.NewRegistry()
	r.MustRegister(of)
	db.Close()
	got := gathered(t, r)
	if up, told := got[storeUp+"{}"]; !told || up != 0 || len(got) != 3 {
		t.Errorf("got %v", got)
	}
}

func TestWhatTheStoreHoldsIsCounted(t *testing.T) {
	db, of := stored(t)
	ctx := t.Context()
	now := time.Now()
	snap := plc.Snapshot{Taken: now, Sites: []plc.Site{{SiteID: 1, LoginBase: "lab", Name: "Lab", Enabled: true}},
		Nodes: []plc.Node{{NodeID: 1, Hostname: "n1.lab.example", SiteID: 1, BootState: "boot"},
			{NodeID: 2, Hostname: "n2.lab.example", SiteID: 1, BootState: "boot"}},
		PCUs: []plc.PCU{{PCUID: 5, SiteID: 1, Hostname: "pcu.lab.example", Model: "OpenIPMI"}}}
	if _, err := db.SaveSnapshot(ctx, snap, true); err != nil {
		t.Fatal(err)
	}
	if err := db.SaveChanges(ctx, []store.Change{{Kind: "node", Target: "n1.lab.example",
		Record: policy.Record{Status: policy.StatusDown, Changed: now}, Reason: "offline"}}, now); err != nil {
		t.Fatal(err)
	}
	sweep, err := db.StartSweep(ctx, "sweep/1")
	if err != nil {
		t.Fatal(err)
	}
	if err := db.EndSweep(ctx, store.Sweep{ID: sweep.ID, Believed: true, Counts: map[string]int{"nodes": 2, "up": 1},
		Doubts: map[string]string{"dnserror": "too many", "nodefact/disk_full": "too many"}}); err != nil {
		t.Fatal(err)
	}
	state := issue.Start(issue.Opening{Ref: issue.Ref{ID: "nodedown/n1.lab.example", Run: "r", Type: "nodedown",
		Node: "n1.lab.example", Site: "lab"}, Cause: "down", Ladder: mustType(t, "nodedown").Ladder}, now)
	state.Blocked = &issue.Block{Check: "budget", Reason: "spent"}
	if err := db.SaveIssue(ctx, state, now); err != nil {
		t.Fatal(err)
	}
	plan := store.Plan{Action: store.Action{Key: "k1", Kind: store.KindReboot, Site: "lab", Node: "n1.lab.example"},
		Claims: []store.Claim{{Kind: store.ClaimOutlet, Target: "5/1", Issue: "nodedown/n1.lab.example"}}}
	if _, _, _, err := db.Begin(ctx, plan); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Commit(ctx, "k1"); err != nil {
		t.Fatal(err)
	}
	if err := db.Outcome(ctx, "k1", store.Ambiguous, "the answer was lost"); err != nil {
		t.Fatal(err)
	}
	if err := db.SetControl(ctx, store.Control{Name: store.ControlStop, Value: "stopped", By: "ann",
		Reason: "power works"}); err != nil {
		t.Fatal(err)
	}
	r := prometheus.NewRegistry()
	r.MustRegister(of)
	got := gathered(t, r)
	for name, value := range map[string]float64{
		nodes + "{status=down}": 1, nodes + "{status=unknown}": 1, pcus + "{status=unknown}": 1,
		issues + "{status=open,type=nodedown}": 1, waiting + "{check=budget}": 1, claims + "{kind=outlet}": 1,
		actions + "{kind=reboot,outcome=ambiguous}": 1, actions + "{kind=order,outcome=done}": 1,
		used + "{act=reboot}": 1, swept + "{what=up}": 1, doubts + "{type=dnserror}": 1, doubts + "{type=nodefact/disk_full}": 1,
		doubts + "{type=nodefact}": 0, guard + "{}": 0,
		stopped + "{}": 1, penalties + "{level=0}": 1,
	} {
		if v, there := got[name]; !there || v != value {
			t.Errorf("%s is %v, not %v", name, v, value)
		}
	}
	for _, name := range []string{ended, believed, snapshot} {
		if age := float64(now.Unix()) - got[name+"{}"]; age > 60 || age < -60 {
			t.Errorf("%s is %v", name, got[name+"{}"])
		}
	}
}

func mustType(t *testing.T, name string) issue.Type {
	t.Helper()
	typ, known := issue.Lookup(name)
	if !known {
		t.Fatal(name)
	}
	return typ
}

func TestRungsAndEndsAreCountedByWhatTheirActivitiesAnswer(t *testing.T) {
	r := prometheus.NewRegistry()
	c := NewCounted(r)
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestActivityEnvironment()
	env.SetWorkerOptions(worker.Options{Interceptors: []interceptor.WorkerInterceptor{c}})
	fail := false
	env.RegisterActivityWithOptions(func(context.Context, issue.Request) (issue.Result, error) {
		if fail {
			return issue.Result{}, errors.New("no")
		}
		return issue.Result{Outcome: issue.Wait}, nil
	}, activity.RegisterOptions{Name: "Reboot"})
	env.RegisterActivityWithOptions(func(context.Context, issue.Request) (issue.Result, error) {
		return issue.Result{Outcome: issue.Acted}, nil
	}, activity.RegisterOptions{Name: "SettleRung"})
	outcome := issue.Wait
	env.RegisterActivityWithOptions(func(context.Context, activities.CloseRequest) (issue.Result, error) {
		return issue.Result{Outcome: outcome}, nil
	}, activity.RegisterOptions{Name: "CloseIssue"})
	reboot := issue.Request{Rung: issue.Rung{Do: issue.Reboot}}
	_, _ = env.ExecuteActivity("Reboot", reboot)
	fail = true
	_, _ = env.ExecuteActivity("Reboot", reboot)
	_, _ = env.ExecuteActivity("SettleRung", reboot)
	end := activities.CloseRequest{State: issue.State{Opened: time.Now().Add(-30 * time.Hour),
		End: &issue.End{Why: issue.EndOperator}}}
	_, _ = env.ExecuteActivity("CloseIssue", end)
	outcome = issue.Acted
	_, _ = env.ExecuteActivity("CloseIssue", end)
	end.State.End, end.State.Credited = nil, issue.CreditReboot
	_, _ = env.ExecuteActivity("CloseIssue", end)
	got := gathered(t, r)
	for name, value := range map[string]float64{rungs + "{outcome=wait,rung=Reboot}": 1,
		rungs + "{outcome=error,rung=Reboot}": 1, rungs + "{outcome=acted,rung=Reboot}": 0,
		over + "{end=closed by an operator}": 1, over + "{end=good again}": 1, repair + "{credit=reboot}": 1,
		repair + "{credit=people}": 0} {
		if got[name] != value {
			t.Errorf("%s is %v, not %v", name, got[name], value)
		}
	}
}

func TestCallsAreCountedByHowTheyFail(t *testing.T) {
	r := prometheus.NewRegistry()
	c := NewCounted(r)
	gone := httptest.NewServer(http.NotFoundHandler())
	api, err := plc.New(plc.Options{URL: gone.URL, Username: "u", Password: "p"})
	if err != nil {
		t.Fatal(err)
	}
	api.Observe(c.Of(PLC))
	tracker, err := rt.New(rt.Options{URL: gone.URL, Token: "t", Queue: "q",
		Transport: c.Transport(RT, rt.Transport(nil))})
	if err != nil {
		t.Fatal(err)
	}
	_, _ = tracker.Ticket(t.Context(), 1)
	_ = api.AuthCheck(t.Context())
	gone.Close()
	_, _ = tracker.Ticket(t.Context(), 1)
	_ = api.AuthCheck(t.Context()) // tried three times
	c.Call(PCU, time.Second, &pcucontrol.Error{Kind: pcucontrol.Busy})
	c.Call(PCU, time.Second, context.Canceled)
	c.Call(SMTP, time.Second, errors.New("odd"))
	for labels, n := range map[string]float64{`plc refused`: 1, `plc unavailable`: 3, `rt refused`: 1,
		`rt unavailable`: 1, `pcu busy`: 1, `smtp other`: 1} {
		service, kind, _ := strings.Cut(labels, " ")
		if got := testutil.ToFloat64(c.failures.WithLabelValues(service, kind)); got != n {
			t.Errorf("%s: %v, not %v", labels, got, n)
		}
	}
	if got := gathered(t, r); got[calls+"{service=plc}"] != 4 || got[calls+"{service=pcu}"] != 2 {
		t.Errorf("calls of PLC %v, of PCUs %v", got[calls+"{service=plc}"], got[calls+"{service=pcu}"])
	}
}

func TestMain(m *testing.M) { os.Exit(pglocal.Main(m)) }
