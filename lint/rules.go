package lint

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/planetlab/monitor/pcucontrol"
	"github.com/planetlab/monitor/selection"
)

// addressOf is an address in the one form in which it compares; empty: it is none.
func addressOf(s string) string {
	s = strings.ToLower(strings.TrimSpace(s))
	ip, err := netip.ParseAddr(s)
	switch {
	case err != nil:
		return s // of a PCU, with its port
	case ip.IsUnspecified():
		return ""
	}
	return ip.Unmap().String()
}

// where a PCU answers.
func (p PCU) where() string {
	if at := addressOf(p.IP); at != "" {
		return at
	}
	return addressOf(p.Hostname)
}

// addressTwice finds two things at one address: a look, or a power cycle, then reaches the wrong one. A PCU that is part of
// the node which it feeds, as Intel AMT, may answer at its address.
func addressTwice(c *checked) (found []selection.Finding) {
	type holder struct {
		row  selection.Finding
		node *Node
		pcu  int
	}
	at := map[string][]holder{}
	for i := range c.Nodes {
		if n := &c.Nodes[i]; addressOf(n.IP) != "" {
			at[addressOf(n.IP)] = append(at[addressOf(n.IP)], holder{row: n.row("", ""), node: n})
		}
	}
	for _, p := range c.PCUs {
		if p.where() != "" {
			at[p.where()] = append(at[p.where()], holder{row: p.row("", ""), pcu: p.PCUID})
		}
	}
	oneMachine := func(x, y holder) bool {
		if x.node == nil {
			x, y = y, x
		}
		return x.node != nil && y.node == nil && slices.Contains(c.fed[y.pcu], x.node)
	}
	for address, holders := range at {
		for i, h := range holders {
			var names []string
			for j, o := range holders {
				if i != j && !oneMachine(h, o) {
					names = append(names, c.named(o.row.Kind, o.row.Name, o.row.Site))
				}
				if len(names) > mostNamed {
					break
				}
			}
			if len(names) > 0 {
				row := h.row
				row.What = fmt.Sprintf("its address %s is also that of %s", address, others(names))
				row.Do = "find out who answers there, and give the others their own address"
				found = append(found, row)
			}
		}
	}
	return found
}

// outletTwice finds an outlet that feeds two nodes: to reboot the one cuts the power of the other.
func outletTwice(c *checked) (found []selection.Finding) {
	for _, p := range c.PCUs {
		by := map[int][]string{}
		for _, n := range c.fed[p.PCUID] {
			for _, outlet := range outletsOf(n, p.PCUID) {
				by[outlet] = append(by[outlet], c.named(kindNode, n.Host, n.Site))
			}
		}
		for outlet, names := range by {
			if len(names) > 1 {
				found = append(found, p.row(fmt.Sprintf("its outlet %d feeds %d nodes: %s", outlet, len(names), others(names)),
					"find out which node hangs on it, and give the others their own outlet"))
			}
		}
	}
	return found
}

func outletsOf(n *Node, pcu int) (outlets []int) {
	for _, f := range n.Feeds {
		if f.PCUID == pcu && !slices.Contains(outlets, f.Outlet) {
			outlets = append(outlets, f.Outlet)
		}
	}
	return outlets
}

// noPrimary finds nodes that the inventory gives no primary interface: they boot without a network.
func noPrimary(c *checked) (found []selection.Finding) {
	for _, n := range c.Nodes {
		if n.NoPrimary {
			found = append(found, n.row("none of its interfaces is the primary one",
				"mark the interface by which it boots as the primary one"))
		}
	}
	return found
}

func noAddress(c *checked) (found []selection.Finding) {
	for _, n := range c.Nodes {
		if !n.NoPrimary && addressOf(n.IP) == "" {
			found = append(found, n.row("its primary interface has no address", "write down its address"))
		}
	}
	for _, p := range c.PCUs {
		if p.where() == "" && !c.manual(p) {
			found = append(found, p.row("it has neither a hostname nor an address", "write down where it answers"))
		}
	}
	return found
}

// nameAddress finds names that do not lead to the address that stands beside them.
func nameAddress(c *checked) (found []selection.Finding) {
	say := func(row selection.Finding, name, ip, dns string) {
		switch dns {
		case DNSMismatch:
			row.What = fmt.Sprintf("%s does not lead to the address %s", name, ip)
			row.Do = "correct the name server, or the address"
		case DNSNoEntry:
			row.What = fmt.Sprintf("no name server knows %s", name)
			row.Do = "have the name entered at the name server of its site, or correct it"
		default: // nobody knows
			return
		}
		found = append(found, row)
	}
	for _, n := range c.Nodes {
		say(n.row("", ""), n.Host, n.IP, n.DNS)
	}
	for _, p := range c.PCUs {
		say(p.row("", ""), p.Hostname, p.IP, p.DNS)
	}
	return found
}

func pcuNoNode(c *checked) (found []selection.Finding) {
	for _, p := range c.PCUs {
		if len(c.fed[p.PCUID]) == 0 {
			found = append(found, p.row("it feeds no node", "enter which outlet feeds which node, or take the PCU away"))
		}
	}
	return found
}

func pcuNoModel(c *checked) (found []selection.Finding) {
	for _, p := range c.PCUs {
		if strings.TrimSpace(p.Model) == "" {
			found = append(found, p.row("it has no model, so people are asked to switch it",
				"write down its model, as `monitor pcu models` lists them"))
		}
	}
	return found
}

func pcuUnknownModel(c *checked) (found []selection.Finding) {
	for _, p := range c.PCUs {
		if strings.TrimSpace(p.Model) == "" || c.Models == nil {
			continue
		}
		if _, err := c.Models.Resolve(p.Model); err != nil {
			found = append(found, p.row(fmt.Sprintf("nothing drives its model %q", p.Model),
				"write down a model that `monitor pcu models` lists, or write a model file (docs/pcu.md)"))
		}
	}
	return found
}

// pcuNoPassword leaves out what nobody logs in to.
func pcuNoPassword(c *checked) (found []selection.Finding) {
	for _, p := range c.PCUs {
		if c.PasswordsKnown && !p.HasPassword && !c.manual(p) {
			found = append(found, p.row("it has no password", "enter the password of the account that switches its outlets"))
		}
	}
	return found
}

// manual reports whether a PCU is one that people switch, or that only wakes machines. One without a model is no such,
// but not finished.
func (c *checked) manual(p PCU) bool {
	if strings.TrimSpace(p.Model) == "" || c.Models == nil {
		return false
	}
	m, err := c.Models.Resolve(p.Model)
	can := func(word string) bool { return slices.Contains(m.Capabilities, word) }
	return err == nil && (m.Name == pcucontrol.Manual || !can("cycle") && !(can("on") && can("off")))
}

// siteNoPeople finds sites with machines and nobody who could be written to about them.
func siteNoPeople(c *checked) (found []selection.Finding) {
	for _, s := range c.Sites {
		if !s.Pending && !c.people[s.Login] && c.owners[s.Login] {
			found = append(found, s.row("it has no technician and no PI whose account is enabled: nobody hears of its machines",
				"find somebody at the site, and give them the role tech or pi"))
		}
	}
	return found
}
