package main

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

// Bounds of the pages. Whoever reaches the port may send anything, as slowly as he likes, on as many connections as he
// likes.
const (
	mostConnections = 200
	mostHeaders     = 64 << 10
)

// server are the worker's pages with all time-outs.
func server(h http.Handler, tls *tls.Config, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           h,
		TLSConfig:         tls,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      90 * time.Second, // an alert group is given a minute
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    mostHeaders,
		// of what others do wrong; it must not fill the log
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}

// serve serves the pages until the server is closed. What is wrong with the port, or with a connection for good, goes
// to failed.
func serve(ctx context.Context, web *http.Server, setting, listen string, failed chan<- error) error {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", listen)
	if err != nil {
		return fmt.Errorf("%s: %w", setting, err)
	}
	l = netutil.LimitListener(l, mostConnections)
	go func() {
		var err error
		if web.TLSConfig != nil {
			err = web.ServeTLS(l, "", "")
		} else {
			err = web.Serve(l)
		}
		if !errors.Is(err, http.ErrServerClosed) {
			failed <- fmt.Errorf("%s: %w", setting, err)
		}
	}()
	return nil
}
