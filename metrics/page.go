package metrics

import (
	"fmt"
	"strings"
)

const pageBegins = `# Metrics

A worker answers Prometheus at ` + "`metrics.listen`" + ` (127.0.0.1:9464 as it comes), ` + "`/metrics`" + `. This page lists Monitor's own series; ` + "`go test ./metrics -run Page -update`" + ` writes it from
` + "`metrics/series.go`" + `. Beside them stand those of the Go runtime (` + "`go_*`" + `), of the process (` + "`process_*`" + `), and of the Temporal SDK
(` + "`temporal_*`" + `, as Temporal's own dashboards expect them).

- Every series with named values **exists from the first scrape on, at zero**.
- *Of the fleet*: read from Postgres at the scrape. Every worker answers the same, so take ` + "`max`" + ` over workers. While Postgres is away they are missing, and ` + "`monitor_store_up`" + ` is 0.
- *Of the worker*: what this worker counted since it started. Take ` + "`sum`" + ` over workers, of ` + "`rate`" + ` or ` + "`increase`" + `.
- No series has a name of a node, site or PCU in it: which ones they are, ` + "`monitor status`" + ` and ` + "`monitor query`" + ` say.
- A scrape costs less than 50 ms and 100 kB at 10,000 nodes, with what Go and Temporal's SDK tell: ` + "`bin/monitor-testbed bench --part metrics`" + `
  measures the time, and ` + "`make smoke`" + ` the size, once every type of activity has run. Of the SDK's series the most numerous (requests and
  polls by attempt, end-to-end and replay latencies) are left out.

` + "`/healthz`" + ` at the same port answers 200 while the process lives: restart it when it does not. ` + "`/readyz`" + ` answers 200 while Postgres and Temporal answer and the last sweep is younger than two
intervals, else 503; it has a line for each. Neither needs Postgres or Temporal to be there. The rules for alerts are in
[packaging/prometheus/monitor.rules.yml](../packaging/prometheus/monitor.rules.yml) and explained in [alerts.md](alerts.md), the dashboard is
[packaging/grafana/monitor.json](../packaging/grafana/monitor.json).

`

// Page is docs/metrics.md.
func Page() string {
	var b strings.Builder
	b.WriteString(pageBegins)
	b.WriteString("| series | type | of the | labels | what it says |\n|---|---|---|---|---|\n")
	for _, s := range All() {
		of := "fleet"
		if s.Worker {
			of = "worker"
		}
		var labels []string
		for _, l := range s.Labels {
			text := "`" + l.Name + "`"
			if len(l.Values) > 0 {
				text += ": " + strings.Join(l.Values, ", ")
			}
			labels = append(labels, text)
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", s.Name, s.Kind, of, strings.Join(labels, "; "), s.Help)
	}
	b.WriteString("\nThe values of `error` in `" + failures + "`:\n\n| service | errors |\n|---|---|\n")
	for _, service := range services() {
		fmt.Fprintf(&b, "| %s | %s |\n", service, strings.Join(errorsOf(service), ", "))
	}
	return b.String()
}
