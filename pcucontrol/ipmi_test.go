package pcucontrol_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/planetlab/monitor/pcucontrol"
	"github.com/planetlab/monitor/pcucontrol/models"
	"github.com/planetlab/monitor/testbed/debian"
	"github.com/planetlab/monitor/testbed/pcudev"
)

func TestIPMICipherSuites(t *testing.T) {
	t.Parallel()
	for _, suites := range [][]int{{3}, {17}, {3, 17}} {
		t.Run(fmt.Sprint(suites), func(t *testing.T) {
			target := bmc(t, &pcudev.BMC{Suites: suites}, asItIs)
			if res, err := models.Builtin().Status(enough(t), target); err != nil || res.After != pcucontrol.On {
				t.Errorf("%+v, %v", res, err)
			}
		})
	}
}

// asItIs is a connection without a test's hand in it.
func asItIs(c net.PacketConn) net.PacketConn { return c }

func TestAnIPMIDryRunNeedsTheRightToCycleAndNoMore(t *testing.T) {
	t.Parallel()
	c := models.Builtin()
	operator := bmc(t, &pcudev.BMC{Privilege: pcudev.Operator}, asItIs)
	for name, call := range map[string]func(context.Context, pcucontrol.Target) (pcucontrol.Result, error){
		"a dry run": c.Test, "a cycle": c.Cycle} {
		if res, err := call(enough(t), operator); err != nil || !res.Verified {
			t.Errorf("%s of an operator gives %+v, %v", name, res, err)
		}
	}
	user := bmc(t, &pcudev.BMC{Privilege: pcudev.User}, asItIs)
	if res, err := c.Status(enough(t), user); err != nil || res.After != pcucontrol.On {
		t.Errorf("the status for a user is %+v, %v", res, err)
	}
	for name, call := range map[string]func(context.Context, pcucontrol.Target) (pcucontrol.Result, error){
		"a dry run": c.Test, "a cycle": c.Cycle} {
		if res, err := call(enough(t), user); pcucontrol.KindOf(err) != pcucontrol.Refused {
			t.Errorf("%s of a user gives %+v, %v", name, res, err)
		}
	}
}

// deafTo drops what asks for a session by one authentication algorithm.
type deafTo struct {
	net.PacketConn
	algorithm byte
}

func (d deafTo) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		n, from, err := d.PacketConn.ReadFrom(b)
		if err != nil || n < 29 || b[5] != 0x10 || b[28] != d.algorithm {
			return n, from, err
		}
	}
}

// behind is a BMC that hears through a connection of a test's own.
func behind(t *testing.T, wrap func(net.PacketConn) net.PacketConn) pcucontrol.Target {
	t.Helper()
	return bmc(t, &pcudev.BMC{}, wrap)
}

// bmc serves one on loopback.
func bmc(t *testing.T, d *pcudev.BMC, wrap func(net.PacketConn) net.PacketConn) pcucontrol.Target {
	t.Helper()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	d.Options = pcudev.Options{User: "admin", Password: password, Outlets: &rack{}}
	go func() { _ = d.ServePacket(wrap(c)) }()
	return pcucontrol.Target{
		Model:    "OpenIPMI",
		Host:     "127.0.0.1",
		Port:     c.LocalAddr().(*net.UDPAddr).Port,
		User:     "admin",
		Password: password,
	}
}

func TestIPMIRemembersTheSuiteThatABMCAnswersTo(t *testing.T) {
	t.Parallel()
	target := behind(t, func(c net.PacketConn) net.PacketConn { return deafTo{c, 3} }) // of suite 17
	for _, limit := range []time.Duration{3500 * time.Millisecond, 500 * time.Millisecond} {
		inTime(t, limit, func() {
			if res, err := models.Builtin().Status(enough(t), target); err != nil || res.After != pcucontrol.On {
				t.Errorf("%+v, %v", res, err)
			}
		})
	}
}

// slowOnce takes its time over the first of the messages that begin the proof of the password (RAKP 1), and then
// answers all that came.
type slowOnce struct {
	net.PacketConn
	once sync.Once
}

func (s *slowOnce) ReadFrom(b []byte) (int, net.Addr, error) {
	n, from, err := s.PacketConn.ReadFrom(b)
	if err == nil && n > 5 && b[5] == 0x12 {
		s.once.Do(func() { time.Sleep(700 * time.Millisecond) })
	}
	return n, from, err
}

func TestASlowBMCIsNotOneWithAnotherPassword(t *testing.T) {
	t.Parallel()
	target := behind(t, func(c net.PacketConn) net.PacketConn { return &slowOnce{PacketConn: c} })
	if res, err := models.Builtin().Status(enough(t), target); err != nil || res.After != pcucontrol.On {
		t.Errorf("%+v, %v", res, err)
	}
}

func TestIPMIKeepsToItsDeadline(t *testing.T) {
	t.Parallel()
	d, _, target := raise(t, "OpenIPMI", "udp")
	d.Break(pcudev.Mute)
	const limit = 300 * time.Millisecond
	inTime(t, limit, func() {
		if _, err := models.Builtin().Status(within(t, limit), target); pcucontrol.KindOf(err) != pcucontrol.Timeout {
			t.Errorf("it gives %v", err)
		}
	})
}

func TestDebiansIpmitoolDrivesOurBMC(t *testing.T) {
	ipmitool := debian.Need(t, "ipmitool", "ipmitool")
	t.Parallel()
	_, r, target := raise(t, "OpenIPMI", "udp")
	run := func(args ...string) string {
		out, err := exec.CommandContext(enough(t), ipmitool,
			append([]string{"-I", "lanplus", "-C", "3", "-H", target.Host, "-p", strconv.Itoa(target.Port), "-U",
				target.User, "-P", target.Password}, args...)...).
			CombinedOutput()
		if err != nil {
			t.Fatalf("ipmitool %v: %v: %s", args, err, out)
		}
		return string(out)
	}
	if out := run("chassis", "power", "status"); !strings.Contains(out, "Chassis Power is on") {
		t.Errorf("status says %s", out)
	}
	run("chassis", "power", "off")
	run("chassis", "power", "on")
	run("chassis", "power", "cycle")
	await(t, "ipmitool", r, "off on off on")
	run("mc", "info")
}

// TestIPMIDrivesDebiansIpmiSim drives a BMC that is neither ours nor go-ipmi's: the simulator of the OpenIPMI project,
// with a process for its machine.
func TestIPMIDrivesDebiansIpmiSim(t *testing.T) {
	sim := debian.Need(t, "ipmi_sim", "openipmi")
	t.Parallel()
	dir := t.TempDir()
	port := freePort(t)
	write := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	power := write("power",
		"#!/bin/sh\nexec 2>/dev/null\ncd "+dir+"\nwhile [ $# -gt 0 ]; do case $1 in get) [ \"$2\" = power ] && echo "+
			"\"power:$(cat state)\"; shift 2;; set) [ \"$2\" = power ] && { echo $3 >state; echo $3 >>log; }; shift "+
			"3;; *) shift;; esac; done\n",
		0o755)
	write("state", "1\n", 0o644)
	conf := write("lan.conf", fmt.Sprintf(`name "sim"
set_working_mc 0x20
  startlan 1
    addr %s %d
    priv_limit admin
    allowed_auths_callback none md2 md5 straight
    allowed_auths_user none md2 md5 straight
    allowed_auths_operator none md2 md5 straight
    allowed_auths_admin none md2 md5 straight
    guid a123456789abcdefa123456789abcdef
  endlan
  chassis_control "%s"
  user 1 true "" "test" user 10 none md2 md5 straight
  user 2 true "admin" "%s" admin 10 none md2 md5 straight
  user 3 true "switcher" "%s" operator 10 none md2 md5 straight
`, theirAddress, port, power, password, password), 0o644)
	emu := write("sim.emu",
		"mc_setbmc 0x20\nmc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02 persist_sdr\nmc_enable 0x20\n", 0o644)
	cmd := exec.Command(sim, "-n", "-c", conf, "-f", emu, "-s", dir)
	var log strings.Builder
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Log(log.String())
		}
	})
	target := pcucontrol.Target{
		Model:    "OpenIPMI",
		Host:     theirAddress,
		Port:     port,
		User:     "admin",
		Password: password,
	}
	var trace strings.Builder
	target.Trace = func(s string) { fmt.Fprintln(&trace, s) }
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(trace.String())
		}
	})
	var res pcucontrol.Result
	var err error
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if res, err = models.Builtin().Status(enough(t), target); pcucontrol.KindOf(err) != pcucontrol.Unreachable {
			break
		}
	}
	if err != nil || res.After != pcucontrol.On {
		t.Fatalf("status is %+v, %v", res, err)
	}
	if res, err = models.Builtin().Cycle(enough(t), target); err != nil || !res.Verified {
		t.Fatalf("a cycle gives %+v, %v", res, err)
	}
	if !strings.Contains(trace.String(), "> power cycle") || strings.Contains(trace.String(), "> power off") {
		t.Errorf("the BMC's own cycle was not given, or another command: %s", trace.String())
	}
	target.User = "switcher"
	if res, err := models.Builtin().Test(enough(t), target); err != nil || !res.Verified {
		t.Errorf("a dry run of an operator gives %+v, %v", res, err)
	}
	if res, err := models.Builtin().Cycle(enough(t), target); err != nil || !res.Verified {
		t.Errorf("a cycle of an operator gives %+v, %v", res, err)
	}
	if switched, _ := os.ReadFile(filepath.Join(dir, "log")); string(switched) != "0\n1\n0\n1\n" {
		t.Errorf("the machine was switched %q", switched)
	}
	target.User, target.Password = "admin", "wrong"
	if _, err := models.Builtin().Status(enough(t), target); pcucontrol.KindOf(err) != pcucontrol.Auth {
		t.Errorf("a wrong password gives %v", err)
	}
}
