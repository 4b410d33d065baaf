package web

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/planetlab/monitor/listen"
)

// mostConnections may be open at once: an open page keeps one.
const mostConnections = 2000

// Place is where the pages are served.
type Place struct {
	Listen      string // host:port, or unix:/path
	TLS         *tls.Config
	BehindProxy bool // only a proxy reaches the port, which speaks TLS to everybody else
}

// ErrInTheClear says that passwords would travel in the clear.
var ErrInTheClear = errors.New("others than this machine would reach the pages in the clear: set http.tls_cert_file, or " +
	"http.behind_proxy where a proxy speaks TLS for it")

// Serve serves the pages, and tells those that are open what changes, until the context ends. Beyond this machine it
// serves only over TLS, or to a proxy.
func (s *Server) Serve(ctx context.Context, at Place, ready func(net.Addr)) error {
	l, err := listen.At(ctx, at.Listen)
	if err != nil {
		return fmt.Errorf("web.listen: %w", err)
	}
	if !loopback(l.Addr()) && at.TLS == nil && !at.BehindProxy {
		_ = l.Close()
		return fmt.Errorf("web.listen: %w", ErrInTheClear)
	}
	if ready != nil {
		ready(l.Addr())
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	server := listen.Server(s.Handler(), at.TLS, s.Log)
	server.BaseContext = func(net.Listener) context.Context { return ctx } // so that streams end, too
	go s.Watch(ctx)
	go func() {
		<-ctx.Done()
		soon, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
		defer cancel()
		_ = server.Shutdown(soon)
		_ = server.Close()
	}()
	if err := listen.Serve(l, server, mostConnections); err != nil {
		return fmt.Errorf("web.listen: %w", err)
	}
	return nil
}

// loopback reports whether only this machine reaches an address.
func loopback(a net.Addr) bool {
	tcp, is := a.(*net.TCPAddr)
	return is && tcp.IP.IsLoopback() || a.Network() == "unix"
}
