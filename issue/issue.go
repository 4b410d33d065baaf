// Package issue says what an issue is and how it climbs its ladder. It is pure: time, results, orders and facts come
// in, the next step comes out. Workflows run it on durable timers, tests on a clock of their own, and forecasts ask it
// what comes next; all of them get the same answers, because there is only this code.
//
// Each issue type is one file that reads like its action list; nodedown.go is the one to read first. machine.go climbs
// any of them.
package issue

import (
	"fmt"
	"strings"
	"time"

	"github.com/planetlab/monitor/clean"
	"github.com/planetlab/monitor/policy"
)

//go:generate go run ./gen

// TargetKind is what an issue is about.
type TargetKind string

// The kinds of targets.
const (
	OfNode TargetKind = "node"
	OfPCU  TargetKind = "pcu"
	OfSite TargetKind = "site"
)

// Type is an issue type: when it opens and ends, whom it concerns, and its ladder.
type Type struct {
	Name   string     // also the workflow type
	Target TargetKind // what it is about
	About  string     // what is wrong, in one sentence
	Opens  string     // when it opens, or who opens it
	Ends   string     // what a look must find for it to end by itself
	Notice string     // the kind of notice its people get; empty: its name
	// NeedsDown: people are not written to before the status of the target is down. Else the trouble must be as old as
	// a node that is down.
	NeedsDown bool
	// Call reports whether a sweep's facts call for the issue, and why; nil: others open it, as bootman does.
	Call func(policy.Policy, Facts, time.Time) (why string, open bool)
	// Recovered reports whether a look just taken finds the target good, as far as this type goes, and why.
	Recovered func(Facts) (bool, string)
	Ladder    Ladder
}

// Facts are what a look and the store say of a target; which field counts depends on the kind of target.
type Facts struct {
	Node policy.NodeFacts
	PCU  PCUFacts
	Site policy.SiteSeen
}

// PCUFacts are what is known of a PCU after a dry run.
type PCUFacts struct {
	Name, Site string
	Record     policy.Record
	Passes     bool   // the dry run just tried
	Reason     string // how it went
}

// NoticeKind is the kind of notice that people get about an issue of this type.
func (t Type) NoticeKind() string {
	if t.Notice != "" {
		return t.Notice
	}
	return t.Name
}

// Lookup finds an issue type by its name.
func Lookup(name string) (Type, bool) {
	for _, t := range Types() {
		if t.Name == name {
			return t, true
		}
	}
	return Type{}, false
}

// Ref names an open issue and what it is about, in everything that passes between workflows and activities.
type Ref struct {
	ID   string `json:"id"` // <type>/<target>
	Run  string `json:"run"`
	Type string `json:"type"`
	Node string `json:"node,omitempty"`
	Site string `json:"site,omitempty"` // login_base
	PCU  string `json:"pcu,omitempty"`
	// PCUID is PLC's pcu_id, 0 when the target has none.
	PCUID int `json:"pcu_id,omitempty"`
}

// Target is the host, PCU or site that the issue is about: the second half of its id.
func (r Ref) Target() string {
	_, target, _ := strings.Cut(r.ID, "/")
	return target
}

// Episode names one life of an issue: it may open again under the same id.
func (r Ref) Episode() string { return r.ID + "/" + r.Run }

// Input starts an issue. One of the first three names its target; nothing else is needed. Who opens an issue and knows
// more than a sweep, as bootman, an alert or an operator does, says so in the cause and in the evidence.
type Input struct {
	Node     string   `json:"node,omitempty"` // hostname as in PLC
	PCU      string   `json:"pcu,omitempty"`  // its hostname, else its ip, else, or where several share that, pcu-<id>
	Site     string   `json:"site,omitempty"` // login_base
	Cause    string   `json:"cause,omitempty"`
	Evidence []string `json:"evidence,omitempty"` // one fact a line, for the people who are told
	// State is where an issue goes on that has continued as a new run; nobody else sets it.
	State *State `json:"state,omitempty"`
}

// Input is what starts an issue of this type about a target.
func (t Type) Input(target string) Input {
	switch t.Target {
	case OfPCU:
		return Input{PCU: target}
	case OfSite:
		return Input{Site: target}
	}
	return Input{Node: target}
}

// TargetOf is the target that an input names for this type; empty: none.
func (t Type) TargetOf(in Input) string {
	switch t.Target {
	case OfPCU:
		return in.PCU
	case OfSite:
		return in.Site
	}
	return in.Node
}

// maxEvidence bounds what an opener may say, so that a log pasted whole does not fill every history and every mail.
const maxEvidence = 40

// Evidence is what an opener says, bounded and clean.
func Evidence(lines []string) []string {
	return clean.Lines(lines, maxEvidence, func(n int) string { return fmt.Sprintf("and %d lines more", n) })
}

// MayNotifySite reports whether a site may be written to about an issue of this type yet: not before its target is
// down. A trouble that does not make its target down, as debug mode or a read-only disk, must have lasted as long.
func (t Type) MayNotifySite(p policy.Policy, r policy.Record, opened, now time.Time) policy.Decision {
	after := p.OfflineToDown
	if t.Target == OfPCU {
		after = p.PCUOfflineToDown
	}
	if t.NeedsDown {
		if r.Status == policy.StatusDown {
			return policy.Yes("it is down")
		}
		return policy.No(r.Changed.Add(after), "nobody is written to before it is down; it is %s", r.Status)
	}
	since := opened
	if !r.Status.Healthy() && r.Changed.Before(opened) {
		since = r.Changed
	}
	if age := now.Sub(since); age < after {
		return policy.No(since.Add(after), "nobody is written to before the trouble is %s old; it is %s",
			p.Days(after), p.Days(age))
	}
	return policy.Yes("the trouble has lasted long enough")
}
