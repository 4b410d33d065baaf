package main

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/planetlab/monitor/activities"
	"github.com/planetlab/monitor/clean"
	"github.com/planetlab/monitor/config"
	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/metrics"
)

const (
	mostBody   = 1 << 20 // a group of a thousand alerts is half of that
	mostAlerts = 2000

	longestTarget = 255 // PLC's hostnames are no longer
)

// receiver takes what Alertmanager posts. Its rules lead alerts to issues.
type receiver struct {
	rules []config.AlertRule
	token string
	take  func(context.Context, activities.Alert) (activities.AlertAnswer, error)
	count func(outcome string, n int)
	log   *slog.Logger
}

// group is Alertmanager's webhook message, version 4, as far as it matters here.
type group struct {
	Version string  `json:"version"`
	Alerts  []alert `json:"alerts"`
}

type alert struct {
	Status      string            `json:"status"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
}

// answer says what became of one alert.
type answer struct {
	Alert string `json:"alert"`
	Issue string `json:"issue,omitempty"`
	activities.AlertAnswer
}

// receiveAlerts serves POST /alertmanager, where there are rules.
func receiveAlerts(mux *http.ServeMux, counted *metrics.Counted, c config.Alerts,
	take func(context.Context, activities.Alert) (activities.AlertAnswer, error), log *slog.Logger) error {
	if len(c.Rules) == 0 {
		return nil
	}
	r := &receiver{token: c.Token.Reveal(), take: take, log: log, count: counted.Alert}
	for _, text := range c.Rules {
		rule, err := config.ParseAlertRule(text)
		if err != nil {
			return fmt.Errorf("alertmanager.rules: %w", err)
		}
		var types []string
		for _, t := range issue.Types() {
			types = append(types, t.Name)
		}
		if !slices.Contains(types, rule.Type) {
			return fmt.Errorf("alertmanager.rules: %q: no issue type %s: it must be %s", text, rule.Type,
				strings.Join(types, ", "))
		}
		r.rules = append(r.rules, rule)
	}
	mux.Handle("POST /alertmanager", r)
	return nil
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if given, bearer := strings.CutPrefix(req.Header.Get("Authorization"), "Bearer "); r.token != "" &&
		(!bearer || subtle.ConstantTimeCompare([]byte(given), []byte(r.token)) != 1) {
		w.Header().Set("WWW-Authenticate", "Bearer")
		http.Error(w, "a bearer token is needed: see alertmanager.token", http.StatusUnauthorized)
		return
	}
	g, code, err := read(w, req)
	if err != nil {
		http.Error(w, err.Error(), code)
		return
	}
	ctx, cancel := context.WithTimeout(req.Context(), time.Minute)
	defer cancel()
	answers := make([]answer, 0, len(g.Alerts))
	failed := 0
	for i, a := range g.Alerts { // one that fails keeps no other back
		if ctx.Err() != nil {
			failed += len(g.Alerts) - i
			break
		}
		said, err := r.one(ctx, a)
		if err != nil {
			if failed++; failed == 1 { // what keeps one back keeps most back
				r.log.Warn("an alert could not be taken", "alert", said.Alert, "issue", said.Issue, "error", err)
			}
			continue
		}
		r.count(said.Outcome, 1)
		answers = append(answers, said)
	}
	if failed > 0 { // Alertmanager tries the whole group again, which changes nothing for those that were taken
		r.count("failed", failed)
		http.Error(w, "Monitor cannot take alerts now; try again", http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"alerts": answers})
}

// read takes the message apart and says what is wrong with it, and where.
func read(w http.ResponseWriter, req *http.Request) (group, int, error) {
	var g group
	body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, mostBody))
	var long *http.MaxBytesError
	if errors.As(err, &long) {
		return g, http.StatusRequestEntityTooLarge,
			fmt.Errorf("the message is longer than %d bytes: set max_alerts in Alertmanager's webhook_config", mostBody)
	}
	if err != nil {
		return g, http.StatusBadRequest, fmt.Errorf("the message was cut off: %w", err)
	}
	if err := json.Unmarshal(body, &g); err != nil {
		return g, http.StatusBadRequest, clean.Err(fmt.Errorf("not an Alertmanager message: %w", err))
	}
	switch {
	case g.Version != "4":
		return g, http.StatusBadRequest, fmt.Errorf("version must be \"4\", not %.40q", g.Version)
	case len(g.Alerts) == 0:
		return g, http.StatusBadRequest, errors.New("alerts must name at least one alert")
	case len(g.Alerts) > mostAlerts:
		return g, http.StatusBadRequest,
			fmt.Errorf("%d alerts are too many at once: set max_alerts in Alertmanager's webhook_config to %d",
				len(g.Alerts), mostAlerts)
	}
	for i, a := range g.Alerts {
		if a.Status != "firing" && a.Status != "resolved" {
			return g, http.StatusBadRequest,
				fmt.Errorf("alerts[%d].status must be firing or resolved, not %.40q", i, a.Status)
		}
		if len(a.Labels) == 0 {
			return g, http.StatusBadRequest, fmt.Errorf("alerts[%d].labels is empty", i)
		}
	}
	return g, 0, nil
}

// one finds the rule of an alert and passes it on. What no rule wants is answered, not refused.
func (r *receiver) one(ctx context.Context, a alert) (answer, error) {
	said := answer{Alert: clean.Line(a.Labels["alertname"])}
	i := slices.IndexFunc(r.rules, func(rule config.AlertRule) bool { return rule.Matches(a.Labels) })
	if i < 0 {
		said.AlertAnswer = activities.AlertAnswer{Outcome: "unknown", Why: "no rule of alertmanager.rules matches it"}
		return said, nil
	}
	rule := r.rules[i]
	target := a.Labels[rule.Label]
	if host, _, err := net.SplitHostPort(target); rule.StripPort && err == nil {
		target = host
	}
	if target == "" {
		said.AlertAnswer = activities.AlertAnswer{Outcome: activities.AlertIgnored,
			Why: "it has no label " + rule.Label}
		return said, nil
	}
	// nothing in PLC is called so, and Postgres would not even look
	if !clean.Is(target, longestTarget) || strings.ContainsAny(target, "\n\t") {
		said.AlertAnswer = activities.AlertAnswer{Outcome: activities.AlertIgnored,
			Why: "its label " + rule.Label + " is no name"}
		return said, nil
	}
	said.Issue = rule.Type + "/" + target
	why := "alert " + said.Alert
	if text := a.Annotations["summary"]; text != "" {
		why += ": " + clean.Line(text)
	}
	var err error
	said.AlertAnswer, err = r.take(ctx,
		activities.Alert{Type: rule.Type, Target: target, Firing: a.Status == "firing", Reason: why})
	return said, err
}
