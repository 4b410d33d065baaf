package selection

import (
	_ "embed"
	"fmt"
	"strings"
)

//go:embed page.md
var pageText string

// Page is docs/select.md: what the language is, and each field of each table.
func Page(issueTypes []string) string {
	var b strings.Builder
	b.WriteString("<!-- Written by `make docs` from selection/page.md and the fields. -->\n\n")
	b.WriteString(strings.TrimSpace(pageText))
	b.WriteString(
		"\n\n## Functions\n\nBeside [those of CEL](https://github.com/google/cel-spec/blob/master/doc/langdef.md#list-of-standard-definitions):\n\n| | |\n|---|---|\n",
	)
	for _, f := range Functions() {
		fmt.Fprintf(&b, "| `%s` | %s |\n", f[0], f[1])
	}
	for _, t := range []struct {
		title  string
		fields []Field
	}{
		{"Fields of nodes", Nodes(issueTypes).Fields()}, {"Fields of sites", Sites(issueTypes).Fields()}, {"Fields of PCUs", PCUs(issueTypes).Fields()},
		{"Fields of issues", Issues(issueTypes).Fields()}, {"Fields of the ledger", Ledger().Fields()},
		{"Fields of the history", History().Fields()}, {"Fields of what `monitor lint` finds", Findings(nil).Fields()},
	} {
		fmt.Fprintf(&b, "\n## %s\n\n| field | type | what it is |\n|---|---|---|\n", t.title)
		for _, f := range t.fields {
			fmt.Fprintf(
				&b,
				"| `%s` | %s | %s |\n",
				f.Name,
				strings.TrimSpace(string(f.Type)+" "+f.Unit),
				f.sentence(issueTypes),
			)
		}
	}
	return b.String()
}

func (f Field) sentence(issueTypes []string) string {
	s := f.About
	switch {
	case len(f.Values) > 0 && len(f.Values) == len(issueTypes):
		s += ": see [the types](ladders.md)"
	case len(f.Values) > 0:
		s += ": `" + strings.Join(f.Values, "`, `") + "`"
	}
	if len(f.Old) > 0 {
		s += "; also `" + strings.Join(f.Old, "`, `") + "`"
	}
	return s
}
