package store

import (
	"slices"
	"testing"

	"github.com/planetlab/monitor/lint"
)

func TestWhatRulesAskIsKept(t *testing.T) {
	s := open(t)
	snap := snapshotOf(2)
	s.save(t, snap)
	f, bad, err := s.LintFleet(t.Context())
	if err != nil || len(bad) > 0 || len(f.Nodes) != 10 || len(f.PCUs) != 2 || len(f.Sites) != 2 || len(f.Persons) != 4 {
		t.Fatalf("%+v, %v, %v", f, bad, err)
	}
	n, p := f.Nodes[0], f.PCUs[0]
	if n.Host != "n0.site1" || n.Site != "site1" || n.IP != "10.0.1.0" || n.NoPrimary || !slices.Equal(n.Feeds, []lint.Feed{{PCUID: 1, Outlet: 1}}) {
		t.Errorf("a node: %+v", n)
	}
	if p.Name != "pcu.site1" || p.Model != "APC" || !p.HasPassword || !f.PasswordsKnown {
		t.Errorf("a PCU: %+v, passwords known: %t", p, f.PasswordsKnown)
	}
	if f.Sites[0].Login != "site1" || f.Persons[0].Site != "site1" || !slices.Equal(f.Persons[0].Roles, []string{"tech", "pi"}) {
		t.Errorf("a site and its people: %+v, %+v", f.Sites[0], f.Persons[0])
	}
	lacks := func() (hosts []string) {
		t.Helper()
		f, _, err := s.LintFleet(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range f.Nodes {
			if n.NoPrimary {
				hosts = append(hosts, n.Host)
			}
		}
		return hosts
	}
	t.Run("an interface that PLC cannot send may be the primary one", func(t *testing.T) {
		snap.Interfaces = snap.Interfaces[1:]
		snap.Unsent["interfaces"] = []int{10}
		s.save(t, snap)
		if got := lacks(); len(got) > 0 {
			t.Errorf("%v have none", got)
		}
	})
	t.Run("one that is not primary is none", func(t *testing.T) {
		snap.Interfaces[0].Primary = false
		snap.Unsent = map[string][]int{}
		s.save(t, snap)
		if got := lacks(); !slices.Equal(got, []string{"n0.site1", "n1.site1"}) {
			t.Errorf("%v have none", got)
		}
	})
	t.Run("it is mended", func(t *testing.T) {
		s.save(t, snapshotOf(2))
		if got := lacks(); len(got) > 0 {
			t.Errorf("%v have none", got)
		}
	})
	t.Run("a name that leads elsewhere is what the last look found", func(t *testing.T) {
		s.exec(t, `update node set detail = '{"dns": "mismatch"}' where hostname = 'n3.site2'`)
		f, _, err := s.LintFleet(t.Context())
		i := slices.IndexFunc(f.Nodes, func(n lint.Node) bool { return n.DNS == lint.DNSMismatch })
		if err != nil || i < 0 || f.Nodes[i].Host != "n3.site2" {
			t.Errorf("%d, %v", i, err)
		}
	})
}
