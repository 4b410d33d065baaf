package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/planetlab/monitor/access"
	"github.com/planetlab/monitor/store"
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
