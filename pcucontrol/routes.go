package pcucontrol

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/planetlab/monitor/pcucontrol/internal/netfault"
	"github.com/planetlab/monitor/pcucontrol/internal/pending"
)

const (
	// probeTime bounds the first look at a port, where a model has more than one.
	probeTime = 2 * time.Second
	// defaultConnect bounds the making of a connection.
	defaultConnect = 15 * time.Second
)

// work is what is asked of a driver.
type work func(context.Context, Driver, Target) (Result, error)

// run does work by the first of the model's routes that has a device behind it: those with an open port first, in the
// model's order, then those whose port said nothing. A closed port is not tried.
func (c *Catalog) run(ctx context.Context, t Target, outlet bool, ask work) (Result, error) {
	m, err := c.Resolve(t.Model)
	if err != nil {
		var e *Error
		if errors.As(err, &e) {
			e.Host = t.Host
		}
		return Result{}, err
	}
	if m.Name == Manual {
		return Result{}, &Error{Unsupported, t.Host, "find a driver", "a manual PCU is switched by people"}
	}
	if t.Outlet < 0 || outlet && m.Outlets && t.Outlet == 0 && t.OutletName == "" {
		why := "none is named, and it has several: say which, by its number or its name"
		if t.Outlet < 0 {
			why = fmt.Sprintf("outlets are numbered from 1, not %d", t.Outlet)
		}
		return Result{}, &Error{NoOutlet, t.Host, "find the outlet", why}
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	if t, err = guarded(ctx, t); err != nil {
		return Result{Before: Unknown, After: Unknown}, err
	}
	routes, err := secureFirst(m.routesTo(t), t)
	if err != nil {
		return Result{Before: Unknown, After: Unknown}, err
	}
	switch len(routes) {
	case 0:
		return Result{}, &Error{Unsupported, t.Host, "connect",
			fmt.Sprintf("%s has no transport %q", m.Name, t.Transport)}
	case 1:
		r, err := routes[0].attempt(ctx, 1, t, ask)
		r.Tried = []string{routes[0].at(t)}
		return r, err
	}
	return tryInTurn(ctx, routes, t, ask)
}

// routesTried is how far a search for a route that works has come.
type routesTried struct {
	t     Target
	ask   work
	tried []string
	left  int
	first error // that says more than a port that is not open
}

func tryInTurn(ctx context.Context, routes []Route, t Target, ask work) (Result, error) {
	s := &routesTried{t: t, ask: ask, left: len(routes)}
	var silent []Route
	for _, route := range routes {
		conn, err := route.probePort(ctx, t, s.left)
		switch {
		case KindOf(err) == Timeout:
			s.keep(err)
			silent = append(silent, route)
		case err != nil:
			s.keep(err)
			s.tried, s.left = append(s.tried, route.at(t)+" (not open)"), s.left-1
		default:
			if r, err, settled := s.try(ctx, route, conn); settled {
				return r, err
			}
		}
	}
	for _, route := range silent {
		if ctx.Err() != nil {
			break
		}
		if r, err, settled := s.try(ctx, route, nil); settled {
			return r, err
		}
	}
	return Result{Before: Unknown, After: Unknown, Tried: s.tried}, s.first
}

func (s *routesTried) keep(err error) { s.first = cmp.Or(s.first, err) }

// try takes one route, by a connection that may be there already; settled says that no other route would do better.
func (s *routesTried) try(ctx context.Context, route Route, conn net.Conn) (r Result, err error, settled bool) {
	t, waiting := s.t, pending.New(conn, s.t.Dial)
	if conn != nil {
		t.Dial = waiting.Dial
	}
	r, err = route.attempt(ctx, s.left, t, s.ask)
	if rest := waiting.Take(); rest != nil {
		_ = rest.Close()
	}
	s.tried = append(s.tried, route.at(t))
	r.Tried, s.left = s.tried, s.left-1
	if s.first == nil || KindOf(s.first) == Unreachable {
		s.first = err
	}
	k := KindOf(err)
	return r, err, k != Unreachable && k != Timeout && k != Unexpected || ctx.Err() != nil
}

// at names a route and its port.
func (r Route) at(t Target) string { return fmt.Sprintf("%s %d", r.Name, cmp.Or(t.Port, r.Port)) }

// probePort looks whether a port is open. The connection is kept for the driver: a device with a single session must
// not be kept busy by being looked at. A web server does not mind, and datagrams show nothing.
func (r Route) probePort(ctx context.Context, t Target, left int) (net.Conn, error) {
	if r.Name == "udp" {
		return nil, nil
	}
	t.Port = cmp.Or(t.Port, r.Port)
	bound := min(probeTime, cmp.Or(t.ConnectTimeout, defaultConnect))
	if deadline, ok := ctx.Deadline(); ok {
		bound = min(bound, time.Until(deadline)/time.Duration(2*max(1, left)))
	}
	ctx, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	conn, err := pending.New(nil, t.Dial).Dial(ctx, "tcp", net.JoinHostPort(t.Host, strconv.Itoa(t.Port)))
	if err == nil {
		return conn, nil
	}
	timedOut, why := netfault.Why(err, t.Port)
	if timedOut {
		return nil, &Error{Timeout, t.Host, "connect", why}
	}
	return nil, &Error{Unreachable, t.Host, "connect", why}
}

// attempt gives one route its share of the time, so that a wrong guess leaves some for the others.
func (r Route) attempt(ctx context.Context, left int, t Target, ask work) (Result, error) {
	if deadline, ok := ctx.Deadline(); ok && left > 1 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(deadline)/time.Duration(left))
		defer cancel()
	}
	t.Transport, t.Port = r.Name, cmp.Or(t.Port, r.Port)
	t.ConnectTimeout = cmp.Or(t.ConnectTimeout, defaultConnect)
	t, err := r.pinned(ctx, t)
	if err == nil {
		t, err = numbered(ctx, r.Driver, t)
	}
	if err != nil {
		return Result{Before: Unknown, After: Unknown}, err
	}
	return ask(ctx, r.Driver, t)
}
