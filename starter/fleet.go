package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/selection"
	"github.com/planetlab/monitor/store"
)

// nodeView is a node as this command shows it; the lists are filled by show alone.
type nodeView struct {
	Hostname    string                `json:"hostname"`
	NodeID      int                   `json:"node_id"`
	Site        string                `json:"site"`
	IP          string                `json:"ip"`
	Model       string                `json:"model"`
	BootState   string                `json:"boot_state"`
	Status      policy.Status         `json:"status"`
	Since       time.Time             `json:"since,omitzero"`
	State       string                `json:"state"`
	Category    string                `json:"category"`
	Reason      string                `json:"reason"`
	Firewall    bool                  `json:"firewall"`
	Uptime      float64               `json:"uptime_seconds"`
	Seen        time.Time             `json:"seen_at,omitzero"`
	LastContact time.Time             `json:"last_contact,omitzero"`
	PCU         *pcuView              `json:"pcu,omitempty"`
	Outlet      int                   `json:"outlet,omitempty"`
	ExemptUntil time.Time             `json:"exempt_until,omitzero"`
	Gone        bool                  `json:"gone"`
	Blacklisted *store.BlacklistEntry `json:"blacklisted,omitempty"`
	Issues      []issueView           `json:"issues,omitempty"`
	History     []passage             `json:"history,omitempty"`
	Actions     []store.Action        `json:"actions,omitempty"`
	Detail      json.RawMessage       `json:"detail,omitempty"`
}

type pcuView struct {
	PCUID  int           `json:"pcu_id"`
	Name   string        `json:"name"`
	Model  string        `json:"model"`
	IP     string        `json:"ip"`
	Status policy.Status `json:"status"`
	OK     bool          `json:"ok"`
	Reason string        `json:"reason"`
	Seen   time.Time     `json:"seen_at,omitzero"`
}

type siteView struct {
	LoginBase   string                `json:"login_base"`
	Name        string                `json:"name"`
	Enabled     bool                  `json:"enabled"`
	Pending     bool                  `json:"pending"`
	Gone        bool                  `json:"gone"`
	Status      policy.Status         `json:"status"`
	Since       time.Time             `json:"since,omitzero"`
	Penalty     int                   `json:"penalty_level"`
	LastRaise   time.Time             `json:"last_raise,omitzero"`
	Created     time.Time             `json:"created,omitzero"`
	ExemptUntil time.Time             `json:"exempt_until,omitzero"`
	Blacklisted *store.BlacklistEntry `json:"blacklisted,omitempty"`
	Nodes       []nodeView            `json:"nodes,omitempty"`
	Issues      []issueView           `json:"issues,omitempty"`
	History     []passage             `json:"history,omitempty"`
	Actions     []store.Action        `json:"actions,omitempty"`
	People      *peopleView           `json:"people,omitempty"`
}

type passage struct {
	At     time.Time `json:"at"`
	Kind   string    `json:"kind"`
	Was    string    `json:"was"`
	Became string    `json:"became"`
	Reason string    `json:"reason"`
}

func viewOfNode(n store.Node) nodeView {
	return nodeView{
		Hostname: n.Hostname, NodeID: n.NodeID, Site: n.Site, IP: n.IP, Model: n.Model, BootState: n.BootState, Status: n.Record.Status, Since: n.Record.Changed.UTC(),
		State: n.State, Category: n.Category, Reason: n.Reason, Firewall: n.Firewall, Uptime: n.Uptime.Seconds(), Seen: n.SeenAt.UTC(),
		LastContact: n.LastContact.UTC(), Outlet: n.Outlet, ExemptUntil: n.ExemptUntil.UTC(), Gone: n.Gone,
	}
}

func viewOfSite(s store.Site) siteView {
	return siteView{
		LoginBase: s.LoginBase, Name: s.Name, Enabled: s.Enabled, Pending: s.Pending, Gone: s.Gone, Status: s.Record.Status, Since: s.Record.Changed.UTC(),
		Penalty: s.PenaltyLevel, LastRaise: s.LastRaise.UTC(), Created: s.Created.UTC(), ExemptUntil: s.ExemptUntil.UTC(),
	}
}

func (a *app) node() *cobra.Command {
	cmd := group("node", "List and show nodes, and give orders to them", "  monitor node list --status down\n  monitor node show planetlab1.example.edu\n  monitor node reboot planetlab1.example.edu --reason \"hangs since the upgrade\"")
	cmd.AddCommand(a.nodeReboot(), a.nodeReinstall(), a.nodeBootState(), a.nodeRequest(), a.nodeCancel(), a.nodeList(), &cobra.Command{
		Use: "show HOST", Short: "Show a node: what was seen of it, its PCU, its issues, and what was done", Args: takes("HOST"), ValidArgsFunction: a.complete(hostNames),
		Example: "  monitor node show planetlab1.example.edu\n  monitor node show planetlab1.example.edu -o json",
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withStore(cmd.Context(), func(ctx context.Context, db *store.Store) error {
				v, err := a.wholeNode(ctx, db, args[0])
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
			s.check = func(ctx context.Context, db *store.Store) error { return knownSite(ctx, db, site) }
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
func (a *app) ownNodes(ctx context.Context, db *store.Store, rows []selection.Node) (any, func(), error) {
	all, err := db.Nodes(ctx, 0, everything)
	if err != nil {
		return nil, nil, err
	}
	byName := map[string]store.Node{}
	for _, n := range all {
		byName[n.Hostname] = n
	}
	views := []nodeView{}
	for _, r := range rows {
		if n, known := byName[r.Name]; known {
			views = append(views, viewOfNode(n))
		}
	}
	return views, func() { a.nodeTable("no nodes", views) }, nil
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

func (a *app) nodeTable(none string, views []nodeView) {
	var rows []row
	for _, v := range views {
		rows = append(rows, row{v.Hostname, v.Site, a.state(string(v.Status)), v.Since, orDash(v.BootState), orDash(v.State), orDash(v.Reason)})
	}
	a.table(none, row{"NODE", "SITE", "STATUS", "SINCE", "BOOT STATE", "SEEN", "WHY"}, rows)
}

// wholeNode gathers what the store has on a node.
func (a *app) wholeNode(ctx context.Context, db *store.Store, host string) (nodeView, error) {
	n, err := db.Node(ctx, host)
	if err != nil {
		return nodeView{}, err
	}
	v := viewOfNode(n)
	v.Detail = n.Detail
	if n.PCUID != 0 {
		p, err := db.PCU(ctx, n.PCUID)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return v, err
		}
		v.PCU = &pcuView{PCUID: n.PCUID, Name: p.Name, Model: p.Model, IP: p.IP, Status: p.Record.Status, OK: p.OK, Reason: p.Reason, Seen: p.SeenAt.UTC()}
	}
	if v.Blacklisted, err = a.blacklisted(ctx, db, host, n.Site); err != nil {
		return v, err
	}
	if v.Issues, err = issuesOf(ctx, db, store.IssueFilter{Node: host, Limit: 20}); err != nil {
		return v, err
	}
	if v.History, err = historyOf(ctx, db, host); err != nil {
		return v, err
	}
	actions, err := db.Actions(ctx, store.ActionFilter{Node: host, Limit: 20})
	v.Actions = oldestFirst(actions)
	return v, err
}

func (a *app) blacklisted(ctx context.Context, db *store.Store, node, site string) (*store.BlacklistEntry, error) {
	e, yes, err := db.Blacklisted(ctx, node, site, "", a.now())
	if err != nil || !yes {
		return nil, err
	}
	e.Starts, e.Until = e.Starts.UTC(), e.Until.UTC()
	return &e, nil
}

func issuesOf(ctx context.Context, db *store.Store, f store.IssueFilter) ([]issueView, error) {
	list, err := db.Issues(ctx, f)
	var views []issueView
	for _, i := range list {
		views = append(views, viewOf(i))
	}
	return views, err
}

func historyOf(ctx context.Context, db *store.Store, target string) ([]passage, error) {
	list, err := db.History(ctx, target, 20)
	slices.Reverse(list)
	var out []passage
	for _, p := range list {
		out = append(out, passage{p.At.UTC(), p.Kind, p.Was, p.Became, p.Reason})
	}
	return out, err
}

func (a *app) drawNode(v nodeView) {
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
		gone = "PLC no longer has this node"
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

func (a *app) drawHistory(list []passage) {
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
			return a.withStore(cmd.Context(), func(ctx context.Context, db *store.Store) error {
				v, err := a.wholeSite(ctx, db, args[0])
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
func (a *app) ownSites(ctx context.Context, db *store.Store, rows []selection.Site) (any, func(), error) {
	all, err := db.Sites(ctx)
	if err != nil {
		return nil, nil, err
	}
	byName := map[string]store.Site{}
	for _, s := range all {
		byName[s.LoginBase] = s
	}
	views := []siteView{}
	for _, r := range rows {
		if s, known := byName[r.LoginBase]; known {
			views = append(views, viewOfSite(s))
		}
	}
	return views, func() { a.siteTable(views) }, nil
}

func (a *app) siteTable(views []siteView) {
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

func (a *app) wholeSite(ctx context.Context, db *store.Store, loginBase string) (siteView, error) {
	s, err := db.Site(ctx, loginBase)
	if err != nil {
		return siteView{}, err
	}
	v := viewOfSite(s)
	nodes, err := db.NodesOfSite(ctx, loginBase)
	if err != nil {
		return v, err
	}
	for _, n := range nodes {
		v.Nodes = append(v.Nodes, viewOfNode(n))
	}
	if v.Blacklisted, err = a.blacklisted(ctx, db, "", loginBase); err != nil {
		return v, err
	}
	if v.Issues, err = issuesOf(ctx, db, store.IssueFilter{Site: loginBase, Open: true}); err != nil {
		return v, err
	}
	if v.History, err = historyOf(ctx, db, loginBase); err != nil {
		return v, err
	}
	actions, err := db.Actions(ctx, store.ActionFilter{Site: loginBase, Limit: 20})
	v.Actions = oldestFirst(actions)
	return v, err
}

func (a *app) drawSite(v siteView) {
	a.say("%s", clean(v.LoginBase))
	gone, pending := "", ""
	if v.Gone {
		gone = "PLC no longer has this site"
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
