package nut

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/planetlab/monitor/pcucontrol"
	"github.com/planetlab/monitor/pcucontrol/internal/power"
	"github.com/planetlab/monitor/pcucontrol/internal/secret"
)

// outlet is an outlet or a group of outlets.
type outlet struct {
	prefix string // of its variables and commands, as outlet.3 or outlet.group.2
	number int    // 0: a group
	name   string
	tells  string // the variable that has its state; empty: none does
	state  pcucontrol.State
}

// outlets are those that the unit has variables or commands of, the groups last.
func (s *session) outlets() []outlet {
	seen := map[string]outlet{}
	for name := range s.vars {
		s.keep(seen, name)
	}
	for _, name := range s.commands {
		s.keep(seen, name)
	}
	list := make([]outlet, 0, len(seen))
	for _, o := range seen {
		list = append(list, o)
	}
	slices.SortFunc(list, func(a, b outlet) int {
		return cmp.Or(cmp.Compare(min(1, b.number), min(1, a.number)), cmp.Compare(a.number, b.number),
			strings.Compare(a.prefix, b.prefix))
	})
	return list
}

// keep takes in the outlet that a variable or a command is of. The numbers of the main outlet, 0, and of things that
// are none (outlet.count) are passed over.
func (s *session) keep(seen map[string]outlet, name string) {
	words := strings.Split(name, ".")
	if len(words) < 3 || words[0] != "outlet" {
		return
	}
	o := outlet{prefix: "outlet." + words[1]}
	if words[1] == "group" {
		o.prefix += "." + words[2]
	}
	o.number, _ = strconv.Atoi(words[1])
	if _, known := seen[o.prefix]; known || o.number < 1 && words[1] != "group" {
		return
	}
	o.name = cmp.Or(s.vars[o.prefix+".name"], s.vars[o.prefix+".desc"])
	for _, word := range []string{".status", ".switch"} {
		if _, told := s.vars[o.prefix+word]; told && o.tells == "" {
			o.tells = o.prefix + word
		}
	}
	o.state = stateOf(s.vars[o.tells])
	seen[o.prefix] = o
}

// stateOf is what a status or a switch says; most say on and off, some yes and no.
func stateOf(word string) pcucontrol.State {
	switch strings.ToLower(word) {
	case "yes", "1":
		return pcucontrol.On
	case "no", "0":
		return pcucontrol.Off
	}
	return power.StateOf(word)
}

// find is the outlet that the target means.
func (s *session) find() (outlet, error) {
	all := s.outlets()
	var fits []outlet
	for _, o := range all {
		short := strings.TrimPrefix(o.prefix, "outlet.")
		switch {
		case s.t.Outlet > 0 && o.number == s.t.Outlet,
			s.t.Outlet == 0 && slices.Contains([]string{o.name, short, o.prefix}, s.t.OutletName):
			fits = append(fits, o)
		}
	}
	switch {
	case len(fits) == 1:
		return fits[0], nil
	case len(fits) > 1:
		return outlet{}, s.fail(pcucontrol.NoOutlet, "find the outlet",
			fmt.Sprintf("%d are named %q; give the number", len(fits), s.t.OutletName))
	}
	var names []string
	for _, o := range all[:min(16, len(all))] {
		names = append(names, cmp.Or(o.name, strings.TrimPrefix(o.prefix, "outlet.")))
	}
	have := secret.Mask(strings.Join(names, ", "), s.t.Password)
	return outlet{}, s.fail(pcucontrol.NoOutlet, "find the outlet",
		fmt.Sprintf("there are %d: %s", len(all), cmp.Or(have, "none")))
}

// read asks for the state of one outlet.
func (s *session) read(ctx context.Context, o outlet) (pcucontrol.State, error) {
	if _, err := s.say(ctx, "status", "GET VAR "+quoted(s.unit)+" "+o.tells); err != nil {
		return pcucontrol.Unknown, err
	}
	words, err := s.answer(ctx, "status")
	if err != nil {
		return pcucontrol.Unknown, err
	}
	if len(words) != 4 || words[0] != "VAR" || words[2] != o.tells {
		return pcucontrol.Unknown, s.fail(pcucontrol.Unexpected, "status", "an answer to another question")
	}
	return stateOf(words[3]), nil
}
