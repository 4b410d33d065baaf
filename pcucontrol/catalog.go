package pcucontrol

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/planetlab/monitor/spelling"
)

// Catalog is a set of models that can be driven. Package models has those that are built in.
type Catalog struct {
	models   []Model
	families []Family
}

// Family says which model drives a record whose model name only contains a known word.
type Family struct{ Word, Model string }

// Model describes a model that can be driven.
type Model struct {
	Name         string      `json:"name"`
	About        string      `json:"about"`
	Transports   []Transport `json:"transports"`   // in the order they are tried
	Capabilities []string    `json:"capabilities"` // of Can, by one transport or another
	Outlets      bool        `json:"outlets"`      // false: it switches one machine, and no outlet need be named

	Routes []Route `json:"-"`
}

// Transport is a way to a device, with its usual port.
type Transport struct {
	Name string   `json:"name"` // telnet, ssh, tcp, http, https, udp
	Port int      `json:"port"`
	Can  []string `json:"can"` // of test, status, on, off, cycle, reset, shutdown, boot, list
}

// Route is a transport and what drives the model over it.
type Route struct {
	Transport
	Driver Driver
}

// NewModel describes a model by its routes, in the order they are tried.
func NewModel(name, about string, outlets bool, routes ...Route) Model {
	m := Model{
		Name: name, About: about, Outlets: outlets, Transports: []Transport{}, Capabilities: []string{}, Routes: routes,
	}
	for _, r := range routes {
		m.Transports = append(m.Transports, r.Transport)
		for _, word := range r.Can {
			if !slices.Contains(m.Capabilities, word) {
				m.Capabilities = append(m.Capabilities, word)
			}
		}
	}
	return m
}

// routesTo are the routes that fit a target: the transport it names, else the one whose usual port it names, else all.
func (m Model) routesTo(t Target) []Route {
	pick := func(fits func(Route) bool) []Route {
		return slices.DeleteFunc(slices.Clone(m.Routes), func(r Route) bool { return !fits(r) })
	}
	if t.Transport != "" {
		return pick(func(r Route) bool { return r.Name == t.Transport })
	}
	if usual := pick(func(r Route) bool { return r.Port == t.Port }); len(usual) > 0 {
		return usual
	}
	return m.Routes
}

// NewCatalog is a catalog of these models; of two with one name, the later one. A name that no model has is looked for
// in the families, the first that fits being taken.
func NewCatalog(models []Model, families ...Family) *Catalog {
	c := &Catalog{families: families}
	for _, m := range models {
		same := func(o Model) bool { return o.Name == m.Name }
		c.models = append(slices.DeleteFunc(c.models, same), m)
	}
	slices.SortFunc(c.models, func(a, b Model) int { return cmp.Compare(a.Name, b.Name) })
	return c
}

// With is the catalog with these models, before those of the same name.
func (c *Catalog) With(models ...Model) *Catalog {
	return NewCatalog(append(slices.Clone(c.models), models...), c.families...)
}

// Models lists the models that can be driven, by name.
func (c *Catalog) Models() []Model { return slices.Clone(c.models) }

// Manual is the model of a PCU that people switch. It resolves, and every operation on it is Unsupported: ask them.
const Manual = "Manual"

const customModel = "Custom"

// Resolve is the model that drives a record with this model name: the exact name, else by what the name contains. A
// record without one is manual.
func (c *Catalog) Resolve(name string) (Model, error) {
	find := func(name string) (Model, bool) {
		i := slices.IndexFunc(c.models, func(m Model) bool { return m.Name == name })
		if i < 0 {
			return Model{}, false
		}
		return c.models[i], true
	}
	if m, ok := find(cmp.Or(name, Manual)); ok {
		return m, nil
	}
	if name == customModel {
		return Model{}, &Error{
			Kind:  UnknownModel,
			Doing: "find a driver",
			Detail: "a custom PCU needs a model file in one of the folders of models: " +
				"the name of the model in the record, its transports and its pages; docs/pcu.md tells how to write one",
		}
	}
	for _, family := range c.families {
		if !strings.Contains(name, family.Word) {
			continue
		}
		if m, ok := find(family.Model); ok {
			return m, nil
		}
	}
	return Model{}, &Error{
		Kind:   UnknownModel,
		Doing:  "find a driver",
		Detail: fmt.Sprintf("%q; near it are %s", name, strings.Join(near(name, c.models), ", ")),
	}
}

// near are the three names that are most like this one.
func near(name string, models []Model) []string {
	names := make([]string, len(models))
	for i, m := range models {
		names[i] = m.Name
	}
	slices.SortStableFunc(names, func(a, b string) int {
		return cmp.Compare(spelling.Distance(name, a), spelling.Distance(name, b))
	})
	return names[:min(3, len(names))]
}
