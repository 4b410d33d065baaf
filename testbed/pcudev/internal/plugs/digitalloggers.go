package plugs

import (
	"fmt"
	"net/http"
	"strconv"

	"github.com/planetlab/monitor/testbed/pcudev/internal/console"
	"github.com/planetlab/monitor/testbed/pcudev/internal/device"
	"github.com/planetlab/monitor/testbed/pcudev/internal/site"
)

// NewDigitalLoggers is a web power switch of Digital Loggers' by its REST interface, which takes Digest and, for what
// changes something, wants a header that no form can send.
func NewDigitalLoggers(o device.Options) (device.Device, error) {
	return site.New(o, func(s *site.Site) {
		outlet := func(w http.ResponseWriter, r *http.Request) (int, bool) {
			i, err := strconv.Atoi(r.PathValue("outlet"))
			if err != nil || i < 0 || i >= s.Outlets.Count() {
				http.Error(w, "Not found", http.StatusNotFound)
				return 0, false
			}
			if r.Method != http.MethodGet && r.Header.Get("X-CSRF") == "" {
				http.Error(w, "CSRF", http.StatusBadRequest)
				return 0, false
			}
			return i + 1, true
		}
		m := http.NewServeMux()
		m.HandleFunc("GET /restapi/relay/outlets/{outlet}/state/", func(w http.ResponseWriter, r *http.Request) {
			if n, ok := outlet(w, r); ok {
				w.Header().Set("Content-Type", "application/json")
				fmt.Fprint(w, console.OnOff(s.Outlets, n) == "On")
			}
		})
		m.HandleFunc("PUT /restapi/relay/outlets/{outlet}/state/", func(w http.ResponseWriter, r *http.Request) {
			if n, ok := outlet(w, r); ok {
				_ = s.Set(s.Outlets, n, r.PostFormValue("value") == "true")
				w.WriteHeader(http.StatusNoContent)
			}
		})
		m.HandleFunc("POST /restapi/relay/outlets/{outlet}/cycle/", func(w http.ResponseWriter, r *http.Request) {
			if n, ok := outlet(w, r); ok {
				_ = s.Cycle(s.Outlets, n, s.OffTime)
				w.WriteHeader(http.StatusNoContent)
			}
		})
		s.Pages = (&site.DigestLock{S: s, Realm: "Web Power Switch"}).Guard(m)
	})
}
