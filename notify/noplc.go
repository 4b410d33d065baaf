package notify

import "strings"

// ownWords are the words of a fleet without PLC in place of PlanetLab's. What its operators deny a site there is what
// their hook does, so that limits are told by their number. Longer phrases come before those that they hold.
var ownWords = strings.NewReplacer(
	" on behalf of PlanetLab operations", " on behalf of the operators",
	"PlanetLab Central does not have the following of", "The inventory of the operators does not have the following of",
	"PlanetLab Central exempts the site from limits", "The operators exempt the site from limits",
	"set it disabled at PlanetLab Central", "set it disabled",
	"They are set disabled at PlanetLab Central", "They are set disabled",
	"at PlanetLab Central", "in the inventory of the operators",
	"from PlanetLab Central", "from the operators",
	"PlanetLab Central", "the inventory of the operators",
	"in its network or at PLC", "in its network or its inventory",
	"reaches the nodes and PLC.", "reaches the nodes, and that its inventory is right.",
	"by hand, in PLC, what", "by hand what",
	"exempt it in PLC by the tag exempt_site_until", "exempt it in the inventory by exempt_until",
	"cannot run PlanetLab with the hardware they have", "cannot run with the hardware they have",
	"for them to run PlanetLab", "for them to run",
	"the hardware that PlanetLab requires of a node", "the hardware that a node needs",
	"to install PlanetLab on", "to install a system on",
	"put back what PlanetLab installs", "put back what belongs there",
	"If it is no PlanetLab node that", "If it is no node that",
	"PlanetLab node", "node",
	"Without that they neither boot nor serve their slices", "Without that they neither boot nor serve anybody",
	"so that their slices cannot work", "so that nothing on them can work",
	"TCP ports 22, 80 and 806 from everywhere, and whatever its slices use", "the TCP ports that must be open on it",

	"the site cannot create new slices any more, and its slices are suspended; nothing in them is deleted",
	"both limits that the operators have set for this come into force",
	"the site cannot create new slices any more, and its slices go on running",
	"the first limit that the operators have set for this comes into force",
	"the slices of the site are suspended; nothing in them is deleted",
	"the second limit that the operators have set for this comes into force",

	": the site can create slices again, and those of its slices that were suspended run again", "",
	": the site can create slices again", "",
	"If a slice of yours does not run again within the hour, answer this message.",
	"If something of yours does not work again within the hour, answer this message.",
	" that were suspended run again. The site cannot create new slices for the time being, because of the following:",
	": the second limit is lifted. The first one stays for the time being, because of the following:",
	"The slices of ", "Of ",

	"slices run again", "the second limit is lifted",
	"no new slices while", "limited while",
	"slices are suspended while", "limited further while",
)

// own puts a text of ours into the words of the fleet that the notice is about.
func (n Notice) own(text string) string {
	if !n.NoPLC {
		return text
	}
	return ownWords.Replace(text)
}

func (n Notice) ownPoints(list []string) []string {
	own := make([]string, len(list))
	for i, text := range list {
		own[i] = n.own(text)
	}
	return own
}
