package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/planetlab/monitor/answers"
	"github.com/planetlab/monitor/orders"
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/request"
	"github.com/planetlab/monitor/rollout"
	"github.com/planetlab/monitor/selection"
	"github.com/planetlab/monitor/store"
)

const rolloutAbout = `A roll-out carries one act to many nodes, so many at a time. Its plan is shown, counted and frozen before it starts: the
nodes by their ids, not what an expression may select later. A node that left, moved or became exempt meanwhile is
skipped. Each node is an order of its own, under the same gate and ledger as "monitor node reboot", and is begun once.
The next group begins when each node of the last one is back, or is what --wait says. Too many failures stop it.`

func (a *app) rollout() *cobra.Command {
	cmd := group("rollout", "Reboot, reinstall or set many nodes, so many at a time", `  monitor rollout start reinstall --select site=princeton --group 2 --reason "new image"
  monitor rollout list
  monitor rollout show new-image`)
	cmd.Long = rolloutAbout
	cmd.AddCommand(a.rolloutStart(), a.rolloutList(), a.rolloutShow(), a.rolloutWatch(),
		a.rolloutSteer(rollout.UpdatePause, "Let no further group begin", `  monitor rollout pause new-image --reason "the boot server is slow"`),
		a.rolloutSteer(rollout.UpdateResume, "Go on, after a pause or too many failures", `  monitor rollout resume new-image --reason "it is fast again"`),
		a.rolloutSteer(rollout.UpdateCancel, "End a roll-out: what nothing was done to yet is left", `  monitor rollout cancel new-image --reason "the image is broken"`),
		a.rolloutRetry())
	return cmd
}

// rolloutFlags are what the flags say of a plan.
type rolloutFlags struct {
	choice
	reasonFlags
	plan            rollout.Plan
	ways            []string
	evenUp, evenTry bool
	dry, watch      bool
}

func (o *rolloutFlags) addFlags(cmd *cobra.Command) {
	o.choice.add(cmd)
	o.reasonFlags.add(cmd)
	f := cmd.Flags()
	f.StringVar(&o.plan.Name, "name", "", "`name` of the roll-out (default by the act and the time)")
	f.IntVar(&o.plan.Group, "group", 10, "so `many` nodes at a time")
	f.StringVar(&o.plan.Wait, "wait", "", "what a node must be before its group is done, as a `selection` (default that it is back)")
	f.DurationVar(&o.plan.Within, "within", 0, "how `long` a node may take for that (default as policy.boot_grace says)")
	f.DurationVar(&o.plan.Rest, "rest", 0, "how `long` to wait between two groups")
	f.IntVar(&o.plan.Most, "max-failed", -1, "stop when more than so `many` nodes have failed (default a tenth of the plan)")
	f.DurationVar(&o.plan.Limit, "limit", 0, "begin no group after this `time`")
	f.BoolVar(&o.evenUp, "even-if-up", false, "also nodes that answer, or whose heartbeats are fresh")
	f.BoolVar(&o.evenTry, "even-if-tried", false, "also nodes that were power-cycled too often lately")
	f.StringSliceVar(&o.ways, "way", nil, "the only `ways` to try, in this order: pcu, ssh, plc (default all there are)")
	f.BoolVar(&o.dry, "dry-run", false, "show the plan, and start nothing")
	f.BoolVar(&o.watch, "watch", false, "watch it to its end; Ctrl-C stops the watching, not the roll-out")
}

func (a *app) rolloutStart() *cobra.Command {
	o := rolloutFlags{}
	words := []string{string(request.Reboot), string(request.Reinstall), string(request.BootState)}
	cmd := &cobra.Command{
		Use: "start reboot|reinstall|bootstate [HOST...]", Short: "Plan a roll-out, show it, and start it", Long: rolloutAbout,
		Args: cobra.MinimumNArgs(1),
		Example: `  monitor rollout start reinstall --select site=princeton --group 2 --reason "new image" --dry-run
  monitor rollout start reboot --select 'kernel~"2.6.32"' --even-if-up --wait 'kernel~"6.1"' --within 2h --reason "new kernel" --name new-kernel --yes
  monitor rollout start bootstate --to boot --select boot_state=safeboot --group 50 --reason "the test is over" --yes`,
		ValidArgsFunction: a.fixed(words...),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !slices.Contains(words, args[0]) {
				return badInput("%q is no act: say %s", args[0], strings.Join(words, ", "))
			}
			o.plan.Act = request.Act(args[0])
			return a.startRollout(cmd.Context(), &o, args[1:])
		},
	}
	o.addFlags(cmd)
	cmd.Flags().StringVar(&o.plan.State, "to", "", "of bootstate: the boot `state` to set")
	return cmd
}

// rins is the short form that the first Monitor had: reinstall groups of nodes, one after the other.
func (a *app) rins() *cobra.Command {
	o := rolloutFlags{plan: rollout.Plan{Act: request.Reinstall}}
	cmd := &cobra.Command{
		Use: "rins [HOST...]", Short: "Reinstall many nodes, so many at a time: a short form of `rollout start reinstall`",
		Long: "Reinstall many nodes, so many at a time: a short form of `monitor rollout start reinstall`.\n\n" + rolloutAbout,
		Example: `  monitor rins --select site=princeton --group 2 --reason "new image" --dry-run
  monitor rins planetlab1.example.edu planetlab2.example.edu --group 1 --reason "new image" --even-if-up --yes`,
		ValidArgsFunction: a.complete(hostNames),
		RunE:              func(cmd *cobra.Command, args []string) error { return a.startRollout(cmd.Context(), &o, args) },
	}
	o.addFlags(cmd)
	return cmd
}

// planView is a roll-out before it starts.
type planView struct {
	Plan   rollout.Plan   `json:"plan"`
	Nodes  []rollout.Node `json:"nodes"`
	DryRun bool           `json:"dry_run"`
}

func (a *app) startRollout(ctx context.Context, o *rolloutFlags, args []string) error {
	if strings.TrimSpace(o.reason) == "" {
		return badInput("--reason is missing: the ledger keeps it")
	}
	o.plan.Made = a.now().UTC().Truncate(time.Second)
	if o.evenUp {
		o.plan.Order.Waives = append(o.plan.Order.Waives, policy.EvenIfUp)
	}
	if o.evenTry {
		o.plan.Order.Waives = append(o.plan.Order.Waives, policy.EvenIfTried)
	}
	for _, w := range o.ways {
		o.plan.Ways = append(o.plan.Ways, request.Way(w))
	}
	o.plan.Name = cmp.Or(o.plan.Name, string(o.plan.Act)+"-"+o.plan.Made.Format("20060102-150405"))
	if o.plan.Wait != "" { // a worker asks it, which has neither groups nor files
		if _, err := selection.NewSet(a.nodeSource().table, selection.Request{Select: []string{o.plan.Wait}},
			selection.Options{Now: a.now()}); err != nil {
			return badInput("--wait: %w", err)
		}
	}
	nodes, err := a.planned(ctx, o, args)
	if err != nil {
		return err
	}
	o.plan.Count = len(nodes)
	if o.plan.Most < 0 {
		o.plan.Most = max(1, len(nodes)/10)
	}
	order := o.order(a)
	order.DryRun = true
	checked, err := a.orderRollout(ctx, order, o.plan, nodes)
	if err != nil {
		return err
	}
	v := planView{checked, nodes, o.dry}
	if o.dry {
		return a.show(v, func() { a.drawPlan(v) })
	}
	groups := (len(nodes) + o.plan.Group - 1) / o.plan.Group
	question := fmt.Sprintf("%s these %d nodes, in %d groups of at most %d?", o.plan.Act, len(nodes), groups, o.plan.Group)
	if err := a.confirm(o.yes, question, func(a *app) { a.drawPlan(v) }); err != nil {
		return err
	}
	if _, err := a.orderRollout(ctx, o.order(a), o.plan, nodes); err != nil {
		return err
	}
	if o.watch {
		return a.watchRollout(ctx, o.plan.Name)
	}
	return a.show(v, func() {
		a.say("%s has begun: %s of %d nodes, %d at a time", o.plan.Name, string(o.plan.Act), len(nodes), o.plan.Group)
		a.say("watch it with `monitor rollout watch %s`", o.plan.Name)
	})
}

func (a *app) planned(ctx context.Context, o *rolloutFlags, args []string) ([]rollout.Node, error) {
	chosen, err := a.allNodes(ctx, &o.choice, args)
	return orders.PlanOf(chosen), err
}

// orderRollout gives the order, or of a dry run has it checked.
func (a *app) orderRollout(ctx context.Context, o orders.Order, p rollout.Plan, nodes []rollout.Node) (rollout.Plan, error) {
	done, err := a.overAPI(ctx, func(ctx context.Context, r *apiServer) (err error) {
		p, err = r.startRollout(ctx, o, p, nodes)
		return err
	})
	if !done {
		at := a.atDeskWithTemporal
		if o.DryRun {
			at = a.atDesk
		}
		err = at(ctx, func(ctx context.Context, d orders.Desk) (err error) {
			_, p, err = d.Rollout(ctx, o, p, nodes)
			return err
		})
	}
	if errors.Is(err, store.ErrRolloutTwice) || orders.KindOf(err) == orders.Refused && strings.HasSuffix(err.Error(), store.ErrRolloutTwice.Error()) {
		return p, badInput("%w: give another --name", err)
	}
	return p, err
}

// startRollout gives the order over the API, or of a dry run has it checked there.
func (r *apiServer) startRollout(ctx context.Context, o orders.Order, p rollout.Plan, nodes []rollout.Node) (rollout.Plan, error) {
	ids := make([]int, len(nodes))
	for i, n := range nodes {
		ids[i] = n.NodeID
	}
	more := map[string]any{"name": p.Name, "act": p.Act, "node_ids": ids, "group": p.Group, "max_failed": p.Most,
		"within_seconds": int(p.Within.Seconds()), "rest_seconds": int(p.Rest.Seconds()), "limit_seconds": int(p.Limit.Seconds()),
		"even_if_up":    slices.Contains(p.Order.Waives, policy.EvenIfUp),
		"even_if_tried": slices.Contains(p.Order.Waives, policy.EvenIfTried)}
	if p.State != "" {
		more["state"] = p.State
	}
	if p.Wait != "" {
		more["wait"] = p.Wait
	}
	if len(p.Ways) > 0 {
		more["ways"] = p.Ways
	}
	var given struct {
		Plan rollout.Plan `json:"plan"`
	}
	path := "/rollouts"
	if o.DryRun {
		path += "?dryRun=true"
	}
	err := r.post(ctx, path, o, more, &given)
	return given.Plan, err
}

func (a *app) drawPlan(v planView) {
	p := v.Plan
	wait := "each node is back"
	if p.Wait != "" {
		wait = p.Wait
	}
	what := string(p.Act)
	if p.State != "" {
		what += " " + p.State
	}
	a.say("%s: %s of %d nodes", p.Name, what, p.Count)
	a.facts(row{"reason", p.Order.Reason}, row{"at a time", fmt.Sprint(p.Group)}, row{"next group when", wait}, row{"stops after", fmt.Sprintf("more than %d failures", p.Most)},
		row{"passes over", waivers(p.Order.Waives)})
	var rows []row
	for _, n := range v.Nodes {
		rows = append(rows, row{(n.Seq-1)/p.Group + 1, n.Host, n.Site, orDash(n.Reason)})
	}
	a.table("no nodes", row{"GROUP", "NODE", "SITE", "NOW"}, rows)
}

func waivers(list []policy.Waiver) string {
	var words []string
	for _, w := range list {
		words = append(words, string(w))
	}
	return strings.Join(words, ", ")
}

func (a *app) rolloutList() *cobra.Command {
	var l repeated
	cmd := &cobra.Command{
		Use: "list", Short: "List roll-outs, the latest first", Args: takes(), Aliases: []string{"ls"},
		Example: "  monitor rollout list\n  monitor rollout list -o json",
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return l.repeat(cmd.Context(), a, func() error {
			if done, err := a.overAPI(cmd.Context(), func(ctx context.Context, r *apiServer) error {
				var list []store.Rollout
				if err := r.get(ctx, "/rollouts", nil, &list); err != nil {
					return err
				}
				return few(a, &l, list, a.drawRollouts)
			}); done {
				return err
			}
			return a.withStore(cmd.Context(), func(ctx context.Context, db *store.Store) error {
				const latest = 100
				list, err := db.Rollouts(ctx, latest)
				if err != nil {
					return err
				}
				for i := range list {
					list[i].Made, list[i].Ended = list[i].Made.UTC(), list[i].Ended.UTC()
				}
				return few(a, &l, list, a.drawRollouts)
			})
		})
	}
	l.addFlags(cmd)
	return cmd
}

func (a *app) drawRollouts(list []store.Rollout) {
	var rows []row
	for _, r := range list {
		rows = append(rows, row{r.Name, string(r.Plan.Act), a.state(r.Status), progressOf(r), r.Made, r.Plan.Order.By, r.Plan.Order.Reason})
	}
	a.table("no roll-outs", row{"NAME", "ACT", "STATUS", "NODES", "MADE", "BY", "REASON"}, rows)
}

// progressOf is how many nodes of a roll-out are in which state, in a few words.
func progressOf(r store.Rollout) string {
	var parts []string
	for _, s := range rollout.NodeStates() {
		if n := r.Nodes[s]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, s))
		}
	}
	return strings.Join(parts, ", ")
}

// wholeRollout is a roll-out as it stands.
func (a *app) wholeRollout(ctx context.Context, name string) (v answers.WholeRollout, err error) {
	done, err := a.overAPI(ctx, func(ctx context.Context, r *apiServer) error {
		return r.get(ctx, pathOf("rollouts", name), nil, &v)
	})
	if !done {
		err = a.withStore(ctx, func(ctx context.Context, db *store.Store) error {
			tc, dialErr := a.openTemporalSoon(ctx)
			if dialErr == nil {
				defer tc.Close()
			} else {
				tc = nil
			}
			v, err = answers.ReadRollout(ctx, db, tc, name)
			if dialErr != nil {
				v.Missing = dialErr.Error()
			}
			return err
		})
	}
	if errors.Is(err, store.ErrNotFound) {
		return v, notFound("there is no roll-out %s: see `monitor rollout list`", name)
	}
	if err == nil && v.Missing != "" {
		a.warn("this is what the store last knew: %s", v.Missing)
	}
	return v, err
}

func (a *app) rolloutShow() *cobra.Command {
	var only string
	cmd := &cobra.Command{
		Use: "show NAME", Short: "Show how far a roll-out is, node by node", Args: takes("NAME"), ValidArgsFunction: a.complete(rolloutNames),
		Example: "  monitor rollout show new-image\n  monitor rollout show new-image --state failed -o json",
		RunE: func(cmd *cobra.Command, args []string) error {
			var states []string
			for _, s := range rollout.NodeStates() {
				states = append(states, string(s))
			}
			if err := oneOf("--state", only, states); err != nil {
				return err
			}
			v, err := a.wholeRollout(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if only != "" {
				v.List = slices.DeleteFunc(v.List, func(n rollout.Node) bool { return string(n.State) != only })
			}
			return a.show(v, func() { a.drawRollout(v) })
		},
	}
	cmd.Flags().StringVar(&only, "state", "", "only nodes in this `state`: planned, begun, done, failed, skipped or unknown")
	return cmd
}

func rolloutNames(ctx context.Context, db *store.Store) ([]string, error) {
	list, err := db.Rollouts(ctx, 1000)
	return namesOf(list, func(r store.Rollout) string { return r.Name }), err
}

func (a *app) drawRollout(v answers.WholeRollout) {
	a.say("%s: %s of %d nodes, %s", v.Name, string(v.Plan.Act), v.Plan.Count, a.state(v.Status))
	a.facts(row{"why", v.Why}, row{"ordered by", v.Plan.Order.By}, row{"reason", v.Plan.Order.Reason}, row{"nodes", progressOf(v.Rollout)},
		row{"made", a.when(v.Made)}, row{"ended", a.when(v.Ended)})
	var rows []row
	for _, n := range v.List {
		group := "-"
		if n.Group > 0 {
			group = fmt.Sprint(n.Group)
		}
		rows = append(rows, row{group, n.Host, n.Site, a.state(string(n.State)), n.Ended, orDash(n.Reason)})
	}
	a.table("no nodes", row{"GROUP", "NODE", "SITE", "STATE", "ENDED", "WHY"}, rows)
}
