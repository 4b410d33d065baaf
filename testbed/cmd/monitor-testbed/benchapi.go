package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/planetlab/monitor/access"
	"github.com/planetlab/monitor/api"
	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/orders"
	"github.com/planetlab/monitor/store"
	"github.com/planetlab/monitor/testbed/fakeplc"
	"github.com/planetlab/monitor/testbed/large"
	"github.com/planetlab/monitor/testbed/rig"
)

const (
	apiSites   = 6 // of 20 nodes, so that there is a node for each sample
	apiSamples = 100
	apiGroup   = "alpha"
	mostAgain  = 3000 // of a question that has to wait: five minutes
	apiTokens  = 100  // an account is slowed down that asks often
)

// benchAPI measures every operation of the API of a running worker with Temporal, PLC and devices, in a large fleet that changes.
func benchAPI(ctx context.Context, out io.Writer) error {
	return withBench(ctx, out, benchFleet(apiSites*nodesOfASite), func(r *rig.Rig) error {
		r.DB.Add("NodeGroups", fakeplc.Row{"groupname": apiGroup, "tagname": "deployment", "value": apiGroup})
		p := &asker{server: r.Web + api.Prefix, took: map[string][]time.Duration{}, refused: map[string]int{}, said: map[string]answer{}}
		if err := p.signIn(ctx, orders.Desk{Store: r.Store}); err != nil {
			return err
		}
		f, err := fleetAsked(ctx, r)
		if err != nil {
			return err
		}
		if err := p.askAll(ctx, out, f.sweeps(p)); err != nil {
			return err
		}
		last := p.said["POST /sweeps/believed"] // it would find out that the nodes to come are not PLC's
		if err := r.Temporal.GetWorkflow(ctx, last.ID, last.Run).Get(ctx, nil); err != nil {
			return err
		}
		if err := p.ask(ctx, f.open(0)); err != nil {
			return err
		}
		fmt.Fprintf(out, "\nfilling its store with 10,000 nodes, 2,000 open issues and 1,000,000 lines of the ledger ...\n")
		if err := large.Fill(ctx, r.Database, nodeDown(f.host(0))); err != nil {
			return err
		}
		if err := r.Store.StartRun(ctx, store.Run{ID: "large", Command: "uptime"}, runOfAll()); err != nil {
			return err
		}
		changing, stop := context.WithCancel(ctx)
		defer stop()
		go func() {
			for tick := time.NewTicker(500 * time.Millisecond); changing.Err() == nil; <-tick.C {
				_ = r.Store.Note(changing, store.Action{Key: time.Now().String(), Kind: store.KindFlag, Site: "s1", Reason: "a bench", Outcome: store.Done})
			}
		}()
		for _, part := range f.asked(p) {
			if err := p.askAll(ctx, out, part); err != nil {
				return err
			}
		}
		p.print(out)
		return nil
	})
}

// question is a request of an operation, which the API's document names so: POST /issues.
type question struct {
	operation string
	path      string
	as        string // what the table calls it; the operation where it is empty
	body      map[string]any
	late      bool // it may be refused: what it is about may be over by then
	again     int  // so often it was asked before, and something else had to end first
}

// asking is what is asked again and again, in turns.
type asking struct {
	about   string
	samples int // apiSamples where it is 0
	turns   []func(i int) question
}

// answer is what the orders among the operations answer.
type answer struct {
	ID  string `json:"id"`
	Run string `json:"run_id"`
}

// asker asks as many programs do, and keeps how long each answer took.
type asker struct {
	server  string
	tokens  []string
	n       int
	took    map[string][]time.Duration
	refused map[string]int
	said    map[string]answer // the last one of each operation
}

func (p *asker) signIn(ctx context.Context, d orders.Desk) error {
	root := access.Who{Account: "root", Role: access.Admin, Sites: []string{access.AllSites}}
	for i := range apiTokens {
		_, _, text, err := d.AddToken(ctx, orders.Order{Who: root}, fmt.Sprintf("bench%d", i), access.Admin, root.Sites, time.Now().Add(time.Hour))
		if err != nil {
			return err
		}
		p.tokens = append(p.tokens, text)
	}
	return nil
}

// notYet are words of refusals with which something else has to end first: it is asked again until it has, and only the last
// answer counts.
var notYet = []string{"say it again in a moment", `"it is under way"`, "another order to this node is under way"}

func (p *asker) askAll(ctx context.Context, out io.Writer, part asking) error {
	fmt.Fprintf(out, "%s ...\n", part.about)
	for i := range cmp.Or(part.samples, apiSamples) {
		for _, ask := range part.turns {
			if err := p.ask(ctx, ask(i)); err != nil {
				return err
			}
		}
	}
	return nil
}

// ask asks a question and waits for the whole answer; of a stream, for the first that it says.
func (p *asker) ask(ctx context.Context, q question) error {
	method, _, _ := strings.Cut(q.operation, " ")
	var body io.Reader
	if q.body != nil {
		text, err := json.Marshal(q.body)
		if err != nil {
			return err
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, p.server+q.path, body)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+p.tokens[p.n%len(p.tokens)])
	req.Header.Set("Content-Type", "application/json")
	p.n++
	began := time.Now()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	var text []byte
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") {
		_, err = bufio.NewReader(resp.Body).ReadString('\n')
	} else {
		text, err = io.ReadAll(resp.Body)
	}
	took := time.Since(began)
	name := cmp.Or(q.as, q.operation)
	switch {
	case err != nil:
		return fmt.Errorf("%s %s: %w", method, q.path, err)
	case resp.StatusCode/100 == 2:
	case slices.ContainsFunc(notYet, func(words string) bool { return bytes.Contains(text, []byte(words)) }):
		if q.again++; q.again > mostAgain {
			return fmt.Errorf("%s %s still answers %s: %s", method, q.path, resp.Status, text)
		}
		time.Sleep(100 * time.Millisecond)
		return p.ask(ctx, q)
	case q.late && resp.StatusCode/100 == 4:
		p.refused[name]++
	default:
		return fmt.Errorf("%s %s answers %s: %s", method, q.path, resp.Status, text)
	}
	p.took[name] = append(p.took[name], took)
	var said answer
	if method != http.MethodGet && json.Unmarshal(text, &said) == nil {
		p.said[q.operation] = said
	}
	return nil
}

func (p *asker) print(out io.Writer) {
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "p50 ms\tp99 ms\tof\trefused\t ")
	for _, name := range slices.Sorted(maps.Keys(p.took)) {
		all := p.took[name]
		slices.Sort(all)
		ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
		fmt.Fprintf(t, "%.1f\t%.1f\t%d\t%d\t %s\n", ms(all[len(all)/2]), ms(all[len(all)*99/100]), len(all), p.refused[name], name)
	}
	_ = t.Flush()
}

// askedFleet is what the questions are about: the nodes that are there, and not only in the store.
type askedFleet struct {
	nodes []store.Node
	pcus  []string
}

func fleetAsked(ctx context.Context, r *rig.Rig) (f askedFleet, err error) {
	for _, host := range r.Hosts() {
		n, err := r.Store.Node(ctx, host)
		if err != nil {
			return f, err
		}
		f.nodes = append(f.nodes, n)
	}
	for i := range apiSites {
		p, err := r.Store.PCU(ctx, f.nodes[i].PCUID)
		if err != nil {
			return f, err
		}
		f.pcus = append(f.pcus, p.Name)
	}
	return f, nil
}

// runOfAll are the nodes of a run on the whole of the large fleet.
func runOfAll() (nodes []store.RunNode) {
	for i := range 10_000 {
		nodes = append(nodes, store.RunNode{Host: fmt.Sprintf("n%d.example", i+1), Site: "s1", State: "planned"})
	}
	return nodes
}

func (f askedFleet) node(i int) store.Node { return f.nodes[i%len(f.nodes)] }
func (f askedFleet) host(i int) string     { return f.node(i).Hostname }
func (f askedFleet) site(i int) string     { return f.node(i).Site }

// to is a question of an operation again and again. The names take the places in its path, one after the other; an order
// says more than its reason.
func to(operation string, more map[string]any, names ...func(i int) string) func(i int) question {
	method, pattern, _ := strings.Cut(operation, " ")
	return func(i int) question {
		q := question{operation: operation, path: pattern}
		for _, name := range names {
			before, after, _ := strings.Cut(q.path, "{")
			_, after, _ = strings.Cut(after, "}")
			q.path = before + name(i) + after
		}
		switch method {
		case http.MethodPost:
			q.body = map[string]any{"reason": "a bench"}
			maps.Copy(q.body, more)
		case http.MethodDelete:
			q.path += "?reason=x"
		}
		return q
	}
}

// mayBeLate are the same questions where it does not matter that what they are about is over.
func mayBeLate(ask func(i int) question) func(i int) question {
	return func(i int) question {
		q := ask(i)
		q.late = true
		return q
	}
}

func (f askedFleet) open(i int) question {
	return to("POST /issues", map[string]any{"type": issue.NodeDown, "target": f.host(i), "cause": "a bench"})(i)
}

// sweeps are asked for while the fleet is small: whoever asks waits until the one before has ended.
func (f askedFleet) sweeps(p *asker) asking {
	id := func(int) string { return p.said["POST /sweeps"].ID }
	run := func(int) string { return p.said["POST /sweeps"].Run }
	return asking{about: "sweeps of these nodes", samples: 20, turns: []func(int) question{
		to("POST /sweeps", nil), to("GET /sweeps/{name}/{run}", nil, id, run), to("POST /sweeps/believed", nil),
	}}
}

// asked is every other operation of the API, in an order in which each finds what it is about.
func (f askedFleet) asked(p *asker) []asking {
	const (
		anIssue, aRollout, aSilence = "/issues/{type}/{target}", "/rollouts/{name}", "/silences/{kind}/{name}"
		aRun, aGroup, anExemption   = "/runs/{name}", "/nodegroups/{name}", "/exemptions/{kind}/{name}"
	)
	word := func(text string) func(int) string { return func(int) string { return text } }
	numbered := func(kind string) func(int) string { return func(i int) string { return fmt.Sprint(kind, i) } }
	pcu := func(i int) string { return f.pcus[i%len(f.pcus)] }
	run := func(int) string { return p.said["POST /runs"].ID }
	soon := time.Now().Add(time.Hour).UTC()
	type more = map[string]any
	issueOrder := func(name string, m more) func(int) question {
		return to("POST "+anIssue+"/"+name, m, word(issue.NodeDown), f.host)
	}
	beside := func(i int) string { return f.host(i + apiSites) } // a node of the same site: they are in the order of their names
	reboot := func(host func(int) string) func(int) question {
		return to("POST /nodes/{name}/reboot", more{"even_if_up": true, "return_seconds": 1}, host)
	}
	return []asking{
		{about: "what the store knows", turns: f.reads()},
		{about: "what others answer", turns: []func(int) question{
			to("GET /events", nil), to("GET /plc/{type}", nil, word("nodes")), to("GET /nodegroups", nil), to("GET "+aGroup, nil, word(apiGroup)),
			func(i int) question {
				return question{operation: "POST " + aGroup + "/plan", path: "/nodegroups/" + apiGroup + "/plan", body: more{"hosts": []string{f.host(i)}}}
			},
			func(i int) question {
				return question{operation: "GET /why-not", path: "/why-not?act=reboot&target=" + f.host(i)}
			},
			func(i int) question {
				return question{operation: "POST /nodes/{name}/look", path: "/nodes/" + f.host(i) + "/look"}
			},
			to("POST /pcus/{name}/operate", more{"operation": "status", "outlet": 1}, pcu),
		}},
		{about: "orders to issues", turns: []func(int) question{
			f.open, issueOrder("pause", nil), issueOrder("resume", nil), issueOrder("veto", more{"step": 2}),
			issueOrder("allow", more{"step": 2}), issueOrder("skip", nil), issueOrder("pledge", more{"until": soon}), issueOrder("close", nil),
		}},
		{about: "orders to sites", turns: []func(int) question{
			to("POST /sites/{name}/mode", more{"mode": "observe"}, f.site), to("POST /sites/{name}/mode", more{"mode": "default"}, f.site),
			to("POST /sites/{name}/penalty", more{"level": 1}, f.site), to("POST /sites/{name}/pause", nil, f.site),
			to("POST /sites/{name}/resume", nil, f.site), to("DELETE /sites/{name}/penalty", nil, f.site),
		}},
		{about: "what is left alone", turns: []func(int) question{
			to("POST /silences", more{"target": "n1.example", "until": soon}), to("DELETE "+aSilence, nil, word("node"), word("n1.example")),
			to("POST /exemptions", more{"kind": "node", "target": "n1.example", "until": soon}),
			to("DELETE "+anExemption, nil, word("node"), word("n1.example")),
		}},
		{about: "tokens and boot sequences", turns: []func(int) question{
			func(i int) question {
				return to("POST /tokens", more{"name": numbered("made")(i), "role": access.Viewer, "sites": []string{access.AllSites}, "expires": soon})(i)
			},
			to("DELETE /tokens/{name}", nil, numbered("made")),
			to("POST /sequences/{name}", more{"action": "restart_node_boot"}, word("a-b-done")),
		}},
		{about: "roll-outs", turns: []func(int) question{
			func(i int) question {
				return to("POST /rollouts", more{"name": numbered("many")(i), "act": "bootstate", "state": "boot", "group": 1, "max_failed": 1,
					"rest_seconds": 3600, "node_ids": []int{f.node(i).NodeID, f.node(i + 1).NodeID}})(i)
			},
			to("GET "+aRollout, nil, numbered("many")), to("POST "+aRollout+"/pause", nil, numbered("many")),
			to("POST "+aRollout+"/resume", nil, numbered("many")), to("POST "+aRollout+"/cancel", nil, numbered("many")),
			to("POST "+aRollout+"/retry", nil, numbered("many")), to("POST "+aRollout+"/cancel", nil, numbered("many")),
		}},
		{about: "runs on nodes", turns: []func(int) question{
			func(i int) question {
				return to("POST /runs", more{"script": "uptime", "hosts": []string{f.host(i)}})(i)
			},
			to("GET "+aRun, nil, run), to("GET "+aRun+"/nodes/{host}", nil, run, f.host), mayBeLate(to("POST "+aRun+"/cancel", nil, run)),
		}},
		{about: "groups of PLC", turns: []func(int) question{
			func(i int) question {
				return to("POST "+aGroup+"/change", more{"host": f.host(i), "tag": "deployment", "value": apiGroup, "was": ""}, word(apiGroup))(i)
			},
		}},
		{about: "orders to the fleet", turns: []func(int) question{
			to("POST /mode", more{"mode": "observe"}), to("POST /mode", more{"mode": "default"}), to("POST /stop", nil), to("POST /start", nil),
		}},
		{about: "orders to nodes", turns: []func(int) question{
			to("POST /nodes/{name}/bootstate", more{"state": "boot"}, f.host), to("GET /nodes/{name}/request", nil, f.host),
			reboot(f.host), reboot(beside), mayBeLate(to("POST /nodes/{name}/cancel", nil, beside)), // which waits for the PCU
		}},
		{about: "reinstallations", turns: []func(int) question{
			to("POST /nodes/{name}/reinstall", more{"even_if_up": true, "return_seconds": 1}, f.host),
		}},
		{about: "PCUs that are replaced", samples: apiSites, turns: []func(int) question{to("POST /pcus/{name}/forget", nil, pcu)}},
	}
}

// reads are what the store alone answers.
func (f askedFleet) reads() (all []func(int) question) {
	day := func(days int) string { return time.Now().AddDate(0, 0, -days).UTC().Format(time.RFC3339) }
	for operation, paths := range map[string][]string{
		"/self": {"/self"}, "/status": {"/status"}, "/controls": {"/controls"}, "/sites": {"/sites"}, "/sites/{name}": {"/sites/s1"},
		"/pcus": {"/pcus"}, "/agenda": {"/agenda", "/agenda?site=s1"}, "/lint": {"/lint"},
		"/nodes": {"/nodes", "/nodes?filter=status%3Ddown", "/nodes?filter=power_cycles_7d%3E1", "/nodes?details=true", "/nodes?limit=10000",
			"/nodes?at=" + day(7)}, "/nodes/{name}": {"/nodes/n1.example"},
		"/issues":                 {"/issues", "/issues?closed=true", "/issues?filter=type%3Dnodedown", "/issues?at=" + day(0)},
		"/issues/{type}/{target}": {"/issues/nodedown/" + f.host(0)},
		"/ledger":                 {"/ledger", "/ledger?filter=node%3Dn1.example"}, "/history": {"/history", "/history?target=n1.example"},
		"/explain": {"/explain?target=" + f.host(0)}, "/outlets": {"/outlets?target=" + f.host(0)}, "/silences": {"/silences"},
		"/exemptions": {"/exemptions"}, "/disabled": {"/disabled"}, "/rollouts": {"/rollouts"}, "/tokens": {"/tokens"}, "/runs": {"/runs"},
		"/runs/{name}": {"/runs/large", "/runs/large?brief=true"}, "/runs/{name}/nodes/{host}": {"/runs/large/nodes/n1.example"},
	} {
		for _, path := range paths {
			all = append(all, func(int) question { return question{operation: "GET " + operation, path: path, as: "GET " + path} })
		}
	}
	return all
}
