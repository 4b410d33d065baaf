package store

import (
	"context"
	"errors"
	"testing"
	"time"
)

func TestABeatEndsWhatOthersHaveEnded(t *testing.T) {
	signs := 0
	ctx, stop := Beat(t.Context(), time.Millisecond, func(context.Context) error {
		if signs++; signs < 3 {
			return errors.New("postgres is away") // which ends nothing
		}
		return ErrRunOver
	}, ErrRunOver)
	defer stop()
	<-ctx.Done()
	if signs != 3 {
		t.Errorf("it ended with sign %d", signs)
	}
	ctx, stop = Beat(t.Context(), time.Hour, nil, ErrRunOver)
	if stop(); ctx.Err() == nil {
		t.Error("it is stopped, and goes on")
	}
}
