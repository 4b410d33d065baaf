package spelling

import (
	"strings"
	"testing"
)

func TestDistanceCountsMistakes(t *testing.T) {
	for _, c := range []struct {
		from, to string
		want     int
	}{
		{"", "", 0}, {"", "apc", 3}, {"APC", "apc", 0},
		{"apcs", "apc", 1}, {"ac", "apc", 1}, {"abc", "apc", 1}, {"acp", "apc", 1}, {"openimpi", "OpenIPMI", 1},
		{"kitten", "sitting", 3}, {"größe", "grösse", 2},
		{strings.Repeat("x", 101), strings.Repeat("x", 101), 101},
	} {
		if got := Distance(c.from, c.to); got != c.want {
			t.Errorf("from %q to %q it is %d, not %d", c.from, c.to, got, c.want)
		}
		if back := Distance(c.to, c.from); back != c.want {
			t.Errorf("from %q back to %q it is %d, not %d", c.to, c.from, back, c.want)
		}
	}
}
