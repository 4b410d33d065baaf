package policy

import "time"

// The presets: named sets of numbers that belong together. Each number can still be set on its own.
const (
	PresetMyOps = "myops" // of the original policy: a site is told after two days
	PresetPLE   = "ple"   // of PlanetLab Europe: in weeks
)

// Presets are the names that a configuration may give.
func Presets() []string { return []string{PresetMyOps, PresetPLE} }

// Preset is the policy of a name, as a configuration holds it; false: there is none.
//
// PlanetLab Europe promised its sites weeks: the technicians hear of a node after one, the investigators in the second,
// and
// the users in the third, when the slices are suspended. Machines are worked on from the first day as everywhere.
func Preset(name string) (Policy, bool) {
	n := configured()
	switch name {
	case PresetMyOps:
		return n, true
	case PresetPLE:
		const week = 7 * 24 * time.Hour
		n.Preset = name
		n.OfflineToDown, n.PCUOfflineToDown, n.TroubleAfter = week, week, week
		n.PeopleStep, n.PenaltyStep, n.SiteDownBeforePenalty = week, week, week
		for kind := range n.NoticeEvery {
			n.NoticeEvery[kind] = week
		}
		return n, true
	}
	return Policy{}, false
}
