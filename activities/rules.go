package activities

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/planetlab/monitor/clean"
	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/policy"
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
		h := holding{row: &rows[i], unseen: rows[i].Seen.Before(plan.Started)}
		if !h.unseen {
			a.ask(rules, &h, odd)
		}
		if was, held := before[h.row.Name]; len(h.rules) > 0 {
			hold = append(hold, h)
		} else if held && (h.unseen || len(h.unknown) > 0) {
			was.Stale = true
			ruled = append(ruled, was)
		}
	}
	reasons, err := a.reasonsOf(ctx, hold)
	if err != nil {
		return err
	}
	for i, h := range hold {
		r := store.Ruled{Node: h.row.Name, Since: now, Rules: map[string]policy.Symptom{}}
		var all []string
		for n, held := range h.rules {
			r.Rules[held.name] = policy.Symptom{Since: now, Reason: reasons[i][n]}
			all = append(all, held.name+": "+reasons[i][n])
		}
		for _, name := range h.unknown { // what held of it before may still
			if was, held := before[r.Node].Rules[name]; held {
				was.Stale = true
				r.Rules[name] = was
			}
		}
		r.Reason = clean.Line(strings.Join(all, "; "))
		ruled = append(ruled, r)
	}
	return a.Store.SaveRuled(ctx, ruled)
}

// holding is a node, and which rules hold of it.
type holding struct {
	row     *selection.Node
	rules   []rule
	unknown []string // rules of which that is not known
	unseen  bool     // this sweep did not look at it: of none it is known
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
			h.unknown = append(h.unknown, r.name)
		}
	}
}

// reasonsOf says of each node why, for each of its rules: the facts that it looks at, and who said each of those when.
func (a *Sweep) reasonsOf(ctx context.Context, hold []holding) ([][]string, error) {
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
	var reasons [][]string
	for _, h := range hold {
		var why []string
		for _, r := range h.rules {
			why = append(why, clean.Line(strings.Join(r.because(h.row, said), ", ")))
		}
		reasons = append(reasons, why)
	}
	return reasons, nil
}

// ruleCall is a rule that calls for an issue of a node.
type ruleCall struct {
	name, why string
	since     time.Time
}

// ruleDoubt is the name under which a sweep doubts a rule. One bad rule does not hold back the others.
func ruleDoubt(rule string) string { return issue.NodeFact + "/" + rule }

// rulesCalling are those of the rules that hold of a node which have held for long enough, each for itself, by name.
func rulesCalling(p policy.Policy, rules map[string]policy.Symptom, now time.Time) (list []ruleCall) {
	for _, name := range slices.Sorted(maps.Keys(rules)) {
		if s := rules[name]; !s.Stale && now.Sub(s.Since) >= p.TroubleAfter {
			list = append(list, ruleCall{name, s.Reason, s.Since})
		}
	}
	return list
}

// byRules makes the call of rules for one node, or says that none of them calls.
func byRules(p policy.Policy, c call, rules []ruleCall, now time.Time) (call, bool) {
	if len(rules) == 0 {
		return c, false
	}
	c.rules, c.since = rules, rules[0].since
	var why []string
	for _, r := range rules {
		if r.since.Before(c.since) {
			c.since = r.since
		}
		why = append(why, r.name+": "+r.why)
	}
	c.why = fmt.Sprintf("for %s: %s", p.Days(now.Sub(c.since)), clean.Line(strings.Join(why, "; ")))
	return c, true
}

// doubtRules counts, for each rule, the nodes that would have an issue of it now and those that got one inside the window,
// and doubts the rules of which these are too many. It answers the calls that are left, by the rules that are not doubted.
func (a *Sweep) doubtRules(j *judgement, out []call, vouched bool, res *SweepResult) (left []call) {
	news := map[string]int{}
	for _, i := range j.open {
		if i.Type != issue.NodeFact || !i.Opened.After(j.news) {
			continue
		}
		for _, r := range rulesCalling(a.Policy, j.rules[i.Target], j.now) {
			if r.since.Before(i.Opened) && r.since.After(j.vouched) {
				news[r.name]++
			}
		}
	}
	for _, c := range out {
		for _, r := range c.rules {
			if r.since.After(j.vouched) {
				news[r.name]++
			}
		}
	}
	for rule, n := range news {
		if d := policy.BelieveMany(a.Policy, ruleDoubt(rule), n, j.counts.nodes); !d.Do && !vouched {
			res.Doubts[ruleDoubt(rule)] = d.Reason
		}
	}
	for _, c := range out {
		if c.typ.Name == issue.NodeFact {
			believed := slices.DeleteFunc(slices.Clone(c.rules), func(r ruleCall) bool { return res.Doubts[ruleDoubt(r.name)] != "" })
			var calls bool
			if c, calls = byRules(a.Policy, c, believed, j.now); !calls {
				continue
			}
		}
		left = append(left, c)
	}
	return left
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
