package activities

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/planetlab/monitor/store"
)

// releaseAll lets go of what an issue changed at nodes and in PLC. What cannot be undone now stays a claim: every sweep tries again. Its
// hold on the site is let go by releaseHold.
func (a *Activities) releaseAll(ctx context.Context, ref Ref, why string) (said string, err error) {
	claims, err := a.Store.Claims(ctx, store.ClaimFilter{Issue: ref.ID})
	if err != nil {
		return "", err
	}
	var lines []string
	var failed []error
	for _, c := range claims {
		line, err := a.releaseClaim(ctx, c, why)
		if err != nil {
			a.Log.Warn("a claim is not undone yet", "issue", ref.ID, "claim", string(c.Kind), "target", c.Target, "error", err)
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

// releaseClaim undoes one claim of an issue. Claims of sites are not issues' to undo.
func (a *Activities) releaseClaim(ctx context.Context, c store.Claim, why string) (string, error) {
	switch c.Kind {
	case store.ClaimBootState, store.ClaimNodeDisabled:
		if a.observes() {
			return "observe mode: its boot state would be set back to " + c.Was, nil
		}
		return a.giveBootStateBack(ctx, c, why)
	case store.ClaimOutlet:
		return a.payOutlet(ctx, c)
	}
	return "", nil
}

// payOutlet turns an outlet on that Monitor may have left off, and ends the claim when it is read on.
func (a *Activities) payOutlet(ctx context.Context, c store.Claim) (string, error) {
	var owed store.Feed
	if err := json.Unmarshal(c.Data, &owed); err != nil {
		return "", fmt.Errorf("claim %d: %w", c.ID, err)
	}
	feeds, release, err := a.lockFeeds(ctx, []store.Feed{owed})
	if errors.Is(err, store.ErrNotFound) {
		return "its PCU is gone", a.Store.Release(ctx, c.ID, "PLC has the PCU no more")
	}
	if err != nil {
		return "", err
	}
	defer release()
	held, err := a.Store.Claims(ctx, store.ClaimFilter{Kind: c.Kind, Target: c.Target, Issue: c.Issue, Key: c.Key})
	if err != nil || len(held) == 0 { // it was settled while this waited for the PCU
		return "", err
	}
	action, err := a.Store.Action(ctx, c.Key)
	if err != nil {
		return "", err
	}
	if !action.Begun() { // an outlet that was off before is not ours to turn on
		return "", a.Store.Release(ctx, c.ID, "the command was never given")
	}
	set, err := a.outlets(ctx, feeds)
	if err != nil {
		return "", err
	}
	state := set.turnOn(ctx)
	switch {
	case state.on && state.wasOff:
		return "outlet " + c.Target + " was off and is on again", a.Store.Release(context.WithoutCancel(ctx), c.ID, "found off, and turned on")
	case state.on:
		return "", a.Store.Release(context.WithoutCancel(ctx), c.ID, "read on")
	case state.untold:
		return "", a.Store.Release(context.WithoutCancel(ctx), c.ID, "this PCU cannot say what its outlets do")
	}
	return "", errors.New(state.why)
}
