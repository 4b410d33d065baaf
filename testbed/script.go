package testbed

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/planetlab/monitor/testbed/fakenode"
	"github.com/planetlab/monitor/testbed/pcudev"
)

// Incident is one line of a script: what breaks on which policy day, what heals it, and when a human does if nothing else.
type Incident struct {
	Day     float64
	Site    string
	Node    int // planetlab<Node> of the site; 0: the site's PCU
	State   fakenode.State
	FixedBy string
	Fix     string  // where it is fixed by bootman
	Fault   string  // of the PCU, where Node is 0
	Mended  float64 // days after Day on which a human mends it; 0: nobody comes
	Because string  // for those who watch
}

// Story is the demo's script: one of each, then the small accidents of every fleet.
func Story() []Incident {
	return []Incident{
		{Day: 1, Site: "princeton", Node: 1, State: fakenode.Hung, FixedBy: Reboot, Because: "a reboot will help"},
		{Day: 2, Site: "huji", Fault: pcudev.WrongPassword, Mended: 19},
		{Day: 2.5, Site: "huji", Node: 1, State: fakenode.Hung, FixedBy: Nobody, Mended: 17, Because: "only a human can help, and the site has too few nodes left"},
		{Day: 4, Site: "upmc", Node: 1, State: fakenode.Hung, FixedBy: Reinstall, Because: "a reboot will not help, a reinstallation will"},
		{Day: 6, Site: "inria", Node: 2, State: fakenode.Hung, FixedBy: Nobody, Mended: 0.5, Because: "it recovers by itself before anybody acts"},
		{Day: 8, Site: "cambridge", Node: 1, State: fakenode.Debug, FixedBy: Bootman, Fix: "BootManager.py boot", Because: "its boot stopped halfway, and its BootManager only has to be started again"},
		{Day: 9, Site: "uba", Node: 2, State: fakenode.Off, FixedBy: Nobody, Mended: 8, Because: "its site has no PCU"},
		{Day: 12, Site: "sydney", Node: 3, State: fakenode.Hung, FixedBy: Reboot, Because: "a reboot will help"},
		{Day: 15, Site: "pisa", Node: 2, State: fakenode.Hung, FixedBy: Reinstall, Because: "a reboot will not help, a reinstallation will"},
	}
}

// StoryEnds is the day by which Monitor has dealt with all of the story.
const StoryEnds = 33.0

// Accidents go on for ever after a script: every other day some node hangs, and most need only a reboot. The same seed
// makes the same accidents.
func Accidents(sites []Site, from float64, seed uint64) func() Incident {
	r := rand.New(rand.NewPCG(seed, seed))
	return func() Incident {
		from += 1 + 2*r.Float64()
		s := sites[r.IntN(len(sites))]
		i := Incident{Day: from, Site: s.Login, Node: 1 + r.IntN(s.Nodes), State: fakenode.Hung, FixedBy: Reboot, Mended: 12}
		switch n := r.IntN(10); {
		case n >= 9:
			i.FixedBy = Nobody
		case n >= 6:
			i.FixedBy = Reinstall
		}
		return i
	}
}

// Play lets incidents happen until the context ends; next gives them in the order of their days, which are counted from
// now.
func (w *World) Play(ctx context.Context, next func() (Incident, bool)) error {
	start := w.DayAt(time.Now())
	for {
		i, ok := next()
		if !ok {
			return nil
		}
		if !w.clock.until(ctx, start+i.Day) {
			return nil
		}
		if err := w.happen(ctx, i, start); err != nil {
			return err
		}
	}
}

func (w *World) happen(ctx context.Context, i Incident, start float64) error {
	node := fmt.Sprintf("planetlab%d.%s.example", i.Node, i.Site)
	mend := func() { _ = w.Heal(node) }
	if i.Node == 0 {
		w.BreakPCU(i.Site, i.Fault)
		mend = func() { w.BreakPCU(i.Site, "") }
	} else if err := w.Break(node, Fault{State: i.State, FixedBy: i.FixedBy, Fix: i.Fix, Because: i.Because}); err != nil {
		return err
	}
	if i.Mended > 0 {
		before := w.faultOf(node)
		go func() {
			if !w.clock.until(ctx, start+i.Day+i.Mended) {
				return
			}
			if i.Node == 0 || w.faultOf(node) == before && before != nil { // nobody mends what has healed
				mend()
			}
		}()
	}
	return nil
}

func (w *World) faultOf(host string) *Fault {
	w.mu.Lock()
	defer w.mu.Unlock()
	if m := w.nodes[host]; m != nil {
		return m.fault
	}
	return nil
}
