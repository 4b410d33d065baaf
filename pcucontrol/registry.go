package pcucontrol

import (
	"fmt"
	"slices"
	"strings"
)

// apcMenus are the menu paths of the APC firmwares, by model name. The p stands for the outlet; the last step is the power
// command of the outlet's menu. Source: the control console of AP79xx units, as the seed's models drove it.
var apcMenus = map[string][]string{
	"APCControl12p3":  {"1", "2", "p", "3"},
	"APCControl1p4":   {"1", "p", "4"},
	"APCControl121p3": {"1", "2", "1", "p", "3"},
	"APCControl121p1": {"1", "2", "1", "p", "1", "3"},
	"APCControl13p13": {"1", "3", "p", "1", "3"},
}

// Models lists the model names that can be driven.
func Models() []string {
	var names []string
	for name := range apcMenus {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// lookup finds the driver of a model by its exact name. A name that is near is said, never taken.
func lookup(t Target) (driver, error) {
	if menu, ok := apcMenus[t.Model]; ok {
		return apc{menu}, nil
	}
	detail := fmt.Sprintf("%q is none of %s", t.Model, strings.Join(Models(), ", "))
	if t.Model == "" || strings.Contains(t.Model, "Manual") || t.Model == "PM211MIP" {
		return nil, &Error{Unsupported, t.Host, "find a driver", "a manual PCU is switched by people"}
	}
	return nil, &Error{UnknownModel, t.Host, "find a driver", detail}
}
