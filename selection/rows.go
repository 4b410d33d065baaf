package selection

import "time"

// Site is a site as a row.
type Site struct {
	LoginBase    string    `json:"site"`
	SiteID       int       `json:"id"`
	Name         string    `json:"name"`
	Status       string    `json:"status"`
	Changed      time.Time `json:"since,omitzero"`
	PenaltyLevel int       `json:"penalty"`
	LastRaise    time.Time `json:"last_raise,omitzero"`
	Enabled      bool      `json:"enabled"`
	Pending      bool      `json:"pending"`
	Blacklisted  bool      `json:"blacklisted"`
	Created      time.Time `json:"created,omitzero"`
	ExemptUntil  time.Time `json:"exempt_until,omitzero"`
	Nodes        int       `json:"nodes"`
	NodesUp      int       `json:"nodes_up"`
	PCUs         int       `json:"pcus"`
	Issues       []string  `json:"issues"`
}

// Sites is the table of sites.
func Sites(issueTypes []string) *Table[Site] {
	return NewTable(
		"sites",
		text("site", "its login_base", func(s *Site) string { return s.LoginBase }, "loginbase", "login_base"),
		number("id", "", "its number in the inventory", func(s *Site) int { return s.SiteID }, "site_id"),
		text("name", "its full name", func(s *Site) string { return s.Name }),
		oneOf(
			"status",
			"the status that Monitor judges it by",
			[]string{"online", "good", "offline", "down", "new"},
			func(s *Site) string { return s.Status },
		),
		moment("since", "since when it has that status", func(s *Site) time.Time { return s.Changed }),
		age("status_age", "for how long it has that status", func(s *Site) time.Time { return s.Changed }),
		number("penalty", "level 0 to 2", "what it is denied", func(s *Site) int { return s.PenaltyLevel }),
		age("raise_age", "how long ago that was last raised", func(s *Site) time.Time { return s.LastRaise }),
		yes("enabled", "whether it may create slices", func(s *Site) bool { return s.Enabled }),
		yes("pending", "whether its registration is not done", func(s *Site) bool { return s.Pending }),
		ahead("exempt", "whether it is exempt now, by the inventory", func(s *Site) time.Time { return s.ExemptUntil }),
		yes("blacklisted", "whether it is on Monitor's blacklist now", func(s *Site) bool { return s.Blacklisted }),
		age("age", "how old it is", func(s *Site) time.Time { return s.Created }),
		number("nodes", "nodes", "how many nodes it has", func(s *Site) int { return s.Nodes }),
		number("nodes_up", "nodes", "how many of them are online or good", func(s *Site) int { return s.NodesUp }),
		number("pcus", "PCUs", "how many PCUs it has", func(s *Site) int { return s.PCUs }),
		words(
			"issues",
			"types of the issues of the site, its nodes and its PCUs that are not closed",
			issueTypes,
			func(s *Site) []string { return s.Issues },
		),
	)
}

// PCU is a PCU as a row.
type PCU struct {
	Name     string    `json:"name"`
	Site     string    `json:"site"`
	Hostname string    `json:"hostname"`
	IP       string    `json:"ip"`
	Model    string    `json:"model"`
	PCUID    int       `json:"id"`
	Status   string    `json:"status"`
	Changed  time.Time `json:"since,omitzero"`
	OK       bool      `json:"ok"`
	Reason   string    `json:"why"`
	SeenAt   time.Time `json:"seen,omitzero"`
	BadSince time.Time `json:"bad_since,omitzero"`
	Nodes    []string  `json:"nodes"`
	Issues   []string  `json:"issues"`
}

// PCUs is the table of PCUs.
func PCUs(issueTypes []string) *Table[PCU] {
	return NewTable(
		"pcus",
		text("name", "its name", func(p *PCU) string { return p.Name }),
		number("id", "", "its number in the inventory", func(p *PCU) int { return p.PCUID }, "pcu_id", "plc_pcuid"),
		text("site", "login_base of its site", func(p *PCU) string { return p.Site }, "loginbase", "login_base"),
		text("hostname", "its host name in the inventory", func(p *PCU) string { return p.Hostname }),
		text("ip", "its address in the inventory", func(p *PCU) string { return p.IP }),
		text("model", "its model in the inventory", func(p *PCU) string { return p.Model }),
		oneOf("status", "the status that Monitor judges it by", pcuStatuses(), func(p *PCU) string { return p.Status }),
		age("status_age", "for how long it has that status", func(p *PCU) time.Time { return p.Changed }),
		yes("ok", "whether its last dry run passed", func(p *PCU) bool { return p.OK }),
		text("why", "why that dry run failed", func(p *PCU) string { return p.Reason }, "reason"),
		moment("seen", "when it was last looked at", func(p *PCU) time.Time { return p.SeenAt }),
		age("seen_age", "how old that look is", func(p *PCU) time.Time { return p.SeenAt }),
		age("bad_age", "for how long it is offline or down", func(p *PCU) time.Time { return p.BadSince }),
		words("nodes", "the nodes that it feeds first", nil, func(p *PCU) []string { return p.Nodes }),
		words(
			"issues",
			"types of its issues that are not closed",
			issueTypes,
			func(p *PCU) []string { return p.Issues },
		),
	)
}

// Issue is an episode of an issue as a row.
type Issue struct {
	ID      string    `json:"id"`
	RunID   string    `json:"run_id"`
	Type    string    `json:"type"`
	Target  string    `json:"target"`
	Node    string    `json:"node"`
	Site    string    `json:"site"`
	Status  string    `json:"status"`
	Rung    string    `json:"rung"`
	Next    string    `json:"next"`
	Outcome string    `json:"outcome"`
	Cause   string    `json:"cause"`
	Level   int       `json:"penalty"`
	Opened  time.Time `json:"opened,omitzero"`
	Closed  time.Time `json:"closed,omitzero"`
	NextAt  time.Time `json:"next_at,omitzero"`
}

// Issues is the table of issues.
func Issues(issueTypes []string) *Table[Issue] {
	return NewTable(
		"issues",
		text("id", "TYPE/TARGET", func(i *Issue) string { return i.ID }),
		oneOf("type", "its type", issueTypes, func(i *Issue) string { return i.Type }),
		text("target", "the node, PCU or site that it is about", func(i *Issue) string { return i.Target }),
		text("node", "the node that it is about", func(i *Issue) string { return i.Node }, "hostname"),
		text("site", "login_base of the site", func(i *Issue) string { return i.Site }, "loginbase", "login_base"),
		oneOf(
			"status",
			"where its life stands",
			[]string{"open", "paused", "closed"},
			func(i *Issue) string { return i.Status },
		),
		text("rung", "the rung of its ladder that comes next", func(i *Issue) string { return i.Rung }),
		number("penalty", "level 0 to 2", "the level that it asks for", func(i *Issue) int { return i.Level }),
		moment("opened", "when it was opened", func(i *Issue) time.Time { return i.Opened }),
		age("age", "how long ago that was", func(i *Issue) time.Time { return i.Opened }),
		moment("closed", "when it was closed", func(i *Issue) time.Time { return i.Closed }),
		text("next", "what comes next", func(i *Issue) string { return i.Next }),
		moment("next_at", "when that is due", func(i *Issue) time.Time { return i.NextAt }),
		text("outcome", "how it ended", func(i *Issue) string { return i.Outcome }),
		text("cause", "why it was opened", func(i *Issue) string { return i.Cause }),
		text("run_id", "the episode: an id may open more than once", func(i *Issue) string { return i.RunID }),
	)
}

// Action is a line of the ledger as a row.
type Action struct {
	Seq       int64     `json:"seq"` // grows from line to line
	Key       string    `json:"key"`
	Kind      string    `json:"kind"`
	Issue     string    `json:"issue"`
	Node      string    `json:"node"`
	Site      string    `json:"site"`
	Reason    string    `json:"reason"`
	Outcome   string    `json:"outcome"`
	Detail    string    `json:"detail"`
	PCU       int       `json:"pcu"`
	Times     int       `json:"times"`
	At        time.Time `json:"at,omitzero"`
	Committed time.Time `json:"committed,omitzero"`
	Finished  time.Time `json:"finished,omitzero"`
}

// Ledger is the table of the ledger.
func Ledger() *Table[Action] {
	return NewTable(
		"ledger",
		text("key", "names the act: workflow, run and rung", func(a *Action) string { return a.Key }),
		text("kind", "what was done: reboot, notice, penalty and others", func(a *Action) string { return a.Kind }),
		text("issue", "for which issue", func(a *Action) string { return a.Issue }),
		text("node", "to which node", func(a *Action) string { return a.Node }, "hostname"),
		text("site", "to which site", func(a *Action) string { return a.Site }, "loginbase", "login_base"),
		number("pcu", "", "number of the PCU", func(a *Action) int { return a.PCU }),
		text("reason", "why", func(a *Action) string { return a.Reason }),
		moment("at", "when it was intended", func(a *Action) time.Time { return a.At }),
		age("age", "how long ago that is", func(a *Action) time.Time { return a.At }),
		moment("committed", "from when on it may have happened", func(a *Action) time.Time { return a.Committed }),
		oneOf(
			"outcome",
			"how it ended; not known of one that is under way",
			[]string{"done", "sent", "asked", "refused", "failed", "ambiguous", "skipped"},
			func(a *Action) string { return a.Outcome },
		),
		text("detail", "what came of it", func(a *Action) string { return a.Detail }),
		moment("finished", "when it ended", func(a *Action) time.Time { return a.Finished }),
		number(
			"times",
			"times",
			"how often it was skipped for the same reason",
			func(a *Action) int { return a.Times },
		),
	)
}
