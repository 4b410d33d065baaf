package activities

import "context"

// SitePolicy gives a site's workflow its durations.
func (a *Activities) SitePolicy(context.Context) (SiteTimes, error) {
	n := a.Policy
	return SiteTimes{Day: n.Day, GroupWait: n.GroupWait, PenaltyStep: n.PenaltyStep, ThanksGrace: n.ThanksGrace, ReplyPause: n.ReplyPause, TicketLook: n.TicketLook}, nil
}
