package pcucontrol_test

import (
	"testing"

	"github.com/planetlab/monitor/pcucontrol"
	"github.com/planetlab/monitor/pcucontrol/models"
	"github.com/planetlab/monitor/testbed/pcudev"
)

func TestATasmotaOfOneRelayHasNoSecond(t *testing.T) {
	t.Parallel()
	r, err := pcudev.NewRack(1)
	if err != nil {
		t.Fatal(err)
	}
	_, target := serve(t, pcudev.Options{Model: "Tasmota", Transport: "http", User: "admin", Password: password,
		Outlets: r})
	target.Outlet = 2 // which it takes for the first one
	if _, err := models.Builtin().TurnOff(enough(t), target); pcucontrol.KindOf(err) != pcucontrol.NoOutlet {
		t.Errorf("the second one gives %v", err)
	}
	if len(r.Events()) > 0 {
		t.Fatalf("it switched %v", r.Events())
	}
	target.Outlet = 1
	if res, err := models.Builtin().TurnOff(enough(t), target); err != nil || res.After != pcucontrol.Off {
		t.Errorf("the first one gives %+v, %v", res, err)
	}
	list, err := models.Builtin().List(enough(t), target)
	if err != nil || len(list) != 1 || list[0].Outlet != 1 || list[0].State != pcucontrol.Off {
		t.Errorf("the list is %+v, %v", list, err)
	}
}

func TestAnOldTasmotaRefusesAPasswordWithStatus200(t *testing.T) {
	t.Parallel()
	d, r, target := raise(t, "Tasmota", "http")
	d.Break(pcudev.OldFirmware)
	target.Password = "guess-me"
	if _, err := models.Builtin().Cycle(enough(t), target); pcucontrol.KindOf(err) != pcucontrol.Auth ||
		r.events() != "" {
		t.Errorf("a wrong password gives %v and switched %q", err, r.events())
	}
	target.Password = password
	if res, err := models.Builtin().TurnOff(enough(t), target); err != nil || res.After != pcucontrol.Off {
		t.Errorf("the right one gives %+v, %v", res, err)
	}
}
