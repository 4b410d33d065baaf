// Monitor is the operator's command line: it shows what Monitor knows, gives orders to its issues, and drives power control
// units by hand. Each command opens only what it needs.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/planetlab/monitor/config"
	"github.com/planetlab/monitor/version"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is one call of monitor; its answer is the exit code.
func run(ctx context.Context, args []string, in io.Reader, out, err io.Writer) int {
	a := &app{in: in, out: out, err: err, now: time.Now, zone: time.Local, account: account(), system: systemFile}
	return a.execute(ctx, args)
}

// app is what all commands share during one call.
type app struct {
	in       io.Reader
	out, err io.Writer
	now      func() time.Time
	account  string // who runs this, as the system knows it
	system   string // the file that is read where none is named; empty: none

	flags   *config.Flags
	server  string         // whose API is asked; empty: MONITOR_SERVER, or the one that was signed in at
	format  string         // of formats
	utc     bool           // times for people are told in UTC
	zone    *time.Location // of the user; nil: UTC
	timeout time.Duration  // 0: the command's own
	ready   bool           // the command line was good and the command began
	lost    error          // why output was lost
	piped   []byte         // what was read of the standard input; nil: nothing was

	modelDirs []string // folders of model files
}

func (a *app) execute(ctx context.Context, args []string) int {
	root := a.root()
	root.SetArgs(args)
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.err)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		err = a.lost
	}
	if err == nil {
		return exitOK
	}
	if of, is := checkOf(cmd); is {
		return a.checkEnds(ctx, of, err)
	}
	fmt.Fprintln(a.err, "monitor:", clean(explain(ctx, err)))
	if !a.ready {
		fmt.Fprintf(a.err, "see `%s --help`\n", cmd.CommandPath())
	}
	return a.code(err)
}

const rootAbout = `Monitor keeps a fleet of far-away machines alive: it opens an issue for each one that fails, and works the issue
until the machine is back. This command shows what it knows and gives it orders.

Where the database and Temporal are is read from the configuration: --config, or MONITOR_CONFIG, or the environment
(DATABASE_URL, TEMPORAL_ADDRESS). Without any of these, what reads or orders works over the API of a server: --server, or
the one of "monitor login"; who is signed in at none uses /etc/monitor/monitor.yaml, where that can be read. Colours are
for terminals only, and NO_COLOR turns them off.

`

func (a *app) root() *cobra.Command {
	root := group("monitor", "Watch a fleet of machines and work the issues of those that fail", `  monitor issue list
  monitor issue show nodedown/planetlab1.example.edu
  monitor --config monitor.yaml --check-config`)
	root.Long = rootAbout + exitCodes()
	root.Version = version.String()
	root.SilenceUsage, root.SilenceErrors = true, true
	a.flags = config.AddFlags(root.PersistentFlags())
	root.PersistentFlags().StringVar(&a.server, "server", "", "work over the API of the server at this `URL`; MONITOR_SERVER names it too")
	root.PersistentFlags().StringVarP(&a.format, "output", "o", "table", "`format` of the output: "+strings.Join(formats(), ", "))
	root.PersistentFlags().BoolVar(&a.utc, "utc", false, "tell times in UTC instead of the local zone; json, yaml and csv always do")
	root.PersistentFlags().DurationVar(&a.timeout, "timeout", 0, "how long to wait for an answer (default 15s, for a PCU 90s)")
	_ = root.RegisterFlagCompletionFunc("output", a.fixed(formats()...))
	root.AddCommand(a.status(), a.agenda(), a.explain(), a.whyNot(), a.query(), a.findbad(), a.history(), a.diff(), a.sweep(), a.stop(), a.start(), a.mode(), a.silence(),
		a.check(), a.issue(), a.node(), a.rollout(), a.rins(), a.run(), a.site(), a.exempt(), a.disabled(), a.ladders(), a.pcu(), a.bootman(),
		a.doctor(), a.lint(), a.setup(), a.configuration(), a.man(),
		a.token(), a.login(), a.pledge(),
		a.mail(), a.inventory(), a.plc(),
		a.web(),
	)
	a.begin(root)
	return root
}

// begin makes every command check the shared flags first. --check-config goes before all else, so that it never acts.
func (a *app) begin(cmd *cobra.Command) {
	for _, sub := range cmd.Commands() {
		a.begin(sub)
	}
	act := cmd.RunE
	if act == nil {
		return
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if !slices.Contains(formats(), a.format) {
			return fmt.Errorf("--output must be one of %s, not %q", strings.Join(formats(), ", "), a.format)
		}
		if a.timeout < 0 {
			return fmt.Errorf("--timeout must not be negative")
		}
		a.ready = true
		if a.flags.Check {
			return a.checkConfig()
		}
		return act(cmd, args)
	}
}

// group is a command that only holds others: alone it prints its help.
func group(use, short, example string) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Example: example, SuggestionsMinimumDistance: 2,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			near := ""
			for _, s := range cmd.SuggestionsFor(args[0]) {
				near += fmt.Sprintf("; did you mean `%s %s`?", cmd.CommandPath(), s)
			}
			return fmt.Errorf("no command %q in `%s`%s", args[0], cmd.CommandPath(), near)
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
}

// takes asks for exactly the arguments named.
func takes(names ...string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		switch {
		case len(args) < len(names):
			return fmt.Errorf("%s is missing", names[len(args)])
		case len(args) > len(names):
			return fmt.Errorf("%q is one argument too many", args[len(names)])
		}
		return nil
	}
}
