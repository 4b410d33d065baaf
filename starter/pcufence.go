package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/planetlab/monitor/pcucontrol"
)

// Exit codes of fence agents: those of status are on and off.
const (
	fenceDone   = 0
	fenceFailed = 1
	fenceOff    = 2
)

// fenceParameter is an option of the fence agent, as Pacemaker knows it.
type fenceParameter struct {
	name, old, short, about, kind, fallback string
}

// fenceParameters in the order of the metadata. The password may come by standard input, by a file or from a program,
// never on the command line.
func fenceParameters() []fenceParameter {
	return []fenceParameter{
		{"action", "option", "o", "Fencing action", "string", "reboot"},
		{"ip", "ipaddr", "a", "IP address or hostname of fencing device", "string", ""},
		{"ipport", "", "u", "TCP/UDP port to use for connection with device", "integer", ""},
		{"legacy", "ssl_insecure", "", "Permit old ciphers, and certificates that nobody vouches for", "boolean", ""},
		{"model", "", "", "Model of the PCU, as in `monitor pcu models`", "string", ""},
		{"models", "", "", "Folder of more model files", "string", ""},
		{"off_time", "", "", "Seconds that a reboot leaves the outlet off", "second", ""},
		{"password", "passwd", "p", "Login password or passphrase", "string", ""},
		{"password_file", "", "", "File that holds the password", "string", ""},
		{"password_script", "passwd_script", "S", "Script to run to retrieve password", "string", ""},
		{"pcus", "", "", "File of PCUs and aliases; the plug is then one of its names", "string", ""},
		{"plug", "port", "n", "Physical plug number or name on device, or a name of the file of PCUs; several feeds " +
			"of one node with commas between", "string", ""},
		{"transport", "", "", "The only transport to try", "string", ""},
		{"username", "login", "l", "Login name", "string", ""},
		{"delay", "", "", "Wait X seconds before fencing is started", "second", "0"},
		{"power_timeout", "", "", "Test X seconds for status change after ON/OFF", "second", "90"},
		{"quiet", "", "q", "Disable logging to stderr", "boolean", ""},
		{"verbose", "debug", "v", "Show the conversation on standard error", "boolean", ""},
	}
}

func fenceActions() []string {
	return []string{"on", "off", "reboot", "status", "monitor", "list", "list-status", "metadata", "validate-all"}
}

func (a *app) pcuFence() *cobra.Command {
	return &cobra.Command{
		Use: "fence", Short: "Be a fence agent, as Pacemaker calls it", DisableFlagParsing: true,
		Long: `Be a fence agent, as Pacemaker calls it: options come as name=value lines on standard input, or as
--name=value. A script

  #!/bin/sh
  exec monitor pcu fence "$@"

as /usr/sbin/fence_monitor makes it one. Actions: ` + strings.Join(fenceActions(), ", ") + `;
--action=metadata lists the options. With a file of PCUs and no plug, monitor logs in to all of its PCUs, and the lists
are of its aliases, and of machines that have none.

off and reboot succeed only when the device itself says so. Exit codes are those of fence agents: 0 done or on, 2 off
(of status), 1 failed.`,
		Example: "  monitor pcu fence --action=metadata\n  monitor pcu fence --action=status --pcus=pcus.yaml " +
			"--plug=node1",
		RunE: func(cmd *cobra.Command, args []string) error {
			if slices.Contains(args, "--help") || slices.Contains(args, "-h") {
				return cmd.Help()
			}
			options, err := a.fenceOptions(args)
			if err != nil {
				return &exitError{fenceFailed, err}
			}
			code, err := a.fence(cmd.Context(), options)
			switch {
			case err != nil && options["quiet"] != "":
				return &exitError{cmp.Or(code, fenceFailed), errors.New("fencing failed")}
			case err != nil:
				return &exitError{cmp.Or(code, fenceFailed), err}
			case code != fenceDone:
				return &exitError{code, fmt.Errorf("%s is off", options["plug"])}
			}
			return nil
		},
	}
}

// fenceOptions reads --name=value, and without arguments name=value lines of standard input. There, names that are
// unknown are passed over, as all agents do: Pacemaker adds some of its own. On the command line they are mistakes: an
// action that is not understood would be a reboot.
func (a *app) fenceOptions(args []string) (map[string]string, error) {
	given, names := map[string]string{}, map[string]string{}
	for _, p := range fenceParameters() {
		for _, name := range []string{p.name, p.old, p.short} {
			names[name] = p.name
		}
	}
	delete(names, "")
	if len(args) == 0 {
		lines := bufio.NewScanner(io.LimitReader(a.in, 1<<20))
		for lines.Scan() {
			name, value, _ := strings.Cut(strings.TrimSpace(lines.Text()), "=")
			if known := names[strings.TrimSpace(name)]; known != "" {
				given[known] = value
			}
		}
		return given, lines.Err()
	}
	for i := 0; i < len(args); i++ {
		word, value, ok := strings.Cut(args[i], "=")
		name := names[strings.ReplaceAll(strings.TrimLeft(word, "-"), "-", "_")]
		switch {
		case !strings.HasPrefix(word, "-") || name == "":
			return nil, fmt.Errorf("there is no option %q: --action=metadata lists them", word)
		case name == "password":
			return nil, errors.New(
				"a password on the command line is shown to everybody: use standard input, --password-file or " +
					"--password-script")
		case !ok && i+1 < len(args) && !strings.HasPrefix(args[i+1], "-"):
			i++
			value = args[i]
		case !ok:
			value = "1"
		}
		given[name] = value
	}
	return given, nil
}

// fence does an action; the code is that of the agent.
func (a *app) fence(ctx context.Context, o map[string]string) (int, error) {
	action := cmp.Or(o["action"], "reboot")
	if !slices.Contains(fenceActions(), action) {
		return fenceFailed, fmt.Errorf("no action is %q; there are %s", action, strings.Join(fenceActions(), ", "))
	}
	if action == "metadata" {
		return fenceDone, a.fenceMetadata()
	}
	limit, err := seconds(o, "power_timeout", pcuPatience)
	if err != nil {
		return fenceFailed, err
	}
	delay, err := seconds(o, "delay", 0)
	if err != nil {
		return fenceFailed, err
	}
	nodes, c, err := a.fenced(action, o)
	if err != nil || action == "validate-all" {
		return fenceDone, err
	}
	if o["verbose"] != "" && o["verbose"] != "0" {
		a.trace(nodes, len(nodes) > 1)
	}
	select {
	case <-ctx.Done():
		return fenceFailed, ctx.Err()
	case <-time.After(delay):
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if o["pcus"] != "" && o["plug"] == "" {
		return fenceDone, a.fenceFile(ctx, c, action, nodes)
	}
	return a.fenceAct(ctx, c, action, nodes[0])
}

// fenceFile does an action that needs no plug to all that a file of PCUs names.
func (a *app) fenceFile(ctx context.Context, c *pcucontrol.Catalog, action string, nodes []fed) error {
	if action == "list" {
		for _, node := range nodes {
			a.say("%s", clean(node.name+","+node.name))
		}
		return nil
	}
	do := each((*pcucontrol.Catalog).Status)
	if action == "monitor" {
		do = each((*pcucontrol.Catalog).Test)
	}
	states, errs := make([]pcucontrol.State, len(nodes)), make([]error, len(nodes))
	inTurn(nodes, func(i int) {
		r, err := do(c, ctx, nodes[i].feeds)
		if states[i] = r.After; err != nil {
			states[i], errs[i] = pcucontrol.Unknown, fmt.Errorf("%s: %w", nodes[i].name, err)
		}
	})
	if action == "list-status" {
		for i, node := range nodes {
			a.say("%s", clean(node.name+","+node.name+","+string(states[i])))
		}
		return nil
	}
	return errors.Join(errs...)
}

func (a *app) fenceAct(ctx context.Context, c *pcucontrol.Catalog, action string, node fed) (int, error) {
	switch action {
	case "monitor":
		_, err := each((*pcucontrol.Catalog).Test)(c, ctx, node.feeds)
		return fenceDone, err
	case "list", "list-status":
		return fenceDone, a.fenceList(ctx, c, node, action == "list-status")
	}
	if t := node.feeds[0]; t.Outlet == 0 && t.OutletName == "" {
		if m, err := c.Resolve(t.Model); err == nil && m.Outlets {
			return fenceFailed, errors.New("plug is missing: which outlet")
		}
	}
	do := map[string]operation{
		"on": each((*pcucontrol.Catalog).TurnOn), "off": each((*pcucontrol.Catalog).TurnOff),
		"reboot": (*pcucontrol.Catalog).CycleAll,
		"status": each((*pcucontrol.Catalog).Status),
	}[action]
	r, err := do(c, ctx, node.feeds)
	switch {
	case err != nil:
		return fenceFailed, err
	case !r.Verified:
		return fenceFailed, errors.New(
			action + ": the device does not say whether it was done, which is not enough for fencing")
	case action == "status" && r.After == pcucontrol.Off:
		if len(node.feeds) > 1 &&
			slices.ContainsFunc(r.Feeds, func(f pcucontrol.FeedResult) bool { return f.After != pcucontrol.Off }) {
			return fenceDone, nil // a node runs on one feed
		}
		return fenceOff, nil
	}
	return fenceDone, nil
}

func (a *app) fenceList(ctx context.Context, c *pcucontrol.Catalog, node fed, states bool) error {
	list, err := c.List(ctx, node.feeds[0])
	if err != nil {
		return err
	}
	for _, o := range list {
		plug := o.Name
		if o.Outlet > 0 {
			plug = strconv.Itoa(o.Outlet)
		}
		if node.pcu != "" {
			plug = strings.TrimSuffix(node.pcu+":"+plug, ":")
		}
		line := clean(plug + "," + o.Name)
		if states {
			line += "," + string(o.State)
		}
		a.say("%s", line)
	}
	return nil
}

// fenced is the node that the options mean. Where they name a file and none of its names: its PCUs, to look whether
// they answer, or all that it has to fence.
func (a *app) fenced(action string, o map[string]string) ([]fed, *pcucontrol.Catalog, error) {
	if o["models"] != "" {
		a.modelDirs = []string{o["models"]}
	}
	c, err := a.catalog()
	if err != nil {
		return nil, nil, err
	}
	p := pcuChoice{a: a, pcus: o["pcus"], passwordFile: o["password_file"]}
	if err := a.fencePassword(&p, o); err != nil {
		return nil, nil, err
	}
	legacy := o["legacy"]
	p.target = pcucontrol.Target{
		Model:     o["model"],
		Host:      o["ip"],
		Transport: o["transport"],
		User:      o["username"],
		Legacy:    legacy != "" && legacy != "0" && legacy != "false",
	}
	if p.target.OffTime, err = seconds(o, "off_time", 0); err != nil {
		return nil, nil, err
	}
	if text := o["ipport"]; text != "" {
		if p.target.Port, err = strconv.Atoi(text); err != nil {
			return nil, nil, fmt.Errorf("ipport: %q is no number", text)
		}
	}
	var plugs []string
	switch n, err := strconv.Atoi(o["plug"]); {
	case p.pcus == "" && (o["model"] == "" || o["ip"] == ""):
		return nil, nil, errors.New("nothing is named: give pcus and plug, or model and ip")
	case p.pcus == "" && err == nil:
		p.target.Outlet = n
	case p.pcus == "":
		p.target.OutletName = o["plug"]
	case o["plug"] != "":
		plugs = splitOutside(o["plug"])
	case slices.Contains([]string{"on", "off", "reboot", "status"}, action):
		return nil, nil, errors.New("plug is missing: which name of the file of PCUs")
	default:
		f, err := p.file()
		if err != nil {
			return nil, nil, err
		}
		if plugs = f.names(); strings.HasPrefix(action, "list") {
			plugs = f.plugs(c)
		}
	}
	all, err := p.choose(plugs)
	if err != nil {
		return nil, nil, err
	}
	for _, one := range all {
		for _, t := range one.feeds {
			if _, err := c.Resolve(t.Model); err != nil {
				return nil, nil, err
			}
		}
	}
	if o["plug"] != "" { // several feeds with commas between are one node
		node := fed{name: o["plug"], pcu: all[0].pcu}
		for _, one := range all {
			node.feeds = append(node.feeds, one.feeds...)
		}
		all = []fed{node}
	}
	return all, c, nil
}

// fencePassword takes the password that was given, or that a program says.
func (a *app) fencePassword(p *pcuChoice, o map[string]string) error {
	if password, ok := o["password"]; ok {
		p.asked = &password
		return nil
	}
	if o["password_script"] == "" {
		return nil
	}
	text, err := outputOf(o["password_script"])
	if err != nil {
		return fmt.Errorf("password_script: %w", err)
	}
	password := strings.TrimRight(text, "\r\n")
	p.asked = &password
	return nil
}

func seconds(o map[string]string, name string, fallback time.Duration) (time.Duration, error) {
	text := strings.TrimSuffix(o[name], "s")
	if text == "" {
		return fallback, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n > 3600 {
		return 0, fmt.Errorf("%s: %q is no number of seconds", name, o[name])
	}
	return time.Duration(n) * time.Second, nil
}

// The metadata of a fence agent, as fence-agents' API has it.
type (
	fenceXML struct {
		XMLName    xml.Name            `xml:"resource-agent"`
		Name       string              `xml:"name,attr"`
		Short      string              `xml:"shortdesc,attr"`
		Long       string              `xml:"longdesc"`
		Vendor     string              `xml:"vendor-url"`
		Parameters []fenceXMLParameter `xml:"parameters>parameter"`
		Actions    []fenceXMLAction    `xml:"actions>action"`
	}
	fenceXMLParameter struct {
		Name       string `xml:"name,attr"`
		Unique     int    `xml:"unique,attr"`
		Required   int    `xml:"required,attr"`
		Deprecated string `xml:"deprecated,attr,omitempty"`
		Obsoletes  string `xml:"obsoletes,attr,omitempty"`
		Getopt     struct {
			Mixed string `xml:"mixed,attr"`
		} `xml:"getopt"`
		Content struct {
			Type    string `xml:"type,attr"`
			Default string `xml:"default,attr,omitempty"`
		} `xml:"content"`
		Short struct {
			Lang string `xml:"lang,attr"`
			Text string `xml:",chardata"`
		} `xml:"shortdesc"`
	}
	fenceXMLAction struct {
		Name      string `xml:"name,attr"`
		Automatic string `xml:"automatic,attr,omitempty"`
	}
)

func (a *app) fenceMetadata() error {
	about := fenceXML{
		Name: "fence_monitor", Short: "Fence agent for all power control units that Monitor drives",
		Long: "fence_monitor switches the power of nodes by Monitor's drivers: `monitor pcu models` lists them. A " +
			"node with several power feeds is one plug of a file of PCUs.",
		Vendor: "https://www.planet-lab.org",
	}
	for _, p := range fenceParameters() {
		one := fenceXMLParameter{Name: p.name, Obsoletes: p.old}
		if p.name == "action" {
			one.Required = 1
		}
		one.Getopt.Mixed = "--" + strings.ReplaceAll(p.name, "_", "-")
		if p.kind != "boolean" {
			one.Getopt.Mixed += "=[" + p.name + "]"
		}
		if p.short != "" && p.name != "password" {
			one.Getopt.Mixed = "-" + p.short + ", " + one.Getopt.Mixed
		}
		one.Content.Type, one.Content.Default = p.kind, p.fallback
		one.Short.Lang, one.Short.Text = "en", p.about
		about.Parameters = append(about.Parameters, one)
		if p.old != "" {
			one.Name, one.Deprecated, one.Obsoletes = p.old, "1", ""
			about.Parameters = append(about.Parameters, one)
		}
	}
	for _, name := range fenceActions() {
		action := fenceXMLAction{Name: name}
		if name == "on" {
			action.Automatic = "0"
		}
		about.Actions = append(about.Actions, action)
	}
	text, err := xml.MarshalIndent(about, "", "\t")
	if err != nil {
		return err
	}
	a.say("<?xml version=\"1.0\" ?>\n%s", text)
	return nil
}

// outputOf runs a program of the operator's and gives what it says.
func outputOf(path string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, path)
	cmd.Stderr = os.Stderr
	text, err := cmd.Output()
	return string(text), err
}
