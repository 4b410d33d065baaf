package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/history/v1"
	"go.temporal.io/api/temporalproto"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"

	"github.com/planetlab/monitor/activities"
	"github.com/planetlab/monitor/config"
	"github.com/planetlab/monitor/connect"
	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/plc"
	"github.com/planetlab/monitor/request"
	"github.com/planetlab/monitor/rollout"
	"github.com/planetlab/monitor/store"
)

var histories = flag.String("histories", "", "`folder` to write the histories of persons' orders to, for the replay test")

// keep writes the history of a workflow where -histories says.
func keep(t *testing.T, tc client.Client, id, run, name string) {
	t.Helper()
	if *histories == "" {
		return
	}
	var h history.History
	for events := tc.GetWorkflowHistory(t.Context(), id, run, false, enums.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT); events.HasNext(); {
		e, err := events.Next()
		if err != nil {
			t.Fatal(err)
		}
		h.Events = append(h.Events, e)
	}
	text, err := temporalproto.CustomJSONMarshalOptions{}.Marshal(&h)
	if err == nil {
		err = os.WriteFile(filepath.Join(*histories, name+".json"), text, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// ledgerActor acts on nodes by the ledger, as the real activities do: what stands there is never done again. Each act is
// a line of a file, which outlives the process.
type ledgerActor struct {
	*actor
	db           *store.Store
	acts, mended string // files
}

func (a *ledgerActor) TryRequest(ctx context.Context, s request.State) (issue.Result, error) {
	did := issue.Result{Outcome: issue.Acted, Power: issue.Cycled, Reason: "outlet cycled and read back on"}
	action, err := a.db.Action(ctx, s.Key())
	switch {
	case err == nil && action.Outcome == store.Done:
		return did, nil
	case err == nil && action.Begun():
		did.Power, did.Reason = issue.PowerLost, "the worker ended before it knew"
		return did, a.db.Outcome(ctx, s.Key(), store.Ambiguous, did.Reason)
	case err == nil:
	case !errors.Is(err, store.ErrNotFound):
		return issue.Result{}, err
	}
	if _, err := os.Stat(a.mended); err != nil && strings.Contains(s.Input.Node, "7.") {
		return issue.Result{Outcome: issue.Passed, Reason: "the device is away"}, nil
	}
	if _, _, err := a.db.Intent(ctx, store.Action{Key: s.Key(), Kind: store.KindReboot, Node: s.Input.Node, Issue: s.ID, RunID: s.Run}); err != nil {
		return issue.Result{}, err
	}
	if mine, err := a.db.Commit(ctx, s.Key()); err != nil || !mine {
		return issue.Result{Outcome: issue.Unknown, Reason: "another try is under way"}, err
	}
	f, err := os.OpenFile(a.acts, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return issue.Result{}, err
	}
	defer f.Close()
	if _, err := fmt.Fprintln(f, s.Input.Node); err != nil {
		return issue.Result{}, err
	}
	return did, a.db.Outcome(context.WithoutCancel(ctx), s.Key(), store.Done, did.Reason)
}

// actingWorker is a worker process that a test may kill: its arguments are the server, the database and two files.
func actingWorker() {
	ctx := context.Background()
	tc, err := connect.Temporal(ctx, config.Temporal{Address: os.Args[1], Namespace: "default"}, slog.New(slog.DiscardHandler), nil)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	db, err := store.Open(ctx, store.Options{URL: os.Args[2]})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	a := &ledgerActor{actor: newActor(), db: db, acts: os.Args[3], mended: os.Args[4]}
	w := worker.New(tc, activities.TaskQueue, worker.Options{DisableRegistrationAliasing: true})
	registerOrders(w, db)
	machines := worker.New(tc, activities.MachineTaskQueue, worker.Options{DisableWorkflowWorker: true})
	for _, w := range []worker.Worker{w, machines} {
		for name, f := range map[string]any{"OpenRequest": a.OpenRequest, "TryRequest": a.TryRequest, "SettleRequest": a.TryRequest,
			"LookAtRequest": a.LookAtRequest, "EndRequest": a.EndRequest} {
			w.RegisterActivityWithOptions(f, activity.RegisterOptions{Name: name})
		}
		if err := w.Start(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	select {}
}

// killed runs an acting worker, and kills it and begins another after so many acts, again and again, until the test says
// stop. It answers how often.
func killed(t *testing.T, every int, acts string, args ...string) (stop func() int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var wait sync.WaitGroup
	times := 0
	wait.Go(func() {
		for ; ctx.Err() == nil; times++ {
			var said bytes.Buffer
			cmd := exec.CommandContext(ctx, "acting-worker", args...)
			cmd.Stderr = &said
			if err := cmd.Start(); err != nil {
				t.Error(err)
				return
			}
			for before := linesIn(acts); ctx.Err() == nil && linesIn(acts) < before+every; {
				time.Sleep(20 * time.Millisecond)
			}
			_ = cmd.Process.Kill()
			if _ = cmd.Wait(); said.Len() > 0 {
				t.Log("a worker said: ", said.String())
			}
		}
	})
	stop = func() int { cancel(); wait.Wait(); return times }
	t.Cleanup(func() { stop() })
	return stop
}

// linesIn is how many lines a file has; one that is not there has none.
func linesIn(file string) int {
	text, _ := os.ReadFile(file)
	return bytes.Count(text, []byte("\n"))
}

// rolloutFleet is a fleet of so many sites with ten nodes each, but for what a change does to it.
func rolloutFleet(sites int, change func(*plc.Snapshot)) plc.Snapshot {
	s := plc.Snapshot{Taken: time.Now()}
	for i := 1; i <= sites; i++ {
		s.Sites = append(s.Sites, plc.Site{SiteID: i, LoginBase: fmt.Sprintf("s%d", i), Enabled: true, DateCreated: noon().AddDate(-3, 0, 0)})
		for n := range 10 {
			s.Nodes = append(s.Nodes, plc.Node{NodeID: i*100 + n, Hostname: fmt.Sprintf("n%d.s%d.example", n, i), SiteID: i, BootState: "boot"})
		}
	}
	if change != nil {
		change(&s)
	}
	return s
}

// Five hundred nodes in groups of fifty: workers are killed all the time, a tenth of the nodes fail, operators pause,
// resume and cancel it, and the fleet changes in between. No node outside the plan is ever touched, and none twice.
func TestARolloutOfFiveHundredNodes(t *testing.T) {
	if testing.Short() {
		t.Skip("left out by -short: it takes minutes")
	}
	db, url := fleet(t)
	ctx := t.Context()
	if err := db.Migrate(ctx); err != nil {
		t.Fatal(err)
	}
	save := func(change func(*plc.Snapshot)) {
		t.Helper()
		if _, err := db.SaveSnapshot(ctx, rolloutFleet(50, change), true); err != nil {
			t.Fatal(err)
		}
	}
	save(nil)
	tc := temporalServer(t)
	addSearchAttributes(t, tc)
	acts, mended := filepath.Join(t.TempDir(), "acts"), filepath.Join(t.TempDir(), "mended")
	stop := killed(t, 40, acts, os.Getenv("MONITOR_TEMPORAL_ADDRESS"), url, acts, mended)

	monitor := func(code int, args string, says ...string) {
		t.Helper()
		got := call(ctx, append(strings.Split(args, "|"), "--timeout", "60s")...)
		wantCode(t, got, code)
		wantIn(t, got.out+got.err, says...)
	}
	// until waits for what the store, and the workflow, say of the roll-out.
	until := func(what string, holds func(r store.Rollout) bool) store.Rollout {
		t.Helper()
		for deadline := time.Now().Add(10 * time.Minute); ; time.Sleep(200 * time.Millisecond) {
			r, err := db.Rollout(ctx, "big")
			if err != nil {
				t.Fatal(err)
			}
			if holds(r) {
				return r
			}
			if time.Now().After(deadline) {
				t.Fatalf("it does not come to this: %s; it is %s (%s) with %v", what, r.Status, r.Why, r.Nodes)
			}
		}
	}
	monitor(exitUsage, "rollout|start|reboot|--select|site!=s0|--group|50|--reason|new kernel|--name|big", "reboot these 500 nodes, in 10 groups of at most 50")
	monitor(exitOK, "rollout|start|reboot|--select|site!=s0|--group|50|--max-failed|20|--reason|new kernel|--name|big|--yes", "reboot of 500 nodes")

	// While the first groups are under way the fleet changes where the plan has yet to come. By the order of names the
	// last sites are s6 to s9.
	gone := []string{"n0.s9.example", "n1.s9.example"}
	for range 4 { // PLC has to lack a node for a while before it counts as gone
		save(func(s *plc.Snapshot) {
			s.Nodes = slices.DeleteFunc(s.Nodes, func(n plc.Node) bool { return slices.Contains(gone, n.Hostname) })
			for i := range s.Nodes {
				switch s.Nodes[i].Hostname {
				case "n2.s9.example":
					s.Nodes[i].Hostname = "renamed.s9.example"
				case "n3.s9.example":
					s.Nodes[i].SiteID = 8
				}
			}
			s.Nodes = append(s.Nodes, plc.Node{NodeID: 9999, Hostname: "new.s9.example", SiteID: 9, BootState: "boot"})
		})
	}
	monitor(exitOK, "exempt|set|node|n4.s9.example|--reason|somebody works there")
	monitor(exitOK, "exempt|set|site|s8|--reason|somebody works there")
	skipped := []string{"n0.s9.example", "n1.s9.example", "n2.s9.example", "n3.s9.example", "n4.s9.example"}
	for n := range 10 {
		skipped = append(skipped, fmt.Sprintf("n%d.s8.example", n))
	}

	monitor(exitOK, "rollout|pause|big|--reason|lunch", "big is paused: lunch (alice)")
	paused := until("nothing is under way", func(r store.Rollout) bool { return r.Nodes[rollout.Begun] == 0 && r.Status == "paused" })
	time.Sleep(3 * time.Second) // no group may begin: there is no condition to wait for
	if now := until("", func(store.Rollout) bool { return true }); now.Nodes[rollout.Planned] != paused.Nodes[rollout.Planned] || now.Nodes[rollout.Planned] < 300 {
		t.Errorf("while it was paused %v became %v", paused.Nodes, now.Nodes)
	}
	monitor(exitOK, "rollout|resume|big|--reason|after lunch")
	stopped := until("too many have failed", func(r store.Rollout) bool { return r.Status == "stopped" })
	if f := stopped.Nodes[rollout.Failed]; f <= 20 || f > 50 || !strings.Contains(stopped.Why, "have failed, and 20 may") {
		t.Errorf("it stopped with %v: %s", stopped.Nodes, stopped.Why)
	}
	monitor(exitOK, "rollout|resume|big|--reason|known")
	until("it has gone on", func(r store.Rollout) bool { return r.Nodes[rollout.Planned] < stopped.Nodes[rollout.Planned] })
	monitor(exitOK, "rollout|cancel|big|--reason|the image is broken")
	cancelled := until("it has ended", func(r store.Rollout) bool { return r.Status == "cancelled" && r.Nodes[rollout.Begun] == 0 })
	if cancelled.Nodes[rollout.Planned] == 0 {
		t.Errorf("nothing was left to cancel: %v", cancelled.Nodes)
	}
	if err := os.WriteFile(mended, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var again error
	for range 100 { // the cancelled one may be about to write its last word
		if got := call(ctx, "rollout", "retry", "big", "--reason", "all is mended", "--timeout", "60s"); got.code == exitOK {
			again = nil
			break
		} else {
			again = errors.New(got.err)
		}
		time.Sleep(100 * time.Millisecond)
	}
	if again != nil {
		t.Fatal(again)
	}
	until("it has ended", func(r store.Rollout) bool { return r.Status == "ended" })
	if times := stop(); times < 8 {
		t.Errorf("workers were killed %d times", times)
	}
	judgeRollout(t, db, acts, skipped)
}

// judgeRollout holds what was done to nodes against the plan.
func judgeRollout(t *testing.T, db *store.Store, acts string, skipped []string) {
	t.Helper()
	nodes, err := db.RolloutNodes(t.Context(), "big")
	if err != nil || len(nodes) != 500 {
		t.Fatalf("the plan has %d nodes, %v", len(nodes), err)
	}
	text, err := os.ReadFile(acts)
	if err != nil {
		t.Fatal(err)
	}
	did := map[string]int{}
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		did[lines.Text()]++
	}
	unknown, lost := 0, 0
	for _, n := range nodes {
		times := did[n.Host]
		delete(did, n.Host)
		switch {
		case times > 1:
			t.Errorf("%s was acted on %d times", n.Host, times)
		case slices.Contains(skipped, n.Host):
			if n.State != rollout.Skipped || times > 0 || n.Reason == "" {
				t.Errorf("%s has changed since, and is %s (%s), acted on %d times", n.Host, n.State, n.Reason, times)
			}
		case n.State == rollout.Unknown:
			unknown++
		case n.State == rollout.Done && times == 0 && ambiguous(t, db, n.Host): // killed between its commitment and the act
			lost++
		case n.State != rollout.Done || times != 1:
			t.Errorf("%s is %s (%s), and was acted on %d times", n.Host, n.State, n.Reason, times)
		}
	}
	if len(did) > 0 {
		t.Errorf("outside the plan were acted on %v", did)
	}
	if unknown+lost > 25 {
		t.Errorf("of %d nodes it is not known whether they were done", unknown+lost)
	}
	t.Logf("of 500 nodes %d were skipped, and of %d it is not known whether they were done", len(skipped), unknown)
}

// ambiguous reports whether the ledger says of an act on a node that it may have been done.
func ambiguous(t *testing.T, db *store.Store, host string) bool {
	t.Helper()
	list, err := db.Actions(t.Context(), store.ActionFilter{Node: host, Outcome: store.Ambiguous})
	if err != nil {
		t.Fatal(err)
	}
	return len(list) == 1
}

// A small roll-out with a failure, a pause and a retry, whose history later builds must replay.
func TestARolloutIsSteered(t *testing.T) {
	db, _ := fleet(t)
	ctx := t.Context()
	if err := db.Migrate(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := db.SaveSnapshot(ctx, rolloutFleet(1, nil), true); err != nil {
		t.Fatal(err)
	}
	tc := temporalServer(t)
	addSearchAttributes(t, tc)
	actAs(t, tc, newActor(), db)
	got := call(ctx, "rollout", "start", "reinstall", "n0.s1.example", "n7.s1.example", "n1.s1.example", "--group", "1", "--max-failed", "0",
		"--reason", "some fail", "--wait", "boot_state=boot", "--within", "1m", "--name", "small", "--yes", "--watch")
	wantCode(t, got, exitFailure)
	wantIn(t, got.out, "1 nodes have failed, and 0 may", "2 done, 1 failed")
	run := tc.GetWorkflow(ctx, rollout.ID("small"), "")
	wantCode(t, call(ctx, "rollout", "retry", "small", "--reason", "once more"), exitRefused) // it waits for an operator
	wantCode(t, call(ctx, "rollout", "resume", "small", "--reason", "known"), exitOK)
	var ended rollout.State
	if err := run.Get(ctx, &ended); err != nil || ended.Status != rollout.Ended || ended.Count != (rollout.Counts{Done: 2, Failed: 1}) {
		t.Errorf("it ends as %+v, %v", ended, err)
	}
	keep(t, tc, rollout.ID("small"), run.GetRunID(), "rollout_small")
	in := request.Outlet{PCU: "pcu", PCUID: 1, Outlet: 1, Operation: request.Off}
	in.Order.By, in.Order.Role, in.Order.Reason = "alice", "operator", "works"
	one, err := tc.ExecuteWorkflow(ctx, client.StartWorkflowOptions{ID: "outlet/pcu/1/1", TaskQueue: activities.TaskQueue}, request.OutletType, in)
	if err != nil {
		t.Fatal(err)
	}
	var answer request.OutletAnswer
	if err := one.Get(ctx, &answer); err != nil || answer.After != "off" {
		t.Errorf("the outlet is %+v, %v", answer, err)
	}
	keep(t, tc, one.GetID(), one.GetRunID(), "outlet_pcu")
}
