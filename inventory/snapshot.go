package inventory

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/planetlab/monitor/plc"
)

// From is how people are told where Monitor knows a fleet from that no PLC keeps.
const From = "the inventory"

// The kinds of what has an id.
const (
	kindSite   = "site"
	kindNode   = "node"
	kindPCU    = "pcu"
	kindPerson = "person"
)

// IDs gives names their ids, new names new ones. A name that comes back has its id again; one that is changed is
// another name, so that a rename takes one thing away and adds another.
type IDs func(ctx context.Context, kind string, names []string) (map[string]int, error)

// snapshot is the fleet as PLC would tell it. A password that is not where it should be costs its own PCU alone: that
// one stays as it stands, and Unreadable says why.
func (f *Fleet) snapshot(ctx context.Context, ids IDs) (plc.Snapshot, error) {
	s := plc.Snapshot{Taken: time.Now(), From: From, Unsent: map[string][]int{}, NodeExempt: map[int]time.Time{},
		SiteExempt: map[int]time.Time{}, PersonExempt: map[int]time.Time{}, SliceExempt: map[int]time.Time{}}
	names := map[string][]string{}
	for _, site := range f.Sites {
		names[kindSite] = append(names[kindSite], site.Name)
		for _, p := range site.People {
			names[kindPerson] = append(names[kindPerson], p.Email)
		}
		for _, p := range site.PCUs {
			names[kindPCU] = append(names[kindPCU], p.Name)
		}
		for _, n := range site.Nodes {
			names[kindNode] = append(names[kindNode], n.Name)
		}
	}
	of := map[string]map[string]int{}
	for kind, list := range names {
		var err error
		if of[kind], err = ids(ctx, kind, list); err != nil {
			return s, err
		}
	}
	t := teller{Snapshot: &s, ids: of, persons: map[int]int{}, feeds: map[int][]int{}, ports: map[int][]int{}}
	for _, site := range f.Sites {
		t.site(site)
	}
	for i := range s.PCUs {
		s.PCUs[i].NodeIDs, s.PCUs[i].Ports = t.feeds[s.PCUs[i].PCUID], t.ports[s.PCUs[i].PCUID]
	}
	return s, nil
}

// teller fills a snapshot.
type teller struct {
	*plc.Snapshot
	ids     map[string]map[string]int
	persons map[int]int // id to its place in Persons
	feeds   map[int][]int
	ports   map[int][]int
}

func (t *teller) site(s Site) {
	id := t.ids[kindSite][s.Name]
	t.Sites = append(t.Sites, plc.Site{SiteID: id, LoginBase: s.Name, Name: s.Title, Enabled: true,
		DateCreated: s.Created.Time})
	exempt(t.SiteExempt, id, s.ExemptUntil)
	for _, p := range s.People {
		person := t.ids[kindPerson][p.Email]
		exempt(t.PersonExempt, person, p.ExemptUntil)
		if at, known := t.persons[person]; known { // of several sites
			t.Persons[at].SiteIDs = append(t.Persons[at].SiteIDs, id)
			continue
		}
		t.persons[person] = len(t.Persons)
		t.Persons = append(t.Persons, plc.Person{PersonID: person, Email: p.Email, Roles: p.Roles, SiteIDs: []int{id}})
	}
	for _, p := range s.PCUs {
		t.pcu(id, p)
	}
	for _, n := range s.Nodes {
		row := t.node(id, n)
		t.Nodes = append(t.Nodes, row)
		t.Interfaces = append(t.Interfaces, plc.Interface{NodeID: row.NodeID, IP: n.Address, Primary: true})
		exempt(t.NodeExempt, row.NodeID, n.ExemptUntil)
		for i, pcu := range row.PCUIDs {
			t.feeds[pcu], t.ports[pcu] = append(t.feeds[pcu], row.NodeID), append(t.ports[pcu], row.Ports[i])
		}
	}
}

func exempt(until map[int]time.Time, id int, day Date) {
	if !day.IsZero() && day.through().After(until[id]) {
		until[id] = day.through()
	}
}

func (t *teller) pcu(site int, p PCU) {
	id := t.ids[kindPCU][p.Name]
	password, err := p.Password.read()
	if err != nil {
		t.Unsent["pcus"] = append(t.Unsent["pcus"], id)
		t.Unreadable = append(t.Unreadable, fmt.Sprintf("PCU %s: %v: it stays as it is", p.Name, err))
		return
	}
	t.PCUs = append(t.PCUs, plc.PCU{PCUID: id, SiteID: site, Hostname: p.Name, IP: p.Address, Username: p.User,
		Password: password, Model: p.Model})
}

func (t *teller) node(site int, n Node) plc.Node {
	row := plc.Node{NodeID: t.ids[kindNode][n.Name], Hostname: n.Name, SiteID: site, BootState: n.BootState,
		Model: n.Model, SSHKey: n.HostKey}
	for _, o := range n.Power {
		row.PCUIDs, row.Ports = append(row.PCUIDs, t.ids[kindPCU][o.PCU]), append(row.Ports, o.Outlet)
	}
	return row
}

// mostSecret is above any password.
const mostSecret = 4 << 10

// read looks a password up. No error holds it.
func (s Secret) read() (plc.Secret, error) {
	switch {
	case s.given:
		return plc.Secret(s.text), nil
	case s.Env != "":
		text, set := os.LookupEnv(s.Env)
		if !set {
			return "", fmt.Errorf("the environment variable %s, which holds its password, is not set", s.Env)
		}
		return plc.Secret(text), nil
	case s.File != "":
		info, err := os.Stat(s.File)
		if err == nil && info.Size() > mostSecret {
			err = errors.New("it is too large for a password")
		}
		if err != nil {
			return "", fmt.Errorf("the file of its password, %s: %w", s.File, err)
		}
		text, err := os.ReadFile(s.File)
		if err != nil {
			return "", fmt.Errorf("the file of its password: %w", err)
		}
		return plc.Secret(strings.TrimRight(string(text), "\r\n")), nil
	}
	return "", nil
}
