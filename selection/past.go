package selection

import (
	"slices"
	"time"
)

// NodesAt is the table of nodes as they were: only what is kept of a past time is a field of it. Where a node stands in the
// inventory (site, address, model) is told as it is today; of facts, those of probe.facts and of sources are kept.
func NodesAt(issueTypes []string) *Table[Node] {
	return part(Nodes(issueTypes), "name", "id", "site", "ip", "model", "status", "since", "status_age", "state", "category", "why",
		"facts", "issues")
}

// IssuesAt is the table of the issues that were open at a time: where their lives then stood is not kept.
func IssuesAt(issueTypes []string) *Table[Issue] {
	return part(Issues(issueTypes), "id", "type", "target", "node", "site", "opened", "age", "closed", "outcome", "cause", "run_id")
}

// part is a table with some of its columns.
func part[T any](of *Table[T], kept ...string) *Table[T] {
	var columns []Column[T]
	for _, c := range of.Columns {
		if slices.Contains(kept, c.Name) {
			columns = append(columns, c)
		}
	}
	return NewTable(of.Kind, columns...)
}

// Passage is something that became other than it was, as a row.
type Passage struct {
	Seq    int64     `json:"seq"` // grows from line to line
	At     time.Time `json:"at,omitzero"`
	Kind   string    `json:"kind"`
	Target string    `json:"target"`
	Site   string    `json:"site"`
	Was    string    `json:"was"`
	Became string    `json:"became"`
	Reason string    `json:"reason"`
}

// History is the table of what became other than it was.
func History() *Table[Passage] {
	return NewTable(
		"history",
		text("target", "the node, the site or the PCU", func(p *Passage) string { return p.Target }, "hostname", "node"),
		moment("at", "when it was seen", func(p *Passage) time.Time { return p.At }),
		age("age", "how long ago that is", func(p *Passage) time.Time { return p.At }),
		text(
			"kind",
			"what changed: node, pcu or site for a status, look, fact, and plc for the inventory",
			func(p *Passage) string { return p.Kind },
		),
		text("site", "login_base of its site today", func(p *Passage) string { return p.Site }, "loginbase", "login_base"),
		text("was", "what it was; not known of what is new", func(p *Passage) string { return p.Was }),
		text("became", "what it became; not known of what is gone", func(p *Passage) string { return p.Became }),
		text("reason", "why; of a fact, its name", func(p *Passage) string { return p.Reason }),
	)
}
