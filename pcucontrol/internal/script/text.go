package script

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/planetlab/monitor/pcucontrol"
	"github.com/planetlab/monitor/pcucontrol/internal/power"
	"github.com/planetlab/monitor/pcucontrol/internal/secret"
	"github.com/planetlab/monitor/pcucontrol/internal/wire"
)

// textDriver drives a device by a conversation, over one transport.
type textDriver struct {
	c         Conversation
	transport string
}

// talk is a conversation going on.
type talk struct {
	textDriver
	*wire.Session
	state     pcucontrol.State // as last read
	listed    []pcucontrol.OutletState
	committed bool // the power may have been switched
	strays    int  // answers that may have been given once too often, and whose own answers are still to come
}

func (d textDriver) open(ctx context.Context, t pcucontrol.Target) (*talk, error) {
	for try := 0; ; try++ {
		s, err := d.dial(ctx, t)
		if pcucontrol.KindOf(err) == pcucontrol.Unexpected && try < d.c.Redials { // ssh, hung up within the handshake
			continue
		}
		if err != nil {
			return nil, err
		}
		k := &talk{textDriver: d, Session: s, state: pcucontrol.Unknown}
		steps := d.c.Login
		if d.transport == "ssh" {
			if steps = d.c.Welcome; len(steps) == 0 {
				steps = []step{{}}
			}
		}
		if err = k.run(ctx, loggingIn, steps); err == nil {
			k.catchUp(ctx)
			return k, nil
		}
		s.Close()
		if !s.HungUp || s.Total > 0 || try >= d.c.Redials {
			return nil, err
		}
	}
}

func (d textDriver) dial(ctx context.Context, t pcucontrol.Target) (*wire.Session, error) {
	s, err := wire.DialText(ctx, t, d.transport)
	if err == nil && d.c.Line != "" {
		s.NewLine = d.c.Line
	}
	return s, err
}

// with runs f in a conversation and leaves it as a person would, so that the device's only session is free at once. A
// little time is kept for the leaving.
func (d textDriver) with(ctx context.Context, t pcucontrol.Target, f func(context.Context, *talk) error) error {
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
	if !k.HungUp {
		leave, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		_ = k.run(leave, "leave", d.c.Leave)
	}
	return err
}

// Test logs in and goes through the steps of a dry run.
func (d textDriver) Test(ctx context.Context, t pcucontrol.Target) (pcucontrol.Result, error) {
	r := pcucontrol.Result{Before: pcucontrol.Unknown, After: pcucontrol.Unknown, Note: "logged in"}
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

// Status goes through the steps that read the outlet.
func (d textDriver) Status(ctx context.Context, t pcucontrol.Target) (pcucontrol.Result, error) {
	r := pcucontrol.Result{Before: pcucontrol.Unknown, After: pcucontrol.Unknown}
	if len(d.c.Status) == 0 {
		return r, wire.Unsupported(t, "status")
	}
	err := d.with(ctx, t, func(ctx context.Context, k *talk) error {
		err := k.run(ctx, "status", d.c.Status)
		r.Before, r.After = k.state, k.state
		return err
	})
	r.Verified = err == nil && r.After != pcucontrol.Unknown
	return r, err
}

// List goes through the steps that show all outlets.
func (d textDriver) List(ctx context.Context, t pcucontrol.Target) ([]pcucontrol.OutletState, error) {
	if len(d.c.List) == 0 {
		return nil, wire.Unsupported(t, "list")
	}
	var found []pcucontrol.OutletState
	err := d.with(ctx, t, func(ctx context.Context, k *talk) error {
		err := k.run(ctx, "list", d.c.List)
		found = k.listed
		return err
	})
	return found, err
}

// outlets finds the outlets that a text lists.
func (c Conversation) outlets(each *regexp.Regexp, heard string) []pcucontrol.OutletState {
	var found []pcucontrol.OutletState
	for _, m := range each.FindAllStringSubmatch(heard, -1) {
		o := pcucontrol.OutletState{State: pcucontrol.Unknown}
		for i, group := range each.SubexpNames() {
			switch group {
			case "outlet":
				o.Outlet, _ = strconv.Atoi(cmp.Or(m[i], "1")) // a device of one outlet may not number it
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

// Switch goes through the steps of an operation, and reads back.
func (d textDriver) Switch(ctx context.Context, t pcucontrol.Target,
	op pcucontrol.Operation,
) (r pcucontrol.Result, err error) {
	r = pcucontrol.Result{Before: pcucontrol.Unknown, After: pcucontrol.Unknown}
	err = d.with(ctx, t, func(ctx context.Context, k *talk) error {
		r, err = k.switches().Perform(ctx, t, op)
		return err
	})
	return r, err
}

func (k *talk) switches() power.Operations {
	command := func(doing string, steps []step) func(context.Context) error {
		if len(steps) == 0 {
			return nil
		}
		return func(ctx context.Context) error {
			defer func() { k.committed = false }()
			return k.run(ctx, doing, steps)
		}
	}
	s := power.Operations{
		On:       command("on", k.c.On),
		Off:      command("off", k.c.Off),
		Cycle:    command("cycle", k.c.Cycle),
		Reset:    command("reset", k.c.Reset),
		Shutdown: command("shutdown", k.c.Shutdown),
		Pause:    time.Duration(k.c.Pause),
		Dead:     func() bool { return k.HungUp },
	}
	if len(k.c.Status) == 0 {
		return s
	}
	steps := k.c.Status
	s.Read = func(ctx context.Context) (pcucontrol.State, error) {
		k.state = pcucontrol.Unknown // where reading fails, what was read before the command says nothing
		err := k.run(ctx, "status", steps)
		if steps = k.c.Recheck; len(steps) == 0 {
			steps = k.c.Status
		}
		return k.state, err
	}
	return s
}

// run goes through steps. An error after the commit is ambiguous, unless it is the device's own refusal of that very
// step.
func (k *talk) run(ctx context.Context, doing string, steps []step) error {
	for _, s := range steps {
		if len(s.Only) > 0 && !slices.Contains(s.Only, k.transport) {
			continue
		}
		before := k.committed
		meant, err := k.step(ctx, doing, s)
		switch {
		case err == nil:
		case before || k.committed && (!meant || k.strays > 0): // its words may be those to something else
			return wire.Ambiguous(k.Target, doing, err)
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
			line = k.c.fill(s.Say[i], k.Target, asItIs) + k.NewLine
		}
		if keys := k.c.fill(s.Press, k.Target, asItIs) + line; keys != "" {
			sent, err := k.Send(ctx, doing, keys)
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
	patterns, meanings, err := k.listensFor(doing, s, hear)
	if err != nil {
		return "", false, err
	}
	var all strings.Builder
	asked := make([]int, len(s.Answers))
	listen, waiting := ctx, false
	for {
		i, heard, err := k.Await(listen, doing, s.Nudge, patterns)
		switch {
		case err != nil && waiting && ctx.Err() == nil && !k.HungUp && len(k.Heard) > 0: // it has begun to answer
			listen = ctx
			continue
		case err != nil && waiting && ctx.Err() == nil && !k.HungUp && k.Total <= wire.MaxRead:
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
			if k.strays > 0 && doing == loggingIn && m.Kind == pcucontrol.NoOutlet { // none was named yet: this answers a stray
				k.strays--
				continue
			}
			return "", true, k.Fail(m.Kind, doing, m.told(secret.Mask(lastLine(heard), k.Target.Password)))
		}
		a := s.Answers[n]
		if asked[n]++; s.Nudge != "" && (asked[n] > 1 || slices.Contains(s.Say, a.Say)) { // it was said before
			k.strays++
		}
		if asked[n] > max(1, a.Times) {
			return "", a.Again != "", k.Fail(cmp.Or(a.Again, pcucontrol.Unexpected), doing,
				"the device asks again: "+secret.Mask(lastLine(heard), k.Target.Password))
		}
		keys := k.c.fill(a.Press, k.Target, asItIs)
		if a.Press == "" {
			keys = k.c.fill(a.Say, k.Target, asItIs) + k.NewLine
		}
		if _, err := k.Send(ctx, doing, keys); err != nil {
			return "", false, err
		}
	}
}

// listensFor are the patterns of a step: what ends it, what it answers, and what has a meaning.
func (k *talk) listensFor(doing string, s step, hear string) ([]*regexp.Regexp, []meaning, error) {
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
		var err error
		if patterns[i], err = k.c.pattern(texts[i], k.Target); err != nil {
			return nil, nil, k.Fail(pcucontrol.Unexpected, doing, secret.Mask(err.Error(), k.Target.Password))
		}
	}
	return patterns, meanings, nil
}

// strayTime is how long the answer to what was said once too often is waited for.
const strayTime = time.Second

// catchUp hears the answers to what was said once too often. A key that wakes a device may be taken for an answer, the
// device asks again, and what it is told then belongs to its next question: it would be taken for a command.
func (k *talk) catchUp(ctx context.Context) {
	prompt, err := k.c.pattern("{prompt}", k.Target)
	for err == nil && k.strays > 0 {
		short, cancel := context.WithTimeout(ctx, strayTime)
		_, _, err = k.Await(short, loggingIn, "", []*regexp.Regexp{prompt})
		cancel()
		if err == nil {
			k.strays--
		}
	}
}

// answered says whether a step's line has more of an answer than the next prompt, at least its echo.
func (s step) answered() bool { return s.Commit || s.Read != "" || s.Expect != "" }

// patience is how long a prompt that came alone may belong to what was said before: a shell behind a terminal that
// takes CR LF for two lines prompts twice.
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
		if p, err := k.c.pattern(s.Expect, k.Target); err != nil || !p.MatchString(heard) {
			return !s.Commit, k.Fail(pcucontrol.Refused, doing,
				"heard: "+wire.Tail(secret.Mask(heard, k.Target.Password)))
		}
	}
	if s.Each != "" {
		p, err := k.c.pattern(s.Each, k.Target)
		if err != nil {
			return false, k.Fail(pcucontrol.Unexpected, doing, secret.Mask(err.Error(), k.Target.Password))
		}
		k.listed = append(k.listed, k.c.outlets(p, heard)...)
	}
	if s.Read == "" {
		return false, nil
	}
	p, err := k.c.pattern(s.Read, k.Target)
	if err != nil {
		return false, k.Fail(pcucontrol.Unexpected, doing, secret.Mask(err.Error(), k.Target.Password))
	}
	m := p.FindStringSubmatch(heard)
	if m == nil {
		return true, k.Fail(
			pcucontrol.NoOutlet,
			doing,
			fmt.Sprintf("it says nothing of outlet %d; heard: %s", k.Target.Outlet,
				wire.Tail(secret.Mask(heard, k.Target.Password))),
		)
	}
	k.state = k.c.States.of(m[1])
	return false, nil
}

// Begins is whether the text is what the device says first.
func (d textDriver) Begins(said string) bool {
	if said == "" || len(d.c.Login) == 0 {
		return false
	}
	first := d.c.Login[0]
	hears := []string{cmp.Or(first.Hear, "{prompt}")}
	for _, a := range first.Answers {
		hears = append(hears, a.Hear)
	}
	for _, hear := range hears {
		if p, err := d.c.pattern(hear, pcucontrol.Target{}); err == nil && p.MatchString(said) {
			return true
		}
	}
	return false
}
