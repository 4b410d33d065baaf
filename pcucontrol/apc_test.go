package pcucontrol_test

import (
	"context"
	"errors"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/planetlab/monitor/pcucontrol"
	"github.com/planetlab/monitor/testbed/pcudev"
)

// rack is eight outlets with a log of what happened to them.
type rack struct {
	mu  sync.Mutex
	on  [8]bool
	log []string
}

func (r *rack) Count() int { return len(r.on) }
func (r *rack) State(n int) (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.on[n-1], nil
}
func (r *rack) Set(n int, on bool) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.on[n-1] = on
	r.log = append(r.log, map[bool]string{true: "on", false: "off"}[on])
	return nil
}
func (r *rack) events() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.log, " ")
}

var menus = map[string]string{"APCControl12p3": "1 2 p 3", "APCControl1p4": "1 p 4", "APCControl121p3": "1 2 1 p 3", "APCControl121p1": "1 2 1 p 1 3", "APCControl13p13": "1 3 p 1 3"}

func device(t *testing.T, model string) (*pcudev.APC, *rack, pcucontrol.Target) {
	t.Helper()
	r := &rack{}
	r.on[2] = true
	d := &pcudev.APC{Menu: strings.Fields(menus[model]), User: "apc", Password: "s3cret", Outlets: r, OffTime: 200 * time.Millisecond}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go d.Serve(l)
	return d, r, pcucontrol.Target{Model: model, Host: "127.0.0.1", Port: l.Addr().(*net.TCPAddr).Port, User: "apc", Password: "s3cret", Outlet: 3}
}

func short(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func TestAPC(t *testing.T) {
	if len(pcucontrol.Models()) != len(menus) {
		t.Errorf("the registry has %v, tested are %v", pcucontrol.Models(), menus)
	}
	for model := range menus {
		t.Run(model, func(t *testing.T) {
			t.Parallel()
			_, r, target := device(t, model)
			var trace strings.Builder
			target.Trace = func(s string) { trace.WriteString(s + "\n") }
			if res, err := pcucontrol.Test(short(t), target); err != nil || r.events() != "" {
				t.Fatalf("a dry run gives %+v, %v and switched %q", res, err, r.events())
			}
			if res, err := pcucontrol.Status(short(t), target); err != nil || res.After != pcucontrol.On {
				t.Fatalf("status is %+v, %v", res, err)
			}
			if res, err := pcucontrol.Cycle(short(t), target); err != nil || !res.Verified || r.events() != "off on" {
				t.Fatalf("a cycle gives %+v, %v and switched %q", res, err, r.events())
			}
			if res, err := pcucontrol.TurnOff(short(t), target); err != nil || res.After != pcucontrol.Off || r.events() != "off on off" {
				t.Fatalf("off gives %+v, %v and switched %q", res, err, r.events())
			}
			if res, err := pcucontrol.Cycle(short(t), target); err != nil || res.After != pcucontrol.On || r.events() != "off on off on" {
				t.Fatalf("a cycle of what is off gives %+v, %v and switched %q", res, err, r.events())
			}
			if strings.Contains(trace.String(), "s3cret") {
				t.Error("the trace holds the password")
			}
		})
	}
}

func TestAPCErrors(t *testing.T) {
	for _, c := range []struct {
		name    string
		prepare func(*pcudev.APC, *pcucontrol.Target)
		kind    pcucontrol.Kind
		log     string
	}{
		{"a wrong password is an auth error", func(d *pcudev.APC, t *pcucontrol.Target) { t.Password = "guess-me" }, pcucontrol.Auth, ""},
		{"outlet nine of eight is no such outlet", func(d *pcudev.APC, t *pcucontrol.Target) { t.Outlet = 9 }, pcucontrol.NoOutlet, ""},
		{"outlet nought is no such outlet", func(d *pcudev.APC, t *pcucontrol.Target) { t.Outlet = 0 }, pcucontrol.NoOutlet, ""},
		{"a mute device ends in a timeout", func(d *pcudev.APC, t *pcucontrol.Target) { d.Break(pcudev.Mute) }, pcucontrol.Timeout, ""},
		{"a closed port is unreachable", func(d *pcudev.APC, t *pcucontrol.Target) { t.Port = 1 }, pcucontrol.Unreachable, ""},
		{"an outlet that stays off is ambiguous", func(d *pcudev.APC, t *pcucontrol.Target) { d.Break(pcudev.StaysOff) }, pcucontrol.Ambiguous, "off"},
		{"an unknown model is said to be one", func(d *pcudev.APC, t *pcucontrol.Target) { t.Model = "APCControl9" }, pcucontrol.UnknownModel, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d, r, target := device(t, "APCControl12p3")
			c.prepare(d, &target)
			_, err := pcucontrol.Cycle(short(t), target)
			if pcucontrol.KindOf(err) != c.kind || r.events() != c.log {
				t.Errorf("got %v and switched %q", err, r.events())
			}
			var e *pcucontrol.Error
			if errors.As(err, &e) && strings.Contains(e.Error(), target.Password) {
				t.Errorf("%v holds the password", err)
			}
		})
	}
}

func TestOneSessionAtATime(t *testing.T) {
	_, _, target := device(t, "APCControl12p3")
	c, err := net.Dial("tcp", net.JoinHostPort(target.Host, strconv.Itoa(target.Port)))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Read(make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	_, err = pcucontrol.Test(short(t), target)
	if pcucontrol.KindOf(err) != pcucontrol.Busy {
		t.Errorf("a second session gets %v", err)
	}
}
