package activities

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/planetlab/monitor/bootman"
	"github.com/planetlab/monitor/inventory"
	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/plc"
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/store"
)

// Boot are the rungs about a node that does not come up from its own disk: Bootman enters it and repairs its boot,
// Disable takes it out of service in PLC.
type Boot struct {
	*ledger
	rungs      *rungs
	gate       *gate
	workflows  *workflows
	bootStates *bootStates
	Inventory  inventory.Keeper
	Boot       *bootman.Bootman
	Enter      func(host, ip string) bootman.Target // how bootman gets into a node; HostKey is set by who enters
	HostKeys   HostKeys
}

// Bootman reads a node that is stuck in debug mode and does what its boot sequence calls for: one repair, or an issue
// that says to people what no program can mend.
func (a *Boot) Bootman(ctx context.Context, req issue.Request) (issue.Result, error) {
	intent, err := a.Store.Action(ctx, req.Key)
	if err == nil { // an earlier try has begun; the node may be anything by now
		res, err := a.finishRepair(ctx, task{Request: req}, intent)
		if err != nil {
			return res, err
		}
		return res, a.rungs.save(ctx, req, res)
	}
	if !errors.Is(err, store.ErrNotFound) {
		return issue.Result{}, err
	}
	return a.rungs.run(ctx, req, a.bootman)
}

// bootman visits a node. Looking is no act, so it is done in observe mode, too; but there a visit is never used up.
func (a *Boot) bootman(ctx context.Context, t task) (issue.Result, error) {
	facts, err := a.gate.facts(ctx, policy.ActRepair, t.ref(), t.seen)
	if err != nil {
		return issue.Result{}, err
	}
	observes := facts.Mode != policy.ModeAct
	facts.Mode = policy.ModeAct
	if answer := policy.Ask(a.Policy, facts, a.now()); !answer.Do {
		return a.rungs.refuse(ctx, t, answer)
	}
	res, err := a.enter(ctx, t)
	if observes && err == nil && (res.Outcome == issue.Acted || res.Outcome == issue.Passed) {
		res = issue.Result{Outcome: issue.Wait, Check: "mode", Reason: "observe mode: " + res.Reason}
	}
	return res, err
}

func (a *Boot) enter(ctx context.Context, t task) (issue.Result, error) {
	node, err := a.Store.Node(ctx, t.ref().Node)
	if err != nil {
		return issue.Result{}, err
	}
	target := a.Enter(node.Hostname, node.IP)
	target.HostKey = func(key ssh.PublicKey) error { return a.HostKeys.Check(ctx, node.Hostname, key) }
	conn, err := bootman.Dial(ctx, target)
	if err != nil && (!bootman.Denied(err) || errors.Is(err, ErrNotCompared)) { // nothing is known of it
		return a.visitLater(ctx, t, a.Policy.Day/4, "it lets nobody in: "+err.Error())
	}
	if err != nil {
		return a.fruitless(ctx, t, err.Error())
	}
	defer conn.Close()
	r, err := a.Boot.Read(ctx, conn)
	if err != nil {
		return a.fruitless(ctx, t, "it could not be read: "+err.Error())
	}
	v := visit{t, node, conn, r}
	switch {
	case r.State == bootman.Up:
		return a.visitLater(ctx, t, a.Policy.Day/4, "it is up and was left alone")
	case r.State != bootman.Debug:
		return a.fruitless(ctx, t, "it is neither in debug mode nor up")
	case r.Running && r.Since >= a.Policy.MachineStep:
		return a.fruitless(ctx, t, fmt.Sprintf(
			"a BootManager has been running on it for %s and was left alone", r.Since))
	case r.Running:
		return a.visitLater(ctx, t, a.Policy.Hour(), "a BootManager is running on it")
	case r.Failing != nil:
		return a.openFollowUp(ctx, v, issue.BadHardware, "its kernel reports failing media", r.Failing)
	}
	if err := a.Store.SaveBootLog(ctx, store.BootLog{Node: node.Hostname, At: a.now(), Sequence: r.Sequence, Cut: r.Cut,
		Log: r.Log}); err != nil {
		return issue.Result{}, err
	}
	known, err := a.Store.BootSequence(ctx, r.Sequence)
	if errors.Is(err, store.ErrNotFound) {
		return a.unknown(ctx, v)
	}
	if err != nil {
		return issue.Result{}, err
	}
	return a.answer(ctx, v, bootman.Action(known.Action))
}

// visit is a node that was entered for a rung and read to its end.
type visit struct {
	task
	node    store.Node
	conn    *bootman.Conn
	reading bootman.Reading
}

// answer does what the table says of a sequence.
func (a *Boot) answer(ctx context.Context, v visit, action bootman.Action) (issue.Result, error) {
	if do, isRepair := a.repairs()[action]; isRepair {
		return a.repair(ctx, v, action, do)
	}
	cause := fmt.Sprintf("its boot ends as %s: %s", v.reading.Sequence, action)
	switch action {
	case bootman.NodeConfigNotice, bootman.NodeNetworkEmail:
		return a.openFollowUp(ctx, v, issue.NodeConfig, cause, append(a.networks(ctx, v.node), v.logTail()...))
	case bootman.BadDNSNotice:
		return a.openFollowUp(ctx, v, issue.DNSError, cause, a.networks(ctx, v.node))
	case bootman.BadDiskNotice:
		return a.openFollowUp(ctx, v, issue.BadHardware, cause, v.dmesgTail(ctx))
	case bootman.MinimalHardwareNotice:
		return a.openFollowUp(ctx, v, issue.MinimalHardware, cause, v.logTail())
	case bootman.NoBlockDeviceNotice:
		return a.openFollowUp(ctx, v, issue.NoBlockDevice, cause, v.logTail())
	case bootman.UpdateBootCDEmail:
		return a.openFollowUp(ctx, v, issue.OldBootCD, cause, v.logTail())
	case bootman.UnknownSequenceNotice:
		return a.openFollowUp(ctx, v, issue.UnknownSequence, cause, v.logTail())
	}
	return issue.Result{}, fmt.Errorf("no action is called %q", action)
}

// unknown shows the admins a sequence that nobody has met, and lets the BootManager try once more.
func (a *Boot) unknown(ctx context.Context, v visit) (issue.Result, error) {
	const cause = "bootman does not know how its boot ends; `monitor bootman sequences set` teaches it"
	evidence := append([]string{"sequence: " + v.reading.Sequence}, v.logTail()...)
	tried, err := a.tried(ctx, v, bootman.UnknownSequenceNotice)
	if err != nil {
		return issue.Result{}, err
	}
	if !tried.IsZero() {
		return a.openFollowUp(ctx, v, issue.UnknownSequence, cause, evidence)
	}
	why, _, err := a.gate.againstOpening(ctx, v.about(issue.UnknownSequence))
	if err == nil && why == "" { // the admins have nothing to learn from one that they closed
		err = a.workflows.openIssue(ctx, issue.UnknownSequence, v.ref(), cause, evidence)
	}
	if err != nil {
		return issue.Result{}, err
	}
	return a.repair(ctx, v, bootman.UnknownSequenceNotice, remedy{policy.ActRepair, a.tryOnceMore})
}

// about is the issue of a type about the node of a visit.
func (v visit) about(typ string) Ref {
	return Ref{ID: typ + "/" + v.node.Hostname, Type: typ, Node: v.node.Hostname, Site: v.node.Site}
}

// openFollowUp opens the issue that tells people what is wrong. This ladder then waits for theirs, and looks again
// meanwhile. An issue that was opened so and has ended, with nothing better, is not opened over and over, and neither is
// one that an operator has closed: this ladder climbs itself. One of a type that is doubted is waited with.
func (a *Boot) openFollowUp(ctx context.Context, v visit, typ, cause string, evidence []string) (issue.Result, error) {
	id := v.about(typ).ID
	earlier, err := a.Store.Issue(ctx, id)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return issue.Result{}, err
	}
	if !earlier.Closed.IsZero() && earlier.Opened.After(v.State.Opened) {
		return issue.Result{Outcome: issue.Passed,
			Reason: fmt.Sprintf("%s has ended (%s), and still %s", id, earlier.Outcome, cause)}, nil
	}
	switch why, closed, err := a.gate.againstOpening(ctx, v.about(typ)); {
	case err != nil:
		return issue.Result{}, err
	case closed:
		return issue.Result{Outcome: issue.Passed, Reason: fmt.Sprintf("%s; %s is not opened: %s", cause, id, why)}, nil
	case why != "":
		return a.visitLater(ctx, v.task, a.Policy.Day/4, fmt.Sprintf("%s; %s is not opened: %s", cause, id, why))
	}
	if err := a.workflows.openIssue(ctx, typ, v.ref(), cause, evidence); err != nil {
		return issue.Result{}, err
	}
	return issue.Result{Outcome: issue.Wait, Reason: id + " is open: " + cause,
		Until: a.now().Add(a.Policy.MachineStep / 2),
		Deeds: []issue.Deed{{At: a.now(), What: issue.DeedBootFound, How: id}}}, nil
}

// visitLater is a visit that changed nothing and is made again.
func (a *Boot) visitLater(ctx context.Context, t task, after time.Duration, reason string) (issue.Result, error) {
	return issue.Result{Outcome: issue.Wait, Reason: reason, Until: a.now().Add(after)}, a.noteVisit(ctx, t, reason)
}

// fruitless is a visit that could do nothing: it counts, so that the ladder climbs.
func (a *Boot) fruitless(ctx context.Context, t task, reason string) (issue.Result, error) {
	return issue.Result{Outcome: issue.Acted, Reason: reason}, a.noteVisit(ctx, t, reason)
}

// noteVisit writes down, one line for each rung, what a visit found.
func (a *Boot) noteVisit(ctx context.Context, t task, reason string) error {
	return a.skip(ctx, fmt.Sprintf("%s/%d/visit", t.ref().Episode(), t.State.Rung), t.ref(), reason)
}

// tailLines is how much of a log goes into the evidence of an issue.
const tailLines = 20

func (v visit) logTail() []string { return bootman.Tail(v.reading.Log, tailLines) }

func (v visit) dmesgTail(ctx context.Context) []string {
	lines, err := bootman.Dmesg(ctx, v.conn, tailLines)
	if err != nil {
		return []string{"dmesg could not be read: " + err.Error()}
	}
	return lines
}

// networks says how PLC has a node's interfaces set up; when it cannot be asked, that.
func (a *Boot) networks(ctx context.Context, node store.Node) []string {
	list, err := a.Inventory.Networks(ctx, node.Hostname)
	if err != nil {
		return []string{"its network settings could not be read from " + a.from() + ": " + err.Error()}
	}
	if len(list) == 0 {
		return []string{a.from() + " has no interface of it"}
	}
	var lines []string
	for _, n := range list {
		lines = append(lines, networkLine(n))
	}
	return lines
}

func networkLine(n plc.Network) string {
	var s strings.Builder
	for _, f := range [][2]string{
		{"method", n.Method}, {"ip", n.IP}, {"gateway", n.Gateway}, {"network", n.Network}, {"broadcast", n.Broadcast},
		{"netmask", n.Netmask},
		{"dns1", n.DNS1}, {"dns2", n.DNS2}, {"mac", n.MAC},
	} {
		value := f[1]
		if value == "" {
			value = "not set"
		}
		fmt.Fprintf(&s, "%s: %s, ", f[0], value)
	}
	fmt.Fprintf(&s, "is_primary: %v", n.Primary)
	return s.String()
}

// tried says when a repair was already tried for the sequence that is there again: by this issue, or within the time in
// which a node that fails once more is not started over and over.
func (a *Boot) tried(ctx context.Context, v visit, action bootman.Action) (time.Time, error) {
	since := a.now().Add(-a.Policy.RebootWindow)
	if v.State.Opened.Before(since) {
		since = v.State.Opened
	}
	list, err := a.Store.BootRepairs(ctx, v.node.Hostname, since)
	if err != nil {
		return time.Time{}, err
	}
	for _, r := range list {
		if r.Key == v.Key || r.Sequence != v.reading.Sequence || r.Action != string(action) {
			continue
		}
		if did, err := a.mayHaveHappened(ctx, r.Key); err != nil || did {
			return r.At, err
		}
	}
	return time.Time{}, nil
}
