package issue

// MinimalHardware is the name of this type.
const MinimalHardware = "minimalhardware"

// minimalHardware is the list for a node that is too small to install.
func minimalHardware() Type {
	return Type{
		Name:      MinimalHardware,
		Target:    OfNode,
		About:     "a node lacks hardware that PlanetLab requires",
		Opens:     "bootman reads so in the log of the BootManager, or an operator says so",
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
