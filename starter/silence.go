package main

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"github.com/planetlab/monitor/answers"
	"github.com/planetlab/monitor/store"
)

func (a *app) silence() *cobra.Command {
	var e store.BlacklistEntry
	var last string
	var end bool
	cmd := &cobra.Command{
		Use: "silence TARGET --for TIME | TARGET --end", Short: "Leave a node, a PCU or a site alone for a time", Args: takes("TARGET"),
		Long: `Leave a node, a PCU or a site alone for a time: it is looked at, no issue is opened about it, and nothing is done to it.
Nobody is written to about it, and a PCU is not used. What is good again is still closed, and limits are still lifted.
It is an entry of the blacklist with an end: "monitor blacklist list" shows it.`,
		Example: `  monitor silence planetlab1.example.edu --for 3d --reason "its rack is being moved"
  monitor silence pcu1.example.edu --for 12h --reason "new firmware"
  monitor silence princeton --for 14d --reason "their building is closed"
  monitor silence princeton --end`,
		ValidArgsFunction: a.complete(targetNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			if end == (last != "") {
				return badInput("give --for, how long it lasts, or --end, to end it now")
			}
			if !end && strings.TrimSpace(e.Reason) == "" {
				return badInput("--reason is missing: it is what others read when they ask why nothing is done")
			}
			return a.withStore(cmd.Context(), func(ctx context.Context, db *store.Store) (err error) {
				if e.Kind, e.Target, err = findTarget(ctx, db, args[0]); err != nil {
					return err
				}
				if end {
					return a.endSilence(ctx, db, e)
				}
				if err := a.period(&e, "", last); err != nil {
					return err
				}
				e.Owner = a.who(e.Owner)
				if err := db.AddBlacklist(ctx, e); err != nil {
					return err
				}
				return a.show(e, func() { a.say("left alone: %s", clean(a.entryLine(&e))) })
			})
		},
	}
	cmd.Flags().StringVar(&last, "for", "", "`how long` it lasts, or until when: "+momentHelp)
	cmd.Flags().BoolVar(&end, "end", false, "end it now, with every other entry of the blacklist about this target")
	cmd.Flags().StringVar(&e.Reason, "reason", "", "`why`")
	cmd.Flags().StringVar(&e.Owner, "by", "", "`who` asks for it (beside the account that runs this)")
	return cmd
}

func (a *app) endSilence(ctx context.Context, db *store.Store, e store.BlacklistEntry) error {
	err := db.RemoveBlacklist(ctx, e.Kind, e.Target)
	if errors.Is(err, store.ErrNotFound) {
		return notFound("%s %s is not left alone: see `monitor blacklist list`", e.Kind, e.Target)
	}
	if err != nil {
		return err
	}
	return a.show(targetView{e.Kind, e.Target}, func() { a.say("no longer left alone: %s %s", e.Kind, clean(e.Target)) })
}

// targetView is what an order was about.
type targetView struct {
	Kind   string `json:"kind"`
	Target string `json:"target"`
}

// findTarget says what a name stands for. A name that nobody knows would protect nothing.
func findTarget(ctx context.Context, db *store.Store, name string) (kind, target string, err error) {
	t, err := answers.Find(ctx, db, name)
	if errors.Is(err, store.ErrNotFound) {
		err = notFound("%s: see `monitor node list` and `monitor site list`", err)
	}
	return t.Kind, t.Name, err
}

func targetNames(ctx context.Context, db *store.Store) (all []string, err error) {
	for _, list := range []lister{siteNames, hostNames, pcuNames} {
		names, err := list(ctx, db)
		if err != nil {
			return nil, err
		}
		all = append(all, names...)
	}
	return all, nil
}
