package notify

import (
	"slices"
	"strings"
)

// state is the word for what is wrong with a target of an issue type.
func state(kind string) string {
	switch kind {
	case "site":
		return "short of working nodes"
	case "fleet":
		return "not what it was a sweep ago"
	case "pcudown":
		return "out of order"
	case "failboot":
		return "stuck in debug mode"
	case "firewall":
		return "behind a firewall"
	case "filesystem":
		return "unable to write its disk"
	case "badhardware":
		return "failing at its disk or memory"
	case "minimalhardware":
		return "short of the hardware that a node needs"
	case "noblockdevice":
		return "without a disk that it can use"
	case "dnserror":
		return "unable to resolve names, or not found by its own"
	case "nodeconfig":
		return "wrongly configured"
	case "oldbootcd":
		return "running an old boot CD"
	case "unknownsequence":
		return "failing to boot in a way nobody has described"
	case "pcumissing":
		return "down, and without a power control unit"
	}
	return "down"
}

// The advices that fit better than the text of a type.
const (
	AdviceLocked = "locked" // the node runs, and lets nobody in
	AdviceHangs  = "hangs"  // it takes the login, and then hangs
)

// fixes are what people can do about all that is wrong with a target.
func fixes(item Item) []string {
	list := []string{fix(item)}
	for _, typ := range item.Also {
		if f := fix(Item{Type: typ}); !slices.Contains(list, f) {
			list = append(list, f)
		}
	}
	return list
}

// also names what else is wrong with a target.
func also(item Item) string {
	var list []string
	for _, typ := range item.Also {
		if s := state(typ); s != state(item.Type) && !slices.Contains(list, s) {
			list = append(list, s)
		}
	}
	return strings.Join(list, ", and ")
}

// fix is what people can do about an issue, unless the issue brings its own advice.
func fix(item Item) string {
	switch {
	case item.Fix != "":
		return item.Fix
	case item.Advice == AdviceLocked:
		return "The node runs, but we cannot log in to it. Please restart it from its boot medium, which brings its keys up to date. " +
			"If its system was changed or put on another machine, or if something else answers at its address, please say so."
	case item.Advice == AdviceHangs:
		return "The node answers, takes our login, and then does nothing. Please look at its screen for errors of its disk or memory, " +
			"and restart it."
	}
	switch item.Type {
	case "pcudown":
		return "Please check that the power control unit has power and network, and that a browser or a telnet client " +
			"reaches it with the user name and password that are registered at PlanetLab Central. Correct them there if they " +
			"have changed, along with the model and the outlet of each node."
	case "site":
		return "Please bring the machines that are named above back to work."
	case "sitedown":
		return "Please check the power of the machine room, and the switch and the uplink that the nodes share. Once they " +
			"have power and network, nodes start by themselves; whatever does not, we write about on its own."
	case "nodedown":
		return "Please look at the machine itself. If it is off, switch it on. If it hangs, reset it. If it does not start, " +
			"note what its screen says, check its network cable, and start it from its boot medium."
	case "badhardware":
		return "Please replace the part that the lines above speak of, most often a disk, or its cable. Then start the node " +
			"from its boot medium; it installs itself anew."
	case "dnserror":
		return "Please let the name of the node resolve to the address that PlanetLab Central has for it, or correct the " +
			"address there. If the node cannot resolve names itself, correct the name servers in its network settings at " +
			"PlanetLab Central, make sure that it may reach them, and start it again."
	case "nodeconfig":
		return "Please compare the network settings of the node at PlanetLab Central with those on its boot medium: address, " +
			"netmask, gateway, name servers, and the address of its network card. Correct what differs, write a new boot " +
			"medium with its configuration file, and start the node from it."
	case "oldbootcd":
		return "Please download the current boot image of this node from PlanetLab Central, write it to a CD or a USB stick, " +
			"and start the node from it. As soon as it runs from the new one, its state at PlanetLab Central goes back to " +
			"what it was."
	case "failboot":
		return "Please look at the screen of the machine, start it once more from its boot medium, and tell us what it says when " +
			"it stops. A new boot medium with its configuration file, from PlanetLab Central, helps where the old one is worn " +
			"or of another time."
	case "firewall":
		return "Please open the way to this node: TCP ports 22, 80 and 806 from everywhere, and whatever its slices use. " +
			"PlanetLab nodes must not stand behind a firewall that filters what reaches them."
	case "minimalhardware":
		return "Please compare the machine with the hardware that PlanetLab requires of a node, in its processor, memory and " +
			"disk, and put in what it lacks, or replace it."
	case "noblockdevice":
		return "Please check that the machine has a disk, that the disk is connected and switched on in the BIOS, and that its " +
			"controller is one that Linux knows. Then start the node from its boot medium."
	case "unknownsequence":
		return "Please read the log above, and say what to do about its sequence of steps: Monitor then knows what to do with " +
			"the next node that stops there."
	case "pcumissing":
		return "Please connect the node to a power control unit and register that at PlanetLab Central, with the outlet that " +
			"feeds the node, so that Monitor can restart it without troubling you. Until then, please restart it by hand."
	case "filesystem":
		return "The kernel stops writing to a disk that fails. Please look for disk errors in its log, replace the disk if " +
			"there are any, and start the node again; a check of its file systems runs as it boots."
	}
	return "Please look at the machine itself, and tell us what you find by answering this message."
}
