package inventory

import (
	"cmp"
	"fmt"
	"strings"
)

// Line is one node as a list shows it.
type Line struct {
	Name      string `json:"name"`
	Site      string `json:"site"`
	Address   string `json:"address"`
	Power     string `json:"power"` // its outlets, as rack1:3
	Model     string `json:"pcu_model"`
	BootState string `json:"boot_state"` // as its owner says
}

// Lines are all nodes, in the order of the source.
func (f *Fleet) Lines() []Line {
	models := map[string]string{}
	for _, s := range f.Sites {
		for _, p := range s.PCUs {
			models[p.Name] = p.Model
		}
	}
	list := []Line{}
	for _, s := range f.Sites {
		for _, n := range s.Nodes {
			l := Line{Name: n.Name, Site: s.Name, Address: n.Address, BootState: cmp.Or(n.BootState, usualBoot)}
			var feeds []string
			for _, o := range n.Power {
				feeds = append(feeds, fmt.Sprintf("%s:%d", o.PCU, o.Outlet))
				l.Model = models[o.PCU]
			}
			l.Power = strings.Join(feeds, " ")
			list = append(list, l)
		}
	}
	return list
}

// Secrets are the passwords that are not where the fleet says. None is shown.
func (f *Fleet) Secrets() (missing Mistakes) {
	for _, s := range f.Sites {
		for _, p := range s.PCUs {
			if _, err := p.Password.read(); err != nil {
				missing = append(missing, Mistake{File: f.from, Line: p.Password.Line, At: "PCU " + p.Name,
					What: err.Error(), Do: "put it there, where monitor-worker runs"})
			}
		}
	}
	return missing
}
