package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/planetlab/monitor/pcucontrol"
	"github.com/planetlab/monitor/store"
)

// The exit codes; those of PCU errors are in kinds.
const (
	exitOK       = 0
	exitFailure  = 1
	exitUsage    = 2
	exitNotFound = 3
)

const exitCodes = `Exit codes:
   0  done
   1  failure
   2  usage: a bad command line, bad input or a bad configuration
   3  not found
  of the pcu commands:
  10  user name or password refused
  11  no such outlet
  12  busy: somebody else is logged in
  13  the device refused the command
  14  timeout
  15  unreachable
  16  the device answered something unexpected
  17  ambiguous: the command may have been carried out
  18  the model cannot do this`

// kind is what a kind of PCU error means to an operator.
type kind struct {
	code int
	hint string
}

func kindOf(k pcucontrol.Kind) (kind, bool) {
	known, ok := map[pcucontrol.Kind]kind{
		pcucontrol.UnknownModel: {exitUsage, "check --model"},
		pcucontrol.Auth:         {10, "check --user and the password"},
		pcucontrol.NoOutlet:     {11, "check --outlet"},
		pcucontrol.Busy:         {12, "a PCU serves one session at a time; try again in a minute"},
		pcucontrol.Refused:      {13, "nothing was switched"},
		pcucontrol.Timeout:      {14, "check --model and --port, or give it a longer --timeout"},
		pcucontrol.Unreachable:  {15, "check --host, --port and the way there"},
		pcucontrol.Unexpected:   {16, "see with --trace what it says; --model may be wrong"},
		pcucontrol.Ambiguous:    {17, "read the outlet with `monitor pcu status` before you try again"},
		pcucontrol.Unsupported:  {18, ""},
	}[k]
	return known, ok
}

// exitError carries an exit code.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

func badInput(format string, args ...any) error {
	return &exitError{exitUsage, fmt.Errorf(format, args...)}
}

func notFound(format string, args ...any) error {
	return &exitError{exitNotFound, fmt.Errorf(format, args...)}
}

func (a *app) code(err error) int {
	var e *exitError
	if errors.As(err, &e) {
		return e.code
	}
	if k, ok := kindOf(pcucontrol.KindOf(err)); ok {
		return k.code
	}
	switch {
	case !a.ready:
		return exitUsage
	case errors.Is(err, store.ErrNotFound):
		return exitNotFound
	}
	return exitFailure
}

// explain says what failed and, where one can know, what to do about it.
func explain(ctx context.Context, err error) string {
	const noTable = "42P01" // Postgres: undefined_table
	var pg *pgconn.PgError
	k, _ := kindOf(pcucontrol.KindOf(err))
	switch {
	case k.hint != "":
		return err.Error() + ": " + k.hint
	case ctx.Err() != nil:
		return "interrupted"
	case errors.As(err, &pg) && pg.Code == noTable:
		return "this database has no tables of Monitor: check database.url, or start monitor-worker once, which makes them"
	}
	return err.Error()
}
