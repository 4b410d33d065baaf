package answers

import (
	"context"
	"errors"
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
	Issues   []Explained    `json:"issues"` // those that are open
	Done     []store.Action `json:"done"`   // the latest first
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
	Next   string       `json:"next"`
	NextAt time.Time    `json:"next_at,omitzero"`
	Coming []AgendaStep `json:"coming"`
	// WhyNot is the gate's answer to the next step.
	WhyNot *activities.WhyNotAnswer `json:"why_not,omitempty"`
}

// doneLately is how many acts an explanation tells.
const doneLately = 10

// Explain gathers it. What a worker must be asked is left out, and said to be missing, when none answers; without a client of Temporal none
// is asked.
func Explain(ctx context.Context, db *store.Store, tc client.Client, t Target) (Explanation, error) {
	e := Explanation{Target: t, Issues: []Explained{}, Done: []store.Action{}}
	for _, read := range []func(context.Context, *store.Store) error{e.see, e.readIssues, e.readDone} {
		if err := read(ctx, db); err != nil {
			return e, err
		}
	}
	var err error
	if e.Controls, err = ReadControls(ctx, db); err != nil {
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
	e.Seen = append(e.Seen, Sight{Name: s.LoginBase, Saw: "", Status: s.Record.Status, Since: s.Record.Changed.UTC()})
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
	if p.OK && s.Saw == "" {
		s.Saw = "its dry run passes"
	}
	return s
}

func saw(n store.Node) string {
	switch {
	case n.State == "":
		return ""
	case n.Reason == "":
		return n.State
	}
	return n.State + ": " + n.Reason
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
		x := Explained{ID: i.ID, Status: i.Status, Cause: i.Cause, Opened: i.Opened.UTC(), Next: i.Next, NextAt: i.NextAt.UTC(), Coming: []AgendaStep{}}
		if s, err := i.Memory(); err == nil && len(s.Ladder.Rungs) > 0 {
			var a Agenda
			a.take(s)
			x.Coming = append(x.Coming, a.Steps...)
		}
		e.Issues = append(e.Issues, x)
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
