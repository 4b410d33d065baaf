package main

import (
	"bytes"
	"context"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/api/serviceerror"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"

	"github.com/planetlab/monitor/activities"
	"github.com/planetlab/monitor/answers"
	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/plc"
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/site"
	"github.com/planetlab/monitor/store"
)

// stage is a small fleet in one state, and who is asked about it: the gate answers by the real checks, from facts that a
// case has set, and the site by the real machine.
type stage struct {
	*testing.T
	db    *store.Store
	url   string
	p     policy.Policy
	facts policy.GateFacts
	// unopened is why no sweep opens an issue whatever was seen; empty: what was seen decides.
	unopened string
	people   *site.State
}

const (
	pcu  = "pcu1.princeton.example"
	home = "princeton"
)

func (s *stage) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func (s *stage) sql(text string, args ...any) {
	s.Helper()
	conn, err := pgx.Connect(s.Context(), s.url)
	s.must(err)
	defer conn.Close(s.Context())
	_, err = conn.Exec(s.Context(), text, args...)
	s.must(err)
}

// reset is a node that is down at a site that lacks it, with all in order that acts ask for.
func (s *stage) reset() {
	s.Helper()
	ctx, ago := s.Context(), func(days int) time.Time { return noon().AddDate(0, 0, -days) }
	s.sql(`do $$ declare t text; begin
		set local session_replication_role = replica; -- in any order
		for t in select tablename from pg_tables where schemaname = 'public' and tablename !~ 'goose|schema|migration' loop
			execute format('delete from %I', t);
		end loop; end $$`)
	_, err := s.db.SaveSnapshot(ctx, plc.Snapshot{
		Taken: noon(),
		Sites: []plc.Site{{SiteID: 1, LoginBase: home, Name: "Princeton", Enabled: true, DateCreated: ago(1000)}},
		Nodes: []plc.Node{
			{NodeID: 10, Hostname: host, SiteID: 1, BootState: "boot", Model: "HP DL320", PCUIDs: []int{5}, Ports: []int{3}, LastContact: ago(4)},
			{NodeID: 11, Hostname: "planetlab2.princeton.example", SiteID: 1, BootState: "boot", LastContact: noon()},
		},
		PCUs:       []plc.PCU{{PCUID: 5, SiteID: 1, Hostname: pcu, Username: "admin", Password: "open sesame", Model: "APCControl12p3"}},
		Interfaces: []plc.Interface{{NodeID: 10, IP: "127.10.1.1", Primary: true}},
	}, true)
	s.must(err)
	soon := noon().Add(-5 * time.Minute)
	s.must(s.db.SaveNodeLooks(ctx, []store.NodeLook{
		{Host: host, State: "DOWN", Category: "ERROR", Reason: "no answer on any port", Silent: true, At: soon},
		{Host: "planetlab2.princeton.example", State: "BOOT", Category: "PROD", Uptime: 26 * time.Hour, At: soon},
	}))
	s.must(s.db.SavePCULooks(ctx, []store.PCULook{{PCUID: 5, At: soon, OK: true}}))
	s.status("node", host, policy.StatusDown, 3)
	s.status("node", "planetlab2.princeton.example", policy.StatusGood, 30)
	s.status("pcu", "5", policy.StatusGood, 30)
	s.status("site", home, policy.StatusDown, 3)
	s.must(s.db.SayConfigured(ctx, policy.ModeAct, "worker"))
	s.sweep(store.Sweep{Believed: true})
	finding := policy.Finding{State: policy.StateDown, Reason: "no answer on any port"}
	s.unopened, s.people = "", nil
	s.facts = policy.GateFacts{
		Target: host, Exists: true, Mode: policy.ModeAct, Lease: policy.Lease{Believed: soon, Every: 30 * time.Minute},
		Node: policy.NodeGate{Looked: true, Finding: finding, SilentFrom: ago(3), AskedPLC: true, BootState: "boot", LastContact: ago(4)},
		PCU:  policy.PCUGate{Feeds: 1, Installer: "PLC"},
		Site: policy.SiteGate{Record: policy.Record{Status: policy.StatusDown, Changed: ago(30)}, Created: ago(1000), To: 1,
			Told: ago(20), NotBefore: ago(10)},
	}
}

func (s *stage) status(kind, target string, status policy.Status, days int) {
	s.Helper()
	s.must(s.db.SaveChanges(s.Context(), []store.Change{{Kind: kind, Target: target, Reason: "the test has it so",
		Record: policy.Record{Status: status, Changed: noon().AddDate(0, 0, -days)}}}, noon()))
}

// sweep has one end so, five minutes ago.
func (s *stage) sweep(w store.Sweep) {
	s.Helper()
	begun, err := s.db.StartSweep(s.Context(), fmt.Sprint("sweep/", time.Now().UnixNano()))
	s.must(err)
	w.ID = begun.ID
	s.must(s.db.EndSweep(s.Context(), w))
	s.sql(`update sweep set started = $1, beat = $1, ended = $1`, noon().Add(-5*time.Minute))
}

// opens has an issue open two days ago and live on.
func (s *stage) opens(typ, run string, live func(*issue.State)) {
	s.Helper()
	t, known := issue.Lookup(typ)
	if !known {
		s.Fatalf("no issue type %q", typ)
	}
	ref := issue.Ref{Run: run, Type: typ, Site: home}
	switch target := ""; t.Target {
	case issue.OfPCU:
		target, ref.PCU, ref.PCUID = pcu, pcu, 5
		ref.ID = typ + "/" + target
	case issue.OfSite:
		ref.ID = typ + "/" + home
	default:
		ref.Node, ref.PCUID = host, 5
		ref.ID = typ + "/" + host
	}
	st := issue.Start(issue.Opening{Ref: ref, Cause: "the sweep saw it: " + t.About, Ladder: t.Ladder, Times: issue.TimesOf(s.p), Mode: policy.ModeAct},
		noon().AddDate(0, 0, -2))
	if live != nil {
		live(&st)
	}
	s.must(s.db.SaveIssue(s.Context(), st, noon().Add(-time.Hour)))
}

// act writes a line of the ledger.
func (s *stage) act(kind store.ActionKind, outcome, detail string, begun bool) {
	s.Helper()
	key := fmt.Sprintf("nodedown/%s/run/%s", host, kind)
	_, _, err := s.db.Intent(s.Context(), store.Action{Key: key, Kind: kind, Issue: "nodedown/" + host, Node: host, Site: home, PCUID: 5, Reason: "down for 2 d"})
	s.must(err)
	if outcome != "" {
		s.must(s.db.Outcome(s.Context(), key, outcome, detail))
	}
	s.sql(`update action set at = $1, committed = case when $2 then $1::timestamptz end, finished = case when outcome <> '' then $1::timestamptz end`,
		noon().Add(-time.Hour), begun)
}

func (s *stage) claim(kind store.ClaimKind) {
	s.Helper()
	c := store.Claim{Kind: kind, Target: host, Site: home, Issue: "nodedown/" + host, RunID: "run", Key: "k/" + string(kind), Was: "boot"}
	switch kind {
	case store.ClaimHold:
		c.Target, c.SetTo = home, "1"
	case store.ClaimSiteDisabled:
		c.Target = "1"
	case store.ClaimSliceSuspended:
		c.Target = "princeton_codeen"
	case store.ClaimOutlet:
		c.Target = "5/3"
	case store.ClaimBootState:
		c.SetTo = "reinstall"
	case store.ClaimRequest:
		c.Issue, c.SetTo = "request/"+host, "reboot"
	}
	s.must(s.db.Take(s.Context(), c))
	s.sql(`update claim set taken = $1`, noon().Add(-time.Hour))
}

// ran says what became of the rung that is due.
func ran(at time.Time, r issue.Result) func(*issue.State) {
	return func(st *issue.State) {
		st.Began()
		st.Ran(at, r)
	}
}

func both(steps ...func(*issue.State)) func(*issue.State) {
	return func(st *issue.State) {
		for _, step := range steps {
			step(st)
		}
	}
}

// ends closes it so, by what a rung did before.
func ends(e issue.End) func(*issue.State) {
	return func(st *issue.State) {
		if e.Why == issue.EndRecovered {
			st.Recover(noon().Add(-2*time.Hour), "boot")
		} else {
			st.End = &e
		}
		st.Ended(noon().Add(-time.Hour), issue.Result{Outcome: issue.Acted})
	}
}

// climb has every rung act until the last of the ladder was done.
func climb(st *issue.State) {
	for at := st.Opened; st.Idle == 0; at = st.Due {
		res := issue.Result{Outcome: issue.Acted, Level: st.NextRung().Level}
		if st.NextRung().Do == issue.Reboot {
			res.Power = issue.Cycled
		}
		st.Began()
		st.Ran(at, res)
	}
}

// explained is a state that explain tells of.
type explained struct {
	name, target string
	set          func(*stage)
}

// constants are the values of all constants of a string type that a room declares, so that none is forgotten here.
func constants(t *testing.T, room, typ string) (values []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", room, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			v, is := n.(*ast.ValueSpec)
			if !is || len(v.Values) != 1 {
				return true
			}
			if id, is := v.Type.(*ast.Ident); is && id.Name == typ {
				text, err := strconv.Unquote(v.Values[0].(*ast.BasicLit).Value)
				if err != nil {
					t.Fatal(err)
				}
				values = append(values, text)
			}
			return true
		})
	}
	if len(values) == 0 {
		t.Fatalf("%s has no constants of type %s", room, typ)
	}
	return values
}

// noOfGate is how each check of the gate comes to say no, and of which target that is told.
func noOfGate() map[string]func(*stage) (target string) {
	node := func(set func(*stage)) func(*stage) string {
		return func(s *stage) string { s.opens(issue.NodeDown, "run", nil); set(s); return host }
	}
	ofSite := func(set func(*stage)) func(*stage) string {
		return func(s *stage) string { set(s); return home }
	}
	tomorrow := noon().AddDate(0, 0, 1)
	return map[string]func(*stage) string{
		"target":    node(func(s *stage) { s.facts.Exists = false }),
		"order":     node(func(s *stage) { s.facts.Ordered = "an operator ordered otherwise" }),
		"recovered": node(func(s *stage) { s.facts.Recovered = "it runs, all its ports open" }),
		"switch": node(func(s *stage) {
			s.must(s.db.SetControl(s.Context(), store.Control{Name: store.ControlStop, Value: "stopped", By: "ann", Reason: "power works"}))
			s.sql(`update control set at = $1`, noon().Add(-time.Hour))
			s.facts.Stopped = "power works (ann, since 2026-11-24T13:03:00Z)"
		}),
		"mode": node(func(s *stage) {
			s.must(s.db.SetControl(s.Context(), store.Control{Name: store.ControlMode, Value: "observe", By: "ann", Reason: "a new release"}))
			s.sql(`update control set at = $1`, noon().Add(-time.Hour))
			s.facts.Mode, s.facts.ModeWhy = policy.ModeObserve, "fleet: a new release (ann, since 2026-11-24T13:03:00Z)"
		}),
		"lease": node(func(s *stage) { s.facts.Lease.Believed = noon().Add(-3 * time.Hour) }),
		"covered": node(func(s *stage) {
			s.facts.CoveredBy = "its whole site is down: sitedown/princeton speaks for it"
		}),
		"firewall": node(func(s *stage) { s.facts.Node.FirewallIssue = "firewall/" + host }),
		"answers":  node(func(s *stage) { s.facts.Node.Looked = false }),
		"heartbeat": node(func(s *stage) {
			s.facts.Node.LastContact = noon().Add(-2 * time.Minute)
		}),
		"booting":    node(func(s *stage) { s.facts.Node.LastBoot = noon().Add(-2 * time.Minute) }),
		"boot state": node(func(s *stage) { s.facts.Node.BootState = "safeboot" }),
		"exempt":     node(func(s *stage) { s.facts.NodeExemptUntil = tomorrow }),
		"blacklist": node(func(s *stage) {
			s.must(s.db.AddBlacklist(s.Context(), store.BlacklistEntry{Kind: "node", Target: host, Starts: noon().Add(-time.Hour), Until: tomorrow, Owner: "ann", Reason: "being moved"}))
			s.facts.Listed = policy.Listing{Listed: true, Until: tomorrow, Reason: "being moved"}
		}),
		"held off": node(func(s *stage) {
			s.facts.Node.HeldOff = "ann turns outlet 3 of " + pcu + ": off: its fan is being replaced (at 2026-11-24T13:03:00Z); it stays off until somebody turns it on"
		}),
		"pcu": node(func(s *stage) { s.facts.PCU.Broken = "pcudown/" + pcu + " is open" }),
		"installer": func(s *stage) string {
			s.opens(issue.NodeDown, "run", ran(noon().AddDate(0, 0, -2), issue.Result{Outcome: issue.Acted, Power: issue.Cycled, Reason: "outlet 3 went off and on"}))
			s.facts.PCU.Installer = ""
			return host
		},
		"attempts": node(func(s *stage) {
			for i := range s.p.MaxReboots {
				s.facts.Cycles = append(s.facts.Cycles, noon().AddDate(0, 0, -1-i))
			}
		}),
		"budget": node(func(s *stage) { s.facts.Spent.Fleet = 1000 }),
		"site":   ofSite(func(s *stage) { s.facts.Site.Up = 2 }),
		"told":   ofSite(func(s *stage) { s.facts.Site.NotBefore = tomorrow }),
		"step":   ofSite(func(s *stage) { s.facts.Site.LastRaise = noon().AddDate(0, 0, -1) }),
	}
}

// explainedStates are all of them. Whatever is one of many is taken from the code that declares it: what is added there has
// no golden file yet, and fails.
func explainedStates(t *testing.T) (list []explained) {
	add := func(name, target string, set func(*stage)) {
		list = append(list, explained{strings.NewReplacer(" ", "-", "'", "", "/", "-").Replace(name), target, set})
	}
	rung := func(name string, live func(*issue.State)) {
		add("issue "+name, host, func(s *stage) { s.opens(issue.NodeDown, "run", live) })
	}
	twoDays, hour := noon().AddDate(0, 0, -2), noon().Add(-time.Hour)
	for _, typ := range issue.Types() {
		target := map[issue.TargetKind]string{issue.OfNode: host, issue.OfPCU: pcu, issue.OfSite: home}[typ.Target]
		add("type "+typ.Name, typ.Name+"/"+target, func(s *stage) { s.opens(typ.Name, "run", nil) })
		add("type "+typ.Name+" at its end", typ.Name+"/"+target, func(s *stage) { s.opens(typ.Name, "run", climb) })
		add("type "+typ.Name+" closed", typ.Name+"/"+target, func(s *stage) {
			s.opens(typ.Name, "run", both(climb, ends(issue.End{Why: issue.EndRecovered})))
		})
	}
	for _, status := range constants(t, "issue", "Status") {
		rung("status "+status, map[string]func(*issue.State){
			"open": nil,
			"paused": func(st *issue.State) {
				st.Obey(issue.OrderPause, issue.Command{By: "ann", Reason: "a new board is ordered"}, hour)
			},
			"closed": ends(issue.End{Why: issue.EndOperator, By: "ann", Reason: "it is scrap"}),
		}[status])
	}
	rung("paused until a day", func(st *issue.State) {
		st.Obey(issue.OrderPause, issue.Command{By: "ann", Reason: "a new board is ordered", Until: noon().AddDate(0, 0, 5)}, hour)
	})
	rung("vetoed", func(st *issue.State) {
		st.Obey(issue.OrderVeto, issue.Command{By: "ann", Reason: "its disk has data", Step: 2}, hour)
	})
	rung("recovered and waits whether that lasts", func(st *issue.State) { st.Recover(hour, "it runs") })
	rung("asks for a penalty", climb)
	add("issue reopened", host, func(s *stage) {
		s.opens(issue.NodeDown, "first", ends(issue.End{Why: issue.EndRecovered}))
		s.sql(`update issue set opened = opened - interval '9 days', closed = closed - interval '8 days'`)
		s.opens(issue.NodeDown, "second", nil)
	})
	add("issue of which nobody knows what comes", host, func(s *stage) {
		putIssue(s, s.url, store.Issue{ID: "nodedown/" + host, RunID: "run", Type: "nodedown", Target: host, Node: host, Site: home, Status: "open", Opened: hour, Cause: "down"})
	})
	for _, why := range constants(t, "issue", "EndKind") {
		rung("ended "+why, ends(issue.End{Why: issue.EndKind(why), Reason: map[bool]string{true: "it is scrap"}[why == string(issue.EndOperator)]}))
	}
	for _, credit := range constants(t, "issue", "Credit") {
		rung("credit "+credit, both(func(st *issue.State) { st.Credited = issue.Credit(credit) }, ends(issue.End{Why: issue.EndRecovered})))
	}
	for _, o := range constants(t, "issue", "Outcome") {
		res := issue.Result{Outcome: issue.Outcome(o), Reason: "as the test has it"}
		if res.Outcome == issue.Wait {
			res.Check, res.Until = "budget", noon().Add(time.Hour)
		}
		rung("rung answered "+o, ran(hour, res))
	}
	for _, power := range constants(t, "issue", "Power") {
		rung("power "+power, ran(hour, issue.Result{Outcome: issue.Acted, Power: issue.Power(power), Reason: "as the test has it"}))
	}
	add("issue closed by an operator and left alone", host, func(s *stage) {
		s.unopened = "an operator closed it, and the target was not good since: it is scrap (ann)"
		s.opens(issue.NodeDown, "run", ends(issue.End{Why: issue.EndOperator, By: "ann", Reason: "it is scrap"}))
		s.must(s.db.LeaveClosed(s.Context(), store.OperatorClosed{Issue: "nodedown/" + host, By: "ann", Reason: "it is scrap"}))
	})

	no := noOfGate()
	for _, c := range policy.Gate() {
		set := no[c.Name]
		if set == nil {
			t.Errorf("the check %q of the gate has no case here", c.Name)
			continue
		}
		target := host
		if slices.Equal(c.For, []policy.Act{policy.ActPenalize}) {
			target = home
		}
		add("gate "+c.Name, target, func(s *stage) { set(s) })
	}
	add("gate all that can be in the way", host, func(s *stage) {
		for _, name := range []string{"switch", "mode", "lease", "blacklist", "attempts"} {
			no[name](s)
		}
	})

	for _, status := range constants(t, "policy", "Status") {
		add("node "+status, host, func(s *stage) {
			s.status("node", host, policy.Status(status), 3)
		})
		add("pcu "+status, pcu, func(s *stage) {
			s.status("pcu", "5", policy.Status(status), 3)
			if policy.Status(status).Unhealthy() {
				s.must(s.db.SavePCULooks(s.Context(), []store.PCULook{{PCUID: 5, At: noon(), Reason: "no route to host"}}))
			}
		})
		add("site "+status, home, func(s *stage) { s.status("site", home, policy.Status(status), 3) })
	}
	add("node never looked at", host, func(s *stage) { s.sql(`update node set seen_at = null, state = '', reason = '', status = ''`) })
	add("pcu never tried", pcu, func(s *stage) { s.sql(`update pcu set seen_at = null, ok = false, status = ''`) })
	add("node disabled in the inventory", host, func(s *stage) { s.sql(`update node set boot_state = 'disabled'`) })
	add("node gone", host, func(s *stage) { s.sql(`update node set gone = true`) })
	add("site gone", home, func(s *stage) { s.sql(`update site set gone = true`) })
	add("site pending", home, func(s *stage) { s.sql(`update site set pending = true`) })
	add("site disabled in the inventory", home, func(s *stage) { s.sql(`update site set enabled = false`) })

	add("sweep none", host, func(s *stage) { s.sql(`delete from sweep`) })
	add("sweep not believed", host, func(s *stage) {
		s.sweep(store.Sweep{Reason: "40 of 60 nodes became bad within 1 d: the fault may be ours"})
	})
	add("sweep doubts a type", host, func(s *stage) {
		s.unopened = "the last sweep believes nothing of nodedown: 40 of 60"
		s.sweep(store.Sweep{Believed: true, Doubts: map[string]string{"nodedown": "nodedown would open for 40 of 60 within 1 d: the fault may be ours"}})
	})

	left := func(name, target string, e store.BlacklistEntry) {
		add("left alone "+name, target, func(s *stage) {
			e.Owner, e.Reason = "ann", "being moved"
			s.must(s.db.AddBlacklist(s.Context(), e))
		})
	}
	for kind, target := range map[string]string{"node": host, "pcu": pcu, "site": home} {
		left("exempt "+kind, target, store.BlacklistEntry{Kind: kind, Target: target, Starts: hour})
		left("silenced "+kind, target, store.BlacklistEntry{Kind: kind, Target: target, Starts: hour, Until: noon().AddDate(0, 0, 3)})
		left("downtime to come "+kind, target, store.BlacklistEntry{Kind: kind, Target: target, Downtime: true, Starts: noon().AddDate(0, 0, 3), Until: noon().AddDate(0, 0, 4)})
	}
	left("for its site", host, store.BlacklistEntry{Kind: "site", Target: home, Starts: hour})
	add("left alone in the inventory", host, func(s *stage) { s.sql(`update node set exempt_until = $1`, noon().AddDate(0, 0, 9)) })

	for _, kind := range store.ClaimKinds() {
		target := host
		if kind == store.ClaimHold || kind == store.ClaimSiteDisabled || kind == store.ClaimSliceSuspended {
			target = home
		}
		add("held "+string(kind), target, func(s *stage) { s.claim(kind) })
	}
	add("held outlet of a pcu", pcu, func(s *stage) { s.claim(store.ClaimOutlet) })

	for _, o := range store.Outcomes() {
		add("ledger "+o, host, func(s *stage) { s.act(store.KindReboot, o, "as the test has it", o != store.Skipped) })
	}
	add("ledger intended", host, func(s *stage) { s.act(store.KindReboot, "", "", false) })
	add("ledger begun", host, func(s *stage) { s.act(store.KindReboot, "", "", true) })

	denied := func(name string, set func(*site.State)) {
		add("site "+name, home, func(s *stage) {
			st := site.Start(home, "life")
			st.Known, st.Times = true, site.TimesOf(s.p)
			st.Hold(twoDays, site.HoldRequest{Key: "k", Ref: issue.Ref{ID: "nodedown/" + host, Type: issue.NodeDown, Node: host, Site: home}, Level: 1,
				Kind: "down", Since: twoDays})
			set(&st)
			s.people = &st
			s.opens(issue.NodeDown, "run", nil)
			s.must(s.db.SetPenaltyLevel(s.Context(), home, st.Level, twoDays))
		})
	}
	for level := range policy.Top + 1 {
		denied(fmt.Sprint("level ", level), func(st *site.State) {
			if st.Level = level; level > 0 {
				st.Reason = st.Why()
			}
		})
	}
	for _, why := range constants(t, "site", "SpareKind") {
		denied("spared "+why, func(st *site.State) { st.Spared = &site.Spared{Why: site.SpareKind(why), About: "as the test has it"} })
	}
	denied("warned of its next step", func(st *site.State) {
		st.Warned = &site.Warning{Level: 1, At: hour, NotBefore: noon().AddDate(0, 0, 3), Issues: []string{"nodedown/" + host}}
	})
	denied("paused by a person", func(st *site.State) { st.Pause = &site.Pause{At: hour, By: "ann", Reason: "they move"} })
	denied("paused until a day", func(st *site.State) {
		st.Pause = &site.Pause{At: hour, Until: noon().AddDate(0, 0, 5), By: "ann", Reason: "they move"}
	})
	denied("paused because somebody answered", func(st *site.State) {
		st.Pause = &site.Pause{At: hour, Until: noon().AddDate(0, 0, 7), By: "tech@princeton.example", Reason: "somebody answered in ticket 7", Answer: true}
		st.Ticket.ID = 7
	})
	denied("blocked", func(st *site.State) { st.Blocked = "PLC does not answer" })
	return list
}

func TestEveryStateIsExplainedAsItsGoldenFile(t *testing.T) {
	db, url := fleet(t)
	s := &stage{T: t, db: db, url: url, p: policy.Defaults(24 * time.Hour)}
	s.must(db.Migrate(t.Context()))
	if *update {
		s.must(os.RemoveAll("testdata/explain"))
		s.must(os.Mkdir("testdata/explain", 0o755))
	}
	wanted := map[string]bool{}
	for _, c := range explainedStates(t) {
		if wanted[c.name] {
			t.Errorf("two cases are called %s", c.name)
		}
		wanted[c.name] = true
		t.Run(c.name, func(t *testing.T) {
			s := *s
			s.T = t
			s.reset()
			c.set(&s)
			var out, errs bytes.Buffer
			a := &app{out: &out, err: &errs, now: noon, format: formatTable}
			target, err := answers.Find(t.Context(), db, c.target)
			s.must(err)
			e, err := answers.Explain(t.Context(), db, &gateAndSite{stage: &s}, target, noon())
			s.must(err)
			s.must(a.showExplained(e))
			if errs.Len() > 0 {
				t.Errorf("it warns: %s", errs.String())
			}
			wantGolden(t, "explain/"+c.name, out.String())
			if strings.Contains(out.String(), "open sesame") {
				t.Error("it tells the password of the PCU")
			}
		})
	}
	kept, err := filepath.Glob("testdata/explain/*.golden")
	s.must(err)
	for _, name := range kept {
		if !wanted[strings.TrimSuffix(filepath.Base(name), ".golden")] {
			t.Errorf("%s is of no state", name)
		}
	}
}

// gateAndSite is Temporal with a worker, as far as explain asks it.
type gateAndSite struct {
	client.Client
	*stage
}

func (g *gateAndSite) ExecuteWorkflow(_ context.Context, _ client.StartWorkflowOptions, _ any, args ...any) (client.WorkflowRun, error) {
	q := args[0].(activities.WhyNotRequest)
	v := activities.WhyNotAnswer{WhyNotRequest: q, Do: true, Reason: "every check of the gate passes"}
	f := g.factsNow(q.Act)
	switch {
	case q.Act == policy.ActPenalize:
		v.Checks = append(v.Checks, g.ofSite()...)
	case q.Act == policy.ActOpen:
		v.Checks = append(v.Checks, policy.CheckAnswer{Name: "symptom", Decision: g.symptom(q.Type)})
	}
	v.Checks = append(v.Checks, policy.AskAll(g.p, f, noon())...)
	for _, c := range v.Checks {
		if !c.Do {
			v.Do, v.Check, v.Reason, v.Until = false, c.Name, c.Reason, c.Until
			break
		}
	}
	return answered{v: v}, nil
}

// symptom says whether what was last seen calls for an issue.
func (g *gateAndSite) symptom(typ string) policy.Decision {
	t, _ := issue.Lookup(typ)
	n, err := g.db.Node(g.Context(), host)
	g.must(err)
	p, err := g.db.PCU(g.Context(), 5)
	g.must(err)
	f := issue.Facts{PCU: issue.PCUFacts{Name: pcu, Site: home, Record: p.Record, Passes: p.OK, Reason: p.Reason},
		Node: policy.NodeFacts{Record: n.Record, Finding: g.facts.Node.Finding}}
	switch {
	case g.unopened != "":
		return policy.No(time.Time{}, "%s", g.unopened)
	case t.Call == nil:
		return policy.No(time.Time{}, "no sweep opens it: it opens when %s", t.Opens)
	}
	if why, open := t.Call(g.p, f, noon()); open {
		return policy.Yes(why)
	}
	return policy.No(time.Time{}, "what the last sweep saw does not call for it: it opens when %s", t.Opens)
}

// factsNow are those of the case, with what the gate would read in the store.
func (g *gateAndSite) factsNow(act policy.Act) policy.GateFacts {
	f := g.facts
	f.Act = act
	e, listed, err := g.db.Blacklisted(g.Context(), host, home, pcu, noon())
	g.must(err)
	if listed {
		f.Listed = policy.Listing{Listed: true, Downtime: e.Downtime, Until: e.Until, Reason: e.Reason}
	}
	row, err := g.db.Site(g.Context(), home)
	g.must(err)
	f.Exists, f.Site.Pending, f.Site.Level = f.Exists && !row.Gone, row.Pending, row.PenaltyLevel
	if row.Record.Status != policy.StatusDown {
		f.Site.Record = row.Record
	}
	n, err := g.db.Node(g.Context(), host)
	g.must(err)
	if n.ExemptUntil.After(f.NodeExemptUntil) {
		f.NodeExemptUntil = n.ExemptUntil
	}
	f.Exists = f.Exists && !n.Gone
	return f
}

// ofSite is what the workflow of the site has against a step up, beside the gate.
func (g *gateAndSite) ofSite() []policy.CheckAnswer {
	no := func(check string, until time.Time, why string) []policy.CheckAnswer {
		return []policy.CheckAnswer{{Name: check, Decision: policy.No(until, "%s", why)}}
	}
	switch p := g.people; {
	case p == nil:
		return nil
	case p.Pause != nil:
		return no("pause", p.Pause.Until, "it is paused: "+p.Pause.Reason)
	case p.Spared != nil:
		return no("spared", p.Spared.Until, p.Spared.String())
	case p.Level == policy.Top:
		return no("level", time.Time{}, fmt.Sprintf("level %d is the highest", policy.Top))
	case p.Wanted() <= p.Level:
		return no("hold", time.Time{}, "no open issue asks for more")
	}
	return nil
}

func (g *gateAndSite) DescribeWorkflowExecution(_ context.Context, id, _ string) (*workflowservice.DescribeWorkflowExecutionResponse, error) {
	if strings.HasPrefix(id, site.Type+"/") && g.people == nil {
		return nil, serviceerror.NewNotFound("no such workflow")
	}
	return &workflowservice.DescribeWorkflowExecutionResponse{
		WorkflowExecutionInfo: &workflowpb.WorkflowExecutionInfo{Execution: &commonpb.WorkflowExecution{WorkflowId: id}},
	}, nil
}

func (g *gateAndSite) QueryWorkflow(context.Context, string, string, string, ...any) (converter.EncodedValue, error) {
	p, err := converter.GetDefaultDataConverter().ToPayloads(g.people)
	return client.NewValue(p), err
}

type answered struct {
	client.WorkflowRun
	v activities.WhyNotAnswer
}

func (a answered) Get(_ context.Context, to any) error {
	*to.(*activities.WhyNotAnswer) = a.v
	return nil
}
func (answered) GetID() string    { return "why-not" }
func (answered) GetRunID() string { return "run" }
