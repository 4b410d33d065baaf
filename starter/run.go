package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/planetlab/monitor/bootman"
	"github.com/planetlab/monitor/orders"
	"github.com/planetlab/monitor/remote"
	"github.com/planetlab/monitor/store"
	"github.com/planetlab/monitor/web"
)

const runAbout = `Run a command or a script on many nodes over ssh: with the keys that probes use, only where a node shows the host key that
is believed, many at once and few at one site, each within its time. What every node says is kept: "monitor run show" prints
it. Nodes that are exempt are left alone, and nothing runs while Monitor is stopped or observes. More than one node is shown
first, and confirmed. Ctrl-C calls it off, and so does "monitor run cancel": what has not begun is skipped.

Over --server the server carries it out, with its own keys, and goes on when the connection is lost.`

// runFlags are what the flags say of a run.
type runFlags struct {
	choice
	reasonFlags
	remote.Options
	script string
	dry    bool
}

func (a *app) run() *cobra.Command {
	var o runFlags
	cmd := &cobra.Command{
		Use: "run [HOST...] -- COMMAND", Short: "Run a command or a script on many nodes over ssh", Long: runAbout,
		Example: `  monitor run planetlab1.example.edu --reason "is its disk full?" -- cat /tmp/bm.log
  monitor run --select site=princeton --script check.sh --reason "the new check" --dry-run
  monitor run list`,
		ValidArgsFunction: a.complete(hostNames), Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			var command []string
			if dash := cmd.ArgsLenAtDash(); dash >= 0 {
				args, command = args[:dash], args[dash:]
			}
			if o.script == "-" && slices.Contains(o.request.Hosts, "-") {
				return badInput("--hosts and --script cannot both be the standard input")
			}
			script, err := a.scriptOf(o.script, command)
			if err != nil {
				return err
			}
			return a.runOnNodes(cmd.Context(), &o, args, script)
		},
	}
	o.choice.add(cmd)
	o.reasonFlags.add(cmd)
	f := cmd.Flags()
	f.StringVar(&o.script, "script", "", "run this `file` by sh; - is the standard input")
	f.IntVar(&o.Parallel, "parallel", 40, "so `many` nodes at once")
	f.IntVar(&o.PerSite, "per-site", 2, "so `many` of one site at once")
	f.DurationVar(&o.Pace, "pace", 0, "how `long` to wait between two that begin at one site")
	f.DurationVar(&o.Limit, "limit", time.Minute, "how `long` it may take on one node")
	f.IntVar(&o.Keep, "keep", 64<<10, "so many `bytes` of each output are kept")
	f.BoolVar(&o.dry, "dry-run", false, "show where it would run, and run nothing")
	_ = cmd.MarkFlagFilename("script")
	cmd.AddCommand(a.runList(), a.runShow(), a.runCancel())
	return cmd
}

// scriptOf is what is to run: the words of the command line, or a file.
func (a *app) scriptOf(file string, command []string) (string, error) {
	switch {
	case (file == "") == (len(command) == 0):
		return "", badInput("give a command after --, or a file with --script")
	case file == "":
		return strings.Join(command, " "), nil
	}
	text, err := a.readNames(file)
	if err != nil {
		return "", badInput("--script: %w", err)
	}
	return string(text), nil
}

// runView is a run with what each node said.
type runView struct {
	store.Run
	DryRun bool            `json:"dry_run,omitempty"`
	List   []store.RunNode `json:"node_list"`
}

func (a *app) runOnNodes(ctx context.Context, o *runFlags, args []string, script string) error {
	if o.Parallel < 1 || o.PerSite < 1 || o.Limit <= 0 || o.Pace < 0 || o.Keep < 1 {
		return badInput("--parallel, --per-site, --limit and --keep must be above zero")
	}
	chosen, err := a.allNodes(ctx, &o.choice, args)
	if err != nil {
		return err
	}
	order := o.order(a)
	if o.dry || len(chosen) > 1 {
		if err := a.checkRun(ctx, o, order, chosen, script); err != nil {
			return err
		}
	}
	if o.dry {
		return a.show(chosen, func() { a.say("would run on %d nodes:", len(chosen)); a.drawChosen(chosen) })
	}
	if len(chosen) > 1 {
		question := fmt.Sprintf("run it on these %d nodes?", len(chosen))
		if err := a.confirm(o.yes, question, func(a *app) { a.drawChosen(chosen) }); err != nil {
			return err
		}
	}
	r, err := a.remote()
	if err != nil {
		return err
	}
	if r != nil {
		return a.runThere(ctx, r, o, order, chosen, script)
	}
	return a.runNow(ctx, o, order, targetsOf(chosen), script)
}

// runNow runs it, and tells each node's end as it comes.
func (a *app) runNow(ctx context.Context, o *runFlags, order orders.Order, nodes []remote.Node, script string) error {
	db, err := a.openStore(ctx)
	if err != nil {
		return err
	}
	defer db.Close()
	if o.Enter, err = a.entrance(db); err != nil {
		return err
	}
	ended := 0
	d := orders.Desk{Store: db, Now: a.now}
	r, id, err := d.Run(ctx, order, orders.Job{Options: o.Options, Nodes: nodes, Script: script, Each: func(n store.RunNode) {
		ended++
		a.progress("%d of %d: %s %s %s", ended, len(nodes), n.Host, n.State, n.Reason)
	}})
	if err = flagged(err); r.Key == "" {
		return err
	}
	last := context.WithoutCancel(ctx) // also after Ctrl-C
	v, readErr := readRun(last, db, id)
	if readErr != nil {
		return errors.Join(err, readErr)
	}
	return errors.Join(err, a.showRun(v))
}

// entrance says how nodes are entered, by the host keys that are believed.
func (a *app) entrance(db *store.Store) (func(ctx context.Context, host, ip string) bootman.Target, error) {
	cfg, err := a.config("database", "probe", "inventory")
	if err != nil {
		return nil, err
	}
	enter, err := web.Entrance(cfg, db)
	if err != nil {
		return nil, badInput("%w", err)
	}
	return enter, nil
}

func readRun(ctx context.Context, db *store.Store, id string) (v runView, err error) {
	if v.Run, err = db.Run(ctx, id); errors.Is(err, store.ErrNotFound) {
		return v, notFound("there is no run %s: see `monitor run list`", id)
	} else if err != nil {
		return v, err
	}
	v.Began, v.Ended = v.Began.UTC(), v.Ended.UTC()
	v.List, err = db.RunNodes(ctx, id)
	for i := range v.List {
		v.List[i].Began, v.List[i].Ended = v.List[i].Began.UTC(), v.List[i].Ended.UTC()
	}
	return v, err
}

func (a *app) runList() *cobra.Command {
	var l repeated
	cmd := &cobra.Command{
		Use: "list", Short: "List what was run on nodes, the latest first", Args: takes(), Aliases: []string{"ls"},
		Example: "  monitor run list\n  monitor run list -o json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return l.repeat(cmd.Context(), a, func() error {
				if done, err := a.overAPI(cmd.Context(), func(ctx context.Context, r *apiServer) error {
					var list []store.Run
					if err := r.get(ctx, "/runs", nil, &list); err != nil {
						return err
					}
					return few(a, &l, list, a.drawRuns)
				}); done {
					return err
				}
				return a.withStore(cmd.Context(), func(ctx context.Context, db *store.Store) error {
					const latest = 100
					list, err := db.Runs(ctx, latest)
					if err != nil {
						return err
					}
					for i := range list {
						list[i].Began, list[i].Ended = list[i].Began.UTC(), list[i].Ended.UTC()
					}
					return few(a, &l, list, a.drawRuns)
				})
			})
		},
	}
	l.addFlags(cmd)
	return cmd
}

func (a *app) drawRuns(list []store.Run) {
	var rows []row
	for _, r := range list {
		rows = append(rows, row{r.ID, r.Began, runCounts(r.Nodes), r.Ordered.By, r.Ordered.Reason, firstLine(r.Command)})
	}
	a.table("nothing was run", row{"ID", "BEGAN", "NODES", "BY", "REASON", "COMMAND"}, rows)
}

func runCounts(nodes map[string]int) string {
	var parts []string
	for _, s := range []remote.State{remote.Done, remote.Failed, remote.Away, remote.Late, remote.Lost, remote.Skipped, "running", "planned"} {
		if n := nodes[string(s)]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, s))
		}
	}
	return strings.Join(parts, ", ")
}

// firstLine is the beginning of a text, for a cell of a table.
func firstLine(s string) string {
	const most = 60
	line, rest, _ := strings.Cut(strings.TrimSpace(s), "\n")
	if runes := []rune(line); len(runes) > most {
		return string(runes[:most]) + "..."
	}
	if rest != "" {
		line += " ..."
	}
	return line
}

func (a *app) runShow() *cobra.Command {
	var host string
	cmd := &cobra.Command{
		Use: "show ID", Short: "Show what was run, and what each node said", Args: takes("ID"), ValidArgsFunction: a.complete(runIDs),
		Example: "  monitor run show 20261124-140300.000\n  monitor run show 20261124-140300.000 --host planetlab1.example.edu",
		RunE: func(cmd *cobra.Command, args []string) error {
			if done, err := a.overAPI(cmd.Context(), func(ctx context.Context, r *apiServer) error {
				if host != "" {
					var n store.RunNode
					if err := r.get(ctx, pathOf("runs", args[0], "nodes", host), nil, &n); err != nil {
						return err
					}
					return a.show(n, func() { a.drawRunNode(n) })
				}
				var v runView
				if err := r.get(ctx, pathOf("runs", args[0]), nil, &v); err != nil {
					return err
				}
				return a.show(v, func() { a.drawRun(v, false) })
			}); done {
				return err
			}
			return a.withStore(cmd.Context(), func(ctx context.Context, db *store.Store) error {
				v, err := readRun(ctx, db, args[0])
				if err != nil {
					return err
				}
				if host == "" {
					return a.show(v, func() { a.drawRun(v, false) })
				}
				for _, n := range v.List {
					if n.Host == host {
						return a.show(n, func() { a.drawRunNode(n) })
					}
				}
				return notFound("%s was not run on %s", v.ID, host)
			})
		},
	}
	cmd.Flags().StringVar(&host, "host", "", "only, and all, of what this `node` said")
	_ = cmd.RegisterFlagCompletionFunc("host", a.complete(hostNames))
	return cmd
}

func runIDs(ctx context.Context, db *store.Store) ([]string, error) {
	list, err := db.Runs(ctx, 1000)
	return namesOf(list, func(r store.Run) string { return r.ID }), err
}

// drawRun prints a run. Of few nodes, that were just asked, it prints all that they said.
func (a *app) drawRun(v runView, now bool) {
	a.say("%s: %s", v.ID, firstLine(v.Command))
	a.facts(row{"ordered by", v.Ordered.By}, row{"reason", v.Ordered.Reason}, row{"called off", v.CalledOff}, row{"nodes", runCounts(v.Nodes)},
		row{"began", a.when(v.Began)}, row{"ended", a.when(v.Ended)})
	var rows []row
	for _, n := range v.List {
		status := "-"
		if n.Status != nil {
			status = fmt.Sprint(*n.Status)
		}
		said := n.Reason
		if said == "" {
			said = firstLine(n.Output + n.Errors)
		}
		rows = append(rows, row{n.Host, n.Site, a.state(n.State), status, orDash(said)})
	}
	a.table("no nodes", row{"NODE", "SITE", "STATE", "STATUS", "SAID"}, rows)
	if now && len(v.List) == 1 {
		a.drawRunNode(v.List[0])
	}
}

func (a *app) drawRunNode(n store.RunNode) {
	for _, part := range []struct{ name, text string }{{"output", n.Output}, {"errors", n.Errors}} {
		if part.text != "" {
			a.heading(n.Host + ": " + part.name)
			a.say("%s", strings.TrimRight(part.text, "\n"))
		}
	}
	if n.Cut {
		a.say("(there was more, which was not kept)")
	}
	if n.Reason != "" {
		a.say("%s: %s", n.Host, n.Reason)
	}
}
