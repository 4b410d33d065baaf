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

// upsd starts Debian's server of Network UPS Tools, with one unit of the driver that plays one from a file.
func upsd(t *testing.T) pcucontrol.Target {
	t.Helper()
	// a script that runs it only where Debian's settings say so
	debian.Need(t, "upsd", "nut-server")
	const server, driver = "/lib/nut/upsd", "/lib/nut/dummy-ups" // of the same package
	dir := t.TempDir()
	port := freePort(t)
	var unit strings.Builder
	for n := 1; n <= 3; n++ {
		fmt.Fprintf(&unit, "outlet.%d.desc: Machine %d\noutlet.%d.switch: on\n", n, n, n)
	}
	unit.WriteString("ups.status: OL\noutlet.group.1.name: both halls\noutlet.group.1.switch: on\n")
	for name, text := range map[string]string{
		"ups.conf":   "maxretry = 3\n[pdu]\n\tdriver = dummy-ups\n\tport = pdu.dev\n\tmode = dummy-once\n",
		"upsd.conf":  fmt.Sprintf("LISTEN 127.0.0.1 %d\nSTATEPATH %s\n", port, dir),
		"upsd.users": "[admin]\n\tpassword = " + password + "\n\tactions = SET\n\tinstcmds = ALL\n",
		"pdu.dev":    unit.String(),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"NUT_CONFPATH", "NUT_STATEPATH", "NUT_ALTPIDPATH"} {
		t.Setenv(name, dir)
	}
	runs(t, driver, "-a", "pdu", "-u", "root", "-D")
	runs(t, server, "-u", "root", "-D")
	target := pcucontrol.Target{Model: "NUT", Host: "127.0.0.1", Port: port, User: "admin", Password: password,
		Outlet: 3}
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

func TestDebiansUPSServerIsDriven(t *testing.T) {
	target := upsd(t)
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
