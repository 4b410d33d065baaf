package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.temporal.io/api/workflowservice/v1"

	"github.com/planetlab/monitor/activities"
	"github.com/planetlab/monitor/issue"
	sites "github.com/planetlab/monitor/site"
	"github.com/planetlab/monitor/store"
)

// books are what the store and Temporal say at one moment.
type books struct {
	sweep   int64 // the last that had ended before the rest was read
	open    map[string]store.Issue
	claims  map[string][]store.Claim // by site
	running map[string]bool          // workflows, by id
	mended  map[string]string        // runs whose end the reconciler put right, with the issue
}

// readBooks asks the store and Temporal once for all.
func (s *stage) readBooks(ctx context.Context) (*books, error) {
	b := &books{open: map[string]store.Issue{}, claims: map[string][]store.Claim{}, running: map[string]bool{},
		mended: map[string]string{}}
	sweep, err := s.Store.LastSweep(ctx)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, err
	}
	b.sweep = sweep.ID
	var page []byte
	for {
		list, err := s.Temporal.ListWorkflow(ctx, &workflowservice.ListWorkflowExecutionsRequest{PageSize: 1000,
			NextPageToken: page,
			Query:         "ExecutionStatus = 'Running' AND TaskQueue = '" + activities.TaskQueue + "'"})
		if err != nil {
			return nil, err
		}
		for _, e := range list.Executions {
			b.running[e.Execution.WorkflowId] = true
		}
		if page = list.NextPageToken; len(page) == 0 {
			break
		}
	}
	issues, err := s.Store.Issues(ctx, store.IssueFilter{Open: true, Limit: 10000})
	if err != nil {
		return nil, err
	}
	for _, i := range issues {
		b.open[i.ID] = i
	}
	claims, err := s.Store.Claims(ctx, store.ClaimFilter{})
	if err != nil {
		return nil, err
	}
	for _, c := range claims {
		b.claims[c.Site] = append(b.claims[c.Site], c)
	}
	repairs, err := s.Store.Actions(ctx, store.ActionFilter{Kind: store.KindReconcile, Limit: 10000})
	for _, a := range repairs {
		b.mended[a.RunID] = a.Issue
	}
	return b, err
}

// disagreements are what does not fit together at a site.
func (s *stage) disagreements(b *books, t trouble, site string) (found []string) {
	say := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }
	for id, i := range b.open {
		if i.Site == site && !b.running[id] {
			say("%s is open and has no workflow", id)
		}
	}
	for id := range b.running {
		_, open := b.open[id]
		if !strings.HasPrefix(id, sites.Type+"/") && !open && (strings.HasSuffix(id, "."+site+".example") ||
			strings.HasSuffix(id, "/"+site)) {
			say("%s runs, and the store has it closed", id)
		}
	}
	disabled, suspended, held, off := false, map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, c := range b.claims[site] {
		if _, open := b.open[c.Issue]; !open && c.Kind != store.ClaimSiteDisabled &&
			c.Kind != store.ClaimSliceSuspended {
			say("%s of %s is held for %s, which is closed", c.Kind, c.Target, c.Issue)
		}
		switch c.Kind {
		case store.ClaimSiteDisabled:
			disabled = true
		case store.ClaimSliceSuspended:
			suspended[c.Target] = true
		case store.ClaimNodeDisabled, store.ClaimBootState:
			held[c.Target] = true
		case store.ClaimOutlet:
			off[c.Target] = true
		}
		if !b.running[sites.ID(site)] && c.Kind != store.ClaimNodeDisabled && c.Kind != store.ClaimBootState &&
			c.Kind != store.ClaimOutlet {
			say("%s %s is held, and the site has no workflow", c.Kind, c.Target)
		}
	}
	if in := s.DB.Get("Sites", "login_base", site)["enabled"] != true; in != disabled {
		say("PLC has the site disabled: %t, the claims: %t", in, disabled)
	}
	for _, name := range s.Suspended(site) {
		if !suspended[name] {
			say("%s is suspended without a claim", name)
		}
		delete(suspended, name)
	}
	if len(suspended) > 0 {
		say("slices are claimed as suspended and are not: %v", suspended)
	}
	for n := 1; n <= t.nodes; n++ {
		h := host(site, n)
		if state := s.DB.Get("Nodes", "hostname", h)["boot_state"]; state != "boot" && !held[h] {
			say("PLC has %s at %v without a claim", h, state)
		}
		if !s.Powered(h) && len(off) == 0 {
			say("%s is off, and no outlet is owed", h)
		}
	}
	return found
}

// next is what the issue comes to that a text begins with.
func (b *books) next(text string) string {
	id, _, _ := strings.Cut(text, " ")
	if b == nil || b.open[id].ID == "" {
		return ""
	}
	return fmt.Sprintf("; it is %s, next: %s, at %s", b.open[id].Status, b.open[id].Next,
		b.open[id].NextAt.Format(time.TimeOnly))
}

// memory is what an open issue remembers.
func (b *books) memory(id string) (issue.State, bool) {
	i, open := b.open[id]
	if !open {
		return issue.State{}, false
	}
	state, err := i.Memory()
	return state, err == nil
}
