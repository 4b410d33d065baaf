// Package activities is everything Monitor can do to the world: look, reboot, reinstall, ask a site, write to its
// people, keep the record. An activity gets names and numbers, looks secrets up itself, looks again before it acts,
// asks the gate, and answers with an outcome and the reason for it.
//
// The activities come in groups, each a struct whose exported methods a worker registers under their own names:
//
//	Issues      opens, keeps and closes issues, settles lost rungs: issues.go, settle.go, pcuissue.go
//	Power       the rungs that cut power, by lock, look, gate, intent, command: power.go, byhand.go
//	Boot        the rungs that enter a node and repair its boot, or disable it: bootman.go, bootrepair.go, disable.go
//	People      what sites and admins are told: email.go, flag.go, message.go, deliver.go, late.go, ticket.go
//	Penalties   what sites are denied, and which issues hold that: standing.go, holds.go, penalty.go, lift.go
//	Sweep       looks at the fleet, judges it, opens and clears issues: sweep.go, told.go, rules.go, judge.go, judgeissues.go, watch.go;
//	            olderstore.go asks what is open where the store was restored from a backup
//	Reconciler  undoes what nobody holds any more: reconcile.go, restored.go
//	Requests    what persons order of one node: request.go, requestways.go
//	Rollouts    keeps the plans of roll-outs: rollout.go
//	Explainer   says why an act is, or is not, done: whynot.go
//
// and Alerts (alert.go), which takes what another watch says, outside of workflows.
//
// A group holds the parts that it needs, and no more. The parts know no group:
//
//	ledger      ledger.go     the store with its ledger, the policy numbers, the mode: all others stand on it
//	gate        gate.go       gathers facts and asks package policy about an act; also cover.go, sitegate.go
//	rungs       rung.go       what every rung does before and after its own work
//	observer    observe.go    a fresh look at a node, a PCU or a site
//	outlets     outlets.go    locks, tests, cycles and reads the outlets of PCUs
//	bootStates  bootstate.go  boot states in PLC that are ours to give back
//	claims      claims.go     lets go of what an issue changed; forgotten.go claims again what a restored store forgot
//	workflows   temporal.go   starts, asks and signals the workflows of issues and sites
//	post        post.go       mail to the admins, in digests (digest.go), and events for the webhook
//
// To follow one act from its beginning to its end, read rung.go, then power.go from top to bottom.
package activities

import (
	"log/slog"
	"strings"
	"time"

	"go.temporal.io/sdk/client"

	"github.com/planetlab/monitor/bootman"
	"github.com/planetlab/monitor/inventory"
	"github.com/planetlab/monitor/notify"
	"github.com/planetlab/monitor/notify/rt"
	"github.com/planetlab/monitor/pcucontrol"
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/probe"
	"github.com/planetlab/monitor/store"
)

// Options is what the activities are made of. A test may leave out what the groups that it uses do not need.
type Options struct {
	Store    *store.Store
	Temporal client.Client
	Policy   policy.Policy
	Mode     string // of package notify: live, test or observe
	Log      *slog.Logger

	Inventory  inventory.Keeper
	NoPLC      *inventory.NoPLC // what takes PLC's place where there is none
	Cache      time.Duration    // how old the snapshot of the inventory may be
	Prober     *probe.Prober
	OpenPorts  []int // that must be open on a node that runs; nil: those of PlanetLab
	BatchSize  int   // targets a probe activity
	SweepEvery time.Duration
	Sources    Sources
	Rules      Rules

	PCUs       *pcucontrol.Catalog
	PCUTimeout time.Duration                       // for one conversation with a PCU
	PCUConnect time.Duration                       // for one connection to it
	PCULegacy  []string                            // names and models of PCUs that may speak what is no longer safe
	PCUReach   *Reach                              // where they may be; nil: anywhere
	PCUClear   string                              // the rule for passwords in the clear: refuse, record or allow
	PCUSaid    func(took time.Duration, err error) // told of each operation; nil: nobody asks

	Bootman *bootman.Bootman
	Enter   func(host, ip string) bootman.Target // how bootman gets into a node; HostKey is set by who enters

	Mail   *notify.Sender
	RT     *rt.Client // nil: people are written to by mail alone
	Hook   *notify.Hook
	TestTo string   // gets all mail in test mode
	Domain string   // right side of Message-IDs
	Admins []string // who is told what no site can mend
	Pages  string   // address of PLC's web pages; empty: messages have no links
	Probes []string // addresses from which Monitor looks, as people are told
	Link   Linker   // nil: messages have no pages on which one says that one is at it
}

// Groups are all activities of a worker. Their fields are set here once and only read after that.
type Groups struct {
	Issues     *Issues
	Power      *Power
	Boot       *Boot
	People     *People
	Penalties  *Penalties
	Sweep      *Sweep
	Reconciler *Reconciler
	Explainer  *Explainer
	Requests   *Requests
	Rollouts   *Rollouts
	Alerts     *Alerts
}

// Registered are the groups that workflows use by the names of their methods.
func (g *Groups) Registered() []any {
	return []any{g.Issues, g.Power, g.Boot, g.People, g.Penalties, g.Sweep, g.Reconciler, g.Explainer,
		g.Requests, g.Rollouts}
}

// New deals out the parts to the groups that need them.
func New(o Options) *Groups {
	l := &ledger{Store: o.Store, Policy: o.Policy, Mode: o.Mode, Log: o.Log, NoPLC: o.NoPLC}
	outlets := &outlets{ledger: l, PCUs: o.PCUs, PCUTimeout: o.PCUTimeout, PCUConnect: o.PCUConnect,
		PCULegacy: o.PCULegacy, PCUReach: o.PCUReach, PCUClear: o.PCUClear, PCUSaid: o.PCUSaid}
	workflows := &workflows{ledger: l, Temporal: o.Temporal}
	bootStates := &bootStates{ledger: l, Inventory: o.Inventory, outlets: outlets}
	gate := &gate{ledger: l, workflows: workflows, outlets: outlets, bootStates: bootStates,
		Inventory: o.Inventory, SweepEvery: o.SweepEvery}
	observer := &observer{ledger: l, outlets: outlets, Prober: o.Prober, Open: o.OpenPorts}
	underLock := *bootStates
	underLock.underLock = true
	claims := &claims{ledger: l, bootStates: bootStates, outlets: outlets, within: releaseWithin}
	rungs := &rungs{ledger: l, observer: observer, workflows: workflows, claims: claims}
	post := &post{ledger: l, Mail: o.Mail, Hook: o.Hook, Admins: o.Admins, Domain: o.Domain}

	power := &Power{ledger: l, rungs: rungs, gate: gate, observer: observer, outlets: outlets, bootStates: &underLock,
		post: post, Inventory: o.Inventory}
	boot := &Boot{ledger: l, rungs: rungs, gate: gate, workflows: workflows, bootStates: bootStates,
		Inventory: o.Inventory, Boot: o.Bootman, Enter: o.Enter,
		HostKeys: HostKeys{Store: o.Store, Inventory: o.Inventory, From: l.from()}}
	penalties := &Penalties{ledger: l, gate: gate, observer: observer, workflows: workflows, post: post,
		Inventory: o.Inventory}
	return &Groups{
		Issues: &Issues{ledger: l, rungs: rungs, gate: gate, observer: observer, outlets: outlets, claims: claims,
			workflows: workflows, post: post,
			power: power, boot: boot},
		Power: power,
		Boot:  boot,
		People: &People{ledger: l, rungs: rungs, gate: gate, workflows: workflows, post: post, RT: o.RT,
			TestTo: o.TestTo, Pages: strings.TrimRight(o.Pages, "/"), Probes: o.Probes, Link: o.Link},
		Penalties: penalties,
		Explainer: &Explainer{ledger: l, gate: gate, observer: observer, penalties: penalties},
		Sweep: &Sweep{ledger: l, gate: gate, observer: observer, outlets: outlets, claims: claims,
			workflows: workflows, post: post,
			Inventory: o.Inventory, Cache: o.Cache, BatchSize: o.BatchSize, SweepEvery: o.SweepEvery,
			Sources: o.Sources, Rules: o.Rules},
		Reconciler: &Reconciler{ledger: l, claims: claims, outlets: outlets, workflows: workflows,
			Inventory: o.Inventory, post: post},
		Requests: &Requests{ledger: l, power: power, boot: boot, gate: gate, observer: observer, bootStates: bootStates,
			claims: claims, workflows: workflows, Inventory: o.Inventory},
		Rollouts: &Rollouts{ledger: l, observer: observer},
		Alerts:   &Alerts{ledger: l, gate: gate, observer: observer, workflows: workflows},
	}
}
