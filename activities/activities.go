package activities

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"go.temporal.io/sdk/client"

	"github.com/planetlab/monitor/bootman"
	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/notify"
	"github.com/planetlab/monitor/notify/rt"
	"github.com/planetlab/monitor/pcucontrol"
	"github.com/planetlab/monitor/plc"
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/probe"
	sites "github.com/planetlab/monitor/site"
	"github.com/planetlab/monitor/store"
)

// Activities are Monitor's hands. All fields are set once by the worker and only read after that.
type Activities struct {
	Store    *store.Store
	PLC      *plc.Client
	Prober   *probe.Prober
	Mail     *notify.Sender
	Boot     *bootman.Bootman
	Enter    func(host, ip string) bootman.Target // how bootman gets into a node; HostKey is set by who enters
	HostKeys HostKeys
	RT       *rt.Client // nil: people are written to by mail alone
	Hook     *notify.Hook
	Temporal client.Client
	PCUs     *pcucontrol.Catalog
	Policy   policy.Policy
	Log      *slog.Logger

	Mode       string        // of package notify: live, test or observe
	TestTo     string        // gets all mail in test mode
	Domain     string        // right side of Message-IDs
	Admins     []string      // who is told what no site can mend
	BatchSize  int           // targets a probe activity
	PCUTimeout time.Duration // for one conversation with a PCU
	PCUConnect time.Duration // for one connection to it
	PCULegacy  []string      // names and models of PCUs that may speak what is no longer safe
	PLCCache   time.Duration // how old the PLC snapshot may be
	SweepEvery time.Duration
}

func (a *Activities) now() time.Time { return time.Now() }

// Record keeps an issue's progress for the command line and the pages. A PCU whose issue is closed is given back to its nodes.
func (a *Activities) Record(ctx context.Context, p Progress) error {
	switch p.Status {
	case "closed":
		a.announce(notify.EventClosed, p.Ref.ID+"/"+p.Ref.Run+"/closed", p.Ref, 0, p.Result)
	case "paused":
		a.announce(notify.EventPaused, fmt.Sprintf("%s/%s/%s/%d", p.Ref.ID, p.Ref.Run, p.Next, p.NextAt.Unix()), p.Ref, p.Level, p.Next)
	}
	err := a.Store.UpdateIssue(ctx, store.Issue{
		ID: p.Ref.ID, RunID: p.Ref.Run, Type: p.Ref.Type, Target: p.Ref.Target(), Node: p.Ref.Node, Site: p.Ref.Site, PCUID: p.Ref.PCUID,
		Status: p.Status, Rung: p.Rung, Level: p.Level, Opened: p.Opened, Closed: p.Closed,
		Next: p.Next, NextAt: p.NextAt, Outcome: p.Result, Cause: p.Cause,
	})
	if err == nil && p.Ref.Type == PCUDownType && !p.Closed.IsZero() {
		return a.giveBack(ctx, p.Ref)
	}
	return err
}

// LetGo ends an issue: it looks once more unless forced, releases the site and what else the issue holds, and asks for thanks where
// people were told. It answers Acted when the issue may close and Wait when the target is bad after all.
func (a *Activities) LetGo(ctx context.Context, in LetGoInput) (RungResult, error) {
	res := RungResult{Outcome: Acted, Reason: in.Outcome}
	if !in.Force {
		good, reason, err := a.lookAgain(ctx, in.Ref)
		if err != nil {
			return RungResult{}, err
		}
		if !good {
			return RungResult{Outcome: Wait, Reason: reason}, nil
		}
	}
	if in.BootState != "" {
		said, err := a.enable(ctx, in)
		if err != nil {
			return RungResult{}, err
		}
		res.Reason = said
	}
	if in.Told || in.Leaned {
		if _, err := a.releaseSite(ctx, sites.Release{Key: in.Key, Ref: issue.Ref(in.Ref), Thanks: in.Told && !in.Force, Since: in.Since}); err != nil {
			return RungResult{}, err
		}
	}
	return res, nil
}

// begun says whether an earlier try, or a worker that died, has begun on an effect.
func (a *Activities) begun(ctx context.Context, key string) (bool, error) {
	_, err := a.Store.Action(ctx, key)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// skip writes down, once for each key, that something was looked at and not acted on, and why. The key is never that of
// the effect itself: what was once skipped would seem begun.
func (a *Activities) skip(ctx context.Context, key string, ref Ref, reason string) error {
	_, existed, err := a.Store.Intent(ctx, store.Action{Key: key, Kind: "skip", Issue: ref.ID, Node: ref.Node, Site: ref.Site, PCU: ref.PCUID, Reason: reason})
	if err != nil || existed {
		return err
	}
	return a.Store.Outcome(ctx, key, "skipped", reason)
}
