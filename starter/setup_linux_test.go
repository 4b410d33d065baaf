package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A person is asked what is not known, and what is secret is not shown.
func TestSetupAsksOnATerminal(t *testing.T) {
	alone(t)
	keyboard, screen := terminal(t)
	file := filepath.Join(t.TempDir(), "monitor.yaml")
	var out bytes.Buffer
	errs := &lines{seen: make(chan string, 100)}
	a := &app{in: screen, out: &out, err: errs, now: noon, account: "alice"}
	done := make(chan int, 1)
	go func() { done <- a.execute(t.Context(), []string{"setup", "--config", file, "--start", "no"}) }()
	for _, q := range [][2]string{{"Address of PLC's API", "https://plc.example/PLCAPI/"}, {"Account of an admin", "monitor@plc.example"},
		{"Password of that account", "s3cret-word"}, {"Postgres: its URL", "postgres://monitor:pw-word@127.0.0.1:1/monitor"},
		{"Temporal: host:port", "127.0.0.1:1"}, {"Private key that opens", ""}, {"Mail addresses of those", "noc@example.org"}} {
		errs.await(t, q[0])
		time.Sleep(50 * time.Millisecond) // until echo is off
		if _, err := keyboard.WriteString(q[1] + "\n"); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case code := <-done:
		if code != exitBroken {
			t.Errorf("exit code %d: there is no Postgres", code)
		}
	case <-time.After(time.Minute):
		t.Fatalf("it does not end: %s", out.String())
	}
	wantIn(t, out.String(), "is written", "ssh_key is made", "ssh-ed25519 ", "postgres.answers")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	wantIn(t, string(text), "mode: observe", "url: https://plc.example/PLCAPI/", "username: monitor@plc.example", "admins: [noc@example.org]",
		"address: 127.0.0.1:1")
	if strings.Contains(string(text)+out.String()+errs.all(), "-word") {
		t.Errorf("a secret is shown:\n%s\n%s\n%s", text, out.String(), errs.all())
	}
	for name, secret := range map[string]string{"plc_password": "s3cret-word", "database_url": "pw-word"} {
		path := filepath.Join(filepath.Dir(file), name)
		content, err := os.ReadFile(path)
		info, statErr := os.Stat(path)
		if err != nil || statErr != nil || !strings.Contains(string(content), secret) || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v, %v", name, err, statErr, info)
		}
	}
}

// lines is a writer whose reader waits for what is written.
type lines struct {
	seen chan string
	text strings.Builder
}

func (l *lines) Write(b []byte) (int, error) {
	l.seen <- string(b)
	return len(b), nil
}

func (l *lines) await(t *testing.T, part string) {
	t.Helper()
	for {
		select {
		case s := <-l.seen:
			l.text.WriteString(s)
			if strings.Contains(s, part) {
				return
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("nobody asks %q; asked: %s", part, l.text.String())
		}
	}
}

func (l *lines) all() string {
	for {
		select {
		case s := <-l.seen:
			l.text.WriteString(s)
		default:
			return l.text.String()
		}
	}
}
