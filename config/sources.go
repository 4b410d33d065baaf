package config

import (
	"strings"
	"time"

	"github.com/planetlab/monitor/sources"
)

// Sources are what others know of nodes, read once a sweep.
type Sources struct {
	// Timeout bounds one reading of one source.
	Timeout time.Duration `yaml:"timeout"`
	// Fresh is how old a fact may be.
	Fresh      time.Duration    `yaml:"fresh"`
	Prometheus PrometheusSource `yaml:"prometheus"`
	Table      TableSource      `yaml:"table"`
	Lines      LinesSource      `yaml:"lines"`
}

// PrometheusSource is a server of Prometheus, and a query for each fact.
type PrometheusSource struct {
	URL       string            `yaml:"url"`
	Token     Secret            `yaml:"token"`
	TokenFile string            `yaml:"token_file"`
	Label     string            `yaml:"label"`
	Queries   map[string]string `yaml:"queries"`
}

// TableSource is a table of comma-separated values over HTTP, and the column of each fact.
type TableSource struct {
	URL     string            `yaml:"url"`
	Node    string            `yaml:"node"`
	Columns map[string]string `yaml:"columns"`
}

// LinesSource is a command, or a file, with lines of JSON.
type LinesSource struct {
	Command []string `yaml:"command"`
	File    string   `yaml:"file"`
}

// mostSourceTime leaves a sweep its time.
const mostSourceTime = 2 * time.Minute

func (c Sources) problems(check func(ok bool, path, format string, args ...any), own map[string]string) {
	check(c.Timeout > 0 && c.Timeout <= mostSourceTime, "sources.timeout", "must be above zero and at most %s, not %s",
		mostSourceTime, c.Timeout)
	check(c.Fresh > 0, "sources.fresh", "must be above zero, not %s", c.Fresh)
	address := func(path, url string, facts map[string]string) {
		check(url == "" || isHTTP(url), path+".url", "must be an http or https URL without user and password")
		check((url == "") == (len(facts) == 0), path, "needs a url, and a fact that is read there")
	}
	address("sources.prometheus", c.Prometheus.URL, c.Prometheus.Queries)
	address("sources.table", c.Table.URL, c.Table.Columns)
	check(c.Prometheus.Token == "" || travelsSafely(c.Prometheus.URL), "sources.prometheus.url",
		"must be https, unless it is on this machine, since a token must not travel in the clear")
	check(len(c.Lines.Command) == 0 || c.Lines.File == "", "sources.lines.command",
		"set it or sources.lines.file, not both")
	taken := map[string]string{}
	for name := range own {
		taken[name] = "probe.facts"
	}
	facts := func(path string, list map[string]string) {
		check(len(list) <= sources.MostNames, path, "has %d facts, and may have %d", len(list), sources.MostNames)
		for name, from := range list {
			why := sources.ProblemOf(name)
			check(why == "", path, "%s: %s", name, why)
			check(strings.TrimSpace(from) != "", path, "%s: nothing says where it is read", name)
			check(taken[name] == "", path, "%s: %s has a fact of this name", name, taken[name])
		}
		for name := range list {
			taken[name] = path
		}
	}
	facts("sources.prometheus.queries", c.Prometheus.Queries)
	facts("sources.table.columns", c.Table.Columns)
}
