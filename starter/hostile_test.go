package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/planetlab/monitor/answers"
	outside "github.com/planetlab/monitor/clean"
	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/store"
)

// Whatever stands in the store, a terminal that shows it is driven by nobody but us.
func TestNothingThatIsPrintedDrivesATerminal(t *testing.T) {
	const evil = "\x00\x1b[2J\u009b31m\x9b\u202eevil\u2028x"
	v := answers.Issue{
		ID: "nodedown/" + evil, Type: evil, Target: evil, Site: evil, Status: evil, Cause: evil, Next: evil, Blocked: evil, Outcome: evil,
		Evidence: []string{evil, "one\ntwo " + evil}, Opened: noon(), Closed: noon(),
		Timeline: []issue.Event{
			{At: noon(), Kind: issue.EventOrder, Order: issue.Order(evil), By: evil, Reason: evil, Rung: evil},
		},
		Earlier: []answers.Episode{{Opened: noon(), Closed: noon(), Outcome: evil}},
		Actions: []store.Action{{At: noon(), Kind: evil, Outcome: evil, Reason: evil, Detail: evil}},
	}
	for _, format := range formats() {
		var out, errs bytes.Buffer
		a := &app{out: &out, err: &errs, now: noon, format: format}
		if err := a.show(v, func() { a.drawIssue(v); a.issueTable(evil, []answers.Issue{v}); a.issueTable(evil, nil) }); err != nil {
			t.Fatal(err)
		}
		a.warn("a warning of %s", evil)
		a.say("%s: %v, %s", evil, errors.New(evil), []byte(evil))
		if n := strings.Count(out.String(), "evil"); n < 10 && format != formatName || n < 4 {
			t.Errorf("%s: what was to be shown is not there: %q", format, out.String())
		}
		for _, printed := range []string{out.String(), errs.String()} {
			if !outside.Is(printed, len(printed)) || strings.Contains(printed, "\r") {
				t.Errorf("%s: %q", format, printed)
			}
		}
		if format == "json" {
			var back answers.Issue
			if err := json.NewDecoder(&out).Decode(&back); err != nil ||
				back.ID != strings.ToValidUTF8(v.ID, "\uFFFD") {
				t.Errorf("it reads back as %q, %v", back.ID, err)
			}
		}
	}
}
