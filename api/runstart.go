package api

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/planetlab/monitor/access"
	"github.com/planetlab/monitor/orders"
	"github.com/planetlab/monitor/remote"
	"github.com/planetlab/monitor/selection"
	"github.com/planetlab/monitor/store"
)

// runStart is a run as it is ordered. Its nodes are those that are named, not what an expression may select later.
type runStart struct {
	OrderParams
	Body struct {
		Reason
		Script   string   `json:"script" minLength:"1" maxLength:"16384" doc:"The command, or the script, that sh runs."`
		Hosts    []string `json:"hosts" minItems:"1" maxItems:"10000" doc:"The nodes by their whole names, each once."`
		Parallel int      `json:"parallel,omitempty" minimum:"1" maximum:"200" default:"40" doc:"So many nodes at once."`
		PerSite  int      `json:"per_site,omitempty" minimum:"1" maximum:"50" default:"2" doc:"So many of one site at once."`
		Pace     float64  `json:"pace_seconds,omitempty" minimum:"0" maximum:"3600" doc:"Between two that begin at one site."`
		Limit    float64  `json:"limit_seconds,omitempty" minimum:"0.1" maximum:"3600" default:"60" doc:"How long it may take on one node."`
		Keep     int      `json:"keep_bytes,omitempty" minimum:"1" maximum:"1048576" default:"65536" doc:"So much of each output is kept."`
	}
}

type runStarted struct {
	Status int
	Body   struct {
		orders.Receipt
		ID   string          `json:"id,omitempty" doc:"Of the run, by which it is read and called off."`
		List []store.RunNode `json:"node_list,omitempty" doc:"Of a dry run: each node, and why one would be left alone."`
	}
}

func (s *server) startRun(ctx context.Context, who access.Who, in *runStart) (*runStarted, error) {
	b := in.Body
	nodes, err := s.called(ctx, b.Hosts)
	if err != nil {
		return nil, err
	}
	seconds := func(n float64) time.Duration { return time.Duration(n * float64(time.Second)) }
	job := orders.Job{Nodes: nodes, Script: b.Script, Options: remote.Options{Parallel: b.Parallel, PerSite: b.PerSite,
		Pace: seconds(b.Pace), Limit: seconds(b.Limit), Keep: b.Keep}}
	out := &runStarted{Status: http.StatusAccepted}
	out.Body.Receipt, out.Body.ID, err = s.Runs.Start(ctx, s.desk, in.of(who, b.Reason), job)
	if err == nil && in.DryRun {
		out.Status, out.Body.ID = http.StatusOK, ""
		out.Body.List, err = s.desk.PlanRun(ctx, nodes)
	}
	if out.Body.Before {
		out.Status = http.StatusOK
	}
	return out, err
}

// called are the nodes of these names. One that is not there is refused: who sent it saw another fleet.
func (s *server) called(ctx context.Context, hosts []string) ([]remote.Node, error) {
	rows, _, err := s.Store.NodeRows(ctx, s.Now(), selection.NodeParts{})
	if err != nil {
		return nil, err
	}
	by := map[string]selection.Node{}
	for _, n := range rows {
		by[n.Name] = n
	}
	var nodes []remote.Node
	for _, host := range hosts {
		n, known := by[host]
		if !known {
			return nil, problem(invalid, fmt.Sprintf("hosts: there is no node %q, or it is named twice", host))
		}
		delete(by, host)
		nodes = append(nodes, remote.Node{Host: n.Name, IP: n.IP, Site: n.Site})
	}
	return nodes, nil
}

type runOrder struct {
	Named
	OrderParams
	Body struct{ Reason }
}

func (s *server) cancelRun(ctx context.Context, who access.Who, in *runOrder) (*struct{ Body orders.Receipt }, error) {
	r, err := s.desk.CancelRun(ctx, in.of(who, in.Body.Reason), in.Name)
	return &struct{ Body orders.Receipt }{r}, err
}
