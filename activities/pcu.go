package activities

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/planetlab/monitor/clean"
	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/notify"
	"github.com/planetlab/monitor/pcucontrol"
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/store"
)

// testTime bounds a dry run, which is a login and a look.
const testTime = 90 * time.Second

// testPCU is the dry run: log in, find an outlet, switch nothing. A manual PCU has nothing to log in to. An error is a fault of ours,
// as of Postgres, and says nothing about the PCU.
func (a *Activities) testPCU(ctx context.Context, p store.PCU) (bool, string, error) {
	if a.manual(p) {
		return true, "manual: people switch it when they are asked", nil
	}
	if p.Hostname == "" && p.IP == "" {
		return false, "its PLC entry has neither hostname nor ip", nil
	}
	o, err := a.outletOf(ctx, p, 0)
	if errors.Is(err, errEntry) {
		return false, clean.Line(err.Error()), nil
	}
	if err != nil {
		return false, "", err
	}
	release, err := a.Store.LockPCU(ctx, p.PCUID)
	if err != nil {
		return false, "", err
	}
	defer release()
	within, cancel := context.WithTimeout(ctx, testTime)
	defer cancel()
	result, err := o.run(within, a.PCUs.Test)
	if ctx.Err() != nil {
		return false, "", ctx.Err()
	}
	if err != nil {
		return false, clean.Line(err.Error()), nil
	}
	return true, clean.Line(result.Note), nil
}

func (a *Activities) manual(p store.PCU) bool {
	m, err := a.PCUs.Resolve(p.Model)
	return err == nil && m.Name == pcucontrol.Manual
}

// requestManualCycle writes to the admins that they switch a manual PCU, once a rung. Nothing is done until they do: a reboot that was
// asked for is no reboot, and nobody is asked to power a node into its reinstallation.
func (a *Activities) requestManualCycle(ctx context.Context, t task, act policy.Act, node store.Node, p store.PCU, outlet int) (issue.Result, error) {
	if act != policy.ActReboot {
		return issue.Result{Outcome: issue.Passed, Reason: "its PCU " + p.Name + " is switched by people, and only Monitor itself reboots into a reinstall"}, nil
	}
	if len(a.Admins) == 0 {
		return issue.Result{Outcome: issue.Passed, Reason: "its PCU " + p.Name + " is switched by people, and mail.admins names nobody to ask"}, nil
	}
	asked := fmt.Sprintf("asked the admins to power-cycle outlet %d of %s by hand", outlet, p.Name)
	action, existed, over, err := a.Store.Begin(ctx, store.Plan{Budget: a.budget(act), Action: store.Action{
		Key: t.Key, Kind: store.KindReboot, Issue: t.ref().ID, RunID: t.ref().Run, Node: node.Hostname, Site: node.Site, PCU: p.PCUID, Reason: t.seen.reason}})
	if err != nil {
		return issue.Result{}, err
	}
	if over != nil {
		return issue.Result{Outcome: issue.Wait, Check: "budget", Reason: "the budget of this hour is spent", Until: over.Free.Add(a.Policy.Hour())}, nil
	}
	if !existed || action.Outcome == "" {
		asked, err = a.tell(ctx, t.Key, store.Asked, asked, notify.Notice{
			Kind: notify.ByHand, Site: node.Site, At: a.now().UTC(), To: a.Admins, MessageID: notify.MessageID(t.Key, a.Domain),
			Items: []notify.Item{{Issue: t.ref().ID, Type: t.ref().Type, Target: node.Hostname, Since: node.Record.Changed, Evidence: []string{node.Reason},
				Fix: fmt.Sprintf("Turn outlet %d of %s off, wait ten seconds, and turn it on again.", outlet, p.Name)}},
		})
		if err != nil {
			return issue.Result{}, err
		}
	}
	return issue.Result{Outcome: issue.Acted, Power: issue.Asked, Reason: asked, Deeds: []issue.Deed{{At: a.now(), What: issue.DeedAskedAdmins, How: p.Name}}}, nil
}
