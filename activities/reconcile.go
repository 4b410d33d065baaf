package activities

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/planetlab/monitor/clean"
	"github.com/planetlab/monitor/inventory"
	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/policy"
	sites "github.com/planetlab/monitor/site"
	"github.com/planetlab/monitor/store"
)

// Reconciler undoes what Monitor still holds in the world and no open issue stands for.
type Reconciler struct {
	*ledger
	claims    *claims
	outlets   *outlets
	workflows *workflows
	post      *post
	Inventory inventory.Keeper
}

// Reconciled is what a reconciler found left over, and what became of it.
type Reconciled struct {
	Held     int      `json:"held"`               // claims that are in force
	Repaired []string `json:"repaired,omitempty"` // what was put right
	Left     []string `json:"left,omitempty"`     // what could not be put right now; the next sweep tries again
}

// Reconcile compares what Monitor holds in the world with what is open, and lets go of what nobody holds any more: what
// a terminated workflow, a lost namespace, a dead worker or an older backup has left behind. It asks no believed sweep,
// since undoing always passes. One claim that cannot be undone stops no other.
func (a *Reconciler) Reconcile(ctx context.Context) (Reconciled, error) {
	defer heartbeat(ctx)()
	var res Reconciled
	cut, err := a.Store.SettleRuns(ctx)
	if err != nil {
		return res, err
	}
	for _, id := range cut {
		res.Repaired = append(res.Repaired, "run "+id+": it was cut off, and is ended in the ledger")
	}
	if err := a.endLostActions(ctx, &res); err != nil {
		return res, err
	}
	if err := a.liftRestored(ctx, &res); err != nil {
		return res, err
	}
	claims, err := a.Store.Claims(ctx, store.ClaimFilter{})
	if err != nil {
		return res, err
	}
	a.reconcileClaims(ctx, claims, &res)
	if ctx.Err() != nil {
		return res, ctx.Err()
	}
	held := map[string]bool{}
	for _, c := range claims {
		if c.Kind == store.ClaimHold || c.Kind == store.ClaimSiteDisabled || c.Kind == store.ClaimSliceSuspended {
			held[c.Site] = true
		}
	}
	logins, err := a.ordered(ctx)
	if err != nil {
		return res, err
	}
	for _, login := range logins {
		held[login] = true
	}
	for login := range held {
		if err := a.wakeSite(ctx, login); err != nil {
			res.Left = append(res.Left, clean.Line(err.Error()))
		}
	}
	if err := a.post.digest(ctx); err != nil { // the ledger keeps it, and the next sweep tries again
		a.Log.Warn("the admins could not be told", "error", err)
		res.Left = append(res.Left, clean.Line(err.Error()))
	}
	return res.bounded(), nil
}

// How the reconciler turns outlets on: so many at once, and all of them within a time, since a PCU that hangs takes
// minutes, and no sweep begins before the last one has ended.
const (
	outletsAtOnce = 16
	outletsTime   = 4 * time.Minute
)

// reconcileClaims puts claims right: outlets beside one another, in another order each time so that none is always the
// one for which no time is left, and all others one after the other.
func (a *Reconciler) reconcileClaims(ctx context.Context, claims []store.Claim, res *Reconciled) {
	var owed, others []store.Claim
	for _, c := range claims {
		if c.Kind == store.ClaimOutlet {
			owed = append(owed, c)
		} else {
			others = append(others, c)
		}
	}
	rand.Shuffle(len(owed), func(i, j int) { owed[i], owed[j] = owed[j], owed[i] })
	within, cancel := context.WithTimeout(ctx, outletsTime)
	defer cancel()
	var mu sync.Mutex
	var wg sync.WaitGroup
	slots := make(chan struct{}, outletsAtOnce)
	wg.Go(func() {
		for _, c := range owed {
			slots <- struct{}{}
			wg.Go(func() {
				defer func() { <-slots }()
				a.reconcileOne(within, c, &mu, res)
			})
		}
	})
	for _, c := range others {
		if ctx.Err() != nil {
			break
		}
		a.reconcileOne(ctx, c, &mu, res)
	}
	wg.Wait()
}

// reconcileOne puts one claim right, and writes down what became of it. The lock is that of what is written down.
func (a *Reconciler) reconcileOne(ctx context.Context, c store.Claim, mu *sync.Mutex, res *Reconciled) {
	said, err := a.reconcileClaim(ctx, c)
	if err == nil && said != "" {
		err = a.noteRepair(context.WithoutCancel(ctx), c, said)
	}
	mu.Lock()
	defer mu.Unlock()
	switch {
	case err != nil:
		a.Log.Warn("a claim could not be put right", "claim", string(c.Kind), "target", c.Target, "issue",
			c.Issue, "error", err)
		res.Left = append(res.Left, fmt.Sprintf("%s %s: %s", c.Kind, c.Target, clean.Line(err.Error())))
	case said != "":
		res.Repaired = append(res.Repaired, fmt.Sprintf("%s %s: %s", c.Kind, c.Target, said))
	default:
		res.Held++
	}
}

// endLostActions ends in the ledger what workers had begun that died, where nobody asks any more what became of it.
func (a *Reconciler) endLostActions(ctx context.Context, res *Reconciled) error {
	unfinished, err := a.Store.Actions(ctx, store.ActionFilter{Unfinished: true, Limit: 1000})
	if err != nil {
		return err
	}
	for _, act := range unfinished {
		if act.Kind == store.KindContact { // from a letter that came by mail, or of a worker that ended
			if err := a.post.tellOutOfReach(ctx, act); err != nil {
				res.Left = append(res.Left, clean.Line(err.Error()))
			}
			continue
		}
		if a.now().Sub(act.At) < a.Policy.OwedAfter {
			continue
		}
		detail, err := a.endLost(ctx, act)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil: // it may have ended just now
			res.Left = append(res.Left, clean.Line(err.Error()))
			continue
		case detail == "":
			continue
		}
		res.Repaired = append(res.Repaired, fmt.Sprintf("%s of %s: %s", act.Kind, cmp.Or(act.Node, act.Site), detail))
	}
	return nil
}

// endLost ends one action if nobody asks what became of it, and says how; nothing: it is left as it is.
func (a *Reconciler) endLost(ctx context.Context, act store.Action) (string, error) {
	if asked, err := a.isAsked(ctx, act); err != nil || asked {
		return "", err
	}
	if act.Begun() {
		const detail = "its worker ended before it knew whether this was done; it is not repeated"
		return detail, a.Store.Outcome(ctx, act.Key, store.Ambiguous, detail)
	}
	const detail = "its worker ended before it began"
	if begun, err := a.Store.GiveUp(ctx, act.Key, detail); err != nil || begun { // the next sweep sees what became of it
		return "", err
	}
	return detail, nil
}

// aWatch is how long a worker takes at most to tell the admins what the guard holds.
const aWatch = 2 * time.Minute

// isAsked reports whether somebody is left who asks what became of an action: its issue, its site, or, for what the
// guard says, the worker itself.
func (a *Reconciler) isAsked(ctx context.Context, act store.Action) (bool, error) {
	switch {
	case act.Kind == store.KindDigest, act.Kind == store.KindFlag && len(act.Data) > 0: // the next digest tells it
		return true, nil
	case act.RunID != "":
		return a.episodeOpen(ctx, act.Issue, act.RunID)
	case !act.Begun() && (act.Kind == store.KindGuard || act.Kind == store.KindFlag): // whoever comes next tells it
		return true, nil
	case strings.HasPrefix(act.Issue, store.RunIssue):
		run, err := a.Store.Run(ctx, strings.TrimPrefix(act.Issue, store.RunIssue))
		if errors.Is(err, store.ErrNotFound) {
			return false, nil
		}
		return err == nil && run.Ended.IsZero(), err
	case act.Site == "":
		return a.now().Sub(act.At) < aWatch, nil
	}
	running, err := a.workflows.running(ctx, sites.ID(act.Site), "")
	if err != nil || running || act.Kind != store.KindPenalty {
		return running, err
	}
	return true, a.workflows.lookAtSite(ctx, act.Site) // a step of its level is brought to its end
}

// episodeOpen reports whether the episode of an issue that took something is open.
func (a *Reconciler) episodeOpen(ctx context.Context, id, run string) (bool, error) {
	if isRequest(id) {
		return a.workflows.running(ctx, id, run)
	}
	i, err := a.Store.Issue(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	return err == nil && i.Status != string(issue.Closed) && (run == "" || i.RunID == run), err
}

// reconcileClaim puts one claim right, and says how; nothing: it is in force.
func (a *Reconciler) reconcileClaim(ctx context.Context, c store.Claim) (string, error) {
	if c.Kind == store.ClaimOutlet {
		if a.now().Sub(c.Taken) < a.Policy.OwedAfter {
			return "", nil
		}
		paid, err := a.outlets.pay(ctx, c)
		return paid.said, err
	}
	// the site's own workflow looks after these
	if c.Kind == store.ClaimSiteDisabled || c.Kind == store.ClaimSliceSuspended {
		return "", nil
	}
	run := ""
	if isRequest(c.Issue) { // the next one knows nothing of it
		run = c.RunID
	}
	open, err := a.episodeOpen(ctx, c.Issue, run)
	if err != nil {
		return "", err
	}
	if open {
		return a.releaseEarly(ctx, c)
	}
	const why = "its issue is not open any more"
	if c.Kind == store.ClaimRequest {
		return "let go: its workflow has ended", a.Store.Release(ctx, c.ID, "its workflow has ended")
	}
	if c.Kind == store.ClaimHold {
		ref := Ref{ID: c.Issue, Run: c.RunID, Site: c.Site}
		return "let go: " + why, a.workflows.releaseHold(ctx, ref, "", c.Taken, why)
	}
	said, err := a.claims.release(ctx, c, why)
	return said, err
}

// releaseEarly gives a boot state back that an open issue has no more use for: its node is up, and the next reboot must
// not wipe it, or the power command that it was set for was given up.
func (a *Reconciler) releaseEarly(ctx context.Context, c store.Claim) (string, error) {
	if c.Kind != store.ClaimBootState {
		return "", nil
	}
	action, err := a.Store.Action(ctx, c.Key)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return "", err
	}
	if action.Outcome == store.Failed {
		return a.claims.release(ctx, c, "its command was given up")
	}
	n, err := a.Store.Node(ctx, c.Target)
	switch {
	case errors.Is(err, store.ErrNotFound): // its own issue finds that out
		return "", nil
	case err != nil:
		return "", err
	}
	if action.Outcome == "" || n.State != policy.StateBoot || !n.SeenAt.After(action.Finished) {
		return "", nil
	}
	return a.claims.release(ctx, c, "the node is up")
}

// noteRepair keeps in the ledger what was put right.
func (a *Reconciler) noteRepair(ctx context.Context, c store.Claim, said string) error {
	key := fmt.Sprintf("reconcile/%d", c.ID)
	return a.Store.Note(ctx, store.Action{Key: key, Kind: store.KindReconcile, Issue: c.Issue, RunID: c.RunID,
		Site:   c.Site,
		Reason: fmt.Sprintf("%s %s was left over", c.Kind, c.Target), Outcome: store.Done, Detail: said})
}

// wakeSite lets the workflow of a site look for which something is held, if it does not run, or if the site is good
// again and is still denied something: it knows from the store what it has to do.
func (a *Reconciler) wakeSite(ctx context.Context, login string) error {
	running, err := a.workflows.running(ctx, sites.ID(login), "")
	if err != nil {
		return err
	}
	row, err := a.Store.Site(ctx, login)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	if running && (row.PenaltyLevel == 0 || !row.Record.Status.Healthy()) {
		return nil
	}
	return a.workflows.lookAtSite(ctx, login)
}
