package issue

// NoBlockDevice is the name of this type.
const NoBlockDevice = "noblockdevice"

// noBlockDevice is the list for a node without a disk that its kernel knows.
func noBlockDevice() Type {
	return Type{
		Name:      NoBlockDevice,
		Target:    OfNode,
		About:     "a node finds no disk to install on",
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
