package power

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/planetlab/monitor/pcucontrol"
)

func TestNoCommandIsBegunWhenTheTimeIsOver(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	said := false
	s := Operations{Off: func(context.Context) error { said = true; return nil }}
	if _, err := s.Perform(ctx, pcucontrol.Target{Host: "pdu"}, pcucontrol.OpOff); pcucontrol.KindOf(
		err) != pcucontrol.Timeout ||
		said {
		t.Errorf("it gives %v, and the command was given: %v", err, said)
	}
}

func TestACycleInTwoThatEndsHalfwayIsAmbiguous(t *testing.T) {
	for _, kind := range []pcucontrol.Kind{pcucontrol.Timeout, pcucontrol.Busy, pcucontrol.Unreachable,
		pcucontrol.Refused} {
		nothing := func(context.Context) error { return nil }
		fails := func(context.Context) error { return &pcucontrol.Error{Kind: kind} }
		s := Operations{Pause: time.Millisecond, Off: nothing, On: fails}
		_, err := s.Perform(t.Context(), pcucontrol.Target{}, pcucontrol.OpCycle)
		if pcucontrol.KindOf(err) != pcucontrol.Ambiguous || !strings.Contains(err.Error(), "turned off") {
			t.Errorf("%s while turning on again gives %v", kind, err)
		}
		if _, err := s.Perform(t.Context(), pcucontrol.Target{}, pcucontrol.OpOn); pcucontrol.KindOf(err) != kind {
			t.Errorf("%s while turning on gives %v", kind, err)
		}
	}
}
