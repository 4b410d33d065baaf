package main

import (
	"context"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/planetlab/monitor/testbed"
	"github.com/planetlab/monitor/testbed/pcudev"
)

// aim strikes in bursts. Each begins with the first moment after a believed sweep, and in it the rarest moments are
// struck first, so that each kind is hit about as often as any other. Then all rests until the next believed sweep: who
// was killed is noticed after 10 s, and where no sweep is believed nothing is done that could be done twice. Rng draws
// how to strike, and how long after the moment.
func (c *chaos) aim(ctx context.Context, rng *rand.Rand) {
	t := target{struck: map[string]int{}, writer: map[string]string{}}
	moments := c.watch(ctx)
	for {
		rest, done := context.WithTimeout(ctx, mostIdle)
		var m moment
		select {
		case <-rest.Done():
			m = moment{What: idle, Who: pick(rng, c.Workers...).Name(), at: time.Now()}
		case m = <-moments:
		}
		done()
		if ctx.Err() != nil {
			return
		}
		if t.sees(&m); !t.now(m, c.lastBelieved()) {
			continue
		}
		wait(ctx, soonAfter(m.What, rng))
		c.strike(ctx, rng, m)
		t.next = time.Now().Add(300*time.Millisecond + time.Duration(rng.Int64N(int64(800*time.Millisecond))))
	}
}

const (
	idle        = "no moment"
	mostIdle    = 1200 * time.Millisecond // without a moment a worker is killed all the same
	burst       = 9 * time.Second
	sweepsAlone = 25 * time.Second // between blows on sweeps
)

// target is what was struck, and who wrote what.
type target struct {
	struck map[string]int
	total  int
	writer map[string]string // who was last seen to write about a site, or at all
	began  time.Time         // the burst
	next   time.Time         // no blow before
	last   time.Time         // when the last blow fell
	swept  time.Time         // and the last on a sweep
}

// sees takes in a moment, and adds whose it is likely to be where nobody says.
func (t *target) sees(m *moment) {
	if _, known := t.struck[m.What]; !known {
		t.struck[m.What] = 0
	}
	if m.Who == "" {
		m.Who = t.writer[m.Site]
		return
	}
	t.writer[m.Site], t.writer[""] = m.Who, m.Who
}

// now decides whether to strike at a moment.
func (t *target) now(m moment, believed time.Time) bool {
	rare, sweep := t.struck[m.What]*len(t.struck) <= t.total, strings.HasPrefix(m.What, "a sweep")
	over := t.began.Add(burst)
	switch {
	case m.at.Before(t.next) || time.Since(m.at) > 20*time.Millisecond: // it is no moment any more
		return false
	case time.Now().After(over) && !believed.After(over):
		return false
	case sweep && time.Since(t.swept) < sweepsAlone:
		return false
	case !rare && m.What != idle && time.Since(t.last) < 2*time.Second:
		return false
	}
	if t.last = time.Now(); t.last.After(over) {
		t.began = t.last
	}
	if sweep {
		t.swept = t.last
	}
	t.struck[m.What]++
	t.total++
	return true
}

// soonAfter draws how long after a moment the blow falls: mostly at once, else somewhere in what follows it.
func soonAfter(what string, rng *rand.Rand) time.Duration {
	d := time.Duration(rng.Int64N(int64(time.Second)))
	switch {
	case what == "a sweep begins":
		return 2 * d
	case what == "a sweep is judged": // what is left over is put right then
		return d / 10
	case d < 600*time.Millisecond:
		return 0
	}
	return (d - 600*time.Millisecond) / 10
}

// strike kills the worker whose moment it is, or both, or takes from it what it works with.
func (c *chaos) strike(ctx context.Context, rng *rand.Rand, m moment) {
	how, away := rng.IntN(20), time.Duration(rng.Int64N(int64(time.Second)))
	if how%2 == 0 {
		away = 0
	}
	switch {
	case how == 0:
		c.did("connections cut: all")
		for _, w := range c.Wires {
			w.Cut()
		}
	case how == 1 && c.hasPCU(m.Site):
		c.breakPCU(ctx, m.Site, pick(rng, pcudev.Mute, pcudev.Refuses, pcudev.StaysOff), c.Day)
	case how < 4 || m.Who == "":
		for n := range c.Workers {
			c.kill(n, away, m.What)
		}
	default:
		for n, w := range c.Workers {
			if w.Name() == m.Who {
				c.kill(n, away, m.What)
			}
		}
	}
}

func (c *chaos) hasPCU(site string) bool {
	return slices.ContainsFunc(chaosSites(), func(s testbed.Site) bool { return s.Login == site && !s.NoPCU })
}

// kill ends a worker at once; keepWorkers starts it again.
func (c *chaos) kill(n int, away time.Duration, at string) {
	if !c.Workers[n].Running() {
		return
	}
	c.mu.Lock()
	c.down[n] = time.Now().Add(away)
	c.mu.Unlock()
	c.Workers[n].Kill()
	c.did(killed, n+1, at)
	c.count("  at: " + at)
}

func (c *chaos) lastBelieved() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.believed
}

// calm reports that other faults wait, too, until a sweep is believed.
func (c *chaos) calm() bool { return time.Since(c.lastBelieved()) > burst }

// watchSweeps keeps in mind when a sweep was last believed, and counts how long Monitor had no lease to act.
func (c *chaos) watchSweeps(ctx context.Context, _ *rand.Rand) {
	const often = 200 * time.Millisecond
	for wait(ctx, often) {
		at, _, err := c.Store.LastBelieved(ctx)
		if err != nil {
			continue
		}
		c.mu.Lock()
		switch {
		case at.After(c.believed):
			c.believed = at
			c.sweeps++
		case time.Since(c.believed) > lease:
			c.held += often
		}
		c.mu.Unlock()
	}
}

// lease is how long Monitor may act after a believed sweep in the testbed.
const lease = time.Minute
