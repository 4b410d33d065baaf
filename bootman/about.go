package bootman

// About says what an action does, for people.
func (a Action) About() string {
	switch a {
	case RestartBootManagerBoot:
		return "the BootManager is started to boot"
	case RestartBootManagerRins:
		return "the BootManager is started to reinstall: the disk is wiped"
	case RestartNodeBoot:
		return "the boot state is set to boot, and the node restarts"
	case RestartNodeRins:
		return "the boot state is set to reinstall, and the node restarts: the disk is wiped"
	case FsckRepair:
		return "both volumes are checked with fsck, then the BootManager is started"
	case RepairNodeKeys:
		return "the node's key is put into PLC if PLC has another, then the BootManager is started"
	case NodeConfigNotice, NodeNetworkEmail:
		return "an issue nodeconfig is opened, and people are told"
	case BadDNSNotice:
		return "an issue dnserror is opened, and people are told"
	case BadDiskNotice:
		return "an issue badhardware is opened, and people are told"
	case MinimalHardwareNotice:
		return "an issue minimalhardware is opened, and people are told"
	case NoBlockDeviceNotice:
		return "an issue noblockdevice is opened, and people are told"
	case UpdateBootCDEmail:
		return "an issue oldbootcd is opened, and people are told"
	case UnknownSequenceNotice:
		return "an issue unknownsequence is opened, and the admins are told"
	}
	return ""
}
