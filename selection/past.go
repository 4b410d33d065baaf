package selection

import "slices"

// NodesAt is the table of nodes as they were: only what is kept of a past time is a field of it. Where a node stands in PLC
// (site, address, model) is told as it is today.
func NodesAt(issueTypes []string) *Table[Node] {
	kept := []string{
		"name", "id", "site", "ip", "model", "status", "since", "status_age", "state", "category", "why", "issues",
	}
	var columns []Column[Node]
	for _, c := range Nodes(issueTypes).Columns {
		if slices.Contains(kept, c.Name) {
			columns = append(columns, c)
		}
	}
	return NewTable("nodes", columns...)
}
