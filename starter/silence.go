package main

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/planetlab/monitor/answers"
	"github.com/planetlab/monitor/orders"
	"github.com/planetlab/monitor/store"
)

func (a *app) silence() *cobra.Command {
	var f reasonFlags
	var last string
	var end bool
	cmd := &cobra.Command{
		Use: "silence TARGET --for TIME | TARGET --end", Short: "Leave a node, a PCU or a site alone for a time", Args: takes("TARGET"),
		Long: `Leave a node, a PCU or a site alone for a time: it is looked at, no issue is opened about it, and nothing is done to it.
Nobody is written to about it, and a PCU is not used. What is good again is still closed, and limits are still lifted.
It is an exemption with an end: "monitor exempt list" shows it.`,
		Example: `  monitor silence planetlab1.example.edu --for 3d --reason "its rack is being moved"
  monitor silence pcu1.example.edu --for 12h --reason "new firmware"
  monitor silence princeton --for 14d --reason "their building is closed"
  monitor silence princeton --end`,
		ValidArgsFunction: a.complete(targetNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			if end == (last != "") {
				return badInput("give --for, how long it lasts, or --end, to end it now")
			}
			var until time.Time
			if !end {
				var err error
				if until, err = a.moment(last); err != nil {
					return err
				}
			}
			if done, err := a.overAPI(cmd.Context(), func(ctx context.Context, r *apiServer) error {
				if end {
					return a.endSilenceRemotely(ctx, r, f.order(a), args[0])
				}
				var given silenced
				if err := r.post(ctx, "/silences", f.order(a), map[string]any{"target": args[0], "until": until}, &given); err != nil {
					return err
				}
				return a.show(given.Silence, func() { a.say("left alone: %s", clean(a.entryLine(&given.Silence))) })
			}); done {
				return err
			}
			return a.atDesk(cmd.Context(), func(ctx context.Context, d orders.Desk) error {
				if end {
					return a.endSilence(ctx, d, f.order(a), args[0])
				}
				_, e, err := d.Silence(ctx, f.order(a), args[0], until)
				if err != nil {
					return err
				}
				return a.show(e, func() { a.say("left alone: %s", clean(a.entryLine(&e))) })
			})
		},
	}
	cmd.Flags().StringVar(&last, "for", "", "`how long` it lasts, or until when: "+momentHelp)
	cmd.Flags().BoolVar(&end, "end", false, "end it now, with every other exemption of this target")
	f.add(cmd)
	return cmd
}

func (a *app) endSilence(ctx context.Context, d orders.Desk, o orders.Order, name string) error {
	kind, target, err := findTarget(ctx, d.Store, name)
	if err != nil {
		return err
	}
	if _, err = d.Unsilence(ctx, o, kind, target); err != nil {
		return err
	}
	return a.show(targetView{kind, target}, func() { a.say("no longer left alone: %s %s", kind, clean(target)) })
}

// endSilenceRemotely ends what is left alone under a name, over the API.
func (a *app) endSilenceRemotely(ctx context.Context, r *apiServer, o orders.Order, name string) error {
	var list []store.BlacklistEntry
	if err := r.get(ctx, "/silences", nil, &list); err != nil {
		return err
	}
	i := slices.IndexFunc(list, func(e store.BlacklistEntry) bool { return e.Target == name })
	if i < 0 {
		return notFound("%s is not left alone: see `monitor exempt list`", name)
	}
	return a.takeBack(ctx, r, o, "silences", list[i].Kind, name, "no longer left alone")
}

// takeBack ends over the API that a target is left alone.
func (a *app) takeBack(ctx context.Context, r *apiServer, o orders.Order, list, kind, target, said string) error {
	path := pathOf(list, kind, target) + "?" + url.Values{"reason": {o.Reason}}.Encode()
	if err := r.send(ctx, http.MethodDelete, path, nil, &orders.Receipt{}); err != nil {
		return err
	}
	return a.show(targetView{kind, target}, func() { a.say("%s: %s %s", said, kind, clean(target)) })
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
