package activities

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"go.temporal.io/sdk/temporal"

	"github.com/planetlab/monitor/inventory"
	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/notify"
	"github.com/planetlab/monitor/policy"
	sites "github.com/planetlab/monitor/site"
	"github.com/planetlab/monitor/store"
)

// ledger is the ground that every group and every part stands on: the store, with the ledger in it, the policy numbers,
// and the mode.
type ledger struct {
	Store  *store.Store
	Policy policy.Policy
	Mode   string // of package notify: live, test or observe
	Log    *slog.Logger
	NoPLC  *inventory.NoPLC // nil: there is PLC
}

// from is how people are told where the fleet is written down.
func (a *ledger) from() string {
	if a.NoPLC != nil {
		return inventory.From
	}
	return "PLC"
}

func (a *ledger) now() time.Time { return time.Now() }

// skip writes down that something was looked at and not acted on, and why. The key is never that of the effect itself:
// what was once skipped would seem begun.
func (a *ledger) skip(ctx context.Context, key string, ref Ref, reason string) error {
	return a.Store.Skip(ctx, store.Action{Key: key, Issue: ref.ID, RunID: ref.Run, Node: ref.Node, Site: ref.Site,
		PCUID: ref.PCUID, Reason: reason})
}

// maySend marks in the ledger that a message leaves now, and counts the tries: one whose worker died may have reached
// somebody, and goes out once more as itself. It answers false when another try has taken it, or it has ended.
func (a *ledger) maySend(ctx context.Context, message store.Action) (bool, error) {
	if message.Begun() {
		return a.Store.TryAgain(ctx, message.Key, "its worker ended before it knew whether it was sent")
	}
	return a.Store.Commit(ctx, message.Key)
}

// observes reports whether the configuration permits only to look.
func (a *ledger) observes() bool { return a.Mode == notify.ModeObserve }

// isOpen reports whether an issue is open or paused.
func (a *ledger) isOpen(ctx context.Context, id string) (bool, error) {
	i, err := a.Store.Issue(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	return err == nil && i.Status != string(issue.Closed), err
}

// openID is the id of the issue of a type about a target when it is open, else nothing.
func (a *ledger) openID(ctx context.Context, typ, target string) (string, error) {
	id := typ + "/" + target
	if open, err := a.isOpen(ctx, id); err != nil || !open {
		return "", err
	}
	return id, nil
}

// find completes a ref from the store, with the status of its target and the reason for it.
func (a *ledger) find(ctx context.Context, ref Ref) (Ref, policy.Record, string, error) {
	typ, _ := issue.Lookup(ref.Type)
	switch typ.Target {
	case issue.OfSite:
		s, err := a.Store.Site(ctx, ref.Site)
		if errors.Is(err, store.ErrNotFound) {
			return ref, policy.Record{}, "",
				noTarget("no site %q in the inventory: check the login_base, or run `monitor sweep` to fetch it",
					ref.Site)
		}
		return ref, s.Record, "the site as a whole", err
	case issue.OfPCU:
		p, err := a.Store.PCUByName(ctx, ref.PCU)
		if errors.Is(err, store.ErrNotFound) {
			return ref, policy.Record{}, "",
				noTarget("no PCU %q in the inventory: see `monitor site show` for its name", ref.PCU)
		}
		ref.Site, ref.PCUID = p.Site, p.PCUID
		return ref, p.Record, p.Reason, err
	}
	n, err := a.Store.Node(ctx, ref.Node)
	if errors.Is(err, store.ErrNotFound) {
		return ref, policy.Record{}, "",
			noTarget("no node %q in the inventory: check the name, or run `monitor sweep` to fetch it", ref.Node)
	} else if err != nil {
		return ref, policy.Record{}, "", err
	}
	ref.Site, ref.PCUID = n.Site, n.PCUID
	if n.PCUID != 0 {
		p, err := a.Store.PCU(ctx, n.PCUID)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return ref, policy.Record{}, "", err
		}
		ref.PCU = p.Name
	}
	return ref, n.Record, n.Reason, nil
}

// noTarget is the answer to an issue that names nothing Monitor knows; no retry mends that.
func noTarget(format string, args ...any) error {
	return temporal.NewNonRetryableApplicationError(fmt.Sprintf(format, args...), ErrNoSuchTarget, nil)
}

func (a *ledger) siteRow(ctx context.Context, login string) (row store.Site, gone bool, err error) {
	row, err = a.Store.Site(ctx, login)
	if errors.Is(err, store.ErrNotFound) {
		return store.Site{LoginBase: login}, true, nil
	}
	return row, row.Gone, err
}

func siteRef(login string) Ref { return Ref{ID: sites.ID(login), Type: sites.Type, Site: login} }

// skipSite writes down why a site is not raised: once for each reason, with how often.
func (a *ledger) skipSite(ctx context.Context, login, what, reason string) error {
	return a.Store.Skip(ctx, store.Action{Key: sites.ID(login) + "/skip/" + what, Issue: sites.ID(login), Site: login,
		Reason: reason})
}

// mayHaveHappened says whether what stands in the ledger under a key was done, or may have been. What has no line there
// was.
func (a *ledger) mayHaveHappened(ctx context.Context, key string) (bool, error) {
	action, err := a.Store.Action(ctx, key)
	if errors.Is(err, store.ErrNotFound) {
		return true, nil
	}
	return action.Begun() && action.Outcome != store.Failed, err
}
