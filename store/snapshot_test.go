package store

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/planetlab/monitor/plc"
	"github.com/planetlab/monitor/policy"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// snapshotOf is a snapshot of sites with five nodes, one PCU and two people each.
func snapshotOf(sites int) plc.Snapshot {
	snap := plc.Snapshot{Taken: noon, Unsent: map[string][]int{}}
	for s := 1; s <= sites; s++ {
		login := fmt.Sprintf("site%d", s)
		snap.Sites = append(snap.Sites, plc.Site{SiteID: s, LoginBase: login, Name: "University " + login,
			Enabled: true, DateCreated: noon.AddDate(-3, 0, 0)})
		snap.PCUs = append(snap.PCUs, plc.PCU{PCUID: s, SiteID: s, Hostname: "pcu." + login, Username: "admin",
			Password: "open sesame", Model: "APC"})
		for p := range 2 {
			snap.Persons = append(snap.Persons, plc.Person{PersonID: s*10 + p, Email: fmt.Sprintf("p%d@%s", p, login),
				Roles: []string{"tech", "pi"}, SiteIDs: []int{s}})
		}
		for n := range 5 {
			id := s*10 + n
			snap.Nodes = append(snap.Nodes, plc.Node{NodeID: id, Hostname: fmt.Sprintf("n%d.%s", n, login), SiteID: s,
				BootState: "boot", RunLevel: "boot",
				LastContact: noon, PCUIDs: []int{s}, Ports: []int{n + 1}})
			snap.Interfaces = append(snap.Interfaces, plc.Interface{NodeID: id, IP: fmt.Sprintf("10.0.%d.%d", s, n),
				Primary: true})
		}
	}
	return snap
}

// save saves a snapshot that must be taken.
func (s *Store) save(t *testing.T, snap plc.Snapshot) Saved {
	t.Helper()
	saved, err := s.SaveSnapshot(t.Context(), snap, false)
	if err != nil {
		t.Fatal(err)
	}
	return saved
}

func (s *Store) exec(t *testing.T, sql string, args ...any) {
	t.Helper()
	if _, err := s.pool.Exec(t.Context(), sql, args...); err != nil {
		t.Fatal(err)
	}
}

func (s *Store) node(t *testing.T, host string) Node {
	t.Helper()
	n, err := s.Node(t.Context(), host)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestSnapshots runs on one Postgres, emptied before each.
func TestSnapshots(t *testing.T) {
	s := open(t)
	for name, test := range map[string]func(*testing.T, *Store){
		"a snapshot that lost too much is doubted":               aSnapshotThatLostTooMuchIsDoubted,
		"a first snapshot must have something":                   aFirstSnapshotMustHaveSomething,
		"a row is gone after three snapshots in a row lacked it": aRowIsGoneAfterThreeSnapshotsInARowLackedIt,
		"a renamed site is the same site":                        aRenamedSiteIsTheSameSite,
		"a node that is renamed or moves is the same node":       aNodeThatIsRenamedOrMovesIsTheSameNode,
		"an order follows a rename":                              anOrderFollowsARename,
		"what was deleted and made anew is another":              whatWasDeletedAndMadeAnewIsAnother,
		"an odd row costs itself alone":                          anOddRowCostsItselfAlone,
		"what PLC saw of a node is kept":                         whatPLCSawOfANodeIsKept,
		"a quiet fleet writes nothing":                           aQuietFleetWritesNothing,
		"snapshots at once":                                      snapshotsAtOnce,
		"a late snapshot does not undo a newer one":              aLateSnapshotDoesNotUndoANewerOne,
		"an address that could not be sent stays":                anAddressThatCouldNotBeSentStays,
		"what the store cannot read is written anew":             whatTheStoreCannotReadIsWrittenAnew,
		"passwords are sealed anew only when they change":        passwordsAreSealedAnewOnlyWhenTheyChange,
		"people who left are not written to":                     peopleWhoLeftAreNotWrittenTo,
	} {
		t.Run(name, func(t *testing.T) {
			s.exec(t, `truncate site, node, pcu, person, snapshot, history, claim, blacklist, control`)
			test(t, s)
		})
	}
}

func aSnapshotThatLostTooMuchIsDoubted(t *testing.T, s *Store) {
	whole := snapshotOf(10) // 10 sites and PCUs, 50 nodes, 20 people
	s.save(t, whole)
	for name, c := range map[string]struct {
		lose func(*plc.Snapshot)
		want SnapshotDoubt
	}{
		"no sites":           {func(p *plc.Snapshot) { p.Sites = nil }, SnapshotDoubt{"sites", 10, 0, "PLC"}},
		"four of ten sites":  {func(p *plc.Snapshot) { p.Sites = p.Sites[4:] }, SnapshotDoubt{"sites", 10, 6, "PLC"}},
		"no nodes":           {func(p *plc.Snapshot) { p.Nodes = nil }, SnapshotDoubt{"nodes", 50, 0, "PLC"}},
		"a share of nodes":   {func(p *plc.Snapshot) { p.Nodes = p.Nodes[6:] }, SnapshotDoubt{"nodes", 50, 44, "PLC"}},
		"other nodes":        {func(p *plc.Snapshot) { renumber(p.Nodes) }, SnapshotDoubt{"nodes", 50, 0, "PLC"}},
		"no PCUs":            {func(p *plc.Snapshot) { p.PCUs = nil }, SnapshotDoubt{"pcus", 10, 0, "PLC"}},
		"half of the people": {func(p *plc.Snapshot) { p.Persons = p.Persons[10:] }, SnapshotDoubt{"persons", 20, 10, "PLC"}},
		"nobody":             {func(p *plc.Snapshot) { p.Persons = nil }, SnapshotDoubt{"persons", 20, 0, "PLC"}},
		"the addresses": {func(p *plc.Snapshot) {
			p.Interfaces = p.Interfaces[20:]
		}, SnapshotDoubt{"addresses", 50, 30, "PLC"}},
	} {
		less := whole
		less.Nodes = slices.Clone(whole.Nodes)
		c.lose(&less)
		_, err := s.SaveSnapshot(t.Context(), less, false)
		var doubt *SnapshotDoubt
		if !errors.As(err, &doubt) || *doubt != c.want {
			t.Errorf("%s: %v, want %+v", name, err, c.want)
		}
	}
	if saved := s.save(t, whole); saved.Rows != 1 {
		t.Errorf("a doubted snapshot left %d rows to mend", saved.Rows)
	}

	t.Run("a little at a time is as much in the end", func(t *testing.T) {
		less := whole
		less.Nodes = whole.Nodes[5:] // 10 %
		s.save(t, less)
		less.Nodes = whole.Nodes[10:]
		if _, err := s.SaveSnapshot(t.Context(), less, false); err == nil {
			t.Error("two times 10 % were believed")
		}
		s.save(t, whole)
	})
	t.Run("rows that PLC could not send are not lost", func(t *testing.T) {
		less := whole
		less.Nodes, less.Unsent = whole.Nodes[8:], map[string][]int{"nodes": {10, 11, 12, 13, 14, 20, 21, 22}}
		if saved := s.save(t, less); saved.Rows != 1 {
			t.Errorf("%d rows were written", saved.Rows)
		}
	})
	t.Run("an operator who believes it forgets what is not there at once", func(t *testing.T) {
		less := whole
		less.Sites, less.Nodes, less.PCUs, less.Persons = whole.Sites[:1], whole.Nodes[:5], whole.PCUs[:1],
			whole.Persons[:2]
		if _, err := s.SaveSnapshot(t.Context(), less, true); err != nil {
			t.Fatal(err)
		}
		nodes, _ := s.Nodes(t.Context(), 0, 100)
		sites, _ := s.Sites(t.Context())
		if len(nodes) != 5 || len(sites) != 1 {
			t.Errorf("%d nodes of %d sites are left", len(nodes), len(sites))
		}
	})
}

func renumber(nodes []plc.Node) {
	for i := range nodes {
		nodes[i].NodeID += 1000
	}
}

func aFirstSnapshotMustHaveSomething(t *testing.T, s *Store) {
	if _, err := s.SaveSnapshot(t.Context(), plc.Snapshot{}, false); err == nil {
		t.Error("nothing at all was taken")
	}
}

func aRowIsGoneAfterThreeSnapshotsInARowLackedIt(t *testing.T, s *Store) {
	whole := snapshotOf(1)
	s.save(t, whole)
	less := whole
	less.Nodes, less.PCUs = whole.Nodes[:4], nil // the last PCU, too
	lost := whole.Nodes[4].Hostname
	pcuGone := func() bool { p, _ := s.PCU(t.Context(), 1); return p.Gone }
	for _, snap := range []plc.Snapshot{less, less, whole, less, less} {
		s.save(t, snap)
		if s.node(t, lost).Gone || pcuGone() {
			t.Fatal("it is gone too soon")
		}
	}
	s.save(t, less)
	if !s.node(t, lost).Gone || !pcuGone() {
		t.Error("it is never gone")
	}
	if saved := s.save(t, less); saved.Rows != 1 {
		t.Errorf("what is gone is written again: %d rows", saved.Rows)
	}
	s.save(t, whole)
	if s.node(t, lost).Gone || pcuGone() {
		t.Error("it does not come back")
	}
	h, err := s.History(t.Context(), lost, 10)
	if err != nil || len(h) != 2 || h[0].Was != "gone" || h[1].Became != "gone" {
		t.Errorf("history is %+v, %v", h, err)
	}
}

func aRenamedSiteIsTheSameSite(t *testing.T, s *Store) {
	ctx := t.Context()
	snap := snapshotOf(2)
	s.save(t, snap)
	good := policy.Record{Status: policy.StatusGood, Changed: noon}
	if err := errors.Join(
		s.SaveChanges(ctx, []Change{{Kind: "site", Target: "site1", Record: good, Reason: "up"},
			{Kind: "node", Target: "n0.site1", Record: good, Reason: "up"}}, noon),
		s.SetPenaltyLevel(ctx, "site1", 2, noon),
		s.AddBlacklist(ctx, BlacklistEntry{Kind: "site", Target: "site1", Starts: noon, Owner: "me", Reason: "a move"}),
	); err != nil {
		t.Fatal(err)
	}
	s.exec(t,
		`insert into claim (kind, target, site, issue, run_id, key)
			values ('site disabled', '1', 'site1', 'site/site1', 'r', 'k')`)

	check := func(name, other string) {
		t.Helper()
		site, err := s.Site(ctx, name)
		if err != nil || site.SiteID != 1 || site.PenaltyLevel != 2 || site.Record.Status != policy.StatusGood ||
			site.LastRaise.IsZero() {
			t.Errorf("the site is %+v, %v", site, err)
		}
		if byID, err := s.SiteByID(ctx, 1); err != nil || byID.LoginBase != name {
			t.Errorf("by its id it is %+v, %v", byID, err)
		}
		if h, _ := s.History(ctx, name, 10); !slices.ContainsFunc(h, func(p Passage) bool { return p.Reason == "up" }) {
			t.Errorf("its history is %+v", h)
		}
		if _, on, _ := s.Blacklisted(ctx, "", name, "", noon.Add(time.Hour)); !on {
			t.Error("it is off the blacklist")
		}
		if _, on, _ := s.Blacklisted(ctx, "", other, "", noon.Add(time.Hour)); on {
			t.Error("the other one is on the blacklist")
		}
		if nodes, _ := s.NodesOfSite(ctx, name); len(nodes) != 5 || nodes[0].NodeID != 10 {
			t.Errorf("its nodes are %+v", nodes)
		}
		if to, _, _ := s.Contacts(ctx, name, []string{"tech"}, noon); len(to) != 2 || to[0].Email != "p0@site1" {
			t.Errorf("its people are %+v", to)
		}
		var claims int
		if err := s.pool.QueryRow(ctx, `select count(*) from claim where site = $1`,
			name).Scan(&claims); err != nil || claims != 1 {
			t.Errorf("%d claims, %v", claims, err)
		}
		if pcu, _ := s.PCU(ctx, 1); pcu.Site != name {
			t.Errorf("its PCU is at %s", pcu.Site)
		}
	}
	snap.Sites = slices.Clone(snap.Sites)
	snap.Sites[0].LoginBase = "pton"
	s.save(t, snap)
	check("pton", "site2")
	if saved := s.save(t, snap); saved.Rows != 1 {
		t.Errorf("the next snapshot writes %d rows", saved.Rows)
	}
	snap.Sites[0].LoginBase, snap.Sites[1].LoginBase = "site2", "pton" // they change names
	s.save(t, snap)
	check("site2", "pton")
	if saved := s.save(t, snap); saved.Rows != 1 {
		t.Errorf("the next snapshot writes %d rows", saved.Rows)
	}
}

// What operators have ordered of a site or a PCU holds under its next name: also where two of them change names.
func anOrderFollowsARename(t *testing.T, s *Store) {
	ctx := t.Context()
	snap := snapshotOf(2)
	s.save(t, snap)
	if err := errors.Join(
		s.SetControl(ctx, Control{Name: ControlOf(ControlMode, PartSite, "site1"), Value: "observe", By: "ann"}),
		s.SetControl(ctx, Control{Name: ControlOf(ControlMode, PartSite, "pton"), Value: "act", By: "of an old site"}),
		s.AddBlacklist(ctx, BlacklistEntry{Kind: "pcu", Target: "pcu.site1", Starts: noon, Reason: "it burns"}),
	); err != nil {
		t.Fatal(err)
	}
	check := func(site, otherSite, pcu, otherPCU string) {
		t.Helper()
		controls, err := s.Controls(ctx)
		mode, _ := controls.Mode(policy.ModeAct, site, "")
		other, _ := controls.Mode(policy.ModeAct, otherSite, "")
		if err != nil || mode != policy.ModeObserve || other != policy.ModeAct {
			t.Errorf("%s is in mode %s, %s in mode %s, %v", site, mode, otherSite, other, err)
		}
		if _, on, err := s.Blacklisted(ctx, "", "", pcu, noon.Add(time.Hour)); !on {
			t.Errorf("%s is off the blacklist, %v", pcu, err)
		}
		if _, on, err := s.Blacklisted(ctx, "", "", otherPCU, noon.Add(time.Hour)); on {
			t.Errorf("%s is on the blacklist, %v", otherPCU, err)
		}
	}
	snap.Sites, snap.PCUs = slices.Clone(snap.Sites), slices.Clone(snap.PCUs)
	snap.Sites[0].LoginBase, snap.PCUs[0].Hostname = "pton", "power.pton"
	s.save(t, snap)
	check("pton", "site2", "power.pton", "pcu.site2")
	snap.Sites[0].LoginBase, snap.Sites[1].LoginBase = "site2", "pton"
	snap.PCUs[0].Hostname, snap.PCUs[1].Hostname = "pcu.site2", "power.pton"
	s.save(t, snap)
	check("site2", "pton", "pcu.site2", "power.pton")
	if saved := s.save(t, snap); saved.Rows != 1 {
		t.Errorf("the next snapshot writes %d rows", saved.Rows)
	}
}

func aNodeThatIsRenamedOrMovesIsTheSameNode(t *testing.T, s *Store) {
	ctx := t.Context()
	snap := snapshotOf(2)
	s.save(t, snap)
	down := policy.Record{Status: policy.StatusDown, Changed: noon}
	if err := errors.Join(
		s.SaveChanges(ctx, []Change{{Kind: "node", Target: "n0.site1", Record: down, Reason: "silent"}}, noon),
		s.AddBlacklist(ctx, BlacklistEntry{Kind: "node", Target: "n0.site1", Starts: noon, Owner: "me",
			Reason: "its disk has data"}),
	); err != nil {
		t.Fatal(err)
	}
	snap.Nodes = slices.Clone(snap.Nodes)
	// with its neighbour
	snap.Nodes[0].Hostname, snap.Nodes[1].Hostname = snap.Nodes[1].Hostname, snap.Nodes[0].Hostname
	snap.Nodes[0].SiteID = 2
	s.save(t, snap)
	n := s.node(t, "n1.site1")
	if n.NodeID != 10 || n.Site != "site2" || n.Record.Status != policy.StatusDown {
		t.Errorf("the node is %+v", n)
	}
	if _, on, _ := s.Blacklisted(ctx, "n1.site1", "", "", noon.Add(time.Hour)); !on {
		t.Error("it is off the blacklist")
	}
	if other := s.node(t, "n0.site1"); other.NodeID != 11 || other.Site != "site1" {
		t.Errorf("its neighbour is %+v", other)
	}
	h, _ := s.History(ctx, "n1.site1", 10)
	if len(h) != 3 || h[0].Was != "site1" || h[0].Became != "site2" || h[1].Was != "n0.site1" ||
		h[2].Reason != "silent" {
		t.Errorf("history is %+v", h)
	}
}

func whatWasDeletedAndMadeAnewIsAnother(t *testing.T, s *Store) {
	snap := snapshotOf(2)
	s.save(t, snap)
	if err := s.SetPenaltyLevel(t.Context(), "site1", 2, noon); err != nil {
		t.Fatal(err)
	}
	snap.Sites = slices.Clone(snap.Sites)
	snap.Nodes = slices.Concat(snap.Nodes[5:], []plc.Node{{NodeID: 90, Hostname: "n0.site1", SiteID: 9}})
	snap.Sites[0].SiteID = 9
	if _, err := s.SaveSnapshot(t.Context(), snap, true); err != nil {
		t.Fatal(err)
	}
	site, err := s.Site(t.Context(), "site1")
	if err != nil || site.SiteID != 9 || site.PenaltyLevel != 0 || site.Gone {
		t.Errorf("the site is %+v, %v", site, err)
	}
	if nodes, _ := s.NodesOfSite(t.Context(), "site1"); len(nodes) != 1 || nodes[0].NodeID != 90 {
		t.Errorf("its nodes are %+v", nodes)
	}
}

func anOddRowCostsItselfAlone(t *testing.T, s *Store) {
	s.exec(t, `alter table node add constraint nocurse check (model <> 'cursed')`)
	long := strings.Repeat("x", 5000)
	for name, c := range map[string]struct {
		spoil func(*plc.Snapshot)
		says  string
	}{
		"NUL in a hostname": {func(p *plc.Snapshot) {
			p.Nodes[3].Hostname = "n3\x00.site1"
		}, "nodes 13: its name is"},
		"a hostname that no workflow can have": {func(p *plc.Snapshot) {
			p.Nodes[3].Hostname = "plan\u00e9tlab.site1"
		}, `nodes 13: its name is "plan\u00e9tlab.site1", and names`},
		"a hostname that reads as another": {func(p *plc.Snapshot) {
			p.Nodes[3].Hostname = "n3\u202e.site1"
		}, "nodes 13: its name is"},
		"a hostname without end": {func(p *plc.Snapshot) {
			p.Nodes[3].Hostname = long
		}, "nodes 13: its name has 5000"},
		"no hostname": {func(p *plc.Snapshot) {
			p.Nodes[3].Hostname = ""
		}, "nodes 13: it has no name"},
		"somebody else's hostname": {func(p *plc.Snapshot) {
			p.Nodes[3].Hostname = p.Nodes[0].Hostname
		}, "nodes 13: nodes 10 has its name"},
		"its hostname at another": {func(p *plc.Snapshot) {
			p.Nodes[0].Hostname = p.Nodes[3].Hostname
		}, "nodes 10: nodes 13 has its name"},
		"a node twice": {func(p *plc.Snapshot) {
			p.Nodes = append(p.Nodes, p.Nodes[3])
		}, "nodes 13: it came twice"},
		"a site that nobody knows": {func(p *plc.Snapshot) {
			p.Nodes[3].SiteID = 77
		}, "nodes 13: its site 77 is not known"},
		"an id that fits nowhere": {func(p *plc.Snapshot) {
			p.Nodes[3].NodeID = 1 << 40
		}, "nodes 1099511627776: it has no proper id"},
		"an outlet that fits nowhere": {func(p *plc.Snapshot) {
			p.Nodes[3].Ports = []int{1 << 40}
		}, "nodes 13: outlet"},
		"a time that fits nowhere": {func(p *plc.Snapshot) {
			p.Nodes[3].LastBoot = time.Unix(1<<60, 0)
		}, "nodes 13: last_boot is no time"},
		"NUL in a model": {func(p *plc.Snapshot) {
			p.Nodes[3].Model = "rack\x00server"
		}, "nodes 13: model"},
		"what is no UTF-8": {func(p *plc.Snapshot) {
			p.Sites[0].Name = "Universit\xe9"
		}, "sites 1: name"},
		"a name without end": {func(p *plc.Snapshot) { p.Sites[0].Name = long }, "sites 1: name"},
		"a login_base of two sites": {func(p *plc.Snapshot) {
			p.Sites[1].LoginBase = "site1"
		}, "sites 2: sites 1 has its name"},
		"an address with a line end": {func(p *plc.Snapshot) {
			p.Persons[0].Email = "a@site1\nBcc: all@site2"
		}, "persons 10: its name"},
		"NUL in a username": {func(p *plc.Snapshot) {
			p.PCUs[0].Username = "adm\x00in"
		}, "pcus 1: username"},
		"a value that Postgres alone dislikes": {func(p *plc.Snapshot) { p.Nodes[3].Model = "cursed" }, "nodes 13: "},
	} {
		t.Run(name, func(t *testing.T) {
			s.exec(t, `truncate site, node, pcu, person, snapshot`)
			s.save(t, snapshotOf(2))
			snap := snapshotOf(2)
			snap.Nodes[9].RunLevel = "failboot" // what else happened is taken all the same
			c.spoil(&snap)
			saved := s.save(t, snap)
			if !slices.ContainsFunc(saved.Odd, func(o string) bool { return strings.HasPrefix(o, c.says) }) {
				t.Errorf("it says %q", saved.Odd)
			}
			if n := s.node(t, "n4.site2"); n.RunLevel != "failboot" {
				t.Errorf("the last row is %+v", n)
			}
			if n := s.node(t, "n3.site1"); n.NodeID != 13 || n.Site != "site1" || n.Gone {
				t.Errorf("the node is %+v", n)
			}
			if to, _, _ := s.Contacts(t.Context(), "site1", []string{"pi"}, noon); len(to) != 2 ||
				to[0].Email != "p0@site1" {
				t.Errorf("people are %v", to)
			}
		})
	}
}

func whatPLCSawOfANodeIsKept(t *testing.T, s *Store) {
	snap := snapshotOf(1)
	snap.Nodes[0].PCUIDs, snap.Nodes[0].Ports = []int{1, 7, 8}, []int{3, 2} // a third PCU without a port
	at := func(h int) time.Time { return noon.Add(time.Duration(h) * time.Hour) }
	inPLC := &snap.Nodes[0]
	inPLC.LastBoot, inPLC.LastDownload, inPLC.LastPCUReboot, inPLC.LastPCUConfirmation = at(1), at(2), at(3), at(4)
	s.save(t, snap)
	n := s.node(t, "n0.site1")
	if !slices.Equal(n.Feeds, []Feed{{1, 3}, {7, 2}}) || n.PCUID != 1 || n.Outlet != 3 {
		t.Errorf("feeds are %+v", n)
	}
	if n.RunLevel != "boot" || !n.LastBoot.Equal(at(1)) || !n.LastDownload.Equal(at(2)) ||
		!n.LastPCUReboot.Equal(at(3)) || !n.LastPCUConfirmation.Equal(at(4)) || !n.LastContact.Equal(noon) {
		t.Errorf("facts are %+v", n)
	}
	if saved := s.save(t, snap); saved.Rows != 1 {
		t.Errorf("the same again writes %d rows", saved.Rows)
	}
	snap.Nodes = slices.Clone(snap.Nodes)
	snap.Nodes[0].PCUIDs = nil
	s.save(t, snap)
	if n := s.node(t, "n0.site1"); len(n.Feeds) != 0 || n.PCUID != 0 || n.Outlet != 0 {
		t.Errorf("feeds are %+v", n)
	}
}

func aQuietFleetWritesNothing(t *testing.T, s *Store) {
	snap := snapshotOf(2000) // 10,000 nodes
	for i := range snap.Nodes {
		snap.Nodes[i].NodeID += 100000
		snap.Interfaces[i].NodeID += 100000
	}
	s.save(t, snap)
	s.exec(t, `update node set state = 'BOOT'`)
	versions := func() (newest string) {
		t.Helper()
		err := s.pool.QueryRow(t.Context(),
			`select string_agg(x, ' ') from (select max(xmin::text::bigint)::text x from node
			union all select max(xmin::text::bigint)::text from site
			union all select max(xmin::text::bigint)::text from pcu
			union all select max(xmin::text::bigint)::text from person) v`).Scan(&newest)
		if err != nil {
			t.Fatal(err)
		}
		return newest
	}
	before := versions()
	for i := range snap.Nodes {
		snap.Nodes[i].LastContact = noon.Add(15 * time.Minute) // each node's heart beats on
	}
	snap.Taken = noon.Add(15 * time.Minute)
	begun := time.Now()
	if saved := s.save(t, snap); saved.Rows != 1 || versions() != before {
		t.Errorf("a quiet snapshot wrote %d rows", saved.Rows)
	}
	t.Logf("a quiet snapshot of 10,000 nodes took %s", time.Since(begun))
	snap.Nodes[7].BootState = "disabled"
	if saved := s.save(t, snap); saved.Rows != 2 || s.node(t, snap.Nodes[7].Hostname).BootState != "disabled" {
		t.Errorf("a change of one node wrote %d rows", saved.Rows)
	}
	host := snap.Nodes[8].Hostname
	s.exec(t, `update node set state = 'DOWN' where hostname = $1`, host)
	if saved := s.save(t, snap); saved.Rows != 2 || !s.node(t, host).LastContact.Equal(snap.Nodes[8].LastContact) {
		t.Errorf("the heartbeat of a silent node: %d rows, %s", saved.Rows, s.node(t, host).LastContact)
	}
	snap.Nodes[9].LastContact = noon.Add(7 * time.Hour)
	if saved := s.save(t, snap); saved.Rows != 2 {
		t.Errorf("a heartbeat of hours later: %d rows", saved.Rows)
	}
}

func snapshotsAtOnce(t *testing.T, s *Store) {
	whole := snapshotOf(20)
	s.save(t, whole)
	var wg sync.WaitGroup
	for worker := range 4 {
		wg.Go(func() {
			for round := range 8 {
				snap := whole
				snap.Nodes = slices.Clone(whole.Nodes)
				for i := range snap.Nodes {
					snap.Nodes[i].Model = fmt.Sprintf("model %d/%d", worker, round)
				}
				if worker%2 == 1 {
					slices.Reverse(snap.Nodes)
				}
				if _, err := s.SaveSnapshot(t.Context(), snap, false); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

func aLateSnapshotDoesNotUndoANewerOne(t *testing.T, s *Store) {
	old, now := snapshotOf(1), snapshotOf(1)
	now.Taken = noon.Add(time.Minute)
	now.Nodes[0].BootState = "disabled"
	s.save(t, now)
	if saved := s.save(t, old); !saved.Older || s.node(t, "n0.site1").BootState != "disabled" {
		t.Errorf("%+v, and the node is %s", saved, s.node(t, "n0.site1").BootState)
	}
	if taken, err := s.SnapshotTaken(t.Context()); err != nil || !taken.Equal(now.Taken) {
		t.Errorf("taken %s, %v", taken, err)
	}
	wrong := now
	wrong.Taken = time.Now().AddDate(4, 0, 0) // by a clock that is soon set right
	s.save(t, wrong)
	if taken, err := s.SnapshotTaken(t.Context()); err != nil || !taken.IsZero() {
		t.Errorf("taken %s, %v: nobody would read PLC for four years", taken, err)
	}
	if saved := s.save(t, old); saved.Older {
		t.Error("nothing is taken any more for four years")
	}
}

func anAddressThatCouldNotBeSentStays(t *testing.T, s *Store) {
	snap := snapshotOf(1)
	s.save(t, snap)
	snap.Interfaces, snap.Unsent = snap.Interfaces[1:], map[string][]int{"interfaces": {1}}
	if s.save(t, snap); s.node(t, "n0.site1").IP != "10.0.1.0" {
		t.Errorf("it is %q", s.node(t, "n0.site1").IP)
	}
	snap.Unsent = nil
	if s.save(t, snap); s.node(t, "n0.site1").IP != "" {
		t.Error("an interface that was taken away stays")
	}
}

func whatTheStoreCannotReadIsWrittenAnew(t *testing.T, s *Store) {
	snap := snapshotOf(1)
	s.save(t, snap)
	s.exec(t, `update site set created = 'infinity'`)
	s.exec(t, `update node set last_contact = '-infinity'`)
	if saved := s.save(t, snap); saved.Rows != 7 || !s.node(t, "n0.site1").LastContact.Equal(noon) {
		t.Errorf("%d rows were written", saved.Rows)
	}
}

func passwordsAreSealedAnewOnlyWhenTheyChange(t *testing.T, s *Store) {
	snap := snapshotOf(1)
	s.save(t, snap)
	sealed := func() (raw []byte) {
		if err := s.pool.QueryRow(t.Context(), `select password from pcu`).Scan(&raw); err != nil {
			t.Fatal(err)
		}
		return raw
	}
	first := sealed()
	if s.save(t, snap); !bytes.Equal(sealed(), first) {
		t.Error("the same password was sealed again")
	}
	snap.PCUs[0].Password = "another"
	s.save(t, snap)
	password := func() (plc.Secret, error) {
		p, err := s.PCU(t.Context(), 1)
		if err != nil {
			t.Fatal(err)
		}
		return s.PCUPassword(t.Context(), p)
	}
	if p, err := password(); err != nil || p.Reveal() != "another" {
		t.Errorf("it reads %q, %v", p.Reveal(), err)
	}
	s.exec(t, `update pcu set password = $1`, []byte("sealed with a key that nobody has any more"))
	s.save(t, snap)
	if p, err := password(); err != nil || p.Reveal() != "another" {
		t.Errorf("after a change of key it reads %q, %v", p.Reveal(), err)
	}
	today, err := newSealer(bytes.Repeat([]byte{9}, 32), bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	before := sealed()
	s.seal = today
	if p, err := password(); err != nil || p.Reveal() != "another" {
		t.Errorf("with the key of before among the old ones it reads %q, %v", p.Reveal(), err)
	}
	s.save(t, snap)
	if bytes.Equal(sealed(), before) {
		t.Error("a sweep leaves it sealed with the old key")
	}
	if s.seal, err = newSealer(bytes.Repeat([]byte{9}, 32)); err != nil {
		t.Fatal(err)
	}
	if p, err := password(); err != nil || p.Reveal() != "another" {
		t.Errorf("without the old key it reads %q, %v", p.Reveal(), err)
	}
}

func peopleWhoLeftAreNotWrittenTo(t *testing.T, s *Store) {
	snap := snapshotOf(1)
	s.save(t, snap)
	snap.Persons = snap.Persons[1:]
	snap.Persons[0].Roles = []string{"user"}
	s.save(t, snap)
	if to, _, err := s.Contacts(t.Context(), "site1", []string{"tech", "pi", "user"}, noon); err != nil ||
		len(to) != 1 || to[0].Email != "p1@site1" || !slices.Equal(to[0].Roles, []string{"user"}) {
		t.Errorf("people are %+v, %v", to, err)
	}
}
