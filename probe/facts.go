package probe

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/planetlab/monitor/clean"
)

// Fact is something that an operator wants to know of every node: a name, and the command that says it there.
type Fact struct{ Name, Command string }

// What facts may be, so that the one script stays small and quick.
const (
	MostFacts       = 20
	longestFact     = 1000 // characters of an answer
	longestQuestion = 2000 // of a command
)

var factName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,31}$`)

// taken are names that a look's own facts have.
var taken = []string{"kernel", "boot_manager", "boot_cd", "boot_server", "uptime", "node_manager", "read_only", "asked",
	"dns", "installed", "writes", "own"}

// Problem says what is wrong with a fact; empty: nothing.
func (f Fact) Problem() string {
	switch {
	case !factName.MatchString(f.Name):
		return "a name has small letters, digits and underscores, at most 32, and begins with a letter"
	case slices.Contains(taken, f.Name):
		return "every look has a fact of this name already"
	case strings.TrimSpace(f.Command) == "":
		return "it has no command"
	case len(f.Command) > longestQuestion || strings.ContainsRune(f.Command, 0):
		return fmt.Sprintf("a command has at most %d characters", longestQuestion)
	}
	return ""
}

// script asks for a fact, within the limit of everything that may hang. An answer that did not come in time, or is
// empty, is no answer. What the command writes to its standard error is nobody's.
func (f Fact) script() string {
	quoted := "'" + strings.ReplaceAll(f.Command, "'", `'\''`) + "'"
	return fmt.Sprintf("said=$(t sh -c 'sh -c \"$0\" | head -c %d' %s) && [ -n \"$said\" ] && "+
		"printf 'fact=%%s %%s\\n' %s \"$(printf %%s \"$said\" | tr '\\n\\r' '  ')\" || :\n", longestFact, quoted, f.Name)
}

// own keeps what a node answered for a fact.
func (in *Inside) own(value string) {
	name, said, _ := strings.Cut(value, " ")
	said = clean.Bounded(strings.TrimSpace(said), longestFact)
	if said == "" || !factName.MatchString(name) || len(in.Own) >= MostFacts {
		return
	}
	if in.Own == nil {
		in.Own = map[string]string{}
	}
	in.Own[name] = said
}
