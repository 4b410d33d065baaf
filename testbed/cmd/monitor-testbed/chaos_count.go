package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/planetlab/monitor/store"
)

// acts counts what was done, or may have been.
type acts map[string]int

// wanted are the acts of which a run that does none of them proves nothing.
func wanted() []string {
	return []string{"reboots", "reinstallations", "messages", "penalties raised", "penalties lowered"}
}

func (t acts) add(a store.Action) {
	if !a.Begun() || a.Outcome == store.Failed || a.Outcome == store.Refused || a.Outcome == store.Skipped {
		return
	}
	switch a.Kind {
	case store.KindReboot:
		t["reboots"]++
	case store.KindReinstall:
		t["reinstallations"]++
	case store.KindNotice:
		t["messages"]++
	case store.KindPenalty:
		var step struct{ From, To int }
		if json.Unmarshal(a.Data, &step); step.To > step.From {
			t["penalties raised"]++
		} else {
			t["penalties lowered"]++
		}
	default:
		t[string(a.Kind)]++
	}
}

// summary says what Monitor did meanwhile, and what it did not do at all: of that a run proves nothing.
func (c *chaos) summary(ctx context.Context) (acts, error) {
	list, err := c.Store.Actions(ctx, store.ActionFilter{Limit: 1_000_000})
	if err != nil {
		return nil, fmt.Errorf("the ledger cannot be read: %w", err)
	}
	done, outcomes, why := acts{}, map[string]int{}, map[string]int{}
	for _, a := range list {
		if a.Kind == store.KindSkip || a.Kind == store.KindGuard {
			why[withoutDigits(a.Reason)] += a.Times
			continue
		}
		done.add(a)
		outcomes[strings.TrimSpace(string(a.Kind)+" "+a.Outcome)]++
	}
	c.list("ledger: ", outcomes)
	if c.o.verbose {
		c.list("not acted: ", why)
	}
	return done, nil
}

func (c *chaos) list(what string, counts map[string]int) {
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		fmt.Fprintf(c.out, "%6d  %s%.160s\n", counts[name], what, name)
	}
}

func withoutDigits(text string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return -1
		}
		return r
	}, text)
}

// report says what failed, what was done, and what was found.
func (c *chaos) report(done acts, found []string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.list("", c.counts)
	c.list("done: ", done)
	for _, f := range found {
		fmt.Fprintln(c.out, "FOUND  ", f)
	}
	var missing []string
	for _, what := range wanted() {
		if done[what] == 0 {
			missing = append(missing, what)
		}
	}
	if len(missing) > 0 {
		fmt.Fprintf(c.out, "PROVES LITTLE: no %s\n", strings.Join(missing, ", no "))
	}
	fmt.Fprintf(c.out, "%d kills of workers, %d sweeps believed, %s without one, %d findings\n", c.counts[killed],
		c.sweeps, c.held.Round(time.Second), len(found))
	switch {
	case len(found) > 0:
		return fmt.Errorf("chaos found %d things; --seed %d repeats the draws", len(found), c.o.seed)
	case c.counts[killed] == 0:
		return errors.New("chaos proved nothing: no worker was killed; try it on a machine that is less busy, or for longer")
	}
	return nil
}
