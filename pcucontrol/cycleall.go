package pcucontrol

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/planetlab/monitor/pcucontrol/internal/wait"
)

// FeedResult is what is known of one power feed of a node after CycleAll.
type FeedResult struct {
	Target int    `json:"target"` // which of the targets that were given, from 0
	After  State  `json:"after"`
	Note   string `json:"note,omitempty"`
}

// CycleAll power-cycles a node that has several power feeds: it goes off only when all of them are. All are turned off,
// stay so for the longest off time of the targets, are turned on, and are read back. Before anything is sent each feed
// is looked at, so that a PCU that does not answer leaves the others alone.
//
// The result says of each feed what it is; of the node, After is on where all are, off where any is. An error after any
// off was sent is Ambiguous, and then all that could be turned on again was. One target alone is cycled as by Cycle.
func (c *Catalog) CycleAll(ctx context.Context, feeds []Target) (Result, error) {
	switch len(feeds) {
	case 0:
		return Result{Before: Unknown, After: Unknown}, &Error{NoOutlet, "", "cycle", "no power feed is named"}
	case 1:
		r, err := c.Cycle(ctx, feeds[0])
		r.Feeds = []FeedResult{{0, cmp.Or(r.After, Unknown), noteOf(r, err)}}
		return r, err
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	a := &allFeeds{c: c, feeds: make([]feed, len(feeds))}
	for i, t := range feeds {
		a.feeds[i] = feed{target: t, before: Unknown, after: Unknown}
	}
	if err := a.lookAtAll(ctx); err != nil {
		return a.result(), err
	}
	a.allOff(ctx)
	if !slices.ContainsFunc(a.feeds, func(f feed) bool { return f.sent }) {
		if err := a.firstError(); err != nil {
			return a.result(), err
		}
	}
	if a.firstError() == nil {
		wait.For(ctx, a.pause())
	}
	a.allOn(ctx)
	return a.result(), a.verdict()
}

// feed is one power feed on its way through a cycle of all.
type feed struct {
	target        Target
	before, after State
	sent          bool // off may have been carried out
	off, on       bool // seen so or, where the device cannot tell, said so without an error
	unverified    bool
	tried         []string
	note          string
	err           error
}

type allFeeds struct {
	c     *Catalog
	feeds []feed
}

// each does something for all feeds. Those of one PCU come one after the other, for it serves one session at a time.
func (a *allFeeds) each(do func(*feed)) {
	byHost := map[string][]*feed{}
	for i := range a.feeds {
		host := a.feeds[i].target.Host
		byHost[host] = append(byHost[host], &a.feeds[i])
	}
	var all sync.WaitGroup
	for _, list := range byHost {
		all.Go(func() {
			for _, f := range list {
				do(f)
			}
		})
	}
	all.Wait()
}

// lookAtAll reads all feeds, or logs in where the device cannot tell. Nothing is sent unless all of them answer and can
// be turned off and on.
func (a *allFeeds) lookAtAll(ctx context.Context) error {
	a.each(func(f *feed) {
		m, err := a.c.Resolve(f.target.Model)
		if err == nil && m.Name != Manual &&
			!(slices.Contains(m.Capabilities, "on") && slices.Contains(m.Capabilities, "off")) {
			err = &Error{Unsupported, f.target.Host, "cycle",
				"a node with several power feeds needs PCUs that turn off and on; " + m.Name + " does not"}
		}
		if err != nil {
			f.err = err
			return
		}
		r, err := a.c.Status(ctx, f.target)
		if KindOf(err) == Unsupported {
			r, err = a.c.Test(ctx, f.target)
		}
		f.before, f.after, f.tried, f.err = cmp.Or(r.Before, Unknown), cmp.Or(r.After, Unknown), r.Tried, err
		f.off = f.before == Off
	})
	return a.firstError()
}

// allOff turns off those that are not, within half of the time.
func (a *allFeeds) allOff(ctx context.Context) {
	half, cancel := wait.Half(ctx)
	defer cancel()
	a.each(func(f *feed) {
		if f.off {
			f.note = "found off"
			return
		}
		r, err := a.c.TurnOff(half, f.target)
		f.err, f.off = err, err == nil
		if f.sent = err == nil || KindOf(err) == Ambiguous; f.sent {
			f.after, f.unverified = r.After, !r.Verified
		}
	})
}

func (a *allFeeds) pause() (longest time.Duration) {
	for _, f := range a.feeds {
		longest = max(longest, f.target.OffTime)
	}
	return cmp.Or(longest, DefaultOffTime)
}

// allOn turns on all, whatever became of them: to turn on what is on does no harm.
func (a *allFeeds) allOn(ctx context.Context) {
	ctx, cancel := whileOwed(ctx)
	defer cancel()
	a.each(func(f *feed) {
		r, err := a.c.turnOnAtLast(ctx, f.target)
		if f.on = err == nil; f.on {
			f.after, f.unverified = r.After, f.unverified || !r.Verified
			return
		}
		if f.err = cmp.Or(f.err, err); KindOf(err) == Ambiguous {
			f.after = r.After
		}
	})
}

// firstError is that of the first feed that has one.
func (a *allFeeds) firstError() error {
	i := slices.IndexFunc(a.feeds, func(f feed) bool { return f.err != nil })
	if i < 0 {
		return nil
	}
	return a.feeds[i].err
}

// verdict is the error of a cycle of all of which something was sent.
func (a *allFeeds) verdict() error {
	var why []string
	for i, f := range a.feeds {
		if f.err != nil || !f.on {
			why = append(why, fmt.Sprintf("feed %d (%s) is %s: %v", i+1, f.target.Host, f.after, f.err))
		}
	}
	if len(why) == 0 {
		return nil
	}
	return &Error{Ambiguous, a.feeds[0].target.Host, "cycle all feeds", strings.Join(why, "; ")}
}

func (a *allFeeds) result() Result {
	r := Result{Before: Unknown, After: Unknown, Verified: true}
	var before, after []State
	for i, f := range a.feeds {
		before, after = append(before, f.before), append(after, f.after)
		note := f.note
		if f.err != nil {
			note = strings.TrimPrefix(note+"; "+f.err.Error(), "; ")
		}
		r.Feeds = append(r.Feeds, FeedResult{i, f.after, note})
		r.Verified = r.Verified && f.on && f.off && !f.unverified && f.err == nil
		for _, way := range f.tried {
			r.Tried = append(r.Tried, f.target.Host+" "+way)
		}
	}
	r.Before, r.After = together(before), together(after)
	if !r.Verified && a.firstError() == nil {
		r.Note = "sent, not verified"
	}
	return r
}

// together is the state of a node with these feeds: on where all are, off where any is.
func together(feeds []State) State {
	switch {
	case slices.Contains(feeds, Off):
		return Off
	case slices.Contains(feeds, Unknown):
		return Unknown
	}
	return On
}

func noteOf(r Result, err error) string {
	if err != nil {
		return err.Error()
	}
	return r.Note
}
