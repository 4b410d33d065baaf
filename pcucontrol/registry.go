package pcucontrol

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
)

// Catalog is a set of models that can be driven. The package's own functions use the built-in one.
type Catalog struct{ models []ModelInfo }

// ModelInfo describes a model that can be driven.
type ModelInfo struct {
	Name         string      `json:"name"`
	About        string      `json:"about"`
	Transports   []Transport `json:"transports"`   // in the order they are tried
	Capabilities []string    `json:"capabilities"` // of Can, by one transport or another
	Outlets      bool        `json:"outlets"`      // false: it switches one machine, and no outlet need be named

	ways []way
}

// Transport is a way to a device, with its usual port.
type Transport struct {
	Name string   `json:"name"` // telnet, ssh, tcp, http, https, udp
	Port int      `json:"port"`
	Can  []string `json:"can"` // of test, status, on, off, cycle, reset, shutdown, boot, list
}

// way is a transport and what drives the model over it.
type way struct {
	Transport
	driver driver
}

// waysTo are the ways that fit a target: the transport it names, else the one whose usual port it names, else all.
func (m ModelInfo) waysTo(t Target) []way {
	pick := func(fits func(way) bool) []way {
		return slices.DeleteFunc(slices.Clone(m.ways), func(w way) bool { return !fits(w) })
	}
	if t.Transport != "" {
		return pick(func(w way) bool { return w.Name == t.Transport })
	}
	if usual := pick(func(w way) bool { return w.Port == t.Port }); len(usual) > 0 {
		return usual
	}
	return m.ways
}

// builtin is read once: the files are in the program, and nothing changes them.
var builtin = sync.OnceValue(func() *Catalog {
	c := &Catalog{}
	entries, err := modelFiles.ReadDir("models")
	for _, e := range entries {
		text, readErr := modelFiles.ReadFile("models/" + e.Name())
		found, parseErr := readConversations(e.Name(), text)
		err = errors.Join(err, readErr, parseErr)
		c.add(found)
	}
	for _, m := range protocols() {
		c.prefer(m)
	}
	if err != nil {
		panic(err) // a broken file in the program itself; the tests read them all
	}
	return c
})

// Open is the built-in catalog and, before it, the models in an operator's folders of model files. docs/pcu.md tells their form.
func Open(dirs ...string) (*Catalog, error) {
	c := &Catalog{models: slices.Clone(builtin().models)}
	for _, dir := range dirs {
		found, err := readDir(dir)
		if err != nil {
			return nil, err
		}
		c.add(found)
	}
	return c, nil
}

// protocols are the models that need code. Where a model of that name has a conversation, too, that is the second choice.
func protocols() []ModelInfo {
	return []ModelInfo{
		model("OpenIPMI", "any BMC that speaks IPMI 2.0 over LAN", false, everything("udp", 623, ipmi{&suiteMemory{}}, "reset", "shutdown", "boot")),
		model(Manual, "switched by people, whom Monitor asks", true),
		model("APCSNMP", "APC switched rack by SNMP (PowerNet-MIB); the password is the community", true, bySNMP(apcTables())),
		model("CyberPowerSNMP", "CyberPower switched rack by SNMP (CPS-MIB)", true, bySNMP(cyberPowerTables())),
		model("EatonSNMP", "Eaton switched ePDU by SNMP (EATON-EPDU-MIB)", true, bySNMP(eatonTables())),
		model("RaritanSNMP", "Raritan PX by SNMP (PDU2-MIB, PDU-MIB)", true, bySNMP(raritanTables())),
		model("SentrySNMP", "Server Technology Sentry CDU by SNMP (Sentry3-MIB)", true, bySNMP(sentryTables())),
		model("TrippLiteSNMP", "Tripp Lite switched rack by SNMP (TRIPPLITE-MIB)", true, bySNMP(trippLiteTables())),
		model("IPAL", "Dataprobe iPAL", true, everything("tcp", 9100, ipal{}, "list")),
		model("HPiLO", "HP iLO", false, everything("https", 443, ribcl{}, "reset", "shutdown")),
		model("IntelAMT", "Intel AMT", false, everything("http", 16992, amt{}, "reset"), everything("https", 16993, amt{}, "reset")),
		model(redfishModel, "anything that speaks Redfish: iLO 5, iDRAC 9, XClarity, OpenBMC", false, everything("https", 443, redfish{}, "reset", "shutdown", "boot", "list")),
	}
}

func bySNMP(tables []outletTable) way { return everything("udp", 161, snmp{tables}, "list") }

func everything(name string, port int, d driver, more ...string) way {
	return way{Transport{name, port, append([]string{"test", "status", "on", "off", "cycle"}, more...)}, d}
}

func model(name, about string, outlets bool, ways ...way) ModelInfo {
	m := ModelInfo{Name: name, About: about, Outlets: outlets, Transports: []Transport{}, Capabilities: []string{}, ways: ways}
	for _, w := range ways {
		m.Transports = append(m.Transports, w.Transport)
		for _, word := range w.Can {
			if !slices.Contains(m.Capabilities, word) {
				m.Capabilities = append(m.Capabilities, word)
			}
		}
	}
	return m
}

// add takes conversations in, in the place of models of the same name.
func (c *Catalog) add(found map[string]conversation) {
	for name, conv := range found {
		transports, _ := conv.transports() // checked when read
		var ways []way
		for _, tr := range transports {
			tr.Can = conv.capabilities()
			if conv.isWeb() {
				ways = append(ways, way{tr, pages{conv}})
				continue
			}
			ways = append(ways, way{tr, text{conv, tr.Name}})
		}
		c.models = append(slices.DeleteFunc(c.models, func(o ModelInfo) bool { return o.Name == name }), model(name, conv.About, !conv.Single, ways...))
	}
	slices.SortFunc(c.models, func(a, b ModelInfo) int { return cmp.Compare(a.Name, b.Name) })
}

// prefer takes a model in, before what is known of it.
func (c *Catalog) prefer(m ModelInfo) {
	if i := slices.IndexFunc(c.models, func(o ModelInfo) bool { return o.Name == m.Name }); i >= 0 {
		m = model(m.Name, m.About, m.Outlets, append(m.ways, c.models[i].ways...)...)
		c.models = slices.Delete(c.models, i, i+1)
	}
	c.models = append(c.models, m)
	slices.SortFunc(c.models, func(a, b ModelInfo) int { return cmp.Compare(a.Name, b.Name) })
}

// Models lists the models that can be driven, by name.
func (c *Catalog) Models() []ModelInfo { return slices.Clone(c.models) }

// families says which model drives a record whose model name only contains a known word. The first that fits is taken, as the
// records of PLC have always been read.
func families() [][2]string {
	return [][2]string{
		{"AMT", "IntelAMT"}, {"BayTech", "BayTech"}, {"HPiLO", "HPiLO"}, {"IPAL", "IPAL"}, {"APC", "APCControl"}, {"DRAC", "DRAC"}, {"WTI", "WTIIPS4"},
		{"ePowerSwitch", "ePowerSwitchNew"}, {"IPMI", "OpenIPMI"}, {"BlackBoxPSMaverick", "BlackBoxPSMaverick"},
		{"PM211MIP", Manual}, {"ManualPCU", Manual},
		{"Raritan", "RaritanSNMP"}, {"Eaton", "EatonSNMP"}, {"Sentry", "SentrySNMP"}, {"CyberPower", "CyberPowerSNMP"}, {"TrippLite", "TrippLiteSNMP"},
		{"OpenBMC", redfishModel}, {"ILOM", "SunILOM"}, {"DigitalLoggers", "DigitalLoggers"},
	}
}

// Manual is the model of a PCU that people switch. It resolves, and every operation on it is Unsupported: ask them.
const Manual = "Manual"

const customModel = "Custom"

// Resolve is the model that drives a record with this model name: the exact name, else by what the name contains. A record without
// one is manual.
func (c *Catalog) Resolve(name string) (ModelInfo, error) {
	find := func(name string) (ModelInfo, bool) {
		i := slices.IndexFunc(c.models, func(m ModelInfo) bool { return m.Name == name })
		if i < 0 {
			return ModelInfo{}, false
		}
		return c.models[i], true
	}
	if m, ok := find(cmp.Or(name, Manual)); ok {
		return m, nil
	}
	if name == customModel {
		return ModelInfo{}, &Error{Kind: UnknownModel, Doing: "find a driver", Detail: "a custom PCU needs a model file in one of the folders of models: " +
			"the name of the model in the record, its transports and its pages; docs/pcu.md tells how to write one"}
	}
	for _, family := range families() {
		if !strings.Contains(name, family[0]) {
			continue
		}
		if m, ok := find(family[1]); ok {
			return m, nil
		}
	}
	return ModelInfo{}, &Error{Kind: UnknownModel, Doing: "find a driver", Detail: fmt.Sprintf("%q; near it are %s", name, strings.Join(near(name, c.models), ", "))}
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
