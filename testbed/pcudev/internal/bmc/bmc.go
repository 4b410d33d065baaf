// Package bmc has the BMC that speaks IPMI.
package bmc

import (
	"cmp"
	"context"
	"errors"
	"net"
	"time"

	"github.com/bougou/go-ipmi/pkg/bmc"
	"github.com/bougou/go-ipmi/pkg/hal"
	"github.com/bougou/go-ipmi/pkg/hal/mock"
	"github.com/bougou/go-ipmi/pkg/server"
	"github.com/bougou/go-ipmi/pkg/types"

	"github.com/planetlab/monitor/testbed/pcudev/internal/device"
)

// BMC is a baseboard management controller behind RMCP+; it switches the first outlet. The protocol is go-ipmi's, which
// our driver does not use: so neither can hide the other's mistakes.
type BMC struct {
	device.Options
	Suites    []int     // cipher suites; none: 3 and 17
	Privilege Privilege // of its account; 0: Administrator
	device.Condition
}

// Privilege is what an account may do, as IPMI numbers it.
type Privilege = bmc.PrivilegeLevel

// The privileges that tell reading from switching.
const (
	User     = bmc.PrivilegeLevelUser
	Operator = bmc.PrivilegeLevelOperator
)

// New makes a BMC.
func New(o device.Options) (device.Device, error) { return &BMC{Options: o}, nil }

// Faults are those of every device that speaks datagrams.
func (*BMC) Faults() []device.Fault { return device.DatagramFaults() }

// Network is udp.
func (*BMC) Network() string { return "udp" }

// Serve is not for a device that speaks UDP.
func (*BMC) Serve(net.Listener) error { return errors.New("this device speaks udp") }

// ServePacket answers datagrams until the socket is closed.
func (b *BMC) ServePacket(c net.PacketConn) error {
	guid := [16]byte{'t', 'e', 's', 't', 'b', 'e', 'd'}
	board := bmc.New(
		bmc.DeviceInfo{
			DeviceID:       32,
			DeviceRevision: 1,
			FirmwareMajor:  1,
			IPMIVersion:    0x20,
			ManufacturerID: 0x157,
			ProductID:      1,
		},
		guid,
		machine{mock.New(), chassis{&mock.Chassis{}, b}},
	)
	user, err := board.Users.Add(2, b.User)
	if err != nil {
		return err
	}
	user.SetPassword([]byte(b.Password))
	user.Enabled = true
	user.ChannelAccess[1] = bmc.UserChannelAccess{
		MaxPrivilege: cmp.Or(b.Privilege, bmc.PrivilegeLevelAdministrator), Enabled: true,
	}
	suites := []types.CipherSuiteID{3, 17}
	if len(b.Suites) > 0 {
		suites = nil
		for _, id := range b.Suites {
			suites = append(suites, types.CipherSuiteID(id))
		}
	}
	return server.NewServer(board, quirks{c, b}, server.WithCipherSuites(suites)).Serve(context.Background())
}

// quirks plays the faults on the wire.
type quirks struct {
	net.PacketConn
	b *BMC
}

func (q quirks) ReadFrom(buf []byte) (int, net.Addr, error) {
	for {
		n, from, err := q.PacketConn.ReadFrom(buf)
		if err != nil {
			return n, from, err
		}
		switch {
		case q.b.Has(device.Mute), q.b.Has(device.Refuses):
			continue
		case q.b.Has(device.Babbles):
			noise := append([]byte{6, 0, 0xff, 7, 6, 0xc0}, buf[6:n]...)
			for i := range 50 {
				_, _ = q.PacketConn.WriteTo(noise[:min(len(noise), 6+i*4)], from)
			}
			continue
		// an open session is answered with "insufficient resources", everything else is answered as ever
		case q.b.Has(device.Busy):
			if n > 24 && buf[4] == 6 && buf[5] == 0x10 {
				_, _ = q.PacketConn.WriteTo([]byte{6, 0, 0xff, 7, 6, 0x11, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, buf[16], 1},
					from)
				continue
			}
		case q.b.Has(device.WrongPassword): // the proof of RAKP 1 to 4 fails by another user name in it
			if n > 44 && buf[4] == 6 && buf[5] == 0x12 {
				buf[24] ^= 0xff
			}
		}
		return n, from, nil
	}
}

// machine is what the board switches.
type machine struct {
	*mock.HAL
	c chassis
}

func (m machine) Chassis() hal.ChassisHAL { return m.c }

type chassis struct {
	*mock.Chassis
	b *BMC
}

func (c chassis) PowerState(context.Context) (bool, error) { return c.b.Outlets.State(1) }

func (c chassis) SetPower(_ context.Context, on bool) error {
	if on && c.b.Has(device.StaysOff) {
		return nil
	}
	return c.b.Set(c.b.Outlets, 1, on)
}

// PowerCycle is ignored while the power is off, as some boards have it.
func (c chassis) PowerCycle(context.Context) error {
	on, err := c.b.Outlets.State(1)
	if err != nil || !on {
		return err
	}
	return c.b.Cycle(c.b.Outlets, 1, max(c.b.OffTime, time.Millisecond))
}

// WarmReset is a soft shutdown: go-ipmi has no other word for it.
func (c chassis) WarmReset(context.Context) error { return c.b.Set(c.b.Outlets, 1, false) }

func (c chassis) ColdReset(ctx context.Context) error { return c.PowerCycle(ctx) }
