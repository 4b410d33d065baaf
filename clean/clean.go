// Package clean makes text from outside fit to keep and to show: nodes, devices, PLC, tickets, alerts and operators
// may send anything. What passes is valid UTF-8, bounded, and free of NUL (which Postgres refuses), of control
// characters (which move a terminal's cursor) and of bidirectional controls (which make a text read as another one).
package clean

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds of one text, in bytes.
const (
	MaxLine = 500
	MaxText = 2000
)

// cut marks a text that was longer.
const cut = " ..."

// Line is s as one line of at most MaxLine bytes.
func Line(s string) string {
	return Bounded(strings.ReplaceAll(strings.TrimRight(s, "\r\n"), "\n", " "), MaxLine)
}

// Text is s, which may have several lines, with at most MaxText bytes.
func Text(s string) string { return Bounded(s, MaxText) }

// Bounded is s without what must not pass, cut to at most max bytes. Lines end in a single newline.
func Bounded(s string, max int) string {
	if len(s) > 4*max { // what is cut off anyway need not be read
		s = s[:4*max]
	}
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\r':
			return -1
		case !passes(r):
			return unicode.ReplacementChar
		}
		return r
	}, s)
	if len(s) <= max {
		return s
	}
	end := max - len(cut)
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + cut
}

// Lines are at most max lines, each bounded as by Line; a last line says how many more there were.
func Lines(lines []string, max int, more func(n int) string) []string {
	var out []string
	for _, l := range lines[:min(len(lines), max)] {
		out = append(out, Line(l))
	}
	if n := len(lines) - max; n > 0 {
		out = append(out, more(n))
	}
	return out
}

func passes(r rune) bool {
	switch {
	case r == '\n' || r == '\t':
		return true
	case unicode.IsControl(r):
		return false
	case r >= 0x202A && r <= 0x202E, r >= 0x2066 && r <= 0x2069, r == 0x200E, r == 0x200F, r == 0x061C: // Unicode UAX 9, explicit controls
		return false
	case r == 0x2028, r == 0x2029: // line and paragraph separators end a line for some readers and for others not
		return false
	}
	return true
}

// Is reports whether a text may be kept and shown as it is: it is clean, and has at most max bytes.
func Is(s string, max int) bool { return len(s) <= max && Bounded(s, max) == s }

// Err is err with a text as of Line, for errors that repeat what a machine far away has said. What it wraps stays
// within reach. Nil is nil.
func Err(err error) error {
	if err == nil {
		return nil
	}
	return cleaned{err}
}

type cleaned struct{ error }

func (c cleaned) Error() string { return Line(c.error.Error()) }
func (c cleaned) Unwrap() error { return c.error }

// JSON is encoded JSON with everything escaped that must not pass: a terminal obeys a C1 control inside of a string,
// too.
func JSON(text []byte) []byte {
	var out []byte
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRune(text[i:])
		if r != '\r' && r != '\n' && !passes(r) && r < 0x10000 {
			if out == nil {
				out = append(make([]byte, 0, len(text)+16), text[:i]...)
			}
			out = fmt.Appendf(out, `\u%04x`, r)
		} else if out != nil {
			out = append(out, text[i:i+size]...)
		}
		i += size
	}
	if out == nil {
		return text
	}
	return out
}
