// Package metrics is what Monitor tells Prometheus: its series, what the store holds at the moment of a scrape, and what
// a worker has counted since it started. Every series that can be named beforehand exists from the first scrape on, at
// zero, so that rules and graphs never mistake "nothing yet" for "not measured".
package metrics

import (
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/pcucontrol"
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/store"
)

// Kind is a Prometheus type.
type Kind string

// The kinds of series.
const (
	Gauge     Kind = "gauge"
	Counter   Kind = "counter"
	Histogram Kind = "histogram"
)

// Series is one metric with its labels.
type Series struct {
	Name   string
	Kind   Kind
	Help   string
	Labels []Label
	// Each worker counts for itself since it started: sum over them. All others are read from the store, and any
	// worker answers the same.
	Worker bool
}

// Label is a label and all the values that it may have.
type Label struct {
	Name   string
	Values []string
}

const (
	unknown = "unknown" // never judged
	other   = "other"
	open    = "open" // an action that has not ended
)

// The series, by name.
const (
	build     = "monitor_build_info"
	storeUp   = "monitor_store_up"
	scrape    = "monitor_store_scrape_seconds"
	interval  = "monitor_sweep_interval_seconds"
	ended     = "monitor_sweep_ended_timestamp_seconds"
	believed  = "monitor_sweep_believed_timestamp_seconds"
	lasted    = "monitor_sweep_duration_seconds"
	swept     = "monitor_sweep"
	snapshot  = "monitor_snapshot_timestamp_seconds"
	guard     = "monitor_guard_holding"
	doubts    = "monitor_guard_doubts"
	mode      = "monitor_mode"
	stopped   = "monitor_stopped"
	nodes     = "monitor_nodes"
	pcus      = "monitor_pcus"
	sites     = "monitor_sites"
	issues    = "monitor_issues_open"
	waiting   = "monitor_issues_waiting"
	penalties = "monitor_sites_penalty_level"
	claims    = "monitor_claims"
	actions   = "monitor_actions_day"
	undecided = "monitor_actions_unfinished"
	limit     = "monitor_budget_limit"
	used      = "monitor_budget_used"
	rungs     = "monitor_rungs_total"
	over      = "monitor_issues_ended_total"
	repair    = "monitor_repair_seconds"
	calls     = "monitor_call_seconds"
	failures  = "monitor_call_errors_total"
	received  = "monitor_alerts_total"
)

// All are the series that Monitor has of its own, in the order of docs/metrics.md.
func All() []Series {
	return slices.Concat(ofTheWatch(), ofTheFleet(), ofTheActs(), ofTheOutside())
}

func ofTheWatch() []Series {
	return []Series{
		{build, Gauge, "1, with the build of this worker.", []Label{{Name: "version"}, {Name: "revision"},
			{Name: "goversion"}}, true},
		{storeUp, Gauge, "1 while Postgres answers this worker; at 0 all that is read from it is missing.", nil, true},
		{scrape, Gauge, "How long Postgres took for this scrape.", nil, true},
		{interval, Gauge, "How often the fleet is looked at, as configured.", nil, true},
		{ended, Gauge, "When the last sweep ended; 0: never.", nil, false},
		{believed, Gauge, "When the last believed sweep ended, on which the lease to act stands; 0: never.", nil, false},
		{lasted, Gauge, "How long the last sweep took.", nil, false},
		{swept, Gauge, "What the last sweep counted.", []Label{{"what", sweepCounts()}}, false},
		{snapshot, Gauge, "When PLC was last read; 0: never.", nil, false},
		{guard, Gauge, "1 while the fleet guard holds everything back: the last sweep is not believed.", nil, false},
		{doubts, Gauge, "1 for an issue type, or for a rule (nodefact/NAME), of which the last sweep believes nothing.", []Label{{"type", types()}}, false},
		{mode, Gauge, "1 for the mode in force for the fleet.", []Label{{"mode", modes()}}, false},
		{stopped, Gauge, "1 while an operator has stopped Monitor.", nil, false},
	}
}

func ofTheFleet() []Series {
	level := Label{"level", []string{"0", "1", "2"}}
	return []Series{
		{nodes, Gauge, "Nodes that PLC has, by status.", []Label{{"status", nodeStatuses()}}, false},
		{pcus, Gauge, "PCUs that PLC has, by status.", []Label{{"status", pcuStatuses()}}, false},
		{sites, Gauge, "Sites that PLC has, by status.", []Label{{"status", siteStatuses()}}, false},
		{issues, Gauge, "Issues that are not closed.", []Label{{"type", types()},
			{"status", []string{string(issue.Open), string(issue.Paused)}}}, false},
		{waiting, Gauge, "Issues whose next step waits, by the check of the gate that holds it.",
			[]Label{{"check", checks()}}, false},
		{penalties, Gauge, "Sites by penalty level.", []Label{level}, false},
		{claims, Gauge, "What Monitor holds in the world and is to undo one day.", []Label{{"kind", claimKinds()}}, false},
	}
}

func ofTheActs() []Series {
	budgets := []Label{{"act", []string{"reboot", "reinstall", "penalty"}}}
	return []Series{
		{actions, Gauge, "Lines of the ledger of the last policy day, by outcome; open: not ended yet.",
			[]Label{{"kind", actionKinds()}, {"outcome", append(store.Outcomes(), open)}}, false},
		{undecided, Gauge, "Actions that were begun a while ago, and of which nobody knows yet what became.", nil, false},
		{limit, Gauge, "How many acts the fleet's budget allows in a policy hour.", budgets, false},
		{used, Gauge, "How many of them are spent.", budgets, false},
		{rungs, Counter, "Rungs that answered, by outcome.", []Label{{"rung", rungNames()}, {"outcome", outcomes()}}, true},
		{over, Counter, "Issues that ended, by how.", []Label{{"end", ends()}}, true},
		{repair, Histogram, "How long an issue was open whose target is good again, by what was done last.",
			[]Label{{"credit", names(issue.Credits()...)}}, true},
	}
}

func ofTheOutside() []Series {
	return []Series{
		{calls, Histogram, "How long calls to others took.", []Label{{"service", services()}}, true},
		{failures, Counter, "Calls to others that failed, by how.", []Label{{"service", services()},
			{Name: "error"}}, true},
		{received, Counter, "Alerts received from Alertmanager, by what became of them.",
			[]Label{{"outcome", []string{"opened", "cleared", "ignored", "unknown", "failed"}}}, true},
	}
}

// Names are the names of a series under which samples are stored.
func (s Series) Names() []string {
	if s.Kind == Histogram {
		return []string{s.Name + "_bucket", s.Name + "_sum", s.Name + "_count"}
	}
	return []string{s.Name}
}

func (s Series) labelNames() []string {
	var names []string
	for _, l := range s.Labels {
		names = append(names, l.Name)
	}
	return names
}

func (s Series) desc() *prometheus.Desc {
	return prometheus.NewDesc(s.Name, s.Help, s.labelNames(), nil)
}

// named finds a series.
func named(name string) Series {
	all := All()
	return all[slices.IndexFunc(all, func(s Series) bool { return s.Name == name })]
}

func names[T ~string](list ...T) []string {
	var out []string
	for _, v := range list {
		out = append(out, string(v))
	}
	return out
}

func types() []string {
	var out []string
	for _, t := range issue.Types() {
		out = append(out, t.Name)
	}
	return out
}

func checks() []string {
	var out []string
	for _, c := range policy.Gate() {
		out = append(out, c.Name)
	}
	return append(out, other)
}

func sweepCounts() []string {
	return []string{"nodes", "up", "pcus", "unseen", "unseen_pcus", "unreadable"}
}

func modes() []string { return names(policy.ModeObserve, policy.ModeAct) }

func pcuStatuses() []string {
	return append(names(policy.StatusGood, policy.StatusOnline, policy.StatusOffline, policy.StatusDown), unknown)
}

func nodeStatuses() []string {
	return append(names(policy.StatusGood, policy.StatusOnline, policy.StatusOffline, policy.StatusDown,
		policy.StatusFailboot, policy.StatusSafeboot, policy.StatusDisabled), unknown)
}

func siteStatuses() []string {
	return append(names(policy.StatusGood, policy.StatusOnline, policy.StatusOffline, policy.StatusDown,
		policy.StatusNew), unknown)
}

func actionKinds() []string { return names(store.ActionKinds()...) }
func claimKinds() []string  { return names(store.ClaimKinds()...) }

func rungNames() []string {
	return names(issue.Reboot, issue.Reinstall, issue.OpenPCUDown, issue.Disable, issue.Email, issue.Flag, issue.Bootman)
}

func outcomes() []string {
	return append(names(issue.Acted, issue.Passed, issue.Wait, issue.Recovered, issue.Gone, issue.Stopped), "error")
}

func ends() []string {
	return names(issue.EndRecovered, issue.EndGone, issue.EndOperator, issue.EndCancelled, issue.EndLost)
}

func services() []string { return []string{PLC, RT, SMTP, PCU} }

// errorsOf are the ways in which calls to a service fail.
func errorsOf(service string) []string {
	switch service {
	case SMTP:
		return []string{"temporary", "permanent", "auth", "tls", "ambiguous", other}
	case PCU:
		return append(names(pcucontrol.Auth, pcucontrol.NoOutlet, pcucontrol.Busy, pcucontrol.Refused,
			pcucontrol.Timeout, pcucontrol.Unreachable, pcucontrol.Unexpected, pcucontrol.Ambiguous,
			pcucontrol.UnknownModel, pcucontrol.Unsupported), other)
	}
	return []string{"unavailable", "refused"}
}
