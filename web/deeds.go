package web

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/planetlab/monitor/access"
	"github.com/planetlab/monitor/answers"
	"github.com/planetlab/monitor/bootman"
	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/orders"
	"github.com/planetlab/monitor/policy"
	personal "github.com/planetlab/monitor/request"
)

// deed is something that people order on the pages, of one target or of many.
type deed struct {
	Verb   access.Verb // also its name in forms
	Name   string      // of the button
	About  string      // what it does, above the form
	Of     string      // the list whose rows it may be ordered for; empty: the fleet
	Until  string      // what the time ahead means; empty: it takes none
	Needs  bool        // the time is needed
	Step   bool
	Choice []string // what else is to be chosen
	Chosen string   // and what that is
	Danger bool
	give   func(ctx context.Context, d orders.Desk, o orders.Order, target string, w said) (orders.Receipt, error)
}

// said is what a form says beside its reason.
type said struct {
	Until  time.Time
	Step   int
	Choice string
}

// deeds are all of them, in the order of their buttons.
func deeds() []deed {
	return slices.Concat(issueDeeds(), nodeDeeds(), targetDeeds(), siteDeeds(), sequenceDeeds(), fleetDeeds())
}

func deedOf(verb, of string) (deed, bool) {
	for _, d := range deeds() {
		if string(d.Verb) == verb && (d.Of == of || of == "") {
			return d, true
		}
	}
	return deed{}, false
}

func issueDeeds() []deed {
	order := func(name issue.Order, d deed) deed {
		d.Verb, d.Of = access.Verb("issue."+string(name)), "issues"
		d.give = func(ctx context.Context, desk orders.Desk, o orders.Order, id string, w said) (orders.Receipt, error) {
			r, _, err := desk.Issue(ctx, o, name, id, orders.Words{Until: w.Until, Step: w.Step})
			return r, err
		}
		return d
	}
	return []deed{
		{Verb: access.IssuePledge, Name: "I am on it", About: "Somebody sees to it until a day: Monitor waits until then.", Of: "issues",
			Until: "until when you see to it", Needs: true,
			give: func(ctx context.Context, desk orders.Desk, o orders.Order, id string, w said) (orders.Receipt, error) {
				r, _, err := desk.Pledge(ctx, o, id, w.Until)
				return r, err
			}},
		order(issue.OrderPause, deed{Name: "Pause", About: "Nothing is done to the target and nobody is written to, until a time or until somebody resumes it.",
			Until: "until when; empty: until somebody resumes it"}),
		order(issue.OrderResume, deed{Name: "Resume", About: "A paused issue goes on where it was."}),
		order(issue.OrderSkip, deed{Name: "Skip the next rung", About: "The next rung of the ladder is passed over; the wait before it stays."}),
		order(issue.OrderClose, deed{Name: "Close", About: "The issue is closed, and lets go of all it holds. Sweeps leave its target alone until that was good once.", Danger: true}),
		order(issue.OrderVeto, deed{Name: "Veto", About: "A coming step is passed over when it is due.", Step: true}),
		order(issue.OrderAllow, deed{Name: "Take the veto back", About: "The step comes, after all.", Step: true}),
	}
}

// nodeDeeds are carried out by a workflow for each node, under the gate and read back: the page of the node tells how
// far it is.
func nodeDeeds() []deed {
	order := func(verb access.Verb, act personal.Act, name, about string) deed {
		return deed{Verb: verb, Name: name, About: about, Of: "nodes", Danger: true,
			give: func(ctx context.Context, desk orders.Desk, o orders.Order, host string, _ said) (orders.Receipt, error) {
				if o.DryRun {
					return desk.PreviewNode(ctx, o, orders.Node{Act: act}, host)
				}
				return desk.Node(ctx, o, orders.Node{Act: act}, host)
			}}
	}
	return []deed{
		order(access.NodeReboot, personal.Reboot, "Reboot", "Its power is cut through its PCU, else it is restarted over ssh, once the gate lets it; then it is watched until it is back."),
		order(access.NodeReinstall, personal.Reinstall, "Reinstall", "It is set to be installed anew and then restarted: what is on its disks is lost. The gate is asked first; then it is watched until it is back."),
		{Verb: access.NodeCancel, Name: "Cancel the order", About: "The order to a node that is under way is left, if nothing was done yet.", Of: "nodes",
			give: func(ctx context.Context, desk orders.Desk, o orders.Order, host string, _ said) (orders.Receipt, error) {
				r, _, err := desk.CancelNode(ctx, o, host)
				return r, err
			}},
	}
}

// targetDeeds leave nodes, sites and PCUs alone.
func targetDeeds() (list []deed) {
	for _, of := range []string{"nodes", "sites", "pcus"} {
		list = append(list, deed{Verb: access.TargetSilence, Name: "Silence", Of: of, Until: "until when", Needs: true,
			About: "It is looked at, no issue is opened about it, nothing is done to it and nobody is written to about it.",
			give: func(ctx context.Context, desk orders.Desk, o orders.Order, target string, w said) (orders.Receipt, error) {
				r, _, err := desk.Silence(ctx, o, target, w.Until)
				return r, err
			}},
			deed{Verb: access.TargetUnsilence, Name: "End the silence", Of: of, About: "Every entry of the blacklist about it ends, downtimes to come included.",
				give: func(ctx context.Context, desk orders.Desk, o orders.Order, target string, _ said) (orders.Receipt, error) {
					t, err := answers.Find(ctx, desk.Store, target)
					if err != nil {
						return orders.Receipt{}, err
					}
					return desk.Unsilence(ctx, o, t.Kind, t.Name)
				}})
	}
	return list
}

func siteDeeds() []deed {
	order := func(name issue.Order, d deed) deed {
		d.Verb, d.Of = access.Verb("site."+string(name)), "sites"
		d.give = func(ctx context.Context, desk orders.Desk, o orders.Order, login string, w said) (orders.Receipt, error) {
			r, _, err := desk.Site(ctx, o, name, login, orders.Words{Until: w.Until})
			return r, err
		}
		return d
	}
	return []deed{
		order(issue.OrderPause, deed{Name: "Hold the penalty", About: "The penalty stays where it is; it may still fall.", Until: "until when; empty: until somebody resumes it"}),
		order(issue.OrderResume, deed{Name: "Resume the penalty", About: "The penalty may rise again."}),
		{Verb: access.SitePenalty, Name: "Penalty", Of: "sites", Choice: []string{"0", "1", "2", asIssuesAsk}, Chosen: "Level", Until: "until when; empty: until it is taken back", Danger: true,
			About: "The site gets this level, whatever its issues ask. It falls to it at once; it rises step by step, after its people were told.",
			give: func(ctx context.Context, desk orders.Desk, o orders.Order, login string, w said) (orders.Receipt, error) {
				level, err := strconv.Atoi(w.Choice)
				if err != nil {
					return desk.EndPenalty(ctx, o, login)
				}
				return desk.Penalty(ctx, o, login, level, w.Until)
			}},
		{Verb: access.SiteMode, Name: "Mode", Of: "sites", About: "What Monitor may do there: observe looks and decides, act does it, default takes the order back.", Choice: modes(), Chosen: "Mode",
			give: func(ctx context.Context, desk orders.Desk, o orders.Order, login string, w said) (orders.Receipt, error) {
				return desk.Mode(ctx, o, orders.Part{Site: login}, modeOf(w.Choice))
			}},
	}
}

func sequenceDeeds() []deed {
	var actions []string
	for _, a := range bootman.Actions() {
		actions = append(actions, string(a))
	}
	return []deed{{Verb: access.SequenceTeach, Name: "Teach", Of: "sequences", Choice: actions, Chosen: "What it calls for",
		About: "From now on Monitor does this where a boot log shows this sequence.",
		give: func(ctx context.Context, desk orders.Desk, o orders.Order, sequence string, w said) (orders.Receipt, error) {
			return desk.Teach(ctx, o, bootman.Known{Sequence: sequence, Action: bootman.Action(w.Choice)})
		}}}
}

func fleetDeeds() []deed {
	return []deed{
		{Verb: access.FleetStop, Name: "Stop everything", Danger: true, About: "No act of Monitor starts anywhere from now on. One that is under way is held back before its point of no return. Sweeps go on, and what is good again is closed.",
			give: func(ctx context.Context, desk orders.Desk, o orders.Order, _ string, _ said) (orders.Receipt, error) {
				return desk.Stop(ctx, o)
			}},
		{Verb: access.FleetStart, Name: "Start again", About: "Open issues go on with the next sweep, with what is still true then. Nothing is made up for.",
			give: func(ctx context.Context, desk orders.Desk, o orders.Order, _ string, _ said) (orders.Receipt, error) {
				return desk.Start(ctx, o)
			}},
		{Verb: access.FleetMode, Name: "Mode", About: "What Monitor may do in the whole fleet: observe looks and decides, act does it, default takes the order back. The configuration's mode is not widened.", Choice: modes(), Chosen: "Mode",
			give: func(ctx context.Context, desk orders.Desk, o orders.Order, _ string, w said) (orders.Receipt, error) {
				return desk.Mode(ctx, o, orders.Part{}, modeOf(w.Choice))
			}},
		{Verb: access.FleetSweep, Name: "Sweep now", About: "The whole fleet is looked at now.",
			give: func(ctx context.Context, desk orders.Desk, o orders.Order, _ string, _ said) (orders.Receipt, error) {
				r, _, err := desk.Sweep(ctx, o, nil)
				return r, err
			}},
		{Verb: access.FleetBelieve, Name: "It is so: believe it", Danger: true, About: "The whole fleet is looked at now, and what is seen is believed though the guard doubts it: Monitor acts on it.",
			give: func(ctx context.Context, desk orders.Desk, o orders.Order, _ string, _ said) (orders.Receipt, error) {
				r, _, err := desk.Believe(ctx, o)
				return r, err
			}},
	}
}

// asIssuesAsk takes the order of a penalty back.
const asIssuesAsk = "as its issues ask"

const ordinary = "default" // takes the order of a mode back

func modes() []string { return []string{string(policy.ModeObserve), string(policy.ModeAct), ordinary} }

func modeOf(choice string) policy.Mode {
	if choice == ordinary {
		return ""
	}
	return policy.Mode(choice)
}

// button is a deed that somebody may order.
type button struct {
	Verb   access.Verb
	Name   string
	Danger bool
}

// buttonsFor are the deeds of a kind that a visitor may order somewhere. Those of a step stand beside the step.
func buttonsFor(r *request, of string) (list []button) {
	for _, d := range deeds() {
		if d.Of == of && !d.Step && !stranger(r.who) && r.somewhere(d.Verb) == nil {
			list = append(list, button{d.Verb, d.Name, d.Danger})
		}
	}
	return list
}
