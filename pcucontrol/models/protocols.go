package models

import (
	"github.com/planetlab/monitor/pcucontrol"
	"github.com/planetlab/monitor/pcucontrol/internal/drivers/amt"
	"github.com/planetlab/monitor/pcucontrol/internal/drivers/ipal"
	"github.com/planetlab/monitor/pcucontrol/internal/drivers/ipmi"
	"github.com/planetlab/monitor/pcucontrol/internal/drivers/nut"
	"github.com/planetlab/monitor/pcucontrol/internal/drivers/redfish"
	"github.com/planetlab/monitor/pcucontrol/internal/drivers/ribcl"
	"github.com/planetlab/monitor/pcucontrol/internal/drivers/snmp"
	"github.com/planetlab/monitor/pcucontrol/internal/drivers/wol"
)

// protocols are the models that need code. Where a model of that name has a conversation, too, that is the second
// choice.
func protocols() []pcucontrol.Model {
	return []pcucontrol.Model{
		pcucontrol.NewModel("OpenIPMI", "any BMC that speaks IPMI 2.0 over LAN", false,
			full("udp", 623, ipmi.New(), "reset", "shutdown", "boot")),
		pcucontrol.NewModel(pcucontrol.Manual, "switched by people, whom Monitor asks", true),
		pcucontrol.NewModel("APCSNMP", "APC switched rack by SNMP (PowerNet-MIB); the password is the community", true,
			bySNMP(snmp.APC())),
		pcucontrol.NewModel("CyberPowerSNMP", "CyberPower switched rack by SNMP (CPS-MIB)", true,
			bySNMP(snmp.CyberPower())),
		pcucontrol.NewModel("EatonSNMP", "Eaton switched ePDU by SNMP (EATON-EPDU-MIB)", true, bySNMP(snmp.Eaton())),
		pcucontrol.NewModel("RaritanSNMP", "Raritan PX by SNMP (PDU2-MIB, PDU-MIB)", true, bySNMP(snmp.Raritan())),
		pcucontrol.NewModel("SentrySNMP", "Server Technology Sentry CDU by SNMP (Sentry3-MIB)", true,
			bySNMP(snmp.Sentry())),
		pcucontrol.NewModel("TrippLiteSNMP", "Tripp Lite switched rack by SNMP (TRIPPLITE-MIB)", true,
			bySNMP(snmp.TrippLite())),
		pcucontrol.NewModel("IPAL", "Dataprobe iPAL", true, full("tcp", 9100, ipal.Driver{}, "list")),
		pcucontrol.NewModel("HPiLO", "HP iLO", false, full("https", 443, ribcl.Driver{}, "reset", "shutdown")),
		pcucontrol.NewModel("IntelAMT", "Intel AMT", false, full("http", 16992, amt.Driver{}, "reset"),
			full("https", 16993, amt.Driver{}, "reset")),
		pcucontrol.NewModel(redfish.Model, "anything that speaks Redfish: iLO 5, iDRAC 9, XClarity, OpenBMC", false,
			full("https", 443, redfish.Driver{}, "reset", "shutdown", "boot", "list")),
		pcucontrol.NewModel("NUT", "outlets and groups that a server of Network UPS Tools speaks for", true,
			full("tcp", 3493, nut.Driver{}, "list")),
		pcucontrol.NewModel("WakeOnLAN",
			"a machine woken by a magic packet; the user name is its network card's address", false,
			pcucontrol.Route{
				Transport: pcucontrol.Transport{Name: "udp", Port: 9, Can: []string{"test", "on"}}, Driver: wol.Driver{},
			}),
	}
}

func bySNMP(tables []snmp.Table) pcucontrol.Route {
	return full("udp", 161, snmp.New(tables), "list")
}

// full is a route by which all can be done that is done to an outlet, and more.
func full(name string, port int, d pcucontrol.Driver, more ...string) pcucontrol.Route {
	can := append([]string{"test", "status", "on", "off", "cycle"}, more...)
	return pcucontrol.Route{Transport: pcucontrol.Transport{Name: name, Port: port, Can: can}, Driver: d}
}

// families says which model drives a record whose model name only contains a known word. The first that fits is taken,
// as the records of PLC have always been read.
func families() []pcucontrol.Family {
	return []pcucontrol.Family{
		{Word: "AMT", Model: "IntelAMT"},
		{Word: "BayTech", Model: "BayTech"},
		{Word: "HPiLO", Model: "HPiLO"},
		{Word: "IPAL", Model: "IPAL"},
		{Word: "APC", Model: "APCControl"},
		{Word: "DRAC", Model: "DRAC"},
		{Word: "WTI", Model: "WTIIPS4"},
		{Word: "ePowerSwitch", Model: "ePowerSwitchNew"},
		{Word: "IPMI", Model: "OpenIPMI"},
		{Word: "BlackBoxPSMaverick", Model: "BlackBoxPSMaverick"},
		{Word: "PM211MIP", Model: pcucontrol.Manual},
		{Word: "ManualPCU", Model: pcucontrol.Manual},
		{Word: "Raritan", Model: "RaritanSNMP"},
		{Word: "Eaton", Model: "EatonSNMP"},
		{Word: "Sentry", Model: "SentrySNMP"},
		{Word: "CyberPower", Model: "CyberPowerSNMP"},
		{Word: "TrippLite", Model: "TrippLiteSNMP"},
		{Word: "OpenBMC", Model: redfish.Model},
		{Word: "Cyclades", Model: "CycladesPM"},
		{Word: "AlterPath", Model: "CycladesPM"},
		{Word: "Tasmota", Model: "Tasmota"},
		{Word: "ILOM", Model: "SunILOM"},
		{Word: "DigitalLoggers", Model: "DigitalLoggers"},
	}
}
