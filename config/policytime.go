package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// PolicyTime is a length of policy time, held as if a policy day lasted 24 hours. It is written as Go writes
// durations, with "d" for days besides: "2d", "0.5d", "1d12h", "5m".
type PolicyTime time.Duration

// PolicyDay is one policy day in policy time.
const PolicyDay = PolicyTime(24 * time.Hour)

// On returns the real time that t lasts when a policy day lasts day.
func (t PolicyTime) On(day time.Duration) time.Duration {
	return time.Duration(math.Round(float64(t) / float64(PolicyDay) * float64(day)))
}

// ParsePolicyTime reads a policy time. It refuses a negative one and a number without a unit.
func ParsePolicyTime(s string) (PolicyTime, error) {
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
		total = n * float64(PolicyDay)
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
	return PolicyTime(math.Round(total)), nil
}

// String writes t in the form that [ParsePolicyTime] reads.
func (t PolicyTime) String() string {
	if t == 0 {
		return "0s"
	}
	if days := float64(t) / float64(PolicyDay); t%(PolicyDay/100) == 0 {
		return strconv.FormatFloat(days, 'f', -1, 64) + "d"
	}
	s := time.Duration(t).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// UnmarshalText reads t for the YAML and environment readers.
func (t *PolicyTime) UnmarshalText(text []byte) error {
	v, err := ParsePolicyTime(string(text))
	if err != nil {
		return err
	}
	*t = v
	return nil
}

// MarshalText writes t for the YAML writer.
func (t PolicyTime) MarshalText() ([]byte, error) { return []byte(t.String()), nil }
