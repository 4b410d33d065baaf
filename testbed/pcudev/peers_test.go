package pcudev_test

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/planetlab/monitor/testbed/debian"
	"github.com/planetlab/monitor/testbed/pcudev"
)

// peer is a real client from Debian, what it is told to do with one of our devices, and what must come of it. In the
// words of its command line {host}, {port}, {user}, {password} and {options} (of ssh) are filled in.
type peer struct {
	name             string
	pkg              string
	also             string // programs that the first one runs, each with its package
	model, transport string
	command          []string // the first word is the program
	says             string   // what it prints when it is content
	events           string   // what the device switched
	at               string   // address and port, for clients that know but one port
	fault            string
	user, password   string // if not the usual ones
}

const sshQuietly = "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null"

// fence is a fence agent's command line on the third outlet.
func fence(agent, action, more string) []string {
	words := "fence_" + agent + " -a {host} -u {port} -l {user} -p {password} -o " + action + " --power-wait=0 " +
		"--login-timeout=30 --shell-timeout=30 " + more
	return strings.Fields(words)
}

// bySSH is the same over ssh.
func bySSH(agent, action, more string) []string {
	return append(fence(agent, action, more), "--ssh", "--ssh-options={options}")
}

func ipmi(words string) []string {
	return strings.Fields("ipmitool -I lanplus -H {host} -p {port} -U {user} -P {password} " + words)
}

// person types what they see fit: each pair of words is what to wait for, or silence, and what to type then.
func person(spawn string, talk ...string) []string {
	script := "set timeout 60; spawn -noecho " + spawn + "; expect_after timeout {puts STUCK; exit 1} eof {puts " +
		"HUNGUP; exit 1}; "
	for i := 0; i+1 < len(talk); i += 2 {
		wait := fmt.Sprintf("expect {%s}", talk[i])
		if talk[i] == silence {
			wait = "sleep 1"
		}
		script += fmt.Sprintf("%s; send -- \"%s\"; ", wait, talk[i+1])
	}
	return []string{"expect", "-c", script + "expect eof {exit 0}"}
}

const silence = "(silence)"

func peers() []peer {
	const telnet, ssh = "telnet {host} {port}", "ssh {options} -p {port} {user}@{host}"
	list := []peer{
		{name: "fence_apc lists the outlets of 12p3's menus", model: "APCControl12p3", transport: "telnet",
			command: fence("apc", "list", ""), says: "8,Outlet 8"},
		{name: "fence_apc reboots by the menus of 12p3", model: "APCControl12p3", transport: "telnet",
			command: fence("apc", "reboot", "-n 3"), says: "Success: Rebooted", events: "3 off, 3 on"},
		{name: "fence_apc reboots by the menus of 121p3", model: "APCControl121p3", transport: "telnet",
			command: fence("apc", "reboot", "-n 3"), says: "Success: Rebooted", events: "3 off, 3 on"},
		{name: "fence_apc turns off by the menus of 121p1", model: "APCControl121p1", transport: "telnet",
			command: fence("apc", "off", "-n 3"), says: "Success: Powered OFF", events: "3 off"},
		{name: "fence_apc turns off by the menus of 13p13", model: "APCControl13p13", transport: "telnet",
			command: fence("apc", "off", "-n 3"), says: "Success: Powered OFF", events: "3 off"},
		{name: "fence_apc reboots by menus over ssh", model: "APCControl12p3", transport: "ssh",
			command: bySSH("apc", "reboot", "-n 3"), says: "Success: Rebooted", events: "3 off, 3 on"},
		{name: "fence_apc reboots by AOS 5's command line over telnet", model: "APCControl", transport: "telnet",
			command: fence("apc", "reboot", "-n 3"), says: "Success: Rebooted", events: "3 off, 3 on"},
		{name: "fence_apc reboots by AOS 5's command line over ssh", model: "APCControl", transport: "ssh",
			command: bySSH("apc", "reboot", "-n 3"), says: "Success: Rebooted", events: "3 off, 3 on"},
		{name: "fence_wti reboots by telnet", model: "WTIIPS4", transport: "telnet",
			command: fence("wti", "reboot", "-n 3"), says: "Success: Rebooted", events: "3 off, 3 on"},
		{name: "fence_wti turns off by ssh", model: "WTINPS", transport: "ssh",
			command: bySSH("wti", "off", "-n 3"), says: "Success: Powered OFF", events: "3 off"},
		{name: "fence_drac5 reboots by ssh", model: "DRAC", transport: "ssh",
			command: bySSH("drac5", "reboot", ""), says: "Success: Rebooted", events: "1 off, 1 on"},
		{name: "fence_drac5 waits for a host that powers off slowly", model: "DRAC", transport: "ssh",
			command: bySSH("drac5", "off", ""), says: "Success: Powered OFF", events: "1 off", fault: pcudev.Lags},
		{name: "fence_ilo_ssh reboots", model: "HPiLO", transport: "ssh",
			command: bySSH("ilo_ssh", "reboot", ""), says: "Success: Rebooted", events: "1 off, 1 on"},
		{name: "fence_ilo4_ssh resets", model: "HPiLO", transport: "ssh",
			command: bySSH("ilo4_ssh", "reboot", "--method=cycle"), says: "Success: Rebooted", events: "1 off, 1 on"},
		{name: "fence_ipmilan reboots", model: "OpenIPMI", transport: "udp",
			command: fence("ipmilan", "reboot", "-P"), says: "Success: Rebooted", events: "1 off, 1 on"},
		{name: "fence_ipmilan cycles", model: "OpenIPMI", transport: "udp",
			command: fence("ipmilan", "reboot", "-P --method=cycle"), says: "Success: Rebooted", events: "1 off, 1 on"},
		{name: "ipmitool cycles", pkg: "ipmitool", model: "OpenIPMI", transport: "udp",
			command: ipmi("chassis power cycle"), says: "Cycle", events: "1 off, 1 on"},
		{name: "ipmitool turns off with cipher suite 17", pkg: "ipmitool", model: "OpenIPMI", transport: "udp",
			command: ipmi("-C 17 chassis power off"), says: "Down/Off", events: "1 off"},
		{name: "ipmitool reads the status with cipher suite 3", pkg: "ipmitool", model: "OpenIPMI", transport: "udp",
			command: ipmi("-C 3 chassis status"), says: "System Power         : on"},
		{
			name:      "fence_apc_snmp reboots by v1",
			model:     "APCSNMP",
			transport: "udp",
			also:      "snmpget snmp",
			says:      "Success: Rebooted",
			events:    "3 off, 3 on",
			command:   strings.Fields("fence_apc_snmp -a {host} -u {port} -c {password} -n 3 -o reboot --power-wait=0"),
		},
		{
			name:      "fence_apc_snmp turns off by v2c",
			model:     "APCSNMP",
			transport: "udp",
			also:      "snmpget snmp",
			says:      "Success: Powered OFF",
			events:    "3 off",
			command: strings.Fields(
				"fence_apc_snmp -a {host} -u {port} -d 2c -c {password} -n 3 -o off --power-wait=0"),
		},
		{
			name:      "fence_apc_snmp turns off by v3",
			model:     "APCSNMP",
			transport: "udp",
			also:      "snmpget snmp",
			says:      "Success: Powered OFF",
			events:    "3 off",
			command: strings.Fields(
				"fence_apc_snmp -a {host} -u {port} -d 3 -l {user} -p {password} -P {password} --snmp-auth-prot=SHA " +
					"--snmp-priv-prot=AES --snmp-sec-level=authPriv -n 3 -o off --power-wait=0"),
		},
		{
			name:      "fence_eaton_snmp turns off at a managed ePDU",
			model:     "EatonSNMP",
			transport: "udp",
			also:      "snmpget snmp",
			fault:     pcudev.ManagedEPDU,
			says:      "Success: Powered OFF",
			events:    "3 off",
			command: strings.Fields(
				"fence_eaton_snmp -a {host} -u {port} -d 2c -c {password} -n 3 -o off --power-wait=0"),
		},
		{
			name:      "fence_tripplite_snmp turns off a Tripp Lite",
			model:     "TrippLiteSNMP",
			transport: "udp",
			also:      "snmpget snmp",
			says:      "Success: Powered OFF",
			events:    "3 off",
			command: strings.Fields(
				"fence_tripplite_snmp -a {host} -u {port} -d 2c -c {password} -n 3 -o off --power-wait=0"),
		},
		{
			name:      "ipmi-chassis reads the status",
			pkg:       "freeipmi-tools",
			model:     "OpenIPMI",
			transport: "udp",
			says:      "System Power                        : on",
			command: strings.Fields(
				"ipmi-chassis -D LAN_2_0 -h {host}:{port} -u {user} -p {password} --get-chassis-status"),
		},
		{
			name:      "FreeIPMI cycles",
			pkg:       "freeipmi-tools",
			model:     "OpenIPMI",
			transport: "udp",
			says:      "ok",
			events:    "1 off, 1 on",
			command:   strings.Fields("ipmipower -D LAN_2_0 -h {host}:{port} -u {user} -p {password} --cycle"),
		},
		{
			name:      "FreeIPMI turns off with cipher suite 17 and waits",
			pkg:       "freeipmi-tools",
			model:     "OpenIPMI",
			transport: "udp",
			says:      "ok",
			events:    "1 off",
			command: strings.Fields(
				"ipmipower -D LAN_2_0 -I 17 -h {host}:{port} -u {user} -p {password} --off --wait-until-off"),
		},
		{name: "fence_apc is not let in with a wrong password", model: "APCControl12p3", transport: "telnet",
			command: fence("apc", "off", "-n 3"), says: "Unable to connect/login", fault: pcudev.WrongPassword},
		{name: "fence_apc is not let in by ssh with a wrong password", model: "APCControl", transport: "ssh",
			command: bySSH("apc", "off", "-n 3"), says: "Unable to connect/login", fault: pcudev.WrongPassword},
		{name: "fence_apc is not let in while somebody else is", model: "APCControl12p3", transport: "telnet",
			command: fence("apc", "off", "-n 3"), says: "Unable to connect/login", fault: pcudev.Busy},
		{name: "ipmitool is not let in with a wrong password", pkg: "ipmitool", model: "OpenIPMI", transport: "udp",
			command: ipmi("chassis power off"), says: "Unable to establish", fault: pcudev.WrongPassword},
		{
			name:      "a person with telnet reboots a BayTech",
			pkg:       "telnet",
			model:     "BayTechRPC3NC",
			transport: "telnet",
			events:    "3 off, 3 on",
			says:      "Bye",
			command: person(telnet, "user name: ", `{user}\r`, "Password: ", `{password}\r`, "RPC3-NC>", `Reboot 3\r`,
				"(Y/N)? ", `Y\r`, "RPC3-NC>", `Logout\r`),
		},
		{
			name:      "a person with telnet changes their mind",
			pkg:       "telnet",
			model:     "BayTechRPC3NC",
			transport: "telnet",
			says:      "Bye",
			command: person(telnet, "user name: ", `{user}\r`, "Password: ", `{password}\r`, "RPC3-NC>", `Reboot 3\r`,
				"(Y/N)? ", `N\r`, "RPC3-NC>", `Logout\r`),
		},
		{
			name:      "a person with ssh goes through a BayTech's menu",
			pkg:       "openssh-client",
			model:     "BayTech",
			transport: "ssh",
			events:    "3 off",
			says:      "Bye",
			command: person(ssh, "assword: ", `{password}\r`, "Request :", `5\r`, "DS-RPC>", `Off 3\r`, "(Y/N)? ",
				`y\r`, "DS-RPC>", `logout\r`, "Request :", `T\r`),
		},
		{
			name:      "a person with ssh wakes a BayTech by Ctrl-C",
			pkg:       "openssh-client",
			model:     "BayTechCtrlC",
			transport: "ssh",
			says:      "Bye",
			command:   person(ssh, "assword: ", `{password}\r`, silence, `\003`, "Request :", `T\r`),
		},
		{
			name:      "ssh gives a DRAC one command",
			pkg:       "openssh-client",
			model:     "DRAC",
			transport: "ssh",
			events:    "1 off, 1 on",
			says:      "successful",
			command:   person(ssh+" racadm serveraction powercycle", "assword: ", `{password}\r`),
		},
		{
			name:      "ssh gives an iLO one command",
			pkg:       "openssh-client",
			model:     "HPiLO",
			transport: "ssh",
			events:    "1 off",
			says:      "COMMAND COMPLETED",
			command:   person(ssh+" power off hard", "assword: ", `{password}\r`),
		},
		{
			name:      "a pipe of lines goes through an APC's menus and cancels",
			pkg:       "bash",
			model:     "APCControl12p3",
			transport: "telnet",
			says:      "Connection Closed",
			command: []string{
				"bash",
				"-c",
				`exec 3<>/dev/tcp/{host}/{port}; printf '%s\n' {user} {password} 1 2 3 3 "" $'\e' $'\e' $'\e' 4 >&3; cat <&3`,
			},
		},
		{
			name:      "a person with telnet pulses an iPAL's outlet",
			pkg:       "telnet",
			model:     "IPAL",
			transport: "telnet",
			events:    "3 off, 3 on",
			says:      "Bye",
			command: person(telnet, silence, `\r`, silence, `\r`, "Password > ", `{password}\r`, "Enter > ", `P3\r`,
				"Enter > ", `X\r`),
		},
		{
			name:      "a person with telnet goes up and down an APC's menus by ESC",
			pkg:       "telnet",
			model:     "APCControl1p4",
			transport: "telnet",
			says:      "Bye",
			command: person(telnet, "User Name : ", `{user}\r`, "Password  : ", `{password}\r`, "Logout", `1\r`,
				"Outlet 3", `3\r`, "State", `\033`, "Outlet 3", `\033`, "Logout", `4\r`),
		},
	}
	list = slices.Concat(list, webPeers(), powermanPeers())
	for i := range list {
		if list[i].pkg == "" {
			list[i].pkg = "fence-agents"
		}
		if list[i].command[0] == "expect" {
			list[i].also, list[i].pkg = map[string]string{"telnet": "telnet telnet",
				"openssh-client": "ssh openssh-client"}[list[i].pkg], "expect"
		}
	}
	return list
}

// powerman runs LLNL's daemon with one of the device files that come with it, the password in it replaced by ours, and
// gives it orders. It listens at another address of loopback, by the device's port.
// The kind is the device file and, after a colon, the specification in it where that has another name.
func powerman(kind, password, orders string) []string {
	return powermanBy("{host}:{port}", `"t[1-8]" "d" "[1-8]"`, kind, password, orders)
}

// powermanBy is the same by another line to the device, and with other nodes, of which t3 is one.
func powermanBy(line, nodes, kind, password, orders string) []string {
	file, kind, named := strings.Cut(kind, ":")
	if !named {
		kind = file
	}
	return []string{"bash", "-c", `set -e; cd "$HOME"; me=127.0.0.93:{port}
		sed 's/"` + password + `\\r/"{password}\\r/' /etc/powerman/` + file + `.dev > conf
		printf '%s\n' "listen \"$me\"" 'device "d" "` + kind + `" "` + line + `"' 'node ` + nodes + `' >> conf
		powermand -c conf -f & trap "kill $!" EXIT
		for i in $(seq 300); do powerman -h $me -q 2>/dev/null | grep -q "on: *t" && break; sleep 0.1; done
		for order in ` + orders + `; do powerman -h $me $order t3; done; sleep 1; powerman -h $me -q`}
}

func powermanPeers() []peer {
	const cycled = "3 off, 3 on"
	list := []peer{
		{
			name:    "powerman drives an RPC3-NC that lets everybody in",
			model:   "BayTechRPC3NC",
			fault:   pcudev.AsksNothing + "," + pcudev.NoQuestion,
			command: powerman("baytech-rpc3-nc", "none", "--off --on"),
			events:  cycled,
		},
		{name: "powerman drives an old RPC-3", model: "BayTechRPC3NC", fault: pcudev.OldRPC + "," + pcudev.NoQuestion,
			command: powerman("baytech", "baytech", "--off --on"), events: cycled},
		{
			name:    "powerman drives a WTI NPS",
			model:   "WTINPS",
			fault:   pcudev.NoQuestion,
			command: powerman("wti", "wti", "--off --on"),
			events:  cycled,
		},
		{
			name:    "powerman cycles at a WTI NPS",
			model:   "WTINPS",
			fault:   pcudev.NoQuestion,
			command: powerman("wti", "wti", "--cycle"),
			events:  cycled,
		},
		{name: "powerman drives an APC 7900 of v2", model: "APCControl13p13", user: "apc", password: "apc",
			command: powerman("apc7900", "none", "--off --on"), events: cycled},
		{name: "powerman drives an APC 7900 of v3", model: "APCControl121p1", user: "apc", password: "apc",
			command: powerman("apc7900v3", "none", "--off --on"), events: cycled},
		{name: "powerman drives an AlterPath PM8", model: "CycladesPM", user: "admin", password: "pm8",
			command: powerman("cyclades-pm8:pm8", "none", "--off --on"), events: cycled},
		{
			name:      "powerman drives a Sun ILOM by ssh",
			model:     "SunILOM",
			transport: "ssh",
			user:      "root",
			password:  "changeme",
			command: powermanBy("/usr/bin/ssh {options} -p {port} -l {user} {host} |&", `"t3" "d" "1"`, "ilom", "none",
				"--off --on"),
			also:   "powermand powerman, ssh openssh-client",
			says:   "on:      t3",
			events: "1 off, 1 on",
		},
	}
	for i := range list {
		list[i].pkg, list[i].transport = "bash", cmp.Or(list[i].transport, "telnet")
		list[i].also = cmp.Or(list[i].also, "powermand powerman")
		list[i].says = cmp.Or(list[i].says, "on:      t[1-8]")
	}
	return list
}

func webPeers() []peer {
	curl := func(words ...string) []string {
		return append([]string{"curl", "-sS", "-i", "--max-time", "60"}, words...)
	}
	const ribcl = `<?xml version="1.0"?><RIBCL VERSION="2.0"><LOGIN USER_LOGIN="{user}" PASSWORD="{password}"><SERVER_INFO MODE="write"><RESET_SERVER/></SERVER_INFO></LOGIN></RIBCL>`
	return []peer{
		{name: "fence_redfish reboots", model: "Redfish", transport: "https",
			command: fence("redfish", "reboot", "--ssl-insecure"), says: "Success: Rebooted", events: "1 off, 1 on"},
		{
			name:      "fence_redfish turns off one of several systems",
			model:     "Redfish",
			transport: "https",
			fault:     pcudev.Several,
			command:   fence("redfish", "off", "--ssl-insecure --systems-uri=/redfish/v1/Systems/3"),
			says:      "Success: Powered OFF",
			events:    "3 off",
		},
		{
			name:      "curl resets by Redfish with Basic",
			pkg:       "curl",
			model:     "Redfish",
			transport: "https",
			says:      " 204 ",
			events:    "1 off, 1 on",
			command: curl("-k", "-u", "{user}:{password}", "--json", `{"ResetType":"ForceRestart"}`,
				"https://{host}:{port}/redfish/v1/Systems/1/Actions/ComputerSystem.Reset"),
		},
		{
			name:      "redfishtool resets",
			pkg:       "redfishtool",
			model:     "Redfish",
			transport: "https",
			says:      "Systems reset:  ForceRestart",
			events:    "1 off, 1 on",
			command: strings.Fields(
				"redfishtool -r {host}:{port} -u {user} -p {password} -S Always -A Session -v Systems reset " +
					"ForceRestart"),
		},
		{
			name:      "wget resets by Redfish with Basic",
			pkg:       "wget",
			model:     "Redfish",
			transport: "https",
			says:      "204",
			events:    "1 off, 1 on",
			command: []string{"wget", "-S", "-O", "-", "--no-check-certificate", "--auth-no-challenge", "--user={user}",
				"--password={password}", "--header=Content-Type: application/json",
				`--post-data={"ResetType":"ForceRestart"}`,
				"https://{host}:{port}/redfish/v1/Systems/1/Actions/ComputerSystem.Reset"},
		},
		{
			name:      "wget turns off at a Black Box as it is challenged",
			pkg:       "wget",
			model:     "BlackBoxPSMaverick",
			transport: "http",
			says:      `socket(3,"Outlet 3",0`,
			events:    "3 off",
			command: []string{"wget", "-S", "-O", "-", "--user={user}", "--password={password}", "--post-data=P3=0",
				"http://{host}:{port}/config/home_f.html"},
		},
		{
			name:      "openssl talks RIBCL over bare TLS",
			pkg:       "openssl",
			model:     "HPiLO",
			transport: "https",
			says:      `STATUS="0x0000"`,
			events:    "1 off, 1 on",
			command: []string{"sh", "-c",
				`(echo '` + ribcl + `'; sleep 2) | openssl s_client -quiet -connect {host}:{port}`},
		},
		{name: "curl gets a Redfish session", pkg: "curl", model: "Redfish", transport: "https", says: "X-Auth-Token",
			command: curl("-k", "--http1.1", "--json", `{"UserName":"{user}","Password":"{password}"}`,
				"https://{host}:{port}/redfish/v1/SessionService/Sessions")},
		{name: "fence_ilo reboots by RIBCL over TLS", model: "HPiLO", transport: "https", also: "gnutls-cli gnutls-bin",
			command: fence("ilo", "reboot", "--ssl-insecure"), says: "Success: Rebooted", events: "1 off, 1 on"},
		{
			name:      "fence_ilo2 turns off by RIBCL over TLS",
			model:     "HPiLO",
			transport: "https",
			also:      "gnutls-cli gnutls-bin",
			command:   fence("ilo2", "off", "--ssl-insecure"),
			says:      "Success: Powered OFF",
			events:    "1 off",
		},
		{
			name:      "curl posts RIBCL",
			pkg:       "curl",
			model:     "HPiLO",
			transport: "https",
			says:      `STATUS="0x0000"`,
			events:    "1 off, 1 on",
			command:   curl("-k", "-d", ribcl, "https://{host}:{port}/ribcl"),
		},
		{
			name:      "fence_amt reboots",
			model:     "IntelAMT",
			transport: "http",
			also:      "amttool amtterm, SOAPsh libsoap-lite-perl",
			at:        "127.0.0.90:16992",
			says:      "Success: Rebooted",
			events:    "1 off, 1 on",
			command:   strings.Fields("fence_amt -a {host} -p {password} -o reboot --power-wait=0"),
		},
		{
			name:      "amttool cycles",
			pkg:       "amtterm",
			model:     "IntelAMT",
			transport: "http",
			at:        "127.0.0.91:16992",
			says:      "success",
			events:    "1 off, 1 on",
			command:   []string{"sh", "-c", "echo y | AMT_PASSWORD={password} amttool {host} powercycle"},
			also:      "amttool amtterm, SOAPsh libsoap-lite-perl",
		},
		{
			name:      "curl reboots at an ePowerSwitch",
			pkg:       "curl",
			model:     "ePowerSwitchNew",
			transport: "http",
			says:      `socket(3,"Outlet 3",0`,
			events:    "3 off, 3 on",
			command:   curl("-u", "{user}:{password}", "-d", "P3=r", "http://{host}:{port}/cmd.html"),
		},
		{
			name:      "curl is sent away by an ePowerSwitch without a login",
			pkg:       "curl",
			model:     "ePowerSwitchNew",
			transport: "http",
			says:      "401 Unauthorized",
			command:   curl("-d", "P3=r", "http://{host}:{port}/cmd.html"),
		},
		{
			name:      "curl logs in to an old ePowerSwitch and reboots",
			pkg:       "curl",
			model:     "ePowerSwitchOld",
			transport: "http",
			says:      "socket(3",
			events:    "3 off, 3 on",
			command: curl("-d", "pwd={password}", "http://{host}:{port}/elogin.html", "--next", "-sS", "-d", "P3=r",
				"http://{host}:{port}/econtrol.html"),
		},
		{
			name:      "curl turns off a Shelly of the second generation by Digest",
			pkg:       "curl",
			model:     "ShellyGen2",
			transport: "http",
			says:      `"was_on":true`,
			events:    "3 off",
			command:   curl("--digest", "-u", "{user}:{password}", "http://{host}:{port}/rpc/Switch.Set?id=2&on=false"),
		},
		{
			name:      "curl turns off at a Digital Loggers by Digest",
			pkg:       "curl",
			model:     "DigitalLoggers",
			transport: "http",
			says:      "204 No Content",
			events:    "3 off",
			command: curl("--digest", "-u", "{user}:{password}", "-X", "PUT", "-H", "X-CSRF: x", "-d", "value=false",
				"http://{host}:{port}/restapi/relay/outlets/2/state/"),
		},
		{
			name:      "curl turns off a Shelly by Basic",
			pkg:       "curl",
			model:     "Shelly",
			transport: "http",
			says:      `"ison":false`,
			events:    "3 off",
			command:   curl("-u", "{user}:{password}", "http://{host}:{port}/relay/2?turn=off"),
		},
		{
			name:      "upscmd turns off at a server of NUT",
			pkg:       "nut-client",
			model:     "NUT",
			transport: "tcp",
			says:      "OK",
			events:    "3 off",
			command: []string{"upscmd", "-u", "{user}", "-p", "{password}", "rack@{host}:{port}",
				"outlet.3.load.off"},
		},
		{
			name:      "curl turns off at a Tasmota",
			pkg:       "curl",
			model:     "Tasmota",
			transport: "http",
			says:      `{"POWER3":"OFF"}`,
			events:    "3 off",
			command: curl("--get", "--data-urlencode", "cmnd=Power3 off", "--data-urlencode", "user={user}",
				"--data-urlencode", "password={password}", "http://{host}:{port}/cm"),
		},
		{
			name:      "curl turns off at a Black Box by Digest",
			pkg:       "curl",
			model:     "BlackBoxPSMaverick",
			transport: "http",
			says:      `socket(3,"Outlet 3",0`,
			events:    "3 off",
			command: curl("--digest", "-u", "{user}:{password}", "-d", "P3=0",
				"http://{host}:{port}/config/home_f.html"),
		},
		{
			name:      "curl turns off at a Black Box by Basic",
			pkg:       "curl",
			model:     "BlackBoxPSMaverick",
			transport: "http",
			says:      `socket(3,"Outlet 3",0`,
			events:    "3 off",
			command: curl("--basic", "-u", "{user}:{password}", "-d", "P3=0",
				"http://{host}:{port}/config/home_f.html"),
		},
	}
}

func TestCIInstallsThePackagesOfOurPeers(t *testing.T) {
	list, err := os.ReadFile("../../.ci/packages")
	if err != nil {
		t.Fatal(err)
	}
	installed := strings.Fields(string(list))
	for _, p := range peers() {
		needs := []string{p.pkg}
		for also := range strings.SplitSeq(p.also, ", ") {
			if _, pkg, ok := strings.Cut(also, " "); ok {
				needs = append(needs, pkg)
			}
		}
		for _, pkg := range needs {
			if !slices.Contains(installed, pkg) {
				t.Errorf("%s needs Debian's %s, which is not in .ci/packages", p.name, pkg)
			}
		}
	}
}

const password = "s3cret-Pw"

func TestRealClientsDriveOurDevices(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: real clients take their time")
	}
	for _, p := range peers() {
		t.Run(p.name, func(t *testing.T) {
			path := debian.Need(t, p.command[0], p.pkg)
			for also := range strings.SplitSeq(p.also, ", ") {
				if program, pkg, ok := strings.Cut(also, " "); ok {
					debian.Need(t, program, pkg)
				}
			}
			t.Parallel()
			p.user, p.password = cmp.Or(p.user, "admin"), cmp.Or(p.password, password)
			rack, _, where := start(t, p)
			host, port, _ := net.SplitHostPort(where)
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
			defer cancel()
			fill := strings.NewReplacer("{host}", host, "{port}", port, "{user}", p.user, "{password}", p.password,
				"{options}", sshQuietly)
			var words []string
			for _, w := range p.command[1:] {
				words = append(words, fill.Replace(w))
			}
			cmd := exec.CommandContext(ctx, path, words...)
			cmd.Env = append(os.Environ(), "HOME="+t.TempDir(), "TERM=vt100")
			// a shell then ends what it has begun
			cmd.Cancel, cmd.WaitDelay = func() error { return cmd.Process.Signal(os.Interrupt) }, 10*time.Second
			out, err := cmd.CombinedOutput()
			if !strings.Contains(string(out), p.says) {
				t.Fatalf("%s does not say %q (%v): %s", filepath.Base(path), p.says, err, out)
			}
			for end := time.Now().Add(time.Minute); events(rack) != p.events && time.Now().Before(end); {
				time.Sleep(10 * time.Millisecond)
			}
			if got := events(rack); got != p.events {
				t.Errorf("it switched %q, not %q; %s", got, p.events, out)
			}
		})
	}
}

// start serves a peer's device on loopback.
func start(t *testing.T, p peer) (rack *pcudev.Rack, d pcudev.Device, where string) {
	t.Helper()
	rack, err := pcudev.NewRack(8)
	if err != nil {
		t.Fatal(err)
	}
	d, err = pcudev.New(
		pcudev.Options{
			Model:     p.model,
			Transport: p.transport,
			User:      p.user,
			Password:  p.password,
			Outlets:   rack,
			OffTime:   300 * time.Millisecond,
		},
	)
	if err != nil {
		t.Fatal(err)
	}
	d.Break(p.fault)
	address := cmp.Or(p.at, "127.0.0.1:0")
	if d.Network() == "udp" {
		c, err := net.ListenPacket("udp", address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		go func() { _ = d.ServePacket(c) }()
		return rack, d, c.LocalAddr().String()
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Skipf("%s, where this client looks, is not free: %v", address, err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() { _ = d.Serve(l) }()
	return rack, d, l.Addr().String()
}

func events(r *pcudev.Rack) string {
	var words []string
	for _, e := range r.Events() {
		words = append(words, fmt.Sprintf("%d %s", e.Outlet, e.State))
	}
	return strings.Join(words, ", ")
}
