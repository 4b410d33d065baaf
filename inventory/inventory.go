// Package inventory reads what a fleet is made of where there is no PLC to say it: from one YAML file, or from any
// inventory of Ansible. Either becomes a [Fleet], which is checked as a whole: one with a mistake is not taken, and
// what was last read stands. [Own] then answers for it as PLC does: it gives the same snapshot, and keeps in Monitor's
// own store what PLC would keep, as boot states and what sites are denied.
package inventory

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/planetlab/monitor/pcucontrol"
)

// Source says what the fleet is made of. What it answers was checked.
type Source interface {
	Read(ctx context.Context) (*Fleet, error)
}

// Fleet is all that Monitor is to look after. The texts after "about" are those of the documentation and of editors.
type Fleet struct {
	from string // the file or the program

	Sites []Site `yaml:"sites" about:"the places where machines stand, and who looks after them" need:"yes"`
}

// Site is a place with its people, its power control units and its nodes.
type Site struct {
	Line        int      `yaml:"-"`
	Name        string   `yaml:"name" about:"a short name, such as lab; it is how Monitor knows the site" need:"yes"`
	Title       string   `yaml:"title" about:"its name in mails; by default the short one"`
	Created     Date     `yaml:"created" about:"since when it takes part: a new site is given time (policy.site_new)"`
	ExemptUntil Date     `yaml:"exempt_until" about:"the last day on which nothing is done about the site"`
	People      []Person `yaml:"people" about:"who is written to"`
	BMC         *BMC     `yaml:"bmc" about:"what the BMCs of this site's nodes have in common"`
	PCUs        []PCU    `yaml:"pcus" about:"power control units that feed several nodes"`
	Nodes       []Node   `yaml:"nodes" about:"the machines"`
}

// Person is somebody who is written to.
type Person struct {
	Line        int      `yaml:"-"`
	Email       string   `yaml:"email" about:"the address of mail" need:"yes"`
	Roles       []string `yaml:"roles" about:"tech is written to first, then pi; by default tech" one:"tech pi user"`
	ExemptUntil Date     `yaml:"exempt_until" about:"the last day on which nothing is written to this person"`
}

// PCU is a power control unit.
type PCU struct {
	Line     int    `yaml:"-"`
	Name     string `yaml:"name" about:"a name that no other PCU has" need:"yes"`
	Address  string `yaml:"address" about:"its address or host name, with :port where that is not the usual one"`
	Model    string `yaml:"model" about:"as monitor pcu models lists them" need:"yes"`
	User     string `yaml:"user" about:"the account that may switch"`
	Password Secret `yaml:"password" about:"where its password is; the password itself never stands here"`
}

// BMC is the management controller of one machine: a PCU with one outlet.
type BMC struct {
	Line     int    `yaml:"-"`
	Address  string `yaml:"address" about:"its address or name, with :port if not the usual one" alone:"yes"`
	Model    string `yaml:"model" about:"such as Redfish or OpenIPMI"`
	User     string `yaml:"user" about:"the account that may switch"`
	Password Secret `yaml:"password" about:"where its password is; the password itself never stands here"`
}

// Node is a machine.
type Node struct {
	Line        int      `yaml:"-"`
	Name        string   `yaml:"name" about:"its host name, which no other node has" need:"yes"`
	Address     string   `yaml:"address" about:"its IP address, at which it is looked at" need:"yes"`
	Model       string   `yaml:"model" about:"what kind of machine it is, for people"`
	BootState   string   `yaml:"boot_state" about:"disabled or safeboot: it is left alone" one:"boot safeboot disabled"`
	HostKey     string   `yaml:"host_key" about:"its ssh host key, as in authorized_keys, where that is known"`
	ExemptUntil Date     `yaml:"exempt_until" about:"the last day on which nothing is done about the node"`
	BMC         *BMC     `yaml:"bmc" about:"its own management controller; an address alone is enough"`
	Power       []Outlet `yaml:"power" about:"the outlets that feed it: all of them, if several do"`
}

// Outlet is one outlet of a PCU.
type Outlet struct {
	Line   int    `yaml:"-"`
	PCU    string `yaml:"pcu" about:"the name of the PCU" need:"yes"`
	Outlet int    `yaml:"outlet" about:"the number of its outlet; by default 1"`
}

// Secret says where a password is.
type Secret struct {
	Line int    `yaml:"-"`
	Env  string `yaml:"env" about:"the environment variable of monitor-worker that holds it"`
	File string `yaml:"file" about:"the file that holds it, below the folder of the inventory if the path is relative"`

	text  string // from an inventory that hands it over itself
	given bool
}

func (s Secret) none() bool { return s.Env == "" && s.File == "" && !s.given }

// Date is a day, written 2026-12-31.
type Date struct{ time.Time }

// through is the end of a day.
func (d Date) through() time.Time { return d.AddDate(0, 0, 1) }

// bmcName is how the BMC of a node is known.
func bmcName(node string) string { return "bmc-" + node }

// manual reports whether people switch a PCU.
func manual(model string) bool {
	return strings.EqualFold(cmp.Or(model, pcucontrol.Manual), pcucontrol.Manual)
}

// complete writes out what a fleet leaves to be understood: the BMC of a node is a PCU, a site has a title, an outlet a
// number.
func (f *Fleet) complete() {
	for i := range f.Sites {
		s := &f.Sites[i]
		s.Title = cmp.Or(s.Title, s.Name)
		for p := range s.People {
			if len(s.People[p].Roles) == 0 {
				s.People[p].Roles = []string{"tech"}
			}
		}
		usual := BMC{}
		if s.BMC != nil {
			usual = *s.BMC
		}
		for n := range s.Nodes {
			node := &s.Nodes[n]
			for o := range node.Power {
				node.Power[o].Outlet = cmp.Or(node.Power[o].Outlet, 1)
			}
			if node.BMC == nil {
				continue
			}
			b := *node.BMC
			if b.Password.none() {
				b.Password = usual.Password
			}
			s.PCUs = append(s.PCUs, PCU{Line: b.Line, Name: bmcName(node.Name), Address: b.Address,
				Model: cmp.Or(b.Model, usual.Model), User: cmp.Or(b.User, usual.User), Password: b.Password})
			node.Power = append(node.Power, Outlet{Line: b.Line, PCU: bmcName(node.Name), Outlet: 1})
		}
	}
}

// Count says how much a fleet holds, for people.
func (f *Fleet) Count() string {
	var nodes, pcus, people int
	for _, s := range f.Sites {
		nodes, pcus, people = nodes+len(s.Nodes), pcus+len(s.PCUs), people+len(s.People)
	}
	count := func(n int, one, many string) string {
		if n == 1 {
			return "1 " + one
		}
		return fmt.Sprintf("%d %s", n, many)
	}
	return count(len(f.Sites), "site", "sites") + ", " + count(nodes, "node", "nodes") + ", " +
		count(pcus, "PCU", "PCUs") + ", " + count(people, "person", "people")
}
