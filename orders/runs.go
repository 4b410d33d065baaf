package orders

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/planetlab/monitor/bootman"
	"github.com/planetlab/monitor/remote"
)

// Bounds of what one server carries out for people elsewhere.
const (
	mostRuns   = 4              // at once
	longestRun = 12 * time.Hour // more than 10,000 nodes need where one in ten hangs for a minute
	stopWithin = 20 * time.Second
)

// Runs carries out in this process, as a server, what people elsewhere have run on nodes: few runs at once, each within
// a time. A run goes on when whoever ordered it is gone, and ends with the server.
type Runs struct {
	enter func(ctx context.Context, host, ip string) bootman.Target
	lacks error // why this server can enter no node
	log   *slog.Logger

	life context.Context // of the server
	end  context.CancelCauseFunc

	mu      sync.Mutex
	taken   int
	ended   bool
	running sync.WaitGroup
}

// NewRuns makes it. How nodes are entered, or why this server can enter none, is the caller's to know.
func NewRuns(enter func(ctx context.Context, host, ip string) bootman.Target, lacks error, log *slog.Logger) *Runs {
	life, end := context.WithCancelCause(context.Background())
	return &Runs{enter: enter, lacks: lacks, log: log, life: life, end: end}
}

// Close calls off all that runs, and waits until that is on record. It may be called again.
func (r *Runs) Close() {
	r.mu.Lock()
	r.ended = true
	r.mu.Unlock()
	r.end(remote.CalledOff("the server was stopped"))
	over := make(chan struct{})
	go func() { r.running.Wait(); close(over) }()
	select {
	case <-over:
	case <-time.After(stopWithin): // the next sweep ends them
		r.log.Error("a run on nodes does not end, and is left", "within", stopWithin.String())
	}
}

// admit takes a place for one more run.
func (r *Runs) admit() (leave func(), err error) {
	if r.lacks != nil {
		return nil, refused("this server can enter no node: %w", r.lacks)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.ended:
		return nil, errStopping
	case r.taken >= mostRuns:
		return nil, refused("%d runs are under way on this server, and more it does not take: wait for one to end, or call one off "+
			"(`monitor run list`, `monitor run cancel`)", r.taken)
	}
	r.taken++
	r.running.Add(1)
	return sync.OnceFunc(func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.taken--
		r.running.Done()
	}), nil
}

// errStopping says that nothing more is begun.
var errStopping = refused("this server is being stopped: give the order again when it is back")

// Start starts a run, and answers once it is on record, with its name. A dry run is answered as any other.
func (r *Runs) Start(ctx context.Context, d Desk, o Order, j Job) (Receipt, string, error) {
	if r == nil {
		return Receipt{}, "", refused("this server carries out no runs: ask the worker's")
	}
	j.Enter, j.admit = r.enter, r.admit
	if r.life.Err() != nil {
		return Receipt{}, "", errStopping
	}
	if o.DryRun {
		return d.Run(ctx, o, j)
	}
	type answer struct {
		Receipt
		id  string
		err error
	}
	answers := make(chan answer, 2)
	j.begun = func(receipt Receipt) { answers <- answer{receipt, receipt.Target, nil} }
	go func() {
		life, cancel := context.WithTimeoutCause(r.life, longestRun,
			remote.CalledOff(fmt.Sprintf("no run goes on for more than %s", longestRun)))
		defer cancel()
		receipt, id, err := d.Run(life, o, j)
		if KindOf(err) == "failure" {
			r.log.Error("a run on nodes failed", "run", id, "error", err)
		}
		answers <- answer{receipt, id, err}
	}()
	select {
	case a := <-answers:
		return a.Receipt, a.id, a.err
	case <-ctx.Done():
		return Receipt{}, "", &Error{Silent, fmt.Errorf("the run may yet start: %w", ctx.Err())}
	}
}
