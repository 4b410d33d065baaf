package activities

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/planetlab/monitor/clean"
	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/notify"
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/store"
)

// notByHand says why people are not asked to do an act on a node whose PCU they switch; empty: they are.
func notByHand(act policy.Act, pcu string, admins []string) string {
	switch {
	case act != policy.ActReboot:
		return "its PCU " + pcu + " is switched by people, and only Monitor itself reboots into a reinstall"
	case len(admins) == 0:
		return "its PCU " + pcu + " is switched by people, and mail.admins names nobody to ask"
	}
	return ""
}

// requestManualCycle writes to the admins that they switch a manual PCU, once a rung. Nothing is done until they do: a
// reboot that was asked for is no reboot, and nobody is asked to power a node into its reinstallation.
func (a *Power) requestManualCycle(ctx context.Context, t task, act policy.Act, node store.Node, p store.PCU,
	outlet int) (issue.Result, error) {
	if why := notByHand(act, p.Name, a.post.Admins); why != "" {
		return issue.Result{Outcome: issue.Passed, Reason: why}, nil
	}
	asked := fmt.Sprintf("asked the admins to power-cycle outlet %d of %s by hand", outlet, p.Name)
	// It takes no share of the budgets, and is no power cycle for the window: nothing is switched by Monitor.
	data, err := json.Marshal(powerData{ByHand: true})
	if err != nil {
		return issue.Result{}, err
	}
	action, existed, err := a.Store.Intent(ctx, store.Action{
		Key: t.Key, Kind: store.KindReboot, Issue: t.ref().ID, RunID: t.ref().Run, Node: node.Hostname, Site: node.Site,
		PCUID: p.PCUID, Reason: t.seen.reason, Data: data})
	if err != nil {
		return issue.Result{}, err
	}
	if !existed || action.Outcome == "" {
		stop := ""
		if t.order.Given() {
			stop = clean.Line(fmt.Sprintf("%s ordered it: %s. Ask them, or leave it undone.", t.order.By, t.order.Reason))
		}
		asked, err = a.post.tellAdmins(ctx, action, store.Asked, asked, notify.Notice{
			Kind: notify.ByHand, Site: node.Site, HowToStop: stop,
			Items: []notify.Item{{Issue: t.ref().ID, Type: t.ref().Type, Target: node.Hostname,
				Since: node.Record.Changed, Evidence: []string{node.Reason},
				Fix: fmt.Sprintf("Turn outlet %d of %s off, wait ten seconds, and turn it on again.", outlet, p.Name)}},
		})
		if err != nil {
			return issue.Result{}, err
		}
	}
	return issue.Result{Outcome: issue.Acted, Power: issue.Asked, Reason: asked,
		Deeds: []issue.Deed{{At: a.now(), What: issue.DeedAskedAdmins, How: p.Name}}}, nil
}
