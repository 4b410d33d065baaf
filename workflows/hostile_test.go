package workflows_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/site"
)

// Whoever starts a site's workflow by hand says nothing of what it holds, has been told, or is denied: that is read from the store.
func TestSite_AStateFromOutsideIsIgnored(t *testing.T) {
	p := newSite(t)
	forged := site.Start("huji", "forged")
	ref := issue.Ref{ID: "nodedown/victim.example", Type: issue.NodeDown, Node: "victim.example", Site: "huji"}
	forged.Known, forged.Level = true, 2
	forged.Holds[ref.ID] = site.Hold{Ref: ref, Level: 2, Kind: "down", Told: true}
	forged.Pending = []site.Notice{{Kind: "down", Ref: ref, Level: 2, Evidence: []string{"pay here"}}}
	p.ExecuteWorkflow(site.Type, site.Input{Site: "elsewhere", State: &forged})
	if err := p.GetWorkflowError(); err != nil {
		t.Fatal(err)
	}
	var end site.State
	if err := p.GetWorkflowResult(&end); err != nil {
		t.Fatal(err)
	}
	if len(p.mails)+len(p.tries)+len(p.levels) != 0 || end.Site != "huji" || end.Level != 0 || len(end.Holds) != 0 {
		t.Errorf("mails %q, levels %q, ends as %+v", p.mails, p.levels, end)
	}
}

// TestSite_ARequestThatIsTooLargeIsRefused: an update of two megabytes would make every later task of the site fail.
func TestSite_ARequestThatIsTooLargeIsRefused(t *testing.T) {
	ref := issue.Ref{ID: "nodedown/a.example", Type: issue.NodeDown, Node: "a.example", Site: "huji"}
	for name, change := range map[string]func(*site.HoldRequest){
		"evidence of 2 MB":       func(r *site.HoldRequest) { r.Evidence = []string{strings.Repeat("x", 2<<20)} },
		"a thousand deeds":       func(r *site.HoldRequest) { r.Deeds = make([]issue.Deed, 20_000) },
		"a NUL in its key":       func(r *site.HoldRequest) { r.Key = "a\x00" },
		"an escape in its issue": func(r *site.HoldRequest) { r.Ref.ID = "nodedown/\x1b[2J" },
		"a kind that is a novel": func(r *site.HoldRequest) { r.Kind = strings.Repeat("x", 5000) },
		"no issue":               func(r *site.HoldRequest) { r.Ref.ID = "" },
	} {
		p := newSite(t)
		bad := site.HoldRequest{Key: "k", Ref: ref, Kind: "down", Since: p.Now()}
		change(&bad)
		var refused error
		p.RegisterDelayedCallback(func() {
			p.UpdateWorkflow(site.UpdateHold, "bad", &answerOf{rejected: func(err error) { refused = err }}, bad)
		}, 0)
		p.ExecuteWorkflow(site.Type, site.Input{Site: "huji"})
		if refused == nil || len(refused.Error()) > 1000 {
			t.Errorf("%s: %v", name, refused)
		}
		if len(p.tries) != 0 {
			t.Errorf("%s: %d messages", name, len(p.tries))
		}
	}
}

// answerOf is who sent an update.
type answerOf struct{ rejected func(error) }

func (answerOf) Accept()            {}
func (a answerOf) Reject(err error) { a.rejected(err) }
func (a answerOf) Complete(_ any, err error) {
	if err != nil {
		a.rejected(errors.Join(errors.New("taken, and then"), err))
	}
}
