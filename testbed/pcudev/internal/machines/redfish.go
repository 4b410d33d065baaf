// Package machines has the service processors of machines.
package machines

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/planetlab/monitor/testbed/pcudev/internal/console"
	"github.com/planetlab/monitor/testbed/pcudev/internal/device"
	"github.com/planetlab/monitor/testbed/pcudev/internal/site"
)

const redfishRoot = "/redfish/v1"

// redfish is a BMC's Redfish service: one system, which is the first outlet.
type redfish struct {
	s *site.Site

	mu       sync.Mutex
	sessions map[string]string // the token of each
	before   map[int]bool      // the states before the last reset
	since    map[int]time.Time // when that was
	boot     map[int]string    // from what each boots the next time
}

// NewRedfish is a service of Redfish.
func NewRedfish(o device.Options) (device.Device, error) {
	return site.New(o, func(s *site.Site) {
		s.Own = device.RedfishFaults()
		d := &redfish{
			s:        s,
			sessions: map[string]string{},
			before:   map[int]bool{},
			since:    map[int]time.Time{},
			boot:     map[int]string{},
		}
		m := http.NewServeMux()
		m.HandleFunc("GET /redfish",
			func(w http.ResponseWriter, _ *http.Request) { site.Say(w, 200, site.Object{"v1": redfishRoot + "/"}) })
		m.HandleFunc("GET "+redfishRoot, d.root)
		m.HandleFunc("GET "+redfishRoot+"/{$}", d.root)
		m.HandleFunc("GET "+redfishRoot+"/SessionService", d.member(d.sessionService))
		m.HandleFunc("POST "+redfishRoot+"/SessionService/Sessions", d.login)
		m.HandleFunc("DELETE "+redfishRoot+"/SessionService/Sessions/{id}", d.member(d.logout))
		m.HandleFunc("GET "+redfishRoot+"/Systems", d.member(d.systems))
		m.HandleFunc("GET "+redfishRoot+"/Systems/{id}", d.member(d.system))
		m.HandleFunc("PATCH "+redfishRoot+"/Systems/{id}", d.member(d.change))
		m.HandleFunc("GET "+redfishRoot+"/Systems/{id}/ResetActionInfo", d.member(d.info))
		m.HandleFunc("POST "+redfishRoot+"/Systems/{id}/Actions/ComputerSystem.Reset", d.member(d.reset))
		s.Pages = m
	})
}

func refuse(w http.ResponseWriter, status int, id, message string) {
	info := []site.Object{{"MessageId": "Base.1.8." + id, "Message": message}}
	site.Say(
		w,
		status,
		site.Object{
			"error": site.Object{
				"code":                  "Base.1.8.GeneralError",
				"message":               "See ExtendedInfo.",
				"@Message.ExtendedInfo": info,
			},
		},
	)
}

func link(path string) site.Object { return site.Object{"@odata.id": redfishRoot + path} }

func (d *redfish) root(w http.ResponseWriter, _ *http.Request) {
	root := link("/")
	root["@odata.type"], root["Id"], root["Name"] = "#ServiceRoot.v1_5_0.ServiceRoot", "RootService", "Root Service"
	root["RedfishVersion"], root["Systems"] = "1.6.0", link("/Systems")
	if !d.s.Has(device.NoSessions) {
		root["SessionService"] = link("/SessionService")
		root["Links"] = site.Object{"Sessions": link("/SessionService/Sessions")}
	}
	site.Say(w, 200, root)
}

func (d *redfish) sessionService(w http.ResponseWriter, _ *http.Request) {
	s := link("/SessionService")
	s["@odata.type"], s["Id"], s["Name"] = "#SessionService.v1_1_6.SessionService", "SessionService", "Session Service"
	s["ServiceEnabled"], s["SessionTimeout"], s["Sessions"] = true, 1800, link("/SessionService/Sessions")
	site.Say(w, 200, s)
}

func (d *redfish) login(w http.ResponseWriter, r *http.Request) {
	var who struct{ UserName, Password string }
	if d.s.Has(device.NoSessions) {
		http.NotFound(w, r)
		return
	}
	if json.NewDecoder(r.Body).Decode(&who) != nil {
		refuse(w, 400, "MalformedJSON", "The request body was malformed.")
		return
	}
	if !d.s.Knows(who.UserName, who.Password) {
		refuse(w, 401, "ResourceAtUriUnauthorized", "The user name or password is not right.")
		return
	}
	id, token := site.RandomHex(4), site.RandomHex(16)
	d.mu.Lock()
	d.sessions[id] = token
	d.mu.Unlock()
	w.Header().Set("X-Auth-Token", token)
	w.Header().Set("Location", redfishRoot+"/SessionService/Sessions/"+id)
	made := link("/SessionService/Sessions/" + id)
	made["Id"], made["UserName"] = id, who.UserName
	site.Say(w, 201, made)
}

func (d *redfish) logout(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	delete(d.sessions, r.PathValue("id"))
	d.mu.Unlock()
	w.WriteHeader(204)
}

// member answers those who are logged in, by token or by Basic.
func (d *redfish) member(then http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		user, password, ok := r.BasicAuth()
		if !d.hasToken(r.Header.Get("X-Auth-Token")) && (!ok || !d.s.Knows(user, password)) {
			w.Header().Set("WWW-Authenticate", `Basic realm="Redfish"`)
			refuse(w, 401, "NoValidSession", "There is no valid session established with the implementation.")
			return
		}
		then(w, r)
	}
}

func (d *redfish) hasToken(token string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, known := range d.sessions {
		if token != "" && token == known {
			return true
		}
	}
	return false
}

func (d *redfish) systems(w http.ResponseWriter, _ *http.Request) {
	list := []site.Object{link("/Systems/1")}
	if d.s.Has(device.Several) || d.s.Has(device.UUIDs) {
		list = nil
		for n := d.s.Outlets.Count(); n >= 1; n-- {
			list = append(list, link("/Systems/"+d.id(n)))
		}
	}
	site.Say(w, 200, site.Object{"@odata.id": redfishRoot + "/Systems", "Members": list,
		"Members@odata.count": len(list)})
}

// outlet is the one that a system is.
func (d *redfish) outlet(w http.ResponseWriter, r *http.Request) (int, bool) {
	n, err := strconv.Atoi(strings.TrimPrefix(r.PathValue("id"), uuidHead))
	if err != nil || n < 1 || n > d.s.Outlets.Count() || n > 1 && !d.s.Has(device.Several) && !d.s.Has(device.UUIDs) ||
		r.PathValue("id") != d.id(n) {
		refuse(w, 404, "ResourceMissingAtURI", "The resource at the URI was not found.")
		return 0, false
	}
	return n, true
}

func (d *redfish) types() []string {
	types := []string{"On", "ForceOff", "GracefulShutdown", "ForceRestart", "Nmi"}
	if !d.s.Has(device.NoPowerCycle) {
		types = append(types, "PowerCycle")
	}
	return types
}

func (d *redfish) system(w http.ResponseWriter, r *http.Request) {
	n, ok := d.outlet(w, r)
	if !ok {
		return
	}
	path := "/Systems/" + d.id(n)
	reset := site.Object{"target": redfishRoot + path + "/Actions/ComputerSystem.Reset"}
	if d.s.Has(device.ActionInfo) {
		reset["@Redfish.ActionInfo"] = redfishRoot + path + "/ResetActionInfo"
	} else {
		reset["ResetType@Redfish.AllowableValues"] = d.types()
	}
	s := link(path)
	s["@odata.type"], s["Id"], s["Name"], s["SystemType"] = "#ComputerSystem.v1_10_0.ComputerSystem", d.id(
		n), fmt.Sprintf(
		"host-%d",
		n,
	), "Physical"
	s["UUID"], s["Status"] = fmt.Sprintf("%s%012d", uuidHead, n), site.Object{"State": "Enabled", "Health": "OK"}
	s["Boot"] = d.bootOf(n)
	s["PowerState"], s["Actions"] = d.shown(n), site.Object{"#ComputerSystem.Reset": reset}
	site.Say(w, 200, s)
}

const uuidHead = "00000000-0000-4000-8000-"

// id is that of the system of an outlet.
func (d *redfish) id(n int) string {
	if d.s.Has(device.UUIDs) {
		return fmt.Sprintf("%s%012d", uuidHead, n)
	}
	return strconv.Itoa(n)
}

func (d *redfish) bootOf(n int) site.Object {
	d.mu.Lock()
	defer d.mu.Unlock()
	if from := d.boot[n]; from != "" {
		return site.Object{"BootSourceOverrideEnabled": "Once", "BootSourceOverrideTarget": from}
	}
	return site.Object{"BootSourceOverrideEnabled": "Disabled", "BootSourceOverrideTarget": "None"}
}

// change takes an override of the boot device, for one boot.
func (d *redfish) change(w http.ResponseWriter, r *http.Request) {
	n, ok := d.outlet(w, r)
	if !ok {
		return
	}
	var ask struct {
		Boot struct{ BootSourceOverrideEnabled, BootSourceOverrideTarget string }
	}
	from := []string{"None", "Pxe", "Hdd", "Cd", "BiosSetup"}
	if json.NewDecoder(r.Body).Decode(&ask) != nil ||
		!slices.Contains([]string{"Once", "Disabled"}, ask.Boot.BootSourceOverrideEnabled) ||
		!slices.Contains(from, ask.Boot.BootSourceOverrideTarget) {
		refuse(w, 400, "PropertyValueNotInList", "The value is not in the list of acceptable values.")
		return
	}
	d.mu.Lock()
	d.boot[n] = ask.Boot.BootSourceOverrideTarget
	if ask.Boot.BootSourceOverrideEnabled == "Disabled" {
		delete(d.boot, n)
	}
	d.mu.Unlock()
	w.WriteHeader(204)
}

func (d *redfish) info(w http.ResponseWriter, _ *http.Request) {
	types := site.Object{"Name": "ResetType", "DataType": "String", "Required": true, "AllowableValues": d.types()}
	site.Say(w, 200, site.Object{"Id": "ResetActionInfo", "Parameters": []site.Object{types}})
}

// shown is the state as it is told: one that lags is told late.
func (d *redfish) shown(n int) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if before, known := d.before[n]; known && d.s.Has(device.Lags) && time.Since(d.since[n]) < time.Second {
		return map[bool]string{true: "On", false: "Off"}[before]
	}
	return console.OnOff(d.s.Outlets, n)
}

func (d *redfish) reset(w http.ResponseWriter, r *http.Request) {
	n, ok := d.outlet(w, r)
	if !ok {
		return
	}
	var ask struct{ ResetType string }
	if json.NewDecoder(r.Body).Decode(&ask) != nil || !slices.Contains(d.types(), ask.ResetType) {
		refuse(w, 400, "ActionParameterNotSupported",
			fmt.Sprintf("The parameter ResetType with the value %q is not supported.", ask.ResetType))
		return
	}
	on := console.OnOff(d.s.Outlets, n) == "On"
	d.mu.Lock()
	d.before[n], d.since[n] = on, time.Now()
	d.mu.Unlock()
	switch {
	case ask.ResetType == "On" && d.s.Has(device.StaysOff):
	case ask.ResetType == "On":
		d.useUp(n)
		_ = d.s.Set(d.s.Outlets, n, true)
	case strings.HasSuffix(ask.ResetType, "Off") || ask.ResetType == "GracefulShutdown":
		_ = d.s.Set(d.s.Outlets, n, false)
	case !on:
		refuse(w, 400, "InvalidOperationForSystemState",
			"The operation was not successful due to the current power state.")
		return
	case ask.ResetType != "Nmi":
		d.useUp(n)
		_ = d.s.Cycle(d.s.Outlets, n, d.s.OffTime)
	}
	w.WriteHeader(204)
}

// useUp has the machine that boots now take what it is to boot from, which counts once.
func (d *redfish) useUp(n int) {
	d.mu.Lock()
	from := d.boot[n]
	delete(d.boot, n)
	d.mu.Unlock()
	if m, tells := d.s.Outlets.(device.Booted); tells && from != "" {
		m.BootsFrom(n, from)
	}
}
