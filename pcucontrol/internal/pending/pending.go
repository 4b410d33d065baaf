// Package pending keeps a connection for whoever dials next.
package pending

import (
	"context"
	"net"
	"sync"
)

// Dialer makes connections.
type Dialer func(ctx context.Context, network, address string) (net.Conn, error)

// Conn is a connection that waits for the driver that wants it; whoever dials after that gets one of his own.
type Conn struct {
	mu   sync.Mutex
	conn net.Conn
	next Dialer
}

// New keeps a connection; next makes those after it, nil directly.
func New(conn net.Conn, next Dialer) *Conn { return &Conn{conn: conn, next: next} }

// Take is the connection, if nobody took it yet.
func (c *Conn) Take() net.Conn {
	c.mu.Lock()
	defer c.mu.Unlock()
	conn := c.conn
	c.conn = nil
	return conn
}

// Dial is the connection that waits or, after that, a new one.
func (c *Conn) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	if conn := c.Take(); conn != nil {
		return conn, nil
	}
	if c.next != nil {
		return c.next(ctx, network, address)
	}
	return new(net.Dialer).DialContext(ctx, network, address)
}
