package pcudev

import (
	"fmt"
	"net/http"
	"strconv"
)

// newDigitalLoggers is a web power switch of Digital Loggers' by its REST interface, which takes Digest and, for what changes something, wants a
// header that no form can send.
func newDigitalLoggers(o Options) (Device, error) {
	return newSite(o, func(s *site) {
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
				fmt.Fprint(w, onOff(s.Outlets, n) == "On")
			}
		})
		m.HandleFunc("PUT /restapi/relay/outlets/{outlet}/state/", func(w http.ResponseWriter, r *http.Request) {
			if n, ok := outlet(w, r); ok {
				_ = s.set(s.Outlets, n, r.PostFormValue("value") == "true")
				w.WriteHeader(http.StatusNoContent)
			}
		})
		m.HandleFunc("POST /restapi/relay/outlets/{outlet}/cycle/", func(w http.ResponseWriter, r *http.Request) {
			if n, ok := outlet(w, r); ok {
				_ = s.cycle(s.Outlets, n, s.OffTime)
				w.WriteHeader(http.StatusNoContent)
			}
		})
		s.pages = (&digestLock{s: s, realm: "Web Power Switch"}).guard(m)
	})
}
