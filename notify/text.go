package notify

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"
)

const (
	width      = 76   // columns of a line, as mail has them
	longest    = 1000 // characters of one fact
	mostLines  = 20   // facts under one heading
	maxSubject = 150  // characters of a subject
)

// line makes text from outside one printable line.
func line(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Zl, r) ||
			unicode.Is(unicode.Zp, r) ||
			r == unicode.ReplacementChar {
			return ' '
		}
		return r
	}, text)
	return cut(strings.Join(strings.Fields(text), " "), longest)
}

func cut(text string, most int) string {
	if r := []rune(text); len(r) > most {
		return string(r[:most]) + "…"
	}
	return text
}

// lines cleans a list of facts, drops the empty ones, and says how many it left out.
func lines(facts []string) []string {
	var kept []string
	for _, fact := range facts {
		if fact = line(fact); fact != "" {
			kept = append(kept, fact)
		}
	}
	if over := len(kept) - mostLines; over > 0 {
		kept = append(kept[:mostLines], fmt.Sprintf("and %d more", over))
	}
	return kept
}

// plainWord is what no shell reads anything into.
var plainWord = regexp.MustCompile(`^[A-Za-z0-9_./:@%+=,][A-Za-z0-9_./:@%+=,-]*$`)

// paste makes text from outside one word of a shell, for commands that people paste: names in PLC may hold anything.
func paste(text string) string {
	if text = line(text); plainWord.MatchString(text) {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// wrap fills text into lines.
func wrap(text string) string { return hang("", text) }

// points writes a list, one point an entry. Its lines begin without a space: Request Tracker makes quotes of those that
// do.
func points(facts []string) string {
	out := make([]string, len(facts))
	for i, fact := range facts {
		out[i] = hang("- ", fact)
	}
	return strings.Join(out, "\n")
}

// hang fills text into lines, the first of which begins with first.
func hang(first, text string) string {
	var out strings.Builder
	out.WriteString(first)
	column := len([]rune(first))
	for i, word := range strings.Fields(text) {
		size := len([]rune(word))
		if i > 0 && column+1+size > width {
			out.WriteByte('\n')
			column = 0
		} else if i > 0 {
			out.WriteByte(' ')
			column++
		}
		out.WriteString(word)
		column += size
	}
	return out.String()
}

// tidy leaves one empty line where templates left several, and no spaces at the ends of lines.
func tidy(text string) string {
	var out []string
	for l := range strings.SplitSeq(text, "\n") {
		l = strings.TrimRight(l, " ")
		if l == "" && (len(out) == 0 || out[len(out)-1] == "") {
			continue
		}
		out = append(out, l)
	}
	return strings.TrimRight(strings.Join(out, "\n"), "\n") + "\n"
}
