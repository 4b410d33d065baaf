package pcudev

import (
	"fmt"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
)

// ToldUnasked makes an ePowerSwitch hang when it is told who calls before it has asked.
const ToldUnasked = "hangs when told unasked"

// sockets is the page of an ePowerSwitch or of what Black Box sold: it lists the outlets and takes commands.
type sockets struct{ s *site }

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
		state := map[string]int{"Off": 0, "On": 1}[onOff(p.s.Outlets, n)]
		fmt.Fprintf(w, "socket(%d,\"Outlet %d\",%d,0);\r\n", n, n, state)
	}
	fmt.Fprint(w, "</SCRIPT></BODY></HTML>\r\n")
}

func (p *sockets) switchTo(n int, command string) {
	on := onOff(p.s.Outlets, n) == "On"
	switch command {
	case "0":
		_ = p.s.set(p.s.Outlets, n, false)
	case "1":
		_ = p.s.set(p.s.Outlets, n, true)
	case "t":
		_ = p.s.set(p.s.Outlets, n, !on)
	case "r":
		_ = p.s.cycle(p.s.Outlets, n, p.s.OffTime)
	}
}

// newEPowerSwitch is the new one, which takes Basic.
func newEPowerSwitch(o Options) (Device, error) {
	return newSite(o, func(s *site) {
		s.own = epowerswitchFaults()
		page := &sockets{s: s}
		m := http.NewServeMux()
		for _, path := range []string{"/{$}", "/cmd.html", "/config/home_f.html"} {
			m.Handle(path, page)
		}
		asked := sync.Map{} // by whom it was asked before
		locked := s.basic("ePowerSwitch", m)
		s.pages = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			host, _, _ := net.SplitHostPort(r.RemoteAddr)
			if _, known := asked.LoadOrStore(host, true); !known && r.Header.Get("Authorization") != "" && s.has(ToldUnasked) {
				asked.Delete(host)
				<-r.Context().Done()
				return
			}
			locked.ServeHTTP(w, r)
		})
	})
}

// newEPowerSwitchOld is the old one, which knows one password and remembers the address that gave it.
func newEPowerSwitchOld(o Options) (Device, error) {
	return newSite(o, func(s *site) {
		page := &sockets{s: s}
		var mu sync.Mutex
		inside := ""
		form := func(w http.ResponseWriter, word string) {
			fmt.Fprintf(w, "<HTML><BODY>%s<FORM ACTION=\"elogin.html\" METHOD=POST>Password <INPUT TYPE=password NAME=pwd></FORM></BODY></HTML>\r\n", word)
		}
		s.pages = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			host, _, _ := net.SplitHostPort(r.RemoteAddr)
			word := ""
			if r.Method == "POST" && strings.HasSuffix(r.URL.Path, "/elogin.html") {
				if inside = host; r.PostFormValue("pwd") != s.Password || s.has(WrongPassword) {
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

// newBlackBox takes Digest and Basic.
func newBlackBox(o Options) (Device, error) {
	return newSite(o, func(s *site) {
		m := http.NewServeMux()
		m.Handle("/config/home_f.html", &sockets{s: s})
		s.pages = (&digestLock{s: s, realm: "Maverick", basic: true}).guard(m)
	})
}
