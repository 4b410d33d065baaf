package issue

// Firewall is the name of this type.
const Firewall = "firewall"

// firewall is the list for a node that runs behind a firewall.
func firewall() Type {
	return Type{
		Name:   Firewall,
		Target: OfNode,
		About:  "a node runs, but a firewall keeps the world from it",
		Opens: "the node lets us in by ssh and one of 22, 80 and 806 is not open, for policy.trouble_after, 1 d " +
			"by default",
		Ends:      "a look finds the node running, all its ports open",
		NeedsDown: true,
		Call:      symptom(Firewall),
		Recovered: running,
		Ladder: Ladder{Version: 1, Rungs: []Rung{
			{Do: Email, Yield: PeopleStep},
			{Do: Email, Level: 1, Yield: PeopleStep},
			{Do: Email, Level: 2, Yield: PeopleStep},
			{Do: Email, Yield: PeopleStep},
			{Do: Flag, Yield: AdminStep},
		}},
	}
}
