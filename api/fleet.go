package api

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/planetlab/monitor/access"
	"github.com/planetlab/monitor/answers"
	"github.com/planetlab/monitor/bootman"
	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/orders"
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/store"
)

// fleet are the operations on the fleet, and on what is left alone.
func (s *server) fleet(api huma.API) {
	get := func(path, id, tag, about string, verb access.Verb) route {
		return route{method: http.MethodGet, path: path, id: id, tag: tag, about: about, verb: verb}
	}
	post := func(path, id, tag, about string, verb access.Verb) route {
		return route{method: http.MethodPost, path: path, id: id, tag: tag, about: about, verb: verb, order: true}
	}
	op(s, api, get("/self", "getSelf", "access", "Read who one is, and what one may do", access.SeeSelf), s.self)
	op(s, api, get("/status", "getStatus", "fleet", "Read the whole fleet on one screen", access.SeeStatus), s.status)
	op(s, api, get("/controls", "getControls", "fleet", "Read what Monitor may do now", access.SeeStatus), s.controls)
	op(s, api, get("/agenda", "getAgenda", "fleet", "List every coming act, in order of time", access.SeeAgenda), s.agenda)
	op(s, api, get("/silences", "listSilences", "targets", "List what is left alone, and downtimes", access.SeeNodes), s.silences)
	op(s, api, get("/exemptions", "listExemptions", "targets", "List what is exempt, by Monitor's own list and by the inventory's",
		access.SeeNodes), s.exemptions)
	op(s, api, get("/disabled", "listDisabled", "targets", "List what is out of service, and by whose hand", access.SeeNodes),
		s.disabled)
	op(s, api, post("/stop", "stop", "fleet", "Stop every act of Monitor on the world, at once", access.FleetStop),
		s.control(s.desk.Stop))
	op(s, api, post("/start", "start", "fleet", "Let Monitor act again after a stop", access.FleetStart), s.control(s.desk.Start))
	op(s, api, post("/mode", "setFleetMode", "fleet", "Order what Monitor may do in the fleet, or for a type of issue",
		access.FleetMode), s.fleetMode)
	op(s, api, post("/sweeps", "sweep", "fleet", "Look at the whole fleet now", access.FleetSweep), s.sweep)
	op(s, api, get("/sweeps/{name}/{run}", "getSweep", "fleet", "Read how a look at the fleet goes that was asked for",
		access.SeeStatus), s.readSweep)
	op(s, api, post("/sweeps/believed", "believe", "fleet", "Look at the whole fleet now, and believe what is seen",
		access.FleetBelieve), s.believe)
	op(s, api, post("/sequences/{name}", "teach", "fleet", "Say what a boot sequence calls for", access.SequenceTeach), s.teach)
	op(s, api, post("/silences", "silence", "targets", "Leave a node, a PCU or a site alone for a time", access.TargetSilence),
		s.silence)
	op(s, api, route{method: http.MethodDelete, path: "/silences/{kind}/{name}", id: "unsilence", tag: "targets",
		about: "No longer leave a target alone", verb: access.TargetUnsilence, order: true}, s.unsilence)
	op(s, api, post("/sites/{name}/pause", "pauseSite", "targets", "Hold the penalty of a site where it is", access.SitePause),
		s.orderSite(issue.OrderPause))
	op(s, api, post("/sites/{name}/resume", "resumeSite", "targets", "Let the penalty of a site rise again", access.SiteResume),
		s.orderSite(issue.OrderResume))
	op(s, api, post("/sites/{name}/mode", "setSiteMode", "targets", "Narrow what Monitor may do at a site", access.SiteMode),
		s.siteMode)
	op(s, api, post("/pcus/{name}/forget", "forgetPCU", "targets", "Let a PCU that was replaced show itself anew",
		access.PCUForget), s.forgetPCU)
}

// Self is who one is, and what one may do.
type Self struct {
	access.Who
	May map[string][]access.Verb `json:"may" doc:"By site, and * for the whole fleet."`
}

func (s *server) self(_ context.Context, who access.Who, _ *struct{}) (*struct{ Body Self }, error) {
	v := Self{Who: who, May: map[string][]access.Verb{}}
	for _, site := range who.Sites {
		if site == access.AllSites {
			v.May[site] = access.May(who, "")
		} else {
			v.May[site] = access.May(who, site)
		}
	}
	return &struct{ Body Self }{v}, nil
}

func (s *server) status(ctx context.Context, _ access.Who, _ *struct{}) (*struct{ Body answers.Status }, error) {
	v, err := answers.ReadStatus(ctx, s.Store)
	return &struct{ Body answers.Status }{v}, err
}

func (s *server) controls(ctx context.Context, _ access.Who, _ *struct{}) (*tagged[answers.Controls], error) {
	v, err := answers.ReadControls(ctx, s.Store)
	if err != nil {
		return nil, err
	}
	return tag(v)
}

// ahead is how far an agenda looks where nobody says.
const ahead = 28 * 24 * time.Hour

func (s *server) agenda(ctx context.Context, who access.Who, in *struct {
	Site  string    `query:"site" maxLength:"100" doc:"Only of the site with this login_base."`
	Until time.Time `query:"until" doc:"How far to look; four weeks where it is missing."`
}) (*struct{ Body answers.Agenda }, error) {
	now := s.Now()
	if in.Until.IsZero() {
		in.Until = now.Add(ahead)
	}
	sites := []string{in.Site}
	if in.Site == "" && !who.Of("") {
		sites = who.Sites
	}
	all := answers.Agenda{Until: in.Until.UTC(), Steps: []answers.AgendaStep{}, Vetoed: []answers.AgendaStep{},
		Paused: []answers.AgendaStep{}}
	for _, site := range sites {
		if site != "" {
			_, err := s.Store.Site(ctx, site)
			if err := seen(who, access.SeeAgenda, site, err); err != nil {
				return nil, err
			}
		}
		v, err := answers.ReadAgenda(ctx, s.Store, s.Temporal, site, now, in.Until)
		if err != nil {
			return nil, err
		}
		all.Steps, all.Vetoed = append(all.Steps, v.Steps...), append(all.Vetoed, v.Vetoed...)
		all.Paused, all.Unread = append(all.Paused, v.Paused...), append(all.Unread, v.Unread...)
		all.Missing = v.Missing
	}
	slices.SortStableFunc(all.Steps, func(x, y answers.AgendaStep) int { return x.At.Compare(y.At) })
	return &struct{ Body answers.Agenda }{all}, nil
}

// controlAnswer is what an order to the fleet led to.
type controlAnswer struct {
	Body struct {
		orders.Receipt
		Controls answers.Controls `json:"controls" doc:"What Monitor may do now."`
	}
}

type controlOrder struct {
	OrderParams
	IfMatch string `header:"If-Match" maxLength:"1000" doc:"The ETag of the controls as they were seen."`
	Body    struct{ Reason }
}

// control gives an order to the fleet.
func (s *server) control(give func(context.Context, orders.Order) (orders.Receipt, error)) func(context.Context, access.Who,
	*controlOrder) (*controlAnswer, error) {
	return func(ctx context.Context, who access.Who, in *controlOrder) (*controlAnswer, error) {
		return s.given(ctx, in.IfMatch, in.of(who, in.Body.Reason), give)
	}
}

func (s *server) given(ctx context.Context, ifMatch string, o orders.Order,
	give func(context.Context, orders.Order) (orders.Receipt, error)) (*controlAnswer, error) {
	out := &controlAnswer{}
	before, err := answers.ReadControls(ctx, s.Store)
	if err == nil {
		err = unchanged(ifMatch, before)
	}
	if err == nil {
		out.Body.Receipt, err = give(ctx, o)
	}
	if err == nil {
		out.Body.Controls, err = answers.ReadControls(ctx, s.Store)
	}
	return out, err
}

func (s *server) fleetMode(ctx context.Context, who access.Who, in *struct {
	OrderParams
	IfMatch string `header:"If-Match" maxLength:"1000" doc:"The ETag of the controls as they were seen."`
	Body    struct {
		Reason
		Mode policy.Mode `json:"mode" enum:"observe,act,default" doc:"default takes the order back."`
		Type string      `json:"type,omitempty" maxLength:"40" doc:"Only for this type of issue."`
	}
}) (*controlAnswer, error) {
	return s.given(ctx, in.IfMatch, in.of(who, in.Body.Reason), func(ctx context.Context, o orders.Order) (orders.Receipt, error) {
		return s.desk.Mode(ctx, o, orders.Part{Type: in.Body.Type}, mode(in.Body.Mode))
	})
}

func (s *server) siteMode(ctx context.Context, who access.Who, in *struct {
	Named
	OrderParams
	Body struct {
		Reason
		Mode policy.Mode `json:"mode" enum:"observe,act,default" doc:"default takes the order back."`
	}
}) (*struct{ Body orders.Receipt }, error) {
	r, err := s.desk.Mode(ctx, in.of(who, in.Body.Reason), orders.Part{Site: in.Name}, mode(in.Body.Mode))
	return &struct{ Body orders.Receipt }{r}, err
}

func mode(m policy.Mode) policy.Mode {
	if m == "default" {
		return ""
	}
	return m
}

// sweepAnswer is what was started.
type sweepAnswer struct {
	Status int
	Body   struct {
		orders.Receipt
		ID string `json:"id,omitempty" doc:"Of the workflow that looks."`
	}
}

type plainOrder struct {
	OrderParams
	Body struct{ Reason }
}

func (s *server) sweep(ctx context.Context, who access.Who, in *plainOrder) (*sweepAnswer, error) {
	r, run, err := s.desk.Sweep(ctx, in.of(who, in.Body.Reason), nil)
	return begun(r, run), err
}

func (s *server) believe(ctx context.Context, who access.Who, in *plainOrder) (*sweepAnswer, error) {
	r, run, err := s.desk.Believe(ctx, in.of(who, in.Body.Reason))
	return begun(r, run), err
}

func (s *server) readSweep(ctx context.Context, _ access.Who, in *struct {
	Named
	Run string `path:"run" maxLength:"100" doc:"Its run, as the order to look answered it."`
}) (*struct{ Body answers.Sweep }, error) {
	v, err := answers.ReadSweep(ctx, s.Temporal, in.Name, in.Run)
	return &struct{ Body answers.Sweep }{v}, err
}

func begun(r orders.Receipt, run orders.Run) *sweepAnswer {
	out := &sweepAnswer{Status: http.StatusOK}
	if run.WorkflowID != "" {
		out.Status = http.StatusAccepted
	}
	r.Run = run.FirstExecutionRunID
	out.Body.Receipt, out.Body.ID = r, run.WorkflowID
	return out
}

func (s *server) teach(ctx context.Context, who access.Who, in *struct {
	Named
	OrderParams
	Body struct {
		Reason
		Action bootman.Action `json:"action" doc:"What the sequence calls for."`
	}
}) (*struct{ Body orders.Receipt }, error) {
	r, err := s.desk.Teach(ctx, in.of(who, in.Body.Reason), bootman.Known{Sequence: in.Name, Action: in.Body.Action})
	return &struct{ Body orders.Receipt }{r}, err
}

// silenceAnswer is what is left alone now.
type silenceAnswer struct {
	Body struct {
		orders.Receipt
		Silence store.BlacklistEntry `json:"silence"`
	}
}

func (s *server) silence(ctx context.Context, who access.Who, in *struct {
	OrderParams
	Body struct {
		Reason
		Target string    `json:"target" minLength:"1" maxLength:"255" doc:"A node, a PCU or a site."`
		Until  time.Time `json:"until,omitempty" doc:"When it ends by itself; without it, and with a kind, never."`

		Kind     string    `json:"kind,omitempty" enum:"node,pcu,site" doc:"What the target is; it is found by its name without."`
		From     time.Time `json:"from,omitempty" doc:"When it begins, which is now otherwise; goes with a kind."`
		Downtime bool      `json:"downtime,omitempty" doc:"It is a planned one; goes with a kind."`
	}
}) (*silenceAnswer, error) {
	b, o := in.Body, in.of(who, in.Body.Reason)
	if !b.Until.IsZero() && !b.Until.After(s.Now()) {
		return nil, problem(invalid, "until lies in the past")
	}
	out := &silenceAnswer{}
	var err error
	if b.Kind == "" {
		out.Body.Receipt, out.Body.Silence, err = s.desk.Silence(ctx, o, b.Target, b.Until)
		return out, hidden(who, err)
	}
	if b.From.IsZero() {
		b.From = s.Now().Truncate(time.Millisecond)
	}
	out.Body.Receipt, out.Body.Silence, err = s.desk.Blacklist(ctx, o, store.BlacklistEntry{
		Kind: b.Kind, Target: b.Target, Starts: b.From.UTC(), Until: b.Until, Downtime: b.Downtime,
	})
	return out, hidden(who, err)
}

func (s *server) unsilence(ctx context.Context, who access.Who, in *struct {
	Kind string `path:"kind" enum:"node,site,pcu" doc:"What the target is."`
	Named
	OrderParams
	Reason string `query:"reason" maxLength:"500" doc:"Why; the ledger keeps it."`
}) (*struct{ Body orders.Receipt }, error) {
	r, err := s.desk.Unsilence(ctx, in.of(who, Reason{Reason: in.Reason}), in.Kind, in.Name)
	return &struct{ Body orders.Receipt }{r}, hidden(who, err)
}

// hidden answers those whose role holds at some sites only alike, whether a thing is foreign or not there.
func hidden(who access.Who, err error) error {
	if kind := orders.KindOf(err); !who.Of("") && (kind == orders.NotFound || kind == orders.Forbidden) {
		return problem(forbidden, "there is no such thing, or it is not of a site where you may order this")
	}
	return err
}

// siteAnswer is what an order to a site led to.
type siteAnswer struct {
	Body struct {
		orders.Receipt
		People *answers.People `json:"people,omitempty" doc:"What the site is told and denied now."`
	}
}

type siteOrder struct {
	Named
	OrderParams
	Body struct {
		Reason
		Until time.Time `json:"until,omitempty" doc:"Of a pause: when it ends by itself."`
	}
}

func (s *server) orderSite(name issue.Order) func(context.Context, access.Who, *siteOrder) (*siteAnswer, error) {
	return func(ctx context.Context, who access.Who, in *siteOrder) (*siteAnswer, error) {
		r, state, err := s.desk.Site(ctx, in.of(who, in.Body.Reason), name, in.Name, orders.Words{Until: in.Body.Until})
		if err != nil {
			return nil, hidden(who, err)
		}
		out := &siteAnswer{}
		out.Body.Receipt = r
		if state.State.Site != "" {
			people := answers.PeopleOf(state.State)
			out.Body.People = &people
		}
		return out, nil
	}
}

func (s *server) forgetPCU(ctx context.Context, who access.Who, in *struct {
	Named
	OrderParams
	Body struct{ Reason }
}) (*struct{ Body orders.Receipt }, error) {
	r, err := s.desk.ForgetPCU(ctx, in.of(who, in.Body.Reason), in.Name)
	return &struct{ Body orders.Receipt }{r}, hidden(who, err)
}
