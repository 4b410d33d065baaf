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

func kinds() []kind {
	both := []string{"telnet", "ssh"}
	list := []kind{
		{"OpenIPMI", []string{"udp"}, bmc.New},
		{"APCSNMP", []string{"udp"}, agent.New},
		{"CyberPowerSNMP", []string{"udp"}, agent.New},
		{"EatonSNMP", []string{"udp"}, agent.New},
		{"RaritanSNMP", []string{"udp"}, agent.New},
		{"SentrySNMP", []string{"udp"}, agent.New},
		{"TrippLiteSNMP", []string{"udp"}, agent.New},
		{"APCControl", []string{"ssh", "telnet"}, func(o Options) (Device, error) { return racks.NewAPCCLI(o), nil }},
		{"WTIIPS4", []string{"telnet"}, func(o Options) (Device, error) { return racks.NewWTI(o, "IPS> "), nil }},
		{"WTINPS", both, func(o Options) (Device, error) { return racks.NewWTI(o, "NPS> "), nil }},
		{"DRAC", []string{"ssh"}, func(o Options) (Device, error) { return machines.NewDRAC(o), nil }},
		{"HPiLO", []string{"https", "ssh"}, func(o Options) (Device, error) {
			if o.Transport == "ssh" {
				return machines.NewILOShell(o), nil
			}
			return machines.NewILO(o)
		}},
		{"IntelAMT", []string{"http", "https"}, machines.NewAMT},
		{"Redfish", []string{"https"}, machines.NewRedfish},
		{"ePowerSwitchNew", []string{"http"}, plugs.NewEPowerSwitch},
		{"ePowerSwitchOld", []string{"http"}, plugs.NewEPowerSwitchOld},
		{"DigitalLoggers", []string{"http"}, plugs.NewDigitalLoggers},
		{"SunILOM", []string{"ssh"}, func(o Options) (Device, error) { return machines.NewILOM(o), nil }},
		{"CycladesPM", both, func(o Options) (Device, error) { return racks.NewCyclades(o), nil }},
		{"NUT", []string{"tcp"}, func(o Options) (Device, error) { return racks.NewNUT(o), nil }},
		{"Tasmota", []string{"http"}, plugs.NewTasmota},
		{"WakeOnLAN", []string{"udp"}, machines.NewSleeper},
		{"Shelly", []string{"http"}, plugs.NewShelly},
		{"ShellyGen2", []string{"http"}, plugs.NewShellyGen2},
		{"BlackBoxPSMaverick", []string{"http"}, plugs.NewBlackBox},
		{"IPAL", []string{"tcp", "telnet"}, func(o Options) (Device, error) {
			if o.Transport == "tcp" {
				return racks.NewIPAL(o), nil
			}
			return racks.NewIPALTelnet(o), nil
		}},
	}
	for model, menu := range map[string]string{"APCControl12p3": "1 2 p 3", "APCControl1p4": "1 p 4",
		"APCControl121p3": "1 2 1 p 3", "APCControl121p1": "1 2 1 p 1 3", "APCControl13p13": "1 3 p 1 3"} {
		list = append(list, kind{model, both, func(o Options) (Device, error) {
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
	for model, b := range racks.BayTechs() {
		faces := both
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
	slices.SortFunc(list, func(a, b kind) int { return strings.Compare(a.model, b.model) })
	return list
}
