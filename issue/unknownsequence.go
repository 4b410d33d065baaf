package issue

// UnknownSequence is the name of this type.
const UnknownSequence = "unknownsequence"

// unknownSequence is the list for a log that bootman does not know. It goes to the admins and never to the site.
func unknownSequence() Type {
	return Type{
		Name:      UnknownSequence,
		Target:    OfNode,
		About:     "a node fails to boot in a way that bootman does not know",
		Opens:     "bootman meets a log whose sequence is not in its table",
		Ends:      "a look finds the node running, all its ports open",
		Recovered: running,
		Ladder: Ladder{Version: 1, Rungs: []Rung{
			{Do: Flag, Yield: AdminStep},
		}},
	}
}
