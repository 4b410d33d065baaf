package fakeplc_test

import (
	"bytes"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/planetlab/monitor/plc/xmlrpc"
	"github.com/planetlab/monitor/testbed/fakeplc"
)

type row = fakeplc.Row

// plant is a simulator with a site of two nodes, one behind a whitelist, and a peer's.
type plant struct {
	*fakeplc.DB
	t   *testing.T
	url string
}

func newPlant(t *testing.T) plant {
	db := fakeplc.NewDB("m@example", "pw")
	db.Add("Sites", row{"site_id": 1, "login_base": "home", "enabled": true, "ext_consortium_id": 1})
	db.Add("Sites", row{"site_id": 2, "login_base": "peer", "enabled": true, "peer_id": 9})
	db.Add("Nodes", row{"node_id": 10, "hostname": "a.home", "site_id": 1, "boot_state": "boot", "pcu_ids": []any{5}, "ports": []any{3}, "key": "k"})
	db.Add("Nodes", row{"node_id": 11, "hostname": "b.home", "site_id": 1, "boot_state": "boot", "slice_ids_whitelist": []any{7}})
	db.Add("Nodes", row{"node_id": 20, "hostname": "a.peer", "site_id": 2, "boot_state": "boot", "peer_id": 9})
	db.Add("PCUs", row{"pcu_id": 5, "site_id": 1, "node_ids": []any{10}, "ports": []any{3}})
	db.Add("Persons", row{"person_id": 30, "email": "tech@home", "site_ids": []any{1}, "roles": []any{"tech"}})
	db.Add("Slices", row{"slice_id": 7, "name": "home_a", "site_id": 1})
	db.Add("SliceTags", row{"slice_tag_id": 40, "slice_id": 7, "tagname": "enabled", "value": "0", "node_id": 10})
	server := httptest.NewServer(db)
	t.Cleanup(server.Close)
	return plant{db, t, server.URL}
}

func (p plant) call(method string, args ...any) (any, error) {
	p.t.Helper()
	auth := row{"AuthMethod": "password", "Username": "m@example", "AuthString": "pw"}
	body, err := xmlrpc.Call(method, append([]any{auth}, args...)...)
	if err != nil {
		p.t.Fatal(err)
	}
	resp, err := http.Post(p.url, "text/xml", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return xmlrpc.ParseResponse(resp.Body)
}

// column asks a Get method and returns one column of its answer, sorted.
func (p plant) column(method, column string, filter any) []any {
	p.t.Helper()
	v, err := p.call(method, filter, []string{column})
	if err != nil {
		p.t.Fatalf("%s %v: %v", method, filter, err)
	}
	out := []any{}
	for _, r := range v.([]any) {
		out = append(out, r.(row)[column])
	}
	slices.SortFunc(out, func(a, b any) int { x, _ := a.(int); y, _ := b.(int); return x - y })
	return out
}

func TestALostRoleFiltersAndDoesNotFault(t *testing.T) {
	p := newPlant(t)
	all := func() [][]any {
		return [][]any{p.column("GetNodes", "node_id", row{}), p.column("GetPCUs", "pcu_id", row{}), p.column("GetPersons", "person_id", row{}),
			p.column("GetSliceTags", "slice_tag_id", row{})}
	}
	before := all()
	if !slices.Equal(before[0], []any{10, 11, 20}) || len(before[1]) != 1 || len(before[2]) != 2 || len(before[3]) != 1 {
		t.Fatalf("an admin sees %v", before)
	}
	p.SetRoles("pi")
	less := all()
	if !slices.Equal(less[0], []any{10, 20}) || len(less[1]) != 0 || len(less[2]) != 1 || less[2][0] == 30 || len(less[3]) != 0 {
		t.Errorf("without admin it sees %v", less)
	}
	if v, err := p.call("AuthCheck"); v != 1 || err != nil {
		t.Errorf("AuthCheck says %v, %v", v, err)
	}
	if v, err := p.call("GetNodes", []int{10}, []string{"key"}); err != nil || len(v.([]any)[0].(row)) != 0 {
		t.Errorf("the key reads %v, %v", v, err)
	}
	p.SetRoles("admin", "pi")
	if after := all(); len(after[1]) != 1 || len(after[2]) != 2 {
		t.Errorf("with the role back it sees %v", after)
	}
}

func TestFaults(t *testing.T) {
	p := newPlant(t)
	p.Add("Slices", row{"slice_id": 8, "name": "home_old", "site_id": 1, "expires": int(time.Now().Unix()) - 60})
	p.Add("SliceTags", row{"slice_id": 7, "tagname": "enabled", "value": "1"})
	for name, c := range map[string]struct {
		method string
		args   []any
		code   int
	}{
		"an unknown method":                          {"AddNodeToNodeGroup", []any{10, 1}, 100},
		"too many arguments":                         {"GetNodes", []any{nil, nil, 1}, 101},
		"an unknown return field":                    {"GetNodes", []any{row{}, []string{"node_id", "mood"}}, 102},
		"an unknown filter field":                    {"GetNodes", []any{row{"mood": 1}}, 102},
		"a return field of another table":            {"GetSites", []any{row{}, []string{"node_id"}}, 102},
		"return fields that are no list":             {"GetNodes", []any{row{}, "node_id"}, 102},
		"an id as a string":                          {"GetNodes", []any{row{"site_id": "1"}}, 102},
		"an int for a boolean":                       {"GetSites", []any{row{"enabled": 1}}, 102},
		"nil where PLC knows no nil":                 {"GetSliceTags", []any{row{"node_id": nil}}, 102},
		"a list column without & or |":               {"GetPersons", []any{row{"roles": "tech"}}, 106},
		"a boolean as a name":                        {"GetNodes", []any{[]any{true}}, 102},
		"an update of an unknown column":             {"UpdateNode", []any{10, row{"mood": "good"}}, 102},
		"an update of a column that may not be set":  {"UpdateNode", []any{10, row{"last_contact": 1}}, 102},
		"an update with the wrong type":              {"UpdateSite", []any{1, row{"enabled": 0}}, 102},
		"an update with an id as a string":           {"UpdateSite", []any{"1", row{"enabled": false}}, 102},
		"an update of a peer's site":                 {"UpdateSite", []any{"peer", row{"enabled": false}}, 102},
		"an update of a peer's node":                 {"UpdateNode", []any{20, row{"boot_state": "boot"}}, 102},
		"an old boot state":                          {"UpdateNode", []any{10, row{"boot_state": "dbg"}}, 102},
		"a tag type that does not exist":             {"AddSliceTag", []any{7, "exempt_node_until", "20300101"}, 102},
		"a tag with a value that is no string":       {"AddSliceTag", []any{7, "enabled", 0}, 102},
		"a tag for the node nil":                     {"AddSliceTag", []any{7, "enabled", "0", nil}, 102},
		"a tag of an expired slice":                  {"AddSliceTag", []any{"home_old", "enabled", "0"}, 102},
		"a tag that is there with the same value":    {"AddSliceTag", []any{7, "enabled", "1"}, 102},
		"a tag that is not there":                    {"DeleteSliceTag", []any{999}, 102},
		"a tag type that is there":                   {"AddTagType", []any{row{"tagname": "enabled"}}, 102},
		"a reboot of a node without a PCU":           {"RebootNodeWithPCU", []any{"b.home"}, 102},
		"a reboot of a node that PLC does not have":  {"RebootNodeWithPCU", []any{"c.home"}, 102},
		"a filter that is neither a struct nor list": {"GetNodes", []any{"a.home"}, 102},
	} {
		_, err := p.call(c.method, c.args...)
		var f *xmlrpc.Fault
		if !errors.As(err, &f) || f.Code != c.code {
			t.Errorf("%s: %v, want fault %d", name, err, c.code)
		}
	}
}

func TestFilters(t *testing.T) {
	p := newPlant(t)
	for name, c := range map[string]struct {
		filter any
		want   []any
	}{
		"nil is everything":          {nil, []any{10, 11, 20}},
		"{} is everything":           {row{}, []any{10, 11, 20}},
		"[] is nothing":              {[]int{}, []any{}},
		"unknown ids are nothing":    {[]int{99}, []any{}},
		"names":                      {[]string{"b.home"}, []any{11}},
		"our own":                    {row{"peer_id": nil}, []any{10, 11}},
		"a peer's":                   {row{"~peer_id": nil}, []any{20}},
		"any of a list":              {row{"site_id": []int{2, 3}}, []any{20}},
		"a glob":                     {row{"hostname": "a.*"}, []any{10, 20}},
		"a list column":              {row{"|pcu_ids": []int{5, 6}}, []any{10}},
		"at least":                   {row{"]node_id": 11}, []any{11, 20}},
		"names are of one case only": {[]string{"B.home"}, []any{}},
	} {
		if got := p.column("GetNodes", "node_id", c.filter); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func TestSliceTagsAreNotAtomic(t *testing.T) {
	p := newPlant(t)
	suspend := func() {
		if _, err := p.call("AddSliceTag", "home_a", "enabled", "0"); err != nil {
			t.Error(err)
		}
	}
	p.InTagGap(func() {
		p.InTagGap(nil)
		suspend()
	})
	suspend()
	if _, err := p.call("AddSliceTag", "home_a", "enabled", "0"); err == nil {
		t.Error("a third one, later, was taken")
	}
	if _, err := p.call("AddSliceTag", "home_a", "enabled", "1"); err != nil {
		t.Errorf("another value beside it: %v", err)
	}
	if n := len(p.All("SliceTags", "value", "0")); n != 3 { // two of the slice, one of a sliver
		t.Errorf("%d tags enabled=0", n)
	}
}

func TestPLCChangesUnderneath(t *testing.T) {
	t.Run("a site that is deleted takes all that is its own", func(t *testing.T) {
		p := newPlant(t)
		p.Delete("Sites", 1)
		for _, c := range [][2]string{{"GetSites", "site_id"}, {"GetNodes", "node_id"}, {"GetPCUs", "pcu_id"}, {"GetPersons", "person_id"}, {"GetSlices", "slice_id"}, {"GetSliceTags", "slice_tag_id"}} {
			left := p.column(c[0], c[1], row{})
			if slices.Contains(left, 1) && c[1] != "person_id" || slices.Contains(left, 10) || slices.Contains(left, 5) || slices.Contains(left, 30) || slices.Contains(left, 7) || slices.Contains(left, 40) {
				t.Errorf("%s still answers %v", c[0], left)
			}
		}
	})
	t.Run("a site keeps its id when it is renamed, and a node when it moves", func(t *testing.T) {
		p := newPlant(t)
		p.Rename("Sites", 1, "house")
		p.Move(10, 2)
		if got := p.column("GetSites", "login_base", []int{1}); !slices.Equal(got, []any{"house"}) {
			t.Errorf("the site is %v", got)
		}
		if got := p.column("GetNodes", "node_id", row{"site_id": 2}); !slices.Equal(got, []any{10, 20}) {
			t.Errorf("its nodes are %v", got)
		}
	})
	t.Run("a backup brings back what was", func(t *testing.T) {
		p := newPlant(t)
		old := p.Backup()
		if _, err := p.call("UpdateSite", 1, row{"enabled": false}); err != nil {
			t.Fatal(err)
		}
		p.Delete("Nodes", 10)
		p.Restore(old)
		if p.Get("Sites", "site_id", 1)["enabled"] != true || p.Get("Nodes", "node_id", 10) == nil || !slices.Equal(p.column("GetPCUs", "pcu_id", row{"|node_ids": 10}), []any{5}) {
			t.Error("not all is back")
		}
	})
	t.Run("hidden rows are in no answer", func(t *testing.T) {
		p := newPlant(t)
		p.Hide("Nodes", 0.34)
		if got := p.column("GetNodes", "node_id", row{}); !slices.Equal(got, []any{11, 20}) {
			t.Errorf("left are %v", got)
		}
	})
	t.Run("rows come in no order", func(t *testing.T) {
		p := newPlant(t)
		for try := 0; ; try++ {
			v, _ := p.call("GetNodes", row{}, []string{"node_id"})
			if v.([]any)[0].(row)["node_id"] != 10 {
				return
			}
			if try == 100 {
				t.Fatal("the same row was first a hundred times")
			}
		}
	})
	t.Run("what may not be written for want of a role is dropped", func(t *testing.T) {
		p := newPlant(t)
		p.Set("Persons", p.Get("Persons", "email", "m@example")["person_id"].(int), "site_ids", []any{1})
		p.SetRoles("pi")
		if v, err := p.call("UpdateSite", 1, row{"enabled": false}); v != 1 || err != nil || p.Get("Sites", "site_id", 1)["enabled"] != true {
			t.Errorf("it answers %v, %v", v, err)
		}
		if _, err := p.call("AddSliceTag", 7, "enabled", "0"); err == nil {
			t.Error("the tag was taken")
		}
	})
	t.Run("an older PLC faults on fields that it lacks", func(t *testing.T) {
		p := newPlant(t)
		p.Lack("Nodes", "last_pcu_reboot")
		if _, err := p.call("GetNodes", []int{}, []string{"last_pcu_reboot"}); err == nil {
			t.Error("it has it")
		}
	})
}

func TestReboots(t *testing.T) {
	p := newPlant(t)
	if v, err := p.call("RebootNodeWithPCU", "a.home"); v != 0 || err != nil || p.Get("Nodes", "node_id", 10)["last_pcu_reboot"] == nil {
		t.Errorf("it answers %v, %v", v, err)
	}
	p.OnReboot(func(host string) error { return errors.New("no answer from the PCU of " + host) })
	if v, err := p.call("RebootNodeWithPCU", 10); v != "no answer from the PCU of a.home" || err != nil {
		t.Errorf("it answers %v, %v", v, err)
	}
}

func TestTroubles(t *testing.T) {
	p := newPlant(t)
	p.LoseAnswers("UpdateSite", 1)
	if _, err := p.call("UpdateSite", 1, row{"enabled": false}); err == nil || p.Get("Sites", "site_id", 1)["enabled"] != false {
		t.Errorf("a lost answer gives %v, enabled %v", err, p.Get("Sites", "site_id", 1)["enabled"])
	}
	if _, err := p.call("UpdateSite", 1, row{"enabled": true}); err != nil {
		t.Errorf("the next one: %v", err)
	}
	release := p.Hang("GetSites")
	done := make(chan error, 1)
	go func() { _, err := p.call("GetSites"); done <- err }()
	if _, err := p.call("GetNodes"); err != nil { // others go on meanwhile
		t.Error(err)
	}
	select {
	case <-done:
		t.Error("it does not hang")
	default:
	}
	release()
	if err := <-done; err != nil {
		t.Error(err)
	}
	begun := time.Now()
	p.Delay("AuthCheck", 30*time.Millisecond)
	if _, err := p.call("AuthCheck"); err != nil || time.Since(begun) < 30*time.Millisecond {
		t.Errorf("after %s: %v", time.Since(begun), err)
	}
	if p.Calls("UpdateSite") != 2 {
		t.Errorf("counted %d", p.Calls("UpdateSite"))
	}
}

func TestANodeHasATagOfATypeOnce(t *testing.T) {
	p := newPlant(t)
	p.Add("TagTypes", row{"tagname": "deployment"})
	p.Add("NodeGroups", row{"nodegroup_id": 50, "groupname": "alpha", "tagname": "deployment", "value": "alpha"})
	members := func() any {
		t.Helper()
		v, err := p.call("GetNodeGroups", []any{"alpha"}, []any{"node_ids"})
		if err != nil {
			t.Fatal(err)
		}
		return v.([]any)[0].(row)["node_ids"].([]any)
	}
	id, err := p.call("AddNodeTag", "a.home", "deployment", "alpha")
	if err != nil || !slices.Equal(members().([]any), []any{10}) {
		t.Fatalf("%v, members %v", err, members())
	}
	for name, c := range map[string]struct {
		code   int
		method string
		args   []any
	}{
		"a second one":            {102, "AddNodeTag", []any{10, "deployment", "beta"}},
		"of no type":              {102, "AddNodeTag", []any{11, "nosuch", "beta"}},
		"of no node":              {102, "AddNodeTag", []any{"nobody", "deployment", "beta"}},
		"a value that is no text": {102, "AddNodeTag", []any{11, "deployment", 1}},
		"one that is not there":   {102, "UpdateNodeTag", []any{99, "beta"}},
		"an id that is a text":    {102, "DeleteNodeTag", []any{"5"}},
		"too few arguments":       {101, "AddNodeTag", []any{11, "deployment"}},
		"the way of old releases": {100, "AddNodeToNodeGroup", []any{11, "alpha"}},
	} {
		var f *xmlrpc.Fault
		if _, err := p.call(c.method, c.args...); !errors.As(err, &f) || f.Code != c.code {
			t.Errorf("%s: %v, not a fault %d", name, err, c.code)
		}
	}
	if _, err := p.call("UpdateNodeTag", id, "beta"); err != nil || len(members().([]any)) != 0 {
		t.Errorf("%v, members %v", err, members())
	}
	p.SetRoles("tech")
	var f *xmlrpc.Fault
	if _, err := p.call("DeleteNodeTag", id); !errors.As(err, &f) || f.Code != 108 {
		t.Errorf("a tech deletes a tag: %v", err)
	}
	p.SetRoles("admin")
	if _, err := p.call("DeleteNodeTag", id); err != nil || p.Get("NodeTags", "node_id", 10) != nil {
		t.Errorf("%v, and there is %v", err, p.Get("NodeTags", "node_id", 10))
	}
}
