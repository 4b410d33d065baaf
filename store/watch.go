package store

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// Happening says what changed in the store: the topic, and the names where they are few.
type Happening struct {
	Topic string   `json:"topic"`           // ledger, issue, status, sweep or control; "all": anything may have changed
	Names []string `json:"names,omitempty"` // ids of issues, or targets; none: many, or the topic has none
}

// Topics beside those that the triggers name.
const (
	Everything = "all"  // notices may have been lost, and anything may have changed
	Deaf       = "deaf" // nobody listens now, and nothing is told until Everything is
)

// Watch calls tell for whatever changes, until the context ends; one connection is kept for it. When the connection is
// lost it comes back by itself, and tells that anything may have changed meanwhile.
func (s *Store) Watch(ctx context.Context, tell func(Happening)) error {
	wait := 100 * time.Millisecond
	for {
		began := time.Now()
		_ = s.watchOnce(ctx, tell)
		tell(Happening{Topic: Deaf})
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if time.Since(began) > time.Minute {
			wait = 100 * time.Millisecond
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
			wait = min(2*wait, 10*time.Second)
		}
	}
}

func (s *Store) watchOnce(ctx context.Context, tell func(Happening)) error {
	pooled, err := s.pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("watch: %w", err)
	}
	conn := pooled.Hijack() // it listens, and must not serve anybody else
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if _, err := conn.Exec(ctx, `listen monitor_pages`); err != nil {
		return fmt.Errorf("watch: %w", err)
	}
	tell(Happening{Topic: Everything})
	for {
		n, err := conn.WaitForNotification(ctx)
		if err != nil {
			return fmt.Errorf("watch: %w", err)
		}
		topic, names, _ := strings.Cut(n.Payload, "\n")
		tell(Happening{Topic: topic, Names: strings.FieldsFunc(names, func(r rune) bool { return r == '\n' })})
	}
}
