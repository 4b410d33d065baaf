package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"

	"github.com/planetlab/monitor/activities"
	"github.com/planetlab/monitor/clean"
	"github.com/planetlab/monitor/issue"
	sites "github.com/planetlab/monitor/site"
	"github.com/planetlab/monitor/store"
	"github.com/planetlab/monitor/testbed"
	"github.com/planetlab/monitor/testbed/fakenode"
	"github.com/planetlab/monitor/testbed/fakeplc"
	"github.com/planetlab/monitor/testbed/fakert"
	"github.com/planetlab/monitor/testbed/hostile"
	"github.com/planetlab/monitor/testbed/rig"
)

// A healthy site stands beside one of nothing but hostile nodes and PCUs.
const (
	goodSite = "good"
	evilSite = "evil"
)

// Bounds of what hostile targets may make grow.
const (
	mostEvents      = 10_000
	mostHistory     = 16 << 20 // bytes of a workflow's history; Temporal ends one at 50 MiB
	mostWorkerBytes = 800 << 20
)

// hostileOptions leave the guard out: the hostile nodes are most of the fleet here, and it would hold everything back.
func hostileOptions(bin string, log io.Writer) rig.Options {
	return rig.Options{Bin: bin, Log: log, UIPort: -1, Probe: unhurried(),
		Sites:  []testbed.Site{{Login: goodSite, Nodes: 6}, {Login: evilSite, Nodes: len(hostile.Nodes())}},
		Policy: map[string]any{"guard": map[string]any{"share": 1}}}
}

func hostileScenarios() []scenario {
	return []scenario{{id: "Hostile", name: "a node for each hostile habit, and as many PCUs, odd rows in PLC, strangers' tickets and users of the namespace: " +
		"a healthy site beside them is worked as before they came", run: amongHostile}}
}

// hostileFleet is a stage on which everybody is let loose at once.
type hostileFleet struct {
	*stage
	stops []func()
}

func amongHostile(ctx context.Context, s *stage) error {
	ctx, cancel := context.WithCancel(ctx)
	f := &hostileFleet{stage: s}
	defer func() {
		cancel()
		for _, stop := range f.stops {
			stop()
		}
	}()
	var stolen atomic.Pointer[string]
	thief := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		what := fmt.Sprintf("%s %s %v", r.Method, r.URL, r.Header)
		stolen.Store(&what)
	}))
	f.stops = append(f.stops, thief.Close)
	before, err := f.work(ctx, host(goodSite, 1))
	if err != nil {
		return fmt.Errorf("before they come: %w", err)
	}
	if err := errors.Join(f.letNodesLoose(), f.writeOddRows(), f.letPCUsLoose(thief.URL)); err != nil {
		return err
	}
	f.Tracker.Letter("We know [monitor:"+goodSite+":00000000]", "mallory@evil.example", "Auto-Submitted: no",
		hostile.Evil, nil)
	if err := f.days(ctx, 2); err != nil { // sweeps meet them
		return err
	}
	if err := f.namespaceUsers(ctx, nodeDown(host(goodSite, 2))); err != nil {
		return err
	}
	with, err := f.work(ctx, host(goodSite, 2))
	if err != nil {
		return fmt.Errorf("beside them: %w", err)
	}
	if !slices.Equal(before, with) {
		return fmt.Errorf("a node of the healthy site was worked as %q, and beside hostile ones as %q", before, with)
	}
	if what := stolen.Load(); what != nil {
		return fmt.Errorf("something came to the thief: %s", *what)
	}
	return errors.Join(f.sweepsAreBelieved(ctx), f.historiesStayShort(ctx), f.workerStaysSmall(ctx), f.nothingRaw(ctx),
		f.strangersTicketsAreLeft(), f.nobodyMailed(goodSite))
}

// work hangs a node that a reboot mends, and says what was done about it.
func (f *hostileFleet) work(ctx context.Context, node string) (acts []string, err error) {
	if err := f.Break(node, testbed.Fault{State: fakenode.Hung, FixedBy: testbed.Reboot}); err != nil {
		return nil, err
	}
	id := nodeDown(node)
	if err := f.status(ctx, id, issue.Closed, 20); err != nil {
		return nil, err
	}
	if err := errors.Join(f.opened(ctx, id, 1), f.actsAre(ctx, node, "reboot done"), f.cuts(node, 1)); err != nil {
		return nil, err
	}
	list, err := f.acts(ctx, node)
	for _, a := range list {
		acts = append(acts, string(a.Kind)+" "+a.Outcome)
	}
	return acts, err
}

// letNodesLoose puts a habit in the place of each node of the evil site.
func (f *hostileFleet) letNodesLoose() error {
	for i, h := range hostile.Nodes() {
		node := host(evilSite, i+1)
		ip := f.DB.Get("Interfaces", "node_id", f.DB.Get("Nodes", "hostname", node)["node_id"])["ip"].(string)
		if err := f.Break(node, testbed.Fault{State: fakenode.Off, FixedBy: testbed.Nobody}); err != nil {
			return err
		}
		if _, err := f.listen(net.JoinHostPort(ip, strconv.Itoa(testbed.PortMap()[22])), h); err != nil {
			return err
		}
	}
	return nil
}

// letPCUsLoose gives the evil site a PCU for each habit of servers, and one at an address that no PCU may have.
func (f *hostileFleet) letPCUsLoose(thief string) error {
	models := []string{"Redfish", "ePowerSwitchNew", "APCControl12p3", "Shelly"}
	add := func(id int, name, ip, model string) {
		f.DB.Add("PCUs", fakeplc.Row{"pcu_id": id, "site_id": f.siteID(evilSite), "hostname": name, "ip": ip,
			"username": "root", "password": testbed.PLCPassword + "-of-a-pcu", "model": model, "node_ids": []any{},
			"ports": []any{}})
	}
	for i, h := range hostile.Web(thief) {
		at, err := f.listen(fmt.Sprintf("127.9.77.%d:0", i+1), h)
		if err != nil {
			return err
		}
		add(9000+i, fmt.Sprintf("evil%d.example", i), at.String(), models[i%len(models)])
	}
	add(9900, "metadata.example", "169.254.169.254", "Redfish")
	return nil
}

func (f *hostileFleet) listen(address string, h hostile.Habit) (net.Addr, error) {
	at, stop, err := hostile.Listen(address, h)
	if err == nil {
		f.stops = append(f.stops, stop)
	}
	return at, err
}

// writeOddRows writes what the people of a site may write in PLC.
func (f *hostileFleet) writeOddRows() error {
	id := f.siteID(evilSite)
	f.DB.Set("Sites", id, "name", strings.ToValidUTF8(hostile.Evil, ""))
	for i, email := range []string{`"a,b"@evil.example`, "a@[127.0.0.1]", "x\u202ey@evil.example",
		"tech@evil.example\r\nBcc: all@good.example", strings.Repeat("a", 3000) + "@evil.example"} {
		f.DB.Add("Persons", fakeplc.Row{"person_id": 9000 + i, "email": email, "enabled": true,
			"roles": []any{"tech"}, "site_ids": []any{id}})
	}
	return nil
}

// namespaceUsers start what is not there, hand over states, and talk to an issue that is about to open.
func (f *hostileFleet) namespaceUsers(ctx context.Context, id string) error {
	start := func(id, typ string, in any) error {
		_, err := f.Temporal.ExecuteWorkflow(ctx,
			client.StartWorkflowOptions{ID: id, TaskQueue: activities.TaskQueue}, typ, in)
		return err
	}
	forged := sites.Start(goodSite, "forged")
	forged.Known, forged.Level = true, 2
	ref := issue.Ref{ID: "nodedown/nobody.example", Type: issue.NodeDown, Node: "nobody.example", Site: goodSite}
	forged.Holds[ref.ID] = sites.Hold{Ref: ref, Level: 2, Kind: "down", Told: true}
	evil := strings.ToValidUTF8(hostile.Evil, "")
	err := errors.Join(
		start(sites.ID(goodSite), sites.Type, sites.Input{Site: goodSite, State: &forged}),
		start(nodeDown(host(goodSite, 3)), issue.NodeDown, issue.Input{Node: evil}),
		start(nodeDown("x.example"), issue.NodeDown, issue.Input{Node: "x.example", Cause: strings.Repeat(evil, 20_000)}),
		start(nodeDown(host(goodSite, 4)), issue.NodeDown, map[string]any{"node": []string{"no", "list"}}),
	)
	if err != nil {
		return err
	}
	go f.pester(ctx, id, evil)
	return nil
}

// pester sends an issue signals that are none, until the scenario is over.
func (f *hostileFleet) pester(ctx context.Context, id, evil string) {
	for i := 0; ctx.Err() == nil && i < 200; i++ {
		for _, name := range []string{"pause", "resume", "skip", "close", "retry", "nonsense"} {
			_ = f.Temporal.SignalWorkflow(ctx, id, "", name, "no command "+evil)
		}
		_ = f.Temporal.SignalWorkflow(ctx, id, "", "pause", issue.Command{Reason: strings.Repeat(evil, 10_000)})
		_ = f.days(ctx, 0.25)
	}
}

func (f *hostileFleet) sweepsAreBelieved(ctx context.Context) error {
	return f.until(ctx, "a sweep beside them is believed", 3, func() (bool, error) {
		s, err := f.Store.LastSweep(ctx)
		if errors.Is(err, store.ErrNotFound) {
			err = nil
		}
		return s.Believed && time.Since(s.Ended) < 2*f.Day, err
	})
}

// historiesStayShort asks Temporal about every workflow: none may come near what ends it.
func (f *hostileFleet) historiesStayShort(ctx context.Context) error {
	list, err := f.Temporal.ListWorkflow(ctx,
		&workflowservice.ListWorkflowExecutionsRequest{Query: "IssueType is not null", PageSize: 500})
	if err != nil {
		return err
	}
	for _, w := range list.Executions {
		if w.HistorySizeBytes > mostHistory || w.HistoryLength > mostEvents {
			err = errors.Join(err, fmt.Errorf("%s has %d events of %d bytes", w.Execution.WorkflowId, w.HistoryLength,
				w.HistorySizeBytes))
		}
	}
	return err
}

var resident = regexp.MustCompile(`(?m)^process_resident_memory_bytes (\S+)$`)

func (f *hostileFleet) workerStaysSmall(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, f.Workers[0].Health()+"/metrics", nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	m := resident.FindSubmatch(text)
	if m == nil {
		return fmt.Errorf("the worker does not say how large it is: %.200s", text)
	}
	if bytes, err := strconv.ParseFloat(string(m[1]), 64); err != nil || bytes > mostWorkerBytes {
		return fmt.Errorf("the worker has %s bytes, %v", m[1], err)
	}
	return nil
}

// nothingRaw reads what was kept, logged and mailed: it is clean, and no secret is in it.
func (f *hostileFleet) nothingRaw(ctx context.Context) error {
	texts := map[string]string{"the worker's log": f.WorkerLog()}
	for i := range hostile.Nodes() {
		node := host(evilSite, i+1)
		n, err := f.Store.Node(ctx, node)
		if err != nil {
			return err
		}
		passages, err := f.Store.History(ctx, node, 1000)
		if err != nil {
			return err
		}
		kept, err := json.Marshal([]any{n, passages})
		if err != nil {
			return err
		}
		texts["what is kept of "+node] = string(kept)
	}
	issues, err := f.Store.Issues(ctx, store.IssueFilter{Limit: 1000})
	if err != nil {
		return err
	}
	for _, i := range issues {
		kept, err := json.Marshal(i)
		if err != nil {
			return err
		}
		texts[i.ID] = string(kept)
	}
	for i, m := range f.Mail.Messages() {
		texts[fmt.Sprintf("mail %d", i)] = m.Subject + "\n" + m.Body
		if slices.ContainsFunc(m.To, func(to string) bool { return strings.ContainsAny(to, "\",\r\n\u202e") }) {
			return fmt.Errorf("mail went to %q", m.To)
		}
	}
	for what, text := range texts {
		if !clean.Is(text, len(text)) || hostile.HoldsControl(text) {
			err = errors.Join(err, fmt.Errorf("%s is not clean: %q", what, text[max(0, len(text)-300):]))
		}
		for _, secret := range []string{testbed.PLCPassword, testbed.RTToken} {
			if strings.Contains(text, secret) {
				err = errors.Join(err, fmt.Errorf("a secret is in %s", what))
			}
		}
	}
	return err
}

func (f *hostileFleet) strangersTicketsAreLeft() error {
	for _, t := range f.Tracker.Tickets() {
		if t.Creator == "mallory@evil.example" &&
			slices.ContainsFunc(t.History, func(e fakert.Transaction) bool { return e.By == "monitor" }) {
			return fmt.Errorf("it writes into a stranger's ticket: %+v", t)
		}
	}
	return nil
}
