package activities

import (
	"context"
	"errors"

	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/temporal"

	"github.com/planetlab/monitor/clean"
	"github.com/planetlab/monitor/store"
)

// Bounded sees to the errors of all activities, for a worker's options: none is larger or dirtier than what may be
// kept, since each goes into a history, and what Postgres refuses for its content is not tried again, since it will be
// refused for ever.
type Bounded struct {
	interceptor.WorkerInterceptorBase
}

// InterceptActivity wraps each activity.
func (*Bounded) InterceptActivity(_ context.Context,
	next interceptor.ActivityInboundInterceptor) interceptor.ActivityInboundInterceptor {
	return &boundedActivity{interceptor.ActivityInboundInterceptorBase{Next: next}}
}

type boundedActivity struct {
	interceptor.ActivityInboundInterceptorBase
}

// ExecuteActivity runs the activity.
func (b *boundedActivity) ExecuteActivity(ctx context.Context, in *interceptor.ExecuteActivityInput) (any, error) {
	out, err := b.Next.ExecuteActivity(ctx, in)
	return out, boundedError(err)
}

func boundedError(err error) error {
	if err == nil {
		return nil
	}
	if store.Unfit(err) {
		return temporal.NewNonRetryableApplicationError(clean.Text(err.Error()), ErrBadInput, nil)
	}
	if clean.Is(err.Error(), clean.MaxText) || temporal.IsCanceledError(err) || errors.Is(err, context.Canceled) {
		return err
	}
	var app *temporal.ApplicationError
	if errors.As(err, &app) {
		return temporal.NewApplicationErrorWithOptions(clean.Text(app.Message()), app.Type(),
			temporal.ApplicationErrorOptions{NonRetryable: app.NonRetryable(), NextRetryDelay: app.NextRetryDelay(),
				Category: app.Category()})
	}
	return temporal.NewApplicationErrorWithOptions(clean.Text(err.Error()), "", temporal.ApplicationErrorOptions{})
}
