package clean

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
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
		"a line separator: replaced":    {"a\u2028b", "a�b"},
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

func TestErrorsOfOthersAreCleanAndKeepWhatTheyWrap(t *testing.T) {
	err := Err(fmt.Errorf("read %s: %w", "\x1b[2J\x00"+strings.Repeat("x", 5000), io.ErrUnexpectedEOF))
	if text := err.Error(); len(text) > MaxLine || !Is(text, MaxLine) {
		t.Errorf("%d bytes: %q", len(text), text)
	}
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error("what it wraps is lost")
	}
	if Err(nil) != nil {
		t.Error("no error became one")
	}
}

func TestJSONIsPrintedWithoutControls(t *testing.T) {
	text := []byte("{\"a\": \"x\u009b2J\u202ey\",\n\t\"b\": \"é\"}\n")
	want := "{\"a\": \"x\\u009b2J\\u202ey\",\n\t\"b\": \"é\"}\n"
	if got := string(JSON(text)); got != want {
		t.Errorf("%q", got)
	}
	var is, was map[string]string
	if err := errors.Join(json.Unmarshal(JSON(text), &is), json.Unmarshal(text, &was)); err != nil || !maps.Equal(is, was) {
		t.Errorf("it means something else: %q, %v", is, err)
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
