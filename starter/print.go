package main

import (
	"fmt"
	"os"
	"strings"
	"time"
	"unicode"

	"github.com/dustin/go-humanize"
	"github.com/fatih/color"
	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"golang.org/x/term"
)

// say prints a line. Texts in it are cleaned, but for coloured ones, which were. The first that could not be written
// is remembered, so that a full disk does not pass for success.
func (a *app) say(format string, args ...any) {
	for i, arg := range args {
		switch arg := arg.(type) {
		case string:
			args[i] = clean(arg)
		case []byte:
			args[i] = clean(string(arg))
		case error:
			args[i] = clean(arg.Error())
		}
	}
	if _, err := fmt.Fprintf(a.out, format+"\n", args...); err != nil && a.lost == nil {
		a.lost = err
	}
}

func (a *app) warn(format string, args ...any) {
	fmt.Fprintf(a.err, "monitor: warning: %s\n", clean(fmt.Sprintf(format, args...)))
}

// coloured is text with the codes of a terminal in it; any other string is cleaned before it is printed.
type coloured string

func (a *app) colours() bool {
	return isTerminal(a.out) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}

func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

func (a *app) paint(s string, attributes ...color.Attribute) coloured {
	if !a.colours() {
		return coloured(clean(s))
	}
	c := color.New(attributes...)
	c.EnableColor() // ours is the decision, not that of the library's global
	return coloured(c.Sprint(clean(s)))
}

// state paints a word by what it means to an operator: well, look here, broken.
func (a *app) state(word string) coloured {
	switch word {
	case "good", "online", "up", "on", "done", "sent", "closed":
		return a.paint(word, color.FgGreen)
	case "down", "offline", "stopped", "failed", "refused", "terminated", "failboot":
		return a.paint(word, color.FgRed)
	case "":
		return "-"
	}
	return a.paint(word, color.FgYellow)
}

// clean takes out what could drive a terminal: much of what we show was written by far-away machines.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && unicode.IsControl(r) || unicode.In(r, unicode.Bidi_Control, unicode.Zl, unicode.Zp) {
			return ' '
		}
		return r
	}, s)
}

// when is a moment as an operator reads it.
func (a *app) when(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return a.stamp(t) + " (" + a.distance(t) + ")"
}

// stamp is a moment in the local time zone, or in UTC with --utc.
func (a *app) stamp(t time.Time) string {
	zone := a.zone
	if zone == nil || a.utc {
		zone = time.UTC
	}
	return t.In(zone).Format("2006-01-02 15:04 MST")
}

func (a *app) distance(t time.Time) string { return humanize.RelTime(t, a.now(), "ago", "from now") }

// width is that of the terminal in columns, and 0 where none is.
func (a *app) width() int {
	if !isTerminal(a.out) {
		return 0
	}
	columns, _, _ := term.GetSize(int(a.out.(*os.File).Fd()))
	return columns
}

type row []any

// table prints rows under a header; without rows it prints none.
func (a *app) table(none string, header row, rows []row) {
	if len(rows) == 0 {
		a.say("%s", none)
		return
	}
	for i, h := range header {
		header[i] = a.paint(h.(string), color.Bold)
	}
	a.grid(append([]row{header}, rows...))
}

// facts prints names and values; a value that is empty is left out.
func (a *app) facts(rows ...row) {
	var kept []row
	for _, r := range rows {
		if s := fmt.Sprint(r[1]); s != "" && s != "-" {
			kept = append(kept, row{a.paint("  "+r[0].(string), color.Faint), r[1]})
		}
	}
	a.grid(kept)
}

func (a *app) heading(s string) { a.say("\n%s", a.paint(s, color.Bold)) }

func (a *app) grid(rows []row) { a.say("%s", a.columns(rows)) }

// columns lays rows out. Where the terminal is too narrow for them, moments are told by their distance alone.
func (a *app) columns(rows []row) coloured {
	lines := layout(rows, a.when)
	if w := a.width(); w > 0 && text.LongestLineLen(lines) > w {
		return coloured(layout(rows, a.distance))
	}
	return coloured(lines)
}

func layout(rows []row, when func(time.Time) string) string {
	t := table.NewWriter()
	style := table.StyleDefault
	style.Options = table.OptionsNoBordersAndSeparators
	style.Box.PaddingLeft, style.Box.PaddingRight = "", "  "
	t.SetStyle(style)
	t.SuppressTrailingSpaces()
	for _, r := range rows {
		cells := make(table.Row, len(r))
		for i, c := range r {
			switch c := c.(type) {
			case coloured:
				cells[i] = string(c)
			case time.Time:
				cells[i] = "-"
				if !c.IsZero() {
					cells[i] = when(c)
				}
			default:
				cells[i] = clean(fmt.Sprint(c))
			}
		}
		t.AppendRow(cells)
	}
	t.SetColumnConfigs([]table.ColumnConfig{{Number: 1, Align: text.AlignLeft}})
	return t.Render()
}

// orDash is for cells that would look forgotten when empty.
func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
