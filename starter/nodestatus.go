package main

import (
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"go.temporal.io/sdk/client"

	"github.com/planetlab/monitor/activities"
	"github.com/planetlab/monitor/answers"
)

// statusView is what a look at a node has seen, or why nobody looked.
type statusView struct {
	activities.Glance
	Error string `json:"error,omitempty"`
}

func (a *app) nodeStatus() *cobra.Command {
	const most = 20
	return &cobra.Command{
		Use: "status HOST...", Short: "Look at nodes now, and say what is seen", ValidArgsFunction: a.complete(hostNames),
		Args: cobra.RangeArgs(1, most),
		Long: `Look at nodes now, and say what is seen: a worker tries them as a sweep does, which takes up to a minute. Nothing is
changed by it; "monitor node show" says what the last sweep saw. At most 20 nodes are looked at; a sweep looks at all.`,
		Example: "  monitor node status planetlab1.example.edu\n  monitor node status planetlab1.example.edu planetlab2.example.edu -o json",
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, cancel := a.within(cmd.Context(), 6*patience)
			defer cancel()
			list := make([]statusView, len(args))
			lookAll := func(look func(host string) (activities.Glance, error)) {
				var all sync.WaitGroup
				for i, host := range args {
					all.Go(func() {
						g, err := look(host)
						if list[i].Glance = g; err != nil {
							list[i].Host, list[i].Error = host, answers.ReasonOf(err)
						}
					})
				}
				all.Wait()
			}
			r, err := a.remote()
			if err != nil {
				return err
			}
			if r != nil {
				lookAll(func(host string) (g activities.Glance, err error) {
					return g, r.send(ctx, http.MethodPost, pathOf("nodes", host, "look"), nil, &g)
				})
			} else {
				var tc client.Client
				if tc, err = a.openTemporal(ctx); err != nil {
					return err
				}
				defer tc.Close()
				lookAll(func(host string) (activities.Glance, error) { return answers.Look(ctx, tc, host) })
			}
			return a.showStatus(list)
		},
	}
}

func (a *app) showStatus(list []statusView) error {
	var rows []row
	var failed error
	for _, v := range list {
		if v.Error != "" && failed == nil {
			failed = fmt.Errorf("nobody could look at %s: %s", v.Host, v.Error)
		}
		up := "-"
		if v.Uptime > 0 {
			up = (time.Duration(v.Uptime) * time.Second).String()
		}
		why := v.Reason
		if v.Error != "" {
			why = v.Error
		}
		rows = append(rows, row{v.Host, orDash(v.Site), a.state(v.State), orDash(v.Category), up, orDash(why)})
	}
	return errors.Join(failed, a.show(list, func() {
		a.table("no nodes", row{"NODE", "SITE", "STATE", "CATEGORY", "UP", "WHY"}, rows)
	}))
}
