package web

import (
	"regexp"
	"strconv"
	"strings"
	"time"
)

var spanText = regexp.MustCompile(`^(\d+(?:\.\d+)?)\s*(d|h|m|min)$`)

// moment reads a time ahead, as the command line does: 3d and 12h are policy time, which is real time unless the day of
// the policy is shortened, as in a demo; a date without a zone is UTC.
func (s *Server) moment(text string, now time.Time) (time.Time, error) {
	text = strings.TrimSpace(text)
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04", "2006-01-02 15:04", "2006-01-02 15:04 UTC", time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return ahead(t.UTC(), text, now)
		}
	}
	m := spanText.FindStringSubmatch(text)
	if m == nil {
		return time.Time{}, badInput("%q is no time: write 3d, 12h, 2026-12-24 or 2026-12-24T15:00Z", text)
	}
	n, err := strconv.ParseFloat(m[1], 64)
	unit := map[string]time.Duration{"d": s.Policy.Day, "h": s.Policy.Day / 24, "m": s.Policy.Day / 1440, "min": s.Policy.Day / 1440}[m[2]]
	if err != nil || n > 100_000 {
		return time.Time{}, badInput("%q is too long", text)
	}
	return ahead(now.Add(time.Duration(n*float64(unit))).UTC(), text, now)
}

func ahead(t time.Time, text string, now time.Time) (time.Time, error) {
	if !t.After(now) {
		return t, badInput("%q lies in the past", text)
	}
	return t, nil
}
