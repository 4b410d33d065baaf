package workflows_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"go.temporal.io/sdk/testsuite"

	"github.com/planetlab/monitor/activities"
	"github.com/planetlab/monitor/clean"
	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/site"
	"github.com/planetlab/monitor/testbed/hostile"
)

// Whoever starts a site's workflow by hand says nothing of what it holds, has been told, or is denied: that is read
// from the store.
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

// hostileUsers are what others in the namespace may say to an issue without having the right to order it anything.
func hostileUsers() map[string]func(p *play) {
	const evil = "\x00\x1b[2J\u009b31m\u202eevil\xff"
	novel := strings.Repeat(evil, 1_900_000/len(evil))
	signal := func(name string, v any) func(*play) { return func(p *play) { p.SignalWorkflow(name, v) } }
	update := func(name string, v any) func(*play) {
		return func(p *play) {
			p.UpdateWorkflow(name, name+p.Now().String(), &testsuite.TestUpdateCallback{
				OnAccept: func() {
					p.t.Errorf("%s of %T was accepted", name, v)
				}, OnReject: func(error) {}, OnComplete: func(any, error) {},
			}, v)
		}
	}
	often := func(n int, do func(*play)) func(*play) {
		return func(p *play) {
			for range n {
				do(p)
			}
		}
	}
	return map[string]func(*play){
		"a pause of 1.9 MB":                   signal("pause", issue.Command{Reason: novel}),
		"a pause by 1.9 MB":                   signal("pause", issue.Command{By: novel}),
		"a pause until yesterday, with a NUL": signal("pause", issue.Command{Until: time.Unix(1, 0), Reason: evil}),
		"a pause that is a text":              signal("pause", evil),
		"a pause that is a list":              signal("pause", []string{evil}),
		"a pause that is bytes":               signal("pause", []byte(evil)),
		"a pause that nests": signal("pause",
			json.RawMessage(strings.Repeat("[", 5000)+strings.Repeat("]", 5000))),
		"a pause until a time that is none": signal("pause", map[string]any{"until": evil}),
		"a resume of what is not paused":    signal("resume", issue.Command{By: evil, Reason: evil}),
		"three hundred of them":             often(300, signal("resume", issue.Command{By: evil, Reason: evil})),
		"a close of 1.9 MB":                 signal("close", issue.Command{Reason: novel}),
		"a skip of 1.9 MB":                  signal("skip", issue.Command{By: novel}),
		"a skip that is a number":           signal("skip", 7),
		"a signal that nobody knows":        signal("reboot"+"now", evil),
		"a retry of noise":                  often(100, signal(activities.SignalRetry, evil)),
		"a retry of nothing":                often(100, signal(activities.SignalRetry, nil)),
		"an update of 1.9 MB":               update("pause", issue.Command{Reason: novel}),
		"an update by 1.9 MB":               update("close", issue.Command{By: novel}),
		"an update until yesterday":         update("pause", issue.Command{Until: time.Unix(1, 0), Reason: evil}),
		"an update to resume what runs":     update("resume", issue.Command{By: evil}),
		"a recovery that is a novel":        signal(activities.SignalRecovered, issue.Command{Reason: novel}),
		"a PCU that is back, at length":     signal(activities.SignalPCUBack, issue.Command{Reason: novel}),
	}
}

// What others say to an issue changes nothing of what is done, and neither its state nor its story grows or gets dirty
// by it.
func TestIssue_HostileUsersOfTheNamespaceChangeNothing(t *testing.T) {
	climb := func(t *testing.T, say func(*play)) (rungs []string, size int) {
		p := newPlay(t, issue.NodeDown)
		p.answer = func(context.Context, issue.Request) (issue.Result, error) {
			if len(p.rungs) > 6 {
				return issue.Result{Outcome: issue.Recovered, Reason: "up"}, nil
			}
			return issue.Result{Outcome: issue.Acted, Reason: "done"}, nil
		}
		p.close = func(activities.CloseRequest) (issue.Result, error) {
			if len(p.rungs) <= 6 { // somebody says that it is good, and a look finds that it is not
				return issue.Result{Outcome: issue.Wait, Reason: "silent"}, nil
			}
			return issue.Result{Outcome: issue.Acted}, nil
		}
		for _, after := range []time.Duration{time.Minute, 30 * time.Hour, 9 * 24 * time.Hour} {
			p.RegisterDelayedCallback(func() { say(p) }, after)
		}
		res := p.run(issue.NodeDown)
		for _, s := range p.saved {
			text, err := json.Marshal(s)
			if err != nil || hostile.HoldsControl(string(text)) || string(clean.JSON(text)) != string(text) {
				t.Errorf("saved is %.300q, %v", text, err)
			}
			size = max(size, len(text))
		}
		text, err := json.Marshal(res)
		if err != nil || len(text) > 64<<10 {
			t.Errorf("it ends with %d bytes, %v", len(text), err)
		}
		for _, r := range p.rungs {
			action, _, _ := strings.Cut(r, " ")
			rungs = append(rungs, action)
		}
		return rungs, size
	}
	alone, _ := climb(t, func(*play) {})
	users := hostileUsers()
	if len(users) < 20 || len(alone) < 6 {
		t.Fatalf("%d users, climbed %q", len(users), alone)
	}
	for name, say := range users {
		t.Run(name, func(t *testing.T) {
			rungs, size := climb(t, say)
			// whoever may say so may have the power tried again, through the gate and its limits
			if name == "a PCU that is back, at length" {
				rungs = slices.DeleteFunc(rungs, func(r string) bool {
					return r == string(issue.Reboot) || r == string(issue.Reinstall)
				})
				if !slices.Equal(rungs, slices.DeleteFunc(slices.Clone(alone), func(r string) bool {
					return r == string(issue.Reboot) || r == string(issue.Reinstall)
				})[:len(rungs)]) {
					t.Errorf("climbed %q", rungs)
				}
			} else if !slices.Equal(rungs, alone) {
				t.Errorf("climbed %q, and without them %q", rungs, alone)
			}
			if size > 256<<10 {
				t.Errorf("its state has %d bytes", size)
			}
		})
	}
}
