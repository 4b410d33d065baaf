package answers

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.temporal.io/sdk/client"

	"github.com/planetlab/monitor/activities"
	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/store"
)

// Explanation is all that Monitor can say of a target: what was seen, what is decided and why, what was done, what is in the way, and what
// comes next.
type Explanation struct {
	Target
	Seen     []Sight        `json:"seen"`
	Controls Controls       `json:"controls"`
	Sweep    *LastSweep     `json:"sweep,omitempty"`      // none: no sweep has ended yet
	Left     []Exemption    `json:"left_alone,omitempty"` // by whose word it is left alone, now or soon
	Issues   []Explained    `json:"issues"`               // those that are open
	Ended    []Ended        `json:"ended"`                // the latest of those that are closed, the latest first
	People   *People        `json:"people,omitempty"`     // of a site: what it is told and denied; none: nothing is, or nobody could say
	Held     []Held         `json:"held"`                 // what Monitor has changed, and is to put back
	Done     []store.Action `json:"done"`                 // the latest first
	// Unopened says why no issue is open, where none is.
	Unopened *activities.WhyNotAnswer `json:"unopened,omitempty"`
	Penalty  *activities.WhyNotAnswer `json:"penalty,omitempty"` // of a site: why the next step is not taken, or that it may be
	Missing  string                   `json:"missing,omitempty"` // what could not be asked, and why

	pcu int // where the target is one
}

// Sight is a target as it was last seen, and what is made of that.
type Sight struct {
	Name   string        `json:"name"`
	At     time.Time     `json:"at,omitzero"` // of the look; zero: there was none
	Saw    string        `json:"saw"`
	Status policy.Status `json:"status"`
	Since  time.Time     `json:"since,omitzero"`
}

// Explained is an open issue: where it stands, and what the gate would say to its next step now.
type Explained struct {
	ID     string       `json:"id"`
	Status string       `json:"status"`
	Cause  string       `json:"cause"`
	Opened time.Time    `json:"opened"`
	Level  int          `json:"penalty_level,omitempty"` // that it asks of its site
	Pause  *issue.Pause `json:"pause,omitempty"`
	Good   time.Time    `json:"good_since,omitzero"` // since when its target is good again
	Lost   bool         `json:"lost,omitempty"`      // its next step was begun, and the answer was lost
	Flags  int          `json:"flags,omitempty"`     // how often its last step was done: nothing is left but to tell the admins
	Next   string       `json:"next"`
	NextAt time.Time    `json:"next_at,omitzero"`
	Coming []AgendaStep `json:"coming"`
	Vetoed []AgendaStep `json:"vetoed,omitempty"` // what operators will not have
	Last   *issue.Event `json:"last,omitempty"`   // what happened to it last, since it was opened
	Before *Ended       `json:"before,omitempty"` // how it ended the last time
	// WhyNot is the gate's answer to the next step.
	WhyNot *activities.WhyNotAnswer `json:"why_not,omitempty"`
}

// Ended is an issue, or an earlier life of one, that is closed.
type Ended struct {
	ID      string       `json:"id"`
	Opened  time.Time    `json:"opened"`
	Closed  time.Time    `json:"closed"`
	Outcome string       `json:"outcome"`
	Credit  issue.Credit `json:"credit,omitempty"` // of one whose target is good again: what mended it, as far as Monitor knows
}

// Held is one thing that Monitor has changed outside, or asks for, until it is undone.
type Held struct {
	Kind  store.ClaimKind `json:"kind"`
	What  string          `json:"what"`
	Since time.Time       `json:"since"`
	For   string          `json:"for,omitempty"` // the issue, or the order
}

// How many acts, and how many closed issues, an explanation tells.
const (
	doneLately  = 10
	endedLately = 3
)

// Explain gathers it. What a worker must be asked is left out, and said to be missing, when none answers; without a client of Temporal none
// is asked.
func Explain(ctx context.Context, db *store.Store, tc client.Client, t Target, now time.Time) (Explanation, error) {
	e := Explanation{Target: t, Issues: []Explained{}, Ended: []Ended{}, Held: []Held{}, Done: []store.Action{}}
	for _, read := range []func(context.Context, *store.Store) error{e.see, e.readIssues, e.readEnded, e.readHeld, e.readDone} {
		if err := read(ctx, db); err != nil {
			return e, err
		}
	}
	if err := e.readLeft(ctx, db, now); err != nil {
		return e, err
	}
	var err error
	if e.Controls, err = ReadControls(ctx, db); err != nil {
		return e, err
	}
	if e.Sweep, err = readLastSweep(ctx, db); err != nil {
		return e, err
	}
	if tc == nil {
		return e, nil
	}
	if err := e.askWorker(ctx, tc); err != nil {
		e.Missing = "why things are not done is not shown: " + err.Error()
	}
	return e, nil
}

func (e *Explanation) see(ctx context.Context, db *store.Store) error {
	switch e.Kind {
	case KindNode:
		n, err := db.Node(ctx, e.Name)
		if err != nil {
			return err
		}
		e.Seen = append(e.Seen, Sight{Name: n.Hostname, At: n.SeenAt.UTC(), Saw: saw(n), Status: n.Record.Status, Since: n.Record.Changed.UTC()})
		return e.seeFeeds(ctx, db, n)
	case KindPCU:
		p, err := db.PCUByName(ctx, e.Name)
		if err != nil {
			return err
		}
		e.pcu, e.Seen = p.PCUID, append(e.Seen, sightOfPCU(p))
		return nil
	}
	s, err := db.Site(ctx, e.Name)
	if err != nil {
		return err
	}
	e.Seen = append(e.Seen, Sight{Name: s.LoginBase, Saw: sawSite(s), Status: s.Record.Status, Since: s.Record.Changed.UTC()})
	nodes, err := db.NodesOfSite(ctx, s.LoginBase)
	for _, n := range nodes {
		e.Seen = append(e.Seen, Sight{Name: n.Hostname, At: n.SeenAt.UTC(), Saw: saw(n), Status: n.Record.Status, Since: n.Record.Changed.UTC()})
	}
	return err
}

// seeFeeds adds the PCUs that feed a node.
func (e *Explanation) seeFeeds(ctx context.Context, db *store.Store, n store.Node) error {
	for _, f := range n.Feeds {
		p, err := db.PCU(ctx, f.PCUID)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		e.Seen = append(e.Seen, sightOfPCU(p))
	}
	return nil
}

func sightOfPCU(p store.PCU) Sight {
	s := Sight{Name: p.Name, At: p.SeenAt.UTC(), Saw: p.Reason, Status: p.Record.Status, Since: p.Record.Changed.UTC()}
	switch {
	case p.Gone:
		s.Saw = "the inventory does not have it any more"
	case p.SeenAt.IsZero():
		s.Saw = "it was never tried"
	case p.OK && s.Saw == "":
		s.Saw = "its dry run passes"
	case !p.OK:
		s.Saw = "its dry run fails: " + p.Reason
	}
	return s
}

// saw is what was last seen of a node, with what the inventory says that explains it.
func saw(n store.Node) string {
	s := n.State
	switch {
	case n.Gone:
		return "the inventory does not have it any more"
	case n.SeenAt.IsZero():
		s = "it was never looked at"
	case n.Reason != "":
		s += ": " + n.Reason
	}
	if state := policy.CleanBootState(n.BootState); state == "disabled" || state == "safeboot" || state == "reinstall" {
		s += "; the inventory has it at " + state
	}
	return s
}

// sawSite is what the inventory and Monitor's own record say of a site.
func sawSite(s store.Site) string {
	if s.Gone {
		return "the inventory does not have it any more"
	}
	var parts []string
	if s.Pending {
		parts = append(parts, "it waits to be approved")
	}
	if s.PenaltyLevel > 0 {
		parts = append(parts, fmt.Sprintf("it has penalty level %d of %d", s.PenaltyLevel, policy.Top))
	}
	if !s.Enabled {
		parts = append(parts, "it is disabled")
	}
	return strings.Join(parts, "; ")
}

func (e *Explanation) readIssues(ctx context.Context, db *store.Store) error {
	f := store.IssueFilter{Open: true}
	if e.Kind == KindNode {
		f.Node = e.Name
	} else {
		f.Site = e.Site
	}
	open, err := db.Issues(ctx, f)
	for _, i := range open {
		if e.Kind == KindPCU && i.Target != e.Name || e.Type != "" && i.Type != e.Type {
			continue
		}
		x := Explained{ID: i.ID, Status: i.Status, Cause: i.Cause, Opened: i.Opened.UTC(), Level: i.Level, Next: i.Next, NextAt: i.NextAt.UTC(),
			Coming: []AgendaStep{}}
		if s, err := i.Memory(); err == nil && len(s.Ladder.Rungs) > 0 {
			x.remember(s)
		}
		events, err := db.Timeline(ctx, i.ID, i.RunID)
		if err != nil {
			return err
		}
		if n := len(events); n > 0 && events[n-1].Kind != issue.EventOpened {
			last := events[n-1]
			last.At, last.Until = last.At.UTC(), last.Until.UTC()
			x.Last = &last
		}
		episodes, err := db.Episodes(ctx, i.ID)
		if err != nil {
			return err
		}
		if len(episodes) > 1 {
			before := endedOf(episodes[1])
			x.Before = &before
		}
		e.Issues = append(e.Issues, x)
	}
	return err
}

// remember takes what an issue knows of itself.
func (x *Explained) remember(s issue.State) {
	var a Agenda
	a.take(s)
	x.Coming, x.Vetoed = append(x.Coming, a.Steps...), a.Vetoed
	x.Good, x.Lost, x.Flags = s.RecoveredAt.UTC(), s.Lost, s.Idle
	if p := s.Pause; p != nil {
		x.Pause = &issue.Pause{At: p.At.UTC(), Until: p.Until.UTC(), By: p.By, Reason: p.Reason}
	}
}

func endedOf(i store.Issue) Ended {
	v := Ended{ID: i.ID, Opened: i.Opened.UTC(), Closed: i.Closed.UTC(), Outcome: i.Outcome}
	if s, err := i.Memory(); err == nil && s.End != nil && s.End.Why == issue.EndRecovered {
		v.Credit = s.Credit()
	}
	return v
}

// readEnded reads the issues that ended last.
func (e *Explanation) readEnded(ctx context.Context, db *store.Store) error {
	f := store.IssueFilter{Status: string(issue.Closed), Site: e.Site}
	if e.Kind == KindNode {
		f.Site, f.Node = "", e.Name
	}
	closed, err := db.Issues(ctx, f)
	for _, i := range closed {
		if e.Kind == KindPCU && i.Target != e.Name || e.Type != "" && i.Type != e.Type || len(e.Ended) == endedLately {
			continue
		}
		v := endedOf(i)
		if slices.ContainsFunc(e.Issues, func(x Explained) bool { return x.Before != nil && *x.Before == v }) {
			continue // it is told there
		}
		e.Ended = append(e.Ended, v)
	}
	return err
}

// readHeld reads what is claimed of the target, and of a node also the outlets that feed it.
func (e *Explanation) readHeld(ctx context.Context, db *store.Store) error {
	claims, err := db.Claims(ctx, store.ClaimFilter{Site: e.Site})
	if err != nil {
		return err
	}
	outlets := map[string]bool{} // of a node
	if e.Kind == KindNode {
		n, err := db.Node(ctx, e.Name)
		if err != nil {
			return err
		}
		for _, f := range n.Feeds {
			outlets[fmt.Sprintf("%d/%d", f.PCUID, f.Outlet)] = true
		}
	}
	for _, c := range claims {
		_, about, _ := strings.Cut(c.Issue, "/")
		pcu, outlet, _ := strings.Cut(c.Target, "/")
		mine := about == e.Name || c.Target == e.Name || e.Kind == KindSite || c.Kind == store.ClaimOutlet && outlets[c.Target] ||
			c.Kind == store.ClaimOutlet && e.Kind == KindPCU && pcu == strconv.Itoa(e.pcu)
		if mine {
			e.Held = append(e.Held, Held{c.Kind, heldWords(c, e.pcuName(ctx, db, pcu), outlet), c.Taken.UTC(), c.Issue})
		}
	}
	return nil
}

// pcuName is the name of a PCU, else its number.
func (e *Explanation) pcuName(ctx context.Context, db *store.Store, id string) string {
	if n, err := strconv.Atoi(id); err == nil {
		if p, err := db.PCU(ctx, n); err == nil {
			return p.Name
		}
	}
	return "PCU " + id
}

// heldWords are what a claim holds, for people.
func heldWords(c store.Claim, pcu, outlet string) string {
	switch c.Kind {
	case store.ClaimHold:
		return "penalty level " + c.SetTo + " is asked of the site"
	case store.ClaimSiteDisabled:
		return "the site is disabled"
	case store.ClaimSliceSuspended:
		return "the slice " + c.Target + " is suspended"
	case store.ClaimNodeDisabled:
		return c.Target + " is disabled; before, it was at " + c.Was
	case store.ClaimBootState:
		return c.Target + " is set to " + c.SetTo + "; before, it was at " + c.Was
	case store.ClaimOutlet:
		return "outlet " + outlet + " of " + pcu + " may be off: it is read, and turned on, until it is surely on"
	case store.ClaimRequest:
		return "a person's order to " + c.SetTo + " " + c.Target + " is under way"
	}
	return string(c.Kind) + " " + c.Target
}

// readLeft reads who wants the target, or its site, to be left alone, and which issues operators closed though it was bad.
func (e *Explanation) readLeft(ctx context.Context, db *store.Store, now time.Time) error {
	all, err := Exemptions(ctx, db, now)
	if err != nil {
		return err
	}
	for _, x := range all {
		if x.Now != "over" && (x.Kind == e.Kind && x.Target == e.Name || x.Kind == KindSite && x.Target == e.Site) {
			e.Left = append(e.Left, x)
		}
	}
	closed, err := db.LeftClosed(ctx)
	for _, id := range slices.Sorted(maps.Keys(closed)) {
		typ, about, _ := strings.Cut(id, "/")
		if c := closed[id]; about == e.Name && (e.Type == "" || e.Type == typ) {
			e.Left = append(e.Left, Exemption{Kind: "issue", Target: id, What: "closed", Where: "monitor", Now: "in force", Starts: c.At.UTC(), By: c.By, Reason: c.Reason})
		}
	}
	return err
}

func (e *Explanation) readDone(ctx context.Context, db *store.Store) error {
	f := store.ActionFilter{Site: e.Site}
	if e.Kind == KindNode {
		f = store.ActionFilter{Node: e.Name, Limit: doneLately}
	}
	done, err := db.Actions(ctx, f)
	for _, d := range done {
		if e.Kind == KindPCU && d.PCUID != e.pcu || len(e.Done) == doneLately {
			continue
		}
		d.At, d.Committed, d.Finished = d.At.UTC(), d.Committed.UTC(), d.Finished.UTC()
		e.Done = append(e.Done, d)
	}
	return err
}

// askWorker asks the gate about the next step of each issue; where none is open, why none is; and of a site, about its next penalty.
func (e *Explanation) askWorker(ctx context.Context, tc client.Client) error {
	for i := range e.Issues {
		x := &e.Issues[i]
		act, asks := nextAct(*x)
		if !asks {
			continue
		}
		typ, target, _ := strings.Cut(x.ID, "/")
		answer, err := WhyNot(ctx, tc, activities.WhyNotRequest{Act: act, Type: typ, Target: target, At: x.Coming[0].At})
		if err != nil {
			return err
		}
		x.WhyNot = &answer
	}
	ask := func(word string, to **activities.WhyNotAnswer) error {
		q, err := Question(e.Target, word, time.Time{})
		if err != nil {
			return err
		}
		answer, err := WhyNot(ctx, tc, q)
		if err == nil {
			*to = &answer
		}
		return err
	}
	if e.Kind == KindSite {
		s, err := SiteState(ctx, tc, e.Name)
		if err == nil {
			people := PeopleOf(s)
			e.People = &people
		} else if !errors.Is(err, ErrNoWorkflow) {
			return err
		}
		return ask("penalize", &e.Penalty)
	}
	if len(e.Issues) == 0 {
		return ask("open", &e.Unopened)
	}
	return nil
}

// nextAct is the act of the next step of an issue, if that is one that the gate is asked about.
func nextAct(x Explained) (policy.Act, bool) {
	if len(x.Coming) == 0 {
		return "", false
	}
	act, asks := map[issue.Action]policy.Act{
		issue.Reboot: policy.ActReboot, issue.Reinstall: policy.ActReinstall, issue.Bootman: policy.ActRepair,
		issue.Disable: policy.ActDisable, issue.Email: policy.ActNotify,
	}[x.Coming[0].Do]
	return act, asks
}
