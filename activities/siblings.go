package activities

import (
	"context"
	"errors"
	"fmt"

	"github.com/planetlab/monitor/store"
)

// isOpen says whether an issue is open or paused.
func (a *Activities) isOpen(ctx context.Context, id string) (bool, error) {
	i, err := a.Store.Issue(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	return err == nil && i.Status != "closed", err
}

// spokenFor names the issue that speaks for this one. While a whole site is down, its nodes and PCUs wait: forty notices
// about one power cut help nobody.
func (a *Activities) spokenFor(ctx context.Context, ref Ref) (string, error) {
	if ref.Type == SiteDownType {
		return "", nil
	}
	id := SiteDownType + "/" + ref.Site
	open, err := a.isOpen(ctx, id)
	if err != nil || !open {
		return "", err
	}
	return "the whole site is down: " + id + " speaks for it", nil
}

// firewalled says whether a node that seems down runs behind a firewall, by the look just taken or by an open issue. No
// reboot opens a port.
func (a *Activities) firewalled(ctx context.Context, in RungInput) (string, error) {
	if f := in.seen.facts.Finding; f.Firewall {
		return "it is behind a firewall, which no reboot mends: " + f.Reason, nil
	}
	id := FirewallType + "/" + in.Ref.Node
	open, err := a.isOpen(ctx, id)
	if err != nil || !open {
		return "", err
	}
	return id + " is open, and no reboot mends a firewall", nil
}

// broken says whether a PCU has an open issue, and so is not to be used.
func (a *Activities) broken(ctx context.Context, pcu store.PCU) (string, error) {
	id := PCUDownType + "/" + pcu.Name
	open, err := a.isOpen(ctx, id)
	if err != nil || !open {
		return "", err
	}
	return id + " is open", nil
}

// giveBack tells the nodedown issues of a PCU's nodes that it works again, for those that had to do without it.
func (a *Activities) giveBack(ctx context.Context, pcu Ref) error {
	open, err := a.Store.Issues(ctx, store.IssueFilter{Type: NodeDownType, Site: pcu.Site, Open: true})
	if err != nil {
		return err
	}
	for _, i := range open {
		if i.PCUID != pcu.PCUID {
			continue
		}
		if err := a.Temporal.SignalWorkflow(ctx, i.ID, "", SignalPCUBack, map[string]string{"reason": PCUDownType + "/" + pcu.PCU + " is closed"}); err != nil {
			a.Log.Warn("an issue could not be told that its PCU works again", "issue", i.ID, "error", err)
		}
	}
	return nil
}

// pastOf says what the last issue of the same kind leaves for a new one: how it ended, when that was lately, and whether
// the node's power cycles are used up.
func (a *Activities) pastOf(ctx context.Context, ref Ref) ([]string, error) {
	now := a.now()
	var lines []string
	last, err := a.Store.Issue(ctx, ref.ID)
	switch {
	case err != nil && !errors.Is(err, store.ErrNotFound):
		return nil, err
	case err == nil && last.RunID != ref.Run && !last.Closed.IsZero() && now.Sub(last.Closed) < a.Policy.RebootWindow:
		lines = append(lines, fmt.Sprintf("it was here before: the last issue was open for %s and closed %s ago (%s)",
			a.Policy.Days(last.Closed.Sub(last.Opened)), a.Policy.Days(now.Sub(last.Closed)), last.Outcome))
	}
	if ref.Type != NodeDownType {
		return lines, nil
	}
	hardware, why, err := a.likelyHardware(ctx, ref.Node)
	if hardware {
		lines = append(lines, why)
	}
	return lines, err
}
