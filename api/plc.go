package api

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"github.com/planetlab/monitor/access"
	"github.com/planetlab/monitor/orders"
	"github.com/planetlab/monitor/plc"
)

// plcRecords are the operations on PLC itself: its records as they are now, and its groups of nodes. The server that is
// asked calls PLC, with Monitor's account; what is secret there is no field that could be asked for.
func (s *server) plcRecords(api huma.API) {
	const tag = "PLC"
	op(s, api, route{method: http.MethodGet, path: "/plc/{type}", id: "readPLC", tag: tag,
		about: "Read records of PLC as they are now", verb: access.SeePLC}, s.readPLC)
	op(s, api, route{method: http.MethodGet, path: "/nodegroups", id: "listGroups", tag: tag,
		about: "List PLC's groups of nodes", verb: access.SeePLC}, s.listGroups)
	op(s, api, route{method: http.MethodGet, path: "/nodegroups/{name}", id: "getGroup", tag: tag,
		about: "Read a group of PLC: what makes it, and the nodes in it", verb: access.SeePLC}, s.getGroup)
	op(s, api, route{method: http.MethodPost, path: "/nodegroups/{name}/plan", id: "planGroup", tag: tag, most: mostRun,
		about: "Say what would change if nodes entered a group of PLC, or left it", verb: access.SeePLC}, s.planGroup)
	op(s, api, route{method: http.MethodPost, path: "/nodegroups/{name}/change", id: "changeGroup", tag: tag, order: true,
		about: "Put a node into a group of PLC, or take it out", verb: access.NodeGroup}, s.changeGroup)
}

// errNoPLC says that this server has no account for PLC.
var errNoPLC = &orders.Error{Kind: orders.Refused,
	Err: errors.New("this server has no account for PLC (plc.url, plc.username, plc.password): ask the worker's")}

func (s *server) plc() (*plc.Client, error) {
	if s.PLC == nil {
		return nil, errNoPLC
	}
	return s.PLC, nil
}

// plcFault is what a failed call of PLC is to whoever asks us. What comes from elsewhere stays what it is.
func plcFault(err error) error {
	var fault *plc.Fault
	is := func(kinds ...error) bool {
		return slices.ContainsFunc(kinds, func(k error) bool { return errors.Is(err, k) })
	}
	switch {
	case err == nil || orders.KindOf(err) != "failure":
		return err
	case is(plc.ErrQuestion, plc.ErrInvalid):
		return problem(invalid, err.Error())
	case is(plc.ErrUnavailable, plc.ErrMayBeDone, plc.ErrNotXMLRPC, plc.ErrRedirected):
		return problem(silent, "PLC: "+err.Error())
	case is(plc.ErrAuth, plc.ErrPermission, plc.ErrNotAdmin), errors.As(err, &fault):
		return problem(refused, err.Error())
	}
	return err
}

type plcQuery struct {
	Type   string   `path:"type" maxLength:"32" doc:"Of records: nodes, sites, persons and so on."`
	Filter []string `query:"filter,explode" maxItems:"50" doc:"Conditions FIELD=VALUE, FIELD!=VALUE, FIELD<VALUE or FIELD>VALUE: all must hold, of one field twice with = any."`
	Fields []string `query:"fields" maxItems:"100" doc:"These fields alone; else all but long ones."`
	Peers  bool     `query:"peers" doc:"The records of peers, too."`
}

// PLCRecords are records of PLC.
type PLCRecords struct {
	Items []plc.Record `json:"items" doc:"By id. Times are RFC 3339; null is what PLC does not know."`
	Bad   []int        `json:"bad" doc:"The ids of records that PLC cannot send."`
}

func (s *server) readPLC(ctx context.Context, _ access.Who, in *plcQuery) (*struct{ Body PLCRecords }, error) {
	kind, err := plc.KindNamed(in.Type)
	if err != nil {
		return nil, problem(notFound, err.Error())
	}
	q := plc.Query{Kind: kind, Fields: in.Fields, Peers: in.Peers}
	for _, text := range in.Filter {
		c, err := kind.Condition(text)
		if err != nil {
			return nil, problem(invalid, "filter: "+err.Error())
		}
		q.Conditions = append(q.Conditions, c)
	}
	for _, name := range in.Fields {
		if _, err := kind.Field(name); err != nil {
			return nil, problem(invalid, "fields: "+err.Error())
		}
	}
	client, err := s.plc()
	if err != nil {
		return nil, err
	}
	out := PLCRecords{Items: []plc.Record{}, Bad: []int{}}
	rows, bad, err := client.Records(ctx, q)
	out.Items, out.Bad = append(out.Items, rows...), append(out.Bad, bad...)
	return &struct{ Body PLCRecords }{out}, plcFault(err)
}

func (s *server) listGroups(ctx context.Context, _ access.Who, _ *struct{}) (*struct{ Body []orders.GroupView }, error) {
	client, err := s.plc()
	if err != nil {
		return nil, err
	}
	list, err := orders.ListGroups(ctx, client)
	return &struct{ Body []orders.GroupView }{list}, plcFault(err)
}

func (s *server) getGroup(ctx context.Context, _ access.Who, in *Named) (*struct{ Body orders.GroupView }, error) {
	client, err := s.plc()
	if err != nil {
		return nil, err
	}
	g, err := orders.ShowGroup(ctx, client, in.Name)
	return &struct{ Body orders.GroupView }{g}, plcFault(err)
}

type groupPlanning struct {
	Named
	Body struct {
		Hosts []string `json:"hosts" minItems:"1" maxItems:"10000" doc:"The nodes by their whole names, each once."`
		Leave bool     `json:"leave,omitempty" doc:"They would leave the group."`
	}
}

func (s *server) planGroup(ctx context.Context, _ access.Who, in *groupPlanning) (*struct{ Body orders.GroupPlan }, error) {
	nodes, err := s.called(ctx, in.Body.Hosts)
	if err != nil {
		return nil, err
	}
	client, err := s.plc()
	if err != nil {
		return nil, err
	}
	plan, err := orders.PlanGroup(ctx, client, in.Name, nodes, in.Body.Leave)
	return &struct{ Body orders.GroupPlan }{plan}, plcFault(err)
}

type groupChange struct {
	Named
	OrderParams
	Body struct {
		Reason
		Host  string `json:"host" minLength:"1" maxLength:"255" doc:"The node, by its whole name."`
		Leave bool   `json:"leave,omitempty" doc:"It leaves the group."`
		Tag   string `json:"tag" minLength:"1" maxLength:"255" doc:"What makes the group, as planned: another one is refused."`
		Value string `json:"value" maxLength:"4096" doc:"And its value."`
		Was   string `json:"was" maxLength:"4096" doc:"What the node's tag was, as planned: another one is refused."`
		TagID int    `json:"tag_id,omitempty" doc:"The id of that tag, as planned; 0: the node had none."`
	}
}

func (s *server) changeGroup(ctx context.Context, who access.Who, in *groupChange) (*struct{ Body orders.Receipt }, error) {
	b := in.Body
	n, err := s.Store.Node(ctx, b.Host)
	if err := seen(who, access.NodeGroup, n.Site, err); err != nil {
		return nil, err
	}
	client, err := s.plc()
	if err != nil {
		return nil, err
	}
	r, err := s.desk.Group(ctx, in.of(who, b.Reason), client, orders.GroupOrder{
		Group: in.Name, Host: n.Hostname, Site: n.Site, Leave: b.Leave, Tag: b.Tag, Value: b.Value,
		Was: plc.NodeTag{TagID: b.TagID, Value: b.Was},
	})
	return &struct{ Body orders.Receipt }{r}, plcFault(err)
}
