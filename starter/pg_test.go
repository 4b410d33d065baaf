package main

import (
	"context"
	"os"
	"os/signal"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/planetlab/monitor/testbed/pglocal"
)

func TestMain(m *testing.M) {
	testscript.Main(withPostgres{m}, map[string]func(){"monitor": monitorAtNoon, "acting-worker": actingWorker})
}

// withPostgres gives all tests one Postgres.
type withPostgres struct{ *testing.M }

func (m withPostgres) Run() int { return pglocal.Main(m.M) }

// monitorAtNoon is the command as scripts run it: a process of its own, whose clock stands at noon.
func monitorAtNoon() {
	a := &app{in: os.Stdin, out: os.Stdout, err: os.Stderr, now: noon, account: "alice"}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	code := a.execute(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}
