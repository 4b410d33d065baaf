package inventory

import (
	"fmt"
	"net"
	"net/mail"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/planetlab/monitor/pcucontrol"
)

// nameForm is what names may look like: workflows are called by them, and Temporal takes ASCII alone.
var nameForm = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]{0,252}[A-Za-z0-9])?$`)

const nameRule = "use letters, digits, dots, dashes and underscores, at most 254 of them"

// checker finds what is wrong with a whole fleet: two of a name, an outlet used twice, a PCU that nobody knows.
type checker struct {
	*mistakes
	models    *pcucontrol.Catalog
	sites     map[string]int // name to line
	nodes     map[string]int
	pcus      map[string]PCU
	addresses map[string]string // of nodes, to their name
	outlets   map[Outlet]string // without the line, to the node that it feeds
}

func check(m *mistakes, f *Fleet, models *pcucontrol.Catalog) {
	c := &checker{m, models, map[string]int{}, map[string]int{}, map[string]PCU{}, map[string]string{},
		map[Outlet]string{}}
	if len(f.Sites) == 0 && len(m.list) == 0 {
		m.add(0, "", "write at least one site with a node", "it has no sites")
	}
	for _, s := range f.Sites {
		c.site(s)
		for _, p := range s.PCUs { // all of them before the nodes: one may be fed from another site's
			c.pcu(p)
		}
	}
	for _, s := range f.Sites {
		for _, n := range s.Nodes {
			c.node(n)
		}
	}
	if len(c.nodes) == 0 && len(m.list) == 0 {
		m.add(0, "", "write at least one node below a site", "it has no nodes")
	}
}

func (c *checker) named(kind, name string, line int, taken map[string]int) bool {
	at := kind + " " + name
	first, twice := taken[name]
	switch {
	case name == "":
		c.add(line, "a "+kind, "write name: and how it is called", "it has no name")
		return false
	case !nameForm.MatchString(name):
		c.add(line, at, nameRule, "%q is no name", name)
		return false
	case twice && first > 0:
		c.add(line, at, "give each a name of its own", "line %d has a %s of this name, too", first, kind)
	case twice:
		c.add(line, at, "give each a name of its own", "another %s has this name, too", kind)
	}
	taken[name] = line
	return true
}

func (c *checker) site(s Site) {
	c.named("site", s.Name, s.Line, c.sites)
	people := map[string]bool{}
	for _, p := range s.People {
		at := "person " + p.Email
		if a, err := mail.ParseAddress(p.Email); err != nil || a.Address != p.Email {
			c.add(p.Line, at, "write email: and the address alone, as anna@lab.example", "%q is no address of mail",
				p.Email)
		}
		if people[p.Email] {
			c.add(p.Line, at, "name each person of a site once, with all roles", "this person is there twice")
		}
		people[p.Email] = true
		for _, role := range p.Roles {
			c.oneOf(p.Line, at, "role", role, "tech", "pi", "user")
		}
	}
}

func (c *checker) oneOf(line int, at, what, value string, allowed ...string) {
	if !slices.Contains(allowed, value) {
		c.add(line, at, "it may be "+strings.Join(allowed, ", "), "there is no %s %q", what, value)
	}
}

func (c *checker) pcu(p PCU) {
	lines := map[string]int{}
	if was, twice := c.pcus[p.Name]; twice {
		lines[p.Name] = was.Line
	}
	if !c.named("PCU", p.Name, p.Line, lines) {
		return
	}
	c.pcus[p.Name] = p
	at := "PCU " + p.Name
	if p.Model == "" {
		c.add(p.Line, at, "write model: Redfish, OpenIPMI or another that `monitor pcu models` lists", "it has no model")
	} else if _, err := c.models.Resolve(p.Model); err != nil {
		var names []string
		for _, m := range c.models.Models() {
			names = append(names, m.Name)
		}
		do := "`monitor pcu models` lists them"
		if near := nearest(p.Model, names); near != "" {
			do = "did you mean " + near + "? " + do
		}
		c.add(p.Line, at, do, "there is no model %q", p.Model)
	}
	if p.Address == "" && !manual(p.Model) {
		c.add(p.Line, at, "write address: and where it answers", "it has no address")
	} else if host, port, err := net.SplitHostPort(p.Address); err == nil {
		if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 || host == "" {
			c.add(p.Line, at, "write it as 10.0.2.1 or 10.0.2.1:623", "%q is no address", p.Address)
		}
	} else if strings.ContainsAny(p.Address, " /@[]") {
		c.add(p.Line, at, "write it as 10.0.2.1 or 10.0.2.1:623", "%q is no address", p.Address)
	}
	if p.Password.Env != "" && p.Password.File != "" {
		c.add(p.Password.Line, at, "leave one of them out", "its password has both env and file")
	}
}

func (c *checker) node(n Node) {
	if !c.named("node", n.Name, n.Line, c.nodes) {
		return
	}
	at := "node " + n.Name
	ip, err := netip.ParseAddr(n.Address)
	switch {
	case n.Address == "":
		c.add(n.Line, at, "write address: and its IP address", "it has no address")
	case err != nil:
		c.add(n.Line, at, "write its IP address, as 10.0.1.1", "%q is no IP address", n.Address)
	case c.addresses[ip.String()] != "":
		c.add(n.Line, at, "give each node its own address", "%s has the address %s, too", c.addresses[ip.String()],
			n.Address)
	default:
		c.addresses[ip.String()] = n.Name
	}
	if n.BootState != "" {
		c.oneOf(n.Line, at, "boot state", n.BootState, "boot", "safeboot", "disabled")
	}
	if n.HostKey != "" {
		if _, _, _, _, err := ssh.ParseAuthorizedKey([]byte(n.HostKey)); err != nil {
			c.add(n.Line, at, "write the line that ssh-keyscan prints, without the host name",
				"its host_key is no ssh key")
		}
	}
	for _, o := range n.Power {
		c.feed(at, n.Name, o)
	}
}

func (c *checker) feed(at, node string, o Outlet) {
	if _, known := c.pcus[o.PCU]; !known {
		var names []string
		for name := range c.pcus {
			names = append(names, name)
		}
		slices.Sort(names)
		do := "write it below pcus: of its site"
		if near := nearest(o.PCU, names); near != "" {
			do = "did you mean " + near + "? Else " + do
		}
		c.add(o.Line, at, do, "there is no PCU %q", o.PCU)
		return
	}
	if o.Outlet < 1 || o.Outlet > 9999 {
		c.add(o.Line, at, "count outlets from 1", "%d is no outlet", o.Outlet)
		return
	}
	o.Line = 0
	if other := c.outlets[o]; other != "" {
		what := fmt.Sprintf("outlet %d of %s feeds %s, too", o.Outlet, o.PCU, other)
		if other == node {
			what = fmt.Sprintf("outlet %d of %s is there twice", o.Outlet, o.PCU)
		}
		c.add(c.nodes[node], at, "a power cycle of one would cut the other: give each node its own outlet", "%s", what)
	}
	c.outlets[o] = node
}
