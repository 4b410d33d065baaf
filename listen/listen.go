// Package listen serves HTTP with a bound on everything. Whoever reaches the port may send anything, as slowly as he
// likes, on as many connections as he likes.
package listen

import (
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"golang.org/x/net/netutil"
)

// The bounds of a connection. A stream of news sets its own time to write.
const (
	headersIn   = 10 * time.Second
	bodyIn      = 30 * time.Second
	answerOut   = 90 * time.Second // a group of alerts is given a minute
	idle        = 2 * time.Minute
	mostHeaders = 32 << 10 // bytes
)

// Server is a server with all its bounds; without TLS it speaks in the clear.
func Server(h http.Handler, tls *tls.Config, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           h,
		TLSConfig:         tls,
		ReadHeaderTimeout: headersIn,
		ReadTimeout:       bodyIn,
		WriteTimeout:      answerOut,
		IdleTimeout:       idle,
		MaxHeaderBytes:    mostHeaders,
		// of what others do wrong; it must not fill the log
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}

// Serve serves at a port until the server is closed, so many connections at once, and says what was wrong if it ended
// otherwise.
func Serve(l net.Listener, s *http.Server, connections int) error {
	l = netutil.LimitListener(l, connections)
	var err error
	if s.TLSConfig != nil {
		err = s.ServeTLS(l, "", "")
	} else {
		err = s.Serve(l)
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}
