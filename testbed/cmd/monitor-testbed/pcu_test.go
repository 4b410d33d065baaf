package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/planetlab/monitor/pcucontrol/models"

	"github.com/planetlab/monitor/pcucontrol"
	"github.com/planetlab/monitor/testbed/pcudev"
)

// screen is what a command prints, while it runs.
type screen struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

var listensOn = regexp.MustCompile(`listens on 127\.0\.0\.1:(\d+) \(`)

// alone runs `monitor-testbed pcu` until the test ends; stop ends it earlier and gives its error.
func alone(t *testing.T, args ...string) (port int, out *screen, stop func() error) {
	t.Helper()
	out = &screen{}
	cmd := pcuCommand()
	cmd.SetArgs(args)
	cmd.SetOut(out)
	cmd.SetErr(out)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- cmd.ExecuteContext(ctx) }()
	stop = sync.OnceValue(func() error { cancel(); return <-ended })
	t.Cleanup(func() { _ = stop() })
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if m := listensOn.FindStringSubmatch(out.String()); m != nil {
			port, _ = strconv.Atoi(m[1])
			return port, out, stop
		}
	}
	t.Fatalf("it says only %q, %v", out, stop())
	return 0, nil, nil
}

func TestADeviceRunsAlone(t *testing.T) {
	dir := t.TempDir()
	password, state, fault := filepath.Join(dir, "pw"), filepath.Join(dir, "state.json"), filepath.Join(dir, "fault")
	if err := os.WriteFile(password, []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	port, out, stop := alone(t, "--model", "APCControl12p3", "--transport", "telnet", "--listen", "127.0.0.1:0", "--outlets", "4", "--off", "2", "--user", "apc",
		"--password-file", password, "--state-file", state, "--fault-file", fault, "--off-time", "20ms")
	target := pcucontrol.Target{Model: "APCControl12p3", Transport: "telnet", Host: "127.0.0.1", Port: port, User: "apc", Password: "s3cret", Outlet: 3}
	if r, err := models.Builtin().Cycle(t.Context(), target); err != nil || !r.Verified {
		t.Fatalf("a cycle gives %+v, %v", r, err)
	}
	var s struct {
		Model, Transport, Listen string
		Outlets                  map[string]string
		Events                   []struct {
			At     time.Time
			Outlet int
			State  string
		}
	}
	text, err := os.ReadFile(state)
	if err == nil {
		err = json.Unmarshal(text, &s)
	}
	if err != nil || s.Model != "APCControl12p3" || s.Transport != "telnet" || !strings.HasSuffix(s.Listen, strconv.Itoa(port)) {
		t.Fatalf("the state file says %s, %v", text, err)
	}
	if len(s.Outlets) != 4 || s.Outlets["2"] != "off" || s.Outlets["3"] != "on" || len(s.Events) != 2 ||
		s.Events[0].Outlet != 3 || s.Events[0].State != "off" || s.Events[1].State != "on" || time.Since(s.Events[1].At) > time.Minute {
		t.Errorf("the state file says %s", text)
	}
	if err := os.WriteFile(fault, []byte("busy\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	becomes(t, target, pcucontrol.Busy)
	if err := os.WriteFile(fault, []byte("tired\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(time.Minute); !strings.Contains(out.String(), `no fault is "tired"`) && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond)
	}
	if err := os.Remove(fault); err != nil {
		t.Fatal(err)
	}
	becomes(t, target, "")
	if err := stop(); err != nil || !strings.Contains(out.String(), `no fault is "tired"`) {
		t.Errorf("it ends with %v and says %s", err, out)
	}
	if _, err := net.DialTimeout("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), time.Second); err == nil {
		t.Errorf("it still listens")
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "state.json.*")); len(left) > 0 {
		t.Errorf("it leaves %v behind", left)
	}
}

func becomes(t *testing.T, target pcucontrol.Target, kind pcucontrol.Kind) {
	t.Helper()
	var err error
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if _, err = models.Builtin().Status(t.Context(), target); pcucontrol.KindOf(err) == kind {
			return
		}
	}
	t.Fatalf("the status still ends in %v, not %q", err, kind)
}

func TestEveryModelRunsAlone(t *testing.T) {
	for _, model := range pcudev.Models() {
		for _, transport := range pcudev.Transports(model) {
			t.Run(model+" by "+transport, func(t *testing.T) {
				user := "admin"
				if model == "WakeOnLAN" { // whom it wakes
					user = "52:54:00:12:34:56"
				}
				port, out, stop := alone(t, "--model", model, "--transport", transport, "--off-time", "10ms", "--user", user)
				_, password, _ := strings.Cut(out.String(), "password ")
				password, _, _ = strings.Cut(password, ";")
				if model == "WakeOnLAN" { // most network cards ask for none
					password = ""
				}
				target := pcucontrol.Target{Model: model, Transport: transport, Host: "127.0.0.1", Port: port, User: user, Password: password, Outlet: 1, Legacy: true}
				if _, err := models.Builtin().Test(t.Context(), target); err != nil {
					t.Error(err)
				}
				if err := stop(); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

func TestWhatADeviceAloneCannotBe(t *testing.T) {
	for _, c := range []struct{ name, args, says string }{
		{"a model that nobody made", "--model Openpower", `no testbed device is a "Openpower"`},
		{"a transport that the model lacks", "--model OpenIPMI --transport telnet", "speaks udp"},
		{"an address of somebody else", "--model APCControl --listen 192.0.2.1:0", "--listen"},
		{"a fault that there is not", "--model APCControl --fault tired", `no fault is "tired"`},
		{"a fault that the model cannot have", "--model APCControl --fault cable-error", "there are wrong password"},
		{"no outlets", "--model APCControl --outlets 0", "1 to 999"},
		{"an outlet off that there is not", "--model APCControl --off 9", "outlet 9"},
		{"a password file that is not there", "--model APCControl --password-file /nowhere/pw", "--password-file"},
		{"a state file in no folder", "--model APCControl --state-file /nowhere/state", "--state-file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cmd := pcuCommand()
			cmd.SetArgs(strings.Fields(c.args))
			cmd.SetOut(&screen{})
			cmd.SetErr(&screen{})
			if err := cmd.ExecuteContext(t.Context()); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("it ends with %v", err)
			}
		})
	}
}
