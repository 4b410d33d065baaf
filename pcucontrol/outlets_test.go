package pcucontrol_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/planetlab/monitor/pcucontrol"
	"github.com/planetlab/monitor/pcucontrol/models"
	"github.com/planetlab/monitor/testbed/pcudev"
)

func TestAllOutletsAreListedInOneQuery(t *testing.T) {
	t.Parallel()
	everyFace(t, func(t *testing.T, m pcucontrol.Model, tr pcucontrol.Transport) {
		d, r, target := raise(t, m.Name, tr.Name)
		if m.Name == "Redfish" {
			d.Break(pcudev.Several)
		}
		_ = r.Set(3, false)
		_ = r.Set(1, false)
		list, err := builtin(t).List(enough(t), target)
		can := slices.Contains(tr.Can, "list")
		switch {
		case !can && m.Outlets:
			if pcucontrol.KindOf(err) != pcucontrol.Unsupported {
				t.Errorf("what cannot list gives %+v, %v", list, err)
			}
			return
		case !can:
			if err != nil || len(list) != 1 || list[0].State != pcucontrol.Off {
				t.Errorf("one machine is listed as %+v, %v", list, err)
			}
			return
		}
		slices.SortFunc(list, func(a, b pcucontrol.OutletState) int { return a.Outlet - b.Outlet })
		if err != nil || len(list) != 8 {
			t.Fatalf("eight outlets are %+v, %v", list, err)
		}
		for i, o := range list {
			want := pcucontrol.On
			if i == 0 || i == 2 {
				want = pcucontrol.Off
			}
			if o.Outlet != i+1 || o.State != want || strings.TrimSpace(o.Name) != o.Name {
				t.Errorf("outlet %d is %+v", i+1, o)
			}
		}
	})
}

func TestAnOutletMayBeNamed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ model, transport, habit, name, missing string }{
		{"BayTechRPC3NC", "telnet", "", "Outlet  3", "Outlet 33"},
		{"BayTechRPC3NC", "telnet", pcudev.OldRPC, "outlet 3", "3"},
		{"APCControl", "ssh", "", "Outlet 3", "Outlet"},
		{"APCControl12p3", "telnet", "", "OUTLET 3", "Outlet"},
		{"APCSNMP", "udp", "", "Outlet 3", "Outlet"},
		{"ePowerSwitchNew", "http", "", "Outlet 3", "Outlet"},
		{"Redfish", "https", pcudev.Several, "host-3", "host"},
		{"Redfish", "https", pcudev.UUIDs, "00000000-0000-4000-8000-000000000003",
			"00000000-0000-4000-8000-000000000033"},
	} {
		t.Run(c.model+" "+c.habit, func(t *testing.T) {
			t.Parallel()
			d, r, target := raise(t, c.model, c.transport)
			d.Break(c.habit)
			target.Outlet, target.OutletName = 0, c.name
			if res, err := models.Builtin().TurnOff(enough(t), target); err != nil || res.After != pcucontrol.Off {
				t.Fatalf("off gives %+v, %v", res, err)
			}
			if on, _ := r.State(3); on || r.events() != "off" {
				t.Errorf("off of outlet %q left outlet 3 on, and switched %q", c.name, r.events())
			}
			target.OutletName = c.missing
			if res, err := models.Builtin().Cycle(enough(t), target); pcucontrol.KindOf(err) != pcucontrol.NoOutlet ||
				!strings.Contains(err.Error(), c.name[1:]) && c.habit == "" && c.name[0] != 'O' ||
				r.events() != "off" {
				t.Errorf("a cycle of %q gives %+v, %v", c.missing, res, err)
			}
		})
	}
	_, _, target := raise(t, "IPAL", "telnet")
	target.Outlet, target.OutletName = 0, "web-3"
	if _, err := models.Builtin().Cycle(enough(t), target); pcucontrol.KindOf(err) != pcucontrol.Unsupported {
		t.Errorf("what has no names gives %v", err)
	}
}

func TestAMachineIsResetAndShutDown(t *testing.T) {
	t.Parallel()
	c := builtin(t)
	everyFace(t, func(t *testing.T, m pcucontrol.Model, tr pcucontrol.Transport) {
		_, r, target := raise(t, m.Name, tr.Name)
		res, err := c.Reset(enough(t), target)
		if !slices.Contains(tr.Can, "reset") {
			if pcucontrol.KindOf(err) != pcucontrol.Unsupported || r.events() != "" {
				t.Errorf("a reset of what has none gives %+v, %v", res, err)
			}
		} else {
			if err != nil {
				t.Errorf("a reset gives %+v, %v", res, err)
			}
			await(t, "a reset", r, "off on") // the testbed shows it so
		}
		before := r.events()
		res, err = c.Shutdown(enough(t), target)
		if !slices.Contains(tr.Can, "shutdown") {
			if pcucontrol.KindOf(err) != pcucontrol.Unsupported || r.events() != before {
				t.Errorf("a shutdown of what has none gives %+v, %v", res, err)
			}
			return
		}
		if err != nil || res.After != pcucontrol.Off || !res.Verified ||
			r.events() != strings.TrimSpace(before+" off") {
			t.Errorf("a shutdown gives %+v, %v and switched %q", res, err, r.events())
		}
	})
}

func TestTheNextBootIsChosen(t *testing.T) {
	t.Parallel()
	c := builtin(t)
	everyFace(t, func(t *testing.T, m pcucontrol.Model, tr pcucontrol.Transport) {
		_, r, target := raise(t, m.Name, tr.Name)
		for _, device := range []pcucontrol.BootDevice{pcucontrol.BootNetwork, pcucontrol.BootDisk,
			pcucontrol.BootDefault} {
			res, err := c.BootOnce(enough(t), target, device)
			if can := slices.Contains(tr.Can, "boot"); can != (err == nil && res.Verified) ||
				!can && pcucontrol.KindOf(err) != pcucontrol.Unsupported {
				t.Errorf("to boot from %s gives %+v, %v", device, res, err)
			}
		}
		if _, err := c.BootOnce(enough(t), target, "floppy"); pcucontrol.KindOf(err) != pcucontrol.Unsupported {
			t.Errorf("to boot from a floppy gives %v", err)
		}
		if r.events() != "" {
			t.Errorf("it switched %q", fmt.Sprint(r.events()))
		}
	})
}
