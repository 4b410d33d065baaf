package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/planetlab/monitor/pcucontrol"
)

// passwordVariable names the environment variable that may hold the password of a PCU.
const passwordVariable = "MONITOR_PCU_PASSWORD"

// pcuPatience bounds one operation on a PCU.
const pcuPatience = 90 * time.Second

// powerView is the outcome of one operation on a PCU.
type powerView struct {
	Operation string `json:"operation"`
	DryRun    bool   `json:"dry_run"`
	Model     string `json:"model"`
	Host      string `json:"host"`
	Outlet    int    `json:"outlet,omitempty"`
	pcucontrol.Result
	Kind      pcucontrol.Kind `json:"error_kind,omitempty"`
	Error     string          `json:"error,omitempty"`
	RetrySafe bool            `json:"retry_safe,omitempty"` // the same may simply be tried again
}

type operation func(*pcucontrol.Catalog, context.Context, pcucontrol.Target) (pcucontrol.Result, error)

const pcuAbout = `Nothing but the device is needed: no database, no Temporal, no configuration.

The password comes from --password-file, else from ` + passwordVariable + `, else it is asked for on the terminal.
Monitor's own operations on the same PCU are not waited for; a device that is in use answers busy.`

func (a *app) pcu() *cobra.Command {
	cmd := group("pcu", "Drive a power control unit by hand", `  monitor pcu scan --host 10.0.0.5
  monitor pcu test --model APCControl12p3 --host 10.0.0.5 --user apc --password-file pw --outlet 3
  monitor pcu cycle --model OpenIPMI --host 10.0.0.6 --user admin --password-file pw --dry-run`)
	cmd.Long = "Drive a power control unit by hand. " + pcuAbout + "\n\n" + exitCodes
	cmd.PersistentFlags().StringArrayVar(&a.modelDirs, "models", nil, "`folder` of more model files, repeatable; "+modelsVariable+" names them too")
	_ = cmd.MarkPersistentFlagDirname("models")
	cmd.AddCommand(
		a.pcuModels(),
		a.pcuScan(),
		a.power("test", "Log in and go as far as the outlet; nothing is switched", (*pcucontrol.Catalog).Test, false),
		a.power("status", "Read whether an outlet is on", (*pcucontrol.Catalog).Status, false),
		a.power("cycle", "Turn an outlet off and on again; one found off is turned on", (*pcucontrol.Catalog).Cycle, true),
		a.power("on", "Turn an outlet on", (*pcucontrol.Catalog).TurnOn, true),
		a.power("off", "Turn an outlet off", (*pcucontrol.Catalog).TurnOff, true),
		a.pcuForget(),
	)
	return cmd
}

func (a *app) power(name, short string, do operation, switches bool) *cobra.Command {
	var t pcucontrol.Target
	var file string
	var dry, trace bool
	example := fmt.Sprintf("  monitor pcu %s --model APCControl12p3 --host 10.0.0.5 --user apc --password-file pw --outlet 3", name)
	if switches {
		example += "\n" + example + " --dry-run"
	}
	cmd := &cobra.Command{
		Use: name, Short: short, Args: takes(), Example: example, Long: short + ".\n\n" + pcuAbout + "\n\n" + exitCodes,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.catalog()
			if err != nil {
				return err
			}
			password, err := a.password(file, t)
			if err != nil {
				return err
			}
			t.Password = password
			if trace {
				t.Trace = func(line string) { fmt.Fprintln(a.err, clean(line)) }
			}
			v := powerView{Operation: name, DryRun: dry, Model: t.Model, Host: t.Host, Outlet: t.Outlet}
			if dry {
				do = (*pcucontrol.Catalog).Test
			}
			ctx, cancel := a.within(cmd.Context(), pcuPatience)
			defer cancel()
			return a.operate(ctx, c, v, t, do)
		},
	}
	targetFlags(cmd.Flags(), &t)
	cmd.Flags().StringVar(&file, "password-file", "", "`file` that holds the password")
	cmd.Flags().BoolVar(&trace, "trace", false, "show the conversation on standard error, the password masked in whatever way it is written")
	if switches {
		cmd.Flags().BoolVar(&dry, "dry-run", false, "do what test does, and switch nothing")
	}
	_ = cmd.MarkFlagRequired("model")
	_ = cmd.MarkFlagRequired("host")
	_ = cmd.RegisterFlagCompletionFunc("model", a.completeModel)
	_ = cmd.RegisterFlagCompletionFunc("transport", a.completeTransport(&t.Model))
	return cmd
}

func targetFlags(f *pflag.FlagSet, t *pcucontrol.Target) {
	f.StringVar(&t.Model, "model", "", "`model` as PLC names it, such as APCControl12p3 or OpenIPMI")
	f.StringVar(&t.Host, "host", "", "`name` or address of the PCU")
	f.IntVar(&t.Port, "port", 0, "`port`, if not the usual one")
	f.StringVar(&t.Transport, "transport", "", "the only `transport` to try, such as telnet or ssh (default each the model has)")
	f.StringVar(&t.User, "user", "", "`name` to log in with")
	f.IntVar(&t.Outlet, "outlet", 0, "`number` of the outlet as printed on the device, from 1")
	f.StringVar(&t.KnownHostKey, "host-key", "", "ssh host `key` to insist on, as in authorized_keys (default whichever the device shows)")
	f.StringVar(&t.KnownCertificate, "certificate", "", "SHA-256 `fingerprint` of the TLS certificate to insist on (default one that the system trusts)")
	f.BoolVar(&t.Legacy, "legacy", false, "permit the old ciphers and TLS versions that old devices still speak, and certificates that nobody vouches for")
}

// operate does it and prints what is known, after an error too: what was found before it may be all there is to go on.
func (a *app) operate(ctx context.Context, c *pcucontrol.Catalog, v powerView, t pcucontrol.Target, do operation) error {
	var err error
	if v.Result, err = do(c, ctx, t); err != nil {
		v.Kind, v.Error = pcucontrol.KindOf(err), err.Error()
		var known *pcucontrol.Error
		v.RetrySafe = errors.As(err, &known) && known.RetrySafe()
	}
	return errors.Join(err, a.show(v, func() { a.drawPower(v) }))
}

func (a *app) drawPower(v powerView) {
	verified := "yes, the device says so"
	if !v.Verified {
		verified = "no"
	}
	if v.Error != "" { // the error itself goes to standard error
		verified = ""
	}
	target := v.Host
	if v.Outlet > 0 {
		target = fmt.Sprintf("outlet %d of %s", v.Outlet, v.Host)
	}
	what := v.Operation
	if v.DryRun {
		what += " (dry run, nothing was switched)"
	}
	a.say("%s: %s", clean(what), clean(target))
	state := func(s pcucontrol.State) coloured {
		if s == pcucontrol.Unknown && (v.DryRun || v.Operation == "test") {
			return "" // a test need not read the outlet
		}
		return a.state(string(s))
	}
	a.facts(row{"before", state(v.Before)}, row{"after", state(v.After)}, row{"verified", verified},
		row{"by", strings.Join(v.Tried, ", then ")}, row{"note", v.Note})
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
