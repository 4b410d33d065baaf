package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/planetlab/monitor/pcucontrol"
	"github.com/planetlab/monitor/request"
)

// passwordVariable names the environment variable that may hold the password of a PCU.
const passwordVariable = "MONITOR_PCU_PASSWORD"

// pcuPatience bounds one operation on a PCU.
const pcuPatience = 90 * time.Second

// powerView is the outcome of one operation on a PCU.
type powerView struct {
	Operation  string `json:"operation"`
	DryRun     bool   `json:"dry_run"`
	Target     string `json:"target,omitempty"` // as a file of PCUs names it
	Model      string `json:"model"`
	Host       string `json:"host"`
	Outlet     int    `json:"outlet,omitempty"`
	OutletName string `json:"outlet_name,omitempty"`
	pcucontrol.Result
	Kind      pcucontrol.Kind `json:"error_kind,omitempty"`
	Error     string          `json:"error,omitempty"`
	RetrySafe bool            `json:"retry_safe,omitempty"` // the same may simply be tried again

	err error
}

// operation is done to all power feeds of one target.
type operation func(*pcucontrol.Catalog, context.Context, []pcucontrol.Target) (pcucontrol.Result, error)

const pcuAbout = `Nothing but the device is needed: no database, no Temporal, no configuration.

The password comes from --password-file, else from ` + passwordVariable + `, else it is asked for on the terminal.
Monitor's own operations on the same PCU are not waited for; a device that is in use answers busy.`

const pcuTargets = `Targets are --model, --host and --outlet, or names of a file of PCUs (--pcus): a node's alias, or PCU:OUTLET. Ranges as in
node[1-8] stand for many, at --host too; PCUs are driven at the same time, the outlets of one after the other.`

func (a *app) pcu() *cobra.Command {
	cmd := group("pcu", "Drive a power control unit by hand", `  monitor pcu scan --host 10.0.0.5
  monitor pcu test --model APCControl12p3 --host 10.0.0.5 --user apc --password-file pw --outlet 3
  monitor pcu cycle --model OpenIPMI --host 10.0.0.6 --user admin --password-file pw --dry-run
  monitor pcu status --pcus pcus.yaml 'node[1-8]' --expect on`)
	cmd.Long = "Drive a power control unit by hand. " + pcuAbout + "\n\n" + exitCodes()
	cmd.PersistentFlags().StringArrayVar(&a.modelDirs, "models", nil,
		"`folder` of more model files, repeatable; "+modelsVariable+" names them too")
	_ = cmd.MarkPersistentFlagDirname("models")
	cmd.AddCommand(
		a.pcuModels(),
		a.pcuScan(),
		a.power("test", "Log in and go as far as the outlet; nothing is switched", each((*pcucontrol.Catalog).Test),
			false),
		a.power("status", "Read whether an outlet is on", each((*pcucontrol.Catalog).Status), false),
		a.power("cycle", "Turn an outlet off and on again; one found off is turned on", (*pcucontrol.Catalog).CycleAll,
			true),
		a.power("on", "Turn an outlet on", each((*pcucontrol.Catalog).TurnOn), true),
		a.power("off", "Turn an outlet off", each((*pcucontrol.Catalog).TurnOff), true),
		a.power("reset", "Reset a machine, its power staying on", each((*pcucontrol.Catalog).Reset), true),
		a.power("shutdown", "Ask a machine's operating system to end, and wait until it is off",
			each((*pcucontrol.Catalog).Shutdown), true),
		a.pcuBoot(),
		a.pcuList(),
		a.pcuFence(),
		a.pcuForget(),
	)
	return cmd
}

// each does an operation to one feed after the other; an error ends it.
func each(do func(*pcucontrol.Catalog, context.Context, pcucontrol.Target) (pcucontrol.Result, error)) operation {
	return func(c *pcucontrol.Catalog, ctx context.Context, feeds []pcucontrol.Target) (pcucontrol.Result, error) {
		if len(feeds) == 1 {
			return do(c, ctx, feeds[0])
		}
		all := pcucontrol.Result{Verified: true}
		var first error
		for i, t := range feeds {
			r, err := do(c, ctx, t)
			feed := pcucontrol.FeedResult{Target: i, After: r.After, Note: r.Note}
			if err != nil {
				feed.Note = err.Error()
				if first == nil {
					first = err
				}
			}
			all.Feeds, all.Tried = append(all.Feeds, feed), append(all.Tried, r.Tried...)
			all.Verified = all.Verified && r.Verified
			all.Before, all.After = together(all.Before, r.Before), together(all.After, r.After)
		}
		return all, first
	}
}

// together is the state of a node with two feeds: on where both are, off where either is. Empty is the state of none.
func together(a, b pcucontrol.State) pcucontrol.State {
	switch {
	case a == "" || a == b:
		return b
	case a == pcucontrol.Off || b == pcucontrol.Off:
		return pcucontrol.Off
	}
	return pcucontrol.Unknown
}

func (a *app) power(name, short string, do operation, switches bool) *cobra.Command {
	choice := pcuChoice{a: a}
	var dry, trace bool
	var expect string
	var named namedOrder
	example := fmt.Sprintf(
		"  monitor pcu %s --model APCControl12p3 --host 10.0.0.5 --user apc --password-file pw --outlet 3", name)
	if switches {
		example += "\n" + example + " --dry-run"
	}
	example += fmt.Sprintf("\n  monitor pcu %s --pcus pcus.yaml 'node[1-8]'", name)
	cmd := &cobra.Command{
		Use: name + " [TARGET...]", Short: short, Example: example,
		Long: short + ".\n\n" + pcuTargets + "\n\n" + pcuAbout + "\n\n" + exitCodes(),
		RunE: func(cmd *cobra.Command, args []string) error {
			if expect != "" && expect != string(pcucontrol.On) && expect != string(pcucontrol.Off) {
				return badInput("--expect must be on or off, not %q", expect)
			}
			if choice.byRecords(args) {
				operation := request.Operation(name)
				if named.expect = expect; dry {
					operation = request.Test
				}
				return a.operateNamed(cmd.Context(), &named, operation, args, choice.target.Outlet)
			}
			c, err := a.catalog()
			if err != nil {
				return err
			}
			all, err := choice.choose(args)
			if err != nil {
				return err
			}
			if dry {
				do = each((*pcucontrol.Catalog).Test)
			}
			j := pcuJobs{
				a:      a,
				c:      c,
				do:     do,
				expect: pcucontrol.State(expect),
				form:   powerView{Operation: name, DryRun: dry},
				list:   len(args) > 0 || len(all) > 1,
			}
			if trace {
				a.trace(all, j.list)
			}
			return j.run(cmd.Context(), all)
		},
	}
	targetFlags(cmd.Flags(), &choice)
	if slices.Contains([]string{"test", "status", "on", "off", "cycle"}, name) {
		choice.records = true
		named.addFlags(cmd)
		cmd.Long = short + ".\n\n" + pcuTargets + "\n\n" + pcuNamed + "\n\n" + pcuAbout + "\n\n" + exitCodes()
		example += fmt.Sprintf("\n  monitor pcu %s pcu1.example.edu:3", name)
		if request.Operation(name).Switches() {
			example += " --reason \"its fan is being replaced\""
		}
		cmd.Example = example
	}
	traceFlag(cmd.Flags(), &trace)
	if switches {
		cmd.Flags().BoolVar(&dry, "dry-run", false, "do what test does, and switch nothing")
	}
	if name == "cycle" {
		cmd.Flags().DurationVar(&choice.target.OffTime, "off-time", 0, "how long to stay off (default as the device "+
			"does)")
	}
	if name == "status" {
		cmd.Flags().StringVar(&expect, "expect", "", "exit with code 4 unless all are `on|off`")
		_ = cmd.RegisterFlagCompletionFunc("expect", a.fixed("on", "off"))
	}
	_ = cmd.RegisterFlagCompletionFunc("model", a.completeModel)
	_ = cmd.RegisterFlagCompletionFunc("transport", a.completeTransport(&choice.target.Model))
	return cmd
}

func targetFlags(f *pflag.FlagSet, p *pcuChoice) {
	t := &p.target
	f.StringVar(&t.Model, "model", "", "`model` as the inventory names it, such as APCControl12p3 or OpenIPMI")
	f.StringVar(&t.Host, "host", "", "`name` or address of the PCU, or a range of them as in 10.0.0.[5-8]")
	f.IntVar(&t.Port, "port", 0, "`port`, if not the usual one")
	f.StringVar(&t.Transport, "transport", "",
		"the only `transport` to try, such as telnet or ssh (default each the model has)")
	f.StringVar(&t.User, "user", "", "`name` to log in with")
	f.IntVar(&t.Outlet, "outlet", 0, "`number` of the outlet as printed on the device, from 1")
	f.StringVar(&t.OutletName, "outlet-name", "", "`name` of the outlet, where the device tells names")
	f.StringVar(&t.KnownHostKey, "host-key", "",
		"ssh host `key` to insist on, as in authorized_keys (default whichever the device shows)")
	f.StringVar(&t.KnownCertificate, "certificate", "",
		"SHA-256 `fingerprint` of the TLS certificate to insist on (default one that the system trusts)")
	f.BoolVar(&t.Legacy, "legacy", false,
		"permit the old ciphers and TLS versions that old devices still speak, and certificates that nobody vouches "+
			"for")
	f.StringVar(&p.passwordFile, "password-file", "", "`file` that holds the password")
	f.StringVar(&p.pcus, "pcus", "", "`file` of PCUs and aliases; "+pcusVariable+" names it too")
}

func traceFlag(f *pflag.FlagSet, trace *bool) {
	f.BoolVar(trace, "trace", false, "show the conversation on standard error, the password masked in whatever way it is "+
		"written")
}

func (a *app) drawPower(v powerView) {
	verified := "yes, the device says so"
	if !v.Verified {
		verified = "no"
	}
	if v.Error != "" { // the error itself goes to standard error
		verified = ""
	}
	what := v.Operation
	if v.DryRun {
		what += " (dry run, nothing was switched)"
	}
	a.say("%s: %s", clean(what), clean(v.outlet()))
	state := func(s pcucontrol.State) coloured {
		if s == pcucontrol.Unknown && (v.DryRun || v.Operation == "test") {
			return "" // a test need not read the outlet
		}
		return a.state(string(s))
	}
	a.facts(row{"before", state(v.Before)}, row{"after", state(v.After)}, row{"verified", verified},
		row{"by", strings.Join(v.Tried, ", then ")}, row{"note", v.Note})
}

// outlet names what an operation is about.
func (v powerView) outlet() string {
	switch {
	case v.Target != "":
		return v.Target
	case v.Outlet > 0:
		return fmt.Sprintf("outlet %d of %s", v.Outlet, v.Host)
	case v.OutletName != "":
		return fmt.Sprintf("outlet %q of %s", v.OutletName, v.Host)
	}
	return v.Host
}

// password never comes from the command line, where everyone could read it.
func (a *app) password(file string, t pcucontrol.Target) (string, error) {
	if file != "" {
		text, err := os.ReadFile(file)
		if err != nil {
			return "", badInput("--password-file: %w", err)
		}
		return strings.TrimRight(string(text), "\r\n"), nil
	}
	if p, ok := os.LookupEnv(passwordVariable); ok {
		return p, nil
	}
	if !isTerminal(a.in) {
		return "", badInput("no password: give --password-file or set %s", passwordVariable)
	}
	fmt.Fprintf(a.err, "password of %s at %s: ", clean(t.User), clean(t.Host))
	text, err := term.ReadPassword(int(a.in.(*os.File).Fd()))
	fmt.Fprintln(a.err)
	if err != nil {
		return "", fmt.Errorf("read the password: %w", err)
	}
	return string(text), nil
}
