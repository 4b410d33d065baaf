package wire

import (
	"context"
	"net"
	"strconv"

	"github.com/planetlab/monitor/pcucontrol"
	"github.com/planetlab/monitor/pcucontrol/internal/netfault"
)

// Dial connects to the target's port.
func Dial(ctx context.Context, t pcucontrol.Target) (net.Conn, error) {
	connect := t.Dial
	if connect == nil {
		connect = new(net.Dialer).DialContext
	}
	if t.ConnectTimeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, t.ConnectTimeout)
		defer cancel()
	}
	conn, err := connect(ctx, "tcp", Address(t))
	if err != nil {
		return nil, DialError(t, err)
	}
	return conn, nil
}

// DialError is what it means that no connection came about.
func DialError(t pcucontrol.Target, err error) error {
	timedOut, why := netfault.Why(err, t.Port)
	if timedOut {
		return Fail(t, pcucontrol.Timeout, Connecting, why)
	}
	return Fail(t, pcucontrol.Unreachable, Connecting, why)
}

// Address is the address of a target's port.
func Address(t pcucontrol.Target) string { return net.JoinHostPort(t.Host, strconv.Itoa(t.Port)) }
