package policy

import (
	"testing"
	"time"
)

// TestThePresetOfPLECountsInWeeks walks through the weeks that PlanetLab Europe promised: technicians, then
// investigators, then users.
func TestThePresetOfPLECountsInWeeks(t *testing.T) {
	const week = 7 * 24 * time.Hour
	p, known := Preset(PresetPLE)
	if !known || len(p.Problems()) > 0 {
		t.Fatalf("known %v, %v", known, p.Problems())
	}
	fell := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	r := NodeRecord{Status: StatusOffline, Changed: fell}
	down := InferNode(p.Kernels, NodeLook{SSHFailure: "timeout"})
	for _, c := range []struct {
		after time.Duration
		want  Status
	}{{week - time.Hour, StatusOffline}, {week + time.Hour, StatusDown}} {
		if got, _ := NextNode(p, r, NodeSeen{State: down.State}, fell.Add(c.after)); got.Status != c.want {
			t.Errorf("after %s a node is %s, want %s", c.after, got.Status, c.want)
		}
	}
	if p.PeopleStep != week || p.PenaltyStep != week || p.SiteDownBeforePenalty > week {
		t.Errorf("the steps are %s and %s, after %s", p.PeopleStep, p.PenaltyStep, p.SiteDownBeforePenalty)
	}
	if _, known := Preset("nonsense"); known {
		t.Error("a preset that is none is known")
	}
	if mine, _ := Preset(PresetMyOps); mine.OfflineToDown != 48*time.Hour {
		t.Errorf("the default tells a site after %s", mine.OfflineToDown)
	}
}
