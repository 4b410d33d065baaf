package pcucontrol_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/planetlab/monitor/pcucontrol"
	"github.com/planetlab/monitor/pcucontrol/models"
	"github.com/planetlab/monitor/testbed/pcudev"
)

// journal is what several outlets did, in order.
type journal struct {
	mu   sync.Mutex
	list []string
}

func (j *journal) events() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.Join(j.list, ", ")
}

// oneOutlet is an outlet that writes into a journal.
type oneOutlet struct {
	name string
	j    *journal
	off  bool
}

func (*oneOutlet) Count() int { return 1 }

func (o *oneOutlet) State(int) (bool, error) {
	o.j.mu.Lock()
	defer o.j.mu.Unlock()
	return !o.off, nil
}

func (o *oneOutlet) Set(_ int, on bool) error {
	o.j.mu.Lock()
	defer o.j.mu.Unlock()
	if o.off == !on {
		return nil
	}
	o.off = !on
	o.j.list = append(o.j.list, o.name+map[bool]string{true: " on", false: " off"}[on])
	return nil
}

// fed is a node with two power feeds, by PCUs of two models.
func fed(t *testing.T) ([]pcucontrol.Target, []pcudev.Device, *journal) {
	j := &journal{}
	var feeds []pcucontrol.Target
	var devices []pcudev.Device
	for name, face := range map[string][2]string{"a": {"APCControl12p3", "telnet"}, "b": {"Redfish", "https"}} {
		d, target := serve(
			t,
			pcudev.Options{
				Model:     face[0],
				Transport: face[1],
				User:      "admin",
				Password:  password,
				Outlets:   &oneOutlet{name: name, j: j},
				OffTime:   50 * time.Millisecond,
			},
		)
		target.Outlet, target.OffTime = 1, 200*time.Millisecond
		if name == "b" {
			target.Host = "localhost"
		}
		feeds, devices = append(feeds, target), append(devices, d)
	}
	if feeds[0].Model != "APCControl12p3" {
		slices.Reverse(feeds)
		slices.Reverse(devices)
	}
	return feeds, devices, j
}

func TestANodeOfTwoFeedsIsCycledByTurningBothOffAndThenBothOn(t *testing.T) {
	t.Parallel()
	feeds, _, j := fed(t)
	r, err := models.Builtin().CycleAll(enough(t), feeds)
	if err != nil || !r.Verified || r.Before != pcucontrol.On || r.After != pcucontrol.On || len(r.Feeds) != 2 ||
		r.Feeds[1].Target != 1 ||
		r.Feeds[1].After != pcucontrol.On {
		t.Fatalf("it gives %+v, %v", r, err)
	}
	got := strings.Split(j.events(), ", ")
	slices.Sort(got[:2])
	slices.Sort(got[2:])
	if !slices.Equal(got, []string{"a off", "b off", "a on", "b on"}) {
		t.Errorf("the feeds were switched %q", j.events())
	}
}

func TestAFeedFoundOffIsTurnedOnWithTheOthers(t *testing.T) {
	t.Parallel()
	feeds, _, j := fed(t)
	if _, err := models.Builtin().TurnOff(enough(t), feeds[1]); err != nil {
		t.Fatal(err)
	}
	r, err := models.Builtin().CycleAll(enough(t), feeds)
	if err != nil || !r.Verified || r.Before != pcucontrol.Off || r.After != pcucontrol.On ||
		r.Feeds[1].Note != "found off" {
		t.Errorf("it gives %+v, %v", r, err)
	}
	if got := j.events(); !strings.HasPrefix(got, "b off, a off, ") || len(got) != len("b off, a off, a on, b on") {
		t.Errorf("the feeds were switched %q", got)
	}
}

func TestNoFeedIsTurnedOffWhereOneDoesNotAnswer(t *testing.T) {
	for name, kind := range map[string]pcucontrol.Kind{pcudev.WrongPassword: pcucontrol.Auth,
		pcudev.Busy: pcucontrol.Busy, pcudev.Mute: pcucontrol.Timeout} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			feeds, devices, j := fed(t)
			devices[1].Break(name)
			r, err := models.Builtin().CycleAll(within(t, 5*time.Second), feeds)
			if pcucontrol.KindOf(err) != kind || j.events() != "" || len(r.Feeds) != 2 {
				t.Errorf("it gives %+v, %v and switched %q", r, err, j.events())
			}
		})
	}
}

func TestAFeedThatStaysOffIsSaidToBeOff(t *testing.T) {
	feeds, devices, j := fed(t)
	devices[1].Break(pcudev.StaysOff)
	r, err := models.Builtin().CycleAll(within(t, 6*time.Second), feeds)
	if pcucontrol.KindOf(err) != pcucontrol.Ambiguous || r.Verified || r.After != pcucontrol.Off ||
		r.Feeds[0].After != pcucontrol.On ||
		r.Feeds[1].After != pcucontrol.Off ||
		!strings.HasSuffix(j.events(), "a on") {
		t.Errorf("it gives %+v, %v and switched %q", r, err, j.events())
	}
}

func TestFeedsThatWereTurnedOffAreTurnedOnAfterACancel(t *testing.T) {
	t.Parallel()
	feeds, _, j := fed(t)
	ctx, cancel := context.WithCancel(enough(t))
	go func() {
		for !strings.Contains(j.events(), "off") {
			time.Sleep(time.Millisecond)
		}
		cancel()
	}()
	r, err := models.Builtin().CycleAll(ctx, feeds)
	for _, name := range []string{"a", "b"} {
		if strings.Contains(j.events(), name+" off") != strings.Contains(j.events(), name+" on") {
			t.Errorf("it gives %+v, %v and switched %q", r, err, j.events())
		}
	}
	if err != nil && pcucontrol.KindOf(err) != pcucontrol.Ambiguous {
		t.Errorf("it gives %v", err)
	}
}

func TestAnOutletThatACycleTurnedOffIsTurnedOnAfterACancel(t *testing.T) {
	t.Parallel()
	for _, face := range [][2]string{{"Redfish", "https"}, {"BayTechRPC3NC", "telnet"}, {"OpenIPMI", "udp"},
		{"APCSNMP", "udp"}, {"ePowerSwitchNew", "http"}} {
		t.Run(face[0], func(t *testing.T) {
			t.Parallel()
			_, r, target := raise(t, face[0], face[1])
			target.OffTime = 10 * time.Second
			ctx, cancel := context.WithCancel(enough(t))
			defer cancel()
			go func() {
				for r.events() == "" && ctx.Err() == nil {
					time.Sleep(time.Millisecond)
				}
				cancel()
			}()
			res, err := models.Builtin().Cycle(ctx, target)
			if err != nil && pcucontrol.KindOf(err) != pcucontrol.Ambiguous || res.After != pcucontrol.On ||
				r.events() != "off on" {
				t.Errorf("it gives %+v, %v and switched %q", res, err, r.events())
			}
		})
	}
}

func TestAnOffTimeThatThereIsNoTimeForIsNotBegun(t *testing.T) {
	t.Parallel()
	_, r, target := raise(t, "Redfish", "https")
	target.OffTime = time.Minute
	if res, err := models.Builtin().Cycle(within(t, 30*time.Second), target); pcucontrol.KindOf(
		err) != pcucontrol.Timeout ||
		r.events() != "" {
		t.Errorf("it gives %+v, %v and switched %q", res, err, r.events())
	}
	_, r, target = raise(t, "ePowerSwitchOld", "http")
	target.OffTime = time.Second
	if res, err := models.Builtin().Cycle(enough(t), target); pcucontrol.KindOf(err) != pcucontrol.Unsupported ||
		r.events() != "" {
		t.Errorf("what only cycles gives %+v, %v and switched %q", res, err, r.events())
	}
}

func TestModelsThatOnlyCycleAreNoFeedsOfSeveral(t *testing.T) {
	feeds, _, j := fed(t)
	_, _, old := raise(t, "ePowerSwitchOld", "http")
	r, err := models.Builtin().CycleAll(enough(t), append(feeds, old))
	if pcucontrol.KindOf(err) != pcucontrol.Unsupported || j.events() != "" {
		t.Errorf("it gives %+v, %v and switched %q", r, err, j.events())
	}
}

func TestOneFeedAloneIsCycled(t *testing.T) {
	t.Parallel()
	_, r, target := raise(t, "ePowerSwitchOld", "http")
	res, err := models.Builtin().CycleAll(enough(t), []pcucontrol.Target{target})
	if err != nil || len(res.Feeds) != 1 || res.Note == "" || res.Feeds[0].Note != res.Note {
		t.Errorf("it gives %+v, %v", res, err)
	}
	await(t, "a cycle", r, "off on")
	if _, err := models.Builtin().CycleAll(enough(t), nil); pcucontrol.KindOf(err) != pcucontrol.NoOutlet {
		t.Errorf("no feed gives %v", err)
	}
}
