package wire

import (
	"testing"

	"github.com/planetlab/monitor/pcucontrol"
)

func TestACommandWithoutAConnectionIsNotAmbiguous(t *testing.T) {
	for _, kind := range []pcucontrol.Kind{pcucontrol.Timeout, pcucontrol.Unexpected, pcucontrol.Unreachable,
		pcucontrol.Refused} {
		if err := Unsure(pcucontrol.Target{}, "off", &pcucontrol.Error{Kind: kind,
			Doing: Connecting}); pcucontrol.KindOf(
			err,
		) != kind {
			t.Errorf("%s while connecting gives %v", kind, err)
		}
	}
	for kind, want := range map[pcucontrol.Kind]pcucontrol.Kind{pcucontrol.Timeout: pcucontrol.Ambiguous,
		pcucontrol.Unexpected: pcucontrol.Ambiguous, pcucontrol.Refused: pcucontrol.Refused,
		pcucontrol.Busy: pcucontrol.Busy} {
		if err := Unsure(pcucontrol.Target{}, "off", &pcucontrol.Error{Kind: kind, Doing: "off"}); pcucontrol.KindOf(
			err,
		) != want {
			t.Errorf("%s after the command gives %v", kind, err)
		}
	}
}
