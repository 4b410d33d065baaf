package activities

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/planetlab/monitor/store"
)

// claims lets go of what Monitor holds in the world for an issue.
type claims struct {
	*ledger
	bootStates *bootStates
	outlets    *outlets
	within     time.Duration // how long an issue that ends waits for what it changed to be undone
}

// releaseWithin leaves whoever lets go half of the time that it has: a PCU that hangs may take longer than an issue has
// to close.
const releaseWithin = time.Minute

// releaseAll lets go of what an issue changed at nodes and in PLC. What cannot be undone now stays a claim: every sweep
// tries again. Its hold on the site is let go by releaseHold.
func (a *claims) releaseAll(ctx context.Context, ref Ref, why string) (said string, err error) {
	claims, err := a.Store.Claims(ctx, store.ClaimFilter{Issue: ref.ID})
	if err != nil {
		return "", err
	}
	within, cancel := context.WithTimeout(ctx, a.within)
	defer cancel()
	var lines []string
	var failed []error
	for _, c := range claims {
		line, err := a.release(within, c, why)
		if err != nil {
			a.Log.Warn("a claim is not undone yet", "issue", ref.ID, "claim", string(c.Kind), "target",
				c.Target, "error", err)
			failed = append(failed, err)
			continue
		}
		if line != "" {
			lines = append(lines, line)
		}
	}
	if len(failed) > 0 {
		lines = append(lines, "not undone yet, and tried again by every sweep: "+errors.Join(failed...).Error())
	}
	return strings.Join(lines, "; "), nil
}

// release undoes one claim of an issue. Claims of sites are not issues' to undo.
func (a *claims) release(ctx context.Context, c store.Claim, why string) (string, error) {
	switch c.Kind {
	case store.ClaimBootState, store.ClaimNodeDisabled:
		if a.observes() {
			return "observe mode: its boot state would be set back to " + c.Was, nil
		}
		return a.bootStates.restore(ctx, c, why)
	case store.ClaimOutlet:
		paid, err := a.outlets.pay(ctx, c)
		if !paid.changed { // one that is on, as it should be, is nothing to tell of an issue's end
			return "", err
		}
		return "outlet " + c.Target + " " + paid.said, err
	}
	return "", nil
}
