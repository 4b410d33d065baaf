package web

import (
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"path"
	"strings"
	"time"
)

//go:embed templates/*.html
var templateFiles embed.FS

// partials are templates that pages share: the layout, and what is drawn on several pages.
const partials = "templates/_*.html"

// loadTemplates reads one template for each page.
func loadTemplates(a *assets, now func() time.Time) (map[string]*template.Template, error) {
	shared, err := template.New("").Funcs(words(a, now)).ParseFS(templateFiles, partials)
	if err != nil {
		return nil, err
	}
	files, err := fs.Glob(templateFiles, "templates/[a-z]*.html")
	if err != nil {
		return nil, err
	}
	all := map[string]*template.Template{}
	for _, file := range files {
		t, err := shared.Clone()
		if err == nil {
			_, err = t.ParseFS(templateFiles, file)
		}
		if err != nil {
			return nil, err
		}
		all[strings.TrimSuffix(path.Base(file), ".html")] = t
	}
	return all, nil
}

// words are the functions of templates.
func words(a *assets, now func() time.Time) template.FuncMap {
	return template.FuncMap{
		"asset":      a.url,
		"when":       func(t time.Time) template.HTML { return when(t, now()) },
		"span":       span,
		"issueURL":   issueURL,
		"nodeURL":    nodeURL,
		"siteURL":    siteURL,
		"listURL":    listURL,
		"entryURL":   entryURL,
		"explainURL": explainURL,
		"tone":       tone,
		"sign":       sign,
		"plural":     plural,
		"join":       func(list []string) string { return strings.Join(list, ", ") },
		"list":       func(v ...any) []any { return v },
		"add":        func(a, b int) int { return a + b },
		"hasPrefix":  strings.HasPrefix,
		"lower":      strings.ToLower,
		"string":     func(v any) string { return fmt.Sprint(v) },
	}
}

// when is a time as people read it, relative to now, with the absolute one in the markup and on hover.
func when(t, now time.Time) template.HTML {
	if t.IsZero() {
		return `<span class="none">–</span>`
	}
	u := t.UTC()
	text := ""
	switch d := now.Sub(t); {
	case d >= 0 && d < 2*time.Second:
		text = "now"
	case d >= 0:
		text = span(d) + " ago"
	default:
		text = "in " + span(-d)
	}
	if far := now.Sub(t); far > 400*24*time.Hour || far < -400*24*time.Hour {
		text = u.Format(time.DateOnly)
	}
	return template.HTML(fmt.Sprintf(`<time datetime="%s" title="%s">%s</time>`, //nolint:gosec // all of it is ours
		u.Format(time.RFC3339), u.Format("2006-01-02 15:04:05 UTC"), text))
}

// span is a duration in at most two units.
func span(d time.Duration) string {
	day := 24 * time.Hour
	switch {
	case d < time.Second:
		return "0 s"
	case d < 100*time.Second:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < 100*time.Minute:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 10*time.Hour:
		h, m := int(d.Hours()), int(d.Minutes())%60
		if m == 0 {
			return fmt.Sprintf("%d h", h)
		}
		return fmt.Sprintf("%d h %d min", h, m)
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()))
	case d < 10*day:
		n, h := int(d/day), int(d.Hours())%24
		if h == 0 {
			return fmt.Sprintf("%d d", n)
		}
		return fmt.Sprintf("%d d %d h", n, h)
	}
	return fmt.Sprintf("%d d", int(d/day))
}

func plural(n int, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, more)
}

// under reports whether a path is that of a part of the pages, for the navigation.
func under(at, part string) bool {
	return at == part || part != "/" && strings.HasPrefix(at, part+"/")
}

// tone is the colour of a state: each of them has a sign, too, since colour alone tells nothing to many.
func tone(state string) string {
	switch strings.ToLower(state) {
	case "online", "good", "done", "sent", "boot", "recovered", "ok", "passed", "yes", "acted":
		return "good"
	case "offline", "open", "ambiguous", "debug", "safeboot", "asked", "wait", "waits":
		return "warn"
	case "down", "failed", "failboot", "stopped", "refused", "left off", "lost":
		return "bad"
	case "paused", "disabled", "new", "pending", "exempt", "observe":
		return "calm"
	}
	return "dull"
}

// sign is the sign of a tone.
func sign(tone string) string {
	return map[string]string{"good": "●", "warn": "▲", "bad": "■", "calm": "◆"}[tone] + ""
}
