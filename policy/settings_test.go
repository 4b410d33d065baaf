package policy

import (
	"math"
	"reflect"
	"slices"
	"testing"
	"time"
)

// wantKeys walks the structs and fills missing with the keys of all fields that the tables lack, or hold under another
// name.
func wantKeys(t *testing.T, prefix string, v reflect.Value, known map[any]string) {
	for i := range v.NumField() {
		key := prefix + v.Type().Field(i).Tag.Get("yaml")
		switch field := v.Field(i); {
		case field.Kind() == reflect.Struct:
			wantKeys(t, key+".", field, known)
		case key == "day" || key == "preset" || key == "notice_every":
		case known[field.Addr().Interface()] != key:
			t.Errorf("%s is in no table of settings under this name, but as %q", key, known[field.Addr().Interface()])
		}
	}
}

func TestTheTablesHoldEverySettingUnderItsKey(t *testing.T) {
	var n Policy
	known := map[any]string{}
	note(known, n.times())
	note(known, n.counts())
	note(known, n.shares())
	note(known, n.lists())
	wantKeys(t, "", reflect.ValueOf(&n).Elem(), known)
}

func note[T any](known map[any]string, list []setting[T]) {
	for _, s := range list {
		known[s.field] = s.key
	}
}

func TestAPolicyInRealTimeIsThatOfTheDay(t *testing.T) {
	for _, day := range []time.Duration{24 * time.Hour, 24 * time.Minute, 3 * time.Second} {
		n := Defaults(24 * time.Hour)
		n.Day = day
		if got, want := n.InRealTime(), Defaults(day); !reflect.DeepEqual(got, want) {
			t.Errorf("a day of %s:\ngot  %+v\nwant %+v", day, got, want)
		}
		if n.OfflineToDown != 48*time.Hour || n.NoticeEvery["down"] != 84*time.Hour {
			t.Errorf("scaling changed the configured policy: %s, %s", n.OfflineToDown, n.NoticeEvery["down"])
		}
	}
}

func TestRealTimeStaysInBounds(t *testing.T) {
	for _, c := range []struct {
		name         string
		day, d, want time.Duration
	}{
		{"a day", 3 * time.Second, 24 * time.Hour, 3 * time.Second},
		{"rounded", 3 * time.Second, 5 * time.Minute, 10416667},
		{"never nothing", time.Second, 1, 1},
		{"nothing", time.Second, 0, 0},
		{"for ever", 1000 * time.Hour, math.MaxInt64, math.MaxInt64},
	} {
		if got := (Policy{Day: c.day}).RealTime(c.d); got != c.want {
			t.Errorf("%s: %s on a day of %s lasts %d, want %d", c.name, c.d, c.day, got, c.want)
		}
	}
}

func TestEveryProblemIsFoundUnderItsKey(t *testing.T) {
	var n Policy // nothing in it can be but what may be zero
	n.PeopleStep = -1
	var keys []string
	for _, p := range n.Problems() {
		keys = append(keys, p.Key)
	}
	for _, key := range []string{"policy.day", "policy.heartbeat_fresh", "policy.guard.window",
		"policy.guard.snapshot_share", "policy.max_reboots", "policy.people_step"} {
		if !slices.Contains(keys, key) {
			t.Errorf("%s is no problem in %v", key, keys)
		}
	}
	for _, key := range []string{"policy.group_wait", "policy.budget.reboots_fleet", "policy.kernels.current"} {
		if slices.Contains(keys, key) {
			t.Errorf("%s is a problem, though it may be zero", key)
		}
	}
}
