package issue

// NodeConfig is the name of this type.
const NodeConfig = "nodeconfig"

// nodeConfig is the list for a node whose settings do not fit. bootman brings PLC's network settings and the log.
func nodeConfig() Type {
	return Type{
		Name:   NodeConfig,
		Target: OfNode,
		About:  "a node cannot boot with the network settings or the key it has, or lets Monitor not in",
		Opens: "bootman reads so in the log of the BootManager, or its ssh answers and lets Monitor not in for " +
			"policy.trouble_after, 1 d by default, " +
			"or an operator says so",
		Ends:      "a look finds the node running, all its ports open",
		Call:      symptom(NodeConfig),
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
