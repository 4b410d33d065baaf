package machines

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"

	"github.com/planetlab/monitor/testbed/pcudev/internal/console"
	"github.com/planetlab/monitor/testbed/pcudev/internal/device"
	"github.com/planetlab/monitor/testbed/pcudev/internal/site"
)

// NewILO is the RIBCL face of HP's iLO: by HTTP POST to /ribcl, and bare on the same port. It switches the first
// outlet.
func NewILO(o device.Options) (device.Device, error) {
	return site.New(o, func(s *site.Site) {
		s.Own = device.TwoTonguesFaults()
		s.Bare = func(c net.Conn, r io.Reader) { ribcl{s, pieces{c}}.run(r) }
		m := http.NewServeMux()
		m.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, "<HTML><HEAD><TITLE>Integrated Lights-Out</TITLE></HEAD></HTML>")
		})
		m.HandleFunc("POST /ribcl", func(w http.ResponseWriter, r *http.Request) {
			if s.Has(device.OldFirmware) {
				http.NotFound(w, r)
				return
			}
			var answer bytes.Buffer
			ribcl{s, &answer}.run(r.Body)
			w.Header().Set("Connection", "close")
			w.Header().Set("Content-Type", "text/xml")
			_ = http.NewResponseController(w).Flush() // it comes in chunks, and clients insist on that
			_, _ = io.Copy(pieces{w}, &answer)
		})
		s.Pages = m
	})
}

// pieces breaks what is written where it hurts: in names, values and tags.
type pieces struct{ io.Writer }

func (w pieces) Write(p []byte) (n int, err error) {
	for err == nil && n < len(p) {
		var some int
		some, err = w.Writer.Write(p[n:min(len(p), n+37)])
		n += some
	}
	return n, err
}

// ribcl answers one script: each thing it is told with a document of its own.
type ribcl struct {
	s   *site.Site
	out io.Writer
}

func (r ribcl) say(status int, message, extra string) {
	fmt.Fprintf(r.out, "<?xml version=\"1.0\"?>\r\n<RIBCL VERSION=\"2.22\">\r\n"+
		"<RESPONSE\r\n    STATUS=\"0x%04X\"\r\n    MESSAGE='%s'\r\n     />\r\n%s</RIBCL>\r\n", status, message, extra)
}

func (r ribcl) fine(extra string) { r.say(0, "No error", extra) }

// run reads a script as it comes.
func (r ribcl) run(in io.Reader) {
	if !r.s.Enter() {
		r.say(0x49, "The maximum number of sessions is in use.", "")
		return
	}
	defer r.s.Leave()
	d := xml.NewDecoder(in)
	inside, mode := false, ""
	for {
		token, err := d.Token()
		if err == io.EOF {
			return
		}
		if err != nil {
			r.say(1, "Syntax error: Line #1: syntax error near the end of the script.", "")
			return
		}
		switch t := token.(type) {
		case xml.ProcInst:
			r.fine("")
		case xml.EndElement:
			switch t.Name.Local {
			case "RIBCL":
				return
			case "LOGIN":
				inside = false
			}
		case xml.StartElement:
			attr := map[string]string{}
			for _, a := range t.Attr {
				attr[a.Name.Local] = a.Value
			}
			switch name := t.Name.Local; {
			case name == "RIBCL" || name == "LOCFG":
			case name == "LOGIN":
				if inside = r.s.Knows(attr["USER_LOGIN"], attr["PASSWORD"]); !inside {
					r.say(0x5f, "Login credentials rejected.", "")
					return
				}
				r.fine("")
			case !inside:
				r.say(0x0a, "User is not logged in.", "")
				return
			case strings.HasSuffix(name, "_INFO"):
				mode = attr["MODE"]
				r.fine("")
			default:
				r.command(name, attr, mode)
			}
		}
	}
}

// command does what needs a login: here what only reads.
func (r ribcl) command(name string, attr map[string]string, mode string) {
	state := strings.ToUpper(console.OnOff(r.s.Outlets, 1))
	switch name {
	case "GET_FW_VERSION":
		r.fine("<GET_FW_VERSION\r\n    FIRMWARE_VERSION = \"2.05\"\r\n    FIRMWARE_DATE    = \"Dec 17 2010\"\r\n" +
			"    MANAGEMENT_PROCESSOR    = \"iLO2\"\r\n    />\r\n")
		return
	case "GET_NETWORK_SETTINGS":
		r.fine(
			"<GET_NETWORK_SETTINGS>\r\n    <DNS_NAME VALUE = \"testbed\"/>\r\n    <IP_ADDRESS " +
				"VALUE='127.0.0.1'/>\r\n</GET_NETWORK_SETTINGS>\r\n")
		return
	case "GET_HOST_POWER_STATUS":
		r.fine("<GET_HOST_POWER\r\n    HOST_POWER=\"" + state + "\"\r\n    />\r\n")
		return
	}
	if mode != "write" {
		r.say(0x23, "This command is only for MODE write.", "")
		return
	}
	r.power(name, attr, state == "ON")
}

func (r ribcl) power(name string, attr map[string]string, on bool) {
	set := func(on bool) {
		if !on || !r.s.Has(device.StaysOff) {
			_ = r.s.Set(r.s.Outlets, 1, on)
		}
		r.fine("")
	}
	switch name {
	case "SET_HOST_POWER":
		want := strings.EqualFold(attr["HOST_POWER"], "yes") || strings.EqualFold(attr["HOST_POWER"], "on")
		if want == on {
			r.say(0x71, "Host power is already "+map[bool]string{true: "ON", false: "OFF"}[on]+".", "")
			return
		}
		set(want)
	case "HOLD_PWR_BTN":
		set(strings.EqualFold(attr["TOGGLE"], "yes") && !on)
	case "PRESS_PWR_BTN":
		set(!on)
	case "RESET_SERVER", "COLD_BOOT_SERVER", "WARM_BOOT_SERVER":
		if !on {
			r.say(0x71, "Host power is already OFF.", "")
			return
		}
		_ = r.s.Cycle(r.s.Outlets, 1, r.s.OffTime)
		r.fine("<INFORM>Server being reset.</INFORM>\r\n")
	default:
		r.say(1, "Syntax error: Line #5: syntax error near \""+name+"\".", "")
	}
}
