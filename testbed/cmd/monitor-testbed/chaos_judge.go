package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"go.temporal.io/api/workflowservice/v1"

	"github.com/planetlab/monitor/activities"
	"github.com/planetlab/monitor/notify"
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/store"
	"github.com/planetlab/monitor/testbed/fakert"
)

// settle waits until nothing is open and nothing is held, and names what is left.
func (c *chaos) settle(ctx context.Context) []string {
	began := time.Now()
	var left []string
	for {
		left = c.leftOver(ctx)
		// what heals late opens its issue late
		if at, doubt, err := c.Store.LastBelieved(ctx); err != nil || doubt != "" || at.Before(began.Add(4*c.Day)) {
			left = append(left, fmt.Sprintf("no believed sweep since: %s, %v", doubt, err))
		}
		if len(left) == 0 || time.Since(began) > c.o.patience || ctx.Err() != nil {
			break
		}
		time.Sleep(500 * time.Millisecond)
	}
	fmt.Fprintf(c.out, "healed in %s\n", time.Since(began).Round(time.Second))
	return left
}

// leftOver is what is not as it was before, by PLC, the devices, the store and Temporal.
func (c *chaos) leftOver(ctx context.Context) []string {
	var left []string
	say := func(format string, args ...any) { left = append(left, fmt.Sprintf(format, args...)) }
	for _, h := range c.Hosts() {
		if !c.Powered(h) {
			say("left off: %s", h)
		}
		if state := c.DB.Get("Nodes", "hostname", h)["boot_state"]; state != "boot" {
			say("boot state left over: PLC has %s at %v", h, state)
		}
	}
	for _, s := range chaosSites() {
		if c.DB.Get("Sites", "login_base", s.Login)["enabled"] != true {
			say("penalty left over: %s is disabled", s.Login)
		}
		if names := c.Suspended(s.Login); len(names) > 0 {
			say("penalty left over: %s is suspended", strings.Join(names, ", "))
		}
	}
	open, err := c.Store.Issues(ctx, store.IssueFilter{Open: true})
	if err != nil {
		say("the store does not answer: %v", err)
	}
	for _, i := range open {
		say("wedged: %s is %s since %s, next %s", i.ID, i.Status, i.Opened.Format(time.TimeOnly), i.Next)
	}
	unfinished, err := c.Store.Actions(ctx, store.ActionFilter{Unfinished: true, Limit: 10_000})
	if err != nil {
		say("the store does not answer: %v", err)
	}
	toldByTheNext := []store.ActionKind{store.KindGuard, store.KindFlag, store.KindDigest}
	for _, a := range unfinished {
		if a.RunID == "" && slices.Contains(toldByTheNext, a.Kind) { // whoever comes next tells it
			continue
		}
		say("lost: nobody says what became of %s (%s, since %s, begun: %t)", a.Key, a.Kind,
			a.At.Local().Format(time.TimeOnly), a.Begun())
	}
	claims, err := c.Store.Claims(ctx, store.ClaimFilter{})
	if err != nil {
		say("the store does not answer: %v", err)
	}
	for _, cl := range claims {
		say("held: claim %s on %s by %s/%s since %s", cl.Kind, cl.Target, cl.Issue, cl.RunID, cl.Taken.Format(time.TimeOnly))
	}
	still, err := c.Temporal.ListWorkflow(ctx, &workflowservice.ListWorkflowExecutionsRequest{
		Query: running + " AND WorkflowType != '" + activities.SweepType + "'"})
	if err != nil {
		say("Temporal does not answer: %v", err)
		return left
	}
	for _, e := range still.Executions {
		if !strings.HasPrefix(e.Execution.WorkflowId, "temporal-sys-") {
			say("wedged: the workflow %s runs", e.Execution.WorkflowId)
		}
	}
	return left
}

// judge counts what was done twice.
func (c *chaos) judge(ctx context.Context) []string {
	found, cuts := c.judgePower(ctx)
	mails := c.judgeMail(ctx)
	found = append(found, mails...)
	found = append(found, c.judgeWipes(ctx)...)
	if err := everyWord(ctx, c.stage); err != nil {
		found = append(found, "untrue: "+err.Error())
	}
	found = append(found, c.judgeTickets()...)
	if n := c.counts[gaveUp]; n > 0 {
		found = append(found, fmt.Sprintf("gave up: workers ended by themselves %d times; what they said last is in --log", n))
	}
	fmt.Fprintf(c.out, "%d power cuts, %d mails, %d tickets\n", cuts, len(c.Mail.Messages()), len(c.Tracker.Tickets()))
	return found
}

// judgePower holds the devices' own record of power cuts against the ledger.
func (c *chaos) judgePower(ctx context.Context) (found []string, cuts int) {
	p := policy.Defaults(c.Day)
	for _, h := range c.Hosts() {
		actions, err := c.Store.Actions(ctx, store.ActionFilter{Node: h, Limit: 100_000})
		if err != nil {
			return append(found, "the ledger cannot be read: "+err.Error()), cuts
		}
		times := c.CutTimes(h)
		cuts += len(times)
		byKey := map[string]int{}
		for n, at := range times {
			cause := commandBefore(actions, at)
			switch byKey[cause.Key]++; {
			case cause.Key == "":
				found = append(found, fmt.Sprintf("doubled: %s lost power at %s, and the ledger has no command", h,
					at.Format(time.TimeOnly)))
			case byKey[cause.Key] > 1:
				found = append(found, fmt.Sprintf("doubled: %s lost power %d times by %s", h, byKey[cause.Key], cause.Key))
			case cause.Outcome == store.Failed || cause.Outcome == store.Refused || cause.Outcome == store.Skipped:
				found = append(found, fmt.Sprintf("denied: %s lost power by %s, which the ledger calls %s: %s", h, cause.Key,
					cause.Outcome, cause.Detail))
			}
			if n >= p.MaxReboots && at.Sub(times[n-p.MaxReboots]) < p.RebootWindow {
				found = append(found, fmt.Sprintf("doubled: %s lost power %d times within %s", h, p.MaxReboots+1,
					at.Sub(times[n-p.MaxReboots]).Round(time.Second)))
			}
		}
	}
	return found, cuts
}

// judgeMail holds the mailbox against the ledger: nobody gets a message more often than the ledger says that it was
// tried, and nobody gets one that the ledger does not know. A message that is tried again keeps its Message-ID, so that
// readers are shown it once.
func (c *chaos) judgeMail(ctx context.Context) (found []string) {
	list, err := c.Store.Actions(ctx, store.ActionFilter{Limit: 1_000_000})
	if err != nil {
		return []string{"the ledger cannot be read: " + err.Error()}
	}
	tries, known := map[string]int{}, map[string]store.Action{}
	for _, a := range list {
		key, to, late := strings.Cut(a.Key, "/to/") // who was deferred is written to alone
		id := notify.MessageID(key, "plc.example")
		if known[id] = a; late {
			tries[id+" to "+to] += a.Times
		} else {
			tries[id] = a.Times
		}
	}
	copies := map[string]int{}
	for _, m := range c.Mail.Messages() {
		a, is := known[m.MessageID]
		switch {
		case !strings.HasPrefix(m.MessageID, "<monitor."): // the tracker's own
			continue
		case !is:
			found = append(found, fmt.Sprintf("unknown: the ledger has nothing of the mail %q at %s", m.Subject,
				m.At.Format(time.TimeOnly)))
			continue
		}
		for _, to := range m.To {
			who := m.MessageID + " to " + to
			if copies[who]++; copies[who] > 1 {
				c.count("mails that came once more")
			}
			if most := tries[m.MessageID] + tries[who]; copies[who] > most {
				found = append(found, fmt.Sprintf(
					"doubled: the mail %q came %d times to %s, at last at %s; the ledger (%s, %s) says that it was tried %d times",
					m.Subject, copies[who], to, m.At.Format(time.TimeOnly), a.Key, a.Outcome, most))
			}
		}
	}
	return found
}

func (c *chaos) count(what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts[what]++
}

// judgeWipes holds what nodes lost against the ledger: a node is installed anew only by a command that says so.
func (c *chaos) judgeWipes(ctx context.Context) (found []string) {
	for _, h := range c.Hosts() {
		actions, err := c.Store.Actions(ctx, store.ActionFilter{Node: h, Limit: 100_000})
		if err != nil {
			return append(found, "the ledger cannot be read: "+err.Error())
		}
		for _, at := range c.WipeTimes(h) {
			cause := commandBefore(actions, at)
			if cause.Kind != store.KindReinstall {
				found = append(found, fmt.Sprintf("wiped: %s was installed anew at %s by %s, which is a %q", h,
					at.Format(time.TimeOnly), cause.Key, cause.Kind))
			}
		}
	}
	return found
}

// commandBefore is the last power command that was given to a node before a time, of its ledger with the newest first.
func commandBefore(actions []store.Action, at time.Time) store.Action {
	for _, a := range actions {
		if (a.Kind == store.KindReboot || a.Kind == store.KindReinstall) && a.Begun() && !a.Committed.After(at) {
			return a
		}
	}
	return store.Action{}
}

// judgeTickets looks for words that stand twice in a ticket, which is never excused: who writes there can look.
func (c *chaos) judgeTickets() (found []string) {
	subjects := map[string]int{}
	for _, t := range c.Tracker.Tickets() {
		subjects[t.Subject]++
		if subjects[t.Subject] == 2 {
			found = append(found, fmt.Sprintf("doubled: two tickets %q", t.Subject))
		}
		var last fakert.Transaction
		for _, h := range t.History {
			if h.Type != "Correspond" && h.Type != "Create" {
				continue
			}
			if h.Text == last.Text && h.By == last.By {
				found = append(found, fmt.Sprintf("doubled: ticket %d %q says the same at %s and %s", t.ID, t.Subject,
					last.At.Format(time.TimeOnly), h.At.Format(time.TimeOnly)))
			}
			last = h
		}
	}
	return found
}

// keepLogs writes the logs beside the histories of the workflows that still run.
func (c *chaos) keepLogs(ctx context.Context, file string) error {
	all := []error{os.WriteFile(file, []byte(c.WholeLog()), 0o644)}
	list, err := c.Temporal.ListWorkflow(ctx, &workflowservice.ListWorkflowExecutionsRequest{Query: running})
	if err != nil {
		return errors.Join(append(all, err)...)
	}
	for _, e := range list.Executions {
		id := e.Execution.WorkflowId
		all = append(all, export(ctx, c.Rig, id, e.Execution.RunId, file+"."+strings.ReplaceAll(id, "/", "_")+".json"))
	}
	return errors.Join(all...)
}
