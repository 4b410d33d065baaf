// Package proof holds what people are told against the facts from which it was made. It reads a message as its reader
// does, claim by claim, and shares no words with the package that writes them: a template that claims too much is found
// here, and so is a fact that stays unsaid.
package proof

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/notify"
	"github.com/planetlab/monitor/site"
)

// Check names every claim of a message that its facts do not bear out, and every fact that it should tell and does not.
func Check(n notify.Notice, m notify.Message) []string {
	if n.NoPLC { // its words are those of a fleet with PLC, put otherwise: the facts must bear those out
		same, err := notify.Render(n)
		if err != nil || same.Subject != m.Subject || same.Text != m.Text {
			return []string{"the message is not the one that its facts make"}
		}
		n.NoPLC = false
		if m, err = notify.Render(n); err != nil {
			return []string{"the facts make no message: " + err.Error()}
		}
	}
	c := &check{n: n, m: m, text: strings.Join(strings.Fields(m.Text), " ")}
	for i, item := range n.Items { // what is said of the site as a whole names no target
		if item.Target == "" {
			c.n.Items = slices.Clone(c.n.Items)
			c.n.Items[i].Target, c.n.Items[i].Type = n.Site, "site"
		}
	}
	facts, err := json.Marshal(n)
	if err != nil {
		return []string{"the facts cannot be read: " + err.Error()}
	}
	c.facts = strings.ToLower(string(facts))
	c.shape()
	c.envelope()
	c.names()
	c.counts()
	c.dates()
	c.limits()
	c.endings()
	c.future()
	c.sayings()
	c.evidence()
	return c.found
}

// check is one message with its facts, and what is wrong with it.
type check struct {
	n     notify.Notice
	m     notify.Message
	text  string // in one line
	facts string // as JSON, in lower case
	found []string
}

func (c *check) wrong(format string, args ...any) {
	c.found = append(c.found, fmt.Sprintf(format, args...))
}

// says reports whether the text holds a phrase.
func (c *check) says(phrase string) bool { return strings.Contains(c.text, phrase) }

// needs holds a phrase of the text to what must be so for it to be said.
func (c *check) needs(phrase string, ok bool, why string) {
	if c.says(phrase) && !ok {
		c.wrong("it says %q, but %s", phrase, why)
	}
}

// must holds the text to a phrase that the facts ask for.
func (c *check) must(ok bool, phrase, why string) {
	if ok && !c.says(phrase) {
		c.wrong("it does not say %q, though %s", phrase, why)
	}
}

func (c *check) kind(item notify.Item) notify.Kind {
	if item.Kind == "" {
		return c.n.Kind
	}
	return item.Kind
}

// of are the items of a kind.
func (c *check) of(kinds ...notify.Kind) []notify.Item {
	var list []notify.Item
	for _, item := range c.n.Items {
		if slices.Contains(kinds, c.kind(item)) {
			list = append(list, item)
		}
	}
	return list
}

func (c *check) any(is func(notify.Item) bool) bool { return slices.ContainsFunc(c.n.Items, is) }

func (c *check) deed(what issue.DeedKind, how ...issue.Power) bool {
	return c.any(func(i notify.Item) bool {
		return slices.ContainsFunc(i.Deeds, func(d issue.Deed) bool {
			return d.What == what && (len(how) == 0 || slices.Contains(how, issue.Power(d.How)))
		})
	})
}

// ofAdmins says that the message is for those who run Monitor.
func (c *check) ofAdmins() bool {
	return len(c.of(notify.Flagged, notify.ByHand, notify.Held, notify.Doubted, notify.Repaired, notify.Digest)) > 0
}

// last are the items of which nothing more comes.
func (c *check) last() []notify.Item { return c.of(notify.Online, notify.Gone, notify.Closed) }

// good says that the message has good news alone, and what it asks of nobody.
func (c *check) good() bool {
	return len(c.last())+len(c.of(notify.Cleared)) == len(c.n.Items)
}

// mostNamed is how many machines that are still in trouble are named; of more it is the first one.
const mostNamed = 3

// columns is how wide a line of mail may be; a word that is longer stands alone.
const columns = 76

func (c *check) shape() {
	lines := strings.Split(strings.TrimSuffix(c.m.Text, "\n"), "\n")
	for i, l := range lines {
		switch {
		case len([]rune(l)) > columns && strings.Contains(strings.TrimPrefix(l, "- "), " ") && !strings.HasPrefix(l, "monitor "):
			c.wrong("a line of %d columns: %q", len([]rune(l)), l)
		case strings.HasPrefix(l, " ") || strings.HasPrefix(l, ">"):
			c.wrong("a line that Request Tracker makes a quote of: %q", l)
		case l == "" && i > 0 && lines[i-1] == "":
			c.wrong("two empty lines")
		}
	}
	for _, end := range []string{"Hello,", "Monitor, on behalf of PlanetLab operations"} {
		if !slices.Contains(lines, end) {
			c.wrong("the line %q is missing", end)
		}
	}
	if c.ofAdmins() {
		return
	}
	for _, word := range []string{"nodedown", "pcudown", "failboot/", "nodeconfig", "monitor issue", "monitor site", " rins", "rung", "penalty", "ladder", "<no value>", "%!"} {
		if strings.Contains(strings.ToLower(c.text), word) && !c.fromOutside(word) {
			c.wrong("the word %q, which people at a site do not know", word)
		}
	}
}

// fromOutside reports whether a word stands in what was seen or given as it is, and so is not ours.
func (c *check) fromOutside(word string) bool {
	for _, item := range c.n.Items {
		given := append([]string{item.Fix, item.Target, item.By}, item.Evidence...)
		for _, d := range item.Deeds {
			given = append(given, d.How, d.By)
		}
		if strings.Contains(strings.ToLower(strings.Join(given, "\n")), word) {
			return true
		}
	}
	return strings.Contains(strings.ToLower(c.n.HowToStop+c.n.SiteName+strings.Join(c.n.Unreached, "\n")), word)
}

func (c *check) envelope() {
	if c.m.MessageID != c.n.MessageID || !slices.Equal(c.m.To, c.n.To) || c.m.InReplyTo != c.n.InReplyTo {
		c.wrong("it goes to %q as %s, the facts say %q and %s", c.m.To, c.m.MessageID, c.n.To, c.n.MessageID)
	}
	if !strings.HasPrefix(c.m.Subject, "["+c.n.Site+"] ") {
		c.wrong("the subject %q does not begin with the site", c.m.Subject)
	}
}

func (c *check) limits() {
	penalty, level := c.of(notify.Penalty), c.n.Level
	raised := len(penalty) > 0
	c.must(raised && level == 1, "cannot create new slices", "the level was raised to 1")
	c.must(raised && level == 2, "are suspended", "the level was raised to 2")
	c.needs("Its slices go on running.", raised && level == 1, "no level 1 was reached")
	c.needs("and the site cannot create new ones", raised && level == 2, "no level 2 was reached")
	now := raised && c.n.At.Sub(penalty[0].Since) <= fresh
	c.needs("from now on", now, "that was not raised just now")
	if _, rest, found := strings.Cut(c.m.Subject, "slices are suspended"); found && (!raised || level != 2) {
		c.wrong("the subject says that slices are suspended: %s", rest)
	}
	if strings.Contains(c.m.Subject, "no new slices") && (!raised || level != 1) {
		c.wrong("the subject says that there are no new slices")
	}
	c.needs("As we wrote on", !c.n.Announced.IsZero() && raised, "not everybody was told of it before")
	c.needs("penalty level", c.ofAdmins(), "that is a word of the operators")
	if c.ofAdmins() {
		c.needs(fmt.Sprintf("penalty level %d", 3-level), level == 0, fmt.Sprintf("the level is %d", level))
	}
}

func (c *check) endings() {
	cleared, eased, online, last := c.of(notify.Cleared), c.of(notify.Eased), c.of(notify.Online), c.last()
	was := 0
	for _, item := range cleared {
		was = max(was, item.Level)
	}
	c.needs("All limits on", was == 2 && c.n.Level == 0, "the site was not at level 2, or still is limited")
	c.needs(
		"is lifted: the site can create slices again",
		len(cleared) > 0 && was < 2 && c.n.Level == 0,
		"no limit on new slices alone has ended",
	)
	c.must(len(cleared) > 0, "the site can create slices again", "the last limit has ended")
	c.needs("that were suspended run again", was == 2 || len(eased) > 0, "no slice was suspended")
	c.must(len(eased) > 0, "that were suspended run again", "the level fell to 1")
	c.needs(
		"closes the matter; there is nothing left to do",
		len(last) > 0 && c.good() && c.n.Open == 0 && c.n.Level == 0,
		"something stays open or limited",
	)
	c.must(
		len(last) > 0 && len(last) == len(c.n.Items) && c.n.Open == 0 && c.n.Level == 0,
		"This closes the matter",
		"nothing is left",
	)
	c.needs("Other trouble at the site goes on", len(c.n.Still) > 0, "there is none")
	if _, still, found := strings.Cut(c.text, "Other trouble at the site goes on"); found && len(c.n.Still) > 0 {
		list := c.n.Still
		if len(list) > mostNamed {
			list = list[:1]
		}
		for _, target := range list {
			if !strings.Contains(still, target) {
				c.wrong("other trouble goes on, and it does not name %s", target)
			}
		}
	}
	c.must(len(last) > 0 && len(c.n.Still) > 0, "Other trouble at the site goes on", "there is some")
	c.needs("so does the limit on it", c.n.Level > 0, "there is no limit")
	c.needs("The limit on the site goes on", c.n.Level > 0, "there is no limit")
	gone, closed := c.of(notify.Gone), c.of(notify.Closed)
	c.needs("does not have the following of", len(gone) > 0, "PLC has all of it")
	c.must(len(gone) > 0, "does not have the following of", "PLC does not have it any more")
	c.needs("The operators have closed", len(closed) > 0, "they have not")
	c.must(len(closed) > 0, "The operators have closed", "they have")
	deserved := len(online) > 0 ||
		slices.ContainsFunc(
			cleared,
			func(i notify.Item) bool { return i.Why == "" || site.SpareKind(i.Why) == site.SparedGood },
		)
	c.needs("hank you", deserved, "nobody has mended anything")
	c.needs("works again", len(online) > 0 || len(c.of(notify.Penalty)) > 0, "nothing does")
	c.must(len(online) > 0, "works again", "something does")
}
