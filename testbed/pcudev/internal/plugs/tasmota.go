package plugs

import (
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"github.com/planetlab/monitor/testbed/pcudev/internal/console"
	"github.com/planetlab/monitor/testbed/pcudev/internal/device"
	"github.com/planetlab/monitor/testbed/pcudev/internal/site"
)

// tasmota is a plug or relay with Tasmota; its relays are the outlets. Source: Tasmota's xdrv_01_9_webserver.ino
// (HandleHttpCommand) and support_command.ino (CmndPower).
type tasmota struct{ s *site.Site }

// NewTasmota makes one. Older versions, a fault of it, answer 200 to a wrong password.
func NewTasmota(o device.Options) (device.Device, error) {
	return site.New(o, func(s *site.Site) {
		s.Own = device.TasmotaFaults()
		m := http.NewServeMux()
		m.HandleFunc("GET /cm", tasmota{s}.command)
		s.Pages = m
	})
}

var tasmotaPower = regexp.MustCompile(`^(?i)power(\d*)(?:\s+(on|off|toggle))?$`)

func (d tasmota) command(w http.ResponseWriter, r *http.Request) {
	if !d.s.Knows(r.FormValue("user"), r.FormValue("password")) {
		status := http.StatusUnauthorized
		if d.s.Has(device.OldFirmware) {
			status = http.StatusOK
		}
		site.Say(w, status, site.Object{"WARNING": "Need user=<username>&password=<password>"})
		return
	}
	word := strings.TrimSpace(r.FormValue("cmnd"))
	if strings.EqualFold(word, "status") {
		site.Say(w, http.StatusOK, site.Object{"Status": site.Object{"Module": 1, "Topic": "testbed"}})
		return
	}
	m := tasmotaPower.FindStringSubmatch(word)
	if m == nil {
		site.Say(w, http.StatusOK, site.Object{"Command": "Unknown"})
		return
	}
	answer := site.Object{}
	for _, n := range d.relays(m[1]) {
		if m[2] != "" {
			_ = d.s.Set(d.s.Outlets, n, strings.EqualFold(m[2], "on"))
		}
		answer[d.name(n)] = strings.ToUpper(console.OnOff(d.s.Outlets, n))
	}
	site.Say(w, http.StatusOK, answer)
}

// relays are those that an index means: all for 0, and the first one for one that there is not.
func (d tasmota) relays(index string) []int {
	n, err := strconv.Atoi(index)
	switch {
	case err == nil && n == 0:
		var all []int
		for i := 1; i <= d.s.Outlets.Count(); i++ {
			all = append(all, i)
		}
		return all
	case err != nil || n > d.s.Outlets.Count():
		return []int{1}
	}
	return []int{n}
}

// name has no number where there is but one relay.
func (d tasmota) name(n int) string {
	if d.s.Outlets.Count() == 1 {
		return "POWER"
	}
	return fmt.Sprintf("POWER%d", n)
}
