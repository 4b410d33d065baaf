package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/planetlab/monitor/activities"
	"github.com/planetlab/monitor/clean"
	"github.com/planetlab/monitor/config"
	"github.com/planetlab/monitor/listen"
	"github.com/planetlab/monitor/testbed/freeport"
)

func TestAnAlertWithControlsCostsThatAlertAlone(t *testing.T) {
	var taken []activities.Alert
	post, _ := receiving(t, config.Alerts{Rules: []string{rule}},
		func(a activities.Alert) (activities.AlertAnswer, error) {
			taken = append(taken, a)
			return activities.AlertAnswer{Outcome: activities.AlertOpened}, nil
		})
	odd := []string{"a\\u0000b", "\\u001b[2J", "x\\u009by", "x\\u202ey", "a\\nb", strings.Repeat("x", 256)}
	alerts := []string{fires("firing", "NodeDown", "planetlab", "good.example")}
	for _, name := range odd {
		alerts = append(alerts, strings.ReplaceAll(fires("firing", "NodeDown", "planetlab", "NAME"), "NAME", name))
	}
	alerts = append(alerts,
		`{"status":"firing","labels":{"alertname":"NodeDown","job":"planetlab","instance":"also.example"},`+
			`"annotations":{"summary":"a\u0000b `+strings.Repeat("x", 9000)+`"}}`)
	code, body := post(message(alerts...))
	if code != http.StatusOK || len(taken) != 2 || taken[0].Target != "good.example" ||
		taken[1].Target != "also.example" || strings.Count(body, "is no name") != len(odd) {
		t.Fatalf("%d, taken %+v, said %s", code, taken, body)
	}
	if !clean.Is(taken[1].Reason, 2*clean.MaxLine) {
		t.Errorf("%d bytes: %q", len(taken[1].Reason), taken[1].Reason)
	}
}

func TestAnAlertThatFailsKeepsNoOtherBack(t *testing.T) {
	var taken []string
	post, _ := receiving(t, config.Alerts{Rules: []string{rule}},
		func(a activities.Alert) (activities.AlertAnswer, error) {
			if a.Target == "first" {
				return activities.AlertAnswer{}, errors.New("no")
			}
			taken = append(taken, a.Target)
			return activities.AlertAnswer{Outcome: activities.AlertOpened}, nil
		})
	code, _ := post(message(fires("firing", "NodeDown", "planetlab", "first"),
		fires("firing", "NodeDown", "planetlab", "second")))
	if code != http.StatusServiceUnavailable || len(taken) != 1 {
		t.Errorf("%d, taken %q", code, taken)
	}
}

// FuzzAlerts: whatever is posted, what is handed on is clean and bounded, and what is answered is JSON or one line.
func FuzzAlerts(f *testing.F) {
	f.Add(message(fires("firing", "NodeDown", "planetlab", "a.example:9100")))
	f.Add(message(`{"status":"resolved","labels":{"alertname":"NodeDown","job":"planetlab","instance":"a\u0000"},` +
		`"annotations":{"summary":"\u001b[2J"}}`))
	f.Add(`{"version":"4","alerts":[{"status":"firing",` +
		`"labels":{"job":"planetlab","alertname":"NodeDown","instance":"[::1]:80"}}]}`)
	f.Fuzz(func(t *testing.T, body string) {
		post, _ := receiving(t, config.Alerts{Rules: []string{rule}},
			func(a activities.Alert) (activities.AlertAnswer, error) {
				if a.Target == "" || !clean.Is(a.Target, longestTarget) || !clean.Is(a.Reason, 2*clean.MaxLine+20) {
					t.Errorf("handed on: %q %q", a.Target, a.Reason)
				}
				return activities.AlertAnswer{Outcome: activities.AlertOpened}, nil
			})
		code, said := post(body)
		if code == http.StatusOK && !json.Valid([]byte(said)) || code != http.StatusOK &&
			(len(said) > clean.MaxText || !clean.Is(said, clean.MaxText)) {
			t.Errorf("%d %q", code, said)
		}
	})
}

func TestTheLogCannotDriveATerminal(t *testing.T) {
	for _, format := range []string{"json", "text"} {
		var out bytes.Buffer
		log := slog.New(cleanHandler(&out, format, slog.LevelInfo))
		evil := "\x00\x1b[2J\u009b31m\u202e" + strings.Repeat("x", 50_000)
		log.Warn("a node answered", "error", errors.New(evil), "text", evil, "list", []string{evil},
			slog.Group("in", "text", evil), "much", fmt.Errorf("wrapped: %w", errors.New(evil)))
		if line := strings.TrimSuffix(out.String(), "\n"); !clean.Is(line, 6*clean.MaxText) {
			t.Errorf("%s: %d bytes: %.300q", format, len(line), line)
		}
	}
}

// TestWhoHangsOnTheLineHasAnEnd: a client that sends nothing more is hung up on, and thousands of them do not take
// every file descriptor.
func TestWhoHangsOnTheLineHasAnEnd(t *testing.T) {
	web := listen.Server(http.NotFoundHandler(), nil, slog.New(slog.DiscardHandler))
	for name, d := range map[string]time.Duration{"headers": web.ReadHeaderTimeout, "body": web.ReadTimeout,
		"answer": web.WriteTimeout, "between two": web.IdleTimeout} {
		if d <= 0 || d > 3*time.Minute {
			t.Errorf("the time for %s is %s", name, d)
		}
	}
	web.ReadHeaderTimeout = 100 * time.Millisecond
	address := freeport.ForTest(t)
	failed := make(chan error, 1)
	if err := serve(t.Context(), web, "http.listen", address, failed); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = web.Close() })
	var idle []net.Conn
	for range mostConnections + 20 {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: x\r\nX-Slow: "); err != nil {
			t.Fatal(err)
		}
		idle = append(idle, conn)
	}
	for _, conn := range idle { // each is hung up on, the last ones after they had waited for a place
		_ = conn.SetReadDeadline(time.Now().Add(30 * time.Second))
		if n, err := bufio.NewReader(conn).Peek(1); err == nil {
			continue // told that it is late
		} else if errors.Is(err, net.ErrClosed) || len(n) > 0 {
			t.Fatalf("%q, %v", n, err)
		} else if e := net.Error(nil); errors.As(err, &e) && e.Timeout() {
			t.Fatal("a client that says nothing is still connected")
		}
	}
	resp, err := http.Get("http://" + address + "/")
	if err != nil || resp.StatusCode != http.StatusNotFound {
		t.Fatalf("%+v, %v", resp, err)
	}
	_ = resp.Body.Close()
}
