package access

import "slices"

// Verb is one thing that can be read or ordered.
type Verb string

// What can be read.
const (
	SeeSelf     Verb = "see.self"
	SeeStatus   Verb = "see.status"
	SeeNodes    Verb = "see.nodes"
	SeeSites    Verb = "see.sites"
	SeePCUs     Verb = "see.pcus"
	SeeIssues   Verb = "see.issues"
	SeeAgenda   Verb = "see.agenda"
	SeeReasons  Verb = "see.reasons"
	SeeLedger   Verb = "see.ledger"
	SeeEvents   Verb = "see.events"
	SeeMail     Verb = "see.mail"
	SeeLogs     Verb = "see.logs"
	SeePlans    Verb = "see.plans"
	SeePLC      Verb = "see.plc"
	SeeSecurity Verb = "see.security"
)

// What can be ordered.
const (
	IssueOpen   Verb = "issue.open"
	IssuePause  Verb = "issue.pause"
	IssueResume Verb = "issue.resume"
	IssueClose  Verb = "issue.close"
	IssueSkip   Verb = "issue.skip"
	IssueVeto   Verb = "issue.veto"
	IssueAllow  Verb = "issue.allow"
	IssuePledge Verb = "issue.pledge"

	NodeLook      Verb = "node.look"
	NodeReboot    Verb = "node.reboot"
	NodeReinstall Verb = "node.reinstall"
	NodeBootState Verb = "node.bootstate"
	NodeCancel    Verb = "node.cancel"
	NodeRepair    Verb = "node.repair"
	NodeGroup     Verb = "node.group"

	TargetSilence   Verb = "target.silence"
	TargetUnsilence Verb = "target.unsilence"
	TargetExempt    Verb = "target.exempt"

	SitePause   Verb = "site.pause"
	SiteResume  Verb = "site.resume"
	SitePenalty Verb = "site.penalty"
	SiteMode    Verb = "site.mode"

	FleetStop    Verb = "fleet.stop"
	FleetStart   Verb = "fleet.start"
	FleetMode    Verb = "fleet.mode"
	FleetSweep   Verb = "fleet.sweep"
	FleetBelieve Verb = "fleet.believe"
	FleetRollout Verb = "fleet.rollout"
	FleetRun     Verb = "fleet.run"

	PCUOperate    Verb = "pcu.operate"
	PCUForget     Verb = "pcu.forget"
	SequenceTeach Verb = "sequence.teach"
	TokenManage   Verb = "token.manage"
	TokenOwn      Verb = "token.own"
)

// Scope says where a role must hold for a verb.
type Scope string

// The scopes.
const (
	AtSite    Scope = "at its site" // the role must hold at the site of what is asked about
	Fleet     Scope = "fleet"       // the role must hold at all sites
	Everybody Scope = "everybody"   // who is signed in; it is about himself
)

// Rule is a line of the table: which roles may do a thing, and where.
type Rule struct {
	Verb  Verb
	About string
	Scope Scope
	Roles []Role
}

// Verbs is the table.
func Verbs() []Rule {
	all, acting := Roles(), []Role{Site, Operator, Admin}
	staff, admin := []Role{Operator, Admin}, []Role{Admin}
	return []Rule{
		{SeeSelf, "read who one is to Monitor, and what one may do", Everybody, all},
		{SeeStatus, "read the state of the whole fleet: controls, last sweep, counts", Fleet, []Role{Viewer, Operator, Admin}},
		{SeeNodes, "read nodes and what was seen of them", AtSite, all},
		{SeeSites, "read sites with their status and penalty", AtSite, all},
		{SeePCUs, "read PCUs and what feeds on them", AtSite, all},
		{SeeIssues, "read issues and their timelines", AtSite, all},
		{SeeAgenda, "read what comes if nothing changes", AtSite, all},
		{SeeReasons, "ask why something is, or is not, done (explain, why-not)", AtSite, all},
		{SeeLedger, "read what was done, to what, by whom and why", AtSite, acting},
		{SeeEvents, "hear at once of what is done", AtSite, acting},
		{SeeMail, "read the messages that were sent, with the names of people", AtSite, acting},
		{SeeLogs, "read boot logs", AtSite, acting},
		{SeePlans, "read plans for many targets and how far they are", Fleet, staff},
		{SeePLC, "read PLC's own records as Monitor's account sees them, without what is secret", Fleet, staff},
		{SeeSecurity, "read tokens, sign-ins and refusals", Fleet, admin},

		{IssueOpen, "open an issue by hand", AtSite, staff},
		{IssuePause, "freeze an issue", AtSite, staff},
		{IssueResume, "let a paused issue go on", AtSite, staff},
		{IssueClose, "close an issue", AtSite, staff},
		{IssueSkip, "pass over the next rung of an issue", AtSite, staff},
		{IssueVeto, "pass over a coming step of an issue", AtSite, staff},
		{IssueAllow, "take a veto back", AtSite, staff},
		{IssuePledge, "promise to see to an issue until a day, which pauses it", AtSite, acting},

		{NodeLook, "look at a node now", AtSite, acting},
		{NodeReboot, "have a node rebooted, under the gate", AtSite, acting},
		{NodeReinstall, "have a node reinstalled, under the gate", AtSite, acting},
		{NodeBootState, "set what PLC lets a node boot into", AtSite, acting},
		{NodeCancel, "cancel an order to a node before anything was done", AtSite, acting},
		{NodeRepair, "have a node repaired over ssh, under the gate", AtSite, staff},
		{NodeGroup, "put a node into a group of PLC, or take it out", AtSite, staff},

		{TargetSilence, "leave a node, a PCU or a site alone for a time", AtSite, staff},
		{TargetUnsilence, "end that", AtSite, staff},
		{TargetExempt, "exempt a node, a site, a PCU, a slice or a person from what is done to others", AtSite, staff},

		{SitePause, "hold the penalty of a site where it is", AtSite, staff},
		{SiteResume, "let the penalty of a site rise again", AtSite, staff},
		{SitePenalty, "set the penalty of a site by hand", AtSite, staff},
		{SiteMode, "narrow what Monitor may do at a site, or take that back", AtSite, staff},

		{FleetStop, "stop every act of Monitor", Fleet, staff},
		{FleetStart, "let Monitor act again", Fleet, staff},
		{FleetMode, "narrow what Monitor may do in the fleet or for a type of issue, or take that back", Fleet, admin},
		{FleetSweep, "look at the whole fleet now", Fleet, staff},
		{FleetBelieve, "take for true what the fleet guard doubts", Fleet, staff},
		{FleetRollout, "plan and run an act on many targets", Fleet, admin},
		{FleetRun, "run a command on nodes over ssh", Fleet, admin},

		{PCUOperate, "test, read or switch an outlet by its name", AtSite, staff},
		{PCUForget, "let a PCU show a new host key or certificate", AtSite, admin},
		{SequenceTeach, "say what a boot sequence means, and what is done about it", Fleet, staff},
		{TokenManage, "make and revoke tokens", Fleet, admin},
		{TokenOwn, "have a token of one's own role for a day, by signing in with `monitor login --user`", Everybody, all},
	}
}

func lookup(v Verb) (Rule, bool) {
	all := Verbs()
	i := slices.IndexFunc(all, func(r Rule) bool { return r.Verb == v })
	if i < 0 {
		return Rule{}, false
	}
	return all[i], true
}

// May are the verbs that somebody may use at a site; no site means the fleet.
func May(w Who, site string) []Verb {
	var verbs []Verb
	for _, r := range Verbs() {
		if Allowed(w, r.Verb, site) {
			verbs = append(verbs, r.Verb)
		}
	}
	return verbs
}
