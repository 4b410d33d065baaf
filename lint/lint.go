// Package lint finds what is wrong with what an inventory says of a fleet: data that were typed wrong once and make
// Monitor reboot the wrong machine, or write to nobody, years later. Each rule is a function of the fleet. What is not
// known breaks no rule.
package lint

import (
	"cmp"
	"slices"
	"strings"

	"github.com/planetlab/monitor/clean"
	"github.com/planetlab/monitor/pcucontrol"
	"github.com/planetlab/monitor/selection"
)

// Fleet is what the inventory says, as far as rules ask.
type Fleet struct {
	Nodes   []Node
	PCUs    []PCU
	Sites   []Site
	Persons []Person

	// PasswordsKnown says that a PCU without a password has none. Without a key for secrets none is kept.
	PasswordsKnown bool
}

// Node is a machine.
type Node struct {
	Host, Site, IP string
	NoPrimary      bool // none of its interfaces is the primary one
	Feeds          []Feed
	DNS            string // of its name: DNSMismatch, DNSNoEntry, or anything else
}

// Feed is an outlet that gives a node power.
type Feed struct {
	PCUID  int
	Outlet int
}

// PCU is a power control unit.
type PCU struct {
	PCUID                           int
	Name, Site, Hostname, IP, Model string
	HasPassword                     bool
	DNS                             string // of its hostname, where somebody asked
}

// What a name server says of a name that does not lead to the address of the inventory.
const (
	DNSMismatch = "mismatch"
	DNSNoEntry  = "no entry"
)

// Site owns nodes and PCUs.
type Site struct {
	Login   string
	Pending bool
}

// Person is somebody at a site whose account is enabled.
type Person struct {
	Site  string
	Roles []string
}

// Options are what rules need beside the fleet.
type Options struct {
	// Models are the PCUs that can be driven; nil: no model is unknown.
	Models *pcucontrol.Catalog
	// Sees reports whether whoever asks may hear of things of a site; nil: of all. What he may not hear of is not named.
	Sees func(site string) bool
}

// rule is one of them: its id, and what it finds.
type rule struct {
	id    string
	finds func(*checked) []selection.Finding
}

// rules are all of them, in the order of docs and of findings.
func rules() []rule {
	return []rule{
		{"address-twice", addressTwice},
		{"outlet-twice", outletTwice},
		{"no-primary", noPrimary},
		{"no-address", noAddress},
		{"name-address", nameAddress},
		{"pcu-no-node", pcuNoNode},
		{"pcu-no-model", pcuNoModel},
		{"pcu-unknown-model", pcuUnknownModel},
		{"pcu-no-password", pcuNoPassword},
		{"site-no-people", siteNoPeople},
	}
}

// Rules are the ids of all rules.
func Rules() []string {
	var ids []string
	for _, r := range rules() {
		ids = append(ids, r.id)
	}
	return ids
}

// Check answers a row for each thing that breaks a rule, and one without a rule for each that breaks none, by site, kind
// and name.
func Check(f Fleet, o Options) []selection.Finding {
	c := newChecked(f, o)
	var rows []selection.Finding
	broken := map[selection.Finding]bool{}
	for _, r := range rules() {
		for _, found := range r.finds(c) {
			broken[selection.Finding{Name: found.Name, Kind: found.Kind, Site: found.Site}] = true
			found.Rule, found.What, found.Do = r.id, clean.Line(found.What), clean.Line(found.Do)
			rows = append(rows, found)
		}
	}
	for _, thing := range c.things() {
		if !broken[thing] {
			rows = append(rows, thing)
		}
	}
	slices.SortStableFunc(rows, func(x, y selection.Finding) int {
		return cmp.Or(cmp.Compare(x.Site, y.Site), cmp.Compare(x.Kind, y.Kind), cmp.Compare(x.Name, y.Name))
	})
	return rows
}

// The kinds of things.
const kindNode, kindSite, kindPCU = "node", "site", "pcu"

// checked is the fleet with what several rules ask of it.
type checked struct {
	Fleet
	Options
	fed    map[int][]*Node // nodes by PCU
	people map[string]bool // sites with a technician or a PI
	owners map[string]bool // sites with machines
}

func newChecked(f Fleet, o Options) *checked {
	c := &checked{Fleet: f, Options: o, fed: map[int][]*Node{}, people: map[string]bool{}, owners: map[string]bool{}}
	for i := range f.Nodes {
		n := &f.Nodes[i]
		c.owners[n.Site] = true
		for _, feed := range n.Feeds {
			if fed := c.fed[feed.PCUID]; len(fed) == 0 || fed[len(fed)-1] != n {
				c.fed[feed.PCUID] = append(fed, n)
			}
		}
	}
	for _, p := range f.PCUs {
		c.owners[p.Site] = true
	}
	for _, p := range f.Persons {
		if slices.Contains(p.Roles, "tech") || slices.Contains(p.Roles, "pi") {
			c.people[p.Site] = true
		}
	}
	return c
}

// things are all that rules are about.
func (c *checked) things() (all []selection.Finding) {
	for _, n := range c.Nodes {
		all = append(all, n.row("", ""))
	}
	for _, p := range c.PCUs {
		all = append(all, p.row("", ""))
	}
	for _, s := range c.Sites {
		all = append(all, s.row("", ""))
	}
	return all
}

func (n Node) row(what, do string) selection.Finding {
	return selection.Finding{Name: n.Host, Kind: kindNode, Site: n.Site, What: what, Do: do}
}

func (p PCU) row(what, do string) selection.Finding {
	return selection.Finding{Name: p.Name, Kind: kindPCU, Site: p.Site, What: what, Do: do}
}

func (s Site) row(what, do string) selection.Finding {
	return selection.Finding{Name: s.Login, Kind: kindSite, Site: s.Login, What: what, Do: do}
}

// named is a thing of a site for the eyes of whoever asks.
func (c *checked) named(kind, name, site string) string {
	if c.Sees != nil && !c.Sees(site) {
		return "a " + kind + " of another site"
	}
	return name
}

// mostNamed is how many others a finding names.
const mostNamed = 5

// others are names in a sentence.
func others(names []string) string {
	slices.Sort(names)
	names = slices.Compact(names)
	if more := len(names) - mostNamed; more > 0 {
		names = append(slices.Clone(names[:mostNamed]), "and more")
	}
	return strings.Join(names, ", ")
}
