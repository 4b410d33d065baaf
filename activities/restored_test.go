package activities

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/planetlab/monitor/plc"
	"github.com/planetlab/monitor/store"
	"github.com/planetlab/monitor/testbed"
)

// tick waits until PLC's clock shows another second: that is how finely it keeps when a row was written.
func (b *bench) tick() {
	b.Helper()
	now := time.Now().Unix()
	b.until("the next second", func() bool { return time.Now().Unix() > now })
}

func (b *bench) wantPLC(login string, enabled bool, suspended ...string) {
	b.Helper()
	if got := b.w.Suspended(login); b.enabled(login) != enabled || !slices.Equal(got, suspended) {
		b.Errorf("%s is enabled: %v, suspended are %q; want %v, %q", login, b.enabled(login), got, enabled, suspended)
	}
}

// A PLC that was restored from a backup has a penalty again that was lifted since: it is lifted again, and what
// somebody else has set stays.
func TestRestored_WhatABackupBringsBackIsLiftedAgain(t *testing.T) {
	var world []testbed.Site
	for _, login := range []string{"huji", "oslo", "pisa"} {
		world = append(world, testbed.Site{Login: login, Nodes: 2})
	}
	b := newBench(t, world...)
	b.Policy.Budget.PenaltiesSite, b.Policy.Budget.PenaltiesFleet, b.Policy.PenaltyStep = 99, 99, 0
	for _, s := range world {
		b.ailing(s.Login)
	}
	enable := func(login string, enabled bool) {
		t.Helper()
		b.must(b.Power.Inventory.SetSiteEnabled(b.Context(), plc.SiteRef{LoginBase: login}, enabled))
	}
	penalised := func(login string, to int) {
		t.Helper()
		for level := range to {
			b.step(login, login+strings.Repeat("+", level+1), level, level+1)
		}
	}

	enable("pisa", false) // somebody else, long ago
	elsewhere := b.w.DB.Backup()
	b.tick()
	enable("pisa", true)
	penalised("huji", 2)
	penalised("oslo", 2)
	penalised("pisa", 1)
	b.wantPLC("huji", false, "huji_codeen", "huji_coral")
	backup := b.w.DB.Backup()
	b.tick()
	for _, login := range []string{"huji", "oslo", "pisa"} {
		b.step(login, login+"-", 2, 0)
		b.wantPLC(login, true)
	}
	b.sync()
	if res := b.reconcile(); len(res.Repaired) > 0 {
		t.Errorf("nothing was restored, and it repaired %q", res.Repaired)
	}

	for range 2 { // it may happen again
		b.w.DB.Restore(backup)
		enable("oslo", false) // by somebody, who knows nothing of the backup
		b.sync()
		b.wantPLC("huji", false, "huji_codeen", "huji_coral")
		res := b.reconcile()
		b.wantPLC("huji", true)
		b.wantPLC("oslo", false)
		b.wantPLC("pisa", true)
		again := func(line string) bool {
			return strings.HasPrefix(line, "slice suspended huji_coral: PLC has it again")
		}
		if !slices.ContainsFunc(res.Repaired, again) {
			t.Errorf("it says %q", res.Repaired)
		}
		list, err := b.Store.Actions(b.Context(), store.ActionFilter{Site: "huji", Kind: store.KindReconcile})
		b.must(err)
		if len(list) == 0 || list[0].Outcome != store.Done || !strings.Contains(list[0].Reason, "from a backup") {
			t.Errorf("the ledger says %+v", list)
		}
		b.sync()
		if res := b.reconcile(); len(res.Repaired) > 0 {
			t.Errorf("all is as it should be, and it repaired %q", res.Repaired)
		}
	}

	enable("huji", false) // somebody else, after us
	b.tag("huji_coral", "enabled", "0")
	b.sync()
	b.reconcile()
	b.wantPLC("huji", false, "huji_coral")

	b.w.DB.Restore(elsewhere)
	b.sync()
	b.reconcile()
	b.wantPLC("pisa", false)
}
