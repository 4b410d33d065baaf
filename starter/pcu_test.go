package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/planetlab/monitor/pcucontrol"
	"github.com/planetlab/monitor/testbed/freeport"
	"github.com/planetlab/monitor/testbed/pcudev"
)

const password = "s3cret-Pw"

// rack is eight outlets, all on, with a log of what happened to them.
type rack struct {
	mu  sync.Mutex
	off [8]bool
	log []string
}

func (r *rack) Count() int { return len(r.off) }

func (r *rack) State(n int) (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.off[n-1], nil
}

func (r *rack) Set(n int, on bool) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.off[n-1] = !on
	r.log = append(r.log, strconv.Itoa(n)+map[bool]string{true: " on", false: " off"}[on])
	return nil
}

func (r *rack) events() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.log, ", ")
}

// device is an APC rack on loopback, the words that lead a command there, and the file with its password.
type device struct {
	pcudev.Device
	*rack
	words []string
	file  string
}

func raise(t *testing.T) device {
	t.Helper()
	alone(t)
	r := &rack{}
	d, err := pcudev.New(
		pcudev.Options{
			Model:    "APCControl12p3",
			User:     "apc",
			Password: password,
			Outlets:  r,
			OffTime:  50 * time.Millisecond,
		},
	)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() { _ = d.Serve(l) }()
	file := filepath.Join(t.TempDir(), "pw")
	if err := os.WriteFile(file, []byte(password+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	words := []string{"--model", "APCControl12p3", "--host", "127.0.0.1", "--port", port, "--transport", "telnet",
		"--user", "apc", "--timeout", "10s"}
	return device{d, r, words, file}
}

// pcu runs a pcu command on the device; more flags override those before.
func (d device) pcu(ctx context.Context, operation string, more ...string) answer {
	args := append([]string{"pcu", operation}, d.words...)
	return call(ctx, append(append(args, "--password-file", d.file, "--outlet", "3"), more...)...)
}

func TestAPCUIsDrivenByHand(t *testing.T) {
	d := raise(t)
	ctx := t.Context()
	steps := []struct {
		operation, more string
		says            []string
		events          string
	}{
		{"test", "", []string{"test: outlet 3 of 127.0.0.1", "yes, the device says so", "telnet"}, ""},
		{"status", "", []string{"after     on"}, ""},
		{"cycle", "--dry-run", []string{"cycle (dry run, nothing was switched): outlet 3"}, ""},
		{"off", "", []string{"before    on", "after     off", "yes, the device says so"}, "3 off"},
		{"on", "--dry-run", []string{"on (dry run, nothing was switched): outlet 3"}, "3 off"},
		{"on", "", []string{"before    off", "after     on"}, "3 off, 3 on"},
		{"cycle", "", []string{"after     on", "yes, the device says so"}, "3 off, 3 on, 3 off, 3 on"},
	}
	for _, s := range steps {
		got := d.pcu(ctx, s.operation, strings.Fields(s.more)...)
		wantCode(t, got, exitOK)
		wantIn(t, got.out, s.says...)
		if got.err != "" {
			t.Errorf("%s %s complains: %s", s.operation, s.more, got.err)
		}
		if d.events() != s.events {
			t.Fatalf("after %s %s the outlet saw %q", s.operation, s.more, d.events())
		}
	}
}

func TestAPCUsAnswerAsJSON(t *testing.T) {
	d := raise(t)
	got := d.pcu(t.Context(), "off", "-o", "json")
	wantCode(t, got, exitOK)
	v := wantStable(t, got.out).(map[string]any)
	if v["operation"] != "off" || v["outlet"] != 3.0 || v["before"] != "on" || v["after"] != "off" ||
		v["verified"] != true ||
		v["dry_run"] != false {
		t.Errorf("off answers %v", v)
	}
	d.Break(pcudev.WrongPassword)
	got = d.pcu(t.Context(), "status", "-o", "json")
	wantCode(t, got, 10)
	if err := json.Unmarshal([]byte(got.out), &v); err != nil || v["error_kind"] != "auth" || v["error"] == "" {
		t.Errorf("a refused login answers %s, %v", got.out, err)
	} else if _, safe := v["retry_safe"]; safe {
		t.Errorf("a refused login may be tried again: %s", got.out)
	}
	d.Break(pcudev.Busy)
	got = d.pcu(t.Context(), "status", "-o", "json")
	wantCode(t, got, 12)
	if err := json.Unmarshal([]byte(got.out), &v); err != nil || v["retry_safe"] != true {
		t.Errorf("a busy device answers %s, %v", got.out, err)
	}
}

func TestEachKindOfPCUErrorHasItsExitCode(t *testing.T) {
	_, nobody, _ := net.SplitHostPort(freeport.ForTest(t))
	for _, c := range []struct {
		name, fault, operation, more string
		code                         int
		says                         []string
	}{
		{"a wrong password", pcudev.WrongPassword, "test", "", 10,
			[]string{"pcu 127.0.0.1", "auth", "check --user and the password"}},
		{"no such outlet", "", "cycle", "--outlet 9", 11, []string{"no such outlet", "check --outlet"}},
		{"no outlet named", "", "cycle", "--outlet 0", 11, []string{"no such outlet"}},
		{"somebody is logged in", pcudev.Busy, "test", "", 12, []string{"busy", "one session at a time"}},
		{"a mute device", pcudev.Mute, "test", "--timeout 300ms", 14, []string{"timeout", "longer --timeout"}},
		{"a device that hangs up", pcudev.Refuses, "test", "", 16, []string{"unexpected", "see with --trace"}},
		{"nobody there", "", "test", "--port " + nobody, 15, []string{"unreachable", "check --host, --port"}},
		{"an outlet that stays off", pcudev.StaysOff, "cycle", "--timeout 2s", 17,
			[]string{"ambiguous", "`monitor pcu status` before you try again"}},
		{"a transport that the model lacks", "", "test", "--transport pigeon", 18, []string{"unsupported"}},
		{"an unknown model", "", "test", "--model Openpower", exitUsage,
			[]string{"unknown model", "Openpower", "near it are", "check --model"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := raise(t)
			d.Break(c.fault)
			got := d.pcu(t.Context(), c.operation, strings.Fields(c.more)...)
			if got.code != c.code {
				t.Errorf("exit code %d, not %d", got.code, c.code)
			}
			wantIn(t, got.err, c.says...)
			if strings.Contains(got.out+got.err, password) {
				t.Errorf("the password shows in\n%s%s", got.out, got.err)
			}
		})
	}
	t.Run("every kind is told from every other, and in the list", func(t *testing.T) {
		codes := map[int]string{}
		for _, e := range exits() {
			if other, taken := codes[e.code]; taken || e.means == "" {
				t.Errorf("%d is %q and %q", e.code, other, e.means)
			}
			codes[e.code] = e.means
			wantIn(t, exitCodes(), fmt.Sprintf("%2d  %s", e.code, e.means))
		}
		for _, code := range []int{exitOK, exitFailure, exitUsage, exitNotFound, exitNotExpected} {
			if codes[code] == "" {
				t.Errorf("%d is not in the list", code)
			}
		}
		for _, k := range []pcucontrol.Kind{pcucontrol.Auth, pcucontrol.NoOutlet, pcucontrol.Busy, pcucontrol.Refused,
			pcucontrol.Timeout, pcucontrol.Unreachable, pcucontrol.Unexpected, pcucontrol.Ambiguous,
			pcucontrol.UnknownModel, pcucontrol.Unsupported} {
			a := &app{ready: true}
			if code := a.code(&pcucontrol.Error{Kind: k}); codes[code] == "" || code == exitFailure {
				t.Errorf("%s ends with %d, which is not in the list", k, code)
			}
		}
	})
}

func TestThePasswordComesFromFileOrEnvironment(t *testing.T) {
	d := raise(t)
	bare := append(append([]string{"pcu", "test"}, d.words...), "--outlet", "3")
	t.Setenv(passwordVariable, password)
	wantCode(t, call(t.Context(), bare...), exitOK)
	t.Setenv(passwordVariable, "wrong")
	wantCode(t, call(t.Context(), bare...), 10)
	wantCode(t, d.pcu(t.Context(), "test"), exitOK) // a file goes before the environment
	got := call(t.Context(), append(bare, "--password", password)...)
	wantCode(t, got, exitUsage)
	wantIn(t, got.err, "unknown flag: --password")
}

func TestTheTraceShowsNoPassword(t *testing.T) {
	d := raise(t)
	got := d.pcu(t.Context(), "test", "--trace")
	wantCode(t, got, exitOK)
	wantIn(t, got.err, "User Name", "Control Console")
	if strings.Contains(got.err, password) || strings.ContainsRune(got.err, '\x1b') {
		t.Errorf("the trace is %s", got.err)
	}
}

func TestAPCUNeedsNoConfiguration(t *testing.T) {
	d := raise(t)
	t.Setenv("MONITOR_CONFIG", "/nowhere/monitor.yaml")
	wantCode(t, d.pcu(t.Context(), "test"), exitOK)
}
