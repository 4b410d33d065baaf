package notify

import (
	"cmp"
	"slices"
	"strings"

	"github.com/planetlab/monitor/issue"
)

// ofType reads what the template of an issue type says under a name; nothing: the type has no such words.
func ofType(name, typ string) string {
	t, known := issue.Lookup(typ)
	if !known {
		return ""
	}
	words, err := parse(Kind(t.NoticeKind()), Notice{})
	if err != nil || words.Lookup(name) == nil {
		return ""
	}
	var text strings.Builder
	if err := words.ExecuteTemplate(&text, name, nil); err != nil {
		return ""
	}
	return text.String()
}

// state is the word for what is wrong with a target of an issue type.
func state(typ string) string {
	switch typ {
	case "site":
		return "short of working nodes"
	case "fleet":
		return "not what it was a sweep ago"
	}
	return cmp.Or(ofType("state", typ), "down")
}

// The advices that fit better than the text of a type.
const (
	AdviceLocked = "locked" // the node runs, and lets nobody in
	AdviceHangs  = "hangs"  // it takes the login, and then hangs
)

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
		if s := state(typ); s != state(item.Type) && !slices.Contains(list, s) {
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
	case item.Advice == AdviceLocked:
		return "The node runs, but we cannot log in to it. Please restart it from its boot medium, which brings its keys up to date. " +
			"If its system was changed or put on another machine, or if something else answers at its address, please say so."
	case item.Advice == AdviceHangs:
		return "The node answers, takes our login, and then does nothing. Please look at its screen for errors of its disk or memory, " +
			"and restart it."
	}
	if item.Type == "site" {
		return "Please bring the machines that are named above back to work."
	}
	return cmp.Or(ofType("fix", item.Type), "Please look at the machine itself, and tell us what you find by answering this message.")
}
