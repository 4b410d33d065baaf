package device

import (
	"testing"
	"time"
)

func TestALaterOffWinsOverARebootUnderWay(t *testing.T) {
	rack, err := NewRack(2)
	if err != nil {
		t.Fatal(err)
	}
	var f Condition
	const off = 20 * time.Millisecond
	if err := f.Cycle(rack, 1, off); err != nil {
		t.Fatal(err)
	}
	if err := f.Set(rack, 1, false); err != nil {
		t.Fatal(err)
	}
	// A reboot of another outlet, that began later and takes longer, is over when the first one would have been.
	if err := f.Cycle(rack, 2, 2*off); err != nil {
		t.Fatal(err)
	}
	for on := false; !on; time.Sleep(time.Millisecond) {
		on, _ = rack.State(2)
	}
	if on, err := rack.State(1); on || err != nil {
		t.Errorf("the reboot turned on what was turned off after it began (%v)", err)
	}
	if err := f.Set(rack, 1, true); err != nil {
		t.Fatal(err)
	}
	if on, _ := rack.State(1); !on {
		t.Error("it cannot be turned on any more")
	}
}
