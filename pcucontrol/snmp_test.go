package pcucontrol_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/planetlab/monitor/pcucontrol"
	"github.com/planetlab/monitor/pcucontrol/models"
	"github.com/planetlab/monitor/testbed/debian"
	"github.com/planetlab/monitor/testbed/pcudev"
)

// raiseSNMP starts a rack that speaks SNMP, and is the target that a record with this user name and password means.
func raiseSNMP(t *testing.T, d *pcudev.SNMPRack, user, password string) (*rack, pcucontrol.Target) {
	t.Helper()
	r := &rack{}
	d.Outlets, d.OffTime = r, 50*time.Millisecond
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	go func() { _ = d.ServePacket(c) }()
	return r, pcucontrol.Target{
		Model:    "APCSNMP",
		Host:     "127.0.0.1",
		Port:     c.LocalAddr().(*net.UDPAddr).Port,
		User:     user,
		Password: password,
		Outlet:   3,
	}
}

// Not beside other tests: those of babbling devices leave a process no time to answer in.
func TestSNMPVersions(t *testing.T) {
	const two = "password-one password-two"
	for _, c := range []struct {
		name           string
		d              *pcudev.SNMPRack
		user, password string
	}{
		{"v1 by name", &pcudev.SNMPRack{}, "v1", "private"},
		{"v2c by name", &pcudev.SNMPRack{}, "v2c", "private"},
		{"a rack with the newer tables in v1", &pcudev.SNMPRack{Newer: true}, "v1", "private"},
		{"a rack with the newer tables in v2c", &pcudev.SNMPRack{Newer: true}, "v2c", "private"},
		{"v3 with sha and aes and one password", &pcudev.SNMPRack{Options: pcudev.Options{User: "monitor"}},
			"v3 monitor", password},
		{"v3 with md5 and des and two passwords", &pcudev.SNMPRack{Auth: "md5", Privacy: "des",
			Options: pcudev.Options{User: "monitor"}}, "v3 monitor md5 des", two},
		{"v3 with sha256 and aes", &pcudev.SNMPRack{Auth: "sha256", Options: pcudev.Options{User: "monitor"}},
			"v3 monitor sha256", two},
		{"v3 without privacy", &pcudev.SNMPRack{Privacy: "none", Options: pcudev.Options{User: "monitor"}},
			"v3 monitor sha none", password},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.d.Password = c.password
			r, target := raiseSNMP(t, c.d, c.user, c.password)
			if res, err := models.Builtin().Cycle(enough(t), target); err != nil || !res.Verified ||
				res.After != pcucontrol.On {
				t.Fatalf("a cycle gives %+v, %v", res, err)
			}
			await(t, "a cycle", r, "off on")
			target.Outlet = 9
			if _, err := models.Builtin().Status(enough(t), target); pcucontrol.KindOf(err) != pcucontrol.NoOutlet {
				t.Errorf("outlet nine of eight gives %v", err)
			}
			target.Outlet, target.Password = 3, "wrong-wrong wrong-wrong"
			want := pcucontrol.Timeout
			if c.d.User != "" {
				want = pcucontrol.Auth
			}
			if _, err := models.Builtin().Cycle(within(t, 2*time.Second), target); pcucontrol.KindOf(err) != want ||
				r.events() != "off on" {
				t.Errorf("a wrong password gives %v", err)
			}
		})
	}
}

func TestAManagedEPDUCountsItsRowsFromNought(t *testing.T) {
	t.Parallel()
	r, err := pcudev.NewRack(4)
	if err != nil {
		t.Fatal(err)
	}
	d, target := serve(t, pcudev.Options{Model: "EatonSNMP", Transport: "udp", Password: password, Outlets: r})
	d.Break(pcudev.ManagedEPDU)
	target.User = "v2c"
	if res, err := models.Builtin().TurnOff(enough(t), target); err != nil || res.After != pcucontrol.Off {
		t.Errorf("off gives %+v, %v", res, err)
	}
	if on, _ := r.State(3); on || len(r.Events()) != 1 {
		t.Errorf("it switched %v", r.Events())
	}
	list, err := models.Builtin().List(enough(t), target)
	if err != nil || len(list) != 4 || list[2] != (pcucontrol.OutletState{Outlet: 3, Name: "Outlet 3",
		State: pcucontrol.Off}) {
		t.Errorf("the list is %+v, %v", list, err)
	}
	target.Outlet = 5
	if _, err := models.Builtin().TurnOff(enough(t), target); pcucontrol.KindOf(err) != pcucontrol.NoOutlet {
		t.Errorf("the fifth of four gives %v", err)
	}
}

func TestSNMPRecordsThatCannotBeMeant(t *testing.T) {
	for _, c := range []struct{ name, user, password string }{
		{"v3 without a name", "v3", password},
		{"an unknown proof", "v3 monitor sha3", password},
		{"an unknown cipher", "v3 monitor sha rot13", password},
		{"a word too many", "v3 monitor sha aes now", password},
		{"a short password", "v3 monitor", "short"},
		{"no community", "v2c", ""},
		{"a community that is too long", "", strings.Repeat("x", 128)},
	} {
		_, err := models.Builtin().Status(t.Context(), pcucontrol.Target{Model: "APCSNMP", Host: "127.0.0.1", Port: 1,
			User: c.user, Password: c.password, Outlet: 1})
		if pcucontrol.KindOf(err) != pcucontrol.Auth {
			t.Errorf("%s gives %v", c.name, err)
		}
	}
}

// forgetful lets commands in and loses the answers to them.
type forgetful struct {
	net.PacketConn
	lose func(request []byte) bool
	lost atomic.Int32
	last atomic.Bool
}

func (f *forgetful) ReadFrom(b []byte) (int, net.Addr, error) {
	n, from, err := f.PacketConn.ReadFrom(b)
	f.last.Store(f.lose(b[:max(n, 0)]))
	return n, from, err
}

func (f *forgetful) WriteTo(b []byte, to net.Addr) (int, error) {
	if f.last.Load() {
		f.lost.Add(1)
		return len(b), nil
	}
	return f.PacketConn.WriteTo(b, to)
}

func TestSNMPSendsACommandOnce(t *testing.T) {
	r := &rack{}
	d := &pcudev.SNMPRack{Options: pcudev.Options{Password: "private", Outlets: r, OffTime: time.Millisecond}}
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	// a SetRequest
	f := &forgetful{PacketConn: c, lose: func(b []byte) bool { return strings.Contains(string(b), "private\xa3") }}
	go func() { _ = d.ServePacket(f) }()
	target := pcucontrol.Target{
		Model:    "APCSNMP",
		Host:     "127.0.0.1",
		Port:     c.LocalAddr().(*net.UDPAddr).Port,
		User:     "v2c",
		Password: "private",
		Outlet:   3,
	}
	if _, err := models.Builtin().Cycle(within(t, 2*time.Second), target); pcucontrol.KindOf(
		err,
	) != pcucontrol.Ambiguous {
		t.Errorf("a lost answer gives %v", err)
	}
	if f.lost.Load() != 1 {
		t.Errorf("the command was sent %d times", f.lost.Load())
	}
}

func TestDebiansSNMPToolsDriveOurRack(t *testing.T) {
	get, set, walk := debian.Need(t, "snmpget", "snmp"), debian.Need(t, "snmpset",
		"snmp"), debian.Need(t, "snmpwalk", "snmp")
	t.Parallel()
	const outlet3 = ".1.3.6.1.4.1.318.1.1.4.4.2.1.3.3"
	for name, c := range map[string]struct {
		d    *pcudev.SNMPRack
		pass string
		args []string
	}{
		"v1":  {&pcudev.SNMPRack{}, "private", []string{"-v1", "-c", "private"}},
		"v2c": {&pcudev.SNMPRack{}, "private", []string{"-v2c", "-c", "private"}},
		"v3": {&pcudev.SNMPRack{Options: pcudev.Options{User: "monitor"}}, password,
			[]string{"-v3", "-l", "authPriv", "-u", "monitor", "-a", "SHA", "-x", "AES", "-A", password, "-X",
				password}},
		"v3 of old": {&pcudev.SNMPRack{Auth: "md5", Privacy: "des", Options: pcudev.Options{User: "monitor"}}, password,
			[]string{"-v3", "-l", "authPriv", "-u", "monitor", "-a", "MD5", "-x", "DES", "-A", password, "-X",
				password}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.d.Password = c.pass
			r, target := raiseSNMP(t, c.d, "", "")
			run := func(program string, args ...string) (string, error) {
				all := append(append([]string{"-On", "-t", "5", "-r", "0"}, c.args...),
					fmt.Sprintf("%s:%d", target.Host, target.Port))
				out, err := exec.CommandContext(enough(t), program, append(all, args...)...).CombinedOutput()
				return string(out), err
			}
			if out, err := run(get, outlet3); err != nil || !strings.Contains(out, outlet3+" = INTEGER: 1") {
				t.Errorf("snmpget: %v: %s", err, out)
			}
			if out, err := run(set, outlet3, "i", "3"); err != nil {
				t.Errorf("snmpset: %v: %s", err, out)
			}
			await(t, "snmpset", r, "off on")
			if out, err := run(walk, ".1.3.6.1"); err != nil ||
				strings.Count(out, ".1.3.6.1.4.1.318.1.1.4.4.2.1.3.") != 8 ||
				strings.Contains(out, "Error") {
				t.Errorf("snmpwalk: %v: %s", err, out)
			}
			if out, err := run(set, outlet3, "i", "7"); err == nil || !strings.Contains(out, "alue") {
				t.Errorf("a value that cannot be: %v: %s", err, out)
			}
			c.args = append(c.args, "-c", "guess", "-A", "guess-guess")
			if out, err := run(get, outlet3); err == nil {
				t.Errorf("a wrong password: %s", out)
			}
		})
	}
}

func TestDebiansFenceAgentDrivesOurRack(t *testing.T) {
	agent := debian.Need(t, "fence_apc_snmp", "fence-agents")
	debian.Need(t, "snmpset", "snmp")
	t.Parallel()
	for version, d := range map[string]*pcudev.SNMPRack{"1": {}, "2c": {}} {
		d.Password = "private"
		r, target := raiseSNMP(t, d, "", "")
		run := func(action string) {
			args := []string{"-a", target.Host, "-u", strconv.Itoa(target.Port), "-d", version, "-c", "private", "-n",
				"3", "-o", action}
			if out, err := exec.CommandContext(enough(t), agent, args...).CombinedOutput(); err != nil {
				t.Fatalf("%s by v%s: %v: %s", action, version, err, out)
			}
		}
		run("status")
		run("reboot")
		if r.events() != "off on" {
			t.Errorf("v%s switched %q", version, r.events())
		}
	}
}

// TestSNMPDrivesDebiansSnmpd drives an agent that is not ours: net-snmp's, with a script for the outlets.
func TestSNMPDrivesDebiansSnmpd(t *testing.T) {
	t.Parallel()
	snmpd := debian.Need(t, "snmpd", "snmpd")
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	port := freePort(t)
	// A reboot is over at once; every value that was written is logged.
	write("3", "1\n", 0o644)
	script := write("outlets", `#!/bin/sh
base=.1.3.6.1.4.1.318.1.1.4.4.2.1.3
n=${2#$base.}
cd `+dir+` || exit
case $1 in
-s) [ -f "$n" ] || { echo not-writable; exit; }; echo "$4" >>log; case $4 in 3) echo 1 >"$n";; *) echo "$4" >"$n";; esac;;
-g) [ -f "$n" ] && { echo "$2"; echo integer; cat "$n"; };;
esac
`, 0o755)
	conf := write("snmpd.conf", fmt.Sprintf(`agentaddress udp:%s:%d
rwcommunity private
rocommunity public
createUser monitor SHA "%s" AES "%s"
rwuser monitor priv
pass .1.3.6.1.4.1.318.1.1.4.4.2.1.3 %s
`, theirAddress, port, password, password, script), 0o600)
	cmd := exec.Command(snmpd, "-f", "-Lo", "-C", "-c", conf, "-p", filepath.Join(dir, "pid"), "-I", "-smux")
	cmd.Env = append(os.Environ(), "SNMP_PERSISTENT_DIR="+dir, "MIBS=")
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
		Model:    "APCSNMP",
		Host:     theirAddress,
		Port:     port,
		User:     "v2c",
		Password: "private",
		Outlet:   3,
		Trace:    func(s string) { t.Log(s) },
	}
	for end := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		_, err := models.Builtin().Status(within(t, 15*time.Second), target)
		if err == nil {
			break
		} else if time.Now().After(end) {
			t.Fatal(err)
		}
	}
	written := ""
	for _, login := range [][2]string{{"v1", "private"}, {"v2c", "private"}, {"apc", "private"},
		{"v3 monitor", password}} {
		target.User, target.Password = login[0], login[1]
		if res, err := models.Builtin().Test(enough(t), target); err != nil {
			t.Fatalf("%s: a dry run gives %+v, %v", login[0], res, err)
		}
		if res, err := models.Builtin().Cycle(enough(t), target); err != nil || !res.Verified {
			t.Fatalf("%s: a cycle gives %+v, %v", login[0], res, err)
		}
		written += "3\n"
		if got, _ := os.ReadFile(filepath.Join(dir, "log")); string(got) != written {
			t.Fatalf("%s: written was %q", login[0], got)
		}
	}
	for _, c := range []struct {
		name, user, password string
		outlet               int
		want                 pcucontrol.Kind
	}{
		{"a community that may only read", "v2c", "public", 3, pcucontrol.Refused},
		{"a community that may only read, in v1", "v1", "public", 3, pcucontrol.Refused},
		{"a wrong community", "v2c", "guess", 3, pcucontrol.Timeout},
		{"a wrong password in v3", "v3 monitor", "guess-guess", 3, pcucontrol.Auth},
		{"a user nobody knows", "v3 nobody", password, 3, pcucontrol.Auth},
		{"no such outlet", "v2c", "private", 4, pcucontrol.NoOutlet},
		{"no such outlet in v1", "v1", "private", 4, pcucontrol.NoOutlet},
		{"no such outlet in v3", "v3 monitor", password, 4, pcucontrol.NoOutlet},
	} {
		target.User, target.Password, target.Outlet = c.user, c.password, c.outlet
		if _, err := models.Builtin().Cycle(within(t, 15*time.Second), target); pcucontrol.KindOf(err) != c.want {
			t.Errorf("%s gives %v", c.name, err)
		}
	}
	if got, _ := os.ReadFile(filepath.Join(dir, "log")); string(got) != written {
		t.Errorf("written was %q", got)
	}
}

// theirAddress is where programs of others listen: no device of the testbed does, so that none takes a port that was
// found free for one of them.
const theirAddress = "127.0.0.95"

// freePort is one that nobody listens at there, neither by TCP nor by UDP.
func freePort(t *testing.T) int {
	t.Helper()
	for range 100 {
		l, err := net.Listen("tcp", theirAddress+":0")
		if err != nil {
			t.Fatal(err)
		}
		port := l.Addr().(*net.TCPAddr).Port
		c, err := net.ListenPacket("udp", l.Addr().String())
		_ = l.Close()
		if err == nil {
			_ = c.Close()
			return port
		}
	}
	t.Fatal("no port is free")
	return 0
}
