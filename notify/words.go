package notify

import (
	"cmp"
	"slices"
	"strings"

	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/site"
)

// The advices: what was found of a node, where its type does not say it. Each has its words in the template that is
// named like it.
const (
	// of one that is alive and lets nobody in
	AdviceLocked  = "locked"  // it refuses our key
	AdviceHangs   = "hangs"   // it takes the login, and then hangs
	AdviceStrange = "strange" // it takes the login, and then something else than a shell answers
	AdviceHostKey = "hostkey" // its host key is another one than before

	// of one whose boot fails for its medium, or for what PLC answers it
	AdviceNoConfig = "noconfig" // its boot medium has no configuration file that can be read
	AdviceNotKnown = "notknown" // PLC says that it has no such node
	AdviceNodeKey  = "nodekey"  // PLC refuses its key
	AdvicePLCFails = "plcfails" // PLC answers with an error of its own
)

// Advices are all of them.
func Advices() []string {
	return []string{AdviceLocked, AdviceHangs, AdviceStrange, AdviceHostKey,
		AdviceNoConfig, AdviceNotKnown, AdviceNodeKey, AdvicePLCFails}
}

// advised are the types of issues whose words an advice may stand in for.
var advised = []string{issue.NodeConfig, issue.Failboot}

// wordsFor is the kind whose template has the words for an item: what was found of it, where that says more than its
// type does.
func wordsFor(item Item) Kind {
	if slices.Contains(advised, item.Type) && slices.Contains(Advices(), item.Advice) {
		return Kind(item.Advice)
	}
	if t, known := issue.Lookup(item.Type); known {
		return Kind(t.NoticeKind())
	}
	return ""
}

// ofKind reads what the template of a kind says under a name; nothing: the kind has no such words.
func ofKind(name string, kind Kind) string {
	if kind == "" {
		return ""
	}
	words, err := wordsOf(kind, Notice{})
	if err != nil || words.Lookup(name) == nil {
		return ""
	}
	var text strings.Builder
	if err := words.ExecuteTemplate(&text, name, nil); err != nil {
		return ""
	}
	return text.String()
}

// state is the word for what is wrong with an item.
func state(item Item) string {
	switch item.Type {
	case "site":
		if item.Ordered != "" {
			return "limited by the operators' decision"
		}
		return "short of working nodes"
	case "fleet":
		return "not what it was a sweep ago"
	}
	return cmp.Or(ofKind("state", wordsFor(item)), "down")
}

func stateOf(typ string) string { return state(Item{Type: typ}) }

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
		if s := stateOf(typ); s != state(item) && !slices.Contains(list, s) {
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
	case item.Type == issue.Firewall && len(item.From) > 0:
		return ofKind("fix", wordsFor(item)) + " Monitor looks at it from " + strings.Join(item.From, " and ") + "."
	case item.Ordered != "":
		return "Please answer this message. The operators read it, and decide."
	case item.Type == "site":
		return "Please bring these machines back to work."
	}
	return cmp.Or(
		ofKind("fix", wordsFor(item)),
		"Please look at the machine itself, and tell us what you find by answering this message.",
	)
}

// adminFix is what an admin can do about what Monitor has come to the end with; empty: what was seen says it.
func adminFix(item Item) string {
	switch {
	case item.Fix != "":
		return item.Fix
	case item.Type == "site":
		return ""
	case item.Type == issue.UnknownSequence:
		return ofKind("fix", wordsFor(item))
	}
	return "It is still so after all that Monitor had to say to the site. Reach its people by another way, " +
		"see to it yourself, or close it."
}

// lifted says that a limit is over, and why. Whom Monitor lets off for another reason is not thanked for work.
func (n Notice) lifted(item Item) string {
	text := "The limit on " + n.site() + " is lifted: the site can create slices again"
	if item.Level > 1 {
		text = "All limits on " + n.site() + " are lifted: the site can create slices again, and those of its slices that were suspended run again"
	}
	switch site.SpareKind(item.Why) {
	case site.SparedGood:
		return text + ". Enough of its nodes work. Thank you for taking care of it!"
	case site.SparedExempt:
		return text + ". PlanetLab Central exempts the site from limits."
	case site.SparedListed:
		return text + ". The operators have exempted the site from limits."
	case site.SparedPending, site.SparedNew, site.SparedGone, site.SparedFree:
		return text + "."
	}
	return text + ". Nothing that stood in the way of that is open any more. Thank you!"
}

// limited says which limit is in force, since when, and whether it was announced to those who read this.
func (n Notice) limited(item Item) string {
	from := "from now on"
	if !item.Since.IsZero() && n.At.Sub(item.Since) > fresh {
		from = "since " + n.when(item.Since)
	}
	announced := ""
	if !n.Announced.IsZero() {
		announced = "As we wrote on " + n.when(n.Announced) + ", "
	}
	if n.NoPLC { // what the operators deny is their own, and told by its number
		limit := " first limit"
		if n.Level > 1 {
			limit = " second limit"
		}
		what := announced + firstOr(announced, "the") + limit + " that the operators have set for this is in force for " +
			n.site() + " " + from
		if item.Ordered != "" {
			return what + ". They have decided so: " + item.Ordered
		}
		return what + ", since too few of its nodes work. It ends by itself as soon as enough of the following works again:"
	}
	if item.Ordered != "" {
		what := n.site() + " cannot create new slices " + from + ". Its slices go on running. "
		if n.Level > 1 {
			what = firstOr(announced, "the") + " slices of " + n.site() + " are suspended " + from +
				", and the site cannot create new ones. Nothing in them is deleted. "
		}
		return announced + what + "The operators of PlanetLab have decided so: " + item.Ordered
	}
	if n.Level > 1 {
		return announced + firstOr(
			announced,
			"the",
		) + " slices of " + n.site() + " are suspended " + from + ", and the site cannot create new ones, since too few of its nodes work. " +
			"Nothing in them is deleted. They return by themselves as soon as enough of the following works again:"
	}
	return announced + n.site() + " cannot create new slices " + from + ", since too few of its nodes work. " +
		"Its slices go on running. The limit ends by itself as soon as enough of the following works again:"
}

// firstOr begins a sentence with a word, unless it has begun.
func firstOr(begun, word string) string {
	if begun != "" {
		return word
	}
	return strings.ToUpper(word[:1]) + word[1:]
}
