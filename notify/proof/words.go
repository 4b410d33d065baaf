package proof

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/notify"
	"github.com/planetlab/monitor/site"
)

// fresh is how long a step is told as one that was just taken.
const fresh = time.Hour

// named is what reads like the name of a machine, a mail address or a page.
var named = regexp.MustCompile(`[A-Za-z0-9@_-]+(\.[A-Za-z0-9_-]+)*\.[A-Za-z]{2,}\b`)

// names: who is named is meant, and each machine has one entry among those of its kind.
func (c *check) names() {
	for _, name := range named.FindAllString(c.m.Subject+"\n"+c.m.Text, -1) {
		if !strings.Contains(c.facts, strings.ToLower(name)) {
			c.wrong("it names %s, of which the facts know nothing", name)
		}
	}
	entries := map[string]int{}
	for l := range strings.SplitSeq(c.m.Text, "\n") {
		entries[l]++
	}
	for _, target := range c.targets(func(notify.Item) bool { return true }) {
		var kinds []bool // of what is said of the site as a whole, and of the machine itself
		for _, item := range c.n.Items {
			if whole := wholeSite(c.kind(item)); item.Target == target && !slices.Contains(kinds, whole) {
				kinds = append(kinds, whole)
			}
		}
		switch n := entries[target]; {
		case n == 0 && (strings.Contains(target, " ") || target == c.n.Site):
		case n == 0:
			c.wrong("%s has no entry", target)
		case n > len(kinds) && target != c.n.Site:
			c.wrong("%s has %d entries", target, n)
		}
	}
	if c.n.SiteName != "" && !c.ofAdmins() && !c.says(c.n.Site) {
		c.wrong("it does not name the site")
	}
}

// wholeSite says that a kind speaks of the limits of a site rather than of a machine.
func wholeSite(k notify.Kind) bool {
	return slices.Contains(
		[]notify.Kind{notify.Penalty, notify.Eased, notify.Cleared, notify.Warn, notify.Resumed, notify.Continued},
		k,
	)
}

// targets are those of items, each once.
func (c *check) targets(is func(notify.Item) bool) []string {
	var list []string
	for _, item := range c.n.Items {
		if is(item) && !slices.Contains(list, item.Target) {
			list = append(list, item.Target)
		}
	}
	return list
}

var counted = regexp.MustCompile(`\b(\d+) (node|power control unit|site|people)s?\b`)

// counted are the numbers of which a subject may speak where it speaks of some of the items.
func (c *check) counted(some func(notify.Item) bool) []string {
	nodes, pcus, sites, owners := 0, 0, 0, map[string]bool{}
	for _, target := range c.targets(some) {
		n := slices.IndexFunc(c.n.Items, func(i notify.Item) bool { return i.Target == target && some(i) })
		switch c.n.Items[n].Type {
		case issue.PCUDown:
			pcus++
		case "site", issue.SiteDown:
			sites++
		default:
			nodes++
		}
	}
	for _, item := range c.n.Items {
		owners[item.Site] = true
	}
	return []string{fmt.Sprint(nodes, " node"), fmt.Sprint(pcus, " power control unit"), fmt.Sprint(sites, " site"),
		fmt.Sprint(len(owners), " site"), fmt.Sprint(nodes, " people")}
}

// counts: numbers in the subject count machines, however many issues each has. Those of a kind may be counted together,
// or by what was found of them.
func (c *check) counts() {
	var allowed []string
	for _, one := range c.n.Items {
		alike := func(i notify.Item) bool { return c.kind(i) == c.kind(one) }
		allowed = append(allowed, c.counted(alike)...)
		allowed = append(allowed,
			c.counted(func(i notify.Item) bool { return alike(i) && i.Advice == one.Advice })...)
	}
	if nodes := len(c.targets(c.machine(false))); nodes > 0 { // one entry a machine takes several kinds together
		allowed = append(allowed, strconv.Itoa(nodes)+" node")
	}
	for _, m := range counted.FindAllStringSubmatch(c.m.Subject, -1) {
		if !slices.Contains(allowed, m[1]+" "+m[2]) {
			c.wrong("the subject counts %s, the facts allow %q", m[0], slices.Compact(slices.Sorted(slices.Values(allowed))))
		}
	}
}

// machine says whether an item is about a node in trouble, and not thanked for.
func (c *check) machine(pcu bool) func(notify.Item) bool {
	return func(i notify.Item) bool {
		return !slices.Contains(quiet, c.kind(i)) && !wholeSite(c.kind(i)) && (i.Type == issue.PCUDown) == pcu &&
			i.Type != "site" &&
			i.Type != issue.SiteDown
	}
}

var dated = regexp.MustCompile(`[A-Z][a-z]{2} \d{1,2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}(:\d{2})? UTC( \(([a-z0-9 ]+)\))?`)

// dates: every time is one of the facts, and its distance is right.
func (c *check) dates() {
	var known []time.Time
	add := func(times ...time.Time) { known = append(known, times...) }
	add(c.n.At, c.n.Announced)
	for _, item := range c.n.Items {
		add(item.Since, item.Told)
		for _, d := range item.Deeds {
			add(d.At, d.Until)
		}
	}
	for _, next := range c.n.Coming {
		add(next.At)
	}
	for _, found := range dated.FindAllStringSubmatch(c.text, -1) {
		stamp, _, _ := strings.Cut(found[0], " (")
		if strings.Contains(c.facts, strings.ToLower(stamp)) { // somebody else's words
			continue
		}
		layout := "Mon 2 Jan 2006 15:04 MST"
		if found[1] != "" {
			layout = "Mon 2 Jan 2006 15:04:05 MST"
		}
		at, err := time.Parse(layout, stamp)
		meant := slices.DeleteFunc(slices.Clone(known), func(t time.Time) bool { return t.UTC().Format(layout) != stamp })
		if err != nil || len(meant) == 0 {
			c.wrong("the time %s is in none of the facts", stamp)
			continue
		}
		// two facts may fall into one second, or minute
		fits := func(t time.Time) bool { return c.away(found[3], t.Sub(c.n.At)) }
		if found[3] != "" && !slices.ContainsFunc(meant, fits) {
			c.wrong("%s is not %q from %s", at.Format(time.RFC3339), found[3], c.n.At.Format(time.RFC3339))
		}
	}
}

var distance = regexp.MustCompile(`^(in )?(\d+) (second|minute|hour|day)s?( ago)?$`)

// away reports whether a distance in words is d, as nearly as its unit says.
func (c *check) away(words string, d time.Duration) bool {
	if words == "now" {
		return d.Abs() < time.Second
	}
	m := distance.FindStringSubmatch(words)
	if m == nil || (m[1] == "") == (m[4] == "") || (d > 0) != (m[1] != "") {
		return false
	}
	unit := map[string]time.Duration{"second": time.Second, "minute": time.Minute, "hour": time.Hour, "day": 24 * time.Hour}[m[3]]
	n, err := strconv.Atoi(m[2])
	return err == nil && (d.Abs()-time.Duration(n)*unit).Abs() <= unit/2
}

// future: what is said to come is what the facts say, no more, and no step of them stays unsaid.
func (c *check) future() {
	_, next, any := strings.Cut(c.text, "What happens next ")
	if any && c.good() {
		c.wrong("good news carries what comes next")
	}
	for _, phrase := range []string{"What you can do", "How to stop this", "short of working nodes"} {
		c.needs(
			phrase,
			!c.good(),
			"good news asks nothing of anybody",
		)
	}
	next, _, _ = strings.Cut(next, " How to stop this")
	for _, step := range c.n.Coming {
		if step.What != site.ComesStep || step.Level <= c.n.Level || c.good() {
			continue
		}
		limit := map[int]string{1: "cannot create new slices any more", 2: "suspended; nothing in them is deleted"}[step.Level]
		when := "Any time from now"
		if step.At.After(c.n.At) {
			when = "Not before " + step.At.UTC().Format("Mon 2 Jan 2006 15:04")
		}
		if !promises(next, when, limit) {
			c.wrong("the step to level %d (%s) is not announced", step.Level, when)
		}
	}
	for level, limit := range map[int]string{1: "cannot create new slices any more", 2: "suspended; nothing in them is deleted"} {
		threatened := slices.ContainsFunc(
			c.n.Coming,
			func(s site.Coming) bool { return s.What == site.ComesStep && s.Level >= level },
		)
		if strings.Contains(next, limit) && (!threatened || level <= c.n.Level) {
			c.wrong("it threatens with level %d, which is not to come", level)
		}
	}
	for what, phrase := range map[site.ComingKind]string{site.ComesWord: "another message", site.ComesAdmins: "operators are asked to look", site.ComesResume: "stopped"} {
		comes := slices.ContainsFunc(c.n.Coming, func(s site.Coming) bool { return s.What == what })
		if strings.Contains(next, phrase) != (comes && !c.good()) {
			c.wrong("%q is said to come: %v, and comes: %v", phrase, strings.Contains(next, phrase), comes)
		}
	}
}

func isStep(s site.Coming) bool { return s.What == site.ComesStep }

// promises reports whether one of the points says both.
func promises(next, when, limit string) bool {
	for point := range strings.SplitSeq(next, "- ") {
		if strings.HasPrefix(point, when) && strings.Contains(point, limit) {
			return true
		}
	}
	return false
}

// sayings: phrases that say what was done, who answered, and what a machine has.
func (c *check) sayings() {
	n := c.n
	further := slices.ContainsFunc(n.Coming, func(s site.Coming) bool { return isStep(s) && s.Level > n.Level })
	c.needs("Your answer by itself holds", n.ReplyHolds > 0, "nobody reads the answers")
	c.needs("Your answer by itself holds", further, "there is no further limit")
	c.must(n.ReplyHolds > 0 && further && c.says("If you need more time"), "Your answer by itself holds",
		"an answer does that")
	c.needs("They are set disabled", !slices.ContainsFunc(c.of(issue.OldBootCD), func(i notify.Item) bool {
		return !slices.ContainsFunc(i.Deeds, func(d issue.Deed) bool { return d.What == issue.DeedDisabled })
	}), "not all of them are")
	c.needs(
		"short of working nodes",
		!c.ofAdmins() &&
			(len(c.of(notify.Penalty, notify.Eased, notify.Warn)) > 0 || slices.ContainsFunc(n.Coming, isStep)),
		"nothing says that it is",
	)
	c.needs("We had an answer", len(c.of(notify.Resumed)) > 0, "nobody has answered")
	c.needs("The operators had stopped the clock", len(c.of(notify.Continued)) > 0, "they had not")
	c.needs(
		"we last wrote to the site about this",
		c.any(func(i notify.Item) bool { return !i.Told.IsZero() }),
		"this is the first word",
	)
	c.needs(": power-cycled it", c.deed(issue.DeedRebooted), "nobody did")
	wiped := func(i notify.Item) bool {
		return slices.ContainsFunc(i.Deeds, func(d issue.Deed) bool {
			return d.What == issue.DeedReinstall || d.What == issue.DeedRepaired && strings.HasSuffix(d.How, "_rins")
		})
	}
	c.needs("had it install itself anew", c.any(wiped), "nobody did")
	c.needs("started its boot once more", c.deed(issue.DeedRepaired), "nobody did")
	c.needs("did not hear whether that worked", c.deed(issue.DeedTriedRepair), "each repair is known")
	c.needs(
		"did not say whether it has",
		c.deed(issue.DeedRebooted, issue.PowerLost) || c.deed(issue.DeedReinstall, issue.PowerLost),
		"each power cycle is known",
	)
	c.needs("set it disabled", c.deed(issue.DeedDisabled), "nobody did")
	c.needs("as was asked", c.deed(issue.DeedWaited), "nobody did")
	c.must(slices.ContainsFunc(c.of(notify.Flagged, notify.Digest, notify.ByHand), func(i notify.Item) bool {
		return i.Type != "" && i.Type != "site"
	}), "What to do:", "an admin is to do something")
	c.needs("Whom this does not reach", len(n.Unreached) > 0, "it reaches everybody")
	for _, who := range n.Unreached {
		c.must(true, strings.Join(strings.Fields(who), " "), "it does not reach them")
	}
	enters := func(advice ...string) func(notify.Item) bool {
		return func(i notify.Item) bool { return i.Type == issue.NodeConfig && slices.Contains(advice, i.Advice) }
	}
	boots := func(advice string) bool {
		return c.any(func(i notify.Item) bool {
			return (i.Type == issue.NodeConfig || i.Type == issue.Failboot) && i.Advice == advice
		})
	}
	c.needs("find no configuration file", boots(notify.AdviceNoConfig), "each has one")
	c.needs("has no such node", boots(notify.AdviceNotKnown), "PLC knows them all")
	c.needs("refuses the key in the configuration file", boots(notify.AdviceNodeKey), "PLC refuses no key")
	refused := boots(notify.AdviceNodeKey) || boots(notify.AdviceNotKnown)
	c.needs("turned away by PlanetLab Central", refused, "PLC takes it")
	c.needs("an error of its own", boots(notify.AdvicePLCFails), "PLC answers as it should")
	c.needs("an error of PlanetLab Central", boots(notify.AdvicePLCFails), "PLC answers as it should")
	for advice, phrase := range map[string]string{
		notify.AdviceNoConfig: "find no configuration file", notify.AdviceNotKnown: "has no such node",
		notify.AdviceNodeKey: "refuses the key in the configuration file", notify.AdvicePLCFails: "an error of its own",
	} {
		there := slices.ContainsFunc(c.of(issue.NodeConfig, issue.Failboot), func(i notify.Item) bool {
			return i.Advice == advice
		})
		c.must(there, phrase, "that is what its boot fails at")
	}
	c.needs(
		"does not fit their network",
		c.any(func(i notify.Item) bool { return i.Type == issue.NodeConfig && i.Advice == "" }),
		"their network is right",
	)
	c.needs("do not take the key", c.any(enters(notify.AdviceLocked)), "none refuses it")
	c.needs("take our login, and then do nothing", c.any(enters(notify.AdviceHangs)), "none hangs")
	c.needs("is not the shell of a PlanetLab node", c.any(enters(notify.AdviceStrange)), "every shell is right")
	c.needs("another ssh host key", c.any(enters(notify.AdviceHostKey)), "no key has changed")
	if !c.any(func(i notify.Item) bool { return !enters(notify.AdviceHangs)(i) }) {
		c.needs("boot medium", false, "a restart from it does not mend one that hangs")
	}
	c.needs(
		"what would come, and when, stands below",
		slices.ContainsFunc(
			n.Coming,
			func(s site.Coming) bool { return s.What == site.ComesStep && s.Level > n.Level },
		),
		"nothing does",
	)
}

// mostLines is how many facts a heading may have; the rest is counted.
const mostLines = 20

// quiet are the kinds that ask for nothing, and so show nothing.
var quiet = []notify.Kind{notify.Online, notify.Cleared, notify.Gone, notify.Closed}

// evidence: what was seen is told, to those who are asked to mend it.
func (c *check) evidence() {
	for _, item := range c.n.Items {
		if len(item.Evidence) >= mostLines || slices.Contains(quiet, c.kind(item)) {
			continue
		}
		if c.any(func(o notify.Item) bool { return c.kind(o) == c.kind(item) && o.Target != item.Target }) &&
			len(c.n.Items) > mostLines/2 {
			continue // many together are bounded
		}
		for _, line := range item.Evidence {
			if line = strings.Join(strings.Fields(line), " "); len(line) < 500 && !c.says(line) {
				c.wrong("what was seen of %s is not told: %s", item.Target, line)
			}
		}
	}
}
