package store

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/selection"
)

// rowsOf gives the fleet of the snapshot a history, as of now.
func rowsOf(t *testing.T, s *Store, now time.Time) {
	t.Helper()
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	_, err := s.SaveSnapshot(ctx, snapshot, true)
	must(err)
	must(s.SaveNodeLooks(ctx, []NodeLook{
		{
			Host:     "planetlab1.princeton.example",
			State:    "DOWN",
			Category: "ERROR",
			Reason:   "no ssh",
			Silent:   true,
			At:       now.Add(-time.Hour),
			Symptoms: []byte(`{"dnserror":{"reason":"no entry"}}`),
			Detail: []byte(
				`{"dns":"no entry","ports":{"22":"timeout","80":"refused"},"ssh":{"ok":false,"failure":"timeout"},"inside":{}}`,
			),
		},
		{
			Host:     "planetlab2.princeton.example",
			State:    "BOOT",
			Category: "PROD",
			Uptime:   26 * time.Hour,
			At:       now.Add(-time.Hour),
			Detail: []byte(
				`{"dns":"ok","ports":{"22":"open"},"ssh":{"ok":true},"inside":{"kernel":"Linux 4.19","read_only":["/"],"own":{"disk":"40%"}}}`,
			),
		},
	}))
	for i, status := range []policy.Status{policy.StatusOffline, policy.StatusDown} {
		must(
			s.SaveChanges(
				ctx,
				[]Change{
					{
						Kind:   "node",
						Target: "planetlab1.princeton.example",
						Record: policy.Record{Status: status, Changed: now.AddDate(0, 0, -3)},
					},
				},
				now.AddDate(0, 0, i-3),
			),
		)
	}
	must(
		s.SaveChanges(
			ctx,
			[]Change{
				{
					Kind:   "site",
					Target: "princeton",
					Record: policy.Record{Status: policy.StatusGood, Changed: now.AddDate(0, 0, -9)},
				},
			},
			now,
		),
	)
	for i, typ := range []string{"nodedown", "dnserror"} {
		must(
			s.putIssue(
				ctx,
				Issue{
					ID:     typ + "/planetlab1.princeton.example",
					RunID:  "run",
					Type:   typ,
					Target: "planetlab1.princeton.example",
					Node:   "planetlab1.princeton.example",
					Site:   "princeton",
					PCUID:  5,
					Status: []string{"open", "paused"}[i],
					Opened: now.AddDate(0, 0, -2-i),
					NextAt: now.Add(time.Duration(i+1) * time.Hour),
				},
			),
		)
	}
	must(
		s.putIssue(
			ctx,
			Issue{
				ID:     "nodedown/planetlab2.princeton.example",
				RunID:  "old",
				Type:   "nodedown",
				Node:   "planetlab2.princeton.example",
				Site:   "princeton",
				Status: "closed",
				Opened: now.AddDate(0, 0, -60),
				Closed: now.AddDate(0, 0, -50),
			},
		),
	)
	must(
		s.putIssue(
			ctx,
			Issue{
				ID:     "pcudown/pcu1.princeton.example",
				RunID:  "run",
				Type:   "pcudown",
				Target: "pcu1.princeton.example",
				Site:   "princeton",
				PCUID:  5,
				Status: "open",
				Opened: now,
			},
		),
	)
	for i, outcome := range []string{Done, Failed} {
		key := fmt.Sprint("cycle/", i)
		_, _, err := s.Intent(
			ctx,
			Action{Key: key, Kind: KindReboot, Node: "planetlab1.princeton.example", Site: "princeton"},
		)
		must(err)
		must(s.Outcome(ctx, key, outcome, ""))
	}
	must(
		s.AddBlacklist(
			ctx,
			BlacklistEntry{Kind: "node", Target: "planetlab3.princeton.example", Starts: now.Add(-time.Hour)},
		),
	)
	must(
		s.AddBlacklist(
			ctx,
			BlacklistEntry{Kind: "node", Target: "planetlab3.princeton.example", Starts: now.Add(-2 * time.Hour)},
		),
	)
	must(s.AddBlacklist(ctx, BlacklistEntry{Kind: "site", Target: "princeton", Starts: now.AddDate(0, 0, 1)}))
}

func TestRowsHoldWhatSelectionsAsk(t *testing.T) {
	s := open(t)
	now := time.Now().UTC().Truncate(time.Millisecond)
	rowsOf(t, s, now)
	t.Run("nodes", func(t *testing.T) {
		list, bad, err := s.NodeRows(t.Context(), now, selection.NodeParts{Details: true, Past: true})
		if err != nil || len(bad) > 0 || len(list) != 3 {
			t.Fatalf("%d rows, %v, %v", len(list), bad, err)
		}
		n, up, quiet := list[0], list[1], list[2]
		if n.Site != "princeton" || n.SiteName != "Princeton" || n.SiteStatus != "good" || !n.SiteEnabled ||
			n.PCU != "pcu1.princeton.example" ||
			n.PCUModel != "OpenIPMI" ||
			n.Feeds != 1 ||
			n.Outlet != 3 {
			t.Errorf("site and PCU: %+v", n)
		}
		if n.Status != "down" || n.State != "DOWN" || n.SSH != "timeout" || n.DNS != "no entry" ||
			n.Port22 != "timeout" ||
			n.Port80 != "refused" ||
			n.Port806 != "" ||
			!slices.Equal(n.Symptoms, []string{"dnserror"}) ||
			n.Silent.IsZero() ||
			!n.Seen.Equal(now.Add(-time.Hour)) ||
			n.Blacklisted {
			t.Errorf("look: %+v", n)
		}
		if !slices.Equal(n.Issues, []string{"dnserror", "nodedown"}) || !slices.Equal(n.Paused, []string{"dnserror"}) ||
			!n.IssueSince.Equal(now.AddDate(0, 0, -3)) ||
			!n.NextStep.Equal(now.Add(time.Hour)) ||
			n.Issues30d != 2 ||
			n.Changes30d != 2 ||
			n.PowerCycles != 1 ||
			n.LastCycle.IsZero() {
			t.Errorf("issues and history: %+v", n)
		}
		if _, raw := up.Facts["own"]; raw || up.Facts["disk"] != "40%" {
			t.Errorf("its facts are %v, want what probe.facts asks for among them", up.Facts)
		}
		if up.Facts["kernel"] != "Linux 4.19" || up.SSH != "ok" || up.Issues30d != 0 || len(up.Issues) != 0 ||
			up.PCU != "" ||
			!up.Booted.Equal(now.Add(-27*time.Hour)) {
			t.Errorf("the one that is up: %+v", up)
		}
		if !quiet.Blacklisted || !quiet.Seen.IsZero() || quiet.State != "" {
			t.Errorf("the one on the blacklist: %+v", quiet)
		}
		list, _, err = s.NodeRows(t.Context(), now, selection.NodeParts{})
		if err != nil || len(list) != 3 || len(list[1].Facts) != 0 || list[1].State != "BOOT" {
			t.Errorf("without details: %+v, %v", list, err)
		}
		if list[0].Changes30d != 0 || !slices.Equal(list[0].Issues, []string{"dnserror", "nodedown"}) {
			t.Errorf("without its past: %+v", list[0])
		}
		few, _, err := s.NodeRowsOf(t.Context(), now, selection.NodeParts{Past: true}, []string{n.Name, "nobody.example"})
		if err != nil || len(few) != 1 || few[0].Name != n.Name || few[0].Issues30d != 2 || few[0].Changes30d != 2 ||
			few[0].PowerCycles != 1 || !few[0].LastCycle.Equal(n.LastCycle) || len(few[0].Issues) != 2 {
			t.Errorf("one of them: %+v, %v", few, err)
		}
		names, _, err := s.NodeNames(t.Context(), "", "", 2)
		if err != nil || len(names) != 2 || names[0].Name != n.Name || names[1].Name != up.Name {
			t.Errorf("the first names: %+v, %v", names, err)
		}
		if names, _, err = s.NodeNames(t.Context(), up.Site, up.Name, 9); err != nil || len(names) != 1 || names[0].Name != quiet.Name {
			t.Errorf("those after %s: %+v, %v", up.Name, names, err)
		}
	})
	t.Run("sites", func(t *testing.T) {
		list, _, err := s.SiteRows(t.Context(), now)
		if err != nil || len(list) != 1 {
			t.Fatalf("%+v, %v", list, err)
		}
		if l := list[0]; l.LoginBase != "princeton" || l.Nodes != 3 || l.NodesUp != 0 || l.PCUs != 1 ||
			l.Status != "good" ||
			l.Blacklisted ||
			!slices.Equal(l.Issues, []string{"dnserror", "nodedown", "pcudown"}) {
			t.Errorf("site: %+v", l)
		}
	})
	t.Run("PCUs", func(t *testing.T) {
		list, _, err := s.PCURows(t.Context())
		if err != nil || len(list) != 1 {
			t.Fatalf("%+v, %v", list, err)
		}
		if p := list[0]; p.Name != "pcu1.princeton.example" || p.PCUID != 5 ||
			!slices.Equal(p.Nodes, []string{"planetlab1.princeton.example"}) ||
			!slices.Equal(p.Issues, []string{"pcudown"}) {
			t.Errorf("pcu: %+v", p)
		}
	})
	t.Run("issues and ledger", func(t *testing.T) {
		open, _, err := s.IssueRows(t.Context(), false, 10)
		if err != nil || len(open) != 3 {
			t.Errorf("open: %+v, %v", open, err)
		}
		all, _, err := s.IssueRows(t.Context(), true, 10)
		if err != nil || len(all) != 4 || all[3].Status != "closed" || all[3].Closed.IsZero() {
			t.Errorf("all: %+v, %v", all, err)
		}
		acts, _, err := s.LedgerRows(t.Context(), 1)
		if err != nil || len(acts) != 1 || acts[0].Key != "cycle/1" || acts[0].Outcome != Failed {
			t.Errorf("ledger: %+v, %v", acts, err)
		}
	})
}

// putIssue writes an episode as it stands, without its memory.
func (s *Store) putIssue(ctx context.Context, i Issue) error {
	_, err := s.pool.Exec(ctx, `insert into issue (id, run_id, type, target, node, site, pcu, status, rung, level,
		opened, closed, next, next_at, outcome, cause)
		values ($1,$2,$3,$4,$5,$6,$7,$8,'',0,$9,$10,'',$11,'','')`, i.ID, i.RunID, i.Type, i.Target, i.Node, i.Site,
		i.PCUID, i.Status, i.Opened, orNull(i.Closed), orNull(i.NextAt))
	return err
}
