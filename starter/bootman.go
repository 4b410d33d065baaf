package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/crypto/ssh"

	"github.com/planetlab/monitor/activities"
	"github.com/planetlab/monitor/bootman"
	"github.com/planetlab/monitor/connect"
	"github.com/planetlab/monitor/orders"
	"github.com/planetlab/monitor/store"
)

func (a *app) bootman() *cobra.Command {
	cmd := group("bootman", "Nodes in debug mode: their logs, and what a boot sequence calls for", "  monitor bootman read planetlab1.example.edu\n  monitor bootman read --file bm.log\n  monitor bootman sequences list")
	cmd.AddCommand(a.bootLog(), a.bootRead(), a.bootSequences())
	return cmd
}

// bootLogView is a log as scripts get it.
type bootLogView struct {
	store.BootLog
	Text string `json:"log"`
}

func (a *app) bootLog() *cobra.Command {
	return &cobra.Command{
		Use: "log NODE", Short: "Print the last log of a node's BootManager, fetched or sent", Args: takes("NODE"), ValidArgsFunction: a.complete(hostNames),
		Example: "  monitor bootman log planetlab1.example.edu",
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withStore(cmd.Context(), func(ctx context.Context, db *store.Store) error {
				l, err := db.LastBootLog(ctx, args[0])
				if errors.Is(err, store.ErrNotFound) {
					return notFound("there is no log of %s: `monitor bootman read %s` looks at it now", args[0], args[0])
				}
				if err != nil {
					return err
				}
				l.At = l.At.UTC()
				v := bootLogView{l, strings.ToValidUTF8(string(l.Log), "?")}
				return a.show(v, func() {
					a.facts(row{"node", l.Node}, row{map[bool]string{false: "fetched", true: "sent by itself"}[l.Pushed], a.when(l.At)}, row{"sequence", l.Sequence}, row{"note", cutNote(l.Cut)})
					a.say("\n%s", strings.TrimRight(clean(v.Text), "\n"))
				})
			})
		},
	}
}

func cutNote(cut bool) string {
	if cut {
		return "the log went on; only its beginning was kept"
	}
	return ""
}

// bootView is what one look at a node, or at a log, tells.
type bootView struct {
	Node     string        `json:"node,omitempty"`
	File     string        `json:"file,omitempty"`
	State    bootman.State `json:"state,omitempty"`
	Running  bool          `json:"running"` // a BootManager is at work
	Failing  []string      `json:"failing,omitempty"`
	Sequence string        `json:"sequence,omitempty"`
	Known    bool          `json:"known"`
	Action   string        `json:"action,omitempty"`
	Cut      bool          `json:"cut"`
}

func (a *app) bootRead() *cobra.Command {
	var file string
	var accept bool
	cmd := &cobra.Command{
		Use: "read [NODE]", Short: "Name the boot sequence of a node in debug mode, or of a log, and what it calls for", ValidArgsFunction: a.complete(hostNames),
		Args: cobra.MaximumNArgs(1),
		Long: "Name the boot sequence of a node in debug mode, or of a log, and what it calls for. Nothing is changed: a node is read\n" +
			"over ssh and left as it is. With --file neither the database nor the network is asked, and the table of sequences is\nthe one that Monitor was shipped with.",
		Example: "  monitor bootman read planetlab1.example.edu\n  monitor bootman read --file bm.log\n  monitor bootman read --file - < bm.log",
		RunE: func(cmd *cobra.Command, args []string) error {
			if (file == "") == (len(args) == 0) {
				return badInput("name a node, or a log with --file")
			}
			if file != "" {
				return a.readFile(file)
			}
			return a.withStore(cmd.Context(), func(ctx context.Context, db *store.Store) error { return a.readNode(ctx, db, args[0], accept) })
		},
	}
	cmd.Flags().StringVar(&file, "file", "", "`log` of a BootManager; - is the standard input")
	cmd.Flags().BoolVar(&accept, "accept-host-key", false, "believe the ssh host key that the node shows, from now on and whatever the inventory says")
	_ = cmd.MarkFlagFilename("file")
	return cmd
}

func (a *app) readFile(name string) error {
	log, cut, err := a.readBootLog(name)
	if err != nil {
		return err
	}
	namer, err := bootman.NewNamer()
	if err != nil {
		return err
	}
	seed, err := bootman.Seed()
	if err != nil {
		return err
	}
	v := bootView{File: name, Cut: cut, Sequence: namer.Sequence(log)}
	if i := slices.IndexFunc(seed, func(k bootman.Known) bool { return k.Sequence == v.Sequence }); i >= 0 {
		v.Known, v.Action = true, string(seed[i].Action)
	}
	return a.show(v, func() { a.drawBoot(v) })
}

func (a *app) readNode(ctx context.Context, db *store.Store, host string, accept bool) error {
	node, err := db.Node(ctx, host)
	if errors.Is(err, store.ErrNotFound) {
		return notFound("no node %s is known: see `monitor node list`", host)
	}
	if err != nil {
		return err
	}
	cfg, err := a.config("database", "probe", "inventory")
	if err != nil {
		return err
	}
	keys, err := connect.SSHKeys(cfg.Probe)
	if err != nil {
		return badInput("%w", err)
	}
	fleet, err := connect.Inventory(cfg, db)
	if err != nil {
		return badInput("%w", err)
	}
	reader, err := bootman.New()
	if err != nil {
		return err
	}
	target := connect.Entrance(cfg.Probe, keys...)(node.Hostname, node.IP)
	target.HostKey = func(k ssh.PublicKey) error {
		if accept {
			return db.ConfirmHostKey(ctx, node.Hostname, k, a.person("").String(), a.now())
		}
		return activities.HostKeys{Store: db, Inventory: fleet, From: connect.From(cfg)}.Check(ctx, node.Hostname, k)
	}
	conn, err := bootman.Dial(ctx, target)
	if errors.Is(err, activities.ErrHostKey) || errors.Is(err, activities.ErrNotCompared) {
		return fmt.Errorf("%w; if you know why, read it once with --accept-host-key", err)
	}
	if err != nil {
		return err
	}
	defer conn.Close()
	r, err := reader.Read(ctx, conn)
	if err != nil {
		return err
	}
	v := bootView{Node: host, State: r.State, Running: r.Running, Failing: r.Failing, Sequence: r.Sequence, Cut: r.Cut}
	if r.Sequence != "" {
		known, err := db.BootSequence(ctx, r.Sequence)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		v.Known, v.Action = err == nil, known.Action
	}
	return a.show(v, func() { a.drawBoot(v) })
}

func (a *app) drawBoot(v bootView) {
	action := v.Action
	switch {
	case v.Sequence == noStep:
		action = "no step of a BootManager is in it"
	case v.Sequence != "" && !v.Known:
		action = "nobody has met this sequence: `monitor bootman sequences set` teaches it"
	}
	running := ""
	if v.Running {
		running = "a BootManager is running; read the node again when it has ended"
	}
	rows := []row{{"node", v.Node}, {"file", v.File}, {"state", string(v.State)}, {"note", running}, {"sequence", v.Sequence}, {"action", action}, {"cut", cutNote(v.Cut)}}
	for _, line := range v.Failing {
		rows = append(rows, row{"failing media", line})
	}
	a.facts(rows...)
}

func (a *app) bootSequences() *cobra.Command {
	cmd := group("sequences", "The table of boot sequences and what each calls for", "  monitor bootman sequences list --action fsck_repair\n  monitor bootman sequences set bminit-cfg-auth-debug-done restart_node_boot")
	cmd.AddCommand(a.bootSequencesList(), a.bootSequencesShow(), a.bootSequencesTest(), a.bootSequencesSet())
	return cmd
}

func (a *app) bootSequencesList() *cobra.Command {
	var action string
	var l repeated
	cmd := &cobra.Command{
		Use: "list", Short: "List the boot sequences that are known", Args: takes(), Aliases: []string{"ls"},
		Example: "  monitor bootman sequences list\n  monitor bootman sequences list --action fsck_repair -o json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if action != "" && !slices.Contains(bootman.Actions(), bootman.Action(action)) {
				return badInput("no action is called %q: use one of %s", action, strings.Join(actionNames(), ", "))
			}
			return l.repeat(cmd.Context(), a, func() error {
				return a.withStore(cmd.Context(), func(ctx context.Context, db *store.Store) error {
					list, err := db.BootSequences(ctx)
					if err != nil {
						return err
					}
					list = slices.DeleteFunc(list, func(s store.BootSequence) bool { return action != "" && s.Action != action })
					for i := range list {
						list[i].Changed = list[i].Changed.UTC()
					}
					return few(a, &l, list, a.drawSequences)
				})
			})
		},
	}
	l.addFlags(cmd)
	cmd.Flags().StringVar(&action, "action", "", "only those that call for this `action`")
	_ = cmd.RegisterFlagCompletionFunc("action", a.fixed(actionNames()...))
	return cmd
}

func (a *app) drawSequences(list []store.BootSequence) {
	var rows []row
	for _, s := range list {
		rows = append(rows, row{s.Action, s.Owner, s.Sequence})
	}
	a.table("no sequence calls for it", row{"ACTION", "BY", "SEQUENCE"}, rows)
}

func actionNames() []string {
	return namesOf(bootman.Actions(), func(a bootman.Action) string { return string(a) })
}

func (a *app) bootSequencesShow() *cobra.Command {
	return &cobra.Command{
		Use: "show SEQUENCE", Short: "Say what a boot sequence calls for", Args: takes("SEQUENCE"), ValidArgsFunction: a.complete(sequenceNames),
		Example: "  monitor bootman sequences show bminit-cfg-auth-authfail-debug-done",
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withStore(cmd.Context(), func(ctx context.Context, db *store.Store) error {
				s, err := db.BootSequence(ctx, args[0])
				if errors.Is(err, store.ErrNotFound) {
					return notFound("no sequence %s is known: see `monitor bootman sequences list`", args[0])
				}
				if err != nil {
					return err
				}
				return a.showSequence(s)
			})
		},
	}
}

func (a *app) showSequence(s store.BootSequence) error {
	s.Changed = s.Changed.UTC()
	return a.show(s, func() {
		a.facts(row{"sequence", s.Sequence}, row{"action", s.Action}, row{"by", s.Owner}, row{"since", a.when(s.Changed)})
	})
}

func (a *app) bootSequencesSet() *cobra.Command {
	var f reasonFlags
	cmd := &cobra.Command{
		Use: "set SEQUENCE ACTION", Short: "Say what a boot sequence calls for from now on", Args: takes("SEQUENCE", "ACTION"),
		Long: "Say what a boot sequence calls for from now on. The next visit to a node with that sequence does it.\n\nThe actions are " + strings.Join(actionNames(), ", ") + ".",
		ValidArgsFunction: func(cmd *cobra.Command, args []string, prefix string) ([]cobra.Completion, cobra.ShellCompDirective) {
			if len(args) == 1 {
				return a.fixed(actionNames()...)(cmd, args, prefix)
			}
			return a.complete(sequenceNames)(cmd, args, prefix)
		},
		Example: "  monitor bootman sequences set bminit-cfg-auth-authfail-debug-done repair_node_keys",
		RunE: func(cmd *cobra.Command, args []string) error {
			k := bootman.Known{Sequence: args[0], Action: bootman.Action(args[1])}
			if err := k.Check(); err != nil {
				return badInput("%w", err)
			}
			if done, err := a.overAPI(cmd.Context(), func(ctx context.Context, r *apiServer) error {
				var given orders.Receipt
				if err := r.post(ctx, pathOf("sequences", k.Sequence), f.order(a), map[string]any{"action": k.Action}, &given); err != nil {
					return err
				}
				return a.show(given, func() { a.say("%s", clean(given.Does)) })
			}); done {
				return err
			}
			return a.atDesk(cmd.Context(), func(ctx context.Context, d orders.Desk) error {
				if _, err := d.Teach(ctx, f.order(a), k); err != nil {
					return err
				}
				s, err := d.Store.BootSequence(ctx, k.Sequence)
				if err != nil {
					return err
				}
				return a.showSequence(s)
			})
		},
	}
	f.add(cmd)
	return cmd
}

func sequenceNames(ctx context.Context, db *store.Store) ([]string, error) {
	list, err := db.BootSequences(ctx)
	return namesOf(list, func(s store.BootSequence) string { return s.Sequence }), err
}
