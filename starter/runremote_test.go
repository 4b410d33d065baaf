package main

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/planetlab/monitor/access"
	"github.com/planetlab/monitor/bootman"
	"github.com/planetlab/monitor/config"
	"github.com/planetlab/monitor/connect"
	"github.com/planetlab/monitor/orders"
	"github.com/planetlab/monitor/store"
	"github.com/planetlab/monitor/testbed/fakenode"
)

// What was run is read over the API as with the database; what nodes said is for those who may run something, and bounded.
func TestWhatWasRunIsReadOverTheAPI(t *testing.T) {
	db, server, token := servedFleet(t)
	ctx := t.Context()
	const id, other = "20261124-130300.000", "planetlab2.princeton.example"
	run := store.Run{ID: id, Command: "cat /etc/motd", Ordered: store.RunOrder{By: "alice", Reason: "is it there?"}}
	if err := db.StartRun(ctx, run, []store.RunNode{{Host: host, Site: "princeton", State: "planned"}, {Host: other, Site: "princeton", State: "planned"}}); err != nil {
		t.Fatal(err)
	}
	zero := 0
	save := func(n store.RunNode) {
		t.Helper()
		n.Site, n.State, n.Status, n.Began, n.Ended = "princeton", "done", &zero, noon(), noon()
		if err := db.SaveRunNode(ctx, id, n); err != nil {
			t.Fatal(err)
		}
	}
	save(store.RunNode{Host: host, Output: "welcome to one\n", Errors: "a warning\n"})
	save(store.RunNode{Host: other, Output: "welcome to two\n"})
	if err := db.EndRun(ctx, id); err != nil {
		t.Fatal(err)
	}
	commands := []string{"run list -o json", "run show " + id, "run show " + id + " -o json", "run show " + id + " --host " + host,
		"run show " + id + " --host nobody.example", "run show 20200101-000000.000"}
	want := map[string]answer{}
	for _, c := range commands {
		want[c] = call(ctx, strings.Fields(c)...)
	}
	admin, operator, viewer := token(access.Admin, access.AllSites), token(access.Operator, access.AllSites), token(access.Viewer, access.AllSites)
	over := func(who, command string) answer {
		t.Helper()
		unconfigured(t)
		t.Setenv(tokenVariable, who)
		return call(ctx, append(strings.Fields(command), "--server", server)...)
	}
	for _, c := range commands {
		if got := over(admin, c); got.code != want[c].code || got.out != want[c].out {
			t.Errorf("%s over the API: %d\n%s%s\nwith the database: %d\n%s", c, got.code, got.out, got.err, want[c].code, want[c].out)
		}
	}
	if got := over(operator, "run show "+id+" -o json"); got.code != exitOK || !strings.Contains(got.out, `"done": 2`) ||
		strings.Contains(got.out, "welcome") || strings.Contains(got.out, "motd") {
		t.Errorf("who may run nothing reads %+v", got)
	}
	if got := over(operator, "run show "+id+" --host "+host); got.code == exitOK || strings.Contains(got.out+got.err, "welcome") {
		t.Errorf("who may run nothing reads %+v", got)
	}
	for _, c := range commands {
		if got := over(viewer, c); got.code == exitOK {
			t.Errorf("a viewer may say %s: %s", c, got.out)
		}
	}

	save(store.RunNode{Host: host, Output: strings.Repeat("ä", 1<<20)})
	for command, most := range map[string]int{"run show " + id + " -o json": 2 << 10, "run show " + id + " --host " + host + " -o json": 256 << 10} {
		var v struct {
			store.RunNode
			List []store.RunNode `json:"node_list"`
		}
		got := over(admin, command)
		if err := json.Unmarshal([]byte(got.out), &v); err != nil {
			t.Fatalf("%s: %v: %.200s%s", command, err, got.out, got.err)
		}
		n := v.RunNode
		if len(v.List) > 0 {
			n = v.List[0]
		}
		if !n.Cut || len(n.Output) != most || strings.Trim(n.Output, "ä") != "" {
			t.Errorf("%s answers %d bytes, cut: %v", command, len(n.Output), n.Cut)
		}
	}
}

// A command is run by the server that is asked, shown as it comes, and called off by Ctrl-C.
func TestACommandIsRunOverTheAPI(t *testing.T) {
	if testing.Short() {
		t.Skip("left out by -short: it waits for a server")
	}
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	ports := map[int]int{22: 24022, 80: 24080, 806: 24806}
	n, err := fakenode.New(fakenode.Options{Host: host, IP: "127.10.1.1", PortMap: ports, Root: key.PublicKey()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	n.SetDebugMode(fakenode.DebugMode{Log: keyLog})
	if err := n.SetState(fakenode.Debug); err != nil {
		t.Fatal(err)
	}
	enter := connect.Entrance(config.Probe{SSHUser: "root", SSHPorts: []int{22, 806}, PortMap: ports, Timeout: 5 * time.Second}, key)
	runs := orders.NewRuns(func(_ context.Context, host, _ string) bootman.Target {
		target := enter(host, "127.10.1.1")
		target.HostKey = func(ssh.PublicKey) error { return nil }
		return target
	}, nil, slog.New(slog.DiscardHandler))
	db, server, token := servedFleet(t, runs)
	t.Cleanup(runs.Close)
	admin := token(access.Admin, access.AllSites)
	unconfigured(t)
	t.Setenv(tokenVariable, admin)
	do := func(ctx context.Context, args ...string) answer {
		return callAt(ctx, "", append([]string{"run", "--server", server}, args...)...)
	}
	ctx := t.Context()
	script := filepath.Join(t.TempDir(), "check.sh")
	if err := os.WriteFile(script, []byte("echo here\necho '  and there'\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	wantCode(t, do(ctx, host, "--", "true"), exitUsage) // without a reason
	got := do(ctx, "--select", "site=princeton", "--script", script, "--reason", "x", "--dry-run")
	wantCode(t, got, exitOK)
	wantIn(t, got.out, "would run on", host)
	wantIn(t, do(ctx, "--select", "site=princeton", "--script", script, "--reason", "x").err, "run it on these")
	if list, err := db.Runs(ctx, 10); err != nil || len(list) > 0 {
		t.Fatalf("a plan is run: %+v, %v", list, err)
	}
	got = do(ctx, host, "--script", script, "--reason", "is it there?")
	wantCode(t, got, exitOK)
	wantIn(t, got.out, "here\n  and there", "is it there?", "1 done")
	wantIn(t, got.err, "has begun at", "1 of 1: "+host+" done")
	got = do(ctx, host, "--reason", "x", "--", "exit", "3")
	wantCode(t, got, exitFailure)
	wantIn(t, got.err, "not done on 1 of 1 nodes")

	interrupted, interrupt := context.WithCancel(ctx)
	go func() {
		for interrupted.Err() == nil {
			if list, err := db.Runs(ctx, 1); err == nil && len(list) > 0 && list[0].Command == "sleep 300" && list[0].Nodes["running"] > 0 {
				interrupt()
			}
			time.Sleep(50 * time.Millisecond)
		}
	}()
	got = do(interrupted, host, "--limit", "5m", "--reason", "x", "--", "sleep", "300")
	interrupt()
	wantCode(t, got, exitFailure)
	wantIn(t, got.err, "calling it off")
	wantIn(t, got.out, "1 late", "Ctrl-C")
	list, err := db.Runs(ctx, 10)
	if err != nil || len(list) != 3 || list[0].Ended.IsZero() {
		t.Fatalf("%+v, %v", list, err)
	}
	wantCode(t, do(ctx, "cancel", list[0].ID, "--reason", "x"), exitRefused)
	wantCode(t, do(ctx, "cancel", "nowhere", "--reason", "x"), exitNotFound)
	wantCode(t, do(ctx, "cancel", list[0].ID), exitUsage)
}
