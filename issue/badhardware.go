package issue

// BadHardware is the name of this type.
const BadHardware = "badhardware"

// badHardware is the list for a node whose disk or memory fails. bootman brings the lines of dmesg.
func badHardware() Type {
	return Type{
		Name:      BadHardware,
		Target:    OfNode,
		About:     "a node reports hardware that fails",
		Opens:     "bootman finds a known disk error in dmesg, or an operator or an alert says so",
		Ends:      "a look finds the node running, all its ports open",
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
