package web

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/alexedwards/scs/v2"

	"github.com/planetlab/monitor/store"
)

// recentFor is how long an open page that draws a part of itself anew is known without asking: two hundred of them that
// show one change ask the database no more than once for each visitor. For so long their parts come also to somebody who
// has signed out at another process of Monitor.
const recentFor = 3 * time.Second

// recent remembers the sessions that were read lately, for those requests that are marked by parts. It is a store of
// package scs, as the one behind it.
type recent struct {
	store.Sessions

	mu   sync.Mutex
	read map[string]remembered
}

type remembered struct {
	data  []byte
	until time.Time
}

var _ scs.CtxStore = (*recent)(nil)

// parts marks the requests of open pages for a part of themselves. A page that is opened, and an order, read the session
// itself.
func parts(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && r.Header.Get("HX-Request") == "true" {
			r = r.WithContext(context.WithValue(r.Context(), partKey, true))
		}
		next.ServeHTTP(w, r)
	})
}

// FindCtx reads a session that has not expired.
func (r *recent) FindCtx(ctx context.Context, token string) ([]byte, bool, error) {
	now, part := time.Now(), ctx.Value(partKey) != nil
	r.mu.Lock()
	known, is := r.read[token]
	r.mu.Unlock()
	if part && is && now.Before(known.until) {
		return known.data, true, nil
	}
	data, found, err := r.Sessions.FindCtx(ctx, token)
	if err == nil && found {
		r.keep(token, data, now)
	}
	return data, found, err
}

// CommitCtx writes a session.
func (r *recent) CommitCtx(ctx context.Context, token string, data []byte, expires time.Time) error {
	r.forget(token)
	return r.Sessions.CommitCtx(ctx, token, data, expires)
}

// DeleteCtx ends a session.
func (r *recent) DeleteCtx(ctx context.Context, token string) error {
	err := r.Sessions.DeleteCtx(ctx, token)
	r.forget(token)
	return err
}

func (r *recent) keep(token string, data []byte, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for old, known := range r.read { // there are as many as visitors within recentFor
		if !now.Before(known.until) {
			delete(r.read, old)
		}
	}
	r.read[token] = remembered{data, now.Add(recentFor)}
}

func (r *recent) forget(token string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.read, token)
}
