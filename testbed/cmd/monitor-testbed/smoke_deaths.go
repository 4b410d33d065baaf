package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"

	"github.com/planetlab/monitor/activities"
	"github.com/planetlab/monitor/issue"
	sites "github.com/planetlab/monitor/site"
	"github.com/planetlab/monitor/store"
	"github.com/planetlab/monitor/testbed"
	"github.com/planetlab/monitor/testbed/fakenode"
	"github.com/planetlab/monitor/testbed/pcudev"
	"github.com/planetlab/monitor/testbed/rig"
)

// trouble is what is wrong at a site, and the types of issue that it makes.
type trouble struct {
	name  string         // the first part of its sites' names
	state fakenode.State // of the nodes; empty: the PCU fails
	nodes int
	noPCU bool
	types []string
}

func troubles() []trouble {
	return []trouble{
		{"silent", fakenode.Hung, 1, false, []string{issue.NodeDown, issue.BadHardware, issue.MinimalHardware,
			issue.NoBlockDevice, issue.UnknownSequence}},
		{"walled", fakenode.Firewalled, 1, false, []string{issue.Firewall}},
		{"disk", fakenode.ReadOnly, 1, false, []string{issue.Filesystem}},
		{"names", fakenode.Nameless, 1, false, []string{issue.DNSError}},
		{"locked", fakenode.Locked, 1, false, []string{issue.NodeConfig}},
		{"debug", fakenode.Debug, 1, false, []string{issue.Failboot}},
		{"oldcd", fakenode.OldBootCD, 1, false, []string{issue.OldBootCD}},
		{"nopcu", fakenode.Hung, 1, true, []string{issue.PCUMissing}},
		{"dark", fakenode.Hung, 3, false, []string{issue.SiteDown}},
		{"pcu", "", 1, false, []string{issue.PCUDown}},
		{"told", fakenode.Hung, 1, true, []string{sites.Type}},
	}
}

// The stages of a life at which it ends.
const (
	atFirstWait  = "first"   // before its first rung
	inRung       = "rung"    // while a rung is under way
	betweenRungs = "between" // after a rung has acted
	whilePaused  = "paused"
	inLongWait   = "long" // its last rung was done, and it only looks, ever more rarely
	withPenalty  = "penalty"
)

func stagesOf(typ string) []string {
	switch typ {
	case sites.Type:
		return []string{betweenRungs, whilePaused, withPenalty}
	case issue.PCUMissing, issue.UnknownSequence: // they ask for no penalty
		return []string{atFirstWait, inRung, betweenRungs, whilePaused, inLongWait}
	}
	return []string{atFirstWait, inRung, betweenRungs, whilePaused, inLongWait, withPenalty}
}

// The ways in which somebody ends a workflow by hand.
const (
	terminated = "terminated"
	cancelled  = "cancelled"
	wasReset   = "reset"
)

// death is one workflow that is to end at one stage. All that goes on at one site ends at one stage.
type death struct {
	trouble  trouble
	typ      string
	stage    string
	way      string
	site, id string
	run      string // that ends
}

func (d *death) name() string { return d.typ + " " + d.stage + " " + d.way }

func (d *death) node() string { return host(d.site, 1) }

// input is the target of an issue, as any client would name it.
func (d *death) input() map[string]string {
	switch d.typ {
	case issue.PCUDown:
		return map[string]string{"pcu": "pcu." + d.site + ".example"}
	case issue.SiteDown:
		return map[string]string{"site": d.site}
	}
	return map[string]string{"node": d.node()}
}

func deaths() []*death {
	var all []*death
	for _, t := range troubles() {
		for _, typ := range t.types {
			for _, stage := range stagesOf(typ) {
				d := &death{trouble: t, typ: typ, stage: stage, site: t.name + stage}
				d.id = sites.ID(d.site)
				for _, target := range d.input() {
					if typ != sites.Type {
						d.id = typ + "/" + target
					}
				}
				all = append(all, d)
			}
		}
	}
	return all
}

// deathSites are the sites of all deaths.
func deathSites() []testbed.Site {
	var list []testbed.Site
	for _, d := range deaths() {
		s := testbed.Site{Login: d.site, Nodes: d.trouble.nodes, NoPCU: d.trouble.noPCU}
		if !slices.Contains(list, s) {
			list = append(list, s)
		}
	}
	return list
}

const deathDay = 4 * time.Second // a policy day where they die, if the machine is not slow

// deathOptions are those of the rig on which workflows die. All of its fleet breaks at once, so that there is no guard;
// steps that take weeks take days, since no step is in question here, and only what becomes of one that is cut off. All
// nodes are looked at at once: one that is in debug mode must have the time to say so where the machine is busy.
func deathOptions(bin string, log io.Writer) rig.Options {
	return rig.Options{Bin: bin, Log: log, Sites: deathSites(), UIPort: -1, NoRT: true, Connections: 100,
		Day: deathDay, SweepEvery: "0.6d",
		Policy: map[string]any{
			"guard": map[string]any{"share": 1.0, "at_least": 10000}, "budget": map[string]any{"penalties_fleet": 1000,
				"reboots_fleet": 1000},
			"offline_to_down": "0.1d", "pcu_offline_to_down": "0.1d", "site_offline_to_down": "0.1d",
			"site_down_before_penalty": "0.1d",
			"node_down_after":          "0.1d", "trouble_after": "0.1d", "failboot_after": "0.1d", "people_step": "3d",
			"penalty_step": "1d",
		},
		Probe: map[string]any{"timeout": "2500ms", "parallel": 400}}
}

func deathScenarios() []scenario {
	return []scenario{
		{id: "EveryDeath",
			name: "every type of issue, and the site, is ended by hand at every stage, in ways that take turns: within two sweeps the books agree again",
			run:  everyDeath(terminated, cancelled, wasReset)},
		{id: "Terminated",
			name: "every type of issue, and the site, is terminated at every stage: within two sweeps the books agree again",
			run:  everyDeath(terminated), onlyNamed: true},
		{id: "Cancelled",
			name: "every type of issue, and the site, is cancelled at every stage: within two sweeps the books agree again",
			run:  everyDeath(cancelled), onlyNamed: true},
		{id: "Reset",
			name: "every type of issue, and the site, is reset at every stage: within two sweeps the books agree again",
			run:  everyDeath(wasReset), onlyNamed: true},
	}
}

// settled reports what is not yet as it must be after a death: the books agree, a new issue is open where a sweep calls
// for one, and the ledger tells of what nobody but the reconciler could let go.
func (m *matrix) settled(b *books, d *death) []string {
	found := m.disagreements(b, d.trouble, d.site)
	if d.typ == sites.Type {
		return found
	}
	i, open := b.open[d.id]
	t, _ := issue.Lookup(d.typ)
	switch {
	case open && i.RunID == d.run && d.way != wasReset:
		found = append(found, "the run that was ended is open")
	case !open && (t.Call != nil || d.way == wasReset):
		found = append(found, "it is not open again")
	}
	if d.way == terminated && b.mended[d.run] == "" {
		found = append(found, "the ledger does not say that it was put right")
	}
	return found
}

// gate lets those pass who wait for others at the same point.
type gate struct {
	arrive sync.WaitGroup
	once   sync.Once
	do     func() error // by the last who arrives
	err    error
}

func (g *gate) pass() error {
	g.arrive.Done()
	g.arrive.Wait()
	g.once.Do(func() {
		if g.do != nil {
			g.err = g.do()
		}
	})
	return g.err
}

// everyDeath plays all deaths at once, and then mends everything. Where there are several ways each type meets each of
// them, and so does each stage.
func everyDeath(ways ...string) func(context.Context, *stage) error {
	return func(ctx context.Context, s *stage) error {
		ctx, cancel := context.WithTimeout(ctx, scaled(5*time.Minute, float64(s.Day)/float64(deathDay)))
		defer cancel()
		m := &matrix{stage: s, all: deaths(), gates: map[string]*gate{}}
		kinds, stages := map[string]int{}, map[string]int{}
		for _, d := range m.all {
			if _, seen := kinds[d.typ]; !seen {
				kinds[d.typ] = len(kinds)
			}
			if _, seen := stages[d.stage]; !seen {
				stages[d.stage] = len(stages)
			}
			d.way = ways[(kinds[d.typ]+stages[d.stage])%len(ways)]
		}
		go m.read(ctx)
		if err := m.begin(ctx); err != nil {
			return err
		}
		free, err := m.holdRungs(ctx)
		defer free()
		if err != nil {
			return err
		}
		m.meet(ctx, free)
		errs := make([]error, len(m.all))
		var wg sync.WaitGroup
		for n, d := range m.all {
			wg.Go(func() {
				if err := m.play(ctx, d); err != nil {
					errs[n] = fmt.Errorf("%s (%s): %w", d.name(), d.site, err)
				}
			})
		}
		wg.Wait()
		return errors.Join(append(errs, m.mendAll(ctx))...)
	}
}

// meet lets whoever dies at a blacklisted site, or beside a rung that is held, wait for the others there before what
// holds them is let go.
func (m *matrix) meet(ctx context.Context, free func()) {
	for _, d := range m.all {
		if d.gate() == "" {
			continue
		}
		g := m.gates[d.gate()]
		if g == nil {
			g = &gate{do: func() error { return m.Store.RemoveBlacklist(ctx, "site", d.site) }}
			if d.stage == inRung {
				g.do = func() error { free(); return nil }
			}
			m.gates[d.gate()] = g
		}
		g.arrive.Add(1)
	}
}

// mendAll is everybody who mends what is broken: all issues close, and nothing is held.
func (m *matrix) mendAll(ctx context.Context) error {
	for _, d := range m.all {
		if d.trouble.state == "" {
			m.BreakPCU(d.site, "")
		}
		for n := 1; n <= d.trouble.nodes; n++ {
			if err := m.Heal(host(d.site, n)); err != nil {
				return err
			}
		}
		if d.stage == whilePaused { // a pause that outlived its workflow is lifted by whoever gave the order
			_ = m.command(ctx, d.id, string(issue.OrderResume), "it is mended")
		}
	}
	return m.await(ctx, "all issues are closed, and nothing is held", func(b *books) (bool, error) {
		return len(b.open) == 0 && len(b.claims) == 0, nil
	})
}

// matrix is all deaths, and what is known of them.
type matrix struct {
	*stage
	all    []*death
	gates  map[string]*gate
	latest atomic.Pointer[books]
}

// read brings the books up to date again and again.
func (m *matrix) read(ctx context.Context) {
	for ctx.Err() == nil {
		if b, err := m.readBooks(ctx); err == nil {
			m.latest.Store(b)
		}
		time.Sleep(200 * time.Millisecond) // paces the reader alone
	}
}

// await asks for something each time the books are read, and says what it waited for.
func (m *matrix) await(ctx context.Context, what string, ask func(*books) (bool, error)) error {
	var last *books
	for {
		if b := m.latest.Load(); b != nil && b != last {
			last = b
			if ok, err := ask(b); ok || err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting until %s: %w%s", what, ctx.Err(), last.next(what))
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// listed is on the blacklist until it died, so that it has not done its first rung.
func (d *death) listed() bool { return d.stage == atFirstWait || d.stage == inRung }

func (d *death) gate() string {
	switch d.stage {
	case inRung:
		return inRung
	case atFirstWait:
		return d.site
	}
	return ""
}

// begin breaks everything, and opens every issue by its name.
func (m *matrix) begin(ctx context.Context) error {
	begun := map[string]bool{}
	for _, d := range m.all {
		if begun[d.site] {
			continue
		}
		begun[d.site] = true
		if d.listed() {
			if err := m.Store.AddBlacklist(ctx, store.BlacklistEntry{Kind: "site", Target: d.site,
				Reason: "its time has not come", Owner: "smoke"}); err != nil {
				return err
			}
		}
		if d.trouble.state == "" {
			m.BreakPCU(d.site, pcudev.WrongPassword)
		}
		for n := 1; n <= d.trouble.nodes && d.trouble.state != ""; n++ {
			if err := m.Break(host(d.site, n), testbed.Fault{State: d.trouble.state,
				FixedBy: testbed.Nobody}); err != nil {
				return err
			}
		}
	}
	before, err := m.Store.LastSweep(ctx)
	if err != nil {
		return err
	}
	err = m.await(ctx, "two sweeps have seen it", func(b *books) (bool, error) { return b.sweep >= before.ID+3, nil })
	if err != nil {
		return err
	}
	for _, d := range m.all {
		typ, id := d.typ, d.id
		if typ == sites.Type {
			typ, id = issue.NodeDown, nodeDown(d.node())
		}
		if _, err := m.Temporal.ExecuteWorkflow(ctx, client.StartWorkflowOptions{ID: id,
			TaskQueue: activities.TaskQueue}, typ, d.input()); err != nil {
			return err
		}
	}
	return nil
}

// holdRungs has the first rungs of some issues begin and not end: those that use power wait for their PCU, and the
// others for the row in which they write down what they did.
func (m *matrix) holdRungs(ctx context.Context) (free func(), err error) {
	var unlock []func()
	free = sync.OnceFunc(func() {
		for _, f := range unlock {
			f()
		}
	})
	conn, err := pgx.Connect(ctx, m.Database)
	if err != nil {
		return free, err
	}
	unlock = append(unlock, func() { _ = conn.Close(context.WithoutCancel(ctx)) }) // ends its transaction
	if _, err := conn.Exec(ctx, "begin"); err != nil {
		return free, err
	}
	held := slices.DeleteFunc(slices.Clone(m.all), func(d *death) bool { return d.stage != inRung })
	for _, d := range held { // a PCU that is held holds up the sweep, and an issue that opens needs one
		err := m.await(ctx, d.id+" waits for the blacklist", func(b *books) (bool, error) {
			state, open := b.memory(d.id)
			return open && state.Blocked != nil && state.Blocked.Check == "blacklist", nil
		})
		if err != nil {
			return free, err
		}
	}
	names := map[string]bool{}
	for _, d := range held {
		if d.typ == issue.NodeDown {
			n, err := m.Store.Node(ctx, d.node())
			if err != nil {
				return free, err
			}
			release, err := m.Store.LockPCU(ctx, n.Feeds[0].PCUID)
			if err != nil {
				return free, err
			}
			unlock = append(unlock, release)
		}
		if _, err := conn.Exec(ctx, "select 1 from issue where id = $1 for update", d.id); err != nil {
			return free, err
		}
		names[d.site] = true
	}
	for site := range names {
		if err := m.Store.RemoveBlacklist(ctx, "site", site); err != nil {
			return free, err
		}
	}
	return free, nil
}

// play brings one workflow to its stage, ends it, and waits until the books agree.
func (m *matrix) play(ctx context.Context, d *death) error {
	passed := false
	defer func() {
		if g := m.gates[d.gate()]; g != nil && !passed {
			_ = g.pass() // the others go on
		}
	}()
	if err := m.reach(ctx, d); err != nil {
		return err
	}
	if err := m.end(ctx, d); err != nil {
		return fmt.Errorf("end it: %w", err)
	}
	if g := m.gates[d.gate()]; g != nil {
		passed = true
		if err := g.pass(); err != nil {
			return err
		}
	}
	if err := m.await(ctx, d.id+" has ended", func(*books) (bool, error) { return m.hasEnded(ctx, d) }); err != nil {
		return err
	}
	begun, err := m.begunSweep(ctx)
	if err != nil {
		return err
	}
	sweeps := int64(3) // two, and what the second woke has until the end of the next
	if d.typ == issue.OldBootCD {
		sweeps += 2 // we had disabled its node: its time of failboot_after begins when a sweep has seen that undone
	}
	return m.await(ctx, "the books agree", func(b *books) (bool, error) {
		found := m.settled(b, d)
		if len(found) > 0 && b.sweep >= begun+sweeps {
			return false, fmt.Errorf("after the sweeps that it has: %s", strings.Join(found, "; "))
		}
		return len(found) == 0, nil
	})
}

// hasEnded says whether the run of a death is over: one that is cancelled lets go of all it holds first.
func (m *matrix) hasEnded(ctx context.Context, d *death) (bool, error) {
	run, err := m.Temporal.DescribeWorkflowExecution(ctx, d.id, d.run)
	if err != nil {
		return false, err
	}
	return run.WorkflowExecutionInfo.Status != enums.WORKFLOW_EXECUTION_STATUS_RUNNING, nil
}

// begunSweep is the last sweep that has begun: one that is under way may have read what was before.
func (m *matrix) begunSweep(ctx context.Context) (int64, error) {
	ended, err := m.Store.LastSweep(ctx)
	if err != nil {
		return 0, err
	}
	switch _, err := m.Store.Sweep(ctx, ended.ID+1); {
	case errors.Is(err, store.ErrNotFound):
		return ended.ID, nil
	default:
		return ended.ID + 1, err
	}
}
