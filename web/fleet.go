package web

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/planetlab/monitor/access"
	"github.com/planetlab/monitor/answers"
	"github.com/planetlab/monitor/selection"
	"github.com/planetlab/monitor/store"
	"github.com/planetlab/monitor/web/worldmap"
)

// fleetView is the first page: the whole fleet at one look.
type fleetView struct {
	Status  answers.Status
	Nodes   []count
	Total   int
	Up      int
	Ends    []ending
	Issues  []count
	Open    int
	Paused  int
	Map     worldMap
	MayDone bool
	Done    []doneKind
	Recent  []selection.Action
	Coming  []answers.AgendaStep
	More    int
	Missing string
	Area    area
	Sites   []selection.Site // those with something to tell: penalised or in trouble
	New     []selection.Site
	PCUs    []count
	Orders  orderable
	Speed   *speedView // of a demo
}

// count is a number that leads to the rows that it counts.
type count struct {
	Name, URL string
	N         int
}

// ending are the nodes whose names end alike: for most of the world that is the country.
type ending struct {
	Name, URL string
	N, Up     int
}

type doneKind struct {
	Kind  string
	Parts []count
	N     int
}

func (s *Server) fleet(r *request) (view, error) {
	if err := r.somewhere(access.SeeNodes); err != nil {
		return view{}, err
	}
	v := fleetView{Orders: s.orderable(r, "", "", ""), Speed: s.speed()}
	out := view{Template: "fleet", Title: "Fleet", Topics: []string{"status", "issue", "ledger", "sweep", "control"}}
	for _, read := range []func(context.Context, *request) error{v.readNodes(s), v.readIssues(s), v.readSites(s),
		v.readDone(s), v.readComing(s), v.readPCUs(s)} {
		if err := read(r.Context(), r); err != nil {
			return out, err
		}
	}
	if v.Status.Stopped == "" {
		v.Orders.without(access.FleetStart)
	} else {
		v.Orders.without(access.FleetStop)
	}
	if v.Status.Sweep == nil || v.Status.Sweep.Doubt == "" {
		v.Orders.without(access.FleetBelieve)
	}
	out.Data = &v
	return out, nil
}

type reading = func(context.Context, *request) error

func (v *fleetView) readNodes(s *Server) reading {
	return func(ctx context.Context, r *request) (err error) {
		if v.Status, err = s.read.status(ctx); err != nil {
			return err
		}
		rows, err := s.read.nodes(ctx, selection.NodeParts{})
		if err != nil {
			return err
		}
		by := map[string]int{}
		own := ownRows(r, rows, func(n *selection.Node) string { return n.Site })
		for _, n := range own {
			by[cmp.Or(n.Status, "unseen")]++
			v.Total++
			if up(n) {
				v.Up++
			}
		}
		v.Nodes, v.Ends = counts(by, "nodes", "status"), endings(own)
		share, err := readOnce(ctx, s.read, "availability", nil, func(ctx context.Context) ([]store.UpOn, error) {
			return s.Store.Availability(ctx, r.now, s.Policy.Day, days)
		})
		if r.fleetwide() {
			v.Area = drawAvailability(share)
		}
		return err
	}
}

func up(n selection.Node) bool { return n.Status == "good" || n.Status == "online" }

// endings counts nodes by how their names end, those of most nodes first.
func endings(nodes []selection.Node) (list []ending) {
	at := map[string]int{}
	for _, n := range nodes {
		end := n.Name[strings.LastIndexByte(n.Name, '.')+1:]
		i, known := at[end]
		if !known {
			i, list = len(list), append(list, ending{Name: end, URL: listURL("nodes", "*."+end)})
			at[end] = i
		}
		list[i].N++
		if up(n) {
			list[i].Up++
		}
	}
	slices.SortFunc(list, func(a, b ending) int { return cmp.Or(cmp.Compare(b.N, a.N), cmp.Compare(a.Name, b.Name)) })
	return list
}

// counts are numbers by value, the most frequent first.
func counts(by map[string]int, kind, field string) (list []count) {
	for value, n := range by {
		list = append(list, count{value, listURL(kind, field+"="+value), n})
	}
	slices.SortFunc(list, func(a, b count) int { return cmp.Or(cmp.Compare(b.N, a.N), cmp.Compare(a.Name, b.Name)) })
	return list
}

func (v *fleetView) readIssues(s *Server) reading {
	return func(ctx context.Context, r *request) error {
		rows, err := s.read.issues(ctx, false)
		by := map[string]int{}
		for _, i := range ownRows(r, rows, func(i *selection.Issue) string { return i.Site }) {
			by[i.Type]++
			v.Open++
			if i.Status == "paused" {
				v.Paused++
			}
		}
		v.Issues = counts(by, "issues", "type")
		return err
	}
}

func (v *fleetView) readSites(s *Server) reading {
	return func(ctx context.Context, r *request) error {
		places, err := readOnce(ctx, s.read, "places", []string{"status", "issue"}, s.Store.SitePlaces)
		if err != nil {
			return err
		}
		v.Map = drawMap(ownRows(r, places, func(p *store.SitePlace) string { return p.Site }))
		rows, err := s.read.sites(ctx)
		for _, x := range ownRows(r, rows, func(x *selection.Site) string { return x.LoginBase }) {
			switch {
			case x.Pending:
				v.New = append(v.New, x)
			case x.PenaltyLevel > 0 || x.Status == "down":
				v.Sites = append(v.Sites, x)
			}
		}
		return err
	}
}

// lately is how far back and ahead the first page looks.
const lately = 24 * time.Hour

func (v *fleetView) readDone(s *Server) reading {
	return func(ctx context.Context, r *request) error {
		if v.MayDone = r.somewhere(access.SeeLedger) == nil; !v.MayDone {
			return nil
		}
		rows, err := s.read.ledger(ctx)
		if err != nil {
			return err
		}
		kinds := map[string]map[string]int{}
		for _, a := range ownRows(r, rows, func(a *selection.Action) string { return a.Site }) {
			if r.now.Sub(a.At) > lately {
				break
			}
			if a.Kind == string(store.KindSkip) {
				continue
			}
			if kinds[a.Kind] == nil {
				kinds[a.Kind] = map[string]int{}
			}
			kinds[a.Kind][cmp.Or(a.Outcome, "under way")]++
			if len(v.Recent) < 12 {
				v.Recent = append(v.Recent, a)
			}
		}
		for kind, by := range kinds {
			d := doneKind{Kind: kind}
			for outcome, n := range by {
				expression := fmt.Sprintf("kind=%s,outcome=%s,age<24h", kind, outcome)
				if outcome == "under way" {
					expression = fmt.Sprintf("kind == %q && !known(outcome)", kind)
				}
				d.Parts = append(d.Parts, count{outcome, listURL("ledger", expression), n})
				d.N += n
			}
			slices.SortFunc(d.Parts, func(a, b count) int { return cmp.Or(cmp.Compare(b.N, a.N), cmp.Compare(a.Name, b.Name)) })
			v.Done = append(v.Done, d)
		}
		slices.SortFunc(v.Done, func(a, b doneKind) int { return cmp.Or(cmp.Compare(b.N, a.N), cmp.Compare(a.Kind, b.Kind)) })
		return nil
	}
}

func (v *fleetView) readComing(s *Server) reading {
	return func(ctx context.Context, r *request) error {
		a, err := s.read.agenda(ctx, r.now.Add(lately))
		if err != nil {
			return err
		}
		steps := ownRows(r, a.Steps, func(x *answers.AgendaStep) string { return x.Site })
		v.Coming, v.Missing = steps[:min(len(steps), 12)], a.Missing
		v.More = len(steps) - len(v.Coming)
		return nil
	}
}

func (v *fleetView) readPCUs(s *Server) reading {
	return func(ctx context.Context, r *request) error {
		rows, err := s.read.pcus(ctx)
		by := map[string]int{}
		for _, p := range ownRows(r, rows, func(p *selection.PCU) string { return p.Site }) {
			by[cmp.Or(p.Status, "unseen")]++
		}
		v.PCUs = counts(by, "pcus", "status")
		return err
	}
}

// worldMap are the sites on a map of the world.
type worldMap struct {
	Width, Height int
	Spots         []spot
	Unplaced      int
}

// spot is a site, or several that stand so near to one another that they are one.
type spot struct {
	X, Y, R float64
	Tone    string
	Title   string
	URL     string
	Rank    int
}

// apart is how near sites may stand on the map before they are drawn as one.
const apart = 7.0

func drawMap(places []store.SitePlace) worldMap {
	m := worldMap{Width: worldmap.Width, Height: worldmap.Height}
	type cluster struct {
		x, y  float64
		sites []store.SitePlace
	}
	var clusters []*cluster
	grid := map[[2]int]*cluster{}
	for _, p := range places {
		x, y := worldmap.At(p.Latitude, p.Longitude)
		if y < 0 || y > worldmap.Height {
			m.Unplaced++
			continue
		}
		key := [2]int{int(x / apart), int(y / apart)}
		c := grid[key]
		if c == nil {
			c = &cluster{x: x, y: y}
			grid[key], clusters = c, append(clusters, c)
		}
		c.sites = append(c.sites, p)
	}
	for _, c := range clusters {
		m.Spots = append(m.Spots, spotOf(c.x, c.y, c.sites))
	}
	slices.SortStableFunc(m.Spots, func(a, b spot) int { return cmp.Compare(a.Rank, b.Rank) }) // the worst lie on top
	return m
}

func spotOf(x, y float64, sites []store.SitePlace) spot {
	s := spot{X: x, Y: y, R: 4 + min(5, float64(len(sites)-1))}
	worst, names := "", ""
	for i, p := range sites {
		if rank(p.Status) > rank(worst) || worst == "" {
			worst = p.Status
		}
		if i < 5 {
			names += fmt.Sprintf("%s: %s, %d of %s up", p.Site, cmp.Or(p.Status, "unseen"), p.Up, plural(p.Nodes, "node", "nodes"))
			if p.Issues > 0 {
				names += ", " + plural(p.Issues, "issue", "issues")
			}
			if p.Penalty > 0 {
				names += fmt.Sprintf(", penalty level %d", p.Penalty)
			}
			names += "\n"
		}
	}
	s.Title, s.Tone, s.Rank, s.URL = names, tone(worst), rank(worst), siteURL(sites[0].Site)
	if len(sites) > 1 {
		expression := ""
		for i, p := range sites {
			if i > 0 {
				expression += ","
			}
			expression += p.Site
		}
		s.URL = listURL("sites", expression)
	}
	if len(sites) > 5 {
		s.Title += fmt.Sprintf("and %d more", len(sites)-5)
	}
	return s
}
