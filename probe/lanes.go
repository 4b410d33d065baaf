package probe

import (
	"context"
	"sync"
	"time"
)

// lanes bound how many looks are under way, so that a look that waits for a silent node never stands in the way of one at a node that
// answers. A look begins in the open lane and in its site's. What has not answered after some patience goes on in the silent lane, which is long
// and cheap: it holds sockets, and no processor. Nodes that were silent the last time begin there. Who logs in has a place among the logins, too.
type lanes struct {
	open, silent, logins chan struct{}
	patience             time.Duration

	perSite int
	sites   *sync.Map // login_base -> chan struct{}
}

// patience is the part of Timeout after which a look makes room: 250 ms where Timeout is 5 s, long enough for an answer from the other side of the
// earth.
const patience = 20

// How many looks may be open, and how many may wait for silent nodes, for each that may log in. Each holds a socket a port.
const (
	openLane   = 2
	silentLane = 5
)

func newLanes(o Options) lanes {
	return lanes{
		open: make(chan struct{}, openLane*o.Parallel), silent: make(chan struct{}, silentLane*o.Parallel),
		logins: make(chan struct{}, o.Parallel), patience: o.Timeout / patience, perSite: o.PerSite, sites: &sync.Map{},
	}
}

// turn is a look's place in its lanes.
type turn struct {
	l        *lanes
	own      chan struct{} // its site's lane
	mu       sync.Mutex
	site, in chan struct{} // what it holds
	timer    *time.Timer
	settled  bool // it answered, or has ended
	gone     bool // it has made room, or began among the silent
}

// enter waits for the turn of a look.
func (l *lanes) enter(ctx context.Context, t Target) (*turn, error) {
	out := &turn{l: l, own: l.site(t), gone: t.Silent}
	lane := l.open
	if t.Silent {
		lane = l.silent
	}
	return out, out.take(ctx, lane)
}

// take takes a place at the site and in a lane, and gives the node some patience.
func (t *turn) take(ctx context.Context, lane chan struct{}) error {
	if err := take(ctx, t.own); err != nil {
		return err
	}
	if err := take(ctx, lane); err != nil {
		give(t.own)
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.site, t.in, t.settled = t.own, lane, false
	t.timer = time.AfterFunc(t.l.patience, t.makeRoom)
	return nil
}

// goOn waits for the turn of a node that has answered and is asked more. One that has made room takes its places anew.
func (t *turn) goOn(ctx context.Context) error {
	if !t.gone {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.settled = false
		t.timer.Reset(t.l.patience)
		return nil
	}
	t.leave()
	t.gone = false
	return t.take(ctx, t.l.open)
}

// makeRoom gives the places of a look that has no answer yet to others. Where the silent lane is full it tries again.
func (t *turn) makeRoom() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.settled {
		return
	}
	give(t.site)
	t.site, t.gone = nil, true
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
	if t.timer != nil {
		t.timer.Stop()
	}
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
