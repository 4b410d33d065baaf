package selection

import (
	"slices"
	"time"
)

// Node is a node with its site, its PCU, what the last look saw, its open issues and its history. Times that are zero
// are not known.
type Node struct {
	Name      string `json:"name"`
	NodeID    int    `json:"id"`
	IP        string `json:"ip"`
	Model     string `json:"model"`
	BootState string `json:"boot_state"`
	RunLevel  string `json:"run_level"`

	Groups []string `json:"groups"` // of the inventory

	Site            string    `json:"site"`
	SiteName        string    `json:"site_name"`
	SiteStatus      string    `json:"site_status"`
	SiteSince       time.Time `json:"site_since,omitzero"`
	SitePenalty     int       `json:"site_penalty"`
	SiteEnabled     bool      `json:"site_enabled"`
	SitePending     bool      `json:"site_pending"`
	SiteExemptUntil time.Time `json:"site_exempt_until,omitzero"`

	PCU       string    `json:"pcu"`
	PCUModel  string    `json:"pcu_model"`
	PCUIP     string    `json:"pcu_ip"`
	PCUStatus string    `json:"pcu_status"`
	PCUWhy    string    `json:"pcu_why"`
	PCUOK     bool      `json:"pcu_ok"`
	PCUSeen   time.Time `json:"pcu_seen,omitzero"`
	Outlet    int       `json:"outlet"`
	Feeds     int       `json:"feeds"`

	Status      string    `json:"status"`
	Since       time.Time `json:"since,omitzero"`
	State       string    `json:"state"`
	Category    string    `json:"category"`
	Why         string    `json:"why"`
	Firewall    bool      `json:"firewall"`
	Booted      time.Time `json:"booted,omitzero"`
	Seen        time.Time `json:"seen,omitzero"`
	Silent      time.Time `json:"silent,omitzero"` // since when nothing answers
	BadSince    time.Time `json:"bad_since,omitzero"`
	LastContact time.Time `json:"last_contact,omitzero"`
	LastBoot    time.Time `json:"last_boot,omitzero"`
	ExemptUntil time.Time `json:"exempt_until,omitzero"`
	Blacklisted bool      `json:"blacklisted"`
	Symptoms    []string  `json:"symptoms"`

	// Details of the last look: filled when somebody asks for them.
	Facts   map[string]any `json:"facts,omitempty"`
	SSH     string         `json:"ssh"`
	DNS     string         `json:"dns"`
	Port22  string         `json:"port22"`
	Port80  string         `json:"port80"`
	Port806 string         `json:"port806"`

	Issues      []string  `json:"issues"` // types of the open ones
	Paused      []string  `json:"paused"`
	IssueSince  time.Time `json:"issue_since,omitzero"` // the oldest open one
	NextStep    time.Time `json:"next_step,omitzero"`
	Changes30d  int       `json:"changes30d"`
	Issues30d   int       `json:"issues30d"`
	PowerCycles int       `json:"power_cycles"` // within 7 days
	LastCycle   time.Time `json:"last_cycle,omitzero"`
}

// NodeParts are what of nodes costs much to read: a reader leaves out what nobody asks for.
type NodeParts struct {
	Details bool // of the last look, which are many bytes
	Past    bool // counted over the ledger, the history and all issues, which grow
}

// NodePartsOf are the parts that those fields need which somebody uses.
func NodePartsOf(uses func(field string) bool) NodeParts {
	return NodeParts{
		Details: slices.ContainsFunc([]string{"facts", "kernel", "bootcd", "ssh", "dns", "port22", "port80", "port806"}, uses),
		Past:    slices.ContainsFunc([]string{"changes_30d", "issues_30d", "power_cycles_7d", "power_cycle_age"}, uses),
	}
}

func nodeStatuses() []string {
	return []string{"online", "good", "offline", "down", "failboot", "safeboot", "disabled"}
}

// Nodes is the table of nodes. issueTypes are all types of issues that there are.
func Nodes(issueTypes []string) *Table[Node] {
	return NewTable("nodes", slices.Concat(
		recordFields(), statusFields(), lookFields(issueTypes), powerFields(), historyFields(issueTypes),
	)...)
}

// recordFields are what PLC has of a node, and of its site.
func recordFields() []Column[Node] {
	return []Column[Node]{
		text("name", "its host name", func(n *Node) string { return n.Name }, "hostname", "host"),
		number("id", "", "its number in the inventory", func(n *Node) int { return n.NodeID }, "node_id"),
		text("site", "login_base of its site", func(n *Node) string { return n.Site }, "loginbase", "login_base"),
		text("site.name", "full name of its site", func(n *Node) string { return n.SiteName }),
		oneOf(
			"site.status",
			"status of its site",
			[]string{"online", "good", "offline", "down", "new"},
			func(n *Node) string { return n.SiteStatus },
		),
		age("site.status_age", "since when its site has that status", func(n *Node) time.Time { return n.SiteSince }),
		number("site.penalty", "level 0 to 2", "what its site is denied", func(n *Node) int { return n.SitePenalty }),
		yes("site.enabled", "whether its site may create slices", func(n *Node) bool { return n.SiteEnabled }),
		yes(
			"site.pending",
			"whether the registration of its site is not done",
			func(n *Node) bool { return n.SitePending },
		),
		ahead("site.exempt", "whether its site is exempt now", func(n *Node) time.Time { return n.SiteExemptUntil }),
		text("ip", "its address in the inventory", func(n *Node) string { return n.IP }),
		text("model", "its model in the inventory", func(n *Node) string { return n.Model }),
		oneOf(
			"boot_state",
			"what PLC, or Monitor without one, lets it boot into",
			[]string{"boot", "safeboot", "failboot", "install", "reinstall", "upgrade", "disabled"},
			func(n *Node) string { return n.BootState },
			"plcnode.status",
		),
		words("group", "the groups of nodes that PLC has it in", nil, func(n *Node) []string { return n.Groups }),
		text("run_level", "what PLC last saw it in; unknown without PLC", func(n *Node) string { return n.RunLevel }),
	}
}

// statusFields are how Monitor judges a node, and what the last look found.
func statusFields() []Column[Node] {
	return []Column[Node]{
		oneOf(
			"status",
			"the status that Monitor judges it by",
			nodeStatuses(),
			func(n *Node) string { return n.Status },
		),
		moment("since", "since when it has that status", func(n *Node) time.Time { return n.Since }),
		age("status_age", "for how long it has that status", func(n *Node) time.Time { return n.Since }),
		age("bad_age", "for how long it is offline, down or failboot", func(n *Node) time.Time { return n.BadSince }),
		oneOf(
			"state",
			"what the last look found",
			[]string{"boot", "debug", "down"},
			func(n *Node) string { return n.State },
			"observed_status",
		),
		oneOf(
			"category",
			"what kind of system the last look found",
			[]string{"error", "oldbootcd", "oldprod", "prod", "unknown"},
			func(n *Node) string { return n.Category },
			"observed_category",
		),
		text("why", "why the last look says so", func(n *Node) string { return n.Why }),
		yes("firewall", "whether it runs, with ports filtered", func(n *Node) bool { return n.Firewall }),
		age("uptime", "for how long it has been up", func(n *Node) time.Time { return n.Booted }),
		moment("seen", "when it was last looked at", func(n *Node) time.Time { return n.Seen }, "date_checked"),
		age("seen_age", "how old that look is", func(n *Node) time.Time { return n.Seen }),
		age("silent_age", "for how long nothing of it has answered", func(n *Node) time.Time { return n.Silent }),
		moment("last_contact", "when it last spoke to PLC; unknown without PLC", func(n *Node) time.Time { return n.LastContact }),
		age("last_contact_age", "how long ago that is", func(n *Node) time.Time { return n.LastContact }),
		age("last_boot_age", "how long ago PLC saw it boot; unknown without PLC", func(n *Node) time.Time { return n.LastBoot }),
	}
}

// lookFields are the details of that look, and what speaks against an act.
func lookFields(issueTypes []string) []Column[Node] {
	return []Column[Node]{
		ahead("exempt", "whether it is exempt now, by the inventory", func(n *Node) time.Time { return n.ExemptUntil }),
		yes(
			"blacklisted",
			"whether it or its site is on Monitor's blacklist now",
			func(n *Node) bool { return n.Blacklisted },
		),
		words("symptoms", "what ails it, by types of issues", issueTypes, func(n *Node) []string { return n.Symptoms }),
		text("ssh", "ok, or why ssh failed at the last look", func(n *Node) string { return n.SSH }),
		text("dns", "ok, or what is wrong with its name", func(n *Node) string { return n.DNS }, "dns_status"),
		text("port22", "what answered at port 22", func(n *Node) string { return n.Port22 }),
		text("port80", "what answered at port 80", func(n *Node) string { return n.Port80 }),
		text("port806", "what answered at port 806", func(n *Node) string { return n.Port806 }),
		text(
			"kernel",
			"its kernel, as uname -a says",
			func(n *Node) string { return fact(n, "kernel") },
			"kernel_version",
		),
		text(
			"bootcd",
			"id of the CD that it booted from",
			func(n *Node) string { return fact(n, "boot_cd") },
			"bootcd_version",
		),
		facts(
			"facts",
			"what else the last look found inside, by name: facts.boot_server, and those of probe.facts and of sources",
			func(n *Node) map[string]any { return n.Facts },
		),
	}
}

// powerFields are what gives a node power.
func powerFields() []Column[Node] {
	return []Column[Node]{
		text("pcu", "name of the PCU that feeds it", func(n *Node) string { return n.PCU }, "plc_pcuid"),
		text("pcu.model", "model of that PCU", func(n *Node) string { return n.PCUModel }),
		text("pcu.ip", "address of that PCU", func(n *Node) string { return n.PCUIP }),
		oneOf("pcu.status", "status of that PCU", pcuStatuses(), func(n *Node) string { return n.PCUStatus }),
		yes("pcu.ok", "whether the last dry run of that PCU passed", func(n *Node) bool { return n.PCUOK }, "pcuok"),
		text("pcu.why", "why that dry run failed", func(n *Node) string { return n.PCUWhy }),
		age("pcu.seen_age", "how old that dry run is", func(n *Node) time.Time { return n.PCUSeen }),
		number("outlet", "", "the first outlet that feeds it", func(n *Node) int { return n.Outlet }, "port"),
		number("feeds", "outlets", "how many outlets feed it", func(n *Node) int { return n.Feeds }),
	}
}

// historyFields are the issues of a node, and what became of it lately.
func historyFields(issueTypes []string) []Column[Node] {
	return []Column[Node]{
		words(
			"issues",
			"types of its issues that are not closed",
			issueTypes,
			func(n *Node) []string { return n.Issues },
		),
		words("paused", "types of its issues that are paused", issueTypes, func(n *Node) []string { return n.Paused }),
		age("issue_age", "how old its oldest open issue is", func(n *Node) time.Time { return n.IssueSince }),
		moment(
			"next_step",
			"when the next step of an issue of it is due",
			func(n *Node) time.Time { return n.NextStep },
		),
		number(
			"changes_30d",
			"changes",
			"how often its status changed within 30 days",
			func(n *Node) int { return n.Changes30d },
		),
		number(
			"issues_30d",
			"issues",
			"how many issues of it were opened within 30 days",
			func(n *Node) int { return n.Issues30d },
		),
		number(
			"power_cycles_7d",
			"cycles",
			"how often its power was, or may have been, cycled within 7 days",
			func(n *Node) int { return n.PowerCycles },
		),
		age("power_cycle_age", "how long ago that was last", func(n *Node) time.Time { return n.LastCycle }),
	}
}

func fact(n *Node, key string) string {
	s, _ := n.Facts[key].(string)
	return s
}

func pcuStatuses() []string { return []string{"online", "good", "offline", "down"} }
