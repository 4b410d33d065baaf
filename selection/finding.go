package selection

// Finding is something wrong with what the inventory says of a node, a site or a PCU, as a row. A thing with which nothing
// is wrong has one, too, without a rule, so that it can be selected.
type Finding struct {
	Name string `json:"name"`
	Kind string `json:"kind"`
	Site string `json:"site"`
	Rule string `json:"rule,omitempty"`
	What string `json:"what,omitempty"`
	Do   string `json:"do,omitempty"`
}

// Findings is the table of what is wrong with the inventory, by these rules.
func Findings(rules []string) *Table[Finding] {
	return NewTable(
		"nodes, sites and PCUs",
		text("name", "the node, the site or the PCU", func(f *Finding) string { return f.Name }),
		oneOf("kind", "what it is", []string{"node", "site", "pcu"}, func(f *Finding) string { return f.Kind }),
		text("site", "login_base of its site", func(f *Finding) string { return f.Site }, "loginbase", "login_base"),
		oneOf("rule", "the rule that it breaks; not known of what breaks none", rules, func(f *Finding) string { return f.Rule }),
		text("what", "what is wrong", func(f *Finding) string { return f.What }),
		text("do", "what to do about it", func(f *Finding) string { return f.Do }),
	)
}
