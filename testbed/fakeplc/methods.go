package fakeplc

import (
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/planetlab/monitor/plc/xmlrpc"
)

// call does what a method says; db.mu is held.
func (db *DB) call(method string, args []any) (any, *xmlrpc.Fault) {
	if len(args) == 0 {
		return nil, fault(101, "%s: too few arguments", method)
	}
	who, bad := db.authenticate(args[0])
	if bad == nil {
		bad = who.mayCall(method)
	}
	if bad != nil {
		return nil, bad
	}
	args = args[1:]
	if name, ok := strings.CutPrefix(method, "Get"); ok && tables[name].id != "" {
		return db.get(who, name, args)
	}
	switch method {
	case "AuthCheck":
		return 1, nil
	case "UpdateNode", "UpdateSite":
		return db.update(who, strings.TrimPrefix(method, "Update")+"s", args)
	case "AddSliceTag":
		return db.addSliceTag(who, args)
	case "DeleteSliceTag":
		return db.deleteSliceTag(who, args)
	case "AddNodeTag", "UpdateNodeTag", "DeleteNodeTag":
		return db.changeNodeTag(who, method, args)
	case "AddTagType":
		return db.addTagType(who, args)
	case "RebootNodeWithPCU":
		return db.rebootNodeWithPCU(who, args)
	}
	return nil, fault(100, "Invalid method %s", method)
}

// get answers the rows that the filter means and the caller sees, in no order that one may count on.
func (db *DB) get(who caller, name string, args []any) (any, *xmlrpc.Fault) {
	if len(args) > 2 {
		return nil, fault(101, "Get%s: too many arguments", name)
	}
	args = append(args, nil, nil)[:2]
	t := db.schema(name)
	meant, bad := parseFilter(t, args[0])
	if bad != nil {
		return nil, bad
	}
	fields, bad := returnFields(t, args[1])
	if bad != nil {
		return nil, bad
	}
	out := []any{}
	for _, r := range db.visible(name) {
		if name == "NodeGroups" {
			r = db.tagged(r)
		}
		if !meant(r) || !who.sees(name, r) {
			continue
		}
		row := Row{}
		for _, k := range fields {
			if who.admin() || t.columns[k].note != adminReads {
				row[k] = r[k]
			}
		}
		out = append(out, row)
	}
	rand.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out, nil
}

// visible are the rows of a table that no hook hides, and no expired slices: those are gone for everybody.
func (db *DB) visible(name string) []Row {
	rows := db.rows[name]
	if share := db.hidden[name]; share > 0 {
		rows = slices.Clone(rows)
		id := tables[name].id
		slices.SortFunc(rows, func(a, b Row) int { return a[id].(int) - b[id].(int) })
		rows = rows[min(len(rows), int(share*float64(len(rows))+0.5)):]
	}
	if name != "Slices" {
		return rows
	}
	now := int(time.Now().Unix())
	return slices.DeleteFunc(slices.Clone(rows), func(r Row) bool { return r["expires"].(int) <= now })
}

// returnFields checks the list of fields to answer; nil means all.
func returnFields(t table, arg any) ([]string, *xmlrpc.Fault) {
	var fields []string
	if arg == nil {
		for k := range t.columns {
			fields = append(fields, k)
		}
		return fields, nil
	}
	list, ok := arg.([]any)
	if !ok {
		return nil, fault(102, "Invalid argument: return_fields: expected array, got %T", arg)
	}
	for _, v := range list {
		k, _ := v.(string)
		if _, known := t.columns[k]; !known {
			return nil, fault(102, "Invalid argument: unknown column(s) specified %v", v)
		}
		fields = append(fields, k)
	}
	return fields, nil
}

// find gives the row that an id or a name means.
func (db *DB) find(name, what string, v any) (Row, *xmlrpc.Fault) {
	if bad := named(tables[name], v); bad != nil {
		return nil, bad
	}
	for _, r := range db.visible(name) {
		if is(tables[name], r, v) {
			return r, nil
		}
	}
	return nil, fault(102, "No such %s %v", what, v)
}

// update sets columns of a site or node. What the caller may not set for want of a role is dropped, and the answer is 1
// all the same.
func (db *DB) update(who caller, name string, args []any) (any, *xmlrpc.Fault) {
	what := strings.ToLower(strings.TrimSuffix(name, "s"))
	if len(args) != 2 {
		return nil, fault(101, "Update %s: wrong number of arguments", what)
	}
	fields, ok := args[1].(Row)
	if !ok {
		return nil, fault(102, "Invalid argument: expected struct, got %T", args[1])
	}
	for k, v := range fields {
		c, known := db.schema(name).columns[k]
		switch {
		case !known || !c.set:
			return nil, fault(102, "Invalid argument: %s may not be set", k)
		case v == nil && !c.null || v != nil && !c.fits(v):
			return nil, fault(102, "Invalid argument: %s: wrong type %T", k, v)
		}
	}
	if s, has := fields["boot_state"].(string); has && !slices.Contains(bootStates, s) {
		return nil, fault(102, "Invalid boot state %s", s)
	}
	r, bad := db.find(name, what, args[0])
	if bad != nil {
		return nil, bad
	}
	if r["peer_id"] != nil {
		return nil, fault(102, "Not a local %s", what)
	}
	if bad := who.mayWrite(r["site_id"]); bad != nil {
		return nil, bad
	}
	for k, v := range fields {
		if (who.admin() || tables[name].columns[k].note != adminSets) && !slices.Contains(db.dropped, k) {
			r[k] = v
		}
	}
	if name == "Sites" {
		r["last_updated"] = int(time.Now().Unix())
	}
	// An update moves the row to the end, as Postgres does.
	i := slices.IndexFunc(db.rows[name], func(o Row) bool { return o[tables[name].id] == r[tables[name].id] })
	db.rows[name] = append(slices.Delete(db.rows[name], i, i+1), r)
	return 1, nil
}

// tagGap is how long PLC takes between looking whether a tag is there and writing it; another call may come in between.
const tagGap = 2 * time.Millisecond

// addSliceTag looks for the same tag with the same value and then writes, without a lock between the two: sequential
// duplicates are refused, parallel ones are not, and enabled=0 stands beside enabled=1.
func (db *DB) addSliceTag(who caller, args []any) (any, *xmlrpc.Fault) {
	if len(args) < 3 || len(args) > 5 {
		return nil, fault(101, "AddSliceTag: wrong number of arguments")
	}
	value, ok := args[2].(string)
	if !ok {
		return nil, fault(102, "Invalid argument: value: expected string, got %T", args[2])
	}
	if slices.Contains(args[3:], nil) {
		return nil, fault(102, "Invalid argument: nil is no node")
	}
	s, bad := db.find("Slices", "slice", args[0])
	if bad != nil {
		return nil, bad
	}
	kind, bad := db.find("TagTypes", "tag type", args[1])
	if bad != nil {
		return nil, bad
	}
	switch {
	case s["peer_id"] != nil:
		return nil, fault(102, "Not a local slice")
	case !who.admin():
		return nil, fault(108, "Permission denied: not allowed to set the specified slice attribute")
	}
	row := Row{"slice_id": s["slice_id"], "tagname": kind["tagname"], "value": value}
	for i, what := range []string{"node_id", "nodegroup_id"} {
		if len(args) > 3+i {
			row[what] = args[3+i]
		}
	}
	for _, t := range db.rows["SliceTags"] {
		same := t["slice_id"] == row["slice_id"] && t["tagname"] == row["tagname"] && t["value"] == value
		group := row["nodegroup_id"] // a tag without one is refused beside a tag of any
		if same && t["node_id"] == row["node_id"] && (group == nil || t["nodegroup_id"] == group) {
			return nil, fault(102, "Slice attribute already exists")
		}
	}
	gap := db.gap
	db.mu.Unlock()
	if gap != nil {
		gap()
	}
	time.Sleep(tagGap)
	db.mu.Lock()
	return db.add("SliceTags", row), nil
}

func (db *DB) deleteSliceTag(who caller, args []any) (any, *xmlrpc.Fault) {
	if len(args) != 1 {
		return nil, fault(101, "DeleteSliceTag: wrong number of arguments")
	}
	t, bad := db.find("SliceTags", "slice attribute", args[0])
	if bad != nil {
		return nil, bad
	}
	if s, bad := db.find("Slices", "slice", t["slice_id"]); bad != nil {
		return nil, bad
	} else if s["peer_id"] != nil {
		return nil, fault(102, "Not a local slice")
	}
	if !who.admin() {
		return nil, fault(108, "Permission denied")
	}
	db.drop("SliceTags", func(r Row) bool { return r["slice_tag_id"] == args[0] })
	return 1, nil
}

func (db *DB) addTagType(who caller, args []any) (any, *xmlrpc.Fault) {
	if len(args) != 1 {
		return nil, fault(101, "AddTagType: wrong number of arguments")
	}
	fields, _ := args[0].(Row)
	name, ok := fields["tagname"].(string)
	switch {
	case !ok || name == "":
		return nil, fault(102, "tagname must be specified and cannot be unset")
	case !who.admin():
		return nil, fault(103, "AddTagType: not in one of the roles it needs")
	case db.hasTagType(name):
		return nil, fault(102, "Tag type name already in use")
	}
	return db.add("TagTypes", Row{"tagname": name}), nil
}

// rebootNodeWithPCU answers 0 when it went well and a string that says why when it did not.
func (db *DB) rebootNodeWithPCU(who caller, args []any) (any, *xmlrpc.Fault) {
	if len(args) < 1 || len(args) > 2 {
		return nil, fault(101, "RebootNodeWithPCU: wrong number of arguments")
	}
	n, bad := db.find("Nodes", "node", args[0])
	if bad == nil {
		bad = who.mayWrite(n["site_id"])
	}
	if bad != nil {
		return nil, bad
	}
	if pcus, _ := n["pcu_ids"].([]any); len(pcus) == 0 {
		return nil, fault(102, "No PCUs associated with Node")
	}
	n["last_pcu_reboot"] = int(time.Now().Unix())
	if db.reboot == nil {
		return 0, nil
	}
	host, reboot := n["hostname"].(string), db.reboot
	db.mu.Unlock() // it may want to read from PLC
	err := reboot(host)
	db.mu.Lock()
	if err != nil {
		return err.Error(), nil
	}
	return 0, nil
}
