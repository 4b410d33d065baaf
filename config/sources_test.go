package config

import (
	"strings"
	"testing"
)

func TestSourcesThatCannotBeAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"no query":          {func(c *Config) { c.Sources.Prometheus.URL = "http://127.0.0.1" }, "needs a url, and a fact"},
		"no URL":            {func(c *Config) { c.Sources.Table.Columns = map[string]string{"rack": "rack"} }, "needs a url, and a fact"},
		"a slow one":        {func(c *Config) { c.Sources.Timeout = mostSourceTime + 1 }, "sources.timeout"},
		"a name of looks":   {func(c *Config) { table(c, "kernel") }, "kernel: every look has a fact of this name already"},
		"a name taken":      {func(c *Config) { table(c, "disk"); c.Probe.Facts = map[string]string{"disk": "df"} }, "probe.facts has a fact"},
		"command and file":  {func(c *Config) { c.Sources.Lines = LinesSource{Command: []string{"a"}, File: "b"} }, "not both"},
		"a token in clear":  {func(c *Config) { prometheus(c, "http://prometheus.example") }, "must not travel in the clear"},
		"a password in URL": {func(c *Config) { prometheus(c, "https://u:p@prometheus.example") }, "without user and password"},
	} {
		cfg := Default()
		c.change(&cfg)
		if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
	cfg := Default()
	table(&cfg, "rack")
	prometheus(&cfg, "https://prometheus.example")
	if err := cfg.Validate(); err != nil {
		t.Error(err)
	}
}

func table(c *Config, fact string) {
	c.Sources.Table.URL, c.Sources.Table.Columns = "http://comon.example", map[string]string{fact: "x"}
}

func prometheus(c *Config, url string) {
	c.Sources.Prometheus.URL, c.Sources.Prometheus.Token = url, "secret"
	c.Sources.Prometheus.Queries = map[string]string{"load": "load"}
}
