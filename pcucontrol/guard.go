package pcucontrol

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"syscall"
)

// Clear is a driver that knows whether the password would travel so that everybody on the way can read it, where the
// transport does not say so by itself, as SNMP does over udp.
type Clear interface {
	Clear(t Target) bool
}

// clear reports whether a route gives the password away to whoever listens.
func (r Route) clear(t Target) bool {
	if d, knows := r.Driver.(Clear); knows {
		return d.Clear(t)
	}
	return slices.Contains([]string{"telnet", "tcp", "http"}, r.Name)
}

// secureFirst are the routes with those first that keep the password to themselves; where the target wants no clear
// text, the others are left out.
func secureFirst(routes []Route, t Target) ([]Route, error) {
	var secure, clear []Route
	for _, r := range routes {
		if r.clear(t) {
			clear = append(clear, r)
		} else {
			secure = append(secure, r)
		}
	}
	if !t.NoClearText {
		return append(secure, clear...), nil
	}
	if len(secure) == 0 && len(clear) > 0 {
		return nil, &Error{Refused, t.Host, "connect",
			fmt.Sprintf("by %s the password would travel in the clear, which is not allowed for it", clear[0].at(t))}
	}
	return secure, nil
}

// guarded is the target with every connection held to the addresses that it may have. Its name is looked up before
// anything is sent; what it means another time, each connection asks again.
func guarded(ctx context.Context, t Target) (Target, error) {
	if t.MayConnect == nil || t.Dial != nil {
		return t, nil
	}
	list, err := net.DefaultResolver.LookupNetIP(ctx, "ip", t.Host)
	if err != nil {
		return t, &Error{Unreachable, t.Host, "connect", "no such host"}
	}
	for _, to := range list {
		if err := t.MayConnect(to.Unmap()); err != nil {
			return t, &Error{Refused, t.Host, "connect", err.Error()}
		}
	}
	may := t.MayConnect
	t.Dial = (&net.Dialer{Control: func(_, address string, _ syscall.RawConn) error {
		to, err := netip.ParseAddrPort(address)
		if err != nil {
			return err
		}
		return may(to.Addr().Unmap())
	}}).DialContext
	return t, nil
}

// pinned is the target of a route: drivers that speak datagrams look names up by themselves, and get the address that
// was asked about. None is asked by a name that may mean another one by then.
func (r Route) pinned(ctx context.Context, t Target) (Target, error) {
	if r.Name != "udp" || t.MayConnect == nil {
		return t, nil
	}
	list, err := net.DefaultResolver.LookupNetIP(ctx, "ip", t.Host)
	if err != nil {
		return t, &Error{Unreachable, t.Host, "connect", "no such host"}
	}
	why := "it has no address"
	for _, to := range list {
		err := t.MayConnect(to.Unmap())
		if err == nil {
			t.Host = to.Unmap().String()
			return t, nil
		}
		why = err.Error()
	}
	return t, &Error{Refused, t.Host, "connect", why}
}
