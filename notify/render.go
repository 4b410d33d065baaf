package notify

import (
	"cmp"
	"embed"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"text/template"
	"text/template/parse"
	"time"

	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/site"
)

//go:embed templates/*.txt
var templates embed.FS

// trees are the templates as they were read once, by file and name. Which functions there are is asked when one is used.
var trees = sync.OnceValues(func() (map[string]map[string]*parse.Tree, error) {
	files, err := templates.ReadDir("templates")
	all := map[string]map[string]*parse.Tree{}
	for _, f := range files {
		text, failed := templates.ReadFile("templates/" + f.Name())
		t := parse.New(f.Name())
		t.Mode = parse.SkipFuncCheck
		all[f.Name()] = map[string]*parse.Tree{}
		_, wrong := t.Parse(string(text), "", "", all[f.Name()])
		err = errors.Join(err, failed, wrong)
	}
	return all, err
})

// Render puts a notice into words. What it says of several kinds stands in a section for each. It fails when the notice
// lacks
// what its text needs, so that no one gets half a mail.
func Render(n Notice) (Message, error) {
	if err := n.check(); err != nil {
		return Message{}, fmt.Errorf("notice %q for site %q: %w", n.Kind, n.Site, err)
	}
	n = n.cleaned()
	parts := n.parts()
	var sections, closings []string
	var next, unreached, footer string
	for _, part := range parts {
		say, err := part.words()
		if err != nil {
			return Message{}, fmt.Errorf("notice %q: %w", part.Kind, err)
		}
		// How to stop is said once, and of everything.
		whole := part
		if toAdmins(part.Kind) {
			whole.Items = n.Items
		}
		texts := map[string]string{}
		for name, data := range map[string]Notice{"section": part, "closing": whole, "next": n, "unreached": n, "footer": n} {
			if texts[name], err = say(name, data); err != nil {
				return Message{}, fmt.Errorf("notice %q: %w", part.Kind, err)
			}
		}
		sections = append(sections, texts["section"])
		if texts["closing"] != "" && !slices.Contains(closings, texts["closing"]) {
			closings = append(closings, texts["closing"])
		}
		next, unreached, footer = texts["next"], texts["unreached"], texts["footer"]
	}
	text := "Hello,\n\n" + strings.Join(
		sections,
		"\n\n",
	) + "\n" + next + "\n" + unreached + "\n" + strings.Join(
		closings,
		"\n\n",
	) + "\n" + footer
	return Message{
		Subject: cut(subject(parts), maxSubject), Text: tidy(text), To: n.To, MessageID: n.MessageID,
		InReplyTo: n.InReplyTo, References: n.References, At: n.At, Kind: parts[0].Kind, List: n.list(),
	}, nil
}

// list is the stream that a notice belongs to.
func (n Notice) list() string {
	if slices.ContainsFunc(n.Items, func(i Item) bool { return toAdmins(i.Kind) }) {
		return "admins"
	}
	return n.Site
}

// words reads the templates of a kind.
func (n Notice) words() (say func(name string, data Notice) (string, error), err error) {
	t, err := wordsOf(n.Kind, n)
	return func(name string, data Notice) (string, error) {
		var text strings.Builder
		err := t.ExecuteTemplate(&text, name, data)
		return text.String(), err
	}, err
}

// wordsOf are the templates of a kind, with functions that know the whole notice. What a kind defines takes the place of
// what the layout says for all.
func wordsOf(kind Kind, n Notice) (*template.Template, error) {
	all, err := trees()
	own, known := all[string(kind)+".txt"]
	if err != nil || !known {
		return nil, cmp.Or(err, fmt.Errorf("there are no words for the kind %q", kind))
	}
	t := template.New("notice").Funcs(template.FuncMap{
		"at":         n.when,
		"wrap":       func(text string) string { return wrap(n.own(text)) },
		"points":     func(list []string) string { return points(n.ownPoints(list)) },
		"fix":        fix,
		"fixes":      fixes,
		"adminFix":   adminFix,
		"coming":     n.coming,
		"also":       also,
		"site":       n.site,
		"groups":     n.groups,
		"reply":      reply,
		"tillNewCD":  tillNewCD,
		"toAdmins":   toAdmins,
		"whole":      whole,
		"paste":      paste,
		"isSince":    n.isSince,
		"told":       n.told,
		"worksSince": n.worksSince,
		"rest":       rest,
		"lifted":     n.lifted,
		"limited":    n.limited,
		"by":         n.by,
		"on":         n.on,
		"whatNeeds":  whatNeeds,
	})
	for _, file := range []map[string]*parse.Tree{all["layout.txt"], own} {
		for name, tree := range file {
			if t.Lookup(name) != nil && parse.IsEmptyTree(tree.Root) {
				continue
			}
			if _, err := t.AddParseTree(name, tree); err != nil {
				return nil, err
			}
		}
	}
	return t, nil
}

// parts are the notice cut by kind: limits and their end first, then what is wrong, then what is good again.
func (n Notice) parts() []Notice {
	weight := map[Kind]int{
		Penalty:   -6,
		Eased:     -5,
		Cleared:   -4,
		Warn:      -3,
		Resumed:   -2,
		Continued: -1,
		Online:    1,
		Gone:      2,
		Closed:    3,
	}
	byKind := map[Kind]*Notice{}
	var kinds []Kind
	for _, item := range n.Items {
		if byKind[item.Kind] == nil {
			part := n
			part.Kind, part.Items = item.Kind, nil
			byKind[item.Kind] = &part
			kinds = append(kinds, item.Kind)
		}
		byKind[item.Kind].Items = append(byKind[item.Kind].Items, item)
	}
	slices.SortStableFunc(kinds, func(a, b Kind) int { return weight[a] - weight[b] })
	var parts []Notice
	for i, k := range kinds {
		byKind[k].more = slices.ContainsFunc(kinds[i+1:], endsIssue)
		parts = append(parts, *byKind[k])
	}
	return parts
}

func (n Notice) check() error {
	switch {
	case n.Site == "":
		return errors.New("no site")
	case n.At.IsZero():
		return errors.New("no time")
	case len(n.Items) == 0:
		return errors.New("nothing to speak of")
	case !idForm.MatchString(n.MessageID):
		return fmt.Errorf("message id %q is not <something@domain>", n.MessageID)
	}
	for _, item := range n.Items {
		kind := cmp.Or(item.Kind, n.Kind)
		if f, err := templates.Open("templates/" + string(kind) + ".txt"); err != nil || kind == "layout" {
			return fmt.Errorf("unknown kind %q", kind)
		} else if err := f.Close(); err != nil {
			return err
		}
		switch {
		case kind == Penalty && (n.Level < 1 || n.Level > 2),
			kind == Eased && n.Level != 1,
			kind == Cleared && n.Level != 0:
			return fmt.Errorf("penalty level %d has no text in a notice %q", n.Level, kind)
		case kind == Warn && !slices.ContainsFunc(n.Coming, func(c site.Coming) bool { return c.What == site.ComesStep }):
			return errors.New("a warning without the step that it warns of")
		}
	}
	return nil
}

// tillNewCD says what PLC has nodes at until they boot from a new CD, if Monitor has seen to that for each of them.
func tillNewCD(n Notice) string {
	for _, item := range n.Items {
		if !slices.ContainsFunc(item.Deeds, func(d issue.Deed) bool { return d.What == issue.DeedDisabled }) {
			return ""
		}
	}
	return ". They are set disabled at PlanetLab Central until they run from one, " +
		"and then get back the state that they had"
}

// reply says what an answer does by itself, where there is something for it to do.
func reply(n Notice) string {
	further := func(c site.Coming) bool { return c.What == site.ComesStep && c.Level > n.Level }
	if n.ReplyHolds <= 0 || !slices.ContainsFunc(n.Coming, further) {
		return ""
	}
	return " Your answer by itself holds further limits back, for at most " + strings.TrimPrefix(
		distance(n.ReplyHolds),
		"in ",
	) + "."
}

// toAdmins says that a kind of notice goes to those who run Monitor, and know its commands and the ids of issues.
func toAdmins(k Kind) bool {
	return k == Flagged || k == ByHand || k == Held || k == Doubted || k == Repaired || k == Digest
}

// goodNews says that a kind of notice carries no threats.
func goodNews(k Kind) bool { return k == Cleared || endsIssue(k) }

// endsIssue says that a kind of notice is the last word about a machine.
func endsIssue(k Kind) bool { return k == Online || k == Gone || k == Closed }

// subject joins what the parts have to say, as far as there is room.
func subject(parts []Notice) string {
	text := "[" + parts[0].Site + "] " + parts[0].own(parts[0].subject())
	for _, part := range parts[1:] {
		more := "; " + part.own(part.subject())
		if len([]rune(text+more)) > maxSubject-len(andMore) {
			return text + andMore
		}
		text += more
	}
	return text
}

const andMore = "; and more"

// subject says the whole in one line, since many people read no further.
func (n Notice) subject() string {
	what := subjects(n.Items)
	verb := "is"
	if len(n.Items) > 1 {
		verb = "are"
	}
	wrong := "in trouble"
	if allAre(n.Items, state(n.Items[0])) {
		wrong = state(n.Items[0])
	}
	switch n.Kind {
	case Online:
		return what + " " + verb + " back, thank you"
	case Gone:
		return what + " " + verb + " no longer registered"
	case Closed:
		return "the operators have closed " + what
	case Cleared:
		return lifted(n.Items[0])
	case Eased:
		return "slices run again"
	case Warn:
		if n.ordered() {
			return "the operators mean to limit the site"
		}
		return "the site is short of working nodes"
	case Resumed, Continued:
		return "we have waited, and it still does not work"
	case Digest:
		return whatNeeds(n)
	case Flagged:
		needs := "needs"
		if len(n.Items) > 1 {
			needs = "need"
		}
		return what + " " + needs + " an admin"
	case issue.SiteDown:
		return "no node of the site answers"
	case Held:
		return "Monitor holds everything back"
	case Doubted:
		return "Monitor holds back every new " + n.Items[0].Type
	case Repaired:
		return "a penalty lifted by hand is in force again"
	case ByHand:
		return "please power-cycle " + what + " by hand"
	case Penalty:
		limit := "no new slices"
		if n.Level == 2 {
			limit = "slices are suspended"
		}
		if n.ordered() {
			return limit + ", as the operators have decided"
		}
		return limit + " while " + what + " " + verb + " " + wrong
	}
	return what + " " + verb + " " + wrong
}

// ordered says that the operators have a limit set by hand, whatever nodes work.
func (n Notice) ordered() bool {
	return slices.ContainsFunc(n.Items, func(i Item) bool { return i.Ordered != "" })
}

// lifted is the whole of a limit's end in one line.
func lifted(item Item) string {
	text := "the limit is lifted"
	if item.Level > 1 {
		text = "all limits are lifted"
	}
	if why := site.SpareKind(item.Why); why == "" || why == site.SparedGood {
		text += ", thank you"
	}
	return text
}

// whatNeeds says how many machines, and of how many sites, need an admin.
func whatNeeds(n Notice) string {
	var sites []string
	for _, item := range n.Items {
		if item.Site != "" && !slices.Contains(sites, item.Site) {
			sites = append(sites, item.Site)
		}
	}
	text := subjects(n.Items)
	if len(sites) > 1 && slices.ContainsFunc(n.Items, func(i Item) bool { return i.Type != "site" }) {
		text += " of " + count(len(sites), "site")
	}
	if len(n.Items) > 1 {
		return text + " need an admin"
	}
	return text + " needs an admin"
}

// subjects names one target, or counts several.
func subjects(items []Item) string {
	if len(items) == 1 {
		return items[0].Target
	}
	kinds := []struct {
		one string
		is  func(Item) bool
		n   int
	}{
		{one: "node", is: func(i Item) bool { return i.Type != "pcudown" && i.Type != "site" && i.Type != "sitedown" }},
		{one: "power control unit", is: func(i Item) bool { return i.Type == "pcudown" }},
		{one: "site", is: func(i Item) bool { return i.Type == "site" || i.Type == "sitedown" }},
	}
	var parts []string
	for _, k := range kinds {
		for _, item := range items {
			if k.is(item) {
				k.n++
			}
		}
		if k.n > 0 {
			parts = append(parts, count(k.n, k.one))
		}
	}
	return strings.Join(parts, " and ")
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func allAre(items []Item, wrong string) bool {
	return !slices.ContainsFunc(items, func(i Item) bool { return state(i) != wrong })
}

// site names the site the way its people know it.
func (n Notice) site() string {
	if n.SiteName == "" || strings.EqualFold(n.SiteName, n.Site) {
		return n.Site
	}
	return n.SiteName + " (" + n.Site + ")"
}

// when writes a time both ways: "Mon 30 Nov 2026 09:00 UTC (in 6 days)".
func (n Notice) when(t time.Time) string {
	layout := "Mon 2 Jan 2006 15:04 MST"
	if d := t.Sub(n.At).Abs(); d < 2*time.Minute {
		layout = "Mon 2 Jan 2006 15:04:05 MST"
	}
	return t.In(n.At.Location()).Format(layout) + " (" + distance(t.Sub(n.At)) + ")"
}

// fresh is how long a thing is told as if it had just come.
const fresh = time.Hour

// isSince says what is wrong with a group, and since when.
func (n Notice) isSince(g group) string {
	if g.Type == "site" && toAdmins(g.Kind) { // what they are told of it is the evidence
		return ""
	}
	text := state(g.Item)
	if g.Since.IsZero() || g.Type == "site" {
		return text
	}
	text += " since " + n.when(g.Since)
	if g.Spread {
		text += ", the first of them"
	}
	return text
}

// told says when people were last told of a group; empty: this is the first word.
func (n Notice) told(g group) string {
	if g.Told.IsZero() || g.Type == "site" {
		return ""
	}
	return "we last wrote to the site about this on " + n.when(g.Told)
}

// worksSince says how long what works again had been in trouble.
func (n Notice) worksSince(g group) string {
	if g.Since.IsZero() || g.Type == "site" {
		return ""
	}
	return "Monitor had looked after this since " + n.when(g.Since)
}

// whole says that a group is the site itself, as its people are told of it: what was seen are its machines.
func whole(g group) bool { return g.Type == "site" && !toAdmins(g.Kind) }

// rest says whether good news closes the matter, and else what is left of it.
func rest(n Notice) string {
	limited := ""
	switch {
	case n.more: // it is said once, at the end
		return ""
	case n.Open == 0 && n.Level == 0:
		return " This closes the matter; there is nothing left to do."
	case len(n.Still) == 0 && n.Level > 0:
		return " The limit on the site goes on."
	case len(n.Still) == 0: // there is only more good news to come
		return ""
	case n.Level > 0:
		limited = ", and so does the limit on it"
	}
	return " Other trouble at the site goes on (" + named(n.Still) + ")" + limited + "."
}

// by names who answered, and when.
func (n Notice) by(item Item) string {
	text := ""
	if item.By != "" {
		text = " from " + item.By
	}
	return text + n.on(item)
}

// on is the day since when a site was let be.
func (n Notice) on(item Item) string {
	if item.Since.IsZero() {
		return ""
	}
	return " on " + n.when(item.Since)
}

// distance writes how far away d is: "in 3 days", "2 hours ago", "now".
func distance(d time.Duration) string {
	units := []struct {
		name string
		unit time.Duration
		from time.Duration
	}{
		{"day", 24 * time.Hour, 47*time.Hour + 30*time.Minute},
		{"hour", time.Hour, 89*time.Minute + 30*time.Second},
		{"minute", time.Minute, 89*time.Second + 500*time.Millisecond},
		{"second", time.Second, 500 * time.Millisecond},
	}
	for _, u := range units {
		if d.Abs() >= u.from {
			text := count(int(d.Abs().Round(u.unit)/u.unit), u.name)
			if d > 0 {
				return "in " + text
			}
			return text + " ago"
		}
	}
	return "now"
}

// cleaned returns the notice in order and with every text from outside made harmless: one line each, without control
// characters, and of bounded length. Each machine has one entry.
func (n Notice) cleaned() Notice {
	n.Site, n.SiteName, n.HowToStop = line(n.Site), line(n.SiteName), line(n.HowToStop)
	n.Items = slices.Clone(n.Items)
	for i, item := range n.Items {
		if item.Target == "" { // what is said of the site as a whole
			item.Target, item.Type, item.Issue = n.Site, "site", "site/"+n.Site
		}
		n.Items[i] = Item{
			Kind: cmp.Or(
				item.Kind,
				n.Kind,
			), Issue: line(item.Issue), Type: line(item.Type), Target: line(item.Target), Site: line(item.Site), Since: item.Since, Told: item.Told,
			Evidence: lines(
				item.Evidence,
			), Deeds: item.Deeds, Advice: item.Advice, Fix: line(item.Fix), Also: slices.Clone(item.Also), Level: item.Level, By: line(item.By), Ordered: line(item.Ordered), Why: item.Why, Page: line(item.Page), Act: line(item.Act), From: lines(item.From),
		}
		k := wordsFor(item)
		if slices.Contains(Advices(), string(k)) && slices.Contains(advised, string(n.Items[i].Kind)) {
			n.Items[i].Kind = k
		}
	}
	slices.SortStableFunc(n.Items, func(a, b Item) int {
		return cmp.Or(cmp.Compare(a.Type, b.Type), cmp.Compare(a.Target, b.Target))
	})
	n.Items = onePerTarget(n.Items)
	n.Unreached, n.Still = lines(n.Unreached), lines(n.Still)
	if !slices.ContainsFunc(
		n.Items,
		func(i Item) bool { return !goodNews(i.Kind) },
	) { // good news carries no threats
		n.Coming = nil
	}
	return n
}

// onePerTarget makes one entry of several issues of one machine. Who has other trouble is not thanked for.
func onePerTarget(items []Item) []Item {
	var out []Item
	ofSite := func(k Kind) bool {
		return slices.Contains([]Kind{Penalty, Eased, Cleared, Warn, Resumed, Continued}, k) || toAdmins(k)
	}
	for _, item := range items {
		if endsIssue(item.Kind) &&
			slices.ContainsFunc(
				items,
				func(o Item) bool { return o.Target == item.Target && !endsIssue(o.Kind) && !ofSite(o.Kind) },
			) {
			continue
		}
		i := slices.IndexFunc(out, func(o Item) bool {
			return o.Target == item.Target && (o.Kind == item.Kind || !ofSite(o.Kind) && !ofSite(item.Kind))
		})
		if i < 0 {
			out = append(out, item)
			continue
		}
		o := &out[i]
		if item.Type != o.Type && !slices.Contains(o.Also, item.Type) && !endsIssue(item.Kind) {
			o.Also = append(o.Also, item.Type)
		}
		if item.Told.After(o.Told) {
			o.Told = item.Told
		}
		if o.Since.IsZero() || !item.Since.IsZero() && item.Since.Before(o.Since) {
			o.Since = item.Since
		}
		for _, e := range item.Evidence {
			if !slices.Contains(o.Evidence, e) {
				o.Evidence = append(o.Evidence, e)
			}
		}
		for _, d := range item.Deeds {
			if !slices.Contains(o.Deeds, d) {
				o.Deeds = append(slices.Clip(o.Deeds), d)
			}
		}
	}
	return out
}
