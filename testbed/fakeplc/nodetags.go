package fakeplc

import (
	"maps"
	"slices"

	"github.com/planetlab/monitor/plc/xmlrpc"
)

// tagged is a group of nodes with those that are in it: the ones that have its tag with its value. A group without a tag
// has the nodes that it was made with.
func (db *DB) tagged(group Row) Row {
	tag, ok := group["tagname"].(string)
	if !ok || tag == "" {
		return group
	}
	ids := []any{}
	for _, t := range db.rows["NodeTags"] {
		if t["tagname"] == tag && t["value"] == group["value"] {
			ids = append(ids, t["node_id"])
		}
	}
	group = maps.Clone(group)
	group["node_ids"] = ids
	return group
}

// changeNodeTag adds, changes or deletes a tag of a node. As PLC it asks whether the node and the type of the tag are there
// before it asks who calls, refuses a second tag of one type, and does not mind whose node it is.
func (db *DB) changeNodeTag(who caller, method string, args []any) (any, *xmlrpc.Fault) {
	takes := map[string]int{"AddNodeTag": 3, "UpdateNodeTag": 2, "DeleteNodeTag": 1}
	if len(args) != takes[method] {
		return nil, fault(101, "%s: wrong number of arguments", method)
	}
	if method != "DeleteNodeTag" {
		if _, ok := args[len(args)-1].(string); !ok {
			return nil, fault(102, "Invalid argument: value: expected string, got %T", args[len(args)-1])
		}
	}
	if method == "AddNodeTag" {
		return db.addNodeTag(who, args)
	}
	if _, ok := args[0].(int); !ok {
		return nil, fault(102, "Invalid argument: node_tag_id: expected int, got %T", args[0])
	}
	i := slices.IndexFunc(db.rows["NodeTags"], func(r Row) bool { return r["node_tag_id"] == args[0] })
	if i < 0 {
		return nil, fault(102, "No such node tag %v", args[0])
	}
	if !who.admin() {
		return nil, fault(108, "Permission denied: %s, forbidden tag", method)
	}
	if method == "DeleteNodeTag" {
		db.drop("NodeTags", func(r Row) bool { return r["node_tag_id"] == args[0] })
	} else if !slices.Contains(db.dropped, "value") {
		db.rows["NodeTags"][i]["value"] = args[1]
	}
	return 1, nil
}

func (db *DB) addNodeTag(who caller, args []any) (any, *xmlrpc.Fault) {
	node, bad := db.find("Nodes", "node", args[0])
	if bad != nil {
		return nil, bad
	}
	kind, bad := db.find("TagTypes", "node tag type", args[1])
	if bad != nil {
		return nil, bad
	}
	for _, t := range db.rows["NodeTags"] {
		if t["node_id"] == node["node_id"] && t["tagname"] == kind["tagname"] {
			return nil, fault(102, "Node %d already has tag %d", node["node_id"], kind["tag_type_id"])
		}
	}
	if !who.admin() {
		return nil, fault(108, "Permission denied: AddNodeTag, forbidden tag %s", kind["tagname"])
	}
	return db.add("NodeTags", Row{"node_id": node["node_id"], "tagname": kind["tagname"], "value": args[2]}), nil
}
