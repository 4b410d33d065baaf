package issue

// DNSError is the name of this type.
const DNSError = "dnserror"

// dnsError is the list for a node that cannot resolve names, or whose own name does not lead to it.
func dnsError() Type {
	return Type{
		Name:   DNSError,
		Target: OfNode,
		About:  "a node cannot resolve names, or its own name leads elsewhere",
		Opens: "it is seen so for policy.trouble_after, 1 d by default, or bootman finds that the node cannot " +
			"resolve its boot server",
		Ends:      "a look finds the node running, its name leading to its address and its boot server resolved",
		Call:      symptom(DNSError),
		Recovered: namesResolve,
		Ladder: Ladder{Version: 1, Rungs: []Rung{
			{Do: Email, Yield: PeopleStep},
			{Do: Email, Level: 1, Yield: PeopleStep},
			{Do: Email, Level: 2, Yield: PeopleStep},
			{Do: Email, Yield: PeopleStep},
			{Do: Flag, Yield: AdminStep},
		}},
	}
}

// namesResolve asks nothing of a node that is silent: that is another issue's story.
func namesResolve(f Facts) (bool, string) {
	n := f.Node
	if s, seen := n.Symptoms[DNSError]; seen {
		return false, s.Reason
	}
	return true, "names resolve as they should: " + n.Finding.Reason
}
