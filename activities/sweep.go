package activities

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.temporal.io/sdk/activity"

	"github.com/planetlab/monitor/clean"
	"github.com/planetlab/monitor/inventory"
	"github.com/planetlab/monitor/plc"
	"github.com/planetlab/monitor/probe"
	"github.com/planetlab/monitor/store"
)

// Sweep looks at the whole fleet, judges what it saw, and opens and clears issues.
type Sweep struct {
	*ledger
	gate       *gate
	observer   *observer
	outlets    *outlets
	claims     *claims
	workflows  *workflows
	post       *post
	Inventory  inventory.Keeper
	Cache      time.Duration // how old the snapshot of the inventory may be
	BatchSize  int           // targets a probe activity
	SweepEvery time.Duration
	Sources    Sources
	Rules      Rules
}

// SweepInput starts a sweep; the schedule gives none.
type SweepInput struct {
	// Believe is an operator's word that the fleet really is as it looks, and why. The fleet guard then lets the
	// sweep's news pass.
	Believe string `json:"believe,omitempty"`
	// Last is the number of the last sweep, as Temporal remembers it; nobody else sets it.
	Last int64 `json:"last,omitempty"`
}

// Batch is a range of targets for one probe activity: ids above After and up to Upto.
type Batch struct {
	Sweep int64 `json:"sweep"`
	After int64 `json:"after"`
	Upto  int64 `json:"upto"`
	// Until is when the batch has to be done: what was not looked at by then was not seen.
	Until time.Time `json:"until,omitzero"`
}

// Plan is what a sweep will look at.
type Plan struct {
	Sweep   int64     `json:"sweep"`
	Believe string    `json:"believe,omitempty"`
	Started time.Time `json:"started"`
	Nodes   []Batch   `json:"nodes"`
	PCUs    []Batch   `json:"pcus"`
	// PLC is PLCAnswers, or what is wrong with it, or with the inventory that takes its place: the sweep then looks, but it is not believed.
	PLC string `json:"plc"`
	// Busy names the sweep that is under way already; this one looks at nothing.
	Busy string `json:"busy,omitempty"`
}

// PLCAnswers is what a plan says of a PLC with which all is well.
const PLCAnswers = "ok"

// SweepResult counts what a sweep saw and did.
type SweepResult struct {
	Sweep   int64             `json:"sweep,omitempty"` // its number
	Nodes   int               `json:"nodes"`
	PCUs    int               `json:"pcus"`
	Up      int               `json:"up"`
	Unseen  int               `json:"unseen,omitempty"` // nodes and PCUs that could not be looked at
	Opened  int               `json:"opened"`
	Cleared int               `json:"cleared"`
	Held    string            `json:"held,omitempty"`   // why nothing that the sweep saw is believed
	Doubts  map[string]string `json:"doubts,omitempty"` // issue types of which nothing is believed, and why
}

// SweepEnd is how a sweep ended that did not get to its judgement.
type SweepEnd struct {
	Sweep  int64  `json:"sweep"`
	Reason string `json:"reason"`
}

// Times of a sweep. PLC has less than the activity that reads it, so that a PLC that hangs is a finding and no failed
// sweep.
const (
	plcTime   = 4 * time.Minute
	nodesTime = 5 * time.Minute // for one batch of nodes
	pcusTime  = 6 * time.Minute // for one batch of PCUs
	pcuTime   = 2 * time.Minute // for one PCU, its lock included
)

// sweepBeat is heartbeat for a part of a sweep: the context ends when the sweep was ended meanwhile, as one that was
// thought lost.
func (a *Sweep) sweepBeat(ctx context.Context, sweep int64) (_ context.Context, stop func(), err error) {
	if err := a.Store.BeatSweep(ctx, sweep); err != nil {
		return nil, nil, err
	}
	stopBeat := heartbeat(ctx)
	ctx, cancel := store.Beat(ctx, 10*time.Second, func(ctx context.Context) error { return a.Store.BeatSweep(ctx, sweep) },
		store.ErrSweepOver)
	return ctx, func() { cancel(); stopBeat() }, nil
}

// SyncPLC begins a sweep. It refreshes the PLC snapshot when it is older than the cache allows, and cuts the fleet into
// batches. When PLC does not answer the sweep goes on with the last snapshot, and says so, for the guard.
func (a *Sweep) SyncPLC(ctx context.Context, in SweepInput) (Plan, error) {
	defer heartbeat(ctx)()
	sweep, err := a.startSweep(ctx)
	var busy store.UnderWay
	if errors.As(err, &busy) {
		return Plan{Busy: busy.Error()}, nil
	}
	if err != nil {
		return Plan{}, err
	}
	if err := a.askWhatIsForgotten(ctx, sweep, in.Last); err != nil {
		return Plan{}, err
	}
	keepTold := a.readSources(ctx)
	plan := Plan{Sweep: sweep.ID, Believe: clean.Line(in.Believe), Started: sweep.Started,
		PLC: a.readPLC(ctx, in.Believe != "")}
	keepTold()
	if plan.Nodes, err = a.batches(ctx, "node", sweep.ID, a.BatchSize); err != nil {
		return plan, err
	}
	plan.PCUs, err = a.batches(ctx, "pcu", sweep.ID, pcusAtOnce)
	for i := range plan.PCUs {
		plan.PCUs[i].Until = sweep.Started.Add(max(pcuTime, a.SweepEvery/2))
	}
	// another batch comes first each time, so that none is always the one for which no time is left
	if n := len(plan.PCUs); n > 0 {
		first := int(sweep.ID) % n
		plan.PCUs = append(plan.PCUs[first:n:n], plan.PCUs[:first]...)
	}
	return plan, err
}

// startSweep takes the place of a sweep whose workflow is gone at once.
func (a *Sweep) startSweep(ctx context.Context) (store.Sweep, error) {
	run := fmt.Sprintf("test/%d", time.Now().UnixNano())
	if activity.IsActivity(ctx) {
		w := activity.GetInfo(ctx).WorkflowExecution
		run = w.ID + "/" + w.RunID
	}
	sweep, err := a.Store.StartSweep(ctx, run)
	var busy store.UnderWay
	if !errors.As(err, &busy) {
		return sweep, err
	}
	id, other, _ := cutLast(busy.Run, "/")
	if alive, askErr := a.workflows.running(ctx, id, other); askErr != nil || alive {
		return sweep, err
	}
	if err := a.Store.AbandonSweep(ctx, busy.Run, "its workflow is gone"); err != nil {
		return sweep, err
	}
	return a.Store.StartSweep(ctx, run)
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

// readPLC refreshes the snapshot, and answers PLCAnswers, or what is wrong.
func (a *Sweep) readPLC(ctx context.Context, believe bool) string {
	taken, err := a.Store.SnapshotTaken(ctx)
	if err == nil && !believe && a.now().Sub(taken) < a.Cache {
		return PLCAnswers
	}
	within, cancel := context.WithTimeout(ctx, plcTime)
	defer cancel()
	snap, err := a.Inventory.Snapshot(within)
	if err == nil {
		var saved store.Saved
		saved, err = a.Store.SaveSnapshot(ctx, snap, believe)
		snap.Unreadable = append(snap.Unreadable, saved.Odd...)
	}
	for _, row := range snap.Unreadable {
		a.Log.Warn("something in the inventory cannot be read", "in", a.from(), "what", clean.Line(row))
	}
	if err == nil {
		return PLCAnswers
	}
	a.Log.Warn("the inventory was not read; the last snapshot serves", "in", a.from(), "error", err)
	if a.NoPLC != nil {
		return inventoryCause(err)
	}
	return plcCause(err)
}

// inventoryCause is what is wrong with an inventory other than PLC.
func inventoryCause(err error) string {
	why := clean.Line(err.Error())
	var shrunk *store.SnapshotDoubt
	var wrong inventory.Mistakes
	switch {
	case errors.As(err, &shrunk):
		return why
	case errors.As(err, &wrong):
		return "the inventory has a mistake, and what was last read of it stands: " + why
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Sprintf("the inventory was not read within %s", plcTime)
	}
	return "the inventory was not taken, and what was last read of it stands: " + why
}

// plcCause is what is wrong with PLC, in words for the admins, who mend another thing for each.
func plcCause(err error) string {
	why := clean.Line(err.Error())
	var shrunk *store.SnapshotDoubt
	switch {
	case errors.As(err, &shrunk):
		return why
	case errors.Is(err, plc.ErrNotAdmin):
		return "PLC answers us as somebody who is no admin, and so not all: give plc.username the role admin (" + why +
			")"
	case errors.Is(err, plc.ErrAuth):
		return "PLC refused our login: check plc.username and plc.password (" + why + ")"
	case errors.Is(err, plc.ErrPermission):
		return "PLC denies us what a sweep must read: check the role of plc.username (" + why + ")"
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Sprintf("PLC did not answer within %s", plcTime)
	case errors.Is(err, plc.ErrUnavailable):
		return "PLC does not answer (" + why + ")"
	case errors.Is(err, plc.ErrNotXMLRPC):
		return "plc.url does not lead to PLC's API (" + why + ")"
	}
	return "what PLC sent was not taken: " + why
}

// batches cuts the nodes or PCUs into ranges of so many.
func (a *Sweep) batches(ctx context.Context, kind string, sweep int64, size int) ([]Batch, error) {
	ids, err := a.Store.IDs(ctx, kind)
	if err != nil {
		return nil, err
	}
	var out []Batch
	after := int64(0)
	for len(ids) > 0 {
		n := min(size, len(ids))
		out = append(out, Batch{Sweep: sweep, After: after, Upto: ids[n-1]})
		after, ids = ids[n-1], ids[n:]
	}
	return out, nil
}

// ProbeNodes looks at a batch of nodes at once and writes what it saw. What could not be looked at is not seen, and
// blames nobody.
func (a *Sweep) ProbeNodes(ctx context.Context, b Batch) (int, error) {
	ctx, stop, err := a.sweepBeat(ctx, b.Sweep)
	if err != nil {
		return 0, err
	}
	defer stop()
	at := a.now()
	nodes, unreadable, err := a.Store.ReadTargets(ctx, b.After, b.Upto)
	if err != nil {
		return 0, err
	}
	a.warnUnreadable(unreadable)
	targets, byHost := make([]probe.Target, len(nodes)), map[string]store.Node{}
	for i, n := range nodes {
		targets[i], byHost[n.Hostname] = probeTarget(n), n
	}
	within, cancel := context.WithTimeout(ctx, nodesTime)
	defer cancel()
	var looks []store.NodeLook
	var missed []int
	a.observer.Prober.Nodes(within, targets, func(r probe.NodeResult) {
		n := byHost[r.Host]
		look, err := a.observer.storedLook(n, r)
		if r.Fault != "" || err != nil {
			a.Log.Warn("a node could not be looked at", "node", r.Host, "why", r.Fault, "error", err)
			missed = append(missed, n.NodeID)
			return
		}
		looks = append(looks, look)
	})
	if ctx.Err() != nil {
		return 0, ctx.Err()
	}
	refused, err := a.refusedRows(a.Store.SaveNodeLooks(ctx, looks))
	if err != nil {
		return 0, err
	}
	for _, host := range refused {
		missed = append(missed, byHost[host].NodeID)
	}
	return len(nodes) - len(missed),
		a.Store.SaveSeen(ctx, store.Seen{Kind: "node", After: b.After, Upto: b.Upto, At: at, Missed: missed})
}

func (a *Sweep) warnUnreadable(rows store.Unreadable) {
	for _, row := range rows {
		a.Log.Warn("a row cannot be read, and is passed over", "row", clean.Line(row))
	}
}

// refusedRows tells of the rows that Postgres refused, and hands any other error back.
func (a *Sweep) refusedRows(err error) (targets []string, _ error) {
	var refused store.RefusedRows
	if !errors.As(err, &refused) {
		return nil, err
	}
	for _, r := range refused {
		a.Log.Warn("a row was refused, and is passed over", "what", r.What, "target", r.Target, "why",
			clean.Line(r.Why))
		targets = append(targets, r.Target)
	}
	return targets, nil
}

// pcusAtOnce is how many PCUs are talked to at once, which is one batch.
const pcusAtOnce = 32

// ProbePCUs tries the dry run of a batch of PCUs and writes how it went. An entry that lacks what a login needs fails
// without a try; where we could not try, as where somebody else holds the PCU, nothing is written, so that no PCU is
// blamed.
func (a *Sweep) ProbePCUs(ctx context.Context, b Batch) (int, error) {
	ctx, stop, err := a.sweepBeat(ctx, b.Sweep)
	if err != nil {
		return 0, err
	}
	defer stop()
	at := a.now()
	pcus, unreadable, err := a.Store.ReadPCUs(ctx, b.After, b.Upto)
	if err != nil {
		return 0, err
	}
	a.warnUnreadable(unreadable)
	within, cancel := context.WithTimeout(ctx, pcuTime)
	if !b.Until.IsZero() {
		within, cancel = context.WithDeadline(ctx, b.Until)
	}
	defer cancel()
	looks, missed := a.tryPCUs(within, pcus)
	if ctx.Err() != nil {
		return 0, ctx.Err()
	}
	refused, err := a.refusedRows(a.Store.SavePCULooks(ctx, looks))
	if err != nil {
		return 0, err
	}
	for _, target := range refused {
		id, _ := strconv.Atoi(target)
		missed = append(missed, id)
	}
	return len(pcus) - len(missed),
		a.Store.SaveSeen(ctx, store.Seen{Kind: "pcu", After: b.After, Upto: b.Upto, At: at, Missed: missed})
}

func (a *Sweep) tryPCUs(ctx context.Context, pcus []store.PCU) (looks []store.PCULook, missed []int) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, p := range pcus {
		wg.Go(func() {
			within, cancel := context.WithTimeout(ctx, pcuTime)
			defer cancel()
			ok, reason, err := a.outlets.test(within, p)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				a.Log.Warn("a PCU could not be tried", "pcu", p.Name, "error", err)
				missed = append(missed, p.PCUID)
				return
			}
			looks = append(looks, store.PCULook{PCUID: p.PCUID, At: a.now(), OK: ok, Reason: clean.Text(reason)})
		})
	}
	wg.Wait()
	return looks, missed
}

// EndSweep writes down that a sweep did not get to its judgement, and so is not believed.
func (a *Sweep) EndSweep(ctx context.Context, in SweepEnd) error {
	return a.Store.EndSweep(ctx, store.Sweep{ID: in.Sweep, Reason: clean.Line(in.Reason)})
}
