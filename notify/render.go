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
)

//go:embed templates/*.txt
var templates embed.FS

// Render puts a notice into words. It fails when the notice lacks what its text needs, so that no one gets half a mail.
func Render(n Notice) (Message, error) {
	if err := n.check(); err != nil {
		return Message{}, fmt.Errorf("notice %q for site %q: %w", n.Kind, n.Site, err)
	}
	n = n.cleaned()
	t, err := template.New("notice").Funcs(template.FuncMap{
		"at":     n.when,
		"wrap":   wrap,
		"points": points,
		"fix":    fix,
		"state":  state,
		"site":   n.site,
		"list":   func(text string) []string { return []string{text} },
	}).ParseFS(templates, "templates/layout.txt", "templates/"+string(n.Kind)+".txt")
	if err != nil {
		return Message{}, fmt.Errorf("notice %q: %w", n.Kind, err)
	}
	var text strings.Builder
	if err := t.ExecuteTemplate(&text, "layout.txt", n); err != nil {
		return Message{}, fmt.Errorf("notice %q: %w", n.Kind, err)
	}
	return Message{
		Subject: cut(n.subject(), maxSubject), Text: tidy(text.String()), To: n.To, MessageID: n.MessageID,
		InReplyTo: n.InReplyTo, References: n.References, At: n.At, Kind: n.Kind,
	}, nil
}

func (n Notice) check() error {
	switch n.Kind {
	case Down, PCUDown, Online, Cleared, Flagged, ByHand, Held, Repaired,
		SiteDown, BadHardware, DNSError, NodeConfig, OldBootCD, Failboot, Firewall, MinimalHardware, NoBlockDevice, PCUMissing, Filesystem:
	case Penalty:
		if n.Level < 1 || n.Level > 2 {
			return fmt.Errorf("penalty level %d has no text", n.Level)
		}
	default:
		return errors.New("unknown kind")
	}
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
	return nil
}

// subject says the whole in one line, since many people read no further.
func (n Notice) subject() string {
	what := subjects(n.Items)
	verb := "is"
	if len(n.Items) > 1 {
		verb = "are"
	}
	prefix, wrong := "["+n.Site+"] ", "down"
	if allOfType(n.Items, n.Items[0].Type) {
		wrong = state(n.Items[0].Type)
	}
	switch n.Kind {
	case Online:
		return prefix + what + " " + verb + " back, thank you"
	case Cleared:
		return prefix + "all limits are lifted, thank you"
	case Flagged:
		needs := "needs"
		if len(n.Items) > 1 {
			needs = "need"
		}
		return prefix + what + " " + needs + " an admin"
	case SiteDown:
		return prefix + "no node of the site answers"
	case Held:
		return prefix + "Monitor holds everything back"
	case Repaired:
		return prefix + "a penalty lifted by hand is in force again"
	case ByHand:
		return prefix + "please power-cycle " + what + " by hand"
	case Penalty:
		limit := "no new slices"
		if n.Level == 2 {
			limit = "slices are suspended"
		}
		return prefix + limit + " while " + what + " " + verb + " " + wrong
	}
	return prefix + what + " " + verb + " " + wrong
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
// characters, and of bounded length.
func (n Notice) cleaned() Notice {
	n.Site, n.SiteName, n.HowToStop = line(n.Site), line(n.SiteName), line(n.HowToStop)
	n.Items = slices.Clone(n.Items)
	for i, item := range n.Items {
		if item.Target == "" { // what is said of the site as a whole
			item.Target, item.Type, item.Issue = n.Site, "site", "site/"+n.Site
		}
		n.Items[i] = Item{
			Issue: line(item.Issue), Type: line(item.Type), Target: line(item.Target), Since: item.Since,
			Evidence: lines(item.Evidence), Tried: lines(item.Tried), Fix: line(item.Fix),
		}
	}
	slices.SortStableFunc(n.Items, func(a, b Item) int {
		return cmp.Or(cmp.Compare(a.Type, b.Type), cmp.Compare(a.Target, b.Target))
	})
	n.Forecast = slices.Clone(n.Forecast)
	for i := range n.Forecast {
		n.Forecast[i].What = line(n.Forecast[i].What)
	}
	slices.SortStableFunc(n.Forecast, func(a, b Forecast) int {
		if a.At.IsZero() != b.At.IsZero() {
			if a.At.IsZero() {
				return 1
			}
			return -1
		}
		return a.At.Compare(b.At)
	})
	return n
}
