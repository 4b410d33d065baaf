package api

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/planetlab/monitor/access"
	"github.com/planetlab/monitor/answers"
	"github.com/planetlab/monitor/orders"
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/request"
	"github.com/planetlab/monitor/rollout"
	"github.com/planetlab/monitor/selection"
	"github.com/planetlab/monitor/store"
)

// rollouts are the operations on roll-outs: one act on many nodes, so many at a time.
func (s *server) rollouts(api huma.API) {
	const tag, one = "fleet", "/rollouts/{name}"
	op(s, api, route{method: http.MethodGet, path: "/rollouts", id: "listRollouts", tag: tag,
		about: "List the latest roll-outs, the latest first", verb: access.SeePlans}, s.listRollouts)
	op(s, api, route{method: http.MethodGet, path: one, id: "getRollout", tag: tag,
		about: "Read how far a roll-out is, node by node", verb: access.SeePlans}, s.getRollout)
	op(s, api, route{method: http.MethodPost, path: "/rollouts", id: "startRollout", tag: tag, order: true,
		about: "Reboot, reinstall or set many nodes, so many at a time", verb: access.FleetRollout}, s.startRollout)
	for order, about := range map[string]string{
		rollout.UpdatePause:  "Let no further group begin",
		rollout.UpdateResume: "Go on, after a pause or too many failures",
		rollout.UpdateCancel: "End a roll-out: what nothing was done to yet is left",
	} {
		op(s, api, route{method: http.MethodPost, path: one + "/" + order, id: order + "Rollout", tag: tag, order: true,
			about: about, verb: access.FleetRollout},
			func(ctx context.Context, who access.Who, in *rolloutOrder) (*rolloutAnswer, error) {
				out := &rolloutAnswer{}
				r, state, err := s.desk.SteerRollout(ctx, in.of(who, in.Body.Reason), in.Name, order)
				out.Body.Receipt, out.Body.State = r, state
				return out, err
			})
	}
	op(s, api, route{method: http.MethodPost, path: one + "/retry", id: "retryRollout", tag: tag, order: true,
		about: "Begin again with the nodes that failed, and those never begun", verb: access.FleetRollout}, s.retryRollout)
}

func (s *server) listRollouts(ctx context.Context, _ access.Who, _ *struct{}) (*struct{ Body []store.Rollout }, error) {
	const latest = 100
	list, err := s.Store.Rollouts(ctx, latest)
	if list == nil {
		list = []store.Rollout{}
	}
	for i := range list {
		list[i].Made, list[i].Ended = list[i].Made.UTC(), list[i].Ended.UTC()
	}
	return &struct{ Body []store.Rollout }{list}, err
}

func (s *server) getRollout(ctx context.Context, _ access.Who, in *Named) (*struct{ Body answers.WholeRollout }, error) {
	v, err := answers.ReadRollout(ctx, s.Store, s.Temporal, in.Name)
	return &struct{ Body answers.WholeRollout }{v}, err
}

// rolloutStart is a plan as it is sent. The nodes are those of these numbers, not what an expression may select later.
type rolloutStart struct {
	OrderParams
	Body struct {
		Reason
		Name    string        `json:"name" minLength:"1" maxLength:"100" doc:"Of the roll-out, by which it is known from then on."`
		Act     request.Act   `json:"act" enum:"reboot,reinstall,bootstate" doc:"What is done to each node."`
		State   string        `json:"state,omitempty" maxLength:"40" doc:"Of a boot state: which."`
		NodeIDs []int         `json:"node_ids" minItems:"1" maxItems:"10000" doc:"The nodes by their numbers, in the order of the plan."`
		Ways    []request.Way `json:"ways,omitempty" maxItems:"5" doc:"The only ways to try, in this order: pcu, ssh, plc."`
		EvenUp  bool          `json:"even_if_up,omitempty" doc:"Also nodes that answer, or whose heartbeats are fresh."`
		EvenTry bool          `json:"even_if_tried,omitempty" doc:"Also nodes that were power-cycled too often."`
		Group   int           `json:"group" minimum:"1" maximum:"200" doc:"So many at a time."`
		Wait    string        `json:"wait,omitempty" maxLength:"10000" doc:"What a node must be before its group is done, as a selection; that it is back otherwise."`
		Within  int           `json:"within_seconds,omitempty" minimum:"0" maximum:"604800" doc:"How long a node may take for that."`
		Rest    int           `json:"rest_seconds,omitempty" minimum:"0" maximum:"604800" doc:"Between two groups."`
		Most    int           `json:"max_failed" minimum:"0" doc:"It stops when more than so many have failed."`
		Limit   int           `json:"limit_seconds,omitempty" minimum:"0" doc:"No group begins after this time."`
	}
}

// rolloutAnswer is what an order to a roll-out led to.
type rolloutAnswer struct {
	Body struct {
		orders.Receipt
		State rollout.State `json:"state" doc:"How far it is now."`
	}
}

type rolloutOrder struct {
	Named
	OrderParams
	Body struct{ Reason }
}

type rolloutStarted struct {
	Status int
	Body   struct {
		orders.Receipt
		Plan  rollout.Plan   `json:"plan"`
		Nodes []rollout.Node `json:"nodes" doc:"As they are frozen, in the order of the plan."`
	}
}

func (s *server) startRollout(ctx context.Context, who access.Who, in *rolloutStart) (*rolloutStarted, error) {
	b := in.Body
	if b.Wait != "" { // a worker asks it, which has no groups
		if _, err := selection.NewSet(selection.Nodes(issueTypes()), selection.Request{Select: []string{b.Wait}},
			selection.Options{Now: s.Now()}); err != nil {
			return nil, problem(invalid, "wait: "+err.Error())
		}
	}
	chosen, err := s.numbered(ctx, b.NodeIDs)
	if err != nil {
		return nil, err
	}
	seconds := func(n int) time.Duration { return time.Duration(n) * time.Second }
	p := rollout.Plan{Name: b.Name, Act: b.Act, State: b.State, Ways: b.Ways, Group: b.Group, Wait: b.Wait, Most: b.Most,
		Within: seconds(b.Within), Rest: seconds(b.Rest), Limit: seconds(b.Limit)}
	if b.EvenUp {
		p.Order.Waives = append(p.Order.Waives, policy.EvenIfUp)
	}
	if b.EvenTry {
		p.Order.Waives = append(p.Order.Waives, policy.EvenIfTried)
	}
	out := &rolloutStarted{Status: http.StatusOK}
	out.Body.Nodes = orders.PlanOf(chosen)
	out.Body.Receipt, out.Body.Plan, err = s.desk.Rollout(ctx, in.of(who, b.Reason), p, out.Body.Nodes)
	if !in.DryRun {
		out.Status = http.StatusAccepted
	}
	return out, err
}

// numbered are the nodes of these numbers, each once. One that is not there is refused: who sent it saw another fleet.
func (s *server) numbered(ctx context.Context, ids []int) ([]selection.Node, error) {
	rows, _, err := s.Store.NodeRows(ctx, s.Now(), selection.NodeParts{})
	if err != nil {
		return nil, err
	}
	by := map[int]selection.Node{}
	for _, n := range rows {
		by[n.NodeID] = n
	}
	var chosen []selection.Node
	for _, id := range ids {
		n, known := by[id]
		if !known {
			return nil, problem(invalid, fmt.Sprintf("node_ids: there is no node %d, or it is named twice", id))
		}
		delete(by, id)
		chosen = append(chosen, n)
	}
	return chosen, nil
}

// TriedAgain is what retrying the failed nodes of a roll-out has come to.
type TriedAgain struct {
	orders.Receipt
	Nodes int `json:"nodes" doc:"So many are tried again."`
}

func (s *server) retryRollout(ctx context.Context, who access.Who, in *rolloutOrder) (*struct{ Body TriedAgain }, error) {
	out := &struct{ Body TriedAgain }{}
	var err error
	out.Body.Receipt, out.Body.Nodes, err = s.desk.RetryRollout(ctx, in.of(who, in.Body.Reason), in.Name)
	return out, err
}
