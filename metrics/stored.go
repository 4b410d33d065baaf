package metrics

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/store"
)

// Stored is what the store holds at the moment of the scrape, counted there.
type Stored struct {
	Store  *store.Store
	Policy policy.Policy
	Mode   policy.Mode // as configured
	Every  time.Duration
	Log    *slog.Logger

	descs sync.Map // of series, by name
}

// scrapeTime bounds what a scrape waits for Postgres: Prometheus itself gives up after ten seconds.
const scrapeTime = 8 * time.Second

// Describe names the series.
func (s *Stored) Describe(ch chan<- *prometheus.Desc) {
	for _, series := range All() {
		if !series.Worker || series.Name == storeUp || series.Name == scrape || series.Name == interval {
			ch <- s.desc(series.Name)
		}
	}
}

func (s *Stored) desc(name string) *prometheus.Desc {
	if d, known := s.descs.Load(name); known {
		return d.(*prometheus.Desc)
	}
	d, _ := s.descs.LoadOrStore(name, named(name).desc())
	return d.(*prometheus.Desc)
}

// Collect asks the store once. While Postgres is away only that is told: what is not known has no value.
func (s *Stored) Collect(ch chan<- prometheus.Metric) {
	set := func(name string, value float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(s.desc(name), prometheus.GaugeValue, value, labels...)
	}
	set(interval, s.Every.Seconds())
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTime)
	defer cancel()
	start := time.Now()
	f, err := s.Store.Figures(ctx, start.Add(-s.Policy.Day), start.Add(-s.Policy.Hour()))
	set(scrape, time.Since(start).Seconds())
	set(storeUp, yes(err == nil))
	if err != nil {
		s.Log.Warn("Postgres cannot be counted for the metrics", "error", err)
		return
	}
	s.watch(f, set)
	s.fleet(f, set)
	s.acts(f, set)
}

type setter func(name string, value float64, labels ...string)

func (s *Stored) watch(f store.Figures, set setter) {
	set(ended, unix(f.Last.Ended))
	set(believed, unix(f.Believed))
	set(snapshot, unix(f.Snapshot))
	took := 0.0
	if !f.Last.Ended.IsZero() {
		took = f.Last.Ended.Sub(f.Last.Started).Seconds()
	}
	set(lasted, took)
	for _, what := range sweepCounts() {
		set(swept, float64(f.Last.Counts[what]), what)
	}
	set(guard, yes(!f.Last.Ended.IsZero() && !f.Last.Believed))
	for _, t := range types() {
		_, doubted := f.Last.Doubts[t]
		set(doubts, yes(doubted), t)
	}
	for what := range f.Last.Doubts {
		if strings.HasPrefix(what, issue.NodeFact+"/") { // a rule of the configuration, which has its name
			set(doubts, 1, what)
		}
	}
	now, _ := f.Controls.Mode(s.Mode, "", "")
	for _, m := range modes() {
		set(mode, yes(m == string(now)), m)
	}
	set(stopped, yes(f.Controls.Stopped() != ""))
}

func (s *Stored) fleet(f store.Figures, set setter) {
	byStatus(set, nodes, nodeStatuses(), f.Nodes)
	byStatus(set, pcus, pcuStatuses(), f.PCUs)
	byStatus(set, sites, siteStatuses(), f.Sites)
	counted := map[[2]string]int{}
	for _, c := range f.Issues {
		counted[[2]string{c.Type, c.Status}] = c.Count
	}
	for _, t := range types() {
		for _, status := range []issue.Status{issue.Open, issue.Paused} {
			set(issues, float64(counted[[2]string{t, string(status)}]), t, string(status))
		}
	}
	byName(set, waiting, checks(), f.Waiting, other)
	byName(set, penalties, named(penalties).Labels[0].Values, f.Levels, "")
	byName(set, claims, claimKinds(), f.Claims, "")
}

func (s *Stored) acts(f store.Figures, set setter) {
	counted := map[[2]string]int{}
	for _, c := range f.Actions {
		if c.Outcome == "" {
			c.Outcome = open
		}
		counted[[2]string{c.Kind, c.Outcome}] += c.Count
	}
	for _, kind := range actionKinds() {
		for _, o := range append(store.Outcomes(), open) {
			set(actions, float64(counted[[2]string{kind, o}]), kind, o)
		}
	}
	set(undecided, float64(f.Unfinished))
	byName(set, used, named(used).Labels[0].Values, f.Spent, "")
	for act, of := range map[string]policy.Act{"reboot": policy.ActReboot, "reinstall": policy.ActReinstall,
		"penalty": policy.ActPenalize} {
		most, _ := s.Policy.BudgetOf(of)
		set(limit, float64(most), act)
	}
}

func byStatus(set setter, name string, all []string, list []store.StatusCount) {
	var counts []store.NamedCount
	for _, c := range list {
		counts = append(counts, store.NamedCount{Name: c.Status, Count: c.Count})
	}
	byName(set, name, all, counts, unknown)
}

// byName sets every value of a label; what has none of them counts as otherwise, if that is one.
func byName(set setter, name string, all []string, list []store.NamedCount, otherwise string) {
	counts := map[string]int{}
	for _, v := range all {
		counts[v] = 0
	}
	for _, c := range list {
		if _, known := counts[c.Name]; !known {
			c.Name = otherwise
		}
		counts[c.Name] += c.Count
	}
	for _, v := range all {
		set(name, float64(counts[v]), v)
	}
}

func yes(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

func unix(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1000
}
