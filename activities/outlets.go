package activities

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/planetlab/monitor/clean"
	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/pcucontrol"
	"github.com/planetlab/monitor/store"
)

// outlets locks, tests, cycles and reads the outlets of PCUs. It alone looks up their secrets.
type outlets struct {
	*ledger
	PCUs       *pcucontrol.Catalog
	PCUTimeout time.Duration                       // for one conversation with a PCU
	PCUConnect time.Duration                       // for one connection to it
	PCULegacy  []string                            // names and models of PCUs that may speak what is no longer safe
	PCUReach   *Reach                              // where they may be; nil: anywhere
	PCUClear   string                              // the rule for passwords in the clear
	PCUSaid    func(took time.Duration, err error) // told of each operation; nil: nobody asks
}

// errEntry says that PLC's entry of a PCU cannot be right.
var errEntry = errors.New("its entry in the inventory is wrong")

// feed is one outlet that feeds a node, with its PCU.
type feed struct {
	pcu    store.PCU
	outlet int
}

// outletName is how claims name an outlet.
func outletName(pcu, outlet int) string { return fmt.Sprintf("%d/%d", pcu, outlet) }

// feedsOf are the outlets that feed a node; none when PLC knows of no PCU.
func feedsOf(n store.Node) []store.Feed { return n.Feeds }

// lock keeps everybody else from operating the PCUs of outlets until they are released, and reads them then: their
// addresses may have changed while it waited. It takes them in the order of their ids, so that two nodes that share
// PCUs never wait for each other.
func (a *outlets) lock(ctx context.Context, list []store.Feed) (feeds []feed, release func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, lockTime)
	defer cancel()
	var held []func()
	release = sync.OnceFunc(func() {
		for _, r := range slices.Backward(held) {
			r()
		}
	})
	var ids []int
	for _, f := range list {
		ids = append(ids, f.PCUID)
	}
	slices.Sort(ids)
	for _, id := range slices.Compact(ids) {
		unlock, err := a.Store.LockPCU(ctx, id)
		if err != nil {
			release()
			return nil, nil, err
		}
		held = append(held, unlock)
	}
	for _, f := range list {
		p, err := a.Store.PCU(ctx, f.PCUID)
		if err != nil {
			release()
			return nil, nil, err
		}
		feeds = append(feeds, feed{p, f.Outlet})
	}
	return feeds, release, nil
}

// lockTime bounds the wait for a PCU that another operation holds.
const lockTime = 3 * time.Minute

// outlet is one outlet of a PCU, ready to be driven. Its secret goes no further than the driver.
type outlet struct {
	by          *outlets
	pcu         store.PCU
	target      pcucontrol.Target
	pins, shown map[string]string
}

// outlet looks a PCU's secret and its pins up. PLC's ip may carry a port, as 10.0.0.5:2323.
func (a *outlets) outlet(ctx context.Context, p store.PCU, number int) (*outlet, error) {
	password, err := a.Store.PCUPassword(ctx, p)
	if err != nil {
		return nil, err
	}
	pins, err := a.Store.PCUPins(ctx, p.PCUID)
	if err != nil {
		return nil, err
	}
	o := &outlet{by: a, pcu: p, pins: pins, shown: map[string]string{}}
	o.target = pcucontrol.Target{
		Model: p.Model, Host: p.Hostname, User: p.Username, Password: password.Reveal(), Outlet: number,
		ConnectTimeout: a.PCUConnect,
		Legacy:         slices.Contains(a.PCULegacy, p.Name) || p.Model != "" && slices.Contains(a.PCULegacy, p.Model),
		KnownHostKey:   pins[store.HostKey], KnownCertificate: pins[store.Certificate],
		SeenHostKey:     func(key string) { o.shown[store.HostKey] = key },
		SeenCertificate: func(fingerprint string) { o.shown[store.Certificate] = fingerprint },
	}
	if p.IP != "" {
		o.target.Host = p.IP
	}
	if host, port, err := net.SplitHostPort(o.target.Host); err == nil {
		o.target.Host = host
		if o.target.Port, err = strconv.Atoi(port); err != nil {
			return nil, fmt.Errorf("pcu %s: %w: %q is no port", p.Name, errEntry, port)
		}
	}
	o.target.NoClearText = noClearText(a.PCUClear, pins, o.target.Port)
	if a.PCUReach != nil {
		o.target.MayConnect = a.PCUReach.May
	}
	return o, nil
}

// keepPins keeps what a PCU has shown of itself on the first operation that works, and says when it shows something
// else than before. A certificate is kept only where nobody vouches for it, for others change by themselves.
func (o *outlet) keepPins(ctx context.Context, err error) error {
	for kind, pin := range o.shown {
		switch known := o.pins[kind]; {
		case err != nil && known != "" && known != pin:
			err = fmt.Errorf("%w (it shows another %s than before: if it was replaced, say `monitor pcu forget %s`)",
				err, kind, o.pcu.Name)
		case err == nil && known == "" && (kind == store.HostKey || o.target.Legacy):
			// The power may have been switched: a pin that cannot be kept is no reason to say that it was not.
			if err := o.by.Store.PinPCU(context.WithoutCancel(ctx), o.pcu.PCUID, kind, pin); err != nil {
				o.by.Log.Warn("a PCU could not be pinned", "pcu", o.pcu.Name, "error", err)
			}
		}
	}
	return err
}

// run does one operation on one outlet within its time.
func (o *outlet) run(ctx context.Context,
	operation func(context.Context, pcucontrol.Target) (pcucontrol.Result, error)) (pcucontrol.Result, error) {
	within, cancel := context.WithTimeout(ctx, o.by.PCUTimeout)
	defer cancel()
	within, span := trace.SpanFromContext(ctx).TracerProvider().Tracer("pcu").Start(within, "pcu "+o.pcu.Name)
	defer span.End()
	start := time.Now()
	result, err := operation(within, o.target)
	o.by.said(start, err)
	return result, o.keepPins(ctx, err)
}

func (a *outlets) said(start time.Time, err error) {
	if a.PCUSaid != nil {
		a.PCUSaid(time.Since(start), err)
	}
}

// outletSet are the outlets that feed one node. They are cycled as one: all off, then all on.
type outletSet []*outlet

func (a *outlets) set(ctx context.Context, feeds []feed) (set outletSet, err error) {
	for _, f := range feeds {
		o, err := a.outlet(ctx, f.pcu, f.outlet)
		if err != nil {
			return nil, err
		}
		set = append(set, o)
	}
	return set, nil
}

// cycled is what became of a power cycle.
type cycled struct {
	sent     bool // the command may have gone out
	verified bool // every outlet was read on afterwards
	retry    bool // it surely did nothing, and a later try may
	power    issue.Power
	detail   string
}

func (s outletSet) cycle(ctx context.Context) cycled {
	result, err := s.cycleAll(ctx)
	var known *pcucontrol.Error
	switch {
	case err == nil && result.Verified:
		return cycled{sent: true, verified: true, power: issue.Cycled,
			detail: plural(len(s), "outlet cycled and read back on", "outlets cycled together and read back on")}
	case err == nil:
		return cycled{sent: true, power: issue.Cycled, detail: clean.Line(result.Note)}
	case errors.As(err, &known) && known.Kind != pcucontrol.Ambiguous:
		return cycled{retry: known.RetrySafe(), detail: clean.Line(err.Error())}
	}
	// an error that nobody knows may come from anywhere
	return cycled{sent: true, power: issue.PowerLost, detail: clean.Line(err.Error())}
}

func plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

func (s outletSet) cycleAll(ctx context.Context) (pcucontrol.Result, error) {
	if len(s) == 1 {
		return s[0].run(ctx, s[0].by.PCUs.Cycle)
	}
	within, cancel := context.WithTimeout(ctx, time.Duration(len(s))*s[0].by.PCUTimeout)
	defer cancel()
	var targets []pcucontrol.Target
	for _, o := range s {
		targets = append(targets, o.target)
	}
	start := time.Now()
	result, err := s[0].by.PCUs.CycleAll(within, targets)
	s[0].by.said(start, err)
	for _, o := range s {
		err = o.keepPins(ctx, err)
	}
	return result, err
}

// outletState is what outlets were found to be, after what was off was turned on.
type outletState struct {
	on     bool // all of them, read
	wasOff bool // one of them was found off
	allOff bool // all of them were
	untold bool // the devices of those that are not read on can say nothing of them, now or later
	why    string
}

// turnOn reads each outlet and turns on what is off. One of which its device can say nothing is turned on unread, if
// the device has a word for that: to turn on what is on does no harm.
func (s outletSet) turnOn(ctx context.Context) outletState {
	state, away := outletState{on: true, allOff: true}, false
	for _, o := range s {
		read, err := o.run(ctx, o.by.PCUs.Status)
		wasOff, untold := err == nil && read.After == pcucontrol.Off, pcucontrol.KindOf(err) == pcucontrol.Unsupported
		state.allOff, state.wasOff = state.allOff && wasOff, state.wasOff || wasOff
		if wasOff || untold {
			if read, err = o.run(ctx, o.by.PCUs.TurnOn); err == nil && read.After != pcucontrol.On && !untold {
				read, err = o.run(ctx, o.by.PCUs.Status)
			}
		}
		if err == nil && read.After == pcucontrol.On && !untold {
			continue
		}
		state.on = false
		if untold && (err == nil || pcucontrol.KindOf(err) == pcucontrol.Unsupported) {
			state.untold = true
			continue
		}
		away = true
		state.why = fmt.Sprintf("outlet %d of %s is %s", o.target.Outlet, o.pcu.Name, read.After)
		if err != nil {
			state.why = fmt.Sprintf("outlet %d of %s: %s", o.target.Outlet, o.pcu.Name, clean.Line(err.Error()))
		}
	}
	state.untold = state.untold && !away
	return state
}

// testTime bounds a dry run, which is a login and a look.
const testTime = 90 * time.Second

// dryRun is what came of one.
type dryRun struct {
	ok      bool
	reason  string // for operators
	forSite string // the same without what the device said: its address may be anything's, and its words are for nobody else
}

func sameForSite(ok bool, reason string) dryRun { return dryRun{ok, reason, reason} }

// test logs in, finds an outlet, and switches nothing: see dryRun.
func (a *outlets) test(ctx context.Context, p store.PCU) (bool, string, error) {
	r, err := a.dryRun(ctx, p)
	return r.ok, r.reason, err
}

// dryRun logs in, finds an outlet, and switches nothing. A manual PCU has nothing to log in to. An error is a fault of
// ours, as of Postgres, and says nothing about the PCU.
func (a *outlets) dryRun(ctx context.Context, p store.PCU) (dryRun, error) {
	if a.manual(p) {
		return sameForSite(true, "manual: people switch it when they are asked"), nil
	}
	if p.Hostname == "" && p.IP == "" {
		return sameForSite(false, "its entry in "+a.from()+" has neither hostname nor ip"), nil
	}
	o, err := a.outlet(ctx, p, 0)
	if errors.Is(err, errEntry) {
		return sameForSite(false, clean.Line(err.Error())), nil
	}
	if err != nil {
		return dryRun{}, err
	}
	release, err := a.Store.LockPCU(ctx, p.PCUID)
	if err != nil {
		return dryRun{}, err
	}
	defer release()
	within, cancel := context.WithTimeout(ctx, testTime)
	defer cancel()
	result, err := o.run(within, a.PCUs.Test)
	if ctx.Err() != nil {
		return dryRun{}, ctx.Err()
	}
	if err != nil {
		return dryRun{false, clean.Line(err.Error()), clean.Line(withoutItsWords(err).Error())}, nil
	}
	return sameForSite(true, clean.Line(result.Note)), nil
}

// DryRun logs in to a PCU with what the store holds of it, as a sweep does, and switches nothing. It needs of the options
// the store and those of PCUs.
func DryRun(ctx context.Context, o Options, p store.PCU) (ok bool, reason string, err error) {
	return New(o).Sweep.outlets.test(ctx, p)
}

// withoutItsWords is an error of a PCU without what the device said. What no device can have said stays.
func withoutItsWords(err error) error {
	var e *pcucontrol.Error
	if !errors.As(err, &e) {
		return err
	}
	switch e.Kind {
	case pcucontrol.Unreachable, pcucontrol.Timeout, pcucontrol.Unsupported, pcucontrol.UnknownModel:
		return e
	}
	return &pcucontrol.Error{Kind: e.Kind, Host: e.Host, Doing: e.Doing}
}

// manual reports whether people have to switch a PCU: it is a person, or cannot do it itself.
func (a *outlets) manual(p store.PCU) bool {
	m, err := a.PCUs.Resolve(p.Model)
	return err == nil && (m.Name == pcucontrol.Manual || !canCycle(m))
}

// canCycle reports whether a model can take an outlet's power away and give it back; one that wakes machines cannot.
func canCycle(m pcucontrol.Model) bool {
	can := func(word string) bool { return slices.Contains(m.Capabilities, word) }
	return can("cycle") || can("on") && can("off")
}

// areBack lets go of what an issue owes outlets that are on, whichever of its commands has left them.
func (a *outlets) areBack(ctx context.Context, issue string, set outletSet, how string) error {
	for _, o := range set {
		if err := a.Store.ReleaseOutlet(context.WithoutCancel(ctx), issue,
			outletName(o.pcu.PCUID, o.target.Outlet), true, how); err != nil {
			return err
		}
	}
	return nil
}

// paid is what became of an outlet that was owed.
type paid struct {
	said    string // empty: it was settled while this waited for its PCU
	changed bool   // something else than what the outlet should be was found
}

// pay turns an outlet on that Monitor may have left off, and ends the claim when it is read on.
func (a *outlets) pay(ctx context.Context, c store.Claim) (paid, error) {
	var owed store.Feed
	if err := json.Unmarshal(c.Data, &owed); err != nil {
		return paid{}, fmt.Errorf("claim %d: %w", c.ID, err)
	}
	feeds, release, err := a.lock(ctx, []store.Feed{owed})
	if errors.Is(err, store.ErrNotFound) {
		return paid{"its PCU is gone", true}, a.Store.Release(ctx, c.ID, a.from()+" has the PCU no more")
	}
	if err != nil {
		return paid{}, err
	}
	defer release()
	held, err := a.Store.Claims(ctx, store.ClaimFilter{Kind: c.Kind, Target: c.Target, Issue: c.Issue, Key: c.Key})
	if err != nil || len(held) == 0 {
		return paid{}, err
	}
	action, err := a.Store.Action(ctx, c.Key)
	if err != nil {
		return paid{}, err
	}
	if !action.Begun() { // an outlet that was off before is not ours to turn on
		const never = "its command was never given"
		if action.Outcome != "" {
			return paid{said: never}, a.Store.Release(ctx, c.ID, never)
		}
		// a try that has lost its lock must not give the command now, when nobody would turn the outlet on again
		begun, err := a.Store.GiveUp(ctx, c.Key, never, store.ClaimOutlet)
		if err != nil || begun { // it gives the command in this moment
			return paid{}, err
		}
		return paid{said: never}, nil
	}
	set, err := a.set(ctx, feeds)
	if err != nil {
		return paid{}, err
	}
	state := set.turnOn(ctx)
	switch {
	case state.on && state.wasOff:
		return paid{"was off and is on again", true}, a.areBack(ctx, c.Issue, set, "found off, and turned on")
	case state.on: // maybe by a try before, whose worker died
		return paid{said: "is on"}, a.areBack(ctx, c.Issue, set, "read on")
	case state.untold:
		const why = "this PCU cannot say what its outlets do"
		return paid{said: why}, a.areBack(ctx, c.Issue, set, why)
	}
	return paid{}, errors.New(state.why)
}
