package notify

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/site"
)

// deeds are what Monitor did about a target, in words, each once.
func (n Notice) deeds(item Item) []string {
	var list []string
	for _, d := range item.Deeds {
		text := n.deed(d)
		if text == "" {
			continue
		}
		if !d.At.IsZero() {
			text = d.At.In(n.At.Location()).Format("Mon 2 Jan 2006 15:04 MST") + ": " + text
		}
		if text = line(text); !slices.Contains(list, text) {
			list = append(list, text)
		}
	}
	return list
}

func (n Notice) deed(d issue.Deed) string {
	switch d.What {
	case issue.DeedRebooted:
		return byPower(d.How, "power-cycled it")
	case issue.DeedReinstall:
		return byPower(d.How, "had it install itself anew, by a power cycle")
	case issue.DeedDisabled:
		return "set it disabled at PlanetLab Central, where it was at " + d.How
	case issue.DeedPCUDownOpened:
		return "found that its power control unit " + d.How + " does not work, about which we write as well"
	case issue.DeedRepaired:
		return repaired(d.How)
	case issue.DeedTriedRepair:
		return "entered it to mend its boot, and did not hear whether that worked"
	case issue.DeedBootFound:
		typ, _, _ := strings.Cut(d.How, "/")
		return "found while it boots that it is " + stateOf(typ)
	case issue.DeedWaited:
		text := "waited until " + d.Until.In(n.At.Location()).Format("2 Jan 2006 15:04 MST") + ", as was asked"
		if d.By != "" {
			text += " by " + d.By
		}
		if d.How != "" {
			text += ": " + d.How
		}
		return text
	case issue.DeedAskedAdmins:
		return "asked the operators to switch its power by hand"
	case issue.DeedUnreachable:
		return "could not restart it through its power control unit: " + d.How
	}
	return ""
}

// repaired is what bootman did by one of its actions.
func repaired(action string) string {
	switch action {
	case "fsck_repair":
		return "checked its file systems, and started its boot once more"
	case "repair_node_keys":
		return "made its key known to PlanetLab Central, and started its boot once more"
	case "restart_bootmanager_rins", "restart_node_rins":
		return "had it install itself anew"
	case "restart_node_boot":
		return "restarted it"
	}
	return "started its boot once more"
}

// byPower says what is known of a power cycle, and no more.
func byPower(how, done string) string {
	switch issue.Power(how) {
	case issue.PowerLost:
		return "tried to restart it through its power control unit, which did not say whether it has"
	case issue.Asked:
		return "asked the operators to switch its power by hand"
	case issue.LeftOff:
		return "switched its power off, and the power control unit does not switch it on again"
	}
	return done + " through its power control unit"
}

// coming is what happens next in the words of those whom it meets: each thing once, at its earliest, and two steps that
// come together as one.
func (n Notice) coming() []string {
	var kept []site.Coming
	for _, c := range n.Coming {
		same := func(o site.Coming) bool { return o.What == c.What && o.Level == c.Level }
		if slices.ContainsFunc(kept, same) ||
			c.What == site.ComesStep && c.Level <= n.Level { // what is in force is no news
			continue
		}
		kept = append(kept, c)
	}
	var list []string
	for i, c := range kept {
		together := func(o site.Coming) bool {
			return c.What == site.ComesStep && o.What == c.What && n.moment(o) == n.moment(c)
		}
		if slices.ContainsFunc(kept[i+1:], together) { // the later one says both
			continue
		}
		list = append(list, line(n.will(c, slices.ContainsFunc(kept[:i], together))))
	}
	return list
}

// moment is when a thing comes, as a reader sees it.
func (n Notice) moment(c site.Coming) string {
	switch {
	case c.At.After(n.At):
		return n.when(c.At)
	case !c.At.IsZero():
		return anyTime
	}
	return ""
}

const anyTime = "Any time from now"

// will says what comes. Both says that the step below comes with it.
func (n Notice) will(c site.Coming, both bool) string {
	when := n.moment(c)
	switch c.What {
	case site.ComesStep:
		if when == "" || when == anyTime {
			when = anyTime
		} else {
			when = "Not before " + when
		}
		limit := "the site cannot create new slices any more, and its slices go on running"
		switch {
		case c.Level == 2 && (both || n.Level < 1 && !slices.ContainsFunc(n.Coming, func(o site.Coming) bool { return o.What == c.What && o.Level == 1 })):
			limit = "the site cannot create new slices any more, and its slices are suspended; nothing in them is deleted"
		case c.Level == 2:
			limit = "the slices of the site are suspended; nothing in them is deleted"
		}
		if n.ordered() {
			return when + ", unless the operators decide otherwise: " + limit + "."
		}
		return when + ", if the site is still short of working nodes" + because(c.Targets) + ": " + limit + "."
	case site.ComesResume:
		if when == "" {
			return "The operators have stopped the clock: no limit comes before they let it go on, and you hear from us first."
		}
		return when + ": the clock, which is stopped, goes on. If the trouble is still there then, you hear from us before any limit comes."
	case site.ComesAdmins:
		return begin(when, "the operators are asked to look into it, if the trouble is still there.")
	}
	return begin(when, "another message, if the trouble is still there.")
}

// begin puts a time before a sentence.
func begin(when, text string) string {
	if when == "" {
		return strings.ToUpper(text[:1]) + text[1:]
	}
	return when + ": " + text
}

// mostNamed is how many machines one sentence names.
const mostNamed = 3

func because(targets []string) string {
	if len(targets) == 0 {
		return ""
	}
	return " because of " + named(targets)
}

// named lists some machines by name.
func named(targets []string) string {
	if n := len(targets); n > mostNamed {
		return fmt.Sprintf("%s and %d more", targets[0], n-1)
	}
	return strings.Join(targets, ", ")
}

// AnswerHeard is the note that a ticket gets when somebody at the site has answered, for the operators.
func AnswerHeard(login string, level int, by string, until time.Time) string {
	login, by = line(login), line(by)
	return fmt.Sprintf(
		"Monitor keeps %s at penalty level %d until %s, since %s answered.\n\nTo let it go on earlier: monitor site resume %s\nTo hold it longer: monitor site pause %s --until DATE\n",
		login,
		level,
		until.UTC().Format(time.RFC3339),
		by,
		login,
		login,
	)
}
