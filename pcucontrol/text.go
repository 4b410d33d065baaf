package pcucontrol

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// text drives a device by a conversation, over one transport.
type text struct {
	c         conversation
	transport string
}

// talk is a conversation going on.
type talk struct {
	text
	*session
	state     State // as last read
	listed    []OutletState
	committed bool // the power may have been switched
}

func (d text) open(ctx context.Context, t Target) (*talk, error) {
	for try := 0; ; try++ {
		s, err := d.dial(ctx, t)
		if KindOf(err) == Unexpected && try < d.c.Redials { // ssh, hung up within the handshake
			continue
		}
		if err != nil {
			return nil, err
		}
		k := &talk{text: d, session: s, state: Unknown}
		steps := d.c.Login
		if d.transport == "ssh" {
			if steps = d.c.Welcome; len(steps) == 0 {
				steps = []step{{}}
			}
		}
		if err = k.run(ctx, "log in", steps); err == nil {
			return k, nil
		}
		s.Close()
		if !s.hungUp || s.total > 0 || try >= d.c.Redials {
			return nil, err
		}
	}
}

func (d text) dial(ctx context.Context, t Target) (*session, error) {
	s, err := dialText(ctx, t, d.transport)
	if err == nil && d.c.Line != "" {
		s.nl = d.c.Line
	}
	return s, err
}

// with runs f in a conversation and leaves it as a person would, so that the device's only session is free at once. A little
// time is kept for the leaving.
func (d text) with(ctx context.Context, t Target, f func(context.Context, *talk) error) error {
	work := ctx
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		work, cancel = context.WithDeadline(ctx, deadline.Add(-min(time.Second, time.Until(deadline)/10)))
		defer cancel()
	}
	k, err := d.open(work, t)
	if err != nil {
		return err
	}
	defer k.Close()
	err = f(work, k)
	if !k.hungUp {
		leave, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		_ = k.run(leave, "leave", d.c.Leave)
	}
	return err
}

func (d text) test(ctx context.Context, t Target) (Result, error) {
	r := Result{Before: Unknown, After: Unknown, Note: "logged in"}
	err := d.with(ctx, t, func(ctx context.Context, k *talk) error {
		steps := d.c.Test
		if len(steps) == 0 {
			steps = d.c.Status
		}
		if t.Outlet == 0 && !d.c.Single || len(steps) == 0 {
			return nil
		}
		if !d.c.Single {
			r.Note = "logged in and found the outlet"
		}
		return k.run(ctx, "test", steps)
	})
	r.Verified = err == nil
	return r, err
}

func (d text) status(ctx context.Context, t Target) (Result, error) {
	r := Result{Before: Unknown, After: Unknown}
	if len(d.c.Status) == 0 {
		return r, unsupported(t, "status")
	}
	err := d.with(ctx, t, func(ctx context.Context, k *talk) error {
		err := k.run(ctx, "status", d.c.Status)
		r.Before, r.After = k.state, k.state
		return err
	})
	r.Verified = err == nil && r.After != Unknown
	return r, err
}

func (d text) list(ctx context.Context, t Target) ([]OutletState, error) {
	if len(d.c.List) == 0 {
		return nil, unsupported(t, "list")
	}
	var found []OutletState
	err := d.with(ctx, t, func(ctx context.Context, k *talk) error {
		err := k.run(ctx, "list", d.c.List)
		found = k.listed
		return err
	})
	return found, err
}

// outlets finds the outlets that a text lists.
func (c conversation) outlets(each *regexp.Regexp, heard string) []OutletState {
	var found []OutletState
	for _, m := range each.FindAllStringSubmatch(heard, -1) {
		o := OutletState{State: Unknown}
		for i, group := range each.SubexpNames() {
			switch group {
			case "outlet":
				o.Outlet, _ = strconv.Atoi(m[i])
			case "name":
				o.Name = strings.TrimSpace(m[i])
			case "state":
				o.State = c.States.of(m[i])
			}
		}
		found = append(found, o)
	}
	return found
}

func unsupported(t Target, what string) error {
	return &Error{Unsupported, t.Host, what, "the device has no word for it"}
}

func (d text) set(ctx context.Context, t Target, op operation) (r Result, err error) {
	r = Result{Before: Unknown, After: Unknown}
	err = d.with(ctx, t, func(ctx context.Context, k *talk) error {
		r, err = k.switches().set(ctx, t, op)
		return err
	})
	return r, err
}

func (k *talk) switches() switches {
	do := func(doing string, steps []step) func(context.Context) error {
		if len(steps) == 0 {
			return nil
		}
		return func(ctx context.Context) error {
			defer func() { k.committed = false }()
			return k.run(ctx, doing, steps)
		}
	}
	s := switches{on: do("on", k.c.On), off: do("off", k.c.Off), cycle: do("cycle", k.c.Cycle), reset: do("reset", k.c.Reset), shutdown: do("shutdown", k.c.Shutdown), pause: time.Duration(k.c.Pause), dead: func() bool { return k.hungUp }}
	if len(k.c.Status) == 0 {
		return s
	}
	steps := k.c.Status
	s.read = func(ctx context.Context) (State, error) {
		k.state = Unknown // where reading fails, what was read before the command says nothing
		err := k.run(ctx, "status", steps)
		if steps = k.c.Recheck; len(steps) == 0 {
			steps = k.c.Status
		}
		return k.state, err
	}
	return s
}

// run goes through steps. An error after the commit is ambiguous, unless it is the device's own refusal of that very step.
func (k *talk) run(ctx context.Context, doing string, steps []step) error {
	for _, s := range steps {
		if len(s.Only) > 0 && !slices.Contains(s.Only, k.transport) {
			continue
		}
		before := k.committed
		meant, err := k.step(ctx, doing, s)
		switch {
		case err == nil:
		case before || k.committed && !meant:
			return ambiguous(k.t, doing, err)
		default:
			return err
		}
	}
	return nil
}

// step says its lines and hears the answers; meant is whether an error was the device's own word.
func (k *talk) step(ctx context.Context, doing string, s step) (meant bool, err error) {
	var heard strings.Builder
	hear := "{prompt}"
	for i := range max(1, len(s.Say)) {
		last := i+1 >= len(s.Say)
		if last && s.Hear != "" {
			hear = s.Hear
		}
		line := ""
		if i < len(s.Say) {
			line = k.c.fill(s.Say[i], k.t, asItIs) + k.nl
		}
		if keys := k.c.fill(s.Press, k.t, asItIs) + line; keys != "" {
			sent, err := k.send(ctx, doing, keys)
			if err != nil {
				k.committed = k.committed || last && s.Commit && sent
				return false, err
			}
		}
		k.committed = k.committed || last && s.Commit
		heardNow, meant, err := k.hear(ctx, doing, s, hear)
		if err != nil {
			return meant, err
		}
		heard.WriteString(heardNow)
	}
	return k.understand(doing, s, heard.String())
}

func asItIs(s string) string { return s }

// hear listens until the step's words come, answering what is asked before that.
func (k *talk) hear(ctx context.Context, doing string, s step, hear string) (text string, meant bool, err error) {
	texts := []string{hear}
	for _, a := range s.Answers {
		texts = append(texts, a.Hear)
	}
	meanings := slices.Concat(s.Errors, k.c.Errors)
	for _, e := range meanings {
		texts = append(texts, e.Hear)
	}
	patterns := make([]*regexp.Regexp, len(texts))
	for i := range texts {
		if patterns[i], err = k.c.pattern(texts[i], k.t); err != nil {
			return "", false, k.fail(Unexpected, doing, mask(err.Error(), k.t.Password))
		}
	}
	var all strings.Builder
	asked := make([]int, len(s.Answers))
	listen, waiting := ctx, false
	for {
		i, heard, err := k.await(listen, doing, s.Nudge, patterns)
		switch {
		case err != nil && waiting && ctx.Err() == nil && !k.hungUp && len(k.heard) > 0: // it has begun to answer
			listen = ctx
			continue
		case err != nil && waiting && ctx.Err() == nil && !k.hungUp && k.total <= maxRead:
			return all.String(), false, nil
		case err != nil:
			return "", false, err
		}
		all.WriteString(heard)
		n := i - 1
		switch {
		case i == 0 && s.answered() && hear == "{prompt}" && promptsOnly(patterns[0], all.String()):
			if waiting {
				continue
			}
			var cancel context.CancelFunc
			listen, cancel = context.WithTimeout(ctx, s.patience())
			defer cancel()
			waiting = true
			continue
		case i == 0:
			return all.String(), false, nil
		}
		if n >= len(s.Answers) {
			m := meanings[n-len(s.Answers)]
			return "", true, k.fail(m.Kind, doing, m.told(mask(lastLine(heard), k.t.Password)))
		}
		a := s.Answers[n]
		if asked[n]++; asked[n] > max(1, a.Times) {
			return "", a.Again != "", k.fail(cmp.Or(a.Again, Unexpected), doing, "the device asks again: "+mask(lastLine(heard), k.t.Password))
		}
		keys := k.c.fill(a.Press, k.t, asItIs)
		if a.Press == "" {
			keys = k.c.fill(a.Say, k.t, asItIs) + k.nl
		}
		if _, err := k.send(ctx, doing, keys); err != nil {
			return "", false, err
		}
	}
}

// answered says whether a step's line has more of an answer than the next prompt, at least its echo.
func (s step) answered() bool { return s.Commit || s.Read != "" || s.Expect != "" }

// patience is how long a prompt that came alone may belong to what was said before: a shell behind a terminal that takes CR LF for two lines
// prompts twice.
func (s step) patience() time.Duration {
	if s.Read != "" || s.Expect != "" {
		return 5 * time.Second
	}
	return time.Second
}

// promptsOnly says whether a text is prompts and nothing else.
func promptsOnly(prompt *regexp.Regexp, text string) bool {
	for text = strings.TrimSpace(text); text != ""; text = strings.TrimSpace(text) {
		at := prompt.FindStringIndex(text)
		if at == nil {
			at = prompt.FindStringIndex(text + " ") // one that ends in a space
		}
		if at == nil || at[0] >= len(text) {
			return false
		}
		text = text[:at[0]]
	}
	return true
}

func lastLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return strings.TrimSpace(lines[len(lines)-1])
}

// understand finds the state, and what was expected, in what was heard.
func (k *talk) understand(doing string, s step, heard string) (meant bool, err error) {
	if s.Expect != "" {
		if p, err := k.c.pattern(s.Expect, k.t); err != nil || !p.MatchString(heard) {
			return !s.Commit, k.fail(Refused, doing, "heard: "+tail(mask(heard, k.t.Password)))
		}
	}
	if s.Each != "" {
		p, err := k.c.pattern(s.Each, k.t)
		if err != nil {
			return false, k.fail(Unexpected, doing, mask(err.Error(), k.t.Password))
		}
		k.listed = append(k.listed, k.c.outlets(p, heard)...)
	}
	if s.Read == "" {
		return false, nil
	}
	p, err := k.c.pattern(s.Read, k.t)
	if err != nil {
		return false, k.fail(Unexpected, doing, mask(err.Error(), k.t.Password))
	}
	m := p.FindStringSubmatch(heard)
	if m == nil {
		return true, k.fail(NoOutlet, doing, fmt.Sprintf("it says nothing of outlet %d; heard: %s", k.t.Outlet, tail(mask(heard, k.t.Password))))
	}
	k.state = k.c.States.of(m[1])
	return false, nil
}
