package clean

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestBounded(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"plain text: as it is":          {"no route to host", "no route to host"},
		"a NUL: replaced":               {"a\x00b", "a�b"},
		"an escape: replaced":           {"\x1b[31mred", "�[31mred"},
		"a C1 control: replaced":        {"a\u009bb", "a�b"},
		"a bidirectional one: replaced": {"a\u202eb", "a�b"},
		"bytes that are no UTF-8":       {"a\xffb", "a�b"},
		"CR LF: one newline":            {"a\r\nb", "a\nb"},
		"too long: cut":                 {strings.Repeat("x", 30), strings.Repeat("x", 16) + " ..."},
		"cut between runes":             {strings.Repeat("é", 15), strings.Repeat("é", 8) + " ..."},
	} {
		if got := Bounded(c.in, 20); got != c.want {
			t.Errorf("%s: Bounded(%q) = %q, want %q", name, c.in, got, c.want)
		}
	}
}

func FuzzBounded(f *testing.F) {
	f.Add("a\x00\xff\u202e", 10)
	f.Fuzz(func(t *testing.T, s string, max int) {
		if max < len(cut) || max > 1<<16 {
			return
		}
		got := Bounded(s, max)
		if len(got) > max || !utf8.ValidString(got) || strings.ContainsAny(got, "\x00\x1b\r") {
			t.Errorf("Bounded(%q, %d) = %q", s, max, got)
		}
		if again := Bounded(got, max); again != got {
			t.Errorf("cleaning %q once more gives %q", got, again)
		}
	})
}
