package activities

import (
	"context"
	"log/slog"
	"time"

	"go.temporal.io/sdk/client"

	"github.com/planetlab/monitor/bootman"
	"github.com/planetlab/monitor/notify"
	"github.com/planetlab/monitor/notify/rt"
	"github.com/planetlab/monitor/pcucontrol"
	"github.com/planetlab/monitor/plc"
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/probe"
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

// skip writes down that something was looked at and not acted on, and why. The key is never that of the effect itself: what was once
// skipped would seem begun.
func (a *Activities) skip(ctx context.Context, key string, ref Ref, reason string) error {
	return a.Store.Skip(ctx, store.Action{Key: key, Issue: ref.ID, RunID: ref.Run, Node: ref.Node, Site: ref.Site, PCU: ref.PCUID, Reason: reason})
}
