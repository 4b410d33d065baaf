package web

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/planetlab/monitor/pcucontrol"
	"github.com/planetlab/monitor/pcucontrol/internal/secret"
	"github.com/planetlab/monitor/pcucontrol/internal/wire"
)

func TestOurOwnWordsAreNotMasked(t *testing.T) {
	for _, password := range []string{"wrong", "password", "timeout", "refused", "no answer", "status", "device"} {
		target := pcucontrol.Target{Host: "pdu", Password: password}
		s := &wire.Session{Target: target}
		w := New(target, LoginNone, false)
		for name, err := range map[string]error{
			"of a conversation":  s.Fail(pcucontrol.Timeout, "status", "no answer in time: wrong password"),
			"of a page":          w.Fail(pcucontrol.Refused, "status", "no answer in time: wrong password"),
			"of a refused login": w.Judge("log in", Reply{Status: 401}),
		} {
			if strings.Contains(err.Error(), secret.Stars) {
				t.Errorf("%q: the error %s is %v", password, name, err)
			}
		}
		heard, _ := json.Marshal(password)
		if err := w.Judge("status", Reply{Status: 400, Body: string(heard)}); strings.Contains(
			strings.SplitN(err.Error(), "heard: ", 2)[1],
			password,
		) {
			t.Errorf("%q: what was heard is shown: %v", password, err)
		}
	}
}
