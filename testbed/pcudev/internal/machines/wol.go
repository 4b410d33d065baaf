package machines

import (
	"bytes"
	"encoding/hex"
	"errors"
	"net"
	"strings"

	"github.com/planetlab/monitor/testbed/pcudev/internal/device"
)

// sleeper is a machine that wakes at a magic packet for its network card, which is its user name; its password, if it
// has one, is that of SecureOn. It switches the first outlet.
type sleeper struct {
	device.Options
	device.Condition
}

// NewSleeper makes a machine that can be woken.
func NewSleeper(o device.Options) (device.Device, error) {
	if card, err := net.ParseMAC(o.User); err != nil || len(card) != 6 {
		return nil, errors.New("the user name of what is woken must be the address of its network card")
	}
	return &sleeper{Options: o}, nil
}

// Faults are those of what hears datagrams and says nothing.
func (*sleeper) Faults() []device.Fault {
	return []device.Fault{
		{Name: device.Mute, About: "hears nothing"},
		{Name: device.WrongPassword, About: "the right password is refused"},
	}
}

// Network is udp.
func (*sleeper) Network() string { return "udp" }

// Serve is not for what speaks UDP.
func (*sleeper) Serve(net.Listener) error { return errors.New("this device speaks udp") }

// ServePacket hears datagrams until the socket is closed, and answers none.
func (d *sleeper) ServePacket(c net.PacketConn) error {
	buf := make([]byte, 2048)
	for {
		n, _, err := c.ReadFrom(buf)
		if errors.Is(err, net.ErrClosed) {
			return nil
		} else if err != nil {
			return err
		}
		if d.meant(buf[:n]) && !d.Has(device.Mute) && !d.Has(device.WrongPassword) {
			_ = d.Set(d.Outlets, 1, true)
		}
	}
}

// meant reports whether a datagram holds, anywhere, the magic packet for this machine.
func (d *sleeper) meant(datagram []byte) bool {
	card, _ := net.ParseMAC(d.User) // it was checked
	magic := append(bytes.Repeat([]byte{0xff}, 6), bytes.Repeat(card, 16)...)
	secure, err := hex.DecodeString(strings.ReplaceAll(d.Password, ":", ""))
	if err == nil {
		magic = append(magic, secure...)
	}
	return bytes.Contains(datagram, magic)
}
