package orders

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/planetlab/monitor/access"
	"github.com/planetlab/monitor/clean"
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/remote"
	"github.com/planetlab/monitor/store"
)

// Job is a script that is to run on nodes.
type Job struct {
	remote.Options
	Nodes  []remote.Node
	Script string
	Each   func(store.RunNode) // is handed each result once it is kept; nil: nobody is

	admit func() (leave func(), err error) // asks for a place; nil: there is no end of places
	begun func(Receipt)                    // is told once the run is on record
}

// Run has a script run on nodes over ssh, and keeps what each of them said. It runs in this process, not in a workflow:
// it ends with the context, or when it is called off, and what has not begun by then is skipped. What is exempt is left
// alone, and nothing runs while Monitor is stopped or only observes.
func (d Desk) Run(ctx context.Context, o Order, j Job) (Receipt, string, error) {
	id, known, err := d.runID(ctx, o)
	if err != nil {
		return Receipt{}, "", err
	}
	r, err := d.run(ctx, o, j, id, known)
	if KindOf(err) == Reused && !known { // the same order may have come twice at once
		if first, known, err := d.runID(ctx, o); err == nil && known {
			r, err = d.run(ctx, o, j, first, known)
			return r, first, err
		}
	}
	return r, id, err
}

// runID is the name of a run: a new one, or that of the run which the key of the order has started.
func (d Desk) runID(ctx context.Context, o Order) (id string, known bool, err error) {
	if o.Key != "" && clean.Is(o.keyed(), clean.MaxLine) {
		line, err := d.Store.Action(ctx, o.keyed())
		if id, is := strings.CutPrefix(line.Issue, store.RunIssue); err == nil && is {
			return id, true, nil
		}
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return "", false, err
		}
	}
	for at := d.now().UTC(); ; at = at.Add(time.Millisecond) {
		id := at.Format("20060102-150405.000")
		if _, err := d.Store.Run(ctx, id); errors.Is(err, store.ErrNotFound) {
			return id, false, nil
		} else if err != nil {
			return "", false, err
		}
	}
}

func (d Desk) run(ctx context.Context, o Order, j Job, id string, known bool) (Receipt, error) {
	a := act{verb: access.FleetRun, target: id, issue: store.RunIssue + id, why: "the ledger keeps it",
		does: clean.Line(fmt.Sprintf("run on %d nodes: %s", len(j.Nodes), j.Script))}
	a.words = map[string]any{"nodes": len(j.Nodes), "command": clean.Bounded(j.Script, clean.MaxText), "sum": j.sum()}
	leave := func() {}
	defer func() { leave() }()
	a.check = func(ctx context.Context) error {
		err := d.mayRun(ctx, j)
		if err != nil || j.admit == nil {
			return err
		}
		if known { // one that was started before takes no place
			if _, err := d.Store.Run(ctx, id); !errors.Is(err, store.ErrNotFound) {
				return err
			}
		}
		place, err := j.admit()
		if err == nil {
			leave = place
		}
		return err
	}
	a.do = func(ctx context.Context, key string) (string, error) {
		planned, rows, err := d.planRun(ctx, j.Nodes)
		if err != nil {
			return "", err
		}
		order := store.RunOrder{By: o.by(), From: o.Who.From, Reason: o.reason(), Key: key}
		err = d.Store.StartRun(ctx, store.Run{ID: id, Command: j.Script, Ordered: order}, rows)
		if errors.Is(err, store.ErrRunThere) {
			if there, err := d.Store.Run(ctx, id); err != nil || there.Ordered.Key == key {
				return "", cmp.Or(err, errGoesOn)
			}
			return "", refused("another run began in the same moment: give the order again")
		}
		if err != nil {
			return "", err
		}
		if j.begun != nil {
			j.begun(Receipt{Key: key, Verb: a.verb, Target: id, Does: a.does})
		}
		return d.carryOut(ctx, j, id, planned, rows)
	}
	return d.give(ctx, o, a)
}

// sum tells two jobs apart that begin alike and have as many nodes.
func (j Job) sum() string {
	h := sha256.New()
	for _, n := range j.Nodes {
		fmt.Fprintf(h, "%q\n", n.Host)
	}
	fmt.Fprint(h, j.Script)
	return hex.EncodeToString(h.Sum(nil))[:16]
}

// carryOut runs it where it is planned, and writes down what comes of it.
func (d Desk) carryOut(ctx context.Context, j Job, id string, planned []remote.Node, rows []store.RunNode) (string, error) {
	each := func(n store.RunNode) {
		if j.Each != nil {
			j.Each(n)
		}
	}
	for _, n := range rows {
		if n.State == string(remote.Skipped) {
			each(n)
		}
	}
	keep := context.WithoutCancel(ctx) // also what was called off is written down
	ctx, stop := d.runBeats(ctx, id)
	defer stop()
	done := 0
	var lost error
	j.Begin = func(ctx context.Context, n remote.Node) error {
		if err := d.mayBegin(ctx, n); err != nil {
			return err
		}
		return d.Store.BeginRunNode(keep, id, n.Host)
	}
	remote.Run(ctx, j.Options, planned, j.Script, func(r remote.Result) {
		n := rowOf(r)
		if r.State == remote.Done {
			done++
		}
		if err := d.Store.SaveRunNode(keep, id, n); err != nil {
			lost = err
		}
		each(n)
	})
	if err := d.Store.EndRun(keep, id); err != nil {
		lost = err
	}
	note := fmt.Sprintf("done on %d of %d nodes", done, len(j.Nodes))
	var off remote.CalledOff
	if errors.As(context.Cause(ctx), &off) {
		note = off.Error() + ": " + note
	}
	return note, lost
}

// errGoesOn says that an order is being carried out under its key already.
var errGoesOn = errors.New("it is being carried out already")

// runBeats gives signs of life of a run, so that one that is cut off is told from one that goes on. The context ends when
// the run was called off, or ended by others, who took it for dead.
func (d Desk) runBeats(ctx context.Context, id string) (context.Context, func()) {
	return store.Beat(ctx, store.RunSilence/30, func(ctx context.Context) error {
		by, err := d.Store.BeatRun(ctx, id)
		switch {
		case errors.Is(err, store.ErrRunOver):
			return errors.Join(err, remote.CalledOff("it gave no sign of life for too long"))
		case by != "":
			return errors.Join(store.ErrRunOver, remote.CalledOff(by))
		}
		return err
	}, store.ErrRunOver)
}

// CancelRun calls a run off, wherever it is carried out: what has not begun is skipped. Its process sees that within
// seconds.
func (d Desk) CancelRun(ctx context.Context, o Order, id string) (Receipt, error) {
	a := act{verb: access.FleetRun, target: id, issue: store.RunIssue + id, why: "the ledger keeps it", does: "call off run " + id,
		words: map[string]any{"run": "cancel"}, effect: store.CallOffRun(id, clean.Line("by "+o.by()+": "+o.reason()))}
	over := func(ctx context.Context) error {
		r, err := d.Store.Run(ctx, id)
		switch {
		case errors.Is(err, store.ErrNotFound):
			return notFound("there is no run %s: see `monitor run list`", id)
		case err == nil && !r.Ended.IsZero() && r.Ended.Unix() > 0:
			return refused("run %s has ended", id)
		}
		return err
	}
	if o.DryRun {
		a.check = over
	}
	r, err := d.give(ctx, o, a)
	if errors.Is(err, store.ErrNotFound) {
		if why := over(ctx); why != nil {
			err = why
		}
	}
	return r, err
}

// mayRun says whether anything may run now.
func (d Desk) mayRun(ctx context.Context, j Job) error {
	if err := remote.Check(j.Script); err != nil {
		return &Error{Invalid, err}
	}
	if len(j.Nodes) == 0 {
		return invalid("no node is named")
	}
	return d.mayAct(ctx, "")
}

// mayAct refuses what would act at a site, or anywhere, while Monitor is stopped or only observes.
func (d Desk) mayAct(ctx context.Context, site string) error {
	controls, err := d.Store.Controls(ctx)
	if err != nil {
		return err
	}
	if why := controls.Stopped(); why != "" {
		return refused("Monitor is stopped: %s", why)
	}
	if mode, why := controls.Mode(controls.Configured(), site, ""); mode != policy.ModeAct {
		return refused("observe mode: %s", why)
	}
	return nil
}

// mayBegin says whether a node may be entered now: what was ordered, and who was exempted, since the run began counts.
func (d Desk) mayBegin(ctx context.Context, n remote.Node) error {
	if err := d.mayAct(ctx, n.Site); err != nil {
		return err
	}
	why, err := d.exempt(ctx, n)
	if err == nil && why != "" {
		err = refused("%s", why)
	}
	return err
}

// PlanRun says of each node whether it would be run on, or why it would be left alone.
func (d Desk) PlanRun(ctx context.Context, nodes []remote.Node) ([]store.RunNode, error) {
	_, rows, err := d.planRun(ctx, nodes)
	return rows, err
}

// planRun parts the nodes that are exempt from the others, each with the reason.
func (d Desk) planRun(ctx context.Context, nodes []remote.Node) (planned []remote.Node, rows []store.RunNode, err error) {
	controls, err := d.Store.Controls(ctx)
	if err != nil {
		return nil, nil, err
	}
	for _, n := range nodes {
		why, err := d.exempt(ctx, n)
		if err != nil {
			return nil, nil, err
		}
		if mode, narrowed := controls.Mode(controls.Configured(), n.Site, ""); why == "" && mode != policy.ModeAct {
			why = "observe mode: " + narrowed
		}
		if why != "" {
			rows = append(rows, store.RunNode{Host: n.Host, Site: n.Site, State: string(remote.Skipped), Reason: why})
			continue
		}
		planned = append(planned, n)
		rows = append(rows, store.RunNode{Host: n.Host, Site: n.Site, State: "planned"})
	}
	return planned, rows, nil
}

func (d Desk) exempt(ctx context.Context, n remote.Node) (string, error) {
	node, err := d.Store.Node(ctx, n.Host)
	if err != nil {
		return "", err
	}
	if node.ExemptUntil.After(d.now()) {
		return "exempt in the inventory until " + node.ExemptUntil.UTC().Format(time.DateOnly), nil
	}
	e, listed, err := d.Store.Blacklisted(ctx, n.Host, n.Site, "", d.now())
	if err != nil || !listed {
		return "", err
	}
	return clean.Line("exempt: " + e.Reason), nil
}

func rowOf(r remote.Result) store.RunNode {
	n := store.RunNode{Host: r.Host, Site: r.Site, State: string(r.State), Output: r.Output, Errors: r.Errors, Cut: r.Cut,
		Reason: r.Reason, Began: r.Began, Ended: r.Ended}
	if r.State == remote.Done || r.State == remote.Failed {
		n.Status = &r.Status
	}
	return n
}
