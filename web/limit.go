package web

import (
	"sync"
	"time"
)

// limiter slows down those who guess: the more often a name or an address has failed, the longer it waits.
type limiter struct {
	free    int           // failures that cost nothing
	first   time.Duration // the wait after the next one; it doubles
	longest time.Duration

	mu   sync.Mutex
	seen map[string]*failures
}

type failures struct {
	count int
	last  time.Time
}

// mostSeen bounds the memory of it.
const mostSeen = 20_000

func newLimiter(free int, first, longest time.Duration) *limiter {
	return &limiter{free: free, first: first, longest: longest, seen: map[string]*failures{}}
}

// wait is how long somebody must wait before the next try counts.
func (l *limiter) wait(key string, now time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := l.seen[key]
	if f == nil || f.count < l.free {
		return 0
	}
	wait := l.longest
	if n := f.count - l.free; n < 16 {
		wait = min(l.first<<n, l.longest)
	}
	return max(0, f.last.Add(wait).Sub(now))
}

// failed counts a try that was wrong.
func (l *limiter) failed(key string, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.seen) >= mostSeen {
		l.forget(now)
	}
	f := l.seen[key]
	if f == nil || now.Sub(f.last) > 2*l.longest {
		f = &failures{}
		l.seen[key] = f
	}
	f.count++
	f.last = now
}

// passed forgets what went wrong before.
func (l *limiter) passed(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.seen, key)
}

// forget makes room: it lets go of what is over and, of the rest, of a quarter, whichever comes first.
func (l *limiter) forget(now time.Time) {
	for key, f := range l.seen {
		if now.Sub(f.last) > 2*l.longest || len(l.seen) > mostSeen*3/4 {
			delete(l.seen, key)
		}
	}
}
