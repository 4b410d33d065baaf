package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/planetlab/monitor/answers"
	"github.com/planetlab/monitor/config"
	"github.com/planetlab/monitor/connect"
	"github.com/planetlab/monitor/doctor"
	"github.com/planetlab/monitor/plc"
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/probe"
	"github.com/planetlab/monitor/store"
)

// central tries PLC: the login, the role, and each right by a call that changes nothing.
func (s *setup) central(ctx context.Context) error {
	if s.cfg.Inventory.Source != config.InventoryPLC {
		return nil
	}
	return s.examine(ctx, "plc.login", "plc.admin", "plc.rights")
}

// inventory reads what PLC has, shows it, and keeps it as a sweep does.
func (s *setup) inventory(ctx context.Context) error {
	const name, about = "setup.inventory", "the fleet as it is written down"
	from, remedy := connect.From(s.cfg), "see plc.rights"
	if s.cfg.Inventory.Source != config.InventoryPLC {
		remedy = "`monitor inventory check` says what is wrong, and where"
	}
	db, err := connect.Store(ctx, s.cfg)
	if err != nil {
		return s.fail(name, about, "see postgres.answers", err)
	}
	defer db.Close()
	fleet, err := connect.Inventory(s.cfg, db)
	if err != nil {
		return s.fail(name, about, remedy, err)
	}
	snap, err := fleet.Snapshot(ctx)
	if err != nil {
		return s.fail(name, about, remedy, err)
	}
	if len(snap.Nodes) == 0 {
		return s.fail(name, about, "is this the right one, and does it have nodes of its own?", errors.New(from+": it has no nodes"))
	}
	if _, err := db.SaveSnapshot(ctx, snap, false); err != nil {
		return s.fail(name, about, "if so much is really gone, say so: monitor sweep --believe REASON", err)
	}
	if err := s.ok(name, about, "%s: %d sites, %d nodes, %d PCUs, %d people%s", from, len(snap.Sites), len(snap.Nodes),
		len(snap.PCUs), len(snap.Persons), groupsOf(snap)); err != nil {
		return err
	}
	return s.models(snap.PCUs)
}

// models says which PCUs Monitor cannot drive.
func (s *setup) models(list []plc.PCU) error {
	catalog, err := connect.PCUs(s.cfg.PCU)
	if err != nil {
		return s.fail("setup.models", "the models of PCUs", "mend the file in pcu.models_dir", err)
	}
	known, odd := map[string]int{}, map[string]int{}
	for _, p := range list {
		if m, err := catalog.Resolve(p.Model); err == nil {
			known[m.Name]++
		} else {
			odd[fmt.Sprintf("%q", p.Model)]++
		}
	}
	f := doctor.Finding{Name: "setup.models", About: "Monitor can drive the PCUs", State: doctor.OK, Found: counted(known)}
	switch {
	case len(list) == 0:
		f.State, f.Found = doctor.Skipped, "there are no PCUs"
	case len(odd) > 0:
		f.State, f.Found = doctor.Warning, counted(known)+"\nnobody knows how to drive: "+counted(odd)
		f.Remedy = "name the right model (`monitor pcu models` lists them), or describe it: docs/pcu.md"
	}
	return s.tell(f)
}

// groupsOf says which groups of nodes PLC has, and how to select by them.
func groupsOf(snap plc.Snapshot) string {
	count := map[string]int{}
	for _, names := range snap.NodeGroups {
		for _, name := range names {
			count[clean(name)]++
		}
	}
	if len(count) == 0 {
		return ""
	}
	return "\nnodes in groups (--select group=NAME): " + counted(count)
}

func counted(m map[string]int) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(m)) {
		parts = append(parts, fmt.Sprintf("%d %s", m[name], name))
	}
	return strings.Join(parts, ", ")
}

// sample looks at the nodes of one site and dry-runs its PCUs.
func (s *setup) sample(ctx context.Context) error {
	const name, about = "setup.site", "the nodes of one site, as Monitor sees them"
	db, err := connect.Store(ctx, s.cfg)
	if err != nil {
		return s.fail(name, about, "see postgres.answers", err)
	}
	defer db.Close()
	site, nodes, err := s.chooseSite(ctx, db)
	if err != nil {
		return s.fail(name, about, "name another with --site", err)
	}
	keys, err := connect.SSHKeys(s.cfg.Probe)
	if err != nil {
		return s.fail(name, about, "name a private key with --ssh-key", err)
	}
	p := s.cfg.Probe
	prober := probe.New(probe.Options{SSHUser: p.SSHUser, SSHKeys: keys, SSHPorts: p.SSHPorts, PortMap: p.PortMap,
		Timeout: p.Timeout, Tries: p.Tries, Resolver: p.Resolver, BootServer: p.BootServer})
	var targets []probe.Target
	for _, n := range nodes {
		targets = append(targets, probe.Target{Host: n.Hostname, IP: n.IP, Site: n.Site})
	}
	var said []string
	up := 0
	prober.Nodes(ctx, targets, func(r probe.NodeResult) {
		f := policy.InferNode(s.cfg.Policy.Kernels, policy.NodeLook{SSH: r.SSH.OK, SSHFailure: r.SSH.Failure,
			Kernel: r.Inside.Kernel, BootManager: r.Inside.BootManager, BootCD: r.Inside.BootCD, Ports: r.Ports,
			Uptime: r.Inside.Uptime, Name: r.DNS})
		if f.State == policy.StateBoot {
			up++
		}
		said = append(said, fmt.Sprintf("%s %s: %s", r.Host, strings.ToLower(f.State), f.Reason))
	})
	slices.Sort(said)
	f := doctor.Finding{Name: name, About: about, State: doctor.OK,
		Found: fmt.Sprintf("%s: %d of %d nodes run\n%s", site, up, len(nodes), strings.Join(said, "\n"))}
	if up == 0 {
		f.State = doctor.Warning
		f.Remedy = "do they let our key in, and does a firewall let us reach ports 22, 80 and 806? Else try another with --site"
	}
	if err := s.tell(f); err != nil {
		return err
	}
	return s.examine(ctx, "pcus")
}

// chooseSite takes the site of --site, else the first one with nodes and a PCU, else the first with nodes.
func (s *setup) chooseSite(ctx context.Context, db *store.Store) (string, []store.Node, error) {
	sites := []string{s.site}
	if s.site == "" {
		all, err := db.Sites(ctx)
		if err != nil {
			return "", nil, err
		}
		sites = nil
		for _, x := range all {
			sites = append(sites, x.LoginBase)
		}
	}
	var site string
	var some []store.Node
	for _, name := range sites {
		nodes, err := db.NodesOfSite(ctx, name)
		if err != nil {
			return "", nil, err
		}
		if len(nodes) > 0 && some == nil {
			site, some = name, nodes
		}
		if slices.ContainsFunc(nodes, func(n store.Node) bool { return len(n.Feeds) > 0 }) {
			return name, nodes, nil
		}
	}
	if some == nil {
		return "", nil, fmt.Errorf("no site %q with nodes is known", s.site)
	}
	return site, some, nil
}

// sweepTime is how long the first sweep may take: PCUs are slow.
const sweepTime = 15 * time.Minute

// firstSweep has the worker look at the whole fleet and judge it, and shows what it found.
func (s *setup) firstSweep(ctx context.Context) error {
	const name, about = "setup.sweep", "a sweep of the whole fleet comes to its end"
	if s.start == startNothing {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, sweepTime)
	defer cancel()
	if err := s.awaitReady(ctx); err != nil {
		return s.fail(name, about, "the worker's log says why", err)
	}
	v, err := s.follow(ctx, ctx, s.sweepNow)
	if err != nil {
		return s.fail(name, about, "`monitor doctor` says what is missing; the worker's log says why", err)
	}
	f := doctor.Finding{Name: name, About: about, State: doctor.OK, Found: fmt.Sprintf("%d nodes, %d up, %d PCUs; %d issues",
		v.Nodes, v.Up, v.PCUs, v.Opened)}
	if v.Held != "" {
		f.State, f.Found = doctor.Warning, f.Found+"\nit is not believed: "+v.Held
		f.Remedy = "if the fleet really is so, say it: monitor sweep --believe REASON"
	}
	if err := s.tell(f); err != nil {
		return err
	}
	if err := s.examine(ctx, "worker.ready", "web"); err != nil { // where the results must show
		return err
	}
	if s.documents() {
		return nil
	}
	return s.withStore(ctx, func(ctx context.Context, db *store.Store) error {
		status, err := answers.ReadStatus(ctx, db)
		if err == nil {
			s.say("")
			s.drawStatus(status)
		}
		return err
	})
}

// awaitReady waits until the worker takes tasks: only then is there a schedule.
func (s *setup) awaitReady(ctx context.Context) error {
	var last string
	ctx, cancel := context.WithTimeout(ctx, settle)
	defer cancel()
	err := poll(ctx, func() (bool, error) {
		list := doctor.Run(ctx, doctor.Options{Config: s.cfg, Only: []string{"temporal.answers", "temporal.schedule",
			"temporal.worker"}, Each: patience, Now: s.now})
		for _, f := range list {
			if f.State != doctor.OK {
				last = f.Found
				return false, nil
			}
		}
		return true, nil
	})
	if err != nil {
		return fmt.Errorf("the worker is not ready within %s: %s", settle, last)
	}
	return nil
}
