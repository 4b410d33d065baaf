package ribcl

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/planetlab/monitor/pcucontrol"
	"github.com/planetlab/monitor/pcucontrol/internal/wire"
)

// ribclTranscripts are answers as iLOs give them.
func ribclTranscripts() map[string]string {
	document := func(response, more string) string {
		return fmt.Sprintf(
			"<?xml version=\"1.0\"?>\r\n<RIBCL VERSION=\"2.22\">\r\n<RESPONSE\r\n    %s\r\n     />\r\n%s</RIBCL>\r\n",
			response, more)
	}
	const ok, fine = `STATUS="0x0000" MESSAGE='No error'`, `STATUS='0x0000' MESSAGE="No error"`
	with := func(response, more string) string {
		return document(ok, "") + document(ok,
			"") + "<?xml version=\"1.0\"?>\r\n<RIBCL VERSION=\"2.22\"/>\r\n" + document(response, more)
	}
	return map[string]string{
		"on":              with(fine, "<GET_HOST_POWER\r\n    HOST_POWER=\"ON\"\r\n    />\r\n"),
		"off, old quotes": with(fine, "<GET_HOST_POWER HOST_POWER='OFF' />\r\n"),
		"login":           with(`STATUS="0x005F" MESSAGE='Login credentials rejected.'`, ""),
		"already off":     with(`STATUS="0x0071" MESSAGE='Host power is already OFF.'`, ""),
		"syntax": with(
			`STATUS="0x0001" MESSAGE='Syntax error: Line #4: syntax error near ">" in the line: "<RESET_SERVER/>"'`,
			""),
		"busy": with(`STATUS="0x0049" MESSAGE="The iLO is busy; can't do it."`, ""),
		"late": with(fine, "<INFORM>Server being reset.</INFORM>\r\n") +
			document(`STATUS="0x003C" MESSAGE='Server power is off &amp; stays so.'`, ""),
		"no status": "<?xml version=\"1.0\"?><RIBCL VERSION=\"2.22\"></RIBCL>",
		"no number": with(`STATUS="none" MESSAGE='No error'`, ""),
	}
}

func TestEveryStatusOfARIBCLAnswerCounts(t *testing.T) {
	for name, want := range map[string]struct {
		kind  pcucontrol.Kind
		says  string
		state pcucontrol.State
	}{
		"on":              {"", "", pcucontrol.On},
		"off, old quotes": {"", "", pcucontrol.Off},
		"login":           {pcucontrol.Auth, "Login credentials rejected.", pcucontrol.Unknown},
		"already off":     {pcucontrol.Refused, "Host power is already OFF.", pcucontrol.Unknown},
		"syntax":          {pcucontrol.Refused, `near ">" in the line: "<RESET_SERVER/>"`, pcucontrol.Unknown},
		"busy":            {pcucontrol.Busy, "can't do it", pcucontrol.Unknown},
		"late":            {pcucontrol.Refused, "Server power is off & stays so. (status 0x003c)", pcucontrol.Unknown},
		"no status":       {pcucontrol.Unexpected, "no status", pcucontrol.Unknown},
		"no number":       {pcucontrol.Unexpected, `status "none"`, pcucontrol.Unknown},
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
		r := &io.LimitedReader{R: &dribble{*bytes.NewReader(stream)}, N: wire.MaxRead}
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
		a.already()
	})
}

// dribble breaks a stream into pieces of seven bytes.
type dribble struct{ bytes.Reader }

func (d *dribble) Read(p []byte) (int, error) { return d.Reader.Read(p[:min(7, len(p))]) }

// ilo is a server behind RIBCL by HTTP, whose power is told wrongly at first.
type ilo struct {
	power string
	told  string // before the first command
	asked []string
}

func (i *ilo) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	say := func(status, more string) {
		_, _ = fmt.Fprintf(w, "<?xml version=\"1.0\"?><RIBCL VERSION=\"2.22\"><RESPONSE %s/>%s</RIBCL>", status, more)
	}
	const ok = `STATUS="0x0000" MESSAGE='No error'`
	already := `STATUS="0x0071" MESSAGE='Host power is already ` + i.power + `.'`
	switch text := string(body); {
	case strings.Contains(text, "GET_HOST_POWER_STATUS"):
		say(ok, `<GET_HOST_POWER HOST_POWER="`+cmp.Or(i.told, i.power)+`"/>`)
		i.told = ""
	case strings.Contains(text, `HOST_POWER="Yes"`) && i.power == "OFF",
		strings.Contains(text, `HOST_POWER="No"`) && i.power == "ON":
		i.asked = append(i.asked, "switch")
		i.power = map[string]string{"ON": "OFF", "OFF": "ON"}[i.power]
		say(ok, "")
	case strings.Contains(text, "RESET_SERVER") && i.power == "ON":
		i.asked = append(i.asked, "reset")
		say(ok, "<INFORM>Server being reset.</INFORM>")
	default:
		say(already, "")
	}
}

func TestAnILOThatIsSoAlreadyIsNoError(t *testing.T) {
	for _, c := range []struct {
		name, power, told string
		do                func(*session) func(context.Context) error
		asked, left       string
	}{
		{"on that is on", "ON", "OFF", func(s *session) func(context.Context) error { return s.on }, "", "ON"},
		{"off that is off", "OFF", "ON", func(s *session) func(context.Context) error { return s.off }, "", "OFF"},
		{"a reset of what went off turns it on", "OFF", "ON",
			func(s *session) func(context.Context) error { return s.cycle }, "switch", "ON"},
		{"a reset of what is on", "ON", "", func(s *session) func(context.Context) error { return s.cycle }, "reset",
			"ON"},
	} {
		i := &ilo{power: c.power, told: c.told}
		server := httptest.NewTLSServer(i)
		at := server.Listener.Addr().(*net.TCPAddr)
		s := &session{
			t: pcucontrol.Target{
				Host:      "127.0.0.1",
				Port:      at.Port,
				Transport: "https",
				User:      "u",
				Password:  "s3cret",
				Legacy:    true,
			},
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		if _, err := s.state(ctx); err != nil {
			t.Error(err)
		}
		if err := c.do(s)(ctx); err != nil || strings.Join(i.asked, " ") != c.asked || i.power != c.left {
			t.Errorf("%s gives %v, did %v and left it %s", c.name, err, i.asked, i.power)
		}
		cancel()
		server.Close()
	}
}
