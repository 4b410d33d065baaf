// Package remote runs a command, or a script, on many nodes over ssh: many at once, few at one site, each within its
// time, with no more of its output than is asked for. It enters nodes as bootman does, with the same keys, and what a
// node says is cleaned before anybody keeps or shows it.
package remote

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/planetlab/monitor/bootman"
	"github.com/planetlab/monitor/clean"
)

// MaxScript bounds a command or a script, in bytes: it travels inside of one request to run something.
const MaxScript = 16 << 10

// Options say how many nodes are worked on at a time, and how long.
type Options struct {
	Parallel int           // at once
	PerSite  int           // of one site at once
	Pace     time.Duration // between two that begin at one site
	Limit    time.Duration // for one node: to enter it, and again to run
	Keep     int           // bytes of each output that are kept
	// Begin is asked of each node directly before it is entered, by many at once: its error is why the node is left alone.
	// Nil enters all.
	Begin func(context.Context, Node) error
	// Enter says how a node is entered, and which host key of it is believed.
	Enter func(ctx context.Context, host, ip string) bootman.Target
}

// Node is where something is to run.
type Node struct{ Host, IP, Site string }

// State is what became of it on one node.
type State string

// The states.
const (
	Done    State = "done"    // it ran to its end with status 0
	Failed  State = "failed"  // it ran to its end with another status
	Away    State = "away"    // the node lets nobody in: it did not run
	Late    State = "late"    // it was given up on after its time: it may go on running there
	Lost    State = "lost"    // the connection broke: it may have run
	Skipped State = "skipped" // it was not tried, and why stands in Reason
)

// CalledOff says, as the cause that ends a context, by whom or why a run was called off.
type CalledOff string

func (c CalledOff) Error() string { return "called off: " + string(c) }

// calledOff are the words for a run whose context has ended.
func calledOff(ctx context.Context) string {
	var why CalledOff
	if errors.As(context.Cause(ctx), &why) {
		return "called off (" + clean.Line(string(why)) + ")"
	}
	return "called off"
}

// Result is what became of it on one node.
type Result struct {
	Node
	State  State
	Status int // exit status of what ran to its end
	Output string
	Errors string
	Cut    bool   // there was more output
	Reason string // why it did not run to its end
	Began  time.Time
	Ended  time.Time
}

// Check reports why a script cannot be run, or nil.
func Check(script string) error {
	switch {
	case strings.TrimSpace(script) == "":
		return errors.New("there is nothing to run")
	case len(script) > MaxScript:
		return fmt.Errorf("it has %d bytes, and %d are the most", len(script), MaxScript)
	case strings.ContainsRune(script, 0):
		return errors.New("it has a NUL in it")
	}
	return nil
}

// Run runs a script on nodes and hands each result to a function, one after the other, as they come. Where the context
// ends, nodes that have not begun are skipped.
func Run(ctx context.Context, o Options, nodes []Node, script string, each func(Result)) {
	results := make(chan Result)
	go func() {
		defer close(results)
		var all sync.WaitGroup
		places := make(chan struct{}, max(1, o.Parallel))
		for _, queue := range bySite(nodes) {
			all.Go(func() { o.site(ctx, queue, script, places, results) })
		}
		all.Wait()
	}()
	for r := range results {
		each(r)
	}
}

// bySite are the nodes of each site, in their order.
func bySite(nodes []Node) [][]Node {
	index := map[string]int{}
	var queues [][]Node
	for _, n := range nodes {
		i, known := index[n.Site]
		if !known {
			i = len(queues)
			index[n.Site] = i
			queues = append(queues, nil)
		}
		queues[i] = append(queues[i], n)
	}
	return queues
}

// site works on the nodes of one site, with a pause between two that begin.
func (o Options) site(ctx context.Context, nodes []Node, script string, places chan struct{}, results chan<- Result) {
	var here sync.WaitGroup
	own := make(chan struct{}, max(1, o.PerSite))
	for i, n := range nodes {
		if i > 0 && o.Pace > 0 {
			select {
			case <-time.After(o.Pace):
			case <-ctx.Done():
			}
		}
		if !take(ctx, own) {
			results <- skipped(ctx, n)
			continue
		}
		if !take(ctx, places) {
			<-own
			results <- skipped(ctx, n)
			continue
		}
		here.Go(func() {
			defer func() { <-places; <-own }()
			results <- o.one(ctx, n, script)
		})
	}
	here.Wait()
}

func take(ctx context.Context, places chan struct{}) bool {
	if ctx.Err() != nil {
		return false
	}
	select {
	case places <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

func skipped(ctx context.Context, n Node) Result {
	return Result{Node: n, State: Skipped, Reason: calledOff(ctx) + " before it began"}
}

// one runs the script on one node.
func (o Options) one(ctx context.Context, n Node, script string) Result {
	r := Result{Node: n, Began: time.Now()}
	if o.Begin != nil {
		if err := o.Begin(ctx, n); err != nil && ctx.Err() != nil {
			return skipped(ctx, n)
		} else if err != nil {
			return Result{Node: n, State: Skipped, Reason: clean.Line(err.Error())}
		}
	}
	target := o.Enter(ctx, n.Host, n.IP)
	target.Timeout = o.Limit
	conn, err := bootman.Dial(ctx, target)
	if err != nil && ctx.Err() != nil {
		return skipped(ctx, n)
	}
	if err != nil {
		r.State, r.Reason, r.Ended = Away, clean.Line(err.Error()), time.Now()
		return r
	}
	defer conn.Close()
	out, err := conn.Run(ctx, shell(script))
	r.Output, r.Errors = o.kept(out.Text), o.kept(out.Err)
	r.Cut = out.Cut || len(out.Text) > o.Keep || len(out.Err) > o.Keep
	r.Status = out.Status
	switch {
	case errors.Is(err, bootman.ErrTimeout) && ctx.Err() != nil:
		r.State, r.Reason = Late, calledOff(ctx)+": it may go on running there"
	case errors.Is(err, bootman.ErrTimeout):
		r.State, r.Reason = Late, fmt.Sprintf("not at its end within %s: it may go on running there", o.Limit)
	case err != nil:
		r.State, r.Reason = Lost, clean.Line(err.Error())
	case out.Cut:
		r.State, r.Reason = Lost, fmt.Sprintf("its output has more than %d bytes: how it ended is not known", bootman.MaxOutput)
	case out.Status != 0:
		r.State = Failed
	default:
		r.State = Done
	}
	r.Ended = time.Now()
	return r
}

// kept is the part of an output that is kept: bounded, clean, and without the secrets that logs are known to hold.
func (o Options) kept(text []byte) string {
	return clean.Bounded(string(bootman.Redact(text)), o.Keep)
}

// shell is a script as any login shell hands it to sh unharmed: also one like csh, to which a newline or an exclamation
// mark in quotes means something. What runs reads nothing from its standard input but its own text.
func shell(script string) string {
	var b strings.Builder
	for i := range len(script) {
		switch c := script[i]; {
		case c == '\\', c == '\'', c == '!', c < ' ' || c > '~':
			fmt.Fprintf(&b, `\0%03o`, c)
		default:
			b.WriteByte(c)
		}
	}
	return "printf %b '" + b.String() + "' | /bin/sh"
}
