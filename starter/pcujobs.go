package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/planetlab/monitor/pcucontrol"
)

// pcusAtOnce is how many targets are worked on at the same time.
const pcusAtOnce = 32

// pcuJobs does one operation to many targets.
type pcuJobs struct {
	a      *app
	c      *pcucontrol.Catalog
	do     operation
	expect pcucontrol.State // empty: any
	form   powerView        // what all answers begin with
	list   bool             // show a list, though it may be of one
}

// run does it, and shows what is known of each, after an error too: what was found before it may be all there is to go
// on.
func (j *pcuJobs) run(ctx context.Context, all []fed) error {
	views := make([]powerView, len(all))
	inTurn(all, func(i int) { views[i] = j.one(ctx, all[i]) })
	var shown error
	if j.list {
		shown = j.a.show(views, func() { j.a.drawPowers(views) })
	} else {
		shown = j.a.show(views[0], func() { j.a.drawPower(views[0]) })
	}
	return errors.Join(j.verdict(views), shown)
}

// inTurn works on many targets at a time, but on one at a time of each PCU, which serves one session.
func inTurn(all []fed, work func(i int)) {
	hosts := map[string]*sync.Mutex{}
	for _, one := range all {
		for _, t := range one.feeds {
			if hosts[t.Host] == nil {
				hosts[t.Host] = &sync.Mutex{}
			}
		}
	}
	var running sync.WaitGroup
	slots := make(chan struct{}, pcusAtOnce)
	for i, one := range all {
		running.Go(func() {
			for _, host := range one.hosts() { // in one order for all, so that no two wait for each other
				hosts[host].Lock()
				defer hosts[host].Unlock()
			}
			slots <- struct{}{}
			defer func() { <-slots }()
			work(i)
		})
	}
	running.Wait()
}

// hosts are those of the feeds, sorted, each once.
func (f fed) hosts() []string {
	var list []string
	for _, t := range f.feeds {
		list = append(list, t.Host)
	}
	slices.Sort(list)
	return slices.Compact(list)
}

func (j *pcuJobs) one(ctx context.Context, one fed) powerView {
	v, t := j.form, one.feeds[0]
	v.Target, v.Model, v.Host, v.Outlet, v.OutletName = one.name, t.Model, t.Host, t.Outlet, t.OutletName
	ctx, cancel := j.a.within(ctx, pcuPatience)
	defer cancel()
	if v.Result, v.err = j.do(j.c, ctx, one.feeds); v.err != nil {
		v.Kind, v.Error = pcucontrol.KindOf(v.err), v.err.Error()
		var known *pcucontrol.Error
		v.RetrySafe = errors.As(v.err, &known) && known.RetrySafe()
	}
	return v
}

// trace shows the conversations with all feeds on standard error, of several with the host before each line.
func (a *app) trace(all []fed, several bool) {
	var mu sync.Mutex
	for i := range all {
		for j := range all[i].feeds {
			where := ""
			if several {
				where = all[i].feeds[j].Host + " "
			}
			all[i].feeds[j].Trace = func(line string) {
				mu.Lock()
				defer mu.Unlock()
				fmt.Fprintln(a.err, clean(where+line))
			}
		}
	}
}

// verdict is the error of all: that of the first one and, where they are of several kinds, the exit code of a plain
// failure.
func (j *pcuJobs) verdict(views []powerView) error {
	var failed []powerView
	var other []string
	for _, v := range views {
		switch {
		case v.err != nil:
			failed = append(failed, v)
		case j.expect != "" && v.After != j.expect:
			other = append(other, fmt.Sprintf("%s is %s", v.outlet(), v.After))
		}
	}
	switch {
	case len(failed) == 1 && len(views) == 1:
		return failed[0].err
	case len(failed) > 0:
		same := !slices.ContainsFunc(failed, func(v powerView) bool { return v.Kind != failed[0].Kind })
		err := fmt.Errorf("%d of %d targets failed, the first one: %w", len(failed), len(views), failed[0].err)
		if !same {
			return &exitError{exitFailure, err}
		}
		return err
	case len(other) > 0:
		return &exitError{exitNotExpected, fmt.Errorf("not %s as expected: %s", j.expect, strings.Join(other, ", "))}
	}
	return nil
}

func (a *app) drawPowers(views []powerView) {
	var rows []row
	for _, v := range views {
		note := v.Note
		if v.Error != "" {
			note = v.Error
		}
		verified := "no"
		if v.Verified {
			verified = "yes"
		}
		rows = append(
			rows,
			row{v.outlet(), a.state(orDash(string(v.Before))), a.state(orDash(string(v.After))), verified,
				orDash(note)},
		)
	}
	a.table("no targets", row{"TARGET", "BEFORE", "AFTER", "VERIFIED", "NOTE"}, rows)
}
