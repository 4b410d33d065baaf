package issue

import "github.com/planetlab/monitor/policy"

// NodeFact is the name of this type.
const NodeFact = policy.SymptomNodeFact

// nodeFact is the list for a node of which something is known that a rule of the operators takes for trouble. It goes to
// the admins and never to the site: nobody is denied anything for a number that somebody else has measured.
func nodeFact() Type {
	return Type{
		Name:      NodeFact,
		Target:    OfNode,
		About:     "something is known of a node that a rule of the configuration takes for trouble",
		Opens:     "an expression of the section rules has held for policy.trouble_after, 1 d by default",
		Ends:      "no rule holds any more; while a fact that one needs is not known, it stays open",
		Call:      symptom(NodeFact),
		Recovered: noRuleHolds,
		Ladder: Ladder{Version: 1, Rungs: []Rung{
			{Do: Flag, Yield: AdminStep},
		}},
	}
}

func noRuleHolds(f Facts) (bool, string) {
	if s, seen := f.Node.Symptoms[NodeFact]; seen {
		return false, s.Reason
	}
	return true, "no rule holds of what is known of it"
}
