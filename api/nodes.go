package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"go.temporal.io/api/serviceerror"

	"github.com/planetlab/monitor/access"
	"github.com/planetlab/monitor/activities"
	"github.com/planetlab/monitor/answers"
	"github.com/planetlab/monitor/orders"
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/request"
	"github.com/planetlab/monitor/store"
)

// nodes are the orders to nodes, and those that outlast issues: levels of sites, and exemptions.
func (s *server) nodes(api huma.API) {
	for _, o := range []struct {
		act         request.Act
		path, about string
		verb        access.Verb
	}{
		{request.Reboot, "reboot", "Reboot a node through its PCU, else over ssh, under the gate", access.NodeReboot},
		{request.Reinstall, "reinstall", "Reinstall a node, under the gate: what is on its disks is lost", access.NodeReinstall},
		{request.BootState, "bootstate", "Set what a node boots into", access.NodeBootState},
	} {
		op(s, api, route{method: http.MethodPost, path: "/nodes/{name}/" + o.path, id: o.path + "Node", tag: "targets", order: true,
			about: o.about, verb: o.verb},
			func(ctx context.Context, who access.Who, in *nodeOrder) (*nodeAnswer, error) {
				return s.orderNode(ctx, who, in, o.act)
			})
	}
	op(s, api, route{method: http.MethodPost, path: "/nodes/{name}/look", id: "lookAtNode", tag: "targets",
		about: "Look at a node now, and answer what is seen", verb: access.NodeLook}, s.look)
	op(s, api, route{method: http.MethodGet, path: "/nodes/{name}/request", id: "getNodeRequest", tag: "targets",
		about: "Read how the latest order to a node stands, step by step", verb: access.SeeLedger}, s.nodeRequest)
	op(s, api, route{method: http.MethodPost, path: "/nodes/{name}/cancel", id: "cancelNode", tag: "targets", order: true,
		about: "Leave the order to a node that is under way, if nothing was done yet", verb: access.NodeCancel}, s.cancelNode)
	op(s, api, route{method: http.MethodPost, path: "/sites/{name}/penalty", id: "setPenalty", tag: "targets", order: true,
		about: "Order the penalty level that a site is to have", verb: access.SitePenalty}, s.penalty)
	op(s, api, route{method: http.MethodDelete, path: "/sites/{name}/penalty", id: "endPenalty", tag: "targets", order: true,
		about: "Leave the penalty level of a site to its issues again", verb: access.SitePenalty}, s.endPenalty)
	op(s, api, route{method: http.MethodPost, path: "/exemptions", id: "exempt", tag: "targets", order: true,
		about: "Exempt a node, a site, a PCU, a slice or a person", verb: access.TargetExempt}, s.exempt)
	op(s, api, route{method: http.MethodDelete, path: "/exemptions/{kind}/{name}", id: "endExemption", tag: "targets", order: true,
		about: "End an exemption", verb: access.TargetExempt}, s.endExemption)
}

type nodeOrder struct {
	Named
	OrderParams
	Body struct {
		Reason
		State   string        `json:"state,omitempty" maxLength:"40" doc:"Of a boot state: which."`
		Ways    []request.Way `json:"ways,omitempty" maxItems:"5" doc:"The only ways to try, in this order: pcu, ssh, plc."`
		EvenUp  bool          `json:"even_if_up,omitempty" doc:"Also a node that answers, or whose heartbeat is fresh; for operators."`
		EvenTry bool          `json:"even_if_tried,omitempty" doc:"Also one that was power-cycled too often; for operators."`
		NodeID  int           `json:"node_id,omitempty" minimum:"0" doc:"The node that is meant, should its name go to another."`
		Wait    int           `json:"patience_seconds,omitempty" minimum:"0" maximum:"604800" doc:"How long it may wait its turn."`
		Return  int           `json:"return_seconds,omitempty" minimum:"0" maximum:"86400" doc:"How long the node may take to return."`
	}
}

// nodeAnswer is what an order to a node led to so far.
type nodeAnswer struct {
	Status int
	Body   struct {
		orders.Receipt
		Story *request.Story `json:"story,omitempty" doc:"What it would come to, of a dry run."`
	}
}

func (s *server) orderNode(ctx context.Context, who access.Who, in *nodeOrder, act request.Act) (*nodeAnswer, error) {
	b, o := in.Body, in.of(who, in.Body.Reason)
	n := orders.Node{Act: act, State: b.State, Ways: b.Ways, NodeID: b.NodeID,
		Patience: time.Duration(b.Wait) * time.Second, Return: time.Duration(b.Return) * time.Second}
	if b.EvenUp {
		n.Waives = append(n.Waives, policy.EvenIfUp)
	}
	if b.EvenTry {
		n.Waives = append(n.Waives, policy.EvenIfTried)
	}
	out := &nodeAnswer{Status: http.StatusOK}
	var err error
	if out.Body.Receipt, err = s.desk.Node(ctx, o, n, in.Name); err != nil {
		return nil, hidden(who, err)
	}
	switch {
	case o.DryRun && s.Temporal != nil:
		story, err := s.desk.WouldNode(ctx, o, n, in.Name)
		if err != nil {
			return nil, hidden(who, err)
		}
		out.Body.Story = &story
	case out.Body.Run != "":
		out.Status = http.StatusAccepted
	}
	return out, nil
}

func (s *server) look(ctx context.Context, who access.Who, in *Named) (*struct{ Body activities.Glance }, error) {
	n, err := s.Store.Node(ctx, in.Name)
	if err := seen(who, access.NodeLook, n.Site, err); err != nil {
		return nil, err
	}
	if s.Temporal == nil {
		return nil, answers.ErrNobody
	}
	glance, err := answers.Look(ctx, s.Temporal, n.Hostname)
	return &struct{ Body activities.Glance }{glance}, err
}

func (s *server) nodeRequest(ctx context.Context, who access.Who, in *struct {
	Named
	Run string `query:"run" maxLength:"100" doc:"The run that an order's receipt names; the latest where it is missing."`
}) (*struct{ Body request.Story }, error) {
	n, err := s.Store.Node(ctx, in.Name)
	if err := seen(who, access.SeeLedger, n.Site, err); err != nil {
		return nil, err
	}
	if s.Temporal == nil {
		return nil, answers.ErrNobody
	}
	story, err := answers.Request(ctx, s.Temporal, in.Name, in.Run)
	var none *serviceerror.NotFound
	if errors.As(err, &none) {
		return nil, problem(notFound, "no order to "+in.Name+" is known; older ones are in the ledger")
	}
	return &struct{ Body request.Story }{story}, err
}

func (s *server) cancelNode(ctx context.Context, who access.Who, in *struct {
	Named
	OrderParams
	Body struct{ Reason }
}) (*nodeAnswer, error) {
	r, answer, err := s.desk.CancelNode(ctx, in.of(who, in.Body.Reason), in.Name)
	out := &nodeAnswer{Status: http.StatusOK}
	out.Body.Receipt = r
	if answer.ID != "" {
		out.Body.Story = &answer.Story
	}
	return out, hidden(who, err)
}

func (s *server) penalty(ctx context.Context, who access.Who, in *struct {
	Named
	OrderParams
	Body struct {
		Reason
		Level int       `json:"level" minimum:"0" maximum:"2" doc:"It falls at once, and rises step by step, through the gate."`
		Until time.Time `json:"until,omitempty" doc:"When the order ends by itself."`
	}
}) (*penaltyAnswer, error) {
	row, readErr := s.Store.Site(ctx, in.Name)
	o := in.of(who, in.Body.Reason)
	r, err := s.desk.Penalty(ctx, o, in.Name, in.Body.Level, in.Body.Until)
	if err == nil {
		err = readErr
	}
	out := &penaltyAnswer{}
	out.Body.Receipt, out.Body.Was = r, row.PenaltyLevel
	if err == nil && o.DryRun && s.Temporal != nil {
		var gate activities.WhyNotAnswer
		gate, err = s.desk.WouldPenalize(ctx, o, in.Name, in.Body.Level)
		out.Body.Gate = &gate
	}
	return out, hidden(who, err)
}

// penaltyAnswer is what an order of a level comes to.
type penaltyAnswer struct {
	Body struct {
		orders.Receipt
		Was  int                      `json:"was" doc:"The level that the site had."`
		Gate *activities.WhyNotAnswer `json:"gate,omitempty" doc:"Of a dry run: what it changes, and what the gate says to the next step."`
	}
}

func (s *server) endPenalty(ctx context.Context, who access.Who, in *struct {
	Named
	OrderParams
	Why string `query:"reason" maxLength:"500" doc:"Why; the ledger keeps it."`
}) (*penaltyAnswer, error) {
	r, err := s.desk.EndPenalty(ctx, in.of(who, Reason{Reason: in.Why}), in.Name)
	out := &penaltyAnswer{}
	if err == nil {
		var row store.Site
		row, err = s.Store.Site(ctx, in.Name)
		out.Body.Was = row.PenaltyLevel
	}
	out.Body.Receipt = r
	return out, hidden(who, err)
}

func (s *server) exempt(ctx context.Context, who access.Who, in *struct {
	OrderParams
	Body struct {
		Reason
		Kind   string    `json:"kind" enum:"node,site,pcu,slice,person" doc:"What the target is."`
		Target string    `json:"target" minLength:"1" maxLength:"255" doc:"Its name; of a person, the address."`
		From   time.Time `json:"from,omitempty" doc:"When it begins; now where it is missing."`
		Until  time.Time `json:"until,omitempty" doc:"When it ends by itself; never where it is missing."`
		Down   bool      `json:"downtime,omitempty" doc:"It is a planned downtime, which has an end."`
	}
}) (*silenceAnswer, error) {
	b := in.Body
	if b.From.IsZero() {
		b.From = s.Now().Truncate(time.Millisecond)
	}
	out := &silenceAnswer{}
	var err error
	out.Body.Receipt, out.Body.Silence, err = s.desk.Exempt(ctx, in.of(who, b.Reason), store.BlacklistEntry{
		Kind: b.Kind, Target: b.Target, Starts: b.From.UTC(), Until: b.Until, Downtime: b.Down,
	})
	return out, hidden(who, err)
}

func (s *server) endExemption(ctx context.Context, who access.Who, in *struct {
	Kind string `path:"kind" enum:"node,site,pcu,slice,person" doc:"What the target is."`
	Named
	OrderParams
	Why string `query:"reason" maxLength:"500" doc:"Why; the ledger keeps it."`
}) (*struct{ Body orders.Receipt }, error) {
	r, err := s.desk.EndExemption(ctx, in.of(who, Reason{Reason: in.Why}), in.Kind, in.Name)
	return &struct{ Body orders.Receipt }{r}, hidden(who, err)
}
