package pcucontrol_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/planetlab/monitor/pcucontrol"
	"github.com/planetlab/monitor/pcucontrol/models"
	"github.com/planetlab/monitor/testbed/debian"
	"github.com/planetlab/monitor/testbed/pcudev"
)

func TestAUnitOfNUTWithoutCommandsHasSwitches(t *testing.T) {
	t.Parallel()
	d, r, target := raise(t, "NUT", "tcp")
	d.Break(pcudev.OnlySwitches)
	if res, err := models.Builtin().Cycle(enough(t), target); err != nil || !res.Verified || r.events() != "off on" {
		t.Errorf("a cycle gives %+v, %v and switched %q", res, err, r.events())
	}
}

func TestAUnitOfNUTIsFoundByItsName(t *testing.T) {
	t.Parallel()
	d, r, target := raise(t, "NUT", "tcp")
	target.User = "admin@rack"
	if res, err := models.Builtin().TurnOff(enough(t), target); err != nil || res.After != pcucontrol.Off {
		t.Errorf("off gives %+v, %v", res, err)
	}
	target.Outlet, target.OutletName = 0, "Outlet 3"
	if res, err := models.Builtin().TurnOn(enough(t), target); err != nil || r.events() != "off on" {
		t.Errorf("on by name gives %+v, %v and switched %q", res, err, r.events())
	}
	target.User = "admin@cellar"
	if _, err := models.Builtin().Cycle(enough(t), target); pcucontrol.KindOf(err) != pcucontrol.NoOutlet {
		t.Errorf("another unit gives %v", err)
	}
	target.User = "admin"
	d.Break(pcudev.Busy)
	_, err := models.Builtin().TurnOff(enough(t), target)
	if pcucontrol.KindOf(err) != pcucontrol.Unreachable || !strings.Contains(err.Error(), "does not reach the unit") {
		t.Errorf("a unit that its server does not reach gives %v", err)
	}
	if r.events() != "off on" {
		t.Errorf("it switched %q", r.events())
	}
}

// upsd starts Debian's server of Network UPS Tools, with one unit and the driver for it.
func upsd(t *testing.T, driver, pkg, unit string, files map[string]string) pcucontrol.Target {
	t.Helper()
	server := debian.Need(t, "/lib/nut/upsd", "nut-server")
	driver = debian.Need(t, driver, pkg)
	dir, port := t.TempDir(), freePort(t)
	for name, text := range map[string]string{
		"ups.conf":   "maxretry = 3\n[pdu]\n" + unit,
		"upsd.conf":  fmt.Sprintf("LISTEN %s %d\nSTATEPATH %s\n", theirAddress, port, dir),
		"upsd.users": "[admin]\n\tpassword = " + password + "\n\tactions = SET\n\tinstcmds = ALL\n",
	} {
		files[name] = text
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	env := []string{"NUT_CONFPATH=" + dir, "NUT_STATEPATH=" + dir, "NUT_ALTPIDPATH=" + dir}
	runsIn(t, env, driver, "-a", "pdu", "-u", "root", "-D")
	runsIn(t, env, server, "-u", "root", "-D")
	target := pcucontrol.Target{
		Model: "NUT", Host: theirAddress, Port: port, User: "admin", Password: password, Outlet: 3,
	}
	for end := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		res, err := models.Builtin().Status(enough(t), target)
		if err == nil && res.After == pcucontrol.On {
			return target
		}
		if time.Now().After(end) {
			t.Fatalf("its status gives %+v, %v", res, err)
		}
	}
}

// TestNUTSwitchesARackByItsDriverForSNMP also holds our devices against what NUT knows of these makers' tables.
func TestNUTSwitchesARackByItsDriverForSNMP(t *testing.T) {
	t.Parallel()
	for _, model := range []string{"EatonSNMP", "RaritanSNMP"} {
		t.Run(model, func(t *testing.T) {
			t.Parallel()
			_, r, rack := raise(t, model, "udp")
			target := upsd(t, "/lib/nut/snmp-ups", "nut-snmp", fmt.Sprintf(
				"\tdriver = snmp-ups\n\tport = 127.0.0.1:%d\n\tcommunity = %s\n\tsnmp_version = v1\n\tsnmp_timeout = 10\n\tpollfreq = 2\n",
				rack.Port, password), map[string]string{})
			if res, err := models.Builtin().TurnOff(enough(t), target); err != nil || res.After != pcucontrol.Off ||
				r.events() != "off" {
				t.Errorf("off gives %+v, %v and switched %q", res, err, r.events())
			}
			if res, err := models.Builtin().TurnOn(enough(t), target); err != nil || res.After != pcucontrol.On ||
				r.events() != "off on" {
				t.Errorf("on gives %+v, %v and switched %q", res, err, r.events())
			}
			// Its own cycle is over before the server looks again.
			if res, err := models.Builtin().Cycle(enough(t), target); err != nil || res.After != pcucontrol.On ||
				r.events() != "off on off on" {
				t.Errorf("a cycle gives %+v, %v and switched %q", res, err, r.events())
			}
		})
	}
}

func TestDebiansUPSServerIsDriven(t *testing.T) {
	t.Parallel()
	var unit strings.Builder
	for n := 1; n <= 3; n++ {
		fmt.Fprintf(&unit, "outlet.%d.desc: Machine %d\noutlet.%d.switch: on\n", n, n, n)
	}
	unit.WriteString("ups.status: OL\noutlet.group.1.name: both halls\noutlet.group.1.switch: on\n")
	target := upsd(t, "/lib/nut/dummy-ups", "nut-server",
		"\tdriver = dummy-ups\n\tport = pdu.dev\n\tmode = dummy-once\n", map[string]string{"pdu.dev": unit.String()})
	c := models.Builtin()
	list, err := c.List(enough(t), target)
	want := []pcucontrol.OutletState{
		{Outlet: 1, Name: "Machine 1", State: pcucontrol.On}, {Outlet: 2, Name: "Machine 2", State: pcucontrol.On},
		{Outlet: 3, Name: "Machine 3", State: pcucontrol.On}, {Name: "both halls", State: pcucontrol.On},
	}
	if err != nil || !slices.Equal(list, want) {
		t.Errorf("the list is %+v, %v", list, err)
	}
	if res, err := c.Cycle(enough(t), target); err != nil || !res.Verified || res.After != pcucontrol.On {
		t.Errorf("a cycle gives %+v, %v", res, err)
	}
	if res, err := c.TurnOff(enough(t), target); err != nil || res.After != pcucontrol.Off {
		t.Errorf("off gives %+v, %v", res, err)
	}
	group := target
	group.Outlet, group.OutletName = 0, "group.1"
	if res, err := c.TurnOff(enough(t), group); err != nil || res.After != pcucontrol.Off {
		t.Errorf("off of a group gives %+v, %v", res, err)
	}
	for user, secret := range map[string]string{"admin": "guess-me", "nobody": password} {
		wrong := target
		wrong.User, wrong.Password = user, secret
		if _, err := c.TurnOn(enough(t), wrong); pcucontrol.KindOf(err) != pcucontrol.Auth {
			t.Errorf("%s with %s gives %v", user, secret, err)
		}
	}
	if res, err := c.Status(enough(t), target); err != nil || res.After != pcucontrol.Off {
		t.Errorf("after all that it is %+v, %v", res, err)
	}
}
