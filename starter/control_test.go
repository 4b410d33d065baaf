package main

import (
	"strings"
	"testing"
	"time"

	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/store"
)

func TestMonitorIsStoppedAndStarted(t *testing.T) {
	db, url := fleet(t)
	fill(t, db, url)
	ctx := t.Context()
	if err := db.SayConfigured(ctx, policy.ModeAct, "worker1"); err != nil {
		t.Fatal(err)
	}
	got := call(ctx, "stop")
	wantCode(t, got, exitUsage)
	wantIn(t, got.err, "--reason is missing")
	got = call(ctx, "stop", "--reason", "power works")
	wantCode(t, got, exitOK)
	wantIn(t, got.out, "stopped: power works (alice, since ")
	controls, err := db.Controls(ctx)
	if err != nil || !strings.HasPrefix(controls.Stopped(), "power works (alice") {
		t.Errorf("the gate reads %q, %v", controls.Stopped(), err)
	}
	got = call(ctx, "stop", "--reason", "once more")
	wantCode(t, got, exitOK)
	wantIn(t, got.err, "it was stopped already: power works")
	got = call(ctx, "status")
	wantIn(t, got.out, "stopped: once more")
	got = call(ctx, "start", "--by", "bob")
	wantCode(t, got, exitOK)
	wantIn(t, got.out, "Monitor may act")
	got = call(ctx, "start")
	wantIn(t, got.err, "it was not stopped; nothing is changed")
	orders, err := db.Actions(ctx, store.ActionFilter{Kind: store.KindOrder})
	if err != nil || len(orders) != 3 {
		t.Errorf("the ledger has %d orders, %v", len(orders), err)
	}
}

func TestStatusSaysWhichServerIsAwayUntilItIsBack(t *testing.T) {
	db, url := fleet(t)
	fill(t, db, url)
	if err := db.SayAway(t.Context(), store.ServerMail, "smtp.example: no room", time.Now()); err != nil {
		t.Fatal(err)
	}
	got := call(t.Context(), "status")
	wantCode(t, got, exitOK)
	wantIn(t, got.out, "the mail server does not take mail since ", "what is to be said waits: smtp.example: no room")
	got = call(t.Context(), "status", "-o", "json")
	wantIn(t, got.out, `"why": "smtp.example: no room"`)
	if err := db.SayBack(t.Context(), store.ServerMail); err != nil {
		t.Fatal(err)
	}
	if got = call(t.Context(), "status"); strings.Contains(got.out, "mail") {
		t.Errorf("it is back, and still told: %s", got.out)
	}
}

func TestAModeIsNarrowedByItsParts(t *testing.T) {
	db, url := fleet(t)
	fill(t, db, url)
	ctx := t.Context()
	wantIn(t, call(ctx, "mode").out, "Monitor only observes: configured so") // no worker has said that it acts
	if err := db.SayConfigured(ctx, policy.ModeAct, "worker1"); err != nil {
		t.Fatal(err)
	}
	wantIn(t, call(ctx, "mode").out, "Monitor may act")
	got := call(ctx, "mode", "observe", "--site", "princeton", "--reason", "a new firewall")
	wantCode(t, got, exitOK)
	wantIn(t, got.out, "observe for site princeton", "a new firewall", "alice")
	wantCode(t, call(ctx, "mode", "observe", "--type", "pcudown"), exitOK)
	controls, err := db.Controls(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, site, typ string
		want            policy.Mode
		why             string
	}{
		{"another site and type", "epfl", "nodedown", policy.ModeAct, ""},
		{"that site", "princeton", "nodedown", policy.ModeObserve, "site/princeton: a new firewall (alice"},
		{"that type", "epfl", "pcudown", policy.ModeObserve, "type/pcudown: no reason given (alice"},
	} {
		if mode, why := controls.Mode(policy.ModeAct, c.site, c.typ); mode != c.want || !strings.HasPrefix(why, c.why) {
			t.Errorf("%s: %s, %q", c.name, mode, why)
		}
	}
	if mode, _ := controls.Mode(policy.ModeObserve, "epfl", "nodedown"); mode != policy.ModeObserve {
		t.Error("an order widens what is configured")
	}
	wantCode(t, call(ctx, "mode", "default", "--site", "princeton"), exitOK)
	if controls, _ = db.Controls(ctx); len(controls) != 2 {
		t.Errorf("in force are %v", controls)
	}
	wantCode(t, call(ctx, "mode", "observe", "--reason", "the first weeks"), exitOK)
	controls, err = db.Controls(ctx)
	if _, why := controls.Mode(policy.ModeAct, "epfl", "nodedown"); err != nil ||
		!strings.HasPrefix(why, "fleet: the first weeks (alice") {
		t.Errorf("the fleet's own order reads %q, %v", why, err)
	}
	for args, says := range map[string]string{
		"mode off":                                     "say observe, act, default",
		"mode observe --type nosuch":                   "nosuch",
		"mode observe --site nowhere":                  "no site nowhere is known",
		"mode observe --site princeton --type pcudown": "not both",
	} {
		got := call(ctx, strings.Fields(args)...)
		if got.code != exitUsage && got.code != exitNotFound {
			t.Errorf("%s exits with %d", args, got.code)
		}
		wantIn(t, got.err, says)
	}
}

func TestTheStatusOfTheFleetReadsAsItsGoldenFile(t *testing.T) {
	db, url := fleet(t)
	fill(t, db, url)
	got := call(t.Context(), "status")
	wantCode(t, got, exitOK)
	wantGolden(t, "status", got.out)
	got = call(t.Context(), "status", "-o", "json")
	wantStable(t, got.out)
	wantGolden(t, "status-json", got.out)
}

func TestATargetIsSilenced(t *testing.T) {
	db, url := fleet(t)
	fill(t, db, url)
	ctx := t.Context()
	for _, target := range []string{host, "princeton", "pcu1.princeton.example"} {
		got := call(ctx, "silence", target, "--for", "3d", "--reason", "being moved")
		wantCode(t, got, exitOK)
		wantIn(t, got.out, target+", until 2026-11-27 14:03 UTC (3 days from now): being moved (alice)")
	}
	if list, err := db.Blacklist(ctx); err != nil || len(list) != 3 || list[1].Kind != "pcu" {
		t.Errorf("the store has %+v, %v", list, err)
	}
	got := call(ctx, "silence", "princeton", "--end")
	wantCode(t, got, exitOK)
	wantIn(t, got.out, "no longer left alone: site princeton")
	wantCode(t, call(ctx, "silence", "princeton", "--end"), exitNotFound)
	wantCode(t, call(ctx, "silence", "nobody", "--for", "3d", "--reason", "x"), exitNotFound)
	wantCode(t, call(ctx, "silence", "princeton", "--for", "3d"), exitUsage)
	wantCode(t, call(ctx, "silence", "princeton"), exitUsage)
	wantCode(t, call(ctx, "silence", "princeton", "--for", "-3d", "--reason", "x"), exitUsage)
}
