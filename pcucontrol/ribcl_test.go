package pcucontrol

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
)

// ribclTranscripts are answers as iLOs give them.
func ribclTranscripts() map[string]string {
	document := func(response, more string) string {
		return fmt.Sprintf("<?xml version=\"1.0\"?>\r\n<RIBCL VERSION=\"2.22\">\r\n<RESPONSE\r\n    %s\r\n     />\r\n%s</RIBCL>\r\n", response, more)
	}
	const ok, fine = `STATUS="0x0000" MESSAGE='No error'`, `STATUS='0x0000' MESSAGE="No error"`
	with := func(response, more string) string {
		return document(ok, "") + document(ok, "") + "<?xml version=\"1.0\"?>\r\n<RIBCL VERSION=\"2.22\"/>\r\n" + document(response, more)
	}
	return map[string]string{
		"on":              with(fine, "<GET_HOST_POWER\r\n    HOST_POWER=\"ON\"\r\n    />\r\n"),
		"off, old quotes": with(fine, "<GET_HOST_POWER HOST_POWER='OFF' />\r\n"),
		"login":           with(`STATUS="0x005F" MESSAGE='Login credentials rejected.'`, ""),
		"already off":     with(`STATUS="0x0071" MESSAGE='Host power is already OFF.'`, ""),
		"syntax":          with(`STATUS="0x0001" MESSAGE='Syntax error: Line #4: syntax error near ">" in the line: "<RESET_SERVER/>"'`, ""),
		"busy":            with(`STATUS="0x0049" MESSAGE="The iLO is busy; can't do it."`, ""),
		"late": with(fine, "<INFORM>Server being reset.</INFORM>\r\n") +
			document(`STATUS="0x003C" MESSAGE='Server power is off &amp; stays so.'`, ""),
		"no status": "<?xml version=\"1.0\"?><RIBCL VERSION=\"2.22\"></RIBCL>",
		"no number": with(`STATUS="none" MESSAGE='No error'`, ""),
	}
}

func TestEveryStatusOfARIBCLAnswerCounts(t *testing.T) {
	for name, want := range map[string]struct {
		kind  Kind
		says  string
		state State
	}{
		"on":              {"", "", On},
		"off, old quotes": {"", "", Off},
		"login":           {Auth, "Login credentials rejected.", Unknown},
		"already off":     {Refused, "Host power is already OFF.", Unknown},
		"syntax":          {Refused, `near ">" in the line: "<RESET_SERVER/>"`, Unknown},
		"busy":            {Busy, "can't do it", Unknown},
		"late":            {Refused, "Server power is off & stays so. (status 0x003c)", Unknown},
		"no status":       {Unexpected, "no status", Unknown},
		"no number":       {Unexpected, `status "none"`, Unknown},
	} {
		a := ribclAnswer(ribclTranscripts()[name])
		kind, says := a.judge()
		state, _ := a.power()
		if kind != want.kind || !strings.Contains(says, want.says) || state != want.state {
			t.Errorf("%s means %q, %q, %s", name, kind, says, state)
		}
	}
}

func FuzzRIBCL(f *testing.F) {
	for _, a := range ribclTranscripts() {
		f.Add([]byte(a), "GET_HOST_POWER")
		f.Add([]byte(a[:len(a)/2]), "")
	}
	f.Fuzz(func(t *testing.T, stream []byte, wanted string) {
		r := &io.LimitedReader{R: &dribble{*bytes.NewReader(stream)}, N: maxRead}
		a, err := readDocuments(t.Context(), r, func(time.Time) error { return nil }, wanted)
		if !strings.HasPrefix(string(stream), string(a)) {
			t.Errorf("it heard what was not said")
		}
		if err == nil && !wholeDocument([]byte(a)) {
			t.Errorf("half a document is an answer: %q", a)
		}
		if kind, says := a.judge(); kind != "" && says == "" || kind == "" && len(a.attributes("RESPONSE")) == 0 {
			t.Errorf("it means %q, %q", kind, says)
		}
		a.power()
		a.alreadyOff()
	})
}

// dribble breaks a stream into pieces of seven bytes.
type dribble struct{ bytes.Reader }

func (d *dribble) Read(p []byte) (int, error) { return d.Reader.Read(p[:min(7, len(p))]) }
