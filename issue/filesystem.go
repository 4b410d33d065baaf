package issue

import (
	"github.com/planetlab/monitor/policy"
)

// Filesystem is the name of this type.
const Filesystem = "filesystem"

// filesystem is the list for a node whose disks have become read-only.
func filesystem() Type {
	return Type{
		Name:      Filesystem,
		Target:    OfNode,
		About:     "a node runs, but cannot write its root or where slices live",
		Opens:     "/ or /vservers is seen mounted read-only for policy.trouble_after, 1 d by default",
		Ends:      "a look from inside finds neither of them read-only",
		Call:      symptom(Filesystem),
		Recovered: disksWritable,
		Ladder: Ladder{Version: 1, Rungs: []Rung{
			{Do: Email, Yield: PeopleStep},
			{Do: Email, Level: 1, Yield: PeopleStep},
			{Do: Email, Level: 2, Yield: PeopleStep},
			{Do: Email, Yield: PeopleStep},
			{Do: Flag, Yield: AdminStep},
		}},
	}
}

func disksWritable(f Facts) (bool, string) {
	n := f.Node
	if s, seen := n.Symptoms[Filesystem]; seen {
		return false, s.Reason
	}
	if n.Finding.Category == policy.CategoryError { // nothing is known of the disks of a node that does not let us in
		return false, n.Finding.Reason
	}
	return true, "no disk that it must write is read-only"
}
