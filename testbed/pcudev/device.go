// Package pcudev is the testbed's power control units: they speak like the devices they are named after, one session at a
// time, with their state, their timing and their faults.
package pcudev

import (
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"time"
)

// Outlets are what a power control unit switches.
type Outlets interface {
	Count() int
	State(n int) (on bool, err error)
	Set(n int, on bool) error
}

// Device is one power control unit.
type Device interface {
	// Network is tcp or udp, and says which of the two serves answers.
	Network() string
	// Serve answers connections until the listener is closed.
	Serve(l net.Listener) error
	// ServePacket answers datagrams until the socket is closed.
	ServePacket(c net.PacketConn) error
	// Break gives the device a fault, or several with commas between; empty mends it.
	Break(fault string)
	// Faults are those it can have.
	Faults() []Fault
}

// Options say what a device is.
type Options struct {
	Model          string // as PLC names it, of Models
	Transport      string // of those the model has; empty: its first
	User, Password string
	Outlets        Outlets
	OffTime        time.Duration // between off and on of a reboot
}

// New makes a device of any model, ready to serve:
//
//	d, err := pcudev.New(pcudev.Options{Model: "OpenIPMI", User: "admin", Password: "secret", Outlets: rack})
//	if d.Network() == "udp" { err = d.ServePacket(socket) } else { err = d.Serve(listener) }
func New(o Options) (Device, error) {
	i := slices.IndexFunc(kinds(), func(k kind) bool { return k.model == o.Model })
	if i < 0 {
		return nil, fmt.Errorf("no testbed device is a %q; there are %s", o.Model, strings.Join(Models(), ", "))
	}
	k := kinds()[i]
	if o.Transport == "" {
		o.Transport = k.transports[0]
	}
	if !slices.Contains(k.transports, o.Transport) {
		return nil, fmt.Errorf("the testbed's %s speaks %s, not %q", o.Model, strings.Join(k.transports, ", "), o.Transport)
	}
	return k.make(o)
}

// Models are the model names that New takes.
func Models() []string {
	var names []string
	for _, k := range kinds() {
		names = append(names, k.model)
	}
	return names
}

// Transports are those that a model's device speaks, its first one first.
func Transports(model string) []string {
	for _, k := range kinds() {
		if k.model == model {
			return k.transports
		}
	}
	return nil
}

type kind struct {
	model      string
	transports []string
	make       func(Options) (Device, error)
}

func kinds() []kind {
	both := []string{"telnet", "ssh"}
	list := []kind{
		{"OpenIPMI", []string{"udp"}, newBMC},
		{"APCSNMP", []string{"udp"}, newSNMPRack},
		{"CyberPowerSNMP", []string{"udp"}, newSNMPRack},
		{"EatonSNMP", []string{"udp"}, newSNMPRack},
		{"RaritanSNMP", []string{"udp"}, newSNMPRack},
		{"SentrySNMP", []string{"udp"}, newSNMPRack},
		{"TrippLiteSNMP", []string{"udp"}, newSNMPRack},
		{"APCControl", []string{"ssh", "telnet"}, func(o Options) (Device, error) { return newAPCCLI(o), nil }},
		{"WTIIPS4", []string{"telnet"}, func(o Options) (Device, error) { return newWTI(o, "IPS> "), nil }},
		{"WTINPS", both, func(o Options) (Device, error) { return newWTI(o, "NPS> "), nil }},
		{"DRAC", []string{"ssh"}, func(o Options) (Device, error) { return newDRAC(o), nil }},
		{"HPiLO", []string{"https", "ssh"}, func(o Options) (Device, error) {
			if o.Transport == "ssh" {
				return newILOShell(o), nil
			}
			return newILO(o)
		}},
		{"IntelAMT", []string{"http", "https"}, newAMT},
		{"Redfish", []string{"https"}, newRedfish},
		{"ePowerSwitchNew", []string{"http"}, newEPowerSwitch},
		{"ePowerSwitchOld", []string{"http"}, newEPowerSwitchOld},
		{"DigitalLoggers", []string{"http"}, newDigitalLoggers},
		{"SunILOM", []string{"ssh"}, func(o Options) (Device, error) { return newILOM(o), nil }},
		{"Shelly", []string{"http"}, newShelly},
		{"ShellyGen2", []string{"http"}, newShellyGen2},
		{"BlackBoxPSMaverick", []string{"http"}, newBlackBox},
		{"IPAL", []string{"tcp", "telnet"}, func(o Options) (Device, error) {
			if o.Transport == "tcp" {
				return &ipal{Options: o}, nil
			}
			return newIPALTelnet(o), nil
		}},
	}
	for model, menu := range map[string]string{"APCControl12p3": "1 2 p 3", "APCControl1p4": "1 p 4", "APCControl121p3": "1 2 1 p 3", "APCControl121p1": "1 2 1 p 1 3", "APCControl13p13": "1 3 p 1 3"} {
		list = append(list, kind{model, both, func(o Options) (Device, error) {
			return &APC{Menu: strings.Fields(menu), User: o.User, Password: o.Password, Outlets: o.Outlets, OffTime: o.OffTime, ssh: o.Transport == "ssh"}, nil
		}})
	}
	for model, b := range map[string]baytech{"BayTechRPC3NC": {prompt: "RPC3-NC>"}, "BayTechRPC16": {prompt: "RPC-16>"}, "BayTechGeorgeTown": {prompt: "RPC-16>"}, "BayTech": {"DS-RPC>", "5", 0},
		"BayTechCtrlC": {"DS-RPC>", "5", 3}, "BayTechCtrlCUnibe": {"DS-RPC>", "3", 3}, "BayTech5CtrlC": {"DS-RPC>", "5", '\r'}} {
		faces := both
		switch {
		case b.hangs != 0:
			faces = []string{"ssh"}
		case b.choice != "":
			faces = []string{"ssh", "telnet"}
		}
		list = append(list, kind{model, faces, func(o Options) (Device, error) { return newBayTech(o, b, model == "BayTechGeorgeTown"), nil }})
	}
	slices.SortFunc(list, func(a, b kind) int { return strings.Compare(a.model, b.model) })
	return list
}

// The faults a device can have.
const (
	WrongPassword = "wrong password" // the one in PLC no longer works
	Mute          = "mute"           // takes connections and says nothing
	Strange       = "strange prompt" // some other firmware
	StaysOff      = "stays off"      // power commands end with the outlet off
	Refuses       = "closed"         // hangs up at once
	Babbles       = "babbles"        // talks without end
	Busy          = "busy"           // somebody else is logged in
)

// faults is what is wrong with a device, and who is in its only session.
type faults struct {
	mu      sync.Mutex
	broken  string
	session bool
	drops   bool        // the first connection, whatever else is wrong
	seen    bool        // a connection since it broke
	orders  map[int]int // how many orders each outlet had
}

// Network is that of most devices.
func (*faults) Network() string { return "tcp" }

// Faults are those of every device.
func (*faults) Faults() []Fault { return commonFaults() }

// ServePacket is not for devices that speak TCP.
func (*faults) ServePacket(net.PacketConn) error { return errors.New("this device speaks tcp") }

// Break gives the device a fault, or several with commas between; empty mends it.
func (f *faults) Break(fault string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.broken, f.seen = fault, false
}

// has is whether this is wrong with the device.
func (f *faults) has(fault string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.isBroken(fault)
}

func (f *faults) isBroken(fault string) bool {
	return slices.Contains(strings.Split(f.broken, ","), fault)
}

// dead plays the faults that leave no conversation.
func (f *faults) dead(c io.ReadWriter) bool {
	if f.dropFirst() {
		return true
	}
	switch {
	case f.has(Refuses):
		return true
	case f.has(Mute):
		_, _ = io.Copy(io.Discard, c)
	case f.has(Strange):
		_, _ = io.WriteString(c, "\r\nlogin: ")
		_, _ = io.Copy(io.Discard, c)
	case f.has(Babbles):
		for {
			if _, err := io.WriteString(c, strings.Repeat("\x00\x1b[7m lorem \xff\xfe", 100)); err != nil {
				return true
			}
		}
	default:
		return false
	}
	return true
}

// one lets one session in at a time and tells the others.
func (f *faults) one(c io.Writer, busy string, serve func()) {
	if !f.enter() {
		_, _ = io.WriteString(c, busy)
		return
	}
	defer f.leave()
	serve()
}

// enter takes the session. One that is just ending is given a moment: its client has heard the goodbye already.
func (f *faults) enter() bool {
	for range 20 {
		if f.take() {
			return true
		}
		time.Sleep(5 * time.Millisecond)
	}
	return false
}

func (f *faults) take() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.session || f.isBroken(Busy) {
		return false
	}
	f.session = true
	return true
}

func (f *faults) leave() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.session = false
}

// cycle turns an outlet off, and on again in its time, unless it has another order by then.
func (f *faults) cycle(o Outlets, n int, off time.Duration) error {
	order := f.order(n)
	if err := o.Set(n, false); err != nil {
		return err
	}
	time.AfterFunc(off, func() {
		f.mu.Lock()
		last := f.orders[n] == order
		f.mu.Unlock()
		if last && !f.has(StaysOff) {
			_ = o.Set(n, true)
		}
	})
	return nil
}

// order counts an order to an outlet: the last one wins.
func (f *faults) order(n int) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.orders == nil {
		f.orders = map[int]int{}
	}
	f.orders[n]++
	return f.orders[n]
}

// accept serves each connection of a listener, for three minutes at most as the idle limit of such consoles has it.
func accept(l net.Listener, serve func(net.Conn)) error {
	for {
		c, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		} else if err != nil {
			return err
		}
		go func() {
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(3 * time.Minute))
			serve(c)
			// A close with unread input would reset the connection, and the last words would be lost.
			if tc, ok := c.(*net.TCPConn); ok && tc.CloseWrite() == nil {
				_ = c.SetDeadline(time.Now().Add(time.Second))
				_, _ = io.Copy(io.Discard, c)
			}
		}()
	}
}
