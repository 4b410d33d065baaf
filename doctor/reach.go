package doctor

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/planetlab/monitor/activities"
	"github.com/planetlab/monitor/connect"
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/probe"
	"github.com/planetlab/monitor/store"
)

// tried is how many nodes of a kind each key is tried on, and how many PCUs have a dry run.
const tried = 3

func sshProduction(ctx context.Context, v *visit) Finding {
	f := v.ssh(ctx, "in production", func(n store.Node) bool { return n.State == policy.StateBoot })
	if f.State == Warning {
		f.State = Failed
	}
	return f
}

func sshDebug(ctx context.Context, v *visit) Finding {
	return v.ssh(ctx, "in debug mode", func(n store.Node) bool { return n.State == policy.StateDebug })
}

// ssh tries each key alone on a few nodes of a kind.
func (v *visit) ssh(ctx context.Context, kind string, is func(store.Node) bool) Finding {
	if !v.haveTables(ctx) {
		return skipped("no node is known yet")
	}
	all, err := v.db.Nodes(ctx, 0, 1<<20)
	if err != nil {
		return failed("see postgres.rights", "%v", err)
	}
	var some []probe.Target
	for _, n := range all {
		if is(n) && len(some) < tried {
			some = append(some, probe.Target{Host: n.Hostname, IP: n.IP, Site: n.Site})
		}
	}
	if len(some) == 0 {
		return skipped("no node is known to be %s", kind)
	}
	keys, err := connect.SSHKeys(v.cfg.Probe)
	if err != nil {
		return failed("name a key that PLC's nodes take, readable to this account", "%v", err)
	}
	opens := 0
	var said []string
	for i, file := range v.cfg.Probe.Keys() {
		opened, why := v.opens(ctx, keys[i], some)
		opens += len(opened)
		if len(opened) > 0 {
			said = append(said, fmt.Sprintf("%s opens %s", file.Path, strings.Join(opened, ", ")))
		} else {
			said = append(said, fmt.Sprintf("%s opens none of %d: %s", file.Path, len(some), why))
		}
	}
	if opens == 0 {
		return warning("name the private half of the key that PLC puts on nodes "+kind+
			", in probe.ssh_key_file or probe.ssh_key_files", "%s", strings.Join(said, "\n"))
	}
	return found("%s", strings.Join(said, "\n"))
}

// opens are the nodes that let one key in, or why the last one does not.
func (v *visit) opens(ctx context.Context, key ssh.Signer, nodes []probe.Target) (opened []string, why string) {
	p := v.cfg.Probe
	prober := probe.New(probe.Options{SSHUser: p.SSHUser, SSHKeys: []ssh.Signer{key}, SSHPorts: p.SSHPorts,
		PortMap: p.PortMap, Timeout: p.Timeout, Tries: p.Tries, Resolver: p.Resolver})
	prober.Nodes(ctx, nodes, func(r probe.NodeResult) {
		switch {
		case r.SSH.OK:
			opened = append(opened, r.Host)
		case r.Fault != "":
			why = r.Fault
		default:
			why = r.SSH.Failure
		}
	})
	return opened, why
}

func pcus(ctx context.Context, v *visit) Finding {
	if !v.haveTables(ctx) {
		return skipped("no PCU is known yet")
	}
	all, err := v.db.PCUs(ctx, 0, 1<<20)
	if err != nil {
		return failed("see postgres.rights", "%v", err)
	}
	catalog, err := connect.PCUs(v.cfg.PCU)
	if err != nil {
		return failed("mend the model file", "%v", err)
	}
	reach, err := activities.NewReach(v.cfg.PCU.Networks)
	if err != nil {
		return failed("mend pcu.networks", "%v", err)
	}
	o := activities.Options{Store: v.db, Policy: v.cfg.Policy.InRealTime(), Log: slog.New(slog.DiscardHandler),
		PCUs: catalog, PCUTimeout: v.cfg.PCU.OperationTimeout, PCUConnect: v.cfg.PCU.ConnectTimeout,
		PCULegacy: v.cfg.PCU.Legacy, PCUReach: reach, PCUClear: v.cfg.PCU.ClearText}
	models, passed := map[string]bool{}, 0
	var said []string
	for _, p := range all {
		if models[p.Model] || len(models) == tried {
			continue
		}
		models[p.Model] = true
		ok, reason, err := activities.DryRun(ctx, o, p)
		if err != nil {
			ok, reason = false, err.Error()
		}
		word := "fails"
		if ok {
			word, passed = "passes", passed+1
		}
		said = append(said, fmt.Sprintf("%s (%s) %s: %s", p.Name, p.Model, word, reason))
	}
	switch {
	case len(said) == 0:
		return skipped("no PCU is known yet")
	case passed < len(said):
		return warning("`monitor pcu test` with --trace shows what a device says; a firewall, pcu.networks and the password in PLC are the usual causes",
			"%s", strings.Join(said, "\n"))
	}
	return found("%s", strings.Join(said, "\n"))
}
