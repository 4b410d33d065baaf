package activities

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/planetlab/monitor/clean"
	"github.com/planetlab/monitor/selection"
	"github.com/planetlab/monitor/store"
)

// Rules are expressions by name, as --select takes them: a node of which one holds has an issue of type nodefact. None
// asks whether something is known, since it would hold where a source is away.
type Rules struct {
	List   map[string]string
	Groups map[string]string // expressions that they may name
}

// rule is one of them, ready to be asked.
type rule struct {
	name string
	*selection.Selection[selection.Node]
}

func (r Rules) ready(now time.Time) (list []rule, err error) {
	table := selection.Nodes(nil)
	for _, name := range slices.Sorted(maps.Keys(r.List)) {
		s, err := selection.Compile(table, r.List[name], selection.Options{Now: now, Groups: r.Groups})
		if err != nil {
			return nil, err
		}
		list = append(list, rule{name, s})
	}
	return list, nil
}

// askRules asks all rules of each node, and keeps of which nodes one holds. Where that is not known, since a fact is
// missing or the node was not looked at by this sweep, nothing begins to hold and nothing ends.
func (a *Sweep) askRules(ctx context.Context, plan Plan) error {
	now := a.now()
	rules, err := a.Rules.ready(now)
	if err != nil {
		return err
	}
	if len(rules) == 0 {
		return a.Store.SaveRuled(ctx, nil)
	}
	before, err := a.Store.Ruled(ctx)
	if err != nil {
		return err
	}
	rows, unreadable, err := a.Store.NodeRows(ctx, now, selection.NodeParts{Details: true, Past: true})
	if err != nil {
		return err
	}
	a.warnUnreadable(unreadable)
	var ruled []store.Ruled
	var hold []holding
	odd := map[string]bool{}
	for i := range rows {
		h := holding{row: &rows[i], open: rows[i].Seen.Before(plan.Started)}
		if !h.open {
			a.ask(rules, &h, odd)
		}
		if was, held := before[h.row.Name]; len(h.rules) > 0 {
			hold = append(hold, h)
		} else if held && h.open {
			was.Stale = true
			ruled = append(ruled, was)
		}
	}
	reasons, err := a.reasonsOf(ctx, hold)
	if err != nil {
		return err
	}
	for i, h := range hold {
		ruled = append(ruled, store.Ruled{Node: h.row.Name, Since: now, Reason: reasons[i]})
	}
	return a.Store.SaveRuled(ctx, ruled)
}

// holding is a node, and which rules hold of it.
type holding struct {
	row   *selection.Node
	rules []rule
	open  bool // of others that is not known
}

// ask asks all rules of one node. What a rule cannot make sense of is not known; the log says so once.
func (a *Sweep) ask(rules []rule, h *holding, told map[string]bool) {
	for _, r := range rules {
		answer, err := r.Ask(h.row)
		if err != nil && !told[r.name] {
			told[r.name] = true
			a.Log.Warn("a rule cannot be asked of a node, and counts as not known", "rule", r.name, "why",
				clean.Line(err.Error()))
		}
		switch answer {
		case selection.Yes:
			h.rules = append(h.rules, r)
		case selection.Unknown:
			h.open = true
		}
	}
}

// reasonsOf says of each why: the rules, the facts that they look at, and who said each of those when.
func (a *Sweep) reasonsOf(ctx context.Context, hold []holding) ([]string, error) {
	var nodes []string
	for _, h := range hold {
		nodes = append(nodes, h.row.Name)
	}
	list, err := a.Store.SaidOf(ctx, nodes)
	if err != nil {
		return nil, err
	}
	said := map[string]store.Said{}
	for _, s := range list {
		said[s.Node+" "+s.Name] = s
	}
	var reasons []string
	for _, h := range hold {
		var why []string
		for _, r := range h.rules {
			why = append(why, r.name+": "+strings.Join(r.because(h.row, said), ", "))
		}
		reasons = append(reasons, clean.Line(strings.Join(why, "; ")))
	}
	return reasons, nil
}

// because are the facts that a rule looks at and that are known of a node, each with who said it and when. What no source
// says was seen by the last look.
func (r rule) because(row *selection.Node, said map[string]store.Said) (list []string) {
	for _, v := range r.Says(row) {
		name, _, _ := strings.Cut(strings.TrimPrefix(v, "facts."), " ")
		by, at := "our look", row.Seen
		if s, is := said[row.Name+" "+name]; is && strings.HasPrefix(v, "facts.") {
			by, at = s.Source, s.At
		}
		list = append(list, v+" (by "+by+" at "+selection.Show(at)+")")
	}
	return list
}
