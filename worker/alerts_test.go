package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/planetlab/monitor/activities"
	"github.com/planetlab/monitor/config"
	"github.com/planetlab/monitor/metrics"
)

const rule = `{alertname="NodeDown",job=~"planetlab.*"} nodedown instance strip-port`

// receiving serves a receiver whose alerts go to take.
func receiving(t *testing.T, c config.Alerts, take func(activities.Alert) (activities.AlertAnswer, error)) (
	post func(body string, header ...string) (int, string), registry *prometheus.Registry) {
	t.Helper()
	mux := http.NewServeMux()
	registry = prometheus.NewRegistry()
	err := receiveAlerts(mux, metrics.NewCounted(registry), c, func(_ context.Context, a activities.Alert) (activities.AlertAnswer, error) {
		return take(a)
	}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return func(body string, header ...string) (int, string) {
		req := httptest.NewRequest(http.MethodPost, "/alertmanager", strings.NewReader(body))
		for _, h := range header {
			req.Header.Set("Authorization", h)
		}
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, req)
		return w.Code, w.Body.String()
	}, registry
}

func message(alerts ...string) string {
	return `{"version":"4","status":"firing","receiver":"monitor","alerts":[` + strings.Join(alerts, ",") + `]}`
}

func fires(status, name, job, instance string) string {
	return fmt.Sprintf(
		`{"status":%q,"labels":{"alertname":%q,"job":%q,"instance":%q},"annotations":{"summary":"gone"}}`, status, name,
		job, instance)
}

func TestAlertsLeadToIssuesByTheFirstRuleThatMatches(t *testing.T) {
	var taken []activities.Alert
	post, registry := receiving(t, config.Alerts{Rules: []string{rule, `{alertname="PDU"} pcudown instance`}},
		func(a activities.Alert) (activities.AlertAnswer, error) {
			taken = append(taken, a)
			if !a.Firing {
				return activities.AlertAnswer{Outcome: activities.AlertCleared}, nil
			}
			return activities.AlertAnswer{Outcome: activities.AlertOpened}, nil
		})
	code, body := post(message(fires("firing", "NodeDown", "planetlab-eu", "a.example:9100"),
		fires("resolved", "PDU", "x", "pcu.example:80"), fires("firing", "NodeDown", "other", "b.example"),
		fires("firing", "NodeDown", "planetlab", "")))
	if code != http.StatusOK {
		t.Fatalf("%d %s", code, body)
	}
	want := []activities.Alert{{Type: "nodedown", Target: "a.example", Firing: true, Reason: "alert NodeDown: gone"},
		{Type: "pcudown", Target: "pcu.example:80", Reason: "alert PDU: gone"}}
	if fmt.Sprint(taken) != fmt.Sprint(want) {
		t.Errorf("taken %+v", taken)
	}
	for _, part := range []string{`"issue":"nodedown/a.example","outcome":"opened"`, `"outcome":"cleared"`,
		`"outcome":"unknown","why":"no rule of alertmanager.rules matches it"`,
		`"outcome":"ignored","why":"it has no label instance"`} {
		if !strings.Contains(body, part) {
			t.Errorf("no %s in %s", part, body)
		}
	}
	metric := "# HELP monitor_alerts_total Alerts received from Alertmanager, by what became of them.\n" +
		"# TYPE monitor_alerts_total " +
		"counter\nmonitor_alerts_total{outcome=\"failed\"} 0\n"
	for _, outcome := range []string{"cleared", "ignored", "opened", "unknown"} {
		metric += fmt.Sprintf("monitor_alerts_total{outcome=%q} 1\n", outcome)
	}
	if err := testutil.GatherAndCompare(registry, strings.NewReader(metric), "monitor_alerts_total"); err != nil {
		t.Error(err)
	}
}

func TestBadMessagesSayWhatIsWrong(t *testing.T) {
	post, _ := receiving(t, config.Alerts{Rules: []string{rule}},
		func(a activities.Alert) (activities.AlertAnswer, error) {
			t.Errorf("%+v was taken", a)
			return activities.AlertAnswer{}, nil
		})
	good := fires("firing", "NodeDown", "planetlab", "a")
	for name, c := range map[string]struct {
		body string
		code int
		want string
	}{
		"no JSON":         {"alerts!", 400, "not an Alertmanager message"},
		"another version": {`{"version":"3","alerts":[` + good + `]}`, 400, `version must be "4", not "3"`},
		"no alerts":       {message(), 400, "at least one alert"},
		"a status of no use": {message(good, fires("odd", "NodeDown", "planetlab", "a")), 400,
			`alerts[1].status must be firing or resolved, not "odd"`},
		"no labels":        {message(`{"status":"firing"}`), 400, "alerts[0].labels is empty"},
		"labels of a kind": {message(`{"status":"firing","labels":{"a":1}}`), 400, "not an Alertmanager message"},
		"far too long":     {strings.Repeat(" ", mostBody+1), 413, "longer than"},
		"far too many": {message(strings.Split(strings.Repeat(`{"status":"firing","labels":{"a":"b"}};`,
			mostAlerts)+`{}`, ";")...), 400, "too many"},
	} {
		if code, body := post(c.body); code != c.code || !strings.Contains(body, c.want) {
			t.Errorf("%s: %d %s", name, code, body)
		}
	}
}

func TestOnlyTheTokenOpensTheReceiver(t *testing.T) {
	post, _ := receiving(t, config.Alerts{Rules: []string{rule}, Token: "s3cret"},
		func(activities.Alert) (activities.AlertAnswer, error) {
			return activities.AlertAnswer{Outcome: activities.AlertOpened}, nil
		})
	body := message(fires("firing", "NodeDown", "planetlab", "a"))
	for header, want := range map[string]int{"": 401, "Bearer wrong": 401, "s3cret": 401, "Bearer s3cret": 200} {
		if code, text := post(body, header); code != want || strings.Contains(text, "s3cret") {
			t.Errorf("%q: %d %s", header, code, text)
		}
	}
}

func TestWhatCannotBeTakenNowIsToBeSentAgain(t *testing.T) {
	post, _ := receiving(t, config.Alerts{Rules: []string{rule}},
		func(activities.Alert) (activities.AlertAnswer, error) {
			return activities.AlertAnswer{}, errors.New("temporal is away")
		})
	if code, body := post(message(fires("firing", "NodeDown", "planetlab",
		"a"))); code != http.StatusServiceUnavailable {
		t.Errorf("%d %s", code, body)
	}
}

func TestRulesThatCannotWorkKeepTheWorkerFromStarting(t *testing.T) {
	for text, want := range map[string]string{`{a="b"} nosuchtype host`: "no issue type nosuchtype",
		`{} nodedown host`: "needs a matcher"} {
		err := receiveAlerts(http.NewServeMux(), metrics.NewCounted(prometheus.NewRegistry()),
			config.Alerts{Rules: []string{text}}, nil, nil)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
