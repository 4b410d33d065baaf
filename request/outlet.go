package request

import (
	"fmt"
	"slices"

	"github.com/planetlab/monitor/clean"
	"github.com/planetlab/monitor/policy"
)

// OutletType is the workflow that does one operation on one outlet of a PCU.
const OutletType = "outlet"

// Operation is what is done to an outlet by its name in Monitor's own records.
type Operation string

// The operations. The first two switch nothing.
const (
	Test   Operation = "test"
	Status Operation = "status"
	On     Operation = "on"
	Off    Operation = "off"
	Cycle  Operation = "cycle"
)

// Switches reports whether an operation may change what an outlet does.
func (o Operation) Switches() bool { return o != Test && o != Status }

// Outlet is a person's order to an outlet.
type Outlet struct {
	PCU       string       `json:"pcu"` // as Monitor calls it
	PCUID     int          `json:"pcu_id"`
	Outlet    int          `json:"outlet,omitempty"` // 0: of a test, the PCU alone
	Operation Operation    `json:"operation"`
	Order     policy.Order `json:"order"`
	From      string       `json:"from"`
}

// Check reports why an order cannot be meant, or nil.
func (o Outlet) Check() error {
	switch {
	case o.PCUID == 0:
		return fmt.Errorf("name a PCU")
	case !slices.Contains([]Operation{Test, Status, On, Off, Cycle}, o.Operation):
		return fmt.Errorf("%q is no operation", o.Operation)
	case o.Outlet < 0 || o.Outlet == 0 && o.Operation != Test:
		return fmt.Errorf("name an outlet, as %s:1", o.PCU)
	case o.Order.By == "" || o.Order.Role != policy.RoleOperator:
		return fmt.Errorf("only operators work on outlets")
	case o.Operation.Switches() && o.Order.Reason == "":
		return fmt.Errorf("an order says why")
	}
	for _, text := range []string{o.PCU, o.Order.By, o.Order.Reason, o.From} {
		if !clean.Is(text, clean.MaxText) {
			return fmt.Errorf("%q is too long, or holds what cannot be printed", clean.Line(text))
		}
	}
	return nil
}

// OutletAnswer is what became of it.
type OutletAnswer struct {
	Outlet
	Nodes    []string `json:"nodes"` // that it feeds
	Before   string   `json:"before,omitempty"`
	After    string   `json:"after,omitempty"`
	Verified bool     `json:"verified"`
	Note     string   `json:"note,omitempty"`
	Kind     string   `json:"error_kind,omitempty"` // of the error, as pcucontrol names it
	Error    string   `json:"error,omitempty"`
	Check    string   `json:"check,omitempty"` // of the gate, that refused it
	Refused  string   `json:"refused,omitempty"`
}
