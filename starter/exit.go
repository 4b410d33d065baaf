package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/planetlab/monitor/orders"
	"github.com/planetlab/monitor/pcucontrol"
	"github.com/planetlab/monitor/store"
)

// The exit codes that have no kind of error of a PCU; all of them are in exits.
const (
	exitOK          = 0
	exitFailure     = 1
	exitUsage       = 2
	exitNotFound    = 3
	exitNotExpected = 4
	exitRefused     = 5
	exitToMend      = 6
	exitBroken      = 7
)

// exit is one way for monitor to end.
type exit struct {
	code  int
	means string
	kind  pcucontrol.Kind // the errors of PCUs that end so
	hint  string          // what an operator would do about it
}

// exits are all of them, in the order of the help. The agent for Pacemaker, `monitor pcu fence`, ends as such agents do.
func exits() []exit {
	return []exit{
		{exitOK, "done", "", ""},
		{exitFailure, "failure", "", ""},
		{exitUsage, "usage: a bad command line, bad input or a bad configuration", pcucontrol.UnknownModel,
			"check --model"},
		{exitNotFound, "not found", "", ""},
		{exitNotExpected, "of pcu status: not as --expect says", "", ""},
		{exitRefused, "of orders: refused as things stand, as by a check of the gate, or not confirmed; nothing was done", "", ""},
		{exitToMend, "of doctor, setup and lint: something should be mended", "", ""},
		{exitBroken, "of doctor and setup: Monitor cannot work so", "", ""},
		{10, "user name or password refused", pcucontrol.Auth, "check --user and the password"},
		{11, "no such outlet", pcucontrol.NoOutlet, "check --outlet"},
		{12, "busy: somebody else is logged in", pcucontrol.Busy,
			"a PCU serves one session at a time; try again in a minute"},
		{13, "the device refused the command", pcucontrol.Refused, "nothing was switched"},
		{14, "timeout", pcucontrol.Timeout, "check --model and --port, or give it a longer --timeout"},
		{15, "unreachable", pcucontrol.Unreachable, "check --host, --port and the way there"},
		{16, "the device answered something unexpected", pcucontrol.Unexpected,
			"see with --trace what it says; --model may be wrong"},
		{17, "ambiguous: the command may have been carried out", pcucontrol.Ambiguous,
			"read the outlet with `monitor pcu status` before you try again"},
		{18, "the model cannot do this", pcucontrol.Unsupported, ""},
	}
}

// exitCodes is the list for people.
func exitCodes() string {
	const firstOfPCUs = 10
	var b strings.Builder
	b.WriteString("Exit codes:\n")
	for _, e := range exits() {
		if e.code == firstOfPCUs {
			b.WriteString("  of the pcu commands:\n")
		}
		fmt.Fprintf(&b, "  %2d  %s\n", e.code, e.means)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// exitOf is how an error of a PCU ends.
func exitOf(k pcucontrol.Kind) (exit, bool) {
	i := slices.IndexFunc(exits(), func(e exit) bool { return k != "" && e.kind == k })
	if i < 0 {
		return exit{}, false
	}
	return exits()[i], true
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
	if k, ok := exitOf(pcucontrol.KindOf(err)); ok {
		return k.code
	}
	switch orders.KindOf(err) {
	case orders.Invalid:
		return exitUsage
	case orders.NotFound:
		return exitNotFound
	case orders.Refused:
		return exitRefused
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
	k, _ := exitOf(pcucontrol.KindOf(err))
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
