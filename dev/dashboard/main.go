// Dashboard writes packaging/grafana/monitor.json, the Grafana dashboard of Monitor. `make docs` runs it; a test of package metrics
// holds its expressions against the series that exist.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: dashboard FILE")
		os.Exit(2)
	}
	if err := write(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "dashboard:", err)
		os.Exit(1)
	}
}

func write(file string) error {
	board, err := build()
	if err != nil {
		return err
	}
	text, err := json.MarshalIndent(board, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(text, '\n'), 0o644)
}

// graph is one panel: what it shows, over which expression, and how its lines are named.
type graph struct {
	title, about, expr, legend, unit string
	stacked                          bool
}

// build makes the first kind of dashboard, which every Grafana imports; the second is for those from version 12 on.
//
//lint:ignore SA1019 older servers know no other
func build() (dashboard.Dashboard, error) {
	//lint:ignore SA1019 older servers know no other
	b := dashboard.NewDashboardBuilder("Monitor").Uid("planetlab-monitor").Tags([]string{"monitor"}).
		Description("What Monitor sees, does and waits for. Its series are in docs/metrics.md, its alerts in docs/alerts.md.").
		Refresh("1m").Time("now-24h", "now").Readonly().Tooltip(dashboard.DashboardCursorSyncCrosshair).
		WithVariable(dashboard.NewDatasourceVariableBuilder("datasource").Label("Prometheus").Type("prometheus"))
	b.WithRow(dashboard.NewRowBuilder("May Monitor act?"))
	for _, s := range numbers() {
		b.WithPanel(number(s))
	}
	for _, row := range rows() {
		b.WithRow(dashboard.NewRowBuilder(row.title))
		for _, g := range row.graphs {
			b.WithPanel(lines(g))
		}
	}
	return b.Build()
}

func numbers() []graph {
	return []graph{
		{title: "Since the last believed sweep", about: "Above two intervals Monitor does not act.", expr: "time() - max(monitor_sweep_believed_timestamp_seconds)", unit: "s"},
		{title: "Guard holds", about: "1: the last sweep is not believed.", expr: "max(monitor_guard_holding)", unit: "bool_yes_no"},
		{title: "Stopped", about: "1: an operator stopped Monitor.", expr: "max(monitor_stopped)", unit: "bool_yes_no"},
		{title: "Acts", about: "1: the mode is act.", expr: `max(monitor_mode{mode="act"})`, unit: "bool_yes_no"},
		{title: "Outlets owed on", about: "Machines that may be without power because of us.", expr: `max(monitor_claims{kind="outlet"})`, unit: "short"},
		{title: "Workers", expr: "count(monitor_build_info)", unit: "short"},
	}
}

type boardRow struct {
	title  string
	graphs []graph
}

func rows() []boardRow {
	return []boardRow{
		{"The fleet", []graph{
			{title: "Nodes by status", expr: "max by (status) (monitor_nodes)", legend: "{{status}}", unit: "short", stacked: true},
			{title: "PCUs by status", expr: "max by (status) (monitor_pcus)", legend: "{{status}}", unit: "short", stacked: true},
			{title: "Sites by status", expr: "max by (status) (monitor_sites)", legend: "{{status}}", unit: "short", stacked: true},
			{title: "Sites by penalty level", expr: `max by (level) (monitor_sites_penalty_level{level!="0"})`, legend: "level {{level}}", unit: "short", stacked: true},
		}},
		{"Issues", []graph{
			{title: "Open issues by type", expr: "max by (type) (sum without (status) (monitor_issues_open)) > 0", legend: "{{type}}", unit: "short", stacked: true},
			{title: "Why they wait", about: "The check of the gate that holds the next step.", expr: "max by (check) (monitor_issues_waiting) > 0", legend: "{{check}}", unit: "short", stacked: true},
			{title: "Time to repair", about: "Half of those whose target is good again took no longer, by what was done last.", expr: "histogram_quantile(0.5, sum by (credit, le) (increase(monitor_repair_seconds_bucket[7d])))", legend: "{{credit}}", unit: "s"},
			{title: "How issues ended", expr: "sum by (end) (increase(monitor_issues_ended_total[1d]))", legend: "{{end}}", unit: "short", stacked: true},
		}},
		{"Acts", []graph{
			{title: "Done in the last day", expr: `max by (kind) (sum without (outcome) (monitor_actions_day{kind!="skip", outcome=~"done|sent|asked"})) > 0`, legend: "{{kind}}", unit: "short", stacked: true},
			{title: "Failed or ambiguous in the last day", expr: `max by (kind, outcome) (monitor_actions_day{outcome=~"failed|refused|ambiguous"}) > 0`, legend: "{{kind}} {{outcome}}", unit: "short", stacked: true},
			{title: "Share of the hour's budget", expr: "max by (act) (monitor_budget_used) / max by (act) (monitor_budget_limit)", legend: "{{act}}", unit: "percentunit"},
			{title: "Rungs by outcome", expr: "sum by (rung, outcome) (increase(monitor_rungs_total[1h])) > 0", legend: "{{rung}} {{outcome}}", unit: "short", stacked: true},
		}},
		{"Those that Monitor calls", []graph{
			{title: "Errors", expr: "sum by (service, error) (rate(monitor_call_errors_total[15m])) > 0", legend: "{{service}} {{error}}", unit: "ops"},
			{title: "How long a call takes", about: "Nine of ten take no longer.", expr: "histogram_quantile(0.9, sum by (service, le) (rate(monitor_call_seconds_bucket[15m])))", legend: "{{service}}", unit: "s"},
		}},
		{"The workers", []graph{
			{title: "How long a sweep takes", expr: "max(monitor_sweep_duration_seconds)", legend: "last sweep", unit: "s"},
			{title: "Seen in the last sweep", expr: "max by (what) (monitor_sweep)", legend: "{{what}}", unit: "short"},
			{title: "Memory", expr: "process_resident_memory_bytes and on (instance) monitor_build_info", legend: "{{instance}}", unit: "bytes"},
			{title: "Postgres at a scrape", expr: "monitor_store_scrape_seconds", legend: "{{instance}}", unit: "s"},
		}},
	}
}

func source() common.DataSourceRef {
	return common.DataSourceRef{Type: cog.ToPtr("prometheus"), Uid: cog.ToPtr("${datasource}")}
}

func query(g graph) *prometheus.DataqueryBuilder {
	return prometheus.NewDataqueryBuilder().Expr(g.expr).LegendFormat(g.legend).Datasource(source())
}

func number(g graph) *stat.PanelBuilder {
	return stat.NewPanelBuilder().Title(g.title).Description(g.about).Unit(g.unit).Datasource(source()).
		Height(4).Span(4).WithTarget(query(g).Instant())
}

func lines(g graph) *timeseries.PanelBuilder {
	p := timeseries.NewPanelBuilder().Title(g.title).Description(g.about).Unit(g.unit).Datasource(source()).
		Height(8).Span(12).Min(0).FillOpacity(10).WithTarget(query(g).Range())
	if g.stacked {
		p.Stacking(common.NewStackingConfigBuilder().Mode(common.StackingModeNormal)).FillOpacity(40)
	}
	return p
}
