package workflows

import (
	"fmt"
	"slices"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/planetlab/monitor/activities"
)

// The states of an issue.
const (
	StatusOpen   = "open"
	StatusPaused = "paused"
	StatusClosed = "closed"
)

// Search attributes by which issues are found in the Web UI and with `temporal workflow list`.
var (
	AttrType    = temporal.NewSearchAttributeKeyKeyword("IssueType")
	AttrStatus  = temporal.NewSearchAttributeKeyKeyword("IssueStatus")
	AttrSite    = temporal.NewSearchAttributeKeyKeyword("Site")
	AttrNode    = temporal.NewSearchAttributeKeyKeyword("Node")
	AttrPCU     = temporal.NewSearchAttributeKeyKeyword("PCU")
	AttrPenalty = temporal.NewSearchAttributeKeyInt64("PenaltyLevel")
	AttrRung    = temporal.NewSearchAttributeKeyKeyword("Rung")
)

// Happening is one line of an issue's story.
type Happening struct {
	At   time.Time `json:"at"`
	What string    `json:"what"`
}

// Status answers the query and every update.
type Status struct {
	ID       string      `json:"id"`
	Type     string      `json:"type"`
	Target   string      `json:"target"`
	Site     string      `json:"site"`
	Status   string      `json:"status"`
	Cause    string      `json:"cause"`
	Evidence []string    `json:"evidence,omitempty"`
	Rung     int         `json:"rung"`
	Next     string      `json:"next"`
	NextAt   time.Time   `json:"next_at,omitzero"`
	Blocked  string      `json:"blocked,omitempty"`
	Level    int         `json:"penalty_level"`
	Told     bool        `json:"told"`
	Story    []Happening `json:"story"`
}

// Result is the story of a closed issue.
type Result struct {
	Outcome string        `json:"outcome"`
	Cause   string        `json:"cause"`
	Opened  time.Time     `json:"opened"`
	Lasted  time.Duration `json:"lasted"`
	Story   []Happening   `json:"story"`
}

// issue climbs one ladder. Everything it remembers is here; nothing of it is read from the world.
type issue struct {
	ladder Ladder
	ref    activities.Ref
	times  activities.Times
	cause  string
	opened time.Time

	evidence []string // what it was opened with

	status   string
	rung     int       // index of the next rung
	tries    int       // how often the next rung has answered wait
	deadline time.Time // when the next rung is due
	blocked  string    // why the next rung waits

	pausedAt, pausedUntil time.Time
	pauseReason           string
	clearedAt             time.Time
	closing               string // why the issue ends without a look

	rounds    int       // how often the machine rungs were gone back to
	pcuBack   string    // why the machine rungs are due again
	back      int       // where to go on after them; 0: nowhere
	resumeAt  time.Time // and when
	rebooted  bool
	bootState string // what PLC had before a rung set the node disabled
	told      bool
	leaned    bool // the site may hold something for it that nobody was told of
	level     int
	tried     []string
	story     []Happening

	wake    workflow.Channel
	signals workflow.Selector
	changed bool // the search attributes are behind
	stale   bool // so is the store
}

// climb works an issue of any type from its opening to its end.
func climb(ctx workflow.Context, ladder Ladder, in activities.IssueInput) (Result, error) {
	is := &issue{ladder: ladder, status: StatusOpen, opened: workflow.Now(ctx), wake: workflow.NewBufferedChannel(ctx, 64)}
	if err := is.listen(ctx); err != nil {
		return Result{}, err
	}
	if err := is.open(ctx, in); err != nil {
		return Result{}, err
	}
	res, err := is.work(ctx)
	if err != nil && ctx.Err() != nil { // an issue that is cancelled lets go of its site like one that is closed
		ctx, _ = workflow.NewDisconnectedContext(ctx)
		return is.close(ctx, true, "cancelled by an operator")
	}
	return res, err
}

// work does what is due, until the issue has ended.
func (is *issue) work(ctx workflow.Context) (Result, error) {
	for {
		if is.pcuBack != "" {
			is.goBack(ctx)
		}
		if err := is.publish(ctx); err != nil {
			return Result{}, err
		}
		now := workflow.Now(ctx)
		switch {
		case is.closing != "":
			return is.close(ctx, true, is.closing)
		case !is.clearedAt.IsZero(): // a pause stops what hurts, not what ends well
			if healthy := is.clearedAt.Add(is.times.HealthyDelay); now.Before(healthy) {
				if err := is.sleep(ctx, healthy, "good again: closes if it stays so"); err != nil {
					return Result{}, err
				}
				continue
			}
			result, err := is.close(ctx, false, "good again")
			if err != nil || result.Outcome != "" {
				return result, err
			}
		case is.status == StatusPaused:
			if !is.pausedUntil.IsZero() && !now.Before(is.pausedUntil) {
				is.pledgePassed(ctx, now)
				continue
			}
			if err := is.sleep(ctx, is.pausedUntil, "paused"); err != nil {
				return Result{}, err
			}
		case now.Before(is.deadline):
			if err := is.sleep(ctx, is.deadline, "yield: next "+is.next().String()); err != nil {
				return Result{}, err
			}
		default:
			if err := is.climbOne(ctx); err != nil {
				return Result{}, err
			}
		}
	}
}

// key names the effect of the next rung in the ledger. A rung that is done once more on purpose has another one.
func (is *issue) key() string {
	key := fmt.Sprintf("%s/%s/%d.%d", is.ref.ID, is.ref.Run, is.rung, is.tries)
	if is.rounds > 0 {
		key += fmt.Sprintf(".%d", is.rounds)
	}
	return key
}

func (is *issue) next() Rung { return is.ladder.Rungs[is.rung] }

func (is *issue) advance() {
	is.tries = 0
	is.rung = min(is.rung+1, len(is.ladder.Rungs)-1)
	if is.back > 0 && is.rung >= is.ladder.machineRungs() {
		is.rung, is.back, is.deadline = is.back, 0, later(is.deadline, is.resumeAt)
		is.changed, is.stale = true, true
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// goBack returns to the machine rungs of an issue that had to pass them for want of its PCU. What it had reached with people
// goes on after them, and not sooner than it was due.
func (is *issue) goBack(ctx workflow.Context) {
	why := is.pcuBack
	is.pcuBack = ""
	if n := is.ladder.machineRungs(); n == 0 || is.rung < n || is.rebooted {
		return
	}
	is.tell(ctx, "back to "+is.ladder.Rungs[0].String()+": "+why)
	is.back, is.resumeAt, is.rung, is.tries = is.rung, is.deadline, 0, 0
	is.rounds++
	is.deadline, is.blocked = workflow.Now(ctx), ""
	if is.status == StatusPaused { // a resume moves what is due by the length of the pause
		is.deadline = is.pausedAt
	}
	is.changed, is.stale = true, true
}

func (is *issue) open(ctx workflow.Context, in activities.IssueInput) error {
	info := workflow.GetInfo(ctx)
	var a *activities.Activities
	var opened activities.Opened
	ref := activities.Ref{ID: info.WorkflowExecution.ID, Run: info.WorkflowExecution.RunID, Type: is.ladder.Type, Node: in.Node, PCU: in.PCU, Site: in.Site}
	err := workflow.ExecuteActivity(quick(ctx, "open "+ref.ID), a.Open, activities.Opening{Ref: ref, Cause: in.Cause, Evidence: in.Evidence}).Get(ctx, &opened)
	if err != nil {
		return err
	}
	is.ref, is.times, is.cause, is.evidence = opened.Ref, opened.Times, opened.Cause, opened.Evidence
	is.deadline = workflow.Now(ctx)
	is.tell(ctx, "opened: "+opened.Cause)
	return workflow.UpsertTypedSearchAttributes(ctx,
		AttrType.ValueSet(is.ref.Type), AttrStatus.ValueSet(StatusOpen), AttrSite.ValueSet(is.ref.Site),
		AttrNode.ValueSet(is.ref.Node), AttrPCU.ValueSet(is.ref.PCU), AttrPenalty.ValueSet(0), AttrRung.ValueSet(is.next().String()))
}

const (
	patience  = 28 // looks in quarters of a day; a rung that still waits then looks once a day, since it may do so for years
	mostTried = 20 // what people are told of all that was done
)

// try keeps what was done for the people who are told, the first and the latest of it.
func (is *issue) try(what string) {
	is.tried = append(is.tried, what)
	if len(is.tried) > mostTried {
		is.tried = slices.Delete(is.tried, mostTried/2, mostTried/2+1)
	}
}

// climbOne does the rung that is due: one activity, which looks, decides and acts.
func (is *issue) climbOne(ctx workflow.Context) error {
	rung, index := is.next(), is.rung
	in := activities.RungInput{
		Ref: is.ref, When: rung.When, Rebooted: is.rebooted, Level: rung.Level, Since: is.opened, Tried: is.tried, Evidence: is.evidence,
		Key:      is.key(),
		Forecast: is.forecast(ctx),
		Rung:     rung.String(), Then: is.ladder.after(is.rung).String(), Yield: rung.Yield.of(is.times), Held: is.level, Cause: is.cause,
	}
	var res activities.RungResult
	err := workflow.ExecuteActivity(machineOrQuick(ctx, rung), string(rung.Do), in).Get(ctx, &res)
	if err != nil {
		return err
	}
	now := workflow.Now(ctx)
	is.tell(ctx, rung.String()+": "+res.Outcome+": "+res.Reason)
	is.told, is.leaned = is.told || res.Told, is.leaned || res.Leaned
	if rung.Level > 0 && res.Outcome == activities.Acted {
		is.level = res.Level
	}
	is.changed, is.blocked = true, ""
	switch res.Outcome {
	case activities.Acted:
		if rung.Do != Flag { // which people are not told of, and which is there again every day
			is.try(rung.String() + ": " + res.Reason)
		}
		is.rebooted = is.rebooted || rung.Do == Reboot && !res.Asked
		if res.BootState != "" {
			is.bootState = res.BootState
		}
		if is.rung == index { // an operator's skip may have moved on meanwhile
			is.advance()
		}
		is.deadline = later(is.deadline, now.Add(rung.Yield.of(is.times)))
	case activities.Passed:
		if is.rung == index {
			is.advance()
		}
	case activities.Wait:
		is.tries++
		is.blocked = res.Reason
		is.deadline = res.Until
		if !is.deadline.After(now) {
			is.deadline = now.Add(is.times.Day / 4)
			if is.tries > patience {
				is.deadline = now.Add(is.times.Day)
			}
		}
	case activities.Good:
		is.clear(ctx, res.Reason)
	case activities.Gone:
		is.closing = "gone: " + res.Reason
	default:
		return temporal.NewNonRetryableApplicationError("rung answered "+res.Outcome, activities.ErrBadInput, nil)
	}
	return nil
}

func (is *issue) clear(ctx workflow.Context, why string) {
	is.clearedAt = workflow.Now(ctx)
	is.changed, is.stale = true, true
	is.tell(ctx, "good again: "+why)
}

// sleep waits for a time or a command, whichever is first. A zero time waits for a command only.
func (is *issue) sleep(ctx workflow.Context, until time.Time, summary string) error {
	is.describe(ctx)
	timerCtx, cancel := workflow.WithCancel(ctx)
	defer cancel()
	sel := workflow.NewSelector(ctx)
	sel.AddReceive(is.wake, func(ch workflow.ReceiveChannel, _ bool) { ch.Receive(ctx, nil) })
	if !until.IsZero() {
		timer := workflow.NewTimerWithOptions(timerCtx, until.Sub(workflow.Now(ctx)), workflow.TimerOptions{Summary: summary})
		sel.AddFuture(timer, func(workflow.Future) {})
	}
	sel.AddReceive(ctx.Done(), func(workflow.ReceiveChannel, bool) {})
	sel.Select(ctx)
	return ctx.Err()
}

// close lets the site go and ends the issue. Unless forced it looks first; a target that is bad again after all goes
// on where it was, and the result's Outcome is empty.
func (is *issue) close(ctx workflow.Context, force bool, outcome string) (Result, error) {
	var a *activities.Activities
	var res activities.RungResult
	err := workflow.ExecuteActivity(quick(ctx, "let go: "+outcome), a.LetGo, activities.LetGoInput{
		Ref: is.ref, Told: is.told, Leaned: is.leaned, Force: force, Outcome: outcome, Since: is.opened, BootState: is.bootState,
		Key: fmt.Sprintf("%s/%s/let-go.%d", is.ref.ID, is.ref.Run, len(is.story)),
	}).Get(ctx, &res)
	if err != nil {
		return Result{}, err
	}
	if res.Outcome != activities.Acted {
		is.clearedAt, is.changed, is.stale = time.Time{}, true, true
		is.tell(ctx, "not closed: "+res.Reason)
		return Result{}, nil
	}
	is.status, is.level, is.changed, is.stale = StatusClosed, 0, true, true
	if is.bootState != "" {
		is.tell(ctx, res.Reason)
	}
	is.tell(ctx, "closed: "+outcome)
	is.closing = outcome
	if err := is.publish(ctx); err != nil {
		return Result{}, err
	}
	for is.signals.HasPending() {
		is.signals.Select(ctx)
	}
	if err := workflow.Await(ctx, func() bool { return workflow.AllHandlersFinished(ctx) }); err != nil {
		return Result{}, err
	}
	return Result{Outcome: outcome, Cause: is.cause, Opened: is.opened, Lasted: workflow.Now(ctx).Sub(is.opened), Story: is.story}, nil
}

// publish brings the search attributes and the store up to date. What a rung did, its activity has recorded already.
func (is *issue) publish(ctx workflow.Context) error {
	if is.changed {
		is.changed = false
		is.describe(ctx)
		err := workflow.UpsertTypedSearchAttributes(ctx, AttrStatus.ValueSet(is.status), AttrPenalty.ValueSet(int64(is.level)), AttrRung.ValueSet(is.next().String()))
		if err != nil {
			return err
		}
	}
	if !is.stale {
		return nil
	}
	is.stale = false
	p := activities.Progress{Ref: is.ref, Status: is.status, Rung: is.next().String(), Level: is.level, Opened: is.opened, Cause: is.cause}
	s := is.report()
	p.Next, p.NextAt = s.Next, s.NextAt
	switch {
	case is.status == StatusClosed:
		p.Closed, p.Result = workflow.Now(ctx), is.closing
	case is.status == StatusPaused && is.clearedAt.IsZero():
		p.Next = s.Blocked
	}
	var a *activities.Activities
	return workflow.ExecuteActivity(quick(ctx, "record "+is.status), a.Record, p).Get(ctx, nil)
}

func (is *issue) tell(ctx workflow.Context, what string) {
	is.story = append(is.story, Happening{At: workflow.Now(ctx), What: what})
	if len(is.story) > 200 { // a year of daily looks must not grow the state without bound
		is.story = append(is.story[:50:50], is.story[len(is.story)-149:]...)
	}
}

func (is *issue) report() Status {
	s := Status{
		ID: is.ref.ID, Type: is.ladder.Type, Target: is.ref.Target(), Site: is.ref.Site, Status: is.status, Cause: is.cause, Evidence: is.evidence,
		Rung: is.rung, Next: is.next().String(), NextAt: is.deadline, Blocked: is.blocked, Level: is.level, Told: is.told,
		Story: is.story,
	}
	switch {
	case is.status == StatusClosed:
		s.Next, s.NextAt = "", time.Time{}
	case !is.clearedAt.IsZero():
		s.Next, s.NextAt = activities.Recovering, is.clearedAt.Add(is.times.HealthyDelay)
	case is.status == StatusPaused:
		s.Blocked, s.NextAt = "paused: "+is.pauseReason, is.pausedUntil
	}
	return s
}

// describe is the line and the list that the Web UI shows.
func (is *issue) describe(ctx workflow.Context) {
	s := is.report()
	text := fmt.Sprintf("**%s** of %s at %s: %s\n\n", s.Type, s.Target, s.Site, s.Status)
	for i, r := range is.ladder.Rungs {
		mark := "  "
		if i == is.rung && is.status != StatusClosed {
			mark = "→ "
		}
		text += fmt.Sprintf("    %s%s\n", mark, r)
	}
	if s.Next != "" {
		text += fmt.Sprintf("\nNext: %s, at %s", s.Next, s.NextAt.UTC().Format(time.RFC3339))
	}
	if s.Blocked != "" {
		text += "\n\nWaits: " + s.Blocked
	}
	workflow.SetCurrentDetails(ctx, text)
}

// forecast is what comes next if nothing changes, for the people who are told.
func (is *issue) forecast(ctx workflow.Context) []activities.Step {
	var steps []activities.Step
	at := workflow.Now(ctx).Add(is.next().Yield.of(is.times))
	for _, r := range is.ladder.Rungs[is.rung:][1:] {
		if r.Do == Email || r.Do == Flag {
			steps = append(steps, activities.Step{At: at, What: r.String()})
		}
		at = at.Add(r.Yield.of(is.times))
	}
	return steps
}

// quick is for activities that ask and tell; they are tried until they get through, however long Postgres or PLC is away.
func quick(ctx workflow.Context, summary string) workflow.Context {
	return workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		TaskQueue:           activities.TaskQueue,
		StartToCloseTimeout: 5 * time.Minute, // the dry run of a PCU that hangs, after a power command to it that hangs
		Summary:             summary,
		RetryPolicy: &temporal.RetryPolicy{InitialInterval: time.Second, BackoffCoefficient: 2, MaximumInterval: 10 * time.Minute,
			NonRetryableErrorTypes: []string{activities.ErrNoSuchTarget, activities.ErrBadInput}},
	})
}

func machineOrQuick(ctx workflow.Context, r Rung) workflow.Context {
	ctx = quick(ctx, r.String())
	if r.Do == Reboot || r.Do == Reinstall || r.Do == Bootman {
		ctx = workflow.WithTaskQueue(ctx, activities.MachineTaskQueue)
		ctx = workflow.WithStartToCloseTimeout(ctx, 15*time.Minute)
	}
	return ctx
}
