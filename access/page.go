package access

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"
)

//go:embed page.md
var pageText string

// Page is docs/access.md: the roles, and the table of verbs.
func Page() string {
	var b strings.Builder
	b.WriteString("<!-- Written by `make docs` from access/page.md and the table of verbs. -->\n\n")
	b.WriteString(strings.TrimSpace(pageText) + "\n\n| verb | what | where |")
	for _, r := range Roles() {
		fmt.Fprintf(&b, " %s |", r)
	}
	b.WriteString("\n|---|---|---|" + strings.Repeat(":-:|", len(Roles())) + "\n")
	for _, rule := range Verbs() {
		fmt.Fprintf(&b, "| `%s` | %s | %s |", rule.Verb, rule.About, rule.Scope)
		for _, r := range Roles() {
			mark := " "
			if slices.Contains(rule.Roles, r) {
				mark = " ✓ "
			}
			fmt.Fprintf(&b, "%s|", mark)
		}
		b.WriteString("\n")
	}
	return b.String()
}
