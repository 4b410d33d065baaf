package activities

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"time"

	"github.com/planetlab/monitor/notify"
	"github.com/planetlab/monitor/pcucontrol"
	"github.com/planetlab/monitor/store"
)

// errEntry says that PLC's entry of a PCU cannot be right.
var errEntry = errors.New("its PLC entry is wrong")

// drive is one outlet of a PCU, ready to be driven. Its secret goes no further than the driver.
type drive struct {
	a           *Activities
	pcu         store.PCU
	target      pcucontrol.Target
	pins, shown map[string]string
}

// drive looks a PCU's secret and its pins up. PLC's ip may carry a port, as 10.0.0.5:2323.
func (a *Activities) drive(ctx context.Context, p store.PCU, outlet int) (*drive, error) {
	password, err := a.Store.PCUPassword(ctx, p.PCUID)
	if err != nil {
		return nil, err
	}
	pins, err := a.Store.PCUPins(ctx, p.PCUID)
	if err != nil {
		return nil, err
	}
	d := &drive{a: a, pcu: p, pins: pins, shown: map[string]string{}}
	d.target = pcucontrol.Target{
		Model: p.Model, Host: p.Hostname, User: p.Username, Password: password.Reveal(), Outlet: outlet, ConnectTimeout: a.PCUConnect,
		Legacy:       slices.Contains(a.PCULegacy, p.Name) || p.Model != "" && slices.Contains(a.PCULegacy, p.Model),
		KnownHostKey: pins[store.HostKey], KnownCertificate: pins[store.Certificate],
		SeenHostKey:     func(key string) { d.shown[store.HostKey] = key },
		SeenCertificate: func(fingerprint string) { d.shown[store.Certificate] = fingerprint },
	}
	if p.IP != "" {
		d.target.Host = p.IP
	}
	if host, port, err := net.SplitHostPort(d.target.Host); err == nil {
		d.target.Host = host
		if d.target.Port, err = strconv.Atoi(port); err != nil {
			return nil, fmt.Errorf("pcu %s: %w: %q is no port", p.Name, errEntry, port)
		}
	}
	return d, nil
}

// do runs one operation within its time. What a PCU shows of itself on the first one that works is pinned, and insisted on
// afterwards; a certificate only where nobody vouches for it, for others change by themselves.
func (d *drive) do(ctx context.Context, operation func(context.Context, pcucontrol.Target) (pcucontrol.Result, error)) (pcucontrol.Result, error) {
	within, cancel := context.WithTimeout(ctx, d.a.PCUTimeout)
	defer cancel()
	result, err := operation(within, d.target)
	for kind, pin := range d.shown {
		switch known := d.pins[kind]; {
		case err != nil && known != "" && known != pin:
			err = fmt.Errorf("%w (it shows another %s than before: if it was replaced, say `monitor pcu forget %s`)", err, kind, d.pcu.Name)
		case err == nil && known == "" && (kind == store.HostKey || d.target.Legacy):
			// The power may have been switched: a pin that cannot be kept is no reason to say that it was not.
			if err := d.a.Store.PinPCU(context.WithoutCancel(ctx), d.pcu.PCUID, kind, pin); err != nil {
				d.a.Log.Warn("a PCU could not be pinned", "pcu", d.pcu.Name, "error", err)
			}
		}
	}
	return result, err
}

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
	d, err := a.drive(ctx, p, 0)
	if errors.Is(err, errEntry) {
		return false, err.Error(), nil
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
	result, err := d.do(within, a.PCUs.Test)
	if ctx.Err() != nil {
		return false, "", ctx.Err()
	}
	if err != nil {
		return false, err.Error(), nil
	}
	return true, result.Note, nil
}

func (a *Activities) manual(p store.PCU) bool {
	m, err := a.PCUs.Resolve(p.Model)
	return err == nil && m.Name == pcucontrol.Manual
}

// ask writes to the admins that they switch a manual PCU, once a rung. Nothing is done until they do: a reboot that was asked for is no
// reboot, and nobody is asked to power a node into its reinstallation.
func (a *Activities) ask(ctx context.Context, in RungInput, kind store.ActionKind, node store.Node, p store.PCU) (RungResult, error) {
	if kind != "reboot" || len(a.Admins) == 0 {
		reason := "its PCU " + p.Name + " is switched by people, and "
		if kind != "reboot" {
			reason += "only Monitor itself reboots into a " + string(kind)
		} else {
			reason += "mail.admins names nobody to ask"
		}
		return RungResult{Outcome: Passed, Reason: reason}, a.skip(ctx, in.Key+"/ask", in.Ref, reason)
	}
	asked := fmt.Sprintf("asked the admins to power-cycle outlet %d of %s by hand", node.Outlet, p.Name)
	action, existed, err := a.Store.Intent(ctx, store.Action{Key: in.Key, Kind: kind, Issue: in.Ref.ID, Node: node.Hostname, Site: node.Site, PCU: p.PCUID, Reason: node.Reason})
	if err != nil {
		return RungResult{}, err
	}
	if !existed || action.Outcome == "" {
		_, err := a.send(ctx, notify.Notice{
			Kind: notify.ByHand, Site: node.Site, At: a.now().UTC(), To: a.Admins, MessageID: notify.MessageID(in.Key, a.Domain),
			Items: []notify.Item{{Issue: in.Ref.ID, Type: in.Ref.Type, Target: node.Hostname, Since: node.Record.Changed, Evidence: []string{node.Reason},
				Fix: fmt.Sprintf("Turn outlet %d of %s off, wait ten seconds, and turn it on again.", node.Outlet, p.Name)}},
		}, nil)
		if err == nil {
			err = a.Store.Outcome(ctx, in.Key, store.Asked, asked)
		}
		if err != nil {
			return RungResult{}, err
		}
	}
	return RungResult{Outcome: Acted, Asked: true, Reason: asked}, nil
}
