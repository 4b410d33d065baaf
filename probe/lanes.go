package probe

import (
	"context"
	"sync"
	"time"
)

// lanes bound how many looks are under way, so that a look that waits for a silent node never stands in the way of one at a node that
// answers. A look begins in a quick lane and in its site's. What has not answered after some patience goes on in the silent lane, which is long
// and cheap: it holds sockets, and no processor. Nodes that were silent the last time begin there.
type lanes struct {
	ports, greetings, silent, logins chan struct{}
	patience                         time.Duration

	perSite int
	sites   *sync.Map // login_base -> chan struct{}
}

// patience is the part of Timeout after which a look makes room: 250 ms where Timeout is 5 s, long enough for an answer from the other side of the
// earth.
const patience = 20

// silentLane is how many looks may wait for silent nodes, for each that may log in. Each holds a socket a port.
const silentLane = 5

func newLanes(o Options) lanes {
	return lanes{
		ports: make(chan struct{}, o.Parallel), greetings: make(chan struct{}, 2*o.Parallel),
		silent: make(chan struct{}, silentLane*o.Parallel), logins: make(chan struct{}, o.Parallel),
		patience: o.Timeout / patience, perSite: o.PerSite, sites: &sync.Map{},
	}
}

// turn is a look's place in its lanes.
type turn struct {
	l        *lanes
	mu       sync.Mutex
	site, in chan struct{}
	timer    *time.Timer
	settled  bool // it answered, or has ended
}

// enter waits for the turn of a look.
func (l *lanes) enter(ctx context.Context, t Target, lane chan struct{}) (*turn, error) {
	if t.Silent {
		lane = l.silent
	}
	site := l.site(t)
	if err := take(ctx, site); err != nil {
		return nil, err
	}
	if err := take(ctx, lane); err != nil {
		give(site)
		return nil, err
	}
	out := &turn{l: l, site: site, in: lane}
	out.mu.Lock()
	defer out.mu.Unlock()
	out.timer = time.AfterFunc(l.patience, out.makeRoom)
	return out, nil
}

// makeRoom gives the places of a look that has no answer yet to others. Where the silent lane is full it tries again.
func (t *turn) makeRoom() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.settled {
		return
	}
	give(t.site)
	t.site = nil
	if t.in == t.l.silent {
		return
	}
	select {
	case t.l.silent <- struct{}{}:
		give(t.in)
		t.in = t.l.silent
	default:
		t.timer.Reset(t.l.patience)
	}
}

// answered keeps the places that the look has.
func (t *turn) answered() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.settled = true
	t.timer.Stop()
}

// leave ends the look.
func (t *turn) leave() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.settled = true
	t.timer.Stop()
	give(t.site)
	give(t.in)
	t.site, t.in = nil, nil
}

func (l *lanes) site(t Target) chan struct{} {
	if t.Site == "" {
		return nil
	}
	slots, ok := l.sites.Load(t.Site)
	if !ok {
		slots, _ = l.sites.LoadOrStore(t.Site, make(chan struct{}, l.perSite))
	}
	return slots.(chan struct{})
}

// take waits for a place; nil has room for everybody.
func take(ctx context.Context, slots chan struct{}) error {
	if slots == nil {
		return ctx.Err()
	}
	select {
	case slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func give(slots chan struct{}) {
	if slots != nil {
		<-slots
	}
}
