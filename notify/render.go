package notify

import (
	"cmp"
	"embed"
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/template"
	"time"

	"github.com/planetlab/monitor/issue"
)

//go:embed templates/*.txt
var templates embed.FS

// Render puts a notice into words. What it says of several kinds stands in a section for each. It fails when the notice lacks
// what its text needs, so that no one gets half a mail.
func Render(n Notice) (Message, error) {
	if err := n.check(); err != nil {
		return Message{}, fmt.Errorf("notice %q for site %q: %w", n.Kind, n.Site, err)
	}
	n = n.cleaned()
	parts := n.parts()
	var sections, closings []string
	var next, footer string
	for _, part := range parts {
		say, err := part.words()
		if err != nil {
			return Message{}, fmt.Errorf("notice %q: %w", part.Kind, err)
		}
		// How to stop is said once, and of everything.
		whole := n
		whole.Kind, whole.Level = part.Kind, part.Level
		texts := map[string]string{}
		for name, data := range map[string]Notice{"section": part, "closing": whole, "next": n, "footer": n} {
			if texts[name], err = say(name, data); err != nil {
				return Message{}, fmt.Errorf("notice %q: %w", part.Kind, err)
			}
		}
		sections = append(sections, texts["section"])
		if !slices.Contains(closings, texts["closing"]) {
			closings = append(closings, texts["closing"])
		}
		next, footer = texts["next"], texts["footer"]
	}
	text := "Hello,\n\n" + strings.Join(sections, "\n\n") + "\n" + next + "\n" + strings.Join(closings, "\n\n") + "\n" + footer
	return Message{
		Subject: cut(subject(parts), maxSubject), Text: tidy(text), To: n.To, MessageID: n.MessageID,
		InReplyTo: n.InReplyTo, References: n.References, At: n.At, Kind: parts[0].Kind,
	}, nil
}

// words reads the templates of a kind.
func (n Notice) words() (say func(name string, data Notice) (string, error), err error) {
	t, err := parse(n.Kind, n)
	return func(name string, data Notice) (string, error) {
		var text strings.Builder
		err := t.ExecuteTemplate(&text, name, data)
		return text.String(), err
	}, err
}

// parse reads the template of a kind, with functions that know the whole notice.
func parse(kind Kind, n Notice) (*template.Template, error) {
	return template.New("notice").Funcs(template.FuncMap{
		"at":       n.when,
		"wrap":     wrap,
		"points":   points,
		"fix":      fix,
		"fixes":    fixes,
		"coming":   n.coming,
		"also":     also,
		"state":    state,
		"site":     n.site,
		"groups":   n.groups,
		"reply":    reply,
		"toAdmins": toAdmins,
		"paste":    paste,
		"list":     func(text string) []string { return []string{text} },
	}).ParseFS(templates, "templates/layout.txt", "templates/"+string(kind)+".txt")
}

// parts are the notice cut by kind: limits and their end first, then what is wrong, then what is good again.
func (n Notice) parts() []Notice {
	weight := map[Kind]int{Penalty: -4, Eased: -3, Cleared: -2, Warn: -1, Resumed: 1, Online: 2}
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
	for _, k := range kinds {
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
		if kind == Penalty && (n.Level < 1 || n.Level > 2) {
			return fmt.Errorf("penalty level %d has no text", n.Level)
		}
	}
	return nil
}

// reply says what an answer does by itself.
func reply(n Notice) string {
	if n.ReplyHolds <= 0 {
		return ""
	}
	return " Your answer by itself holds further limits back, for at most " + strings.TrimPrefix(distance(n.ReplyHolds), "in ") + "."
}

// toAdmins says that a kind of notice goes to those who run Monitor, and know its commands and the ids of issues.
func toAdmins(k Kind) bool {
	return k == Flagged || k == ByHand || k == Held || k == Doubted || k == Repaired
}

// subject joins what the parts have to say.
func subject(parts []Notice) string {
	said := make([]string, len(parts))
	for i, part := range parts {
		said[i] = part.subject()
	}
	return "[" + parts[0].Site + "] " + strings.Join(said, "; ")
}

// subject says the whole in one line, since many people read no further.
func (n Notice) subject() string {
	what := subjects(n.Items)
	verb := "is"
	if len(n.Items) > 1 {
		verb = "are"
	}
	wrong := "down"
	if allOfType(n.Items, n.Items[0].Type) {
		wrong = state(n.Items[0].Type)
	}
	switch n.Kind {
	case Online:
		return what + " " + verb + " back, thank you"
	case Cleared:
		return "all limits are lifted, thank you"
	case Eased:
		return "slices run again"
	case Warn:
		return "the site is short of working nodes"
	case Resumed:
		return "still not working, and the time is over"
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
		return limit + " while " + what + " " + verb + " " + wrong
	}
	return what + " " + verb + " " + wrong
}

// subjects names one target, or counts several.
func subjects(items []Item) string {
	if len(items) == 1 {
		return items[0].Target
	}
	pcus := 0
	for _, item := range items {
		if item.Type == "pcudown" {
			pcus++
		}
	}
	var parts []string
	if nodes := len(items) - pcus; nodes > 0 {
		parts = append(parts, count(nodes, "node"))
	}
	if pcus > 0 {
		parts = append(parts, count(pcus, "power control unit"))
	}
	return strings.Join(parts, " and ")
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func allOfType(items []Item, kind string) bool {
	return !slices.ContainsFunc(items, func(i Item) bool { return i.Type != kind })
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
			Kind: cmp.Or(item.Kind, n.Kind), Issue: line(item.Issue), Type: line(item.Type), Target: line(item.Target), Since: item.Since,
			Evidence: lines(item.Evidence), Deeds: item.Deeds, Advice: item.Advice, Fix: line(item.Fix), Also: slices.Clone(item.Also),
		}
	}
	slices.SortStableFunc(n.Items, func(a, b Item) int {
		return cmp.Or(cmp.Compare(a.Type, b.Type), cmp.Compare(a.Target, b.Target))
	})
	n.Items = onePerTarget(n.Items)
	return n
}

// onePerTarget makes one entry of several issues of one machine. Who has other trouble is not thanked for.
func onePerTarget(items []Item) []Item {
	var out []Item
	whole := func(k Kind) bool {
		return slices.Contains([]Kind{Penalty, Eased, Cleared, Warn, Resumed}, k) || toAdmins(k)
	}
	for _, item := range items {
		if item.Kind == Online && slices.ContainsFunc(items, func(o Item) bool { return o.Target == item.Target && o.Kind != Online && !whole(o.Kind) }) {
			continue
		}
		i := slices.IndexFunc(out, func(o Item) bool {
			return o.Target == item.Target && (o.Kind == item.Kind || !whole(o.Kind) && !whole(item.Kind))
		})
		if i < 0 {
			out = append(out, item)
			continue
		}
		o := &out[i]
		if item.Type != o.Type && !slices.Contains(o.Also, item.Type) && item.Kind != Online {
			o.Also = append(o.Also, item.Type)
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
