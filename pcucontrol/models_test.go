package pcucontrol_test

import (
	"context"
	"errors"
	"flag"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/planetlab/monitor/pcucontrol"
	"github.com/planetlab/monitor/pcucontrol/models"
	"github.com/planetlab/monitor/testbed/pcudev"
)

// TestMain lets more tests run at once than there are processors: they wait for devices most of the time. One that asks
// for one at a time gets that.
func TestMain(m *testing.M) {
	flag.Parse()
	f := flag.Lookup("test.parallel")
	if n, err := strconv.Atoi(f.Value.String()); f.Value.String() == f.DefValue || err == nil && n > 1 && n < 32 {
		_ = f.Value.Set("32")
	}
	m.Run()
}

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
	if r.off[n-1] == !on {
		return nil
	}
	r.off[n-1] = !on
	r.log = append(r.log, map[bool]string{true: "on", false: "off"}[on])
	return nil
}

func (r *rack) events() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.log, " ")
}

const password = "s3cret-Pw"

// raise starts the testbed's device of a model on loopback.
func raise(t testing.TB, model, transport string) (pcudev.Device, *rack, pcucontrol.Target) {
	t.Helper()
	r := &rack{}
	o := pcudev.Options{Model: model, Transport: transport, User: "admin", Password: password, Outlets: r,
		OffTime: 150 * time.Millisecond}
	d, target := serve(t, o)
	return d, r, target
}

// serve starts a device of the testbed on loopback; the target is its outlet 3.
func serve(t testing.TB, o pcudev.Options) (pcudev.Device, pcucontrol.Target) {
	t.Helper()
	d, err := pcudev.New(o)
	if err != nil {
		t.Fatal(err)
	}
	// their certificates are their own
	target := pcucontrol.Target{
		Model:     o.Model,
		Transport: o.Transport,
		Host:      "127.0.0.1",
		User:      o.User,
		Password:  o.Password,
		Outlet:    3,
		Legacy:    o.Transport == "https",
	}
	if d.Network() == "udp" {
		c, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		go func() { _ = d.ServePacket(c) }()
		target.Port = c.LocalAddr().(*net.UDPAddr).Port
		return d, target
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() { _ = d.Serve(l) }()
	target.Port = l.Addr().(*net.TCPAddr).Port
	return d, target
}

func within(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// enough is the time of a call that ends by itself, on however busy a machine.
func enough(t testing.TB) context.Context { return within(t, 3*time.Minute) }

// inTime fails a test whose call goes on when its time is up. Where processors are short, it may end as much later as a
// sleeper beside it wakes too late.
func inTime(t testing.TB, limit time.Duration, call func()) {
	t.Helper()
	const nap = 10 * time.Millisecond
	stop, latest := make(chan struct{}), make(chan time.Duration)
	go func() {
		var late time.Duration
		for last := time.Now(); ; last = time.Now() {
			select {
			case <-stop:
				latest <- late
				return
			case <-time.After(nap):
				late = max(late, time.Since(last)-nap)
			}
		}
	}()
	start := time.Now()
	call()
	took := time.Since(start)
	close(stop)
	if late := <-latest; took > limit+500*time.Millisecond+20*late {
		t.Errorf("it took %v of %v, where a sleeper wakes %v late", took, limit, late)
	}
}

// everyFace runs a test for each model on each of its transports, but for what can only be woken.
func everyFace(t *testing.T, f func(t *testing.T, m pcucontrol.Model, tr pcucontrol.Transport)) {
	for _, m := range models.Builtin().Models() {
		for _, tr := range m.Transports {
			if m.Name == "WakeOnLAN" {
				continue
			}
			t.Run(m.Name+" by "+tr.Name, func(t *testing.T) {
				t.Parallel()
				f(t, m, tr)
			})
		}
	}
}

func TestEveryModelHasADeviceToProveIt(t *testing.T) {
	for _, m := range models.Builtin().Models() {
		var names []string
		for _, tr := range m.Transports {
			names = append(names, tr.Name)
		}
		if faces := pcudev.Transports(m.Name); len(m.Transports) > 0 && !slices.Equal(faces, names) {
			t.Errorf("%s speaks %v, its testbed device %v", m.Name, names, faces)
		}
	}
}

func TestEveryModelSwitches(t *testing.T) {
	t.Parallel()
	everyFace(t, func(t *testing.T, m pcucontrol.Model, tr pcucontrol.Transport) {
		_, r, target := raise(t, m.Name, tr.Name)
		var trace strings.Builder
		target.Trace = func(s string) { trace.WriteString(s + "\n") }
		can := func(word string) bool { return slices.Contains(tr.Can, word) }
		t.Cleanup(func() {
			if t.Failed() {
				t.Log(trace.String())
			}
		})
		if res, err := models.Builtin().Test(enough(t), target); err != nil || r.events() != "" {
			t.Fatalf("a dry run gives %+v, %v and switched %q", res, err, r.events())
		}
		if res, err := models.Builtin().Status(enough(t), target); can("status") &&
			(err != nil || res.After != pcucontrol.On || !res.Verified) {
			t.Fatalf("status is %+v, %v", res, err)
		} else if !can("status") && pcucontrol.KindOf(err) != pcucontrol.Unsupported {
			t.Fatalf("status of what cannot tell is %+v, %v", res, err)
		}
		res, err := models.Builtin().Cycle(enough(t), target)
		if err != nil || res.Verified != can("status") || can("status") && res.After != pcucontrol.On {
			t.Fatalf("a cycle gives %+v, %v and switched %q", res, err, r.events())
		}
		await(t, "a cycle", r, "off on")
		if !can("off") {
			if _, err := models.Builtin().TurnOff(enough(t), target); pcucontrol.KindOf(err) != pcucontrol.Unsupported {
				t.Errorf("off gives %v", err)
			}
			return
		}
		if res, err := models.Builtin().TurnOff(enough(t), target); err != nil ||
			can("status") && res.After != pcucontrol.Off ||
			r.events() != "off on off" {
			t.Fatalf("off gives %+v, %v and switched %q", res, err, r.events())
		}
		if !can("status") {
			return
		}
		if res, err := models.Builtin().Cycle(enough(t), target); err != nil || res.After != pcucontrol.On ||
			r.events() != "off on off on" {
			t.Fatalf("a cycle of what is off gives %+v, %v and switched %q", res, err, r.events())
		}
		if res, err := models.Builtin().TurnOn(enough(t), target); err != nil || res.After != pcucontrol.On ||
			r.events() != "off on off on" {
			t.Fatalf("on of what is on gives %+v, %v and switched %q", res, err, r.events())
		}
		if strings.Contains(trace.String(), password) || trace.Len() == 0 {
			t.Errorf("the trace holds the password, or nothing")
		}
	})
}

// await waits for what the device does in its own time, after it has answered.
func await(t *testing.T, what string, r *rack, events string) {
	t.Helper()
	for end := time.Now().Add(time.Minute); r.events() != events; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s switched %q, not %q", what, r.events(), events)
		}
	}
}

func TestWhatGoesWrong(t *testing.T) {
	t.Parallel()
	babbling := make(chan struct{}, 2) // these use processors, not only time
	for _, c := range []struct {
		name  string
		only  func(pcucontrol.Model, pcucontrol.Transport) bool
		spoil func(pcudev.Device, *pcucontrol.Target)
		kinds []pcucontrol.Kind
		log   string
	}{
		{"a wrong password is an auth error", tellsPasswords, guess, []pcucontrol.Kind{pcucontrol.Auth}, ""},
		{"a wrong community is silence", hasCommunity, guess, []pcucontrol.Kind{pcucontrol.Timeout}, ""},
		{"a password that no longer works is an auth error", tellsPasswords, breaks(pcudev.WrongPassword),
			[]pcucontrol.Kind{pcucontrol.Auth}, ""},
		{"outlet nine of eight is no such outlet", hasOutlets,
			func(_ pcudev.Device, t *pcucontrol.Target) { t.Outlet = 9 }, []pcucontrol.Kind{pcucontrol.NoOutlet}, ""},
		{"outlet nought is no such outlet", hasOutlets,
			func(_ pcudev.Device, t *pcucontrol.Target) { t.Outlet = 0 }, []pcucontrol.Kind{pcucontrol.NoOutlet}, ""},
		{"a mute device ends in a timeout", nil, breaks(pcudev.Mute), []pcucontrol.Kind{pcucontrol.Timeout}, ""},
		// busy: what an empty answer means on an iPAL
		{"one that hangs up or is closed is not a success", nil, breaks(pcudev.Refuses), []pcucontrol.Kind{
			pcucontrol.Unexpected, pcucontrol.Unreachable, pcucontrol.Timeout, pcucontrol.Busy}, ""},
		{"one that babbles ends in time", nil, breaks(pcudev.Babbles),
			[]pcucontrol.Kind{pcucontrol.Unexpected, pcucontrol.Timeout}, ""},
		{"another session is busy", hasSessions, breaks(pcudev.Busy), []pcucontrol.Kind{pcucontrol.Busy}, ""},
		{"a closed port is unreachable", nil, func(_ pcudev.Device, t *pcucontrol.Target) { t.Port = 1 },
			[]pcucontrol.Kind{pcucontrol.Unreachable}, ""},
		{"an outlet that stays off is ambiguous", canTell, breaks(pcudev.StaysOff),
			[]pcucontrol.Kind{pcucontrol.Ambiguous}, "off"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			everyFace(t, func(t *testing.T, m pcucontrol.Model, tr pcucontrol.Transport) {
				if c.only != nil && !c.only(m, tr) {
					t.Skip("not for this model")
				}
				d, r, target := raise(t, m.Name, tr.Name)
				c.spoil(d, &target)
				if strings.Contains(c.name, "babbles") {
					babbling <- struct{}{}
					defer func() { <-babbling }()
				}
				limit := time.Minute
				switch { // these use their time up
				case slices.Contains(c.kinds, pcucontrol.Timeout):
					limit = 1500 * time.Millisecond
				case slices.Contains(c.kinds, pcucontrol.Ambiguous):
					limit = 2 * time.Second
				}
				var err error
				for ; ; limit *= 2 { // a busy machine may not come as far as the command
					inTime(t, limit, func() { _, err = models.Builtin().Cycle(within(t, limit), target) })
					if r.events() == c.log || limit >= time.Minute {
						break
					}
				}
				if !slices.Contains(c.kinds, pcucontrol.KindOf(err)) || r.events() != c.log {
					t.Errorf("got %v and switched %q", err, r.events())
				}
				var e *pcucontrol.Error
				if !errors.As(err, &e) || e.Host == "" || strings.Contains(e.Error(), target.Password) {
					t.Errorf("%v holds the password, or no host", err)
				}
			})
		})
	}
}

// guess gives a target another password.
func guess(_ pcudev.Device, t *pcucontrol.Target) { t.Password = "guess-me" }

// breaks gives a device a fault.
func breaks(fault string) func(pcudev.Device, *pcucontrol.Target) {
	return func(d pcudev.Device, _ *pcucontrol.Target) { d.Break(fault) }
}

// A community of SNMP's answers to nobody else, and has no sessions.
func hasCommunity(m pcucontrol.Model, _ pcucontrol.Transport) bool {
	return strings.HasSuffix(m.Name, "SNMP")
}

func tellsPasswords(m pcucontrol.Model, tr pcucontrol.Transport) bool { return !hasCommunity(m, tr) }

// A server of NUT's talks with many at once.
func hasSessions(m pcucontrol.Model, tr pcucontrol.Transport) bool {
	return !hasCommunity(m, tr) && m.Name != "NUT"
}

func hasOutlets(m pcucontrol.Model, _ pcucontrol.Transport) bool { return m.Outlets }
func canTell(_ pcucontrol.Model, tr pcucontrol.Transport) bool {
	return slices.Contains(tr.Can, "status")
}

func TestNamesResolve(t *testing.T) {
	for name, want := range map[string]string{
		"APCControl12p3": "APCControl12p3", "APCControl1p4": "APCControl1p4", "APCControl121p3": "APCControl121p3",
		"APCControl121p1": "APCControl121p1",
		"APCControl13p13": "APCControl13p13", "APCControl": "APCControl", "APCSNMP": "APCSNMP",
		"RaritanSNMP": "RaritanSNMP", "Raritan PX": "RaritanSNMP", "Sentry CDU": "SentrySNMP",
		"BayTechRPC3NC": "BayTechRPC3NC", "BayTechRPC16": "BayTechRPC16", "BayTechGeorgeTown": "BayTechGeorgeTown",
		"BayTech":      "BayTech",
		"BayTechCtrlC": "BayTechCtrlC", "BayTechCtrlCUnibe": "BayTechCtrlCUnibe", "BayTech5CtrlC": "BayTech5CtrlC",
		"WTIIPS4": "WTIIPS4", "WTINPS": "WTINPS", "IPAL": "IPAL", "HPiLO": "HPiLO", "DRAC": "DRAC",
		"OpenIPMI": "OpenIPMI", "Manual": "Manual",
		"IntelAMT": "IntelAMT", "ePowerSwitchNew": "ePowerSwitchNew", "ePowerSwitchOld": "ePowerSwitchOld",
		"BlackBoxPSMaverick": "BlackBoxPSMaverick", "Redfish": "Redfish",
		"DigitalLoggers": "DigitalLoggers", "SunILOM": "SunILOM", "OpenBMC": "Redfish", "Sun ILOM 3": "SunILOM",
		"Shelly": "Shelly", "ShellyGen2": "ShellyGen2",
		"NUT": "NUT", "Tasmota": "Tasmota", "WakeOnLAN": "WakeOnLAN", "CycladesPM": "CycladesPM",
		"Cyclades PM10": "CycladesPM", "AlterPath PM20": "CycladesPM", "Sonoff with Tasmota": "Tasmota",
		// By what they contain.
		"APC AP7900": "APCControl", "my BayTech DS4": "BayTech", "HPiLO2 in rack 4": "HPiLO",
		"Dataprobe IPAL-800": "IPAL", "Dell DRAC 5": "DRAC", "WTI NBB-1600": "WTIIPS4",
		"vPro AMT 6": "IntelAMT", "ePowerSwitch 4": "ePowerSwitchNew", "BlackBoxPSMaverick-8": "BlackBoxPSMaverick",
		"Dell IPMI card": "OpenIPMI", "PM211MIP": "Manual", "ManualPCU": "Manual", "": "Manual",
		// The first family that fits is taken, and exact names before all.
		"BayTech next to an APC": "BayTech", "IPMI of a DRAC": "DRAC",
	} {
		if m, err := models.Builtin().Resolve(name); err != nil || m.Name != want {
			t.Errorf("%q gives %q, %v", name, m.Name, err)
		}
	}
	for name, near := range map[string]string{"openimpi": "near it are OpenIPMI", "apcsnpm": "near it are APCSNMP",
		"baytek": "BayTech", "redfisch": "near it are Redfish", "Custom": "needs a model file"} {
		_, err := models.Builtin().Test(t.Context(), pcucontrol.Target{Model: name, Host: "10.0.0.1"})
		if pcucontrol.KindOf(err) != pcucontrol.UnknownModel || !strings.Contains(err.Error(), "10.0.0.1") ||
			!strings.Contains(err.Error(), near) {
			t.Errorf("%q gives %v", name, err)
		}
	}
}

func TestNobodyButPeopleSwitchesAManualPCU(t *testing.T) {
	for _, name := range []string{"", "ManualPCU", "PM211MIP", "Manual"} {
		target := pcucontrol.Target{Model: name, Host: "10.0.0.1", Outlet: 1}
		if _, err := models.Builtin().Cycle(t.Context(), target); pcucontrol.KindOf(err) != pcucontrol.Unsupported {
			t.Errorf("%q gives %v", name, err)
		}
	}
}
