package issue

// Credit is what a target that is good again owes that to, as far as Monitor knows: what was done about it last.
type Credit string

// The credits.
const (
	CreditReboot    Credit = "reboot"
	CreditReinstall Credit = "reinstall"
	CreditBootman   Credit = "boot repair"
	CreditPeople    Credit = "people" // somebody was written to, or was asked to switch the power
	CreditItself    Credit = "itself" // nothing had been done
)

// Credits are all of them.
func Credits() []Credit {
	return []Credit{CreditReboot, CreditReinstall, CreditBootman, CreditPeople, CreditItself}
}

// Credit is whose the recovery of the target is, should it be good now.
func (s State) Credit() Credit {
	if s.Credited == "" {
		return CreditItself
	}
	return s.Credited
}

// credit takes that a rung acted. One that mends nothing, as to disable a node, changes nothing.
func (s *State) credit(do Action, power Power) {
	switch {
	case !s.RecoveredAt.IsZero(): // too late
	case power == Asked, do == Email, do == Flag:
		s.Credited = CreditPeople
	case do == Reboot:
		s.Credited = CreditReboot
	case do == Reinstall:
		s.Credited = CreditReinstall
	case do == Bootman:
		s.Credited = CreditBootman
	}
}
