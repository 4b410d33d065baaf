package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"go.temporal.io/api/serviceerror"
)

func TestTheWorkerWaitsForWhatIsAway(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	for name, test := range map[string]struct {
		err   error
		waits bool
	}{
		"Postgres takes no connections": {
			fmt.Errorf("store: %w", &net.OpError{Op: "dial", Err: errors.New("connection refused")}), true,
		},
		"Postgres starts up":            {&pgconn.PgError{Code: "57P03"}, true},
		"Postgres refuses the password": {&pgconn.PgError{Code: "28P01"}, false},
		"Temporal takes no connections": {
			fmt.Errorf("temporal: %w", serviceerror.NewUnavailable("connection refused")), true,
		},
		"Temporal does not answer":         {serviceerror.NewDeadlineExceeded("slow"), true},
		"Temporal has no such namespace":   {serviceerror.NewNamespaceNotFound("monitor"), false},
		"the configuration lacks a secret": {errors.New("secrets.key_file must be set"), false},
	} {
		t.Run(name, func(t *testing.T) {
			tries := 0
			got, err := patiently(t.Context(), log, "it", time.Millisecond, func() (int, error) {
				if tries++; tries < 3 {
					return 0, test.err
				}
				return 7, nil
			})
			if test.waits && (got != 7 || err != nil || tries != 3) {
				t.Errorf("waits for what is away: got %d, %v after %d tries", got, err, tries)
			}
			if !test.waits && (!errors.Is(err, test.err) || tries != 1) {
				t.Errorf("says at once what no waiting mends: got %v after %d tries", err, tries)
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	_, err := patiently(ctx, log, "it", time.Hour, func() (int, error) {
		cancel()
		return 0, serviceerror.NewUnavailable("away")
	})
	if err == nil {
		t.Error("a worker that is stopped while it waits ends")
	}
}
