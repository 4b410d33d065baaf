package activities

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"

	"github.com/planetlab/monitor/clean"
)

func TestErrorsOfActivitiesAreBoundedAndThoseOfBadDataFinal(t *testing.T) {
	novel := "\x00\x1b[2J" + strings.Repeat("x", 1<<20)
	for name, c := range map[string]struct {
		err   error
		final bool
		typ   string
	}{
		"a NUL that Postgres refuses": {
			fmt.Errorf("save: %w", &pgconn.PgError{Code: "22021", Message: "invalid byte sequence for encoding: 0x00"}),
			true, ErrBadInput,
		},
		"jsonb that it refuses": {&pgconn.PgError{Code: "22P05", Message: "unsupported Unicode escape sequence"},
			true, ErrBadInput},
		"Postgres is away": {&pgconn.PgError{Code: "57P01"}, false, "PgError"},
		"a novel":          {errors.New(novel), false, ""},
		"a novel that is final": {temporal.NewNonRetryableApplicationError(novel, ErrNoSuchTarget, errors.New(novel)),
			true, ErrNoSuchTarget},
		"asked again in an hour": {temporal.NewApplicationErrorWithOptions(novel, "Later",
			temporal.ApplicationErrorOptions{NextRetryDelay: time.Hour}),
			false, "Later"},
	} {
		t.Run(name, func(t *testing.T) {
			var suite testsuite.WorkflowTestSuite
			env := suite.NewTestActivityEnvironment()
			env.SetWorkerOptions(worker.Options{Interceptors: []interceptor.WorkerInterceptor{&Bounded{}}})
			env.RegisterActivityWithOptions(func(context.Context) error {
				return c.err
			}, activity.RegisterOptions{Name: "act"})
			_, err := env.ExecuteActivity("act")
			var app *temporal.ApplicationError
			if !errors.As(err, &app) || app.NonRetryable() != c.final || app.Type() != c.typ {
				t.Fatalf("got %.300v", err)
			}
			if !clean.Is(app.Message(), clean.MaxText) || len(err.Error()) > 2*clean.MaxText {
				t.Errorf("%d bytes: %.200q", len(err.Error()), err.Error())
			}
		})
	}
}
