package workflows

import (
	"errors"
	"fmt"
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/planetlab/monitor/activities"
)

// Commands of operators. Each is a Signal, for plain command lines, and an Update of the same name, which checks the
// request and answers with the issue's new status.
const (
	CommandPause  = "pause"
	CommandResume = "resume"
	CommandClose  = "close"
	CommandSkip   = "skip"

	QueryStatus = "status"
)

// Command is the input of every operator command.
type Command struct {
	By     string `json:"by,omitempty"`
	Reason string `json:"reason,omitempty"`
	// Until ends a pause by itself; without it a pause lasts until resume.
	Until time.Time `json:"until,omitzero"`
}

func (c Command) String() string {
	s := c.Reason
	if s == "" {
		s = "no reason given"
	}
	if c.By != "" {
		s += " (" + c.By + ")"
	}
	return s
}

var descriptions = map[string]string{
	CommandPause:             "Freeze the ladder, until resume or until a time: {\"reason\",\"by\",\"until\"}",
	CommandResume:            "Go on where the pause began: {\"reason\",\"by\"}",
	CommandClose:             "Close the issue now and release its hold on the site: {\"reason\",\"by\"}",
	CommandSkip:              "Pass over the next rung; the wait before it stays: {\"reason\",\"by\"}",
	activities.SignalCleared: "Sent by the sweep when the target is good again",
	activities.SignalPCUBack: "Sent by the issue of a PCU that works again: what had to do without it is due now: {\"reason\"}",
}

func (is *issue) check(name string, c Command, now time.Time) error {
	switch {
	case is.status == StatusClosed || is.closing != "":
		return errors.New(name + ": the issue is closing")
	case name == CommandPause && !c.Until.IsZero() && !c.Until.After(now):
		return errors.New("pause: until lies in the past; give a time ahead, as 2026-12-24T12:00:00Z")
	case name == CommandResume && is.status != StatusPaused:
		return errors.New("resume: the issue is not paused")
	case name == CommandSkip && is.rung >= len(is.ladder.Rungs)-1:
		return errors.New("skip: the last rung has nothing after it; close the issue instead")
	}
	return nil
}

// apply carries out a command that check has passed and wakes the ladder.
func (is *issue) apply(ctx workflow.Context, name string, c Command) {
	now := workflow.Now(ctx)
	switch name {
	case CommandPause:
		if is.status != StatusPaused {
			is.pausedAt = now
		}
		is.status, is.pausedUntil, is.pauseReason = StatusPaused, c.Until, c.String()
	case CommandResume:
		is.resume(now)
	case CommandClose:
		is.closing = "closed by an operator: " + c.String()
	case CommandSkip:
		is.tell(ctx, "skipped "+is.next().String()+": "+c.String())
		is.advance()
	}
	if name != CommandSkip {
		is.tell(ctx, name+": "+c.String())
	}
	is.changed, is.stale = true, true
	is.wake.SendAsync(struct{}{})
}

func (is *issue) resume(now time.Time) {
	if is.status != StatusPaused {
		return
	}
	if !is.deadline.IsZero() {
		is.deadline, is.resumeAt = is.deadline.Add(now.Sub(is.pausedAt)), is.resumeAt.Add(now.Sub(is.pausedAt))
	}
	is.status, is.pausedUntil, is.pauseReason = StatusOpen, time.Time{}, ""
}

// pledgePassed ends a pause whose time is over. The next message to people says that it was waited for.
func (is *issue) pledgePassed(ctx workflow.Context, now time.Time) {
	waited := fmt.Sprintf("waited until %s, as was asked: %s", is.pausedUntil.UTC().Format("2 Jan 2006 15:04 MST"), is.pauseReason)
	is.resume(now)
	is.try(waited)
	is.tell(ctx, "the pause is over: "+waited)
	is.changed, is.stale = true, true
}

// listen sets up the query, the updates, and one goroutine for the signals.
func (is *issue) listen(ctx workflow.Context) error {
	err := workflow.SetQueryHandlerWithOptions(ctx, QueryStatus, func() (Status, error) { return is.report(), nil },
		workflow.QueryHandlerOptions{Description: "Where the issue is on its ladder, what comes next and when, and its story"})
	if err != nil {
		return err
	}
	signals := workflow.NewSelector(ctx)
	for _, name := range []string{CommandPause, CommandResume, CommandClose, CommandSkip} {
		err := workflow.SetUpdateHandlerWithOptions(ctx, name, func(ctx workflow.Context, c Command) (Status, error) {
			is.apply(ctx, name, c)
			return is.report(), nil
		}, workflow.UpdateHandlerOptions{
			Description: descriptions[name],
			Validator:   func(ctx workflow.Context, c Command) error { return is.check(name, c, workflow.Now(ctx)) },
		})
		if err != nil {
			return err
		}
		ch := workflow.GetSignalChannelWithOptions(ctx, name, workflow.SignalChannelOptions{Description: descriptions[name]})
		signals.AddReceive(ch, func(ch workflow.ReceiveChannel, _ bool) {
			var c Command
			if !ch.ReceiveAsync(&c) { // the SDK drops what it cannot decode; a Receive would then block, here on the wrong coroutine
				is.tell(ctx, "refused "+name+": its input cannot be read")
				return
			}
			if err := is.check(name, c, workflow.Now(ctx)); err != nil {
				is.tell(ctx, "refused "+err.Error())
				return
			}
			is.apply(ctx, name, c)
		})
	}
	cleared := workflow.GetSignalChannelWithOptions(ctx, activities.SignalCleared, workflow.SignalChannelOptions{Description: descriptions[activities.SignalCleared]})
	signals.AddReceive(cleared, func(ch workflow.ReceiveChannel, _ bool) {
		ch.ReceiveAsync(nil)
		if is.clearedAt.IsZero() {
			is.clear(ctx, "the sweep saw it good again")
		}
		is.wake.SendAsync(struct{}{})
	})
	back := workflow.GetSignalChannelWithOptions(ctx, activities.SignalPCUBack, workflow.SignalChannelOptions{Description: descriptions[activities.SignalPCUBack]})
	signals.AddReceive(back, func(ch workflow.ReceiveChannel, _ bool) {
		var c Command
		ch.ReceiveAsync(&c)
		is.pcuBack = c.String()
		is.wake.SendAsync(struct{}{})
	})
	is.signals = signals
	workflow.GoNamed(ctx, "signals", func(ctx workflow.Context) {
		for ctx.Err() == nil {
			signals.Select(ctx)
		}
	})
	return nil
}
