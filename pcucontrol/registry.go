package pcucontrol

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// ModelInfo describes a model that can be driven.
type ModelInfo struct {
	Name         string      `json:"name"`
	Transports   []Transport `json:"transports"`   // in the order they are tried
	Capabilities []string    `json:"capabilities"` // of test, status, on, off, cycle
	Outlets      bool        `json:"outlets"`      // false: it switches one machine, and no outlet need be named
	About        string      `json:"about"`

	driver driver
}

// Transport is a way to a device, with its usual port.
type Transport struct {
	Name string `json:"name"` // telnet, ssh, tcp, http, https, udp
	Port int    `json:"port"`
}

// apcMenus are the menu paths of the APC firmwares, by model name. The p stands for the outlet; the last step is the power
// command of the outlet's menu. Source: the control console of AP79xx units, as the seed's models drove it.
func apcMenus() map[string][]string {
	return map[string][]string{
		"APCControl12p3":  {"1", "2", "p", "3"},
		"APCControl1p4":   {"1", "p", "4"},
		"APCControl121p3": {"1", "2", "1", "p", "3"},
		"APCControl121p1": {"1", "2", "1", "p", "1", "3"},
		"APCControl13p13": {"1", "3", "p", "1", "3"},
	}
}

func everything() []string { return []string{"test", "status", "on", "off", "cycle"} }

// Models lists the models that can be driven, by name.
func Models() []ModelInfo {
	models := []ModelInfo{
		{"OpenIPMI", []Transport{{"udp", 623}}, everything(), false, "any BMC that speaks IPMI 2.0 over LAN", ipmi{}},
	}
	for name, menu := range apcMenus() {
		models = append(models, ModelInfo{name, []Transport{{"telnet", 23}, {"ssh", 22}}, everything(), true, "APC rack, control console menus", apc{menu}})
	}
	slices.SortFunc(models, func(a, b ModelInfo) int { return cmp.Compare(a.Name, b.Name) })
	return models
}

// families says which model drives a record whose model name only contains a known word. The first that fits is taken, as the
// records of PLC have always been read.
func families() [][2]string {
	return [][2]string{
		{"AMT", "IntelAMT"}, {"BayTech", "BayTech"}, {"HPiLO", "HPiLO"}, {"IPAL", "IPAL"}, {"APC", "APCControl"}, {"DRAC", "DRAC"}, {"WTI", "WTIIPS4"},
		{"ePowerSwitch", "ePowerSwitchNew"}, {"IPMI", "OpenIPMI"}, {"BlackBoxPSMaverick", "BlackBoxPSMaverick"},
		{"PM211MIP", manualModel}, {"ManualPCU", manualModel},
	}
}

const manualModel = "Manual"

// Resolve is the model that drives a record with this model name: the exact name, else by what the name contains.
func Resolve(name string) (ModelInfo, error) {
	models := Models()
	find := func(name string) (ModelInfo, bool) {
		i := slices.IndexFunc(models, func(m ModelInfo) bool { return m.Name == name })
		if i < 0 {
			return ModelInfo{}, false
		}
		return models[i], true
	}
	if m, ok := find(name); ok {
		return m, nil
	}
	if name == "" || name == manualModel {
		return ModelInfo{}, &Error{Kind: Unsupported, Doing: "find a driver", Detail: "a manual PCU is switched by people"}
	}
	for _, family := range families() {
		if !strings.Contains(name, family[0]) {
			continue
		}
		if family[1] == manualModel {
			return ModelInfo{}, &Error{Kind: Unsupported, Doing: "find a driver", Detail: "a manual PCU is switched by people"}
		}
		if m, ok := find(family[1]); ok {
			return m, nil
		}
	}
	return ModelInfo{}, &Error{Kind: UnknownModel, Doing: "find a driver", Detail: fmt.Sprintf("%q; near it are %s", name, strings.Join(near(name, models), ", "))}
}

// near are the three names that take the fewest edits from this one.
func near(name string, models []ModelInfo) []string {
	names := make([]string, len(models))
	for i, m := range models {
		names[i] = m.Name
	}
	slices.SortStableFunc(names, func(a, b string) int { return cmp.Compare(edits(name, a), edits(name, b)) })
	return names[:min(3, len(names))]
}

// edits is the Levenshtein distance, upper and lower case being the same.
func edits(a, b string) int {
	a, b = strings.ToLower(a), strings.ToLower(b)
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		last := row[0]
		row[0] = i + 1
		for j := range len(b) {
			substitute := last
			if a[i] != b[j] {
				substitute++
			}
			last = row[j+1]
			row[j+1] = min(substitute, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
