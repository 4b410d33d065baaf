package activities

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/planetlab/monitor/clean"
	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/testbed"
	"github.com/planetlab/monitor/testbed/fakenode"
	"github.com/planetlab/monitor/testbed/fakeplc"
	"github.com/planetlab/monitor/testbed/hostile"
)

// wholeSweep sweeps the fleet as the workflow would.
func (b *bench) wholeSweep() SweepResult {
	b.Helper()
	plan, err := b.Sweep.SyncPLC(b.Context(), SweepInput{})
	b.must(err)
	for _, batch := range plan.Nodes {
		_, err := b.Sweep.ProbeNodes(b.Context(), batch)
		b.must(err)
	}
	for _, batch := range plan.PCUs {
		_, err := b.Sweep.ProbePCUs(b.Context(), batch)
		b.must(err)
	}
	res, err := b.Sweep.Judge(b.Context(), plan)
	b.must(err)
	return res
}

// downForDays hangs a node that was down for days already.
func (b *bench) downForDays(node string) {
	b.Helper()
	b.must(b.w.Break(node, testbed.Fault{State: fakenode.Hung, FixedBy: testbed.Reboot}))
	b.was("node", node, policy.StatusDown, 3)
}

// about are the issues of a site that were started.
func (b *bench) about(site string) (list []string) {
	for _, s := range b.tc.started {
		if id, _, _ := strings.Cut(s, " "); strings.HasSuffix(id, "."+site+".example") {
			list = append(list, id)
		}
	}
	return list
}

// letLoose puts a habit in the place of each node of a site, and of as many PCUs, and odd rows beside them.
func (b *bench) letLoose(site string, thief string) {
	b.Helper()
	id := b.w.DB.Get("Sites", "login_base", site)["site_id"].(int)
	for i, h := range hostile.Nodes() {
		node := fmt.Sprintf("planetlab%d.%s.example", i+1, site)
		row := b.w.DB.Get("Nodes", "hostname", node)
		ip := b.w.DB.Get("Interfaces", "node_id", row["node_id"])["ip"].(string)
		b.must(b.w.Break(node, testbed.Fault{State: fakenode.Off, FixedBy: testbed.Nobody}))
		hostile.Serve(b.T, net.JoinHostPort(ip, strconv.Itoa(testbed.PortMap()[22])), h)
	}
	models := []string{"Redfish", "ePowerSwitchNew", "APCControl12p3", "Shelly"}
	for i, h := range hostile.Web(thief) {
		at := hostile.Serve(b.T, fmt.Sprintf("127.9.79.%d:0", i+1), h)
		b.w.DB.Add("PCUs", fakeplc.Row{"pcu_id": 9000 + i, "site_id": id, "hostname": fmt.Sprintf("evil%d.example", i),
			"ip": at.String(), "username": "root", "password": "a-pcus-s3cret", "model": models[i%len(models)],
			"node_ids": []any{}, "ports": []any{}})
	}
	b.w.DB.Set("Sites", id, "name", strings.ToValidUTF8(hostile.Evil, ""))
	for i, email := range []string{`"a,b"@evil.example`, "x\u202ey@evil.example", strings.Repeat("a", 3000) + "@evil.example"} {
		b.w.DB.Add("Persons", fakeplc.Row{"person_id": 9000 + i, "email": email, "enabled": true, "roles": []any{"tech"},
			"site_ids": []any{id}})
	}
}

// A sweep beside two dozen hostile nodes and PCUs sees, opens and does for the healthy site what it did before they came.
func TestASweepBesideHostileTargetsIsAsWithoutThem(t *testing.T) {
	const evil = "evil"
	b := newBench(t, testbed.Site{Login: site, Nodes: 4}, testbed.Site{Login: evil, Nodes: len(hostile.Nodes())})
	b.Policy.Guard.Share = 1
	thief := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("a secret went to the thief: %s %v", r.Method, r.Header)
	}))
	t.Cleanup(thief.Close)
	b.downForDays(sick)
	if res := b.wholeSweep(); res.Held != "" || !slices.Equal(b.about(site), []string{nodeDownOf(sick)}) {
		t.Fatalf("before they come: %+v, started %q", res, b.tc.started)
	}
	b.letLoose(evil, thief.URL)
	other := "planetlab2." + site + ".example"
	b.downForDays(other)
	b.tc.started = nil
	res := b.wholeSweep()
	if res.Held != "" || res.Unseen != 0 || !slices.Contains(b.about(site), nodeDownOf(other)) {
		t.Errorf("beside them: %+v, started %q", res, b.tc.started)
	}
	for _, id := range b.about(site) {
		if id != nodeDownOf(sick) && id != nodeDownOf(other) {
			t.Errorf("they have %s opened", id)
		}
	}
	act, err := b.Power.Reboot(b.Context(), b.task(issue.NodeDown, "0", rebootRung))
	b.want(act, err, issue.Acted, "")
	b.wantCuts(1)
	b.nothingRaw(evil)
}

func nodeDownOf(host string) string { return issue.NodeDown + "/" + host }

// nothingRaw reads what was kept of a site's nodes and PCUs.
func (b *bench) nothingRaw(site string) {
	b.Helper()
	nodes, err := b.Store.Nodes(b.Context(), 0, 1000)
	b.must(err)
	pcus, err := b.Store.PCUs(b.Context(), 0, 1000)
	b.must(err)
	kept := map[string]any{"what was started": b.tc.started}
	for _, n := range nodes {
		history, err := b.Store.History(b.Context(), n.Hostname, 100)
		b.must(err)
		kept[n.Hostname] = []any{n, history}
	}
	for _, p := range pcus {
		kept[p.Name] = p.Reason
	}
	s, err := b.Store.Site(b.Context(), site)
	b.must(err)
	kept[site] = s.Name
	for what, v := range kept {
		text, err := json.Marshal(v)
		b.must(err)
		if hostile.HoldsControl(string(text)) ||
			!clean.Is(string(text), 256<<10) || strings.Contains(string(text), "a-pcus-s3cret") {
			b.Errorf("kept of %s: %.300q", what, text)
		}
	}
}
