package script

import (
	"strings"
	"testing"

	"github.com/planetlab/monitor/pcucontrol"
	"github.com/planetlab/monitor/pcucontrol/internal/wire"
)

func TestErrorsShowTheEndOfWhatWasHeardWithoutThePassword(t *testing.T) {
	const secret = `pass"word`
	k := &talk{
		Session: &wire.Session{Target: pcucontrol.Target{Host: "pdu", Password: secret}},
		state:   pcucontrol.Unknown,
	}
	heard := "the beginning " + secret[:4] + strings.Repeat("x", 300) + secret + strings.Repeat("y", 150) + " the end"
	for name, s := range map[string]step{"a refusal": {Expect: "success"}, "no state": {Read: "state: (on|off)"}} {
		_, err := k.understand("status", s, heard)
		if err == nil || strings.Contains(err.Error(), "word") || strings.Contains(err.Error(), "beginning") ||
			!strings.Contains(err.Error(), "the end") {
			t.Errorf("%s gives %v", name, err)
		}
	}
}
