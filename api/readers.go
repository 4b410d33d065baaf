package api

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/planetlab/monitor/access"
	"github.com/planetlab/monitor/activities"
	"github.com/planetlab/monitor/answers"
	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/selection"
	"github.com/planetlab/monitor/store"
)

// readers are the operations that read nodes, sites, PCUs and the ledger, and ask why.
func (s *server) readers(api huma.API) {
	get := func(path, id, tag, about string, verb access.Verb) route {
		return route{method: http.MethodGet, path: path, id: id, tag: tag, about: about, verb: verb}
	}
	op(s, api, get("/nodes", "listNodes", "targets", "List nodes", access.SeeNodes), s.listNodes)
	op(s, api, get("/nodes/{name}", "getNode", "targets", "Read all that is known of a node", access.SeeNodes), s.node)
	op(s, api, get("/sites", "listSites", "targets", "List sites", access.SeeSites), s.listSites)
	op(s, api, get("/sites/{name}", "getSite", "targets", "Read all that is known of a site", access.SeeSites), s.site)
	op(s, api, get("/pcus", "listPCUs", "targets", "List PCUs", access.SeePCUs), s.listPCUs)
	op(s, api, get("/ledger", "listLedger", "ledger", "List what was done and ordered, the latest first", access.SeeLedger),
		s.listLedger)
	op(s, api, get("/history", "listHistory", "targets", "List what became other than it was, the latest first", access.SeeNodes),
		s.listHistory)
	op(s, api, get("/lint", "listFindings", "targets", "List what is wrong with what the inventory says", access.SeeNodes),
		s.listFindings)
	op(s, api, get("/explain", "explain", "targets", "Explain a node, a PCU, a site or an issue", access.SeeReasons), s.explain)
	op(s, api, get("/why-not", "whyNot", "targets", "Ask the gate, check by check, why something is not done",
		access.SeeReasons), s.whyNot)
}

func (s *server) listNodes(ctx context.Context, who access.Who, in *struct {
	Listing
	Details bool      `query:"details" doc:"With the details of the last look, which are many bytes."`
	At      time.Time `query:"at" doc:"As they were then; now where it is missing."`
}) (*page[selection.Node], error) {
	t := table[selection.Node]{access.SeeNodes, selection.Nodes(issueTypes()), func(n *selection.Node) string { return n.Site },
		func(n *selection.Node) string { return n.Site + "\x01" + n.Name }}
	if !in.At.IsZero() {
		t.rows = selection.NodesAt(issueTypes())
	}
	set, err := compile(s, t.rows, in.Filter)
	if err != nil {
		return nil, err
	}
	if !in.At.IsZero() {
		rows, _, err := s.Store.NodeRowsAt(ctx, in.At, in.Details || set.Uses("facts"))
		if err != nil {
			return nil, err
		}
		return pageOf(s, who, t, in.Listing, rows)
	}
	parts := selection.NodePartsOf(set.Uses)
	after, err := in.after(t.rows.Kind)
	if err != nil {
		return nil, err
	}
	var rows []selection.Node
	if site, name, _ := strings.Cut(after, "\x01"); in.Filter != "" {
		rows, _, err = s.Store.NodeRows(ctx, s.Now(), parts)
	} else if who.Of("") {
		rows, _, err = s.Store.NodeNames(ctx, site, name, in.Limit+1)
	} else {
		rows, _, err = s.Store.NodeNames(ctx, site, name, math.MaxInt)
	}
	if err != nil {
		return nil, err
	}
	p, err := pageOf(s, who, t, in.Listing, rows)
	if err == nil {
		p.Body.Items, err = s.whole(ctx, p.Body.Items, selection.NodeParts{Details: in.Details || parts.Details, Past: true})
	}
	return p, err
}

// whole reads the nodes of a page with all that is told of them. So much is not read of a whole fleet to find a page.
func (s *server) whole(ctx context.Context, nodes []selection.Node, parts selection.NodeParts) ([]selection.Node, error) {
	at, names := map[string]int{}, make([]string, len(nodes))
	for i, n := range nodes {
		at[n.Name], names[i] = i, n.Name
	}
	rows, _, err := s.Store.NodeRowsOf(ctx, s.Now(), parts, names)
	slices.SortFunc(rows, func(x, y selection.Node) int { return at[x.Name] - at[y.Name] })
	if rows == nil {
		rows = []selection.Node{}
	}
	return rows, err
}

func (s *server) listSites(ctx context.Context, who access.Who, in *struct{ Listing }) (*page[selection.Site], error) {
	rows, _, err := s.Store.SiteRows(ctx, s.Now())
	if err != nil {
		return nil, err
	}
	name := func(x *selection.Site) string { return x.LoginBase }
	return pageOf(s, who, table[selection.Site]{access.SeeSites, selection.Sites(issueTypes()), name, name}, in.Listing, rows)
}

func (s *server) listPCUs(ctx context.Context, who access.Who, in *struct{ Listing }) (*page[selection.PCU], error) {
	rows, _, err := s.Store.PCURows(ctx)
	if err != nil {
		return nil, err
	}
	return pageOf(s, who, table[selection.PCU]{access.SeePCUs, selection.PCUs(issueTypes()),
		func(p *selection.PCU) string { return p.Site },
		func(p *selection.PCU) string { return fmt.Sprintf("%s\x01%s\x01%d", p.Site, p.Name, p.PCUID) }}, in.Listing, rows)
}

// How much is looked at for one answer: issues, the latest first; lines of the ledger and of the history, in the order of
// their numbers from where the last page ended; and of those so many at once.
const (
	mostRead   = 100_000
	mostAtOnce = 10_000
)

func (s *server) listLedger(ctx context.Context, who access.Who, in *struct{ Listing }) (*page[selection.Action], error) {
	t := table[selection.Action]{access.SeeLedger, selection.Ledger(), func(a *selection.Action) string { return a.Site },
		func(a *selection.Action) string { return descending(a.Seq) }}
	return pageBefore(s, who, t, in.Listing, func(a *selection.Action) int64 { return a.Seq },
		func(before int64, limit int) ([]selection.Action, error) {
			rows, _, err := s.Store.LedgerRowsBefore(ctx, before, limit)
			return rows, err
		})
}

// pageBefore reads rows that only grow, the latest first, and only as far as the page goes. Where a filter selects little
// of much, a page may have few lines, or none, and yet a next one.
func pageBefore[T any](s *server, who access.Who, t table[T], in Listing, seq func(*T) int64,
	read func(before int64, limit int) ([]T, error)) (*page[T], error) {
	set, err := compile(s, t.rows, in.Filter)
	if err != nil {
		return nil, err
	}
	after, err := in.after(t.rows.Kind)
	if err != nil {
		return nil, err
	}
	before, err := ascending(after)
	if err != nil {
		return nil, err
	}
	var found []T
	for looked, chunk, more := 0, in.Limit+1, true; more && len(found) <= in.Limit; chunk = min(4*chunk, mostAtOnce) {
		if looked >= mostRead { // the next page goes on here
			return cut(t, in, found, descending(before))
		}
		rows, err := read(before, chunk)
		if err != nil {
			return nil, err
		}
		if more = len(rows) == chunk; len(rows) > 0 {
			before = seq(&rows[len(rows)-1])
		}
		looked += len(rows)
		for i := range rows {
			match, err := set.Match(&rows[i])
			if err != nil {
				return nil, problem(invalid, "filter: "+err.Error())
			}
			if match && access.Allowed(who, t.verb, t.site(&rows[i])) {
				found = append(found, rows[i])
			}
		}
	}
	if len(found) == 0 { // it may name a line that is not there
		if _, err := pick(set, nil); err != nil && after == "" {
			return nil, err
		}
	}
	return cut(t, in, found, "")
}

func (s *server) listHistory(ctx context.Context, who access.Who, in *struct {
	Listing
	Target string `query:"target" maxLength:"255" doc:"Only of this node, PCU or site."`
}) (*page[selection.Passage], error) {
	if in.Target != "" {
		t, err := answers.Find(ctx, s.Store, in.Target)
		if err := seen(who, access.SeeNodes, t.Site, err); err != nil {
			return nil, err
		}
		in.Target = t.Name
	}
	t := table[selection.Passage]{access.SeeNodes, selection.History(), func(p *selection.Passage) string { return p.Site },
		func(p *selection.Passage) string { return descending(p.Seq) }}
	return pageBefore(s, who, t, in.Listing, func(p *selection.Passage) int64 { return p.Seq },
		func(before int64, limit int) ([]selection.Passage, error) {
			rows, _, err := s.Store.HistoryRowsBefore(ctx, in.Target, before, limit)
			return rows, err
		})
}

// descending is a key under which the greater number comes first.
func descending(n int64) string { return fmt.Sprintf("%020d", math.MaxInt64-n) }

// ascending is the number of such a key; the greatest one, of none.
func ascending(key string) (int64, error) {
	if key == "" {
		return math.MaxInt64, nil
	}
	n, err := strconv.ParseInt(key, 10, 64)
	if err != nil {
		return 0, problem(invalid, "cursor: it is none of this list's")
	}
	return math.MaxInt64 - n, nil
}

// Named is what a path names.
type Named struct {
	Name string `path:"name" maxLength:"255" doc:"What it is called: a hostname, a login_base, the name of a PCU and so on."`
}

func (s *server) node(ctx context.Context, who access.Who, in *Named) (*tagged[answers.Node], error) {
	v, err := answers.ReadNode(ctx, s.Store, in.Name, s.Now())
	if err := seen(who, access.SeeNodes, v.Site, err); err != nil {
		return nil, err
	}
	if !access.Allowed(who, access.SeeLedger, v.Site) {
		v.Actions = nil
	}
	return tag(v)
}

func (s *server) site(ctx context.Context, who access.Who, in *Named) (*tagged[answers.Site], error) {
	v, err := answers.ReadSite(ctx, s.Store, in.Name, s.Now())
	if err := seen(who, access.SeeSites, in.Name, err); err != nil {
		return nil, err
	}
	if !access.Allowed(who, access.SeeLedger, in.Name) {
		v.Actions = nil
	}
	if access.Allowed(who, access.SeeMail, in.Name) {
		if state, err := answers.SiteState(ctx, s.Temporal, in.Name); err == nil {
			people := answers.PeopleOf(state)
			v.People = &people
		}
	}
	return tag(v)
}

// seen is the answer to whoever asks for one thing: to those whose role holds at some sites only, what is not there and
// what is foreign look alike.
func seen(who access.Who, verb access.Verb, site string, err error) error {
	if refusal := access.Check(who, verb, site); refusal != nil && !who.Of("") {
		return problem(forbidden, "there is no such thing, or it is not of a site where you may see it")
	} else if err == nil {
		return refusal
	}
	return err
}

// About is what a question is about.
type About struct {
	Target string `query:"target" required:"true" maxLength:"300" doc:"A node, a site or a PCU, or an issue about one: nodedown/planetlab1.example.edu"`
}

func (s *server) explain(ctx context.Context, who access.Who, in *About) (*struct{ Body answers.Explanation }, error) {
	t, err := answers.Find(ctx, s.Store, in.Target)
	if err := seen(who, access.SeeReasons, t.Site, err); err != nil {
		return nil, err
	}
	e, err := answers.Explain(ctx, s.Store, s.Temporal, t, s.Now())
	if err == nil && !access.Allowed(who, access.SeeLedger, t.Site) {
		e.Done, e.Held = []store.Action{}, []answers.Held{}
	}
	if !access.Allowed(who, access.SeeMail, t.Site) {
		e.People = nil
	}
	return &struct{ Body answers.Explanation }{e}, err
}

func (s *server) whyNot(ctx context.Context, who access.Who, in *struct {
	About
	Act string    `query:"act" required:"true" maxLength:"40" doc:"One of the acts that docs/gate.md describes: reboot, notify and others."`
	At  time.Time `query:"at" doc:"When it would be done; now where it is missing."`
}) (*struct{ Body activities.WhyNotAnswer }, error) {
	t, err := answers.Find(ctx, s.Store, in.Target)
	if err := seen(who, access.SeeReasons, t.Site, err); err != nil {
		return nil, err
	}
	q, err := answers.Question(t, in.Act, in.At)
	if err != nil {
		return nil, problem(invalid, err.Error())
	}
	if s.Temporal == nil {
		return nil, answers.ErrNobody
	}
	answer, err := answers.WhyNot(ctx, s.Temporal, q)
	return &struct{ Body activities.WhyNotAnswer }{answer}, err
}

func issueTypes() []string {
	var types []string
	for _, t := range issue.Types() {
		types = append(types, t.Name)
	}
	return types
}
