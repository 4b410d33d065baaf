package pcucontrol_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/planetlab/monitor/pcucontrol"
	"github.com/planetlab/monitor/pcucontrol/models"
	"github.com/planetlab/monitor/pcucontrol/scan"
	"github.com/planetlab/monitor/testbed/debian"
	"github.com/planetlab/monitor/testbed/pcudev"
)

// elsewhere is a catalog in which a built-in file's telnet is on other ports.
func elsewhere(t *testing.T, ports map[string]int) *pcucontrol.Catalog {
	t.Helper()
	dir := t.TempDir()
	for file, port := range ports {
		text, err := os.ReadFile(filepath.Join("models", file))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, file),
				[]byte(strings.ReplaceAll(string(text), "telnet 23", fmt.Sprintf("telnet %d", port))), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	c, err := models.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func at(ports []scan.Port, n int) scan.Port {
	i := slices.IndexFunc(ports, func(p scan.Port) bool { return p.Port == n })
	if i < 0 {
		return scan.Port{}
	}
	return ports[i]
}

func TestAScanTellsWhichModelsWouldFit(t *testing.T) {
	d, r, target := raise(t, "APCControl12p3", "telnet")
	c := elsewhere(
		t,
		map[string]int{
			"apc.yaml":     target.Port,
			"apc-cli.yaml": target.Port,
			"baytech.yaml": target.Port,
			"wti.yaml":     target.Port,
			"ipal.yaml":    target.Port,
		},
	)
	ports, err := scan.Host(enough(t), c, "127.0.0.1")
	p := at(ports, target.Port)
	if err != nil || p.State != scan.PortOpen || !strings.HasPrefix(p.Says, "User Name :") {
		t.Fatalf("the scan finds %+v, %v", ports, err)
	}
	if !slices.Contains(p.Models, "APCControl12p3") || !slices.Contains(p.Models, "APCControl") ||
		slices.Contains(p.Models, "BayTech") ||
		slices.Contains(p.Models, "IPAL") {
		t.Errorf("to an APC fit %v", p.Models)
	}
	if !slices.IsSortedFunc(ports, func(a, b scan.Port) int { return a.Port - b.Port }) {
		t.Errorf("the ports are %v", ports)
	}
	// What it does not say cannot rule models out.
	d.Break(pcudev.Mute)
	ports, err = scan.Host(enough(t), c, "127.0.0.1")
	if p := at(ports, target.Port); err != nil || p.Says != "" || !slices.Contains(p.Models, "BayTechRPC3NC") ||
		!slices.Contains(p.Models, "APCControl12p3") {
		t.Errorf("a mute device is %+v, %v", p, err)
	}
	d.Break("")
	if _, err := c.Status(enough(t), target); err != nil || r.events() != "" {
		t.Errorf("after the scans the status gives %v, and they switched %q", err, r.events())
	}
}

func TestAScanEndsInTime(t *testing.T) {
	for name, fault := range map[string]string{"one that babbles": pcudev.Babbles, "one that hangs up": pcudev.Refuses,
		"one that talks slowly": pcudev.Slow} {
		t.Run(name, func(t *testing.T) {
			d, _, target := raise(t, "BayTechRPC3NC", "telnet")
			d.Break(fault)
			var ports []scan.Port
			inTime(t, 3500*time.Millisecond, func() {
				var err error
				if ports, err = scan.Host(enough(t), elsewhere(t, map[string]int{"baytech.yaml": target.Port}),
					"127.0.0.1"); err != nil {
					t.Errorf("it gives %v", err)
				}
			})
			if p := at(ports, target.Port); p.State != scan.PortOpen || len(p.Says) > 200 {
				t.Errorf("it finds %+v", p)
			}
		})
	}
}

func TestAScanOfNobodySaysWhy(t *testing.T) {
	_, err := scan.Host(enough(t), models.Builtin(), "127.0.0.78")
	if pcucontrol.KindOf(err) != pcucontrol.Unreachable || !strings.Contains(err.Error(), "127.0.0.78") {
		t.Errorf("a host without open ports gives %v", err)
	}
	if _, err := scan.Host(enough(t), models.Builtin(), "nowhere.invalid"); pcucontrol.KindOf(
		err) != pcucontrol.Unreachable ||
		!strings.Contains(err.Error(), "no such host") {
		t.Errorf("a name that nobody has gives %v", err)
	}
	if _, err := scan.Host(enough(t), models.Builtin(), ""); pcucontrol.KindOf(err) != pcucontrol.Unreachable {
		t.Errorf("no host gives %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := scan.Host(ctx, models.Builtin(), "127.0.0.78"); err == nil {
		t.Errorf("a scan that was called off finds something")
	}
}

func TestAScanGreetsWhatSpeaksDatagrams(t *testing.T) {
	rack, err := pcudev.NewRack(1)
	if err != nil {
		t.Fatal(err)
	}
	d, err := pcudev.New(pcudev.Options{Model: "OpenIPMI", User: "admin", Password: password, Outlets: rack})
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.ListenPacket("udp", "127.0.0.79:623")
	if err != nil {
		t.Skipf("the port of IPMI is not for everybody here: %v", err)
	}
	t.Cleanup(func() { _ = c.Close() })
	go func() { _ = d.ServePacket(c) }()
	ports, err := scan.Host(enough(t), models.Builtin(), "127.0.0.79")
	if p := at(ports, 623); err != nil || p.State != scan.PortOpen || !slices.Contains(p.Models, "OpenIPMI") {
		t.Errorf("the scan finds %+v, %v", ports, err)
	}
}

func TestAScanTellsRedfishFromAnILO(t *testing.T) {
	for model, c := range map[string]struct {
		host string
		fits bool
	}{"Redfish": {"127.0.0.82", true}, "HPiLO": {"127.0.0.83", false}} {
		rack, err := pcudev.NewRack(1)
		if err != nil {
			t.Fatal(err)
		}
		d, err := pcudev.New(
			pcudev.Options{Model: model, Transport: "https", User: "admin", Password: password, Outlets: rack})
		if err != nil {
			t.Fatal(err)
		}
		l, err := net.Listen("tcp", c.host+":443")
		if err != nil {
			t.Skipf("the port of https is not for everybody here: %v", err)
		}
		t.Cleanup(func() { _ = l.Close() })
		go func() { _ = d.Serve(l) }()
		ports, err := scan.Host(enough(t), models.Builtin(), c.host)
		p := at(ports, 443)
		if err != nil || p.State != scan.PortOpen || slices.Contains(p.Models, "Redfish") != c.fits ||
			slices.Contains(p.Models, "HPiLO") == c.fits ||
			strings.Contains(p.Says, "Redfish 1.6.0") != c.fits {
			t.Errorf("at %s the scan finds %+v, %v", model, p, err)
		}
	}
}

func TestAScanIsAnsweredByDebiansSNMPAgent(t *testing.T) {
	c, err := net.ListenPacket("udp", "127.0.0.80:161")
	if err != nil {
		t.Skipf("the port of SNMP is not for everybody here: %v", err)
	}
	_ = c.Close()
	snmpd := debian.Need(t, "snmpd", "snmpd")
	for name, config := range map[string]string{"127.0.0.80": "rocommunity public\n", "127.0.0.81": "rouser nobody\n"} {
		file := filepath.Join(t.TempDir(), "snmpd.conf")
		if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
			t.Fatal(err)
		}
		runs(t, snmpd, "-f", "-Lo", "-C", "-c", file, "-p", filepath.Join(t.TempDir(), "pid"), "udp:"+name+":161")
		var ports []scan.Port
		for end := time.Now().Add(time.Minute); at(ports, 161).State != scan.PortOpen && time.Now().Before(end); {
			ports, _ = scan.Host(enough(t), models.Builtin(), name)
		}
		if p := at(ports, 161); p.State != scan.PortOpen || !slices.Contains(p.Models, "APCSNMP") {
			t.Errorf("the scan finds %+v", ports)
		}
	}
}

// runs keeps a program going until the test ends.
func runs(t *testing.T, path string, args ...string) {
	t.Helper()
	runsIn(t, nil, path, args...)
}

// runsIn is the same with more in its environment.
func runsIn(t *testing.T, env []string, path string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env, cmd.WaitDelay = append(os.Environ(), env...), time.Second
	if err := cmd.Start(); err != nil {
		cancel()
		t.Fatal(err)
	}
	t.Cleanup(func() { cancel(); _ = cmd.Wait() })
}
