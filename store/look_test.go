package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/planetlab/monitor/plc"
	"github.com/planetlab/monitor/policy"
)

// fleetOfSize is a store with so many nodes at sites of ten, and a PCU a site.
func fleetOfSize(t *testing.T, nodes int) *Store {
	t.Helper()
	if testing.Short() {
		t.Skip("left out by -short: it fills a store with a whole fleet; `make test` runs it")
	}
	s := open(t)
	snap := plc.Snapshot{Taken: time.Now()}
	for i := range nodes {
		site := 1 + i/10
		if i%10 == 0 {
			snap.Sites = append(snap.Sites, plc.Site{SiteID: site, LoginBase: fmt.Sprintf("s%d", site), Enabled: true})
			snap.PCUs = append(snap.PCUs, plc.PCU{PCUID: site, SiteID: site,
				Hostname: fmt.Sprintf("pcu%d.example", site)})
		}
		snap.Nodes = append(snap.Nodes, plc.Node{NodeID: i + 1, Hostname: fmt.Sprintf("n%d.example", i+1), SiteID: site,
			BootState: "boot"})
	}
	if _, err := s.SaveSnapshot(t.Context(), snap, false); err != nil {
		t.Fatal(err)
	}
	return s
}

// written counts the versions of rows that were written by do.
func (s *Store) written(t *testing.T, do func()) int {
	t.Helper()
	var before int64
	if err := s.pool.QueryRow(t.Context(), `select pg_current_xact_id()::text::bigint`).Scan(&before); err != nil {
		t.Fatal(err)
	}
	do()
	total := 0
	for _, table := range []string{"node", "pcu", "site", "history", "seen", "sweep", "action", "issue"} {
		var n int
		if err := s.pool.QueryRow(t.Context(), `select count(*) from `+table+` where xmin::text::bigint > $1`,
			before).Scan(&n); err != nil {
			t.Fatal(err)
		}
		total += n
	}
	return total
}

func looks(n int, at time.Time, up time.Duration) []NodeLook {
	var out []NodeLook
	for i := range n {
		out = append(out, NodeLook{Host: fmt.Sprintf("n%d.example", i+1), State: policy.StateBoot,
			Category: policy.CategoryProd, Reason: "boot", At: at, Uptime: up,
			Detail: []byte(`{"ports": {"22": "open"}}`)})
	}
	return out
}

func TestAQuietFleetIsNotWritten(t *testing.T) {
	const nodes = 300
	s, ctx, start := fleetOfSize(t, nodes), context.Background(), time.Now()
	save := func(l []NodeLook) {
		t.Helper()
		if err := s.SaveNodeLooks(ctx, l); err != nil {
			t.Fatal(err)
		}
	}
	sweep := func(l []NodeLook) func() {
		return func() {
			save(l)
			if err := s.SaveSeen(ctx, Seen{Kind: "node", After: 0, Upto: nodes, At: l[0].At}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n := s.written(t, sweep(looks(nodes, start, time.Hour))); n != 2*nodes+1 {
		t.Errorf("the first sweep writes %d rows, want each node, its history, and the batch", n)
	}
	later := start.Add(30 * time.Minute)
	again := looks(nodes, later, 90*time.Minute+time.Second)
	if n := s.written(t, sweep(again)); n != 1 {
		t.Errorf("a sweep without changes writes %d rows, want that of the batch", n)
	}
	n, err := s.Node(ctx, "n7.example")
	if err != nil || !n.SeenAt.Equal(later.Truncate(time.Microsecond)) || n.Uptime < 89*time.Minute ||
		n.Uptime > 91*time.Minute {
		t.Errorf("it was seen at %s (%s), and is up for %s, %v", n.SeenAt, later, n.Uptime, err)
	}
	again = looks(nodes, later.Add(time.Minute), 91*time.Minute)
	again[6].State, again[6].Category, again[6].Reason, again[6].Silent, again[6].Uptime = policy.StateDown,
		policy.CategoryError, "no ssh: timeout", true, 0
	again[7].Uptime = 5 * time.Second // it was rebooted, and looks the same
	if n := s.written(t, sweep(again)); n != 4 {
		t.Errorf("two changes write %d rows, want two nodes, one history and the batch", n)
	}
	silent := again[6]
	silent.At = silent.At.Add(time.Minute)
	if n := s.written(t, func() { save([]NodeLook{silent}) }); n != 0 {
		t.Errorf("a node that stays silent is written %d times", n)
	}
	if n, err := s.Node(ctx, "n7.example"); err != nil || !n.FirstSilent.Equal(again[6].At.Truncate(time.Microsecond)) {
		t.Errorf("it is silent since %s, want %s, %v", n.FirstSilent, again[6].At, err)
	}
	back := looks(7, silent.At.Add(time.Minute), time.Minute)[6:]
	save(back)
	if n, err := s.Node(ctx, "n7.example"); err != nil || !n.FirstSilent.IsZero() {
		t.Errorf("it answers and is silent since %s, %v", n.FirstSilent, err)
	}
	save([]NodeLook{silent}) // a late answer of an older look
	if n, err := s.Node(ctx, "n7.example"); err != nil || n.State != policy.StateBoot {
		t.Errorf("an older look makes it %s, %v", n.State, err)
	}
}

func TestABadRowCostsThatRow(t *testing.T) {
	s, ctx := fleetOfSize(t, 100), context.Background()
	list := looks(100, time.Now(), time.Hour)
	list[41].Reason = "a NUL \x00 in it"
	list[73].Detail = []byte(`{"a": "\u0000"}`)
	err := s.SaveNodeLooks(ctx, list)
	var refused RefusedRows
	if !errors.As(err, &refused) || len(refused) != 2 || refused[0].Target != "n42.example" &&
		refused[1].Target != "n42.example" {
		t.Fatalf("answered %v", err)
	}
	nodes, err := s.Nodes(ctx, 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range nodes {
		if bad := n.NodeID == 42 || n.NodeID == 74; (n.State == "") != bad {
			t.Errorf("%s is %q", n.Hostname, n.State)
		}
	}
	if err := s.SavePCULooks(ctx, []PCULook{{PCUID: 1, At: time.Now(), Reason: "\xff"},
		{PCUID: 2, At: time.Now(), Reason: "fine"}}); !errors.As(err, &refused) || len(refused) != 1 {
		t.Errorf("PCUs: %v", err)
	}
	change := func(kind, target, reason string) Change {
		return Change{Kind: kind, Target: target,
			Record: policy.Record{Status: policy.StatusOffline, Changed: time.Now()}, Reason: reason}
	}
	err = s.SaveChanges(ctx, []Change{change("node", "n1.example", "\x00"), change("node", "n2.example", "silent"),
		change("site", "s1", "0 up"), change("pcu", "3", "\x00")}, time.Now())
	if !errors.As(err, &refused) || len(refused) != 2 {
		t.Errorf("changes: %v", err)
	}
	if n, _ := s.Node(ctx, "n2.example"); n.Record.Status != policy.StatusOffline || n.BadSince.IsZero() {
		t.Errorf("it is %+v, bad since %s", n.Record, n.BadSince)
	}
}

func TestOneUnreadableRowIsLeftOut(t *testing.T) {
	s, ctx := fleetOfSize(t, 30), context.Background()
	for _, sql := range []string{`update site set created = 'infinity' where login_base = 's2'`,
		`update node set changed = '-infinity' where node_id = 5`} {
		if _, err := s.pool.Exec(ctx, sql); err != nil {
			t.Fatal(err)
		}
	}
	var nodes []Node
	f, err := s.ReadFleet(ctx, time.Now(), func(n Node) { nodes = append(nodes, n) })
	if err != nil || len(f.Sites) != 2 || len(nodes) != 29 || len(f.PCUs) != 3 || len(f.Unreadable) != 2 ||
		!strings.Contains(f.Unreadable[0], `row s2 2: created`) {
		t.Errorf("read %d sites, %d nodes, %d PCUs, not %q, %v", len(f.Sites), len(nodes), len(f.PCUs),
			f.Unreadable, err)
	}
	list, bad, err := s.ReadTargets(ctx, 0, 10)
	if err != nil || len(list) != 9 || len(bad) != 1 {
		t.Errorf("a batch has %d nodes, not %q, %v", len(list), bad, err)
	}
}

func TestWhatASweepSaw(t *testing.T) {
	s, ctx, start := fleetOfSize(t, 40), context.Background(), time.Now().Add(-time.Hour)
	if err := s.SaveNodeLooks(ctx, looks(39, start, time.Hour)); err != nil { // the last was never looked at
		t.Fatal(err)
	}
	seen := func(after, upto int64, missed ...int) {
		t.Helper()
		if err := s.SaveSeen(ctx, Seen{Kind: "node", After: after, Upto: upto, At: time.Now(),
			Missed: missed}); err != nil {
			t.Fatal(err)
		}
	}
	seen(0, 10)
	seen(10, 20, 12)
	seen(5, 15, 7) // cut anew: in place of both
	seen(30, 40)
	var nodes []Node
	if _, err := s.ReadFleet(ctx, start.Add(time.Minute), func(n Node) {
		nodes = append(nodes, n)
	}); err != nil || len(nodes) != 40 {
		t.Fatal(len(nodes), err)
	}
	for _, n := range nodes {
		id := n.NodeID
		want := id > 5 && id <= 15 && id != 7 || id > 30 && id <= 39
		if got := !n.SeenAt.IsZero(); got != want {
			t.Errorf("node %d was seen: %v", id, got)
		}
		one, err := s.Node(ctx, n.Hostname)
		if got := one.SeenAt.After(start.Add(time.Minute)); err != nil || id != 40 && got != want {
			t.Errorf("by itself node %d was seen at %s, %v", id, one.SeenAt, err)
		}
	}
}

func TestSinceWhenSomethingIsBad(t *testing.T) {
	s, ctx, now := fleetOfSize(t, 10), context.Background(), time.Now().Truncate(time.Microsecond)
	became := func(status policy.Status, at time.Time) time.Time {
		t.Helper()
		if err := s.SaveChanges(ctx, []Change{
			{Kind: "node", Target: "n1.example", Record: policy.Record{Status: status, Changed: at}},
		}, now); err != nil {
			t.Fatal(err)
		}
		n, err := s.Node(ctx, "n1.example")
		if err != nil {
			t.Fatal(err)
		}
		return n.BadSince
	}
	if at := became(policy.StatusGood, now); !at.IsZero() {
		t.Errorf("a good one is bad since %s", at)
	}
	if at := became(policy.StatusOffline, now); !at.Equal(now) {
		t.Errorf("bad since %s, want %s", at, now)
	}
	if at := became(policy.StatusFailboot, now.Add(time.Hour)); !at.Equal(now) {
		t.Errorf("another way to be bad makes it bad since %s", at)
	}
	if at := became(policy.StatusDisabled, now.Add(2*time.Hour)); !at.IsZero() {
		t.Errorf("a disabled one is bad since %s", at)
	}
}

// An operator's own fact that changes is a line of the node's history; one that is the same, or was not asked, is none.
func TestAFactThatChangesIsHistory(t *testing.T) {
	s := fleetOfSize(t, 1)
	at := time.Now().Add(-time.Hour)
	look := func(own string) {
		t.Helper()
		at = at.Add(time.Minute)
		err := s.SaveNodeLooks(t.Context(), []NodeLook{{Host: "n1.example", State: policy.StateBoot,
			Category: policy.CategoryProd, At: at, Detail: []byte(`{"inside":{"kernel":"x"` + own + `}}`)}})
		if err != nil {
			t.Fatal(err)
		}
	}
	look("")
	look(`,"own":{"disk":"40%","fan":"ok"}`)
	look(`,"own":{"disk":"40%","fan":"ok"}`)
	look(`,"own":{"disk":"90%"}`)
	look("")
	list, err := s.History(t.Context(), "n1.example", 100)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, p := range list {
		if p.Kind == "fact" {
			got[p.Reason] = p.Was + " to " + p.Became
		}
	}
	if len(got) != 2 || got["disk"] != "40% to 90%" || got["fan"] != "ok to " {
		t.Errorf("the history of its facts is %q", got)
	}
}
