package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"go.temporal.io/api/workflowservice/v1"

	"github.com/planetlab/monitor/activities"
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
		if at, doubt, err := c.Store.LastBelieved(ctx); err != nil || doubt != "" || at.Before(began.Add(4*c.Day)) { // what heals late opens its issue late
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
	claims, err := c.Store.Claims(ctx, store.ClaimFilter{})
	if err != nil {
		say("the store does not answer: %v", err)
	}
	for _, cl := range claims {
		say("held: claim %s on %s by %s/%s since %s", cl.Kind, cl.Target, cl.Issue, cl.RunID, cl.Taken.Format(time.TimeOnly))
	}
	running, err := c.Temporal.ListWorkflow(ctx, &workflowservice.ListWorkflowExecutionsRequest{Query: "ExecutionStatus = 'Running' AND TaskQueue = '" + activities.TaskQueue + "' AND WorkflowType != '" + activities.SweepType + "'"})
	if err != nil {
		say("Temporal does not answer: %v", err)
		return left
	}
	for _, e := range running.Executions {
		if !strings.HasPrefix(e.Execution.WorkflowId, "temporal-sys-") {
			say("wedged: the workflow %s runs", e.Execution.WorkflowId)
		}
	}
	return left
}

// judge counts what was done twice.
func (c *chaos) judge(ctx context.Context) []string {
	found, cuts := c.judgePower(ctx)
	mails := c.judgeMail()
	found = append(found, mails...)
	found = append(found, c.judgeTickets()...)
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
			var cause store.Action
			for _, a := range actions { // the newest first
				if (a.Kind == store.KindReboot || a.Kind == store.KindReinstall) && a.Begun() && !a.Committed.After(at) {
					cause = a
					break
				}
			}
			switch byKey[cause.Key]++; {
			case cause.Key == "":
				found = append(found, fmt.Sprintf("doubled: %s lost power at %s, and the ledger has no command", h, at.Format(time.TimeOnly)))
			case byKey[cause.Key] > 1:
				found = append(found, fmt.Sprintf("doubled: %s lost power %d times by %s", h, byKey[cause.Key], cause.Key))
			case cause.Outcome == store.Failed || cause.Outcome == store.Refused || cause.Outcome == store.Skipped:
				found = append(found, fmt.Sprintf("denied: %s lost power by %s, which the ledger calls %s: %s", h, cause.Key, cause.Outcome, cause.Detail))
			}
			if n >= p.MaxReboots && at.Sub(times[n-p.MaxReboots]) < p.RebootWindow {
				found = append(found, fmt.Sprintf("doubled: %s lost power %d times within %s", h, p.MaxReboots+1, at.Sub(times[n-p.MaxReboots]).Round(time.Second)))
			}
		}
		for _, a := range actions {
			if a.Outcome == "" && a.Kind != store.KindFlag && a.Kind != store.KindDigest {
				found = append(found, fmt.Sprintf("lost: nobody says what became of %s (%s)", a.Key, a.Kind))
			}
		}
	}
	return found, cuts
}

// answerLost reports whether something failed about when a message arrived, so that its sender may not know that it did.
func (c *chaos) answerLost(at time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range c.faults {
		if d := f.Sub(at); d > -20*time.Second && d < 2*time.Second { // a freeze lasts up to 18 s
			return true
		}
	}
	return false
}

// judgeMail looks for mails that arrived twice. One whose answer was lost may, a few times: its Message-ID lets readers show it once.
func (c *chaos) judgeMail() (found []string) {
	first := map[string]time.Time{}
	for _, m := range c.Mail.Messages() {
		if m.MessageID == "" {
			continue
		}
		for _, to := range m.To {
			key := m.MessageID + " to " + to
			at, twice := first[key]
			first[key] = m.At
			switch {
			case !twice:
			case c.answerLost(at):
				c.count("mails that came once more after a lost answer")
			default:
				found = append(found, fmt.Sprintf("doubled: the mail %q of %s came again at %s", m.Subject, at.Format(time.TimeOnly), m.At.Format(time.TimeOnly)))
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
				found = append(found, fmt.Sprintf("doubled: ticket %d %q says the same at %s and %s", t.ID, t.Subject, last.At.Format(time.TimeOnly), h.At.Format(time.TimeOnly)))
			}
			last = h
		}
	}
	return found
}

// summary counts what Monitor did meanwhile: a run in which it did nothing proves nothing.
func (c *chaos) summary(ctx context.Context) {
	list, err := c.Store.Actions(ctx, store.ActionFilter{Limit: 1_000_000})
	if err != nil {
		fmt.Fprintln(c.out, err)
		return
	}
	counts, why := map[string]int{}, map[string]int{}
	for _, a := range list {
		if a.Kind == store.KindSkip || a.Kind == store.KindGuard {
			why[strings.Map(func(r rune) rune {
				if r >= '0' && r <= '9' {
					return -1
				}
				return r
			}, a.Reason)] += a.Times
			continue
		}
		counts[strings.TrimSpace(string(a.Kind)+" "+a.Outcome)]++
	}
	for _, what := range slices.Sorted(maps.Keys(counts)) {
		fmt.Fprintf(c.out, "%6d  %s\n", counts[what], what)
	}
	if c.o.verbose {
		for _, what := range slices.Sorted(maps.Keys(why)) {
			fmt.Fprintf(c.out, "%6d  not acted: %.160s\n", why[what], what)
		}
	}
}

func (c *chaos) keepLogs(file string) error { return os.WriteFile(file, []byte(c.WholeLog()), 0o644) }
