package pcucontrol

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"
)

// knockTime bounds the first look at a port, where a model has more than one.
const knockTime = 2 * time.Second

// do runs an operation by the first of the model's ways that has a device behind it: those with an open port first, in the model's
// order, then those whose port said nothing. A closed port is not tried.
func (c *Catalog) do(ctx context.Context, t Target, outlet bool, f func(context.Context, driver, Target) (Result, error)) (Result, error) {
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
		return Result{}, &Error{NoOutlet, t.Host, "find the outlet", fmt.Sprintf("outlets are numbered from 1, not %d", t.Outlet)}
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	ways := m.waysTo(t)
	switch len(ways) {
	case 0:
		return Result{}, &Error{Unsupported, t.Host, "connect", fmt.Sprintf("%s has no transport %q", m.Name, t.Transport)}
	case 1:
		r, err := ways[0].do(ctx, 1, t, f)
		r.Tried = []string{ways[0].at(t)}
		return r, err
	}
	return tryInTurn(ctx, ways, t, f)
}

func tryInTurn(ctx context.Context, ways []way, t Target, f func(context.Context, driver, Target) (Result, error)) (Result, error) {
	var tried []string
	var first error // that says more than a port that is not open
	left := len(ways)
	try := func(w way) (r Result, err error, settled bool) {
		r, err = w.do(ctx, left, t, f)
		tried = append(tried, w.at(t))
		r.Tried, left = tried, left-1
		if first == nil || KindOf(first) == Unreachable {
			first = err
		}
		k := KindOf(err)
		return r, err, k != Unreachable && k != Timeout && k != Unexpected || ctx.Err() != nil
	}
	var silent []way
	for _, w := range ways {
		conn, found := w.knock(ctx, t, left)
		if found != nil {
			if first == nil {
				first = found
			}
			if KindOf(found) == Timeout {
				silent = append(silent, w)
				continue
			}
			tried, left = append(tried, w.at(t)+" (not open)"), left-1
			continue
		}
		t.met = &meeting{conn: conn}
		r, err, settled := try(w)
		if rest := t.met.take(); rest != nil {
			_ = rest.Close()
		}
		if t.met = nil; settled {
			return r, err
		}
	}
	for _, w := range silent {
		if ctx.Err() != nil {
			break
		}
		if r, err, settled := try(w); settled {
			return r, err
		}
	}
	return Result{Before: Unknown, After: Unknown, Tried: tried}, first
}

// at names a way and its port.
func (w way) at(t Target) string { return fmt.Sprintf("%s %d", w.Name, cmp.Or(t.Port, w.Port)) }

// knock looks whether a port is open. The connection is kept for the driver: a device with a single session must not be kept busy by
// being looked at. A web server does not mind, and datagrams show nothing.
func (w way) knock(ctx context.Context, t Target, left int) (net.Conn, error) {
	if w.Name == "udp" {
		return nil, nil
	}
	t.Port = cmp.Or(t.Port, w.Port)
	bound := min(knockTime, cmp.Or(t.ConnectTimeout, defaultConnect))
	if deadline, ok := ctx.Deadline(); ok {
		bound = min(bound, time.Until(deadline)/time.Duration(2*max(1, left)))
	}
	conn, err := (&net.Dialer{Timeout: bound}).DialContext(ctx, "tcp", net.JoinHostPort(t.Host, strconv.Itoa(t.Port)))
	if err != nil {
		return nil, dialError(t, err)
	}
	return conn, nil
}

// do gives one way its share of the time, so that a wrong guess leaves some for the others.
func (w way) do(ctx context.Context, left int, t Target, f func(context.Context, driver, Target) (Result, error)) (Result, error) {
	if deadline, ok := ctx.Deadline(); ok && left > 1 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(deadline)/time.Duration(left))
		defer cancel()
	}
	t.Transport, t.Port = w.Name, cmp.Or(t.Port, w.Port)
	t, err := numbered(ctx, w.driver, t)
	if err != nil {
		return Result{Before: Unknown, After: Unknown}, err
	}
	return f(ctx, w.driver, t)
}

// meeting is a connection that waits for the driver that wants it.
type meeting struct {
	mu   sync.Mutex
	conn net.Conn
}

func (m *meeting) take() net.Conn {
	if m == nil {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	conn := m.conn
	m.conn = nil
	return conn
}
