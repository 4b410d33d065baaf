package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"go.temporal.io/api/serviceerror"
)

// patiently opens what may be away when the worker starts, as after a power cut that took everything, until it is
// there. What no waiting mends, as a wrong password, is an error at once.
func patiently[T any](ctx context.Context, log *slog.Logger, what string, every time.Duration,
	open func() (T, error)) (T, error) {
	said := ""
	for {
		v, err := open()
		if err == nil || !away(err) || ctx.Err() != nil {
			return v, err
		}
		if err.Error() != said {
			said = err.Error()
			log.Warn("the worker waits for what is away", "what", what, "error", err)
		}
		select {
		case <-ctx.Done():
			return v, ctx.Err()
		case <-time.After(every):
		}
	}
}

// betweenTries is how long the worker waits before it asks again for what is away.
const betweenTries = time.Second

// away reports whether an error says that a server is not there now, and nothing more.
func away(err error) bool {
	var refused *pgconn.PgError
	if errors.As(err, &refused) {
		// PostgreSQL, appendix A: connection exceptions, too many connections, and a server that shuts down or starts
		// up.
		return strings.HasPrefix(refused.Code, "08") || refused.Code == "53300" ||
			strings.HasPrefix(refused.Code, "57P0")
	}
	var (
		network     net.Error
		connect     *pgconn.ConnectError
		unavailable *serviceerror.Unavailable
		late        *serviceerror.DeadlineExceeded
	)
	return errors.As(err, &network) || errors.As(err, &connect) || errors.As(err, &unavailable) ||
		errors.As(err, &late) ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}
