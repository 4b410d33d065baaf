package plugs

import (
	"net/http"
	"strconv"

	"github.com/planetlab/monitor/testbed/pcudev/internal/console"
	"github.com/planetlab/monitor/testbed/pcudev/internal/device"
	"github.com/planetlab/monitor/testbed/pcudev/internal/site"
)

// shelly is a plug or relay of Shelly's; its channels are the outlets.
type shelly struct{ s *site.Site }

// NewShelly is one of the first generation, which takes Basic.
func NewShelly(o device.Options) (device.Device, error) {
	return site.New(o, func(s *site.Site) {
		d := shelly{s}
		m := http.NewServeMux()
		m.HandleFunc("GET /relay/{id}", d.relay)
		s.Pages = open("GET /shelly",
			site.Object{"type": "SHPLG-S", "mac": "AABBCCDDEEFF", "auth": true, "fw": "testbed"},
			s.Basic("shellyplug-s-DDEEFF", m))
	})
}

// NewShellyGen2 is one of the second generation, which takes Digest by SHA-256.
func NewShellyGen2(o device.Options) (device.Device, error) {
	return site.New(o, func(s *site.Site) {
		d := shelly{s}
		m := http.NewServeMux()
		m.HandleFunc("GET /rpc/Switch.GetStatus", d.status)
		m.HandleFunc("GET /rpc/Switch.Set", d.set)
		lock := &site.DigestLock{S: s, Realm: "shellyplusplugs-aabbccddeeff", Sha256: true}
		s.Pages = open("GET /shelly",
			site.Object{"id": "shellyplusplugs-aabbccddeeff", "gen": 2, "auth_en": true, "app": "PlusPlugS"},
			lock.Guard(m))
	})
}

// open is a page that everybody may see, before what is locked.
func open(pattern string, what site.Object, locked http.Handler) http.Handler {
	m := http.NewServeMux()
	m.HandleFunc(pattern, func(w http.ResponseWriter, _ *http.Request) { site.Say(w, http.StatusOK, what) })
	m.Handle("/", locked)
	return m
}

func (d shelly) channel(w http.ResponseWriter, text string) (int, bool) {
	id, err := strconv.Atoi(text)
	if err != nil || id < 0 || id >= d.s.Outlets.Count() {
		site.Say(w, http.StatusNotFound,
			site.Object{"code": -105, "message": "Argument 'id', value " + text + " not found!"})
		return 0, false
	}
	return id + 1, true
}

// turn switches; after is the time of a timer that turns it on again.
func (d shelly) turn(n int, on bool, after string) {
	if !on && after != "" {
		_ = d.s.Cycle(d.s.Outlets, n, d.s.OffTime)
		return
	}
	_ = d.s.Set(d.s.Outlets, n, on)
}

func (d shelly) relay(w http.ResponseWriter, r *http.Request) {
	n, ok := d.channel(w, r.PathValue("id"))
	if !ok {
		return
	}
	if turn := r.FormValue("turn"); turn == "on" || turn == "off" {
		d.turn(n, turn == "on", r.FormValue("timer"))
	}
	site.Say(
		w,
		http.StatusOK,
		site.Object{
			"ison":      console.OnOff(d.s.Outlets, n) == "On",
			"has_timer": r.FormValue("timer") != "",
			"source":    "http",
		},
	)
}

func (d shelly) status(w http.ResponseWriter, r *http.Request) {
	if n, ok := d.channel(w, r.FormValue("id")); ok {
		site.Say(
			w,
			http.StatusOK,
			site.Object{
				"id":     n - 1,
				"source": "http",
				"output": console.OnOff(d.s.Outlets, n) == "On",
				"apower": 12.5,
			},
		)
	}
}

func (d shelly) set(w http.ResponseWriter, r *http.Request) {
	n, ok := d.channel(w, r.FormValue("id"))
	if !ok {
		return
	}
	was := console.OnOff(d.s.Outlets, n) == "On"
	d.turn(n, r.FormValue("on") == "true", r.FormValue("toggle_after"))
	site.Say(w, http.StatusOK, site.Object{"was_on": was})
}
