package activities

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/planetlab/monitor/inventory"
	"github.com/planetlab/monitor/pcucontrol"
	"github.com/planetlab/monitor/store"
)

// installer is what has a node install itself when it boots. Its zero value is PLC, which the node asks by itself. It
// is kept with the claim of the boot state, so that whoever gives that back knows what to tell whom.
type installer struct {
	Hook   bool        `json:"hook,omitempty"`
	Device *store.Feed `json:"boot_device,omitempty"` // of this outlet's machine
}

// bootsOnce is the word of models that can choose what a machine boots from.
const bootsOnce = "boot"

// installer finds what can have a node installed anew, and names it; empty: nothing can.
func (a *bootStates) installer(ctx context.Context, node store.Node) (i installer, name string, err error) {
	switch {
	case a.NoPLC == nil:
		return installer{}, "PLC", nil
	case a.NoPLC.Reinstall != nil:
		return installer{Hook: true}, "the reinstall hook", nil
	}
	for _, f := range feedsOf(node) {
		p, err := a.Store.PCU(ctx, f.PCUID)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return installer{}, "", err
		}
		if m, err := a.outlets.PCUs.Resolve(p.Model); err == nil && slices.Contains(m.Capabilities, bootsOnce) {
			return installer{Device: &f}, "the boot device of " + p.Name, nil
		}
	}
	return installer{}, "", nil
}

// data is what a claim keeps of an installer.
func (i installer) data() json.RawMessage {
	if i == (installer{}) {
		return nil
	}
	text, _ := json.Marshal(i) // a flag and two numbers: it cannot fail
	return text
}

func installerOf(c store.Claim) (i installer, err error) {
	if len(c.Data) > 0 {
		if err = json.Unmarshal(c.Data, &i); err != nil {
			err = fmt.Errorf("claim %d: %w", c.ID, err)
		}
	}
	return i, err
}

// prepare writes down that a node is to be installed anew, and has it told. What is prepared is a claim already.
func (a *bootStates) prepare(ctx context.Context, c store.Claim) error {
	if err := a.Inventory.SetBootState(ctx, c.Target, c.SetTo); err != nil {
		return err
	}
	return a.tell(ctx, c, inventory.Apply)
}

// tell has whatever installs the node do so when it next boots, or takes that back. PLC is asked by the node itself.
func (a *bootStates) tell(ctx context.Context, c store.Claim, do string) error {
	i, err := installerOf(c)
	switch {
	case err != nil:
		return err
	case i.Device != nil:
		device := pcucontrol.BootNetwork
		if do == inventory.Undo {
			device = pcucontrol.BootDefault
		}
		return a.bootFrom(ctx, *i.Device, device)
	case i.Hook && a.NoPLC != nil && a.NoPLC.Reinstall != nil:
		text, err := a.Store.ClaimJSON(ctx, string(c.Kind), c.Target)
		if err != nil {
			return err
		}
		return a.NoPLC.Reinstall.Do(ctx, inventory.Order{Do: do, What: inventory.WhatReinstall, Site: c.Site,
			Node: c.Target, Claim: text})
	}
	return nil
}

// bootFrom sets what a machine boots from the next time. A PCU that is gone has nothing to be told.
func (a *bootStates) bootFrom(ctx context.Context, f store.Feed, device pcucontrol.BootDevice) error {
	p, err := a.Store.PCU(ctx, f.PCUID)
	if errors.Is(err, store.ErrNotFound) && device == pcucontrol.BootDefault {
		return nil
	}
	if err != nil {
		return err
	}
	if !a.underLock {
		_, release, err := a.outlets.lock(ctx, []store.Feed{f})
		if err != nil {
			return err
		}
		defer release()
	}
	o, err := a.outlets.outlet(ctx, p, f.Outlet)
	if err != nil {
		return err
	}
	_, err = o.run(ctx, func(ctx context.Context, t pcucontrol.Target) (pcucontrol.Result, error) {
		return a.outlets.PCUs.BootOnce(ctx, t, device)
	})
	return err
}
