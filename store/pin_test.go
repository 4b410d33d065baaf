package store

import "testing"

func TestPinsOfAPCUStayUntilTheyAreForgotten(t *testing.T) {
	s := open(t)
	ctx := t.Context()
	for _, pin := range [][2]string{{HostKey, "first"}, {HostKey, "second"}, {Certificate, "abc"}} {
		if err := s.PinPCU(ctx, 5, pin[0], pin[1]); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.PinPCU(ctx, 6, HostKey, "another"); err != nil {
		t.Fatal(err)
	}
	if pins, err := s.PCUPins(ctx, 5); err != nil || len(pins) != 2 || pins[HostKey] != "first" ||
		pins[Certificate] != "abc" {
		t.Errorf("pins are %v, %v", pins, err)
	}
	if n, err := s.ForgetPCUPins(ctx, 5); err != nil || n != 2 {
		t.Errorf("%d were forgotten, %v", n, err)
	}
	if pins, err := s.PCUPins(ctx, 5); err != nil || len(pins) != 0 {
		t.Errorf("left are %v, %v", pins, err)
	}
	if pins, err := s.PCUPins(ctx, 6); err != nil || pins[HostKey] != "another" {
		t.Errorf("the other PCU has %v, %v", pins, err)
	}
}
