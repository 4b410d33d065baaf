package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/store"
	"github.com/planetlab/monitor/testbed"
	"github.com/planetlab/monitor/testbed/fakenode"
)

func failboot(host string) string { return issue.Failboot + "/" + host }

func stuckNode(ctx context.Context, s *stage) error {
	const site, fix = "sydney", "BootManager.py boot"
	node := host(site, 1)
	if err := s.Break(node, testbed.Fault{State: fakenode.Debug, FixedBy: testbed.Bootman, Fix: fix}); err != nil {
		return err
	}
	if err := s.status(ctx, failboot(node), issue.Closed, 20); err != nil {
		return err
	}
	if err := s.days(ctx, 2); err != nil { // it stays closed
		return err
	}
	acts, err := s.acts(ctx, node)
	repairs := slices.DeleteFunc(acts, func(a store.Action) bool { return a.Kind == "skip" }) // a visit may have met the BootManager at work
	if len(repairs) != 1 || repairs[0].Kind != "bootman" || repairs[0].Outcome != store.Sent {
		return errors.Join(err, fmt.Errorf("the ledger of %s says %+v, want one run of bootman", node, repairs))
	}
	var all []error
	log, logErr := s.Store.LastBootLog(ctx, node)
	if !strings.Contains(repairs[0].Reason, log.Sequence) {
		all = append(all, fmt.Errorf("the log kept is of %s, and what was done of %s", log.Sequence, repairs[0].Reason))
	}
	if told := s.Told(node); !slices.Equal(told, []string{fix}) {
		all = append(all, fmt.Errorf("%s was told %q, want %q", node, told, fix))
	}
	return errors.Join(append(all, err, logErr, s.opened(ctx, failboot(node), 1), s.opened(ctx, nodeDown(node), 0), s.cuts(node, 0), s.nobodyMailed(site))...)
}
