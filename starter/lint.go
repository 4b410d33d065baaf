package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/planetlab/monitor/answers"
	"github.com/planetlab/monitor/connect"
	"github.com/planetlab/monitor/lint"
	"github.com/planetlab/monitor/selection"
	"github.com/planetlab/monitor/store"
)

const lintAbout = `Find what is wrong with what the inventory (PLC, a file or Ansible) says, as the last sweep read it: an address or an outlet
that is there twice, a node without a primary interface, a name that does not lead to its address, a PCU without node, model
or password, a model that nothing drives, a site with machines and nobody to write to. What is not known is no finding:
whether the name of a node leads to its address is what the last look at it found, and names of PCUs are asked for with
--dns alone. It ends with 0 when nothing is found, and with 6 when something should be mended.

` + selectHelp + `
They select nodes, sites and PCUs, with which something may be wrong or nothing; --rule is for what is wrong.`

func (a *app) lint() *cobra.Command {
	var l listing
	var only []string
	var dns bool
	cmd := &cobra.Command{
		Use: "lint", Short: "Find what is wrong with what the inventory says", Args: takes(), Long: lintAbout,
		Example: `  monitor lint
  monitor lint --select site=princeton --sort rule
  monitor lint --rule outlet-twice,address-twice -o json
  monitor lint --dns`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			for _, id := range only {
				if err := oneOf("--rule", id, lint.Rules()); err != nil {
					return err
				}
			}
			found := 0
			s := a.findingSource(dns)
			s.keep = func(f *selection.Finding) bool {
				return f.Rule != "" && (len(only) == 0 || slices.Contains(only, f.Rule))
			}
			s.own = func(rows []selection.Finding) (any, func()) {
				return append([]selection.Finding{}, rows...), func() { a.drawFindings(rows) }
			}
			s.kept = func(n int) { found = n }
			if err := list(cmd.Context(), a, &l, s); err != nil {
				return err
			}
			if found > 0 {
				return &exitError{exitToMend, fmt.Errorf("%s to mend", several(found, "thing"))}
			}
			return nil
		},
	}
	l.addFlags(cmd)
	cmd.Flags().StringSliceVar(&only, "rule", nil, "only what breaks these `rules`: "+strings.Join(lint.Rules(), ", "))
	cmd.Flags().BoolVar(&dns, "dns", false, "ask now for the names of nodes and PCUs, from this machine")
	_ = cmd.RegisterFlagCompletionFunc("rule", a.fixed(lint.Rules()...))
	return cmd
}

func (a *app) findingSource(dns bool) source[selection.Finding] {
	return source[selection.Finding]{
		table: selection.Findings(lint.Rules()),
		brief: []string{"name", "site", "rule", "what", "do"},
		wide:  []string{"kind"},
		read: func(ctx context.Context, db *store.Store, _ func(string) bool) ([]selection.Finding, store.Unreadable, error) {
			cfg, err := a.config()
			if err != nil {
				return nil, nil, err
			}
			models, err := connect.PCUs(cfg.PCU)
			if err != nil {
				return nil, nil, badInput("%w", err)
			}
			o := lint.Options{Models: models}
			if !dns {
				return answers.Lint(ctx, db, o)
			}
			fleet, bad, err := db.LintFleet(ctx)
			if err != nil {
				return nil, bad, err
			}
			if unknown := askNames(ctx, fleet); unknown > 0 {
				a.warn("%s could not be asked for: nothing is said of them", several(unknown, "name"))
			}
			return lint.Check(fleet, o), bad, nil
		},
		over: func(ctx context.Context, r *apiServer, _ func(string) bool) ([]selection.Finding, error) {
			if dns {
				return nil, badInput("--dns asks from where Monitor's own configuration is: leave it out, or do not work over the API")
			}
			return rowsOf[selection.Finding](ctx, r, "/lint", map[string][]string{"all": {"true"}}, 0)
		},
	}
}

func (a *app) drawFindings(list []selection.Finding) {
	var rows []row
	for _, f := range list {
		rows = append(rows, row{f.Name, f.Site, f.Rule, f.What, f.Do})
	}
	a.table("nothing is wrong", row{"NAME", "SITE", "RULE", "WHAT", "WHAT TO DO"}, rows)
}

// several is a number of things.
func several(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// How name servers are asked: so many names at once, each for so long, and a part of the command's time for all.
const (
	namesAtOnce = 40
	nameWait    = 3 * time.Second
)

// askNames asks for the names of a fleet, and writes down what is known of each. Its answer is how many could not be
// asked for.
func askNames(ctx context.Context, f lint.Fleet) (unknown int) {
	if until, bounded := ctx.Deadline(); bounded { // the rest is for what was found
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, until.Add(-time.Until(until)/5))
		defer cancel()
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	turn := make(chan struct{}, namesAtOnce)
	ask := func(name, ip string, said *string) {
		*said = ""
		if !strings.Contains(name, ".") { // for people: no name server has it
			return
		}
		if _, err := netip.ParseAddr(name); err == nil {
			return
		}
		wg.Go(func() {
			turn <- struct{}{}
			defer func() { <-turn }()
			within, cancel := context.WithTimeout(ctx, nameWait)
			defer cancel()
			addresses, err := net.DefaultResolver.LookupHost(within, name)
			mu.Lock()
			defer mu.Unlock()
			var none *net.DNSError
			switch {
			case errors.As(err, &none) && none.IsNotFound:
				*said = lint.DNSNoEntry
			case err != nil:
				unknown++
			case ip != "" && !leadsTo(addresses, ip):
				*said = lint.DNSMismatch
			}
		})
	}
	for i := range f.Nodes {
		ask(f.Nodes[i].Host, f.Nodes[i].IP, &f.Nodes[i].DNS)
	}
	for i := range f.PCUs {
		ask(f.PCUs[i].Hostname, f.PCUs[i].IP, &f.PCUs[i].DNS)
	}
	wg.Wait()
	return unknown
}

// leadsTo reports whether an address, perhaps with a port, is one of those.
func leadsTo(addresses []string, ip string) bool {
	if at, err := netip.ParseAddrPort(ip); err == nil {
		ip = at.Addr().String()
	}
	want, err := netip.ParseAddr(ip)
	return err != nil || slices.ContainsFunc(addresses, func(s string) bool {
		is, err := netip.ParseAddr(s)
		return err == nil && is.Unmap() == want.Unmap()
	})
}
