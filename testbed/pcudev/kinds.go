package pcudev

import (
	"fmt"
	"slices"
	"strings"

	"github.com/planetlab/monitor/testbed/pcudev/internal/agent"
	"github.com/planetlab/monitor/testbed/pcudev/internal/bmc"
	"github.com/planetlab/monitor/testbed/pcudev/internal/machines"
	"github.com/planetlab/monitor/testbed/pcudev/internal/plugs"
	"github.com/planetlab/monitor/testbed/pcudev/internal/racks"
)

// New makes a device of any model, ready to serve:
//
//	d, err := pcudev.New(pcudev.Options{Model: "OpenIPMI", User: "admin", Password: "secret", Outlets: rack})
//	if d.Network() == "udp" { err = d.ServePacket(socket) } else { err = d.Serve(listener) }
func New(o Options) (Device, error) {
	i := slices.IndexFunc(kinds(), func(k kind) bool { return k.model == o.Model })
	if i < 0 {
		return nil, fmt.Errorf("no testbed device is a %q; there are %s", o.Model, strings.Join(Models(), ", "))
	}
	k := kinds()[i]
	if o.Transport == "" {
		o.Transport = k.transports[0]
	}
	if !slices.Contains(k.transports, o.Transport) {
		return nil, fmt.Errorf("the testbed's %s speaks %s, not %q", o.Model, strings.Join(k.transports, ", "),
			o.Transport)
	}
	return k.make(o)
}

// Models are the model names that New takes.
func Models() []string {
	var names []string
	for _, k := range kinds() {
		names = append(names, k.model)
	}
	return names
}

// Transports are those that a model's device speaks, its first one first.
func Transports(model string) []string {
	for _, k := range kinds() {
		if k.model == model {
			return k.transports
		}
	}
	return nil
}

type kind struct {
	model      string
	transports []string
	make       func(Options) (Device, error)
}

// kinds are all devices, by model.
func kinds() []kind {
	list := slices.Concat(racksOfOutlets(), serviceProcessors(), switchesOfHTTP(), menusOfAPC(), unitsOfBayTech())
	slices.SortFunc(list, func(a, b kind) int { return strings.Compare(a.model, b.model) })
	return list
}

// of makes a device that needs nothing that might not be had.
func of[D Device](make func(Options) D) func(Options) (Device, error) {
	return func(o Options) (Device, error) { return make(o), nil }
}

// by makes a device that is one thing on a transport and another on the other.
func by(transport string, on, other func(Options) (Device, error)) func(Options) (Device, error) {
	return func(o Options) (Device, error) {
		if o.Transport == transport {
			return on(o)
		}
		return other(o)
	}
}

func racksOfOutlets() []kind {
	both := []string{"telnet", "ssh"}
	list := []kind{
		{"APCControl", []string{"ssh", "telnet"}, of(racks.NewAPCCLI)},
		{"CycladesPM", both, of(racks.NewCyclades)},
		{"IPAL", []string{"tcp", "telnet"}, by("tcp", of(racks.NewIPAL), of(racks.NewIPALTelnet))},
		{"NUT", []string{"tcp"}, of(racks.NewNUT)},
		{"WTIIPS4", []string{"telnet"}, func(o Options) (Device, error) { return racks.NewWTI(o, "IPS> "), nil }},
		{"WTINPS", both, func(o Options) (Device, error) { return racks.NewWTI(o, "NPS> "), nil }},
	}
	for _, maker := range []string{"APC", "CyberPower", "Eaton", "Raritan", "Sentry", "TrippLite"} {
		list = append(list, kind{maker + "SNMP", []string{"udp"}, agent.New})
	}
	return list
}

func serviceProcessors() []kind {
	return []kind{
		{"DRAC", []string{"ssh"}, of(machines.NewDRAC)},
		{"HPiLO", []string{"https", "ssh"}, by("https", machines.NewILO, of(machines.NewILOShell))},
		{"IntelAMT", []string{"http", "https"}, machines.NewAMT},
		{"OpenIPMI", []string{"udp"}, bmc.New},
		{"Redfish", []string{"https"}, machines.NewRedfish},
		{"SunILOM", []string{"ssh"}, of(machines.NewILOM)},
		{"WakeOnLAN", []string{"udp"}, machines.NewSleeper},
	}
}

func switchesOfHTTP() []kind {
	http := []string{"http"}
	return []kind{
		{"BlackBoxPSMaverick", http, plugs.NewBlackBox},
		{"DigitalLoggers", http, plugs.NewDigitalLoggers},
		{"ePowerSwitchNew", http, plugs.NewEPowerSwitch},
		{"ePowerSwitchOld", http, plugs.NewEPowerSwitchOld},
		{"Shelly", http, plugs.NewShelly},
		{"ShellyGen2", http, plugs.NewShellyGen2},
		{"Tasmota", http, plugs.NewTasmota},
	}
}

// menusOfAPC are the racks whose outlets lie behind one row of choices or another.
func menusOfAPC() (list []kind) {
	for model, menu := range map[string]string{
		"APCControl12p3": "1 2 p 3", "APCControl1p4": "1 p 4", "APCControl121p3": "1 2 1 p 3",
		"APCControl121p1": "1 2 1 p 1 3", "APCControl13p13": "1 3 p 1 3",
	} {
		list = append(list, kind{model, []string{"telnet", "ssh"}, func(o Options) (Device, error) {
			return &racks.APC{
				Menu:     strings.Fields(menu),
				User:     o.User,
				Password: o.Password,
				Outlets:  o.Outlets,
				OffTime:  o.OffTime,
				SSH:      o.Transport == "ssh",
			}, nil
		}})
	}
	return list
}

func unitsOfBayTech() (list []kind) {
	for model, b := range racks.BayTechs() {
		faces := []string{"telnet", "ssh"}
		switch {
		case b.Hangs != 0:
			faces = []string{"ssh"}
		case b.Choice != "":
			faces = []string{"ssh", "telnet"}
		}
		list = append(list, kind{model, faces, func(o Options) (Device, error) {
			return racks.NewBayTech(o, b, model == "BayTechGeorgeTown"), nil
		}})
	}
	return list
}
