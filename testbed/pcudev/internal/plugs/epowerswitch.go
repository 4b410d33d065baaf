// Package plugs has switches with web pages.
package plugs

import (
	"fmt"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"github.com/planetlab/monitor/testbed/pcudev/internal/console"
	"github.com/planetlab/monitor/testbed/pcudev/internal/device"
	"github.com/planetlab/monitor/testbed/pcudev/internal/site"
)

// sockets is the page of an ePowerSwitch or of what Black Box sold: it lists the outlets and takes commands.
type sockets struct{ s *site.Site }

var socketField = regexp.MustCompile(`^[Pp](\d+)$`)

// ServeHTTP does what a form says, and shows the outlets.
func (p *sockets) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		http.Error(w, "bad form", http.StatusBadRequest)
		return
	}
	for name, values := range r.PostForm {
		m := socketField.FindStringSubmatch(name)
		if m == nil {
			continue
		}
		n, err := strconv.Atoi(m[1])
		if err != nil || n < 1 || n > p.s.Outlets.Count() {
			fmt.Fprintf(w, "<HTML><BODY>Invalid outlet %s</BODY></HTML>\r\n", m[1])
			return
		}
		p.switchTo(n, values[0])
	}
	fmt.Fprint(w, "<HTML><HEAD><TITLE>ePowerSwitch</TITLE></HEAD><BODY><H1>testbed</H1><SCRIPT>\r\n")
	for n := 1; n <= p.s.Outlets.Count(); n++ {
		state := map[string]int{"Off": 0, "On": 1}[console.OnOff(p.s.Outlets, n)]
		fmt.Fprintf(w, "socket(%d,\"Outlet %d\",%d,0);\r\n", n, n, state)
	}
	fmt.Fprint(w, "</SCRIPT></BODY></HTML>\r\n")
}

func (p *sockets) switchTo(n int, command string) {
	on := console.OnOff(p.s.Outlets, n) == "On"
	switch command {
	case "0":
		_ = p.s.Set(p.s.Outlets, n, false)
	case "1":
		_ = p.s.Set(p.s.Outlets, n, true)
	case "t":
		_ = p.s.Set(p.s.Outlets, n, !on)
	case "r":
		_ = p.s.Cycle(p.s.Outlets, n, p.s.OffTime)
	}
}

// NewEPowerSwitch is the new one, which takes Basic.
func NewEPowerSwitch(o device.Options) (device.Device, error) {
	return site.New(o, func(s *site.Site) {
		s.Own = device.EPowerSwitchFaults()
		page := &sockets{s: s}
		m := http.NewServeMux()
		for _, path := range []string{"/{$}", "/cmd.html", "/config/home_f.html"} {
			m.Handle(path, page)
		}
		asked := sync.Map{} // by whom it was asked before
		locked := s.Basic("ePowerSwitch", m)
		s.Pages = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			host, _, _ := net.SplitHostPort(r.RemoteAddr)
			if _, known := asked.LoadOrStore(host, true); !known && r.Header.Get("Authorization") != "" &&
				s.Has(device.ToldUnasked) {
				asked.Delete(host)
				<-r.Context().Done()
				return
			}
			locked.ServeHTTP(w, r)
		})
	})
}

// NewEPowerSwitchOld is the old one, which knows one password and remembers the address that gave it.
func NewEPowerSwitchOld(o device.Options) (device.Device, error) {
	return site.New(o, func(s *site.Site) {
		page := &sockets{s: s}
		var mu sync.Mutex
		inside := ""
		form := func(w http.ResponseWriter, word string) {
			fmt.Fprintf(w,
				"<HTML><BODY>%s<FORM ACTION=\"elogin.html\" METHOD=POST>Password <INPUT TYPE=password "+
					"NAME=pwd></FORM></BODY></HTML>\r\n",
				word)
		}
		s.Pages = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			host, _, _ := net.SplitHostPort(r.RemoteAddr)
			word := ""
			if r.Method == "POST" && strings.HasSuffix(r.URL.Path, "/elogin.html") {
				if inside = host; r.PostFormValue("pwd") != s.Password || s.Has(device.WrongPassword) {
					inside, word = "", "Wrong password. "
				}
			}
			if inside != host {
				form(w, word)
				return
			}
			page.ServeHTTP(w, r)
		})
	})
}

// NewBlackBox takes Digest and Basic.
func NewBlackBox(o device.Options) (device.Device, error) {
	return site.New(o, func(s *site.Site) {
		m := http.NewServeMux()
		m.Handle("/config/home_f.html", &sockets{s: s})
		s.Pages = (&site.DigestLock{S: s, Realm: "Maverick", Basic: true}).Guard(m)
	})
}
