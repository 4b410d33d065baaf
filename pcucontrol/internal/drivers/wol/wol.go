// Package wol wakes machines by Wake-on-LAN: a datagram of six bytes 0xff and sixteen times the address of the
// machine's network card, and perhaps a password of four or six bytes (SecureOn). Source: AMD, "Magic Packet
// Technology", 1995.
package wol

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"net"
	"strings"

	"github.com/planetlab/monitor/pcucontrol"
	"github.com/planetlab/monitor/pcucontrol/internal/power"
	"github.com/planetlab/monitor/pcucontrol/internal/wire"
)

// Driver sends magic packets. The user name is the address of the network card, the host where to send: the broadcast
// address of the machine's network, or a router that forwards there; the password is that of SecureOn, or empty.
type Driver struct{}

const unanswered = "nobody answers a magic packet: whether it works is known only by looking at the machine"

// copies is how many packets are sent: some get lost, and a second one does no harm.
const copies = 3

// Test makes the packet and finds the host, and sends nothing.
func (Driver) Test(ctx context.Context, t pcucontrol.Target) (pcucontrol.Result, error) {
	r := pcucontrol.Result{Before: pcucontrol.Unknown, After: pcucontrol.Unknown}
	if _, err := packet(t); err != nil {
		return r, err
	}
	conn, err := dial(ctx, t)
	if err != nil {
		return r, err
	}
	_ = conn.Close()
	r.Note = unanswered
	return r, nil
}

// Status is nothing that can be asked.
func (Driver) Status(_ context.Context, t pcucontrol.Target) (pcucontrol.Result, error) {
	return pcucontrol.Result{Before: pcucontrol.Unknown, After: pcucontrol.Unknown}, wire.Unsupported(t, "status")
}

// Switch turns a machine on.
func (Driver) Switch(ctx context.Context, t pcucontrol.Target, op pcucontrol.Operation) (pcucontrol.Result, error) {
	return power.Operations{On: func(ctx context.Context) error { return wake(ctx, t) }}.Perform(ctx, t, op)
}

func wake(ctx context.Context, t pcucontrol.Target) error {
	magic, err := packet(t)
	if err != nil {
		return err
	}
	conn, err := dial(ctx, t)
	if err != nil {
		return err
	}
	defer conn.Close()
	sent := 0
	for range copies {
		wire.Trace(t, ">", fmt.Sprintf("a magic packet to %s for %s", wire.Address(t), t.User))
		if _, err = conn.Write(magic); err == nil {
			sent++
		}
	}
	if sent == 0 {
		return wire.Lost(ctx, t, "on", err)
	}
	return nil
}

func dial(ctx context.Context, t pcucontrol.Target) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "udp", wire.Address(t))
	if err != nil {
		return nil, wire.DialError(t, err)
	}
	return conn, nil
}

// packet is the magic packet for the machine that the target means.
func packet(t pcucontrol.Target) ([]byte, error) {
	card, err := net.ParseMAC(strings.TrimSpace(t.User))
	if err != nil || len(card) != 6 {
		return nil, wire.Fail(t, pcucontrol.Auth, "make the packet",
			"the user name must be the address of the machine's network card, as 00:1b:21:3c:9d:f8")
	}
	magic := append(bytes.Repeat([]byte{0xff}, 6), bytes.Repeat(card, 16)...)
	if t.Password == "" {
		return magic, nil
	}
	secure, err := hex.DecodeString(strings.NewReplacer(":", "", "-", "").Replace(t.Password))
	if err != nil || len(secure) != 4 && len(secure) != 6 {
		return nil, wire.Fail(t, pcucontrol.Auth, "make the packet",
			"a SecureOn password is four or six bytes in hexadecimal, with colons between; most machines have none")
	}
	return append(magic, secure...), nil
}
