package policy

import "slices"

// Role is what a person who orders something is to Monitor.
type Role string

// The roles. Whoever is neither may order nothing.
const (
	RoleOperator Role = "operator"
	RoleSite     Role = "site" // tech or PI of the site to which the node belongs
)

// Waiver is what an operator says to have checks of the gate passed over.
type Waiver string

// The waivers.
const (
	EvenIfUp    Waiver = "even-if-up"
	EvenIfTried Waiver = "even-if-tried"
)

// Order is a person's order for an act. The zero value is none: Monitor acts by itself, for an issue.
type Order struct {
	By     string   `json:"by,omitempty"`
	Role   Role     `json:"role,omitempty"`
	Reason string   `json:"reason,omitempty"`
	Waives []Waiver `json:"waives,omitempty"`
}

// Given reports whether a person ordered it.
func (o Order) Given() bool { return o.By != "" }

// Waived is a check that an operator's order may pass over.
type Waived struct {
	Check string
	For   []Act  // the acts for which; empty: all
	Asked Waiver // what the operator has to say for it; empty: nothing
	Why   string
}

// Waivers is the list of them; every other check holds for all.
func Waivers() []Waived {
	return []Waived{
		{"firewall", nil, EvenIfUp, "the operator knows that the node runs, and wants it restarted"},
		{"answers", nil, EvenIfUp, "the same"},
		{"heartbeat", nil, EvenIfUp, "the same"},
		{"boot state", []Act{ActBootState}, "", "to set it is how an operator takes a node out of somebody's hands"},
		{"attempts", nil, EvenIfTried, "a person has looked at the machine since, as after a repair"},
		{"site", []Act{ActPenalize}, "", "a penalty by hand is for what no look shows, as misuse"},
	}
}

// passes reports whether the order passes over a check.
func (o Order) passes(check string, act Act) bool {
	if !o.Given() || o.Role != RoleOperator {
		return false
	}
	return slices.ContainsFunc(Waivers(), func(w Waived) bool {
		return w.Check == check && (len(w.For) == 0 || slices.Contains(w.For, act)) &&
			(w.Asked == "" || slices.Contains(o.Waives, w.Asked))
	})
}
