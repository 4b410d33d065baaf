package web

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"golang.org/x/net/netutil"
)

// The bounds of a connection. Whoever reaches the port may send anything, as slowly as he likes, on as many connections
// as he likes.
const (
	mostConnections = 2000 // an open page keeps one
	mostHeaders     = 32 << 10
	headersIn       = 10 * time.Second
	bodyIn          = 30 * time.Second
	answerOut       = time.Minute // a live page sets its own
	idle            = 2 * time.Minute
)

// HTTPServer is a server of the pages with all its bounds.
func (s *Server) HTTPServer() *http.Server {
	return &http.Server{
		Handler:           s.Handler(),
		ReadHeaderTimeout: headersIn,
		ReadTimeout:       bodyIn,
		WriteTimeout:      answerOut,
		IdleTimeout:       idle,
		MaxHeaderBytes:    mostHeaders,
		ErrorLog:          slog.NewLogLogger(s.Log.Handler(), slog.LevelDebug), // of what others do wrong
	}
}

// Place is where the pages are served.
type Place struct {
	Listen      string // host:port
	TLS         *tls.Config
	BehindProxy bool // only a proxy reaches the port, which speaks TLS to everybody else
}

// ErrInTheClear says that passwords would travel in the clear.
var ErrInTheClear = errors.New("others than this machine would reach the pages in the clear: set http.tls_cert_file, or " +
	"http.behind_proxy where a proxy speaks TLS for it")

// Serve serves the pages, and tells those that are open what changes, until the context ends. Beyond this machine it
// serves only over TLS, or to a proxy.
func (s *Server) Serve(ctx context.Context, at Place, ready func(net.Addr)) error {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", at.Listen)
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
	server := s.HTTPServer()
	server.TLSConfig = at.TLS
	server.BaseContext = func(net.Listener) context.Context { return ctx } // so that streams end, too
	go func() { _ = s.Watch(ctx) }()
	if s.News != nil {
		go s.News.Run(ctx)
	}
	go func() {
		<-ctx.Done()
		soon, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
		defer cancel()
		_ = server.Shutdown(soon)
		_ = server.Close()
	}()
	limited := netutil.LimitListener(l, mostConnections)
	if at.TLS != nil {
		err = server.ServeTLS(limited, "", "")
	} else {
		err = server.Serve(limited)
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("web.listen: %w", err)
}

func loopback(a net.Addr) bool {
	tcp, is := a.(*net.TCPAddr)
	return is && tcp.IP.IsLoopback()
}
