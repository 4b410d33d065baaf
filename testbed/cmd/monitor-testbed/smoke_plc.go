package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/planetlab/monitor/issue"
	sites "github.com/planetlab/monitor/site"
	"github.com/planetlab/monitor/store"
)

// plcScenarios are those in which PLC changes underneath.
func plcScenarios() []scenario {
	return []scenario{
		{id: "SiteRenamed",
			name: "a penalised site is renamed in PLC: it stays one site, and gets back what was taken",
			run:  siteRenamed},
		{id: "SiteDeleted", name: "a penalised site is deleted from PLC: its issues end, and nothing is held for it",
			run: siteDeleted},
	}
}

func (s *stage) siteID(site string) int {
	return s.DB.Get("Sites", "login_base", site)["site_id"].(int)
}

func siteRenamed(ctx context.Context, s *stage) error {
	const before, after = "malmo", "lund"
	if err := s.penalised(ctx, before); err != nil {
		return err
	}
	node, id := host(before, 1), s.siteID(before)
	s.DB.Rename("Sites", id, after)
	err := s.until(ctx, "the store knows its new name", 8, func() (bool, error) {
		n, err := s.Store.Node(ctx, node)
		return n.Site == after, err
	})
	if err != nil {
		return err
	}
	if err := s.mend(before); err != nil {
		return err
	}
	for _, id := range []string{nodeDown(node), pcuDown(before)} {
		if err := s.status(ctx, id, issue.Closed, 15); err != nil {
			return err
		}
	}
	err = s.until(ctx, "nothing is held under either name", 15, func() (bool, error) {
		var held []store.Claim
		for _, name := range []string{before, after} {
			list, err := s.Store.Claims(ctx, store.ClaimFilter{Site: name})
			if err != nil {
				return false, err
			}
			held = append(held, list...)
		}
		if len(held) > 0 {
			return false, fmt.Errorf("held: %+v", held)
		}
		return s.enabled(after) && len(s.Suspended(after)) == 0, nil
	})
	return errors.Join(err, s.opened(ctx, nodeDown(node), 1))
}

func siteDeleted(ctx context.Context, s *stage) error {
	const site = "perth"
	if err := s.penalised(ctx, site); err != nil {
		return err
	}
	s.DB.Delete("Sites", s.siteID(site))
	for _, id := range []string{nodeDown(host(site, 1)), pcuDown(site)} {
		if err := s.status(ctx, id, issue.Closed, 15); err != nil {
			return err
		}
	}
	return s.until(ctx, "nothing is held, and nobody looks after it any more", 15, func() (bool, error) {
		list, err := s.Store.Claims(ctx, store.ClaimFilter{Site: site})
		if err == nil && len(list) > 0 {
			err = fmt.Errorf("held: %+v", list)
		}
		if err != nil {
			return false, err
		}
		running, err := s.isRunning(ctx, sites.ID(site))
		return !running, err
	})
}
