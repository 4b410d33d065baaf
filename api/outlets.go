package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/planetlab/monitor/access"
	"github.com/planetlab/monitor/answers"
	"github.com/planetlab/monitor/orders"
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/request"
)

// outlets are the operations on outlets of PCUs, by Monitor's own records and credentials.
func (s *server) outlets(api huma.API) {
	op(s, api, route{method: http.MethodGet, path: "/outlets", id: "findOutlets", tag: "targets", verb: access.SeePCUs,
		about: "Find the outlets that a name stands for"}, s.findOutlets)
	op(s, api, route{method: http.MethodPost, path: "/pcus/{name}/operate", id: "operateOutlet", tag: "targets", order: true,
		verb: access.PCUOperate, about: "Test, read or switch an outlet, and wait for what comes of it"}, s.operate)
}

func (s *server) findOutlets(ctx context.Context, who access.Who, in *struct {
	Target string `query:"target" required:"true" maxLength:"255" doc:"A node, for all that feed it, a PCU, or an outlet as pcu1.example.edu:3."`
}) (*struct{ Body []answers.Outlet }, error) {
	list, err := answers.Outlets(ctx, s.Store, in.Target)
	site := ""
	if len(list) > 0 {
		site = list[0].Site // a node and all that feeds it are of one site
	}
	if err := seen(who, access.SeePCUs, site, err); err != nil {
		return nil, err
	}
	return &struct{ Body []answers.Outlet }{list}, nil
}

// outletAnswer is what an order to an outlet came to.
type outletAnswer struct {
	Body struct {
		orders.Receipt
		Answer request.OutletAnswer `json:"answer" doc:"What the device and the gate say; empty of a dry run."`
	}
}

func (s *server) operate(ctx context.Context, who access.Who, in *struct {
	Named
	OrderParams
	Body struct {
		Reason
		Operation request.Operation `json:"operation" enum:"test,status,on,off,cycle" doc:"What is done; the first two switch nothing."`
		Outlet    int               `json:"outlet,omitempty" minimum:"0" maximum:"1000" doc:"Its number; a test may go without."`
		EvenUp    bool              `json:"even_if_up,omitempty" doc:"Also where a node that it feeds answers."`
		EvenTry   bool              `json:"even_if_tried,omitempty" doc:"Also where a node was power-cycled too often."`
	}
}) (*outletAnswer, error) {
	b := in.Body
	var waives []policy.Waiver
	if b.EvenUp {
		waives = append(waives, policy.EvenIfUp)
	}
	if b.EvenTry {
		waives = append(waives, policy.EvenIfTried)
	}
	out := &outletAnswer{}
	var err error
	out.Body.Receipt, out.Body.Answer, err = s.desk.Outlet(ctx, in.of(who, b.Reason),
		request.Outlet{PCU: in.Name, Outlet: b.Outlet, Operation: b.Operation}, waives)
	return out, hidden(who, err)
}
