package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// policyDay is the length of a policy day in policy time. How long it really lasts is policy.day.
const policyDay = 24 * time.Hour

// countsPolicyDays reports whether the times of a setting are policy times, which know days.
func countsPolicyDays(path string) bool {
	return path != "policy.day" && (strings.HasPrefix(path, "policy.") || strings.HasPrefix(path, "sweep.") ||
		strings.HasPrefix(path, "retention."))
}

// ParsePolicyTime reads a length of policy time, as if a policy day lasted 24 hours: Go's form of durations, with "d" for days
// before the rest, such as "2d", "0.5d", "1d12h" or "5m". It refuses a negative one and a number without a unit.
func ParsePolicyTime(s string) (time.Duration, error) {
	bad := fmt.Errorf("%q is not a policy time such as 2d, 0.5d, 1d12h or 5m", s)
	days, rest, hasDays := strings.Cut(s, "d")
	if !hasDays {
		days, rest = "", s
	}
	var total float64
	if hasDays {
		n, err := strconv.ParseFloat(days, 64)
		if err != nil || math.IsNaN(n) {
			return 0, bad
		}
		total = n * float64(policyDay)
	}
	if rest != "" || !hasDays {
		d, err := time.ParseDuration(rest)
		if err != nil {
			return 0, bad
		}
		if d < 0 {
			return 0, fmt.Errorf("%q is negative", s)
		}
		total += float64(d)
	}
	if total < 0 {
		return 0, fmt.Errorf("%q is negative", s)
	}
	if total >= math.MaxInt64 {
		return 0, fmt.Errorf("%q is too long", s)
	}
	return time.Duration(math.Round(total)), nil
}

// parseRealTime reads a duration of real time.
func parseRealTime(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil {
		return 0, fmt.Errorf("%q is not a duration such as 30s, 5m or 24h", s)
	}
	return d, nil
}
