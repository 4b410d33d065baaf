package plc_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/planetlab/monitor/plc"
	"github.com/planetlab/monitor/testbed/fakeplc"
)

func fleet(t *testing.T) (*fakeplc.DB, *plc.Client) {
	t.Helper()
	db := fakeplc.NewDB("monitor@example", "s3cret")
	db.Add("Sites", fakeplc.Row{"site_id": 1, "login_base": "princeton", "name": "Princeton", "enabled": true, "max_slices": 10, "date_created": 1000, "ext_consortium_id": 1})
	db.Add("Sites", fakeplc.Row{"site_id": 2, "login_base": "pending", "name": "Pending", "enabled": false, "max_slices": 10, "date_created": 1000, "ext_consortium_id": 0})
	db.Add("Sites", fakeplc.Row{"site_id": 3, "login_base": "free", "name": "Enabled, of no consortium", "enabled": true, "max_slices": 10, "date_created": 1000, "ext_consortium_id": 0})
	for i := 1; i <= 7; i++ {
		db.Add("Nodes", fakeplc.Row{"node_id": i, "hostname": fmt.Sprintf("n%d.example", i), "site_id": 1, "boot_state": "boot", "last_contact": nil, "pcu_ids": []any{}, "ports": []any{}})
	}
	db.Add("Slices", fakeplc.Row{"slice_id": 5, "name": "princeton_a", "site_id": 1})
	db.Add("Slices", fakeplc.Row{"slice_id": 6, "name": "princeton_b", "site_id": 1})
	db.Add("NodeTags", fakeplc.Row{"node_id": 3, "tagname": "exempt_node_until", "value": "20300131"})
	db.Add("NodeTags", fakeplc.Row{"node_id": 4, "tagname": "exempt_node_until", "value": "99991231"})
	server := httptest.NewServer(db)
	t.Cleanup(server.Close)
	c, err := plc.New(plc.Options{URL: server.URL + "/PLCAPI/", Username: "monitor@example", Password: "s3cret"})
	if err != nil {
		t.Fatal(err)
	}
	return db, c
}

// princeton is the site of the fleet.
var princeton = plc.SiteRef{SiteID: 1}

// done is the error of a call that changes slices, as a whole or of any of them.
func done(results []plc.SliceResult, err error) error {
	return errors.Join(err, plc.SliceErrors(results))
}

func TestSnapshot(t *testing.T) {
	db, c := fleet(t)
	s, err := c.Snapshot(t.Context())
	if err != nil || len(s.Nodes) != 7 || len(s.Sites) != 3 || !s.Sites[1].Pending || s.Sites[0].Pending || s.Sites[2].Pending || len(s.Unreadable) != 0 {
		t.Fatalf("%+v, %v", s, err)
	}
	if until := s.NodeExempt[4]; until.Year() != 9999 {
		t.Errorf("for ever is until %s", until)
	}
	if until := s.NodeExempt[3]; until.Format("20060102") != "20300201" {
		t.Errorf("exempt until %s", until)
	}
	db.Set("Nodes", 4, "last_contact", fakeplc.Poison)
	s, err = c.Snapshot(t.Context())
	if err != nil || len(s.Nodes) != 6 || len(s.Unreadable) != 1 || s.Unreadable[0] != "nodes 4" || !slices.Equal(s.Unsent["nodes"], []int{4}) {
		t.Errorf("with a poisoned row: %d nodes, unreadable %v, %v", len(s.Nodes), s.Unreadable, err)
	}
	db.Add("SiteTags", fakeplc.Row{"site_id": 1, "tagname": "exempt_site_until", "value": "next summer"})
	s, err = c.Snapshot(t.Context())
	if err != nil || !s.SiteExempt[1].After(time.Now().AddDate(100, 0, 0)) || len(s.Unreadable) != 2 || !strings.Contains(s.Unreadable[1], `exempt_site_until of site 1: "next summer"`) {
		t.Errorf("a day that cannot be read exempts until %v, unreadable %q, %v", s.SiteExempt[1], s.Unreadable, err)
	}
	db.SetDown(true)
	if _, err = c.Snapshot(t.Context()); !errors.Is(err, plc.ErrUnavailable) {
		t.Errorf("a dead PLC gives %v", err)
	}
}

func TestGroupsOfNodesAreRead(t *testing.T) {
	db, c := fleet(t)
	db.Add("NodeGroups", fakeplc.Row{"nodegroup_id": 1, "groupname": "Alpha", "node_ids": []any{1, 3}})
	db.Add("NodeGroups", fakeplc.Row{"nodegroup_id": 2, "groupname": "Rollout", "node_ids": []any{3}})
	s, err := c.Snapshot(t.Context())
	if err != nil || len(s.NodeGroups) != 2 || !slices.Equal(s.NodeGroups[1], []string{"Alpha"}) ||
		!slices.Equal(s.NodeGroups[3], []string{"Alpha", "Rollout"}) {
		t.Errorf("%v, %v", s.NodeGroups, err)
	}
}

func TestWrites(t *testing.T) {
	db, c := fleet(t)
	ctx := t.Context()
	if err := c.SetBootState(ctx, "n1.example", "rins"); err != nil || db.Get("Nodes", "node_id", 1)["boot_state"] != "reinstall" {
		t.Errorf("boot state: %v", err)
	}
	if err := c.SetBootState(ctx, "n99.example", "boot"); !errors.Is(err, plc.ErrInvalid) {
		t.Errorf("an unknown node gives %v", err)
	}
	if err := c.SetBootState(ctx, "", "boot"); err == nil {
		t.Error("an empty name was taken")
	}
	if err := c.SetSiteEnabled(ctx, princeton, false); err != nil || db.Get("Sites", "site_id", 1)["enabled"] != false || db.Get("Sites", "site_id", 3)["enabled"] != true {
		t.Errorf("enabled: %v", err)
	}
	list, err := c.SlicesOfSite(ctx, princeton)
	if err != nil || len(list) != 2 || list[0].Suspended || list[1].Suspended {
		t.Fatalf("slices %+v, %v", list, err)
	}
	names := []string{list[0].Name, list[1].Name, "a slice that is gone"}
	if _, err := c.SuspendSlices(ctx, princeton, nil); err != nil || db.Get("SliceTags", "value", "0") != nil {
		t.Errorf("no names suspend something: %v", err)
	}
	for range 2 { // the second time there is nothing to do
		if err := done(c.SuspendSlices(ctx, princeton, names)); err != nil {
			t.Fatal(err)
		}
	}
	db.Add("SliceTags", fakeplc.Row{"slice_id": 5, "tagname": "enabled", "value": "0"}) // as two callers at once leave it
	db.Add("SliceTags", fakeplc.Row{"slice_id": 5, "tagname": "exempt_slice_until", "value": "20261231"})
	list, err = c.SlicesOfSite(ctx, princeton)
	if err != nil || !list[0].Suspended || !list[1].Suspended || list[0].ExemptUntil.IsZero() == list[1].ExemptUntil.IsZero() {
		t.Errorf("slices %+v, %v", list, err)
	}
	if err := done(c.RestoreSlices(ctx, princeton, names[:1])); err != nil {
		t.Errorf("restore: %v", err)
	}
	if list, err = c.SlicesOfSite(ctx, princeton); err != nil || list[0].Suspended || !list[1].Suspended {
		t.Errorf("restoring one leaves %+v, %v", list, err)
	}
	if err := done(c.RestoreSlices(ctx, princeton, names[1:])); err != nil || db.Get("SliceTags", "value", "0") != nil {
		t.Errorf("restore: %v", err)
	}
}

func TestErrorsAreTold(t *testing.T) {
	db, _ := fleet(t)
	server := httptest.NewServer(db)
	defer server.Close()
	c, _ := plc.New(plc.Options{URL: server.URL, Username: "monitor@example", Password: "not-it-at-all"})
	if err := c.AuthCheck(t.Context()); !errors.Is(err, plc.ErrAuth) || strings.Contains(err.Error(), "not-it-at-all") {
		t.Errorf("a wrong password gives %v", err)
	}
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>hello</html>") }))
	defer page.Close()
	c, _ = plc.New(plc.Options{URL: page.URL})
	if err := c.AuthCheck(t.Context()); !errors.Is(err, plc.ErrNotXMLRPC) {
		t.Errorf("a web page gives %v", err)
	}
	if _, err := plc.New(plc.Options{URL: "plc.example"}); err == nil {
		t.Error("a URL without a scheme was taken")
	}
}

// TestWire reads an answer as a real PLCAPI 7.1 writes it, by hand and not by our own encoder.
func TestWire(t *testing.T) {
	real := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength <= 0 {
			w.WriteHeader(http.StatusLengthRequired)
			return
		}
		fmt.Fprint(w, `<?xml version='1.0'?>
<methodResponse><params><param><value><array><data>
<value><struct>
<member><name>hostname</name><value><string>pl1.ünï.example</string></value></member>
<member><name>node_id</name><value><int>12</int></value></member>
<member><name>last_contact</name><value><nil/></value></member>
<member><name>boot_state</name><value>dbg</value></member>
<member><name>pcu_ids</name><value><array><data><value><int>7</int></value></data></array></value></member>
</struct></value>
</data></array></value></param></params></methodResponse>`)
	}))
	defer real.Close()
	c, _ := plc.New(plc.Options{URL: real.URL})
	n, err := c.Node(t.Context(), "pl1.ünï.example")
	if err != nil || n.NodeID != 12 || n.Hostname != "pl1.ünï.example" || n.BootState != "failboot" || !n.LastContact.IsZero() || len(n.PCUIDs) != 1 || n.PCUIDs[0] != 7 {
		t.Errorf("%+v, %v", n, err)
	}
}
