package pcudev

import (
	"net/http"
	"strconv"
)

// shelly is a plug or relay of Shelly's; its channels are the outlets.
type shelly struct{ s *site }

// newShelly is one of the first generation, which takes Basic.
func newShelly(o Options) (Device, error) {
	return newSite(o, func(s *site) {
		d := shelly{s}
		m := http.NewServeMux()
		m.HandleFunc("GET /relay/{id}", d.relay)
		s.pages = open("GET /shelly", object{"type": "SHPLG-S", "mac": "AABBCCDDEEFF", "auth": true, "fw": "testbed"}, s.basic("shellyplug-s-DDEEFF", m))
	})
}

// newShellyGen2 is one of the second generation, which takes Digest by SHA-256.
func newShellyGen2(o Options) (Device, error) {
	return newSite(o, func(s *site) {
		d := shelly{s}
		m := http.NewServeMux()
		m.HandleFunc("GET /rpc/Switch.GetStatus", d.status)
		m.HandleFunc("GET /rpc/Switch.Set", d.set)
		lock := &digestLock{s: s, realm: "shellyplusplugs-aabbccddeeff", sha256: true}
		s.pages = open("GET /shelly", object{"id": "shellyplusplugs-aabbccddeeff", "gen": 2, "auth_en": true, "app": "PlusPlugS"}, lock.guard(m))
	})
}

// open is a page that everybody may see, before what is locked.
func open(pattern string, what object, locked http.Handler) http.Handler {
	m := http.NewServeMux()
	m.HandleFunc(pattern, func(w http.ResponseWriter, _ *http.Request) { say(w, http.StatusOK, what) })
	m.Handle("/", locked)
	return m
}

func (d shelly) channel(w http.ResponseWriter, text string) (int, bool) {
	id, err := strconv.Atoi(text)
	if err != nil || id < 0 || id >= d.s.Outlets.Count() {
		say(w, http.StatusNotFound, object{"code": -105, "message": "Argument 'id', value " + text + " not found!"})
		return 0, false
	}
	return id + 1, true
}

// turn switches; after is the time of a timer that turns it on again.
func (d shelly) turn(n int, on bool, after string) {
	if !on && after != "" {
		_ = d.s.cycle(d.s.Outlets, n, d.s.OffTime)
		return
	}
	_ = d.s.set(d.s.Outlets, n, on)
}

func (d shelly) relay(w http.ResponseWriter, r *http.Request) {
	n, ok := d.channel(w, r.PathValue("id"))
	if !ok {
		return
	}
	if turn := r.FormValue("turn"); turn == "on" || turn == "off" {
		d.turn(n, turn == "on", r.FormValue("timer"))
	}
	say(w, http.StatusOK, object{"ison": onOff(d.s.Outlets, n) == "On", "has_timer": r.FormValue("timer") != "", "source": "http"})
}

func (d shelly) status(w http.ResponseWriter, r *http.Request) {
	if n, ok := d.channel(w, r.FormValue("id")); ok {
		say(w, http.StatusOK, object{"id": n - 1, "source": "http", "output": onOff(d.s.Outlets, n) == "On", "apower": 12.5})
	}
}

func (d shelly) set(w http.ResponseWriter, r *http.Request) {
	n, ok := d.channel(w, r.FormValue("id"))
	if !ok {
		return
	}
	was := onOff(d.s.Outlets, n) == "On"
	d.turn(n, r.FormValue("on") == "true", r.FormValue("toggle_after"))
	say(w, http.StatusOK, object{"was_on": was})
}
