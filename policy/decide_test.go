package policy

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestANoticeGoesOutOnlyOnceInItsTime(t *testing.T) {
	for kind, days := range map[string]float64{
		"down": 3.5, "badhardware": 7, "nodeconfig": 3.5, "oldbootcd": 3.5, "dnserror": 1, "minimalhardware": 7,
		"noblockdevice": 3.5, "pcudown": 3,
		"sitedown": 3.5, "failboot": 3.5, "firewall": 3.5, "pcumissing": 7, "filesystem": 3.5,
	} {
		if d := NoticeDue(numbers, kind, time.Time{}, now); !d.Do {
			t.Errorf("the first %s is held: %s", kind, d.Reason)
		}
		if d := NoticeDue(numbers, kind, ago(days).Add(just), now); d.Do || !d.Until.Equal(now.Add(just)) ||
			!strings.Contains(d.Reason, fmt.Sprintf("%g d", days)) {
			t.Errorf("%s just before %g d: %+v", kind, days, d)
		}
		if d := NoticeDue(numbers, kind, ago(days), now); !d.Do {
			t.Errorf("%s at %g d is held: %s", kind, days, d.Reason)
		}
	}
	if d := NoticeDue(numbers, "penalty", now, now); !d.Do {
		t.Error("a kind without a time is held")
	}
}

func TestWhoIsWrittenTo(t *testing.T) {
	for level, want := range map[int][]string{-1: {"tech"}, 0: {"tech"}, 1: {"tech", "pi"}, 2: {"tech", "pi", "user"},
		3: {"tech", "pi", "user"}} {
		if got := Audience(level); !slices.Equal(got, want) {
			t.Errorf("at level %d: %v", level, got)
		}
	}
}
