package api

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/planetlab/monitor/access"
	"github.com/planetlab/monitor/orders"
	"github.com/planetlab/monitor/plc"
	"github.com/planetlab/monitor/testbed/fakeplc"
)

// withPLC is a server that has Monitor's account at PLC, where the node of each site is in the group beta.
func withPLC(t *testing.T) (*served, *fakeplc.DB) {
	t.Helper()
	db := fakeplc.NewDB("monitor@example", "s3cret")
	for id, site := range map[int]string{1: mine, 2: foreign} {
		db.Add("Sites", fakeplc.Row{"site_id": id, "login_base": site, "enabled": true})
		db.Add("Nodes", fakeplc.Row{"node_id": 8 + 2*id, "hostname": nodeOf(site), "site_id": id, "boot_state": "boot", "key": "n0de-key"})
		db.Add("NodeTags", fakeplc.Row{"node_id": 8 + 2*id, "tagname": "deployment", "value": "beta"})
	}
	for _, name := range []string{"alpha", "beta"} {
		db.Add("NodeGroups", fakeplc.Row{"groupname": name, "tagname": "deployment", "value": name})
	}
	server := httptest.NewServer(db)
	t.Cleanup(server.Close)
	c, err := plc.New(plc.Options{URL: server.URL + "/PLCAPI/", Username: "monitor@example", Password: "s3cret"})
	if err != nil {
		t.Fatal(err)
	}
	return serveAPI(t, func(o *Options) { o.PLC = c }), db
}

func TestRecordsOfPLCAreReadOverTheAPI(t *testing.T) {
	s, db := withPLC(t)
	ops := s.token("ops", access.Operator, access.AllSites)
	g := s.ask(ops, "GET", "/plc/nodes?filter=hostname%3D"+nodeOf(mine)+"&filter=boot_state%3Dboot&fields=hostname,last_contact", nil)
	if want := `{"items":[{"hostname":"` + nodeOf(mine) + `","last_contact":null}],"bad":[]}`; g.status != http.StatusOK || strings.TrimSpace(g.body) != want {
		t.Errorf("%+v", g)
	}
	if g := s.ask(ops, "GET", "/plc/nodes", nil); g.status != http.StatusOK || strings.Contains(g.body, "n0de-key") || !strings.Contains(g.body, nodeOf(foreign)) {
		t.Errorf("%+v", g)
	}
	for path, want := range map[string]string{
		"/plc/sessions": "not-found",
		"/plc/nodes?filter=hostname%3Da*&filter=hostname%3Db": "invalid",
		"/plc/nodes?filter=node_id%3C9&filter=node_id%3C8":    "invalid",
		"/plc/nodes?filter=key%3Dx":                           "invalid",
		"/plc/nodes?filter=boot_state":                        "invalid",
		"/plc/nodes?fields=key":                               "invalid",
		"/plc/nodes?filter=last_contact%3Csoon":               "invalid",
	} {
		if g := s.ask(ops, "GET", path, nil); g.problem() != want {
			t.Errorf("%s: %+v", path, g)
		}
	}
	db.SetRoles("pi")
	if g := s.ask(ops, "GET", "/plc/nodes", nil); g.problem() != "refused" || !strings.Contains(g.body, "lacks the role admin") {
		t.Errorf("without the role: %+v", g)
	}
	db.SetRoles("admin")
	db.SetDown(true)
	if g := s.ask(ops, "GET", "/nodegroups", nil); g.problem() != "no-answer" || strings.Contains(g.body, "s3cret") {
		t.Errorf("while PLC is away: %+v", g)
	}
}

func TestAGroupIsChangedOverTheAPIAsItWasPlanned(t *testing.T) {
	s, db := withPLC(t)
	ops, tech := s.token("ops", access.Operator, access.AllSites), s.token("tech", access.Operator, mine)
	var plan orders.GroupPlan
	s.ask(ops, "POST", "/nodegroups/alpha/plan", object{"hosts": []string{nodeOf(mine), nodeOf(foreign)}}).read(t, &plan)
	if plan.Coming() != 2 || plan.Group.Tag != "deployment" || plan.Nodes[0].Leaves[0] != "beta" {
		t.Fatalf("%+v", plan)
	}
	change := func(token, host string, more object, head ...string) got {
		t.Helper()
		body := object{"host": host, "tag": plan.Group.Tag, "value": plan.Group.Value, "was": "beta", "reason": "a new image"}
		for _, n := range plan.Nodes {
			if n.Host == host {
				body["tag_id"] = n.TagID
			}
		}
		for name, v := range more {
			body[name] = v
		}
		return s.ask(token, "POST", "/nodegroups/alpha/change", body, head...)
	}
	hosts := func() (g orders.GroupView) {
		t.Helper()
		s.ask(ops, "GET", "/nodegroups/alpha", nil).read(t, &g)
		return g
	}
	for name, c := range map[string]struct {
		g    got
		want string
	}{
		"a foreign node":           {change(tech, nodeOf(foreign), nil), "not-allowed"},
		"without a reason":         {change(ops, nodeOf(mine), object{"reason": ""}), "invalid"},
		"another tag since":        {change(ops, nodeOf(mine), object{"was": "gamma"}), "refused"},
		"another group since":      {change(ops, nodeOf(mine), object{"value": "gamma"}), "refused"},
		"a node that is not there": {change(ops, "nowhere.example", nil), "not-found"},
	} {
		if c.g.problem() != c.want {
			t.Errorf("%s: %+v", name, c.g)
		}
	}
	if n := len(hosts().Hosts); n != 0 {
		t.Fatalf("%d nodes have entered", n)
	}
	db.LoseAnswers("UpdateNodeTag", 1)
	for range 2 { // the second time as one whose answer was lost
		if g := change(tech, nodeOf(mine), nil, "Idempotency-Key", "k1"); g.status != http.StatusOK {
			t.Fatalf("%+v", g)
		}
	}
	if g := hosts(); len(g.Hosts) != 1 || g.Hosts[0] != nodeOf(mine) || db.Calls("UpdateNodeTag") != 1 {
		t.Errorf("%+v, written %d times", g, db.Calls("UpdateNodeTag"))
	}
}
