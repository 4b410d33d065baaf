package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/planetlab/monitor/answers"
	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/selection"
	"github.com/planetlab/monitor/store"
)

func (a *app) node() *cobra.Command {
	cmd := group("node", "List and show nodes, and give orders to them", "  monitor node list --status down\n  monitor node show planetlab1.example.edu\n  monitor node reboot planetlab1.example.edu --reason \"hangs since the upgrade\"")
	cmd.AddCommand(a.nodeStatus(), a.nodeReboot(), a.nodeReinstall(), a.nodeBootState(), a.nodeRequest(), a.nodeCancel(), a.nodeList(), &cobra.Command{
		Use: "show HOST", Short: "Show a node: what was seen of it, its PCU, its issues, and what was done", Args: takes("HOST"), ValidArgsFunction: a.complete(hostNames),
		Example: "  monitor node show planetlab1.example.edu\n  monitor node show planetlab1.example.edu -o json",
		RunE: func(cmd *cobra.Command, args []string) error {
			if done, err := a.overAPI(cmd.Context(), func(ctx context.Context, r *apiServer) error {
				var v answers.Node
				if err := r.get(ctx, pathOf("nodes", args[0]), nil, &v); err != nil {
					return err
				}
				return a.show(v, func() { a.drawNode(v) })
			}); done {
				return err
			}
			return a.withStore(cmd.Context(), func(ctx context.Context, db *store.Store) error {
				v, err := answers.ReadNode(ctx, db, args[0], a.now())
				if errors.Is(err, store.ErrNotFound) {
					return notFound("no node %s is known: see `monitor node list`", args[0])
				}
				if err != nil {
					return err
				}
				return a.show(v, func() { a.drawNode(v) })
			})
		},
	})
	return cmd
}

func (a *app) nodeList() *cobra.Command {
	var l listing
	var site, status string
	statuses := []string{"online", "good", "offline", "down", "failboot", "safeboot", "disabled"}
	cmd := &cobra.Command{
		Use: "list", Short: "List nodes", Args: takes(), Aliases: []string{"ls"}, Long: "List nodes.\n\n" + selectHelp,
		Example: `  monitor node list
  monitor node list --site princeton
  monitor node list --status down -o json
  monitor node list --select 'state=down,last_contact_age>2d' --sort -status_age`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := oneOf("--status", status, statuses); err != nil {
				return err
			}
			s := a.nodeSource()
			s.own = a.ownNodes
			s.keep = func(n *selection.Node) bool {
				return (site == "" || n.Site == site) && (status == "" || n.Status == status)
			}
			s.site = site
			return list(cmd.Context(), a, &l, s)
		},
	}
	cmd.Flags().StringVar(&site, "site", "", "only of the site with this `login_base`")
	cmd.Flags().StringVar(&status, "status", "", "only with this `status`: online, good, offline, down, failboot, safeboot or disabled")
	l.addFlags(cmd)
	_ = cmd.RegisterFlagCompletionFunc("site", a.complete(siteNames))
	_ = cmd.RegisterFlagCompletionFunc("status", a.fixed(statuses...))
	_ = cmd.RegisterFlagCompletionFunc("fields", a.completeFields)
	_ = cmd.RegisterFlagCompletionFunc("sort", a.completeFields)
	return cmd
}

// ownNodes shows the nodes of rows, in their order, as this command always did.
func (a *app) ownNodes(rows []selection.Node) (any, func()) {
	views := []answers.Node{}
	for _, n := range rows {
		v := answers.Node{
			Hostname: n.Name, NodeID: n.NodeID, Site: n.Site, IP: n.IP, Model: n.Model, BootState: n.BootState,
			Status: policy.Status(n.Status), Since: n.Since.UTC(), State: n.State, Category: n.Category, Reason: n.Why,
			Firewall: n.Firewall, Seen: n.Seen.UTC(), LastContact: n.LastContact.UTC(), Outlet: n.Outlet,
			ExemptUntil: n.ExemptUntil.UTC(),
		}
		if !n.Booted.IsZero() {
			v.Uptime = n.Seen.Sub(n.Booted).Seconds()
		}
		views = append(views, v)
	}
	return views, func() { a.nodeTable("no nodes", views) }
}

// knownSite refuses a site that nobody knows: a misspelt name would look like one without trouble.
func knownSite(ctx context.Context, db *store.Store, loginBase string) error {
	if loginBase == "" {
		return nil
	}
	_, err := db.Site(ctx, loginBase)
	if errors.Is(err, store.ErrNotFound) {
		return notFound("no site %s is known: see `monitor site list`", loginBase)
	}
	return err
}

func (a *app) nodeTable(none string, views []answers.Node) {
	var rows []row
	for _, v := range views {
		rows = append(rows, row{v.Hostname, v.Site, a.state(string(v.Status)), v.Since, orDash(v.BootState), orDash(v.State), orDash(v.Reason)})
	}
	a.table(none, row{"NODE", "SITE", "STATUS", "SINCE", "BOOT STATE", "SEEN", "WHY"}, rows)
}

func (a *app) drawNode(v answers.Node) {
	a.say("%s", clean(v.Hostname))
	seen := strings.TrimSpace(v.State + " " + v.Category)
	if v.Firewall {
		seen += ", behind a firewall"
	}
	uptime := ""
	if v.Uptime > 0 {
		uptime = (time.Duration(v.Uptime) * time.Second).String()
	}
	power := ""
	if p := v.PCU; p != nil {
		power = fmt.Sprintf("outlet %d of %s (%s): %s", v.Outlet, orDash(p.Name), orDash(p.Model), cmp.Or(string(p.Status), "not looked at"))
		if p.Reason != "" {
			power += ", " + p.Reason
		}
	}
	gone := ""
	if v.Gone {
		gone = "the inventory no longer has this node"
	}
	a.facts(row{"gone", gone}, row{"site", v.Site}, row{"status", a.state(string(v.Status))}, row{"since", a.when(v.Since)},
		row{"boot state", v.BootState}, row{"seen", seen}, row{"why", v.Reason}, row{"looked at", a.when(v.Seen)}, row{"uptime", uptime},
		row{"last contact", a.when(v.LastContact)}, row{"address", v.IP}, row{"model", v.Model}, row{"power", power},
		row{"exempt until", a.when(v.ExemptUntil)}, row{"blacklisted", a.entryLine(v.Blacklisted)})
	if len(v.Issues) > 0 {
		a.heading("Issues")
		a.issueTable("", v.Issues)
	}
	a.drawHistory(v.History)
	a.drawActions(v.Actions)
}

func (a *app) drawHistory(list []answers.Passage) {
	if len(list) == 0 {
		return
	}
	a.heading("History")
	var rows []row
	for _, p := range list {
		rows = append(rows, row{"  " + a.when(p.At), p.Kind, orDash(strings.TrimSpace(p.Was)) + " -> " + p.Became, p.Reason})
	}
	a.grid(rows)
}

func (a *app) site() *cobra.Command {
	cmd := group("site", "List, show, pause and resume sites", "  monitor site list\n  monitor site show princeton\n  monitor site pause princeton --until 14d --reason \"new machine room\"")
	cmd.AddCommand(a.siteList(), &cobra.Command{
		Use: "show LOGIN_BASE", Short: "Show a site: its status, penalty, nodes and issues, and what was done", Args: takes("LOGIN_BASE"), ValidArgsFunction: a.complete(siteNames),
		Example: "  monitor site show princeton\n  monitor site show princeton -o json",
		RunE: func(cmd *cobra.Command, args []string) error {
			if done, err := a.overAPI(cmd.Context(), func(ctx context.Context, r *apiServer) error {
				var v answers.Site
				if err := r.get(ctx, pathOf("sites", args[0]), nil, &v); err != nil {
					return err
				}
				return a.show(v, func() { a.drawSite(v) })
			}); done {
				return err
			}
			return a.withStore(cmd.Context(), func(ctx context.Context, db *store.Store) error {
				v, err := answers.ReadSite(ctx, db, args[0], a.now())
				if errors.Is(err, store.ErrNotFound) {
					return notFound("no site %s is known: see `monitor site list`", args[0])
				}
				if err != nil {
					return err
				}
				v.People = a.peopleOf(ctx, args[0])
				return a.show(v, func() { a.drawSite(v) })
			})
		},
	}, a.siteOrder(string(issue.OrderPause)), a.siteOrder(string(issue.OrderResume)), a.sitePenalty())
	return cmd
}

func (a *app) siteList() *cobra.Command {
	var l listing
	cmd := &cobra.Command{
		Use: "list", Short: "List sites with their status and penalty", Args: takes(), Aliases: []string{"ls"},
		Long:    "List sites with their status and penalty.\n\n" + selectHelp,
		Example: "  monitor site list\n  monitor site list -o json\n  monitor site list --select 'penalty>0,nodes_up<2' --sort nodes_up",
		RunE: func(cmd *cobra.Command, _ []string) error {
			s := a.siteSource()
			s.own = a.ownSites
			return list(cmd.Context(), a, &l, s)
		},
	}
	l.addFlags(cmd)
	return cmd
}

// ownSites shows the sites of rows, in their order, as this command always did.
func (a *app) ownSites(rows []selection.Site) (any, func()) {
	views := []answers.Site{}
	for _, s := range rows {
		views = append(views, answers.Site{
			LoginBase: s.LoginBase, Name: s.Name, Enabled: s.Enabled, Pending: s.Pending, Status: policy.Status(s.Status),
			Since: s.Changed.UTC(), Penalty: s.PenaltyLevel, LastRaise: s.LastRaise.UTC(), Created: s.Created.UTC(),
			ExemptUntil: s.ExemptUntil.UTC(),
		})
	}
	return views, func() { a.siteTable(views) }
}

func (a *app) siteTable(views []answers.Site) {
	var rows []row
	for _, v := range views {
		rows = append(rows, row{v.LoginBase, v.Name, a.state(string(v.Status)), v.Since, v.Penalty, yes(v.Enabled)})
	}
	a.table("no sites", row{"SITE", "NAME", "STATUS", "SINCE", "PENALTY", "ENABLED"}, rows)
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func (a *app) drawSite(v answers.Site) {
	a.say("%s", clean(v.LoginBase))
	gone, pending := "", ""
	if v.Gone {
		gone = "the inventory no longer has this site"
	}
	if v.Pending {
		pending = "its registration is not done"
	}
	a.facts(row{"gone", gone}, row{"name", v.Name}, row{"status", a.state(string(v.Status))}, row{"since", a.when(v.Since)}, row{"enabled", yes(v.Enabled)},
		row{"pending", pending}, row{"penalty", fmt.Sprintf("level %d", v.Penalty)}, row{"last raised", a.when(v.LastRaise)}, row{"created", a.when(v.Created)},
		row{"exempt until", a.when(v.ExemptUntil)}, row{"blacklisted", a.entryLine(v.Blacklisted)})
	if v.People != nil {
		a.heading("What it is told and denied")
		a.drawPeople(*v.People)
	}
	a.heading("Nodes")
	a.nodeTable("none", v.Nodes)
	if len(v.Issues) > 0 {
		a.heading("Open issues")
		a.issueTable("", v.Issues)
	}
	a.drawHistory(v.History)
	a.drawActions(v.Actions)
}
