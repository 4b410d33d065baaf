package api

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"

	"github.com/planetlab/monitor/access"
	"github.com/planetlab/monitor/store"
)

// How much of what a node said is answered, of each of its two outputs: of one node, of each where all are asked for, and of a
// command.
const (
	mostOfOne     = 256 << 10
	mostOfEach    = 2 << 10
	mostOfCommand = 16 << 10
)

// runs are the operations on what is run on nodes over ssh. What nodes said is only for those who may run something: nobody
// knows what a command prints. The server that is asked carries a run out itself, with its keys.
func (s *server) runs(api huma.API) {
	const tag = "fleet"
	op(s, api, route{method: http.MethodGet, path: "/runs", id: "listRuns", tag: tag,
		about: "List what was run on nodes over ssh, the latest first", verb: access.SeePlans}, s.listRuns)
	op(s, api, route{method: http.MethodGet, path: "/runs/{name}", id: "getRun", tag: tag,
		about: "Read what was run, how far it is, and the beginning of what each node said", verb: access.SeePlans}, s.getRun)
	op(s, api, route{method: http.MethodGet, path: "/runs/{name}/nodes/{host}", id: "getRunNode", tag: tag,
		about: "Read what one node said", verb: access.FleetRun}, s.getRunNode)
	op(s, api, route{method: http.MethodPost, path: "/runs", id: "startRun", tag: tag, order: true, most: mostRun,
		about: "Run a command or a script on nodes over ssh", verb: access.FleetRun}, s.startRun)
	op(s, api, route{method: http.MethodPost, path: "/runs/{name}/cancel", id: "cancelRun", tag: tag, order: true,
		about: "Call a run off: where it has not begun, it is skipped", verb: access.FleetRun}, s.cancelRun)
}

// WholeRun is a run with its nodes.
type WholeRun struct {
	store.Run
	List []store.RunNode `json:"node_list" doc:"By site and name. The outputs are cut; of one node alone there is more."`
}

func (s *server) listRuns(ctx context.Context, who access.Who, _ *struct{}) (*struct{ Body []store.Run }, error) {
	const latest = 100
	list, err := s.Store.Runs(ctx, latest)
	out := []store.Run{}
	for _, r := range list {
		out = append(out, forReader(who, r))
	}
	return &struct{ Body []store.Run }{out}, err
}

// forReader is a run without what a reader may not see.
func forReader(who access.Who, r store.Run) store.Run {
	r.Began, r.Ended = r.Began.UTC(), r.Ended.UTC()
	r.Command, _ = cutText(r.Command, mostOfCommand)
	if !access.Allowed(who, access.FleetRun, "") {
		r.Command = ""
	}
	return r
}

func (s *server) getRun(ctx context.Context, who access.Who, in *struct {
	Named
	Brief bool `query:"brief" doc:"Without what the nodes said."`
}) (*struct{ Body WholeRun }, error) {
	r, nodes, err := s.readRun(ctx, in.Name)
	if err != nil {
		return nil, err
	}
	v := WholeRun{Run: forReader(who, r), List: []store.RunNode{}}
	for _, n := range nodes {
		n = upTo(n, mostOfEach)
		if in.Brief || !access.Allowed(who, access.FleetRun, "") {
			n.Output, n.Errors = "", ""
		}
		v.List = append(v.List, n)
	}
	return &struct{ Body WholeRun }{v}, nil
}

func (s *server) getRunNode(ctx context.Context, _ access.Who, in *struct {
	Named
	Host string `path:"host" maxLength:"255" doc:"The node, by its whole name."`
}) (*struct{ Body store.RunNode }, error) {
	_, nodes, err := s.readRun(ctx, in.Name)
	if err != nil {
		return nil, err
	}
	for _, n := range nodes {
		if n.Host == in.Host {
			return &struct{ Body store.RunNode }{upTo(n, mostOfOne)}, nil
		}
	}
	return nil, problem(notFound, in.Name+" was not run on "+in.Host)
}

func (s *server) readRun(ctx context.Context, id string) (r store.Run, nodes []store.RunNode, err error) {
	if r, err = s.Store.Run(ctx, id); errors.Is(err, store.ErrNotFound) {
		return r, nil, problem(notFound, "there is no run "+id)
	} else if err != nil {
		return r, nil, err
	}
	nodes, err = s.Store.RunNodes(ctx, id)
	return r, nodes, err
}

// upTo is what a node said, each output up to so many bytes.
func upTo(n store.RunNode, most int) store.RunNode {
	n.Began, n.Ended = n.Began.UTC(), n.Ended.UTC()
	var cut, more bool
	n.Output, cut = cutText(n.Output, most)
	n.Errors, more = cutText(n.Errors, most)
	n.Cut = n.Cut || cut || more
	return n
}

// cutText is the beginning of a text, in whole characters, and whether there was more.
func cutText(text string, most int) (string, bool) {
	text = strings.ToValidUTF8(text, "�")
	if len(text) <= most {
		return text, false
	}
	for most > 0 && !utf8.RuneStart(text[most]) {
		most--
	}
	return text[:most], true
}
