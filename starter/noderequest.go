package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"

	"github.com/planetlab/monitor/answers"
	"github.com/planetlab/monitor/orders"
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/request"
	"github.com/planetlab/monitor/selection"
	"github.com/planetlab/monitor/store"
)

// mostOrders is how many nodes one command acts on; more are the work of a roll-out.
const mostOrders = 50

// nodeOrder is what the flags of an order to nodes say.
type nodeOrder struct {
	choice
	reasonFlags
	orders.Node
	ways            []string
	evenUp, evenTry bool
	wait, dry       bool
}

func (o *nodeOrder) addFlags(cmd *cobra.Command) {
	o.choice.add(cmd)
	o.reasonFlags.add(cmd)
	f := cmd.Flags()
	f.BoolVar(&o.dry, "dry-run", false, "ask the gate what would be done, and do nothing")
	f.BoolVar(&o.wait, "wait", false, "wait until each node is seen to return, or for the reason why not")
	f.DurationVar(&o.Patience, "patience", 0, "how `long` an order may wait for its turn, as for a budget or a busy PCU")
	if o.Act != request.BootState {
		f.BoolVar(&o.evenUp, "even-if-up", false, "also a node that answers, or whose heartbeat is fresh")
		f.BoolVar(&o.evenTry, "even-if-tried", false, "also a node that was power-cycled too often lately")
		f.StringSliceVar(&o.ways, "way", nil, "the only `ways` to try, in this order: pcu, ssh, plc (default all there are)")
		f.DurationVar(&o.Return, "return", 0, "how `long` the node may take to come back (default as policy.boot_grace says)")
	}
}

// read completes the order from the flags.
func (o *nodeOrder) read() error {
	if strings.TrimSpace(o.reason) == "" {
		return badInput("--reason is missing: the ledger keeps it, and the issues of the node tell it")
	}
	if o.evenUp {
		o.Waives = append(o.Waives, policy.EvenIfUp)
	}
	if o.evenTry {
		o.Waives = append(o.Waives, policy.EvenIfTried)
	}
	for _, w := range o.ways {
		o.Ways = append(o.Ways, request.Way(w))
	}
	return nil
}

const orderAbout = `It passes the same gate as Monitor's own acts, and is done under the same lock and ledger: docs/gate.md says which
checks an operator may pass over. It is done once; the outlet is read back, and the node is watched until it returns.
More than one node is shown first, and confirmed. It exits with 0 when all is as wanted, with 5 when a check refused.`

func (a *app) nodeReboot() *cobra.Command {
	o := nodeOrder{Node: orders.Node{Act: request.Reboot}}
	return a.nodeOrder(&o, &cobra.Command{
		Use: "reboot HOST...", Short: "Reboot nodes: through their PCU, else over ssh",
		Long: "Reboot nodes: through their PCU, else over ssh.\n\n" + orderAbout,
		Example: `  monitor node reboot planetlab1.example.edu --reason "hangs since the upgrade"
  monitor node reboot planetlab1.example.edu --reason "hangs since the upgrade" --dry-run
  monitor node reboot planetlab2.example.edu --reason "new kernel" --even-if-up --way ssh --wait
  monitor node reboot --select site=princeton,status=down --reason "the power is back" --yes`,
	})
}

func (a *app) nodeReinstall() *cobra.Command {
	o := nodeOrder{Node: orders.Node{Act: request.Reinstall}}
	return a.nodeOrder(&o, &cobra.Command{
		Use: "reinstall HOST...", Short: "Reinstall nodes: what is on their disks is lost",
		Long: "Reinstall nodes: have them boot to be installed anew, and power-cycle them. Where no way leads to that, the boot state stays set,\n" +
			"and counts when the node next boots. What is on their disks is lost.\n\n" + orderAbout,
		Example: `  monitor node reinstall planetlab1.example.edu --reason "its disk was replaced" --wait
  monitor node reinstall planetlab1.example.edu --reason "its disk was replaced" --dry-run`,
	})
}

func (a *app) nodeBootState() *cobra.Command {
	o := nodeOrder{Node: orders.Node{Act: request.BootState}}
	cmd := a.nodeOrder(&o, &cobra.Command{
		Use: "bootstate HOST...", Short: "Set what nodes boot into",
		Long: "Set what nodes boot into: " + strings.Join(request.BootStates(policy.RoleOperator), ", ") + ". Nothing is restarted.\n\n" + orderAbout,
		Example: `  monitor node bootstate planetlab1.example.edu --to boot --reason "out of safeboot again"
  monitor node bootstate planetlab1.example.edu --to disabled --reason "it goes to the workshop" --wait`,
	})
	cmd.Flags().StringVar(&o.State, "to", "", "the boot `state`: "+strings.Join(request.BootStates(policy.RoleOperator), ", "))
	_ = cmd.RegisterFlagCompletionFunc("to", a.fixed(request.BootStates(policy.RoleOperator)...))
	return cmd
}

func (a *app) nodeOrder(o *nodeOrder, cmd *cobra.Command) *cobra.Command {
	cmd.ValidArgsFunction = a.complete(hostNames)
	o.addFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := o.read(); err != nil {
			return err
		}
		return a.orderNodes(cmd.Context(), o, args)
	}
	return cmd
}

// orderNodes chooses, shows, asks, and gives the order to each node.
func (a *app) orderNodes(ctx context.Context, o *nodeOrder, args []string) error {
	r, err := a.remote()
	if err != nil {
		return err
	}
	var nodes []selection.Node
	if r != nil {
		nodes, err = o.of(a, args, func(parts selection.NodeParts) ([]selection.Node, error) {
			return r.remoteNodes(ctx, parts.Details, time.Time{})
		})
	} else {
		err = a.withStore(ctx, func(ctx context.Context, db *store.Store) (err error) {
			nodes, err = o.nodes(ctx, a, db, args)
			return err
		})
	}
	if err != nil {
		return err
	}
	if len(nodes) > mostOrders {
		return badInput("%d nodes are chosen, and one command orders at most %d: `monitor rollout start` does more, so many at a time",
			len(nodes), mostOrders)
	}
	if len(nodes) > 1 && !o.dry {
		question := fmt.Sprintf("%s these %d nodes?", o.Act, len(nodes))
		if err := a.confirm(o.yes, question, func(a *app) { a.drawChosen(nodes) }); err != nil {
			return err
		}
	}
	stories := make([]request.Story, len(nodes))
	failures := make([]error, len(nodes))
	give := func(order func(selection.Node) (request.Story, error)) error {
		slots := make(chan struct{}, 16)
		var all sync.WaitGroup
		for i, n := range nodes {
			all.Go(func() {
				slots <- struct{}{}
				defer func() { <-slots }()
				stories[i], failures[i] = order(n)
			})
		}
		all.Wait()
		return nil
	}
	if r != nil {
		err = give(func(n selection.Node) (request.Story, error) { return a.orderNodeRemotely(ctx, r, o, n) })
	} else {
		err = a.atDeskFor(ctx, func(d orders.Desk) error {
			return give(func(n selection.Node) (request.Story, error) { return a.orderNode(ctx, d, o, n) })
		})
	}
	if err != nil {
		return err
	}
	return a.showOrders(stories, failures, len(args) == 1 && len(nodes) == 1)
}

// orderNode gives the order to one node, and waits for what is asked for: its end, or that it is under way.
func (a *app) orderNode(ctx context.Context, d orders.Desk, o *nodeOrder, n selection.Node) (request.Story, error) {
	s := request.Story{ID: request.ID(n.Name), Site: n.Site}
	s.Input.Node, s.Input.Act, s.Input.Order.Reason = n.Name, o.Act, o.reason
	bounded := ctx
	if !o.wait || a.timeout > 0 {
		var cancel context.CancelFunc
		bounded, cancel = a.within(ctx, 2*patience)
		defer cancel()
	}
	order := o.Node
	order.NodeID = n.NodeID
	var err error
	if o.dry {
		s, err = d.WouldNode(bounded, o.order(a), order, n.Name)
	} else {
		var r orders.Receipt
		if r, err = d.Node(bounded, o.order(a), order, n.Name); err == nil {
			s.Run = r.Run
			s, err = a.followNode(bounded, d.Temporal, o.wait, s)
		}
	}
	if err != nil && bounded.Err() != nil && ctx.Err() == nil {
		return s, fmt.Errorf("no answer yet: is monitor-worker running? The order stands: `monitor node request %s` shows it", n.Name)
	}
	return s, err
}

// followNode waits for the end of an order, or for the first word of it.
func (a *app) followNode(ctx context.Context, tc client.Client, wait bool, s request.Story) (request.Story, error) {
	if !wait {
		return a.firstWord(ctx, tc, s)
	}
	if err := tc.GetWorkflow(ctx, s.ID, s.Run).Get(ctx, &s); err != nil {
		return s, errors.New(answers.ReasonOf(err))
	}
	return s, nil
}

// nodeGiven is what an order to a node answers over the API.
type nodeGiven struct {
	orders.Receipt
	Story request.Story `json:"story"`
}

// orderNodeRemotely is orderNode over the API.
func (a *app) orderNodeRemotely(ctx context.Context, r *apiServer, o *nodeOrder, n selection.Node) (request.Story, error) {
	s := request.Story{ID: request.ID(n.Name), Site: n.Site}
	s.Input.Node, s.Input.Act, s.Input.Order.Reason = n.Name, o.Act, o.reason
	bounded := ctx
	if !o.wait || a.timeout > 0 {
		var cancel context.CancelFunc
		bounded, cancel = a.within(ctx, 2*patience)
		defer cancel()
	}
	path := pathOf("nodes", n.Name, string(o.Act))
	if o.dry {
		path += "?dryRun=true"
	}
	var given nodeGiven
	err := r.post(bounded, path, o.order(a), map[string]any{"even_if_up": o.evenUp, "even_if_tried": o.evenTry, "ways": append([]request.Way{}, o.Ways...),
		"state": o.State, "node_id": n.NodeID, "patience_seconds": int(o.Patience.Seconds()), "return_seconds": int(o.Return.Seconds())}, &given)
	if o.dry || err != nil {
		if given.Story.ID != "" {
			s = given.Story
		}
		return s, err
	}
	for {
		now := request.Story{}
		err := r.get(bounded, pathOf("nodes", n.Name, "request"), url.Values{"run": {given.Run}}, &now)
		if err == nil && now.ID != "" {
			s = now
		}
		switch {
		case s.End != "", !o.wait && (!s.Acted.IsZero() || s.Reason != ""):
			return s, nil
		case bounded.Err() != nil && ctx.Err() == nil:
			return s, fmt.Errorf("no answer yet: is monitor-worker running? The order stands: `monitor node request %s` shows it", n.Name)
		case err != nil && orders.KindOf(err) != orders.Silent:
			return s, err
		}
		select {
		case <-bounded.Done():
		case <-time.After(500 * time.Millisecond):
		}
	}
}

// firstWord waits until an order was refused, or done, or waits: until then nobody knows more than that it was given.
func (a *app) firstWord(ctx context.Context, tc client.Client, s request.Story) (request.Story, error) {
	host, run := s.Input.Node, s.Run
	for {
		now, err := answers.Request(ctx, tc, host, run)
		if err != nil {
			return s, err
		}
		if now.ID != "" {
			s = now
		}
		if s.End != "" || !s.Acted.IsZero() || s.Reason != "" {
			return s, nil
		}
		select {
		case <-ctx.Done():
			return s, ctx.Err()
		case <-time.After(300 * time.Millisecond):
		}
	}
}

// showOrders prints the result of each order, and makes the exit code of all.
func (a *app) showOrders(stories []request.Story, failures []error, alone bool) error {
	for i, err := range failures {
		if err != nil {
			end := request.Failed
			if errors.Is(err, orders.ErrUnderWay) {
				end = request.Refused
			}
			stories[i].End, stories[i].Reason = cmp.Or(stories[i].End, end), err.Error()
		}
		stories[i] = inUTC(stories[i])
	}
	var shown error
	if alone {
		shown = a.show(stories[0], func() { a.drawStory(stories[0]) })
	} else {
		shown = a.show(stories, func() { a.drawStories(stories) })
	}
	return errors.Join(verdictOf(stories, failures), shown)
}

func inUTC(s request.Story) request.Story {
	for _, t := range []*time.Time{&s.Started, &s.Ended, &s.Acted, &s.Next} {
		*t = t.UTC()
	}
	for i := range s.Steps {
		s.Steps[i].At = s.Steps[i].At.UTC()
	}
	return s
}

// verdictOf is the error of all orders: a refusal has an exit code of its own, where nothing else went wrong.
func verdictOf(stories []request.Story, failures []error) error {
	refused, failed := 0, 0
	var first string
	for i, s := range stories {
		switch {
		case failures[i] == nil && (s.End == "" || s.End.Good()):
			continue
		case s.End == request.Refused || errors.Is(failures[i], orders.ErrUnderWay):
			refused++
		default:
			failed++
		}
		if first == "" {
			first = s.Input.Node + ": " + string(s.End) + ": " + s.Reason
		}
	}
	code := exitFailure
	switch {
	case refused+failed == 0:
		return nil
	case failed == 0:
		code = exitRefused
	}
	if len(stories) > 1 {
		first = fmt.Sprintf("%d of %d are not as wanted, the first one: %s", refused+failed, len(stories), first)
	}
	return &exitError{code, errors.New(first)}
}

func (a *app) drawStories(stories []request.Story) {
	var rows []row
	for _, s := range stories {
		took := "-"
		if !s.Ended.IsZero() && !s.Started.IsZero() {
			took = s.Ended.Sub(s.Started).Round(time.Second).String()
		}
		rows = append(rows, row{s.Input.Node, s.Site, a.state(string(cmp.Or(s.End, "under way"))), took, orDash(s.Reason)})
	}
	a.table("no nodes", row{"NODE", "SITE", "RESULT", "TOOK", "WHY"}, rows)
}

func (a *app) drawStory(s request.Story) {
	a.say("%s of %s: %s", string(s.Input.Act), s.Input.Node, a.state(string(cmp.Or(s.End, "under way"))))
	a.facts(row{"site", s.Site}, row{"ordered by", s.Input.Order.By}, row{"from", s.Input.From}, row{"part of", s.Input.Part},
		row{"reason", s.Input.Order.Reason}, row{"check", s.Check}, row{"why", s.Reason}, row{"goes on", a.when(s.Next)})
	var rows []row
	for _, x := range s.Steps {
		rows = append(rows, row{"  " + a.stamp(x.At), string(x.Way), x.What, x.Why})
	}
	if len(rows) > 0 {
		a.heading("Story")
		a.grid(rows)
	}
}

func (a *app) nodeRequest() *cobra.Command {
	return &cobra.Command{
		Use: "request HOST", Short: "Show how the latest order to a node stands, step by step", Args: takes("HOST"),
		ValidArgsFunction: a.complete(hostNames), Example: "  monitor node request planetlab1.example.edu\n  monitor node request planetlab1.example.edu -o json",
		RunE: func(cmd *cobra.Command, args []string) error {
			if done, err := a.overAPI(cmd.Context(), func(ctx context.Context, r *apiServer) error {
				var s request.Story
				if err := r.get(ctx, pathOf("nodes", args[0], "request"), nil, &s); err != nil {
					return err
				}
				s = inUTC(s)
				return a.show(s, func() { a.drawStory(s) })
			}); done {
				return err
			}
			return a.withTemporal(cmd.Context(), func(ctx context.Context, tc client.Client) error {
				s, err := answers.Request(ctx, tc, args[0], "")
				if err != nil {
					return noRequest(args[0], err)
				}
				s = inUTC(s)
				return a.show(s, func() { a.drawStory(s) })
			})
		},
	}
}

func noRequest(host string, err error) error {
	var none *serviceerror.NotFound
	switch {
	case errors.As(err, &none):
		return notFound("no order to %s is known to Temporal; older ones are in the ledger: `monitor query ledger --select node=%s`", host, host)
	case answers.Silent(err):
		return fmt.Errorf("%s does not answer: is monitor-worker running?", request.ID(host))
	}
	return errors.New(answers.ReasonOf(err))
}

func (a *app) nodeCancel() *cobra.Command {
	var f reasonFlags
	cmd := &cobra.Command{
		Use: "cancel HOST", Short: "Leave the order to a node that is under way, if nothing was done yet", Args: takes("HOST"),
		ValidArgsFunction: a.complete(hostNames), Example: "  monitor node cancel planetlab1.example.edu --reason \"the wrong node\"",
		RunE: func(cmd *cobra.Command, args []string) error {
			if done, err := a.overAPI(cmd.Context(), func(ctx context.Context, r *apiServer) error {
				var given nodeGiven
				if err := r.post(ctx, pathOf("nodes", args[0], "cancel"), f.order(a), nil, &given); err != nil {
					return err
				}
				s := inUTC(given.Story)
				return a.show(s, func() { a.drawStory(s) })
			}); done {
				return err
			}
			return a.atDeskWithTemporal(cmd.Context(), func(ctx context.Context, d orders.Desk) error {
				_, answer, err := d.CancelNode(ctx, f.order(a), args[0])
				if s := inUTC(answer.Story); s.ID != "" {
					err = errors.Join(err, a.show(s, func() { a.drawStory(s) }))
				}
				return err
			})
		},
	}
	f.add(cmd)
	return cmd
}
