package activities

import (
	"bytes"
	"context"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/pcucontrol"
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/store"
	"github.com/planetlab/monitor/testbed"
	"github.com/planetlab/monitor/testbed/pcudev"
)

const (
	pcuUser   = "admin"
	pcuSecret = "s3cret-Pw"
)

// rack is eight outlets that are on, and counts how often each was turned off.
type rack struct {
	mu       sync.Mutex
	off      [8]bool
	cuts     int
	switched func(on bool) // is told of each switching
}

func (*rack) Count() int { return 8 }

func (r *rack) State(n int) (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.off[n-1], nil
}

func (r *rack) Set(n int, on bool) error {
	r.mu.Lock()
	if !on && !r.off[n-1] {
		r.cuts++
	}
	r.off[n-1] = !on
	told := r.switched
	r.mu.Unlock()
	if told != nil {
		told(on)
	}
	return nil
}

func (r *rack) wantCuts(t *testing.T, n int) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cuts != n {
		t.Errorf("power was cut %d times, want %d", r.cuts, n)
	}
}

// line is a listener whose connections can be cut at once.
type line struct {
	net.Listener
	mu    sync.Mutex
	conns []net.Conn
}

func (l *line) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil {
		l.conns = append(l.conns, c)
	}
	return c, err
}

func (l *line) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.conns {
		_ = c.Close()
	}
	l.conns = nil
}

// plug lets a device of some model, which feeds no real node, stand in PLC for the PCU of the sick node.
func (b *bench) plug(model, transport string, r *rack) (pcudev.Device, *line) {
	b.Helper()
	d, err := pcudev.New(pcudev.Options{Model: model, Transport: transport, User: pcuUser, Password: pcuSecret,
		Outlets: r, OffTime: 20 * time.Millisecond})
	b.must(err)
	return d, b.listen(d, model, "127.0.0.1:0")
}

func (b *bench) listen(d pcudev.Device, model, address string) *line {
	b.Helper()
	l, err := net.Listen("tcp", address)
	b.must(err)
	b.Cleanup(func() { _ = l.Close() })
	cable := &line{Listener: l}
	go func() { _ = d.Serve(cable) }()
	b.entry(model, l.Addr().String())
	return cable
}

// entry is what PLC has of the PCU.
func (b *bench) entry(model, address string) {
	b.Helper()
	for column, value := range map[string]any{"model": model, "ip": address, "username": pcuUser,
		"password": pcuSecret} {
		b.w.DB.Set("PCUs", b.pcuID(), column, value)
	}
	b.sync()
	b.pcuIs(policy.StatusGood)
}

func (b *bench) pcu() store.PCU {
	b.Helper()
	p, err := b.Store.PCU(b.Context(), b.pcuID())
	b.must(err)
	return p
}

func TestPCU_AManualOneIsAskedForOnce(t *testing.T) {
	b := newBench(t)
	ctx := b.Context()
	b.hung()
	b.entry("ManualPCU", "")
	if ok, reason, err := b.Power.outlets.test(ctx, b.pcu()); !ok || err != nil {
		t.Errorf("its dry run fails: %s, %v", reason, err)
	}
	for range 2 { // the second is a retry of the same rung
		res, err := b.Power.Reboot(ctx, b.task(issue.NodeDown, "0", rebootRung))
		b.want(res, err, issue.Acted, "asked the admins to power-cycle outlet 1 of pcu.huji.example")
		if res.Power != issue.Asked || b.task(issue.NodeDown, "0", rebootRung).After(time.Now(), res).Rebooted {
			t.Errorf("what was asked for counts as %q", res.Power)
		}
	}
	b.Policy.MaxReboots, b.Policy.Budget.RebootsFleet, b.Policy.Budget.RebootsSite = 1, 1, 1
	req := b.task(issue.NodeDown, "0", rebootRung)
	seen, err := b.Power.observer.observe(ctx, req.State.Ref)
	b.must(err)
	if answer, err := b.Power.gate.ask(ctx, policy.ActReboot, req.State.Ref, seen); err != nil || !answer.Do {
		t.Errorf("what people were asked for counts as a power cycle of ours: %+v, %v", answer, err)
	}
	mail := b.w.Mail.Messages()
	if len(mail) != 1 || !strings.Contains(string(mail[0].Raw), "please power-cycle "+sick) ||
		strings.Contains(string(mail[0].Raw), pcuSecret) {
		t.Errorf("%d mails: %+v", len(mail), mail)
	}
	if n := proveAll(t, b.Store); n != 1 {
		t.Errorf("the ledger has %d messages with their facts", n)
	}
	res, err := b.Power.Reinstall(ctx, b.rebooted("1"))
	b.want(res, err, issue.Passed, "only Monitor itself reboots into a reinstall")
	b.wantState("boot")
	b.People.post.Admins = nil
	res, err = b.Power.Reboot(ctx, b.task(issue.NodeDown, "2", rebootRung))
	b.want(res, err, issue.Passed, "mail.admins names nobody to ask")
	b.wantLedger(issue.NodeDown+"/"+sick, "reboot asked")
}

func TestPCU_OneThatShowsAnotherKeyIsNotDriven(t *testing.T) {
	b := newBench(t)
	ctx := b.Context()
	b.hung()
	r := &rack{}
	_, cable := b.plug("DRAC", "ssh", r)
	for range 2 {
		if ok, reason, err := b.Power.outlets.test(ctx, b.pcu()); !ok || err != nil {
			t.Fatal(reason, err)
		}
	}
	pins, err := b.Store.PCUPins(ctx, b.pcuID())
	if err != nil || !strings.HasPrefix(pins[store.HostKey], "ssh-ed25519 ") {
		t.Fatalf("pinned are %v, %v", pins, err)
	}
	address := cable.Addr().String()
	_ = cable.Close()
	other, err := pcudev.New(pcudev.Options{Model: "DRAC", Transport: "ssh", User: pcuUser, Password: pcuSecret,
		Outlets: r, OffTime: 20 * time.Millisecond})
	b.must(err)
	b.listen(other, "DRAC", address) // the same model with a key of its own
	res, err := b.Power.Reboot(ctx, b.task(issue.NodeDown, "0", rebootRung))
	b.want(res, err, issue.Passed, "monitor pcu forget pcu.huji.example")
	r.wantCuts(t, 0)
	_, err = b.Store.ForgetPCUPins(ctx, b.pcuID())
	b.must(err)
	res, err = b.Power.Reboot(ctx, b.task(issue.NodeDown, "1", rebootRung))
	b.want(res, err, issue.Acted, "read back on")
	r.wantCuts(t, 1)
	b.wantClaims()
}

func TestPCU_ABusyOneIsWaitedForButNotForEver(t *testing.T) {
	b := newBench(t)
	ctx := b.Context()
	b.hung()
	r := &rack{}
	d, _ := b.plug("APCControl12p3", "telnet", r)
	d.Break(pcudev.Busy)
	for key, want := range map[string]issue.Outcome{"0": issue.Wait} {
		res, err := b.Power.Reboot(ctx, b.task(issue.NodeDown, key, rebootRung))
		b.want(res, err, want, "")
	}
	res, err := b.Power.Reboot(ctx, b.task(issue.NodeDown, "1", rebootRung))
	b.want(res, err, issue.Wait, "")
	res, err = b.Power.Reinstall(ctx, b.rebooted("2"))
	b.want(res, err, issue.Passed, "")
	b.wantState("boot")
	b.wantClaims()
	r.wantCuts(t, 0)
	b.wantLedger(issue.NodeDown+"/"+sick, "reboot failed", "reboot failed", "reinstall failed")
	d.Break("")
	res, err = b.Power.Reboot(ctx, b.task(issue.NodeDown, "3", rebootRung)) // what was refused is no reboot
	b.want(res, err, issue.Acted, "read back on")
	r.wantCuts(t, 1)
}

// The line is cut when the device has the command: what became of it is looked up, and the command is never given
// again.
func TestPCU_AnAnswerLostAfterTheCommandIsNotRepeated(t *testing.T) {
	for model, transport := range map[string]string{"APCControl12p3": "telnet", "IPAL": "tcp", "WTIIPS4": "telnet",
		"DRAC": "ssh"} {
		t.Run(model, func(t *testing.T) {
			b := newBench(t)
			ctx := b.Context()
			b.hung()
			r := &rack{}
			_, cable := b.plug(model, transport, r)
			r.switched = func(on bool) {
				if !on {
					cable.cut()
				}
			}
			req := b.task(issue.NodeDown, "0", rebootRung)
			for range 3 {
				res, err := b.Power.Reboot(ctx, req)
				b.want(res, err, issue.Acted, "")
				if res.Power != issue.Cycled && res.Power != issue.PowerLost {
					t.Errorf("it is said to be %q: %s", res.Power, res.Reason)
				}
			}
			r.wantCuts(t, 1)
			if on, _ := r.State(1); !on {
				t.Error("the outlet is left off")
			}
			b.wantClaims()
			since, err := b.Store.PowerCycles(ctx, sick, time.Now().Add(-time.Hour))
			if err != nil || len(since) != 1 {
				t.Errorf("it counts as %d power cycles, %v", len(since), err)
			}
		})
	}
}

// A device that dies when the outlet is off owes it: a sweep, or the end of the issue, turns it on.
func TestPCU_OneThatDiesAfterOffIsTurnedOnLater(t *testing.T) {
	b := newBench(t)
	ctx := b.Context()
	b.hung()
	r := &rack{}
	d, cable := b.plug("WTIIPS4", "telnet", r)
	r.switched = func(on bool) {
		if !on {
			d.Break(pcudev.Refuses + "," + pcudev.StaysOff)
			cable.cut()
		}
	}
	req := b.task(issue.NodeDown, "0", rebootRung)
	res, err := b.Power.Reboot(ctx, req)
	b.want(res, err, issue.Acted, "may be off")
	if res.Power != issue.LeftOff {
		t.Errorf("it is said to be %q", res.Power)
	}
	b.wantClaims("outlet")
	said, err := b.Sweep.claims.releaseAll(ctx, req.State.Ref, "an operator closes the issue meanwhile")
	if err != nil || !strings.Contains(said, "not undone yet") {
		t.Errorf("said %q, %v", said, err)
	}
	b.wantClaims("outlet")
	d.Break("")
	said, err = b.Sweep.claims.releaseAll(ctx, req.State.Ref, "the next sweep")
	if err != nil || !strings.Contains(said, "is on again") {
		t.Errorf("said %q, %v", said, err)
	}
	b.wantClaims()
	if on, _ := r.State(1); !on {
		t.Error("the outlet is left off")
	}
	r.wantCuts(t, 1)
}

// Two feeds are cycled as one, and both are read.
func TestPCU_ANodeWithTwoFeedsLosesPowerOnBoth(t *testing.T) {
	b := benchWith(t, func(_ *testbed.World, o *Options) { o.PCUTimeout = time.Minute }) // the machine may be busy
	ctx := b.Context()
	b.hung()
	r := &rack{}
	b.plug("APCControl12p3", "telnet", r)
	both := []store.Feed{{PCUID: b.pcuID(), Outlet: 1}, {PCUID: b.pcuID(), Outlet: 2}}
	dark := 0
	r.switched = func(bool) {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.off[0] && r.off[1] {
			dark++
		}
	}
	feeds, release, err := b.Power.outlets.lock(ctx, both)
	b.must(err)
	defer release()
	node, err := b.Store.Node(ctx, sick)
	b.must(err)
	t0 := b.looked(b.task(issue.NodeDown, "0", rebootRung))
	facts, err := b.Power.gate.facts(ctx, policy.ActReboot, t0.ref(), t0.seen)
	b.must(err)
	res, err := b.Power.beginPower(ctx, t0, facts, node, feeds)
	b.want(res, err, issue.Acted, "outlets cycled together and read back on")
	r.wantCuts(t, 2)
	if dark == 0 {
		t.Error("the node always had power from one of them")
	}
	b.wantClaims()

	set, err := b.Power.outlets.set(ctx, feeds)
	b.must(err)
	b.must(r.Set(1, false)) // a worker died when one of the two was off: the node never lost power
	req := b.task(issue.NodeDown, "1", rebootRung)
	b.intend(req)
	b.commit(req)
	res, err = b.Power.resolveAmbiguous(ctx, task{Request: req}, policy.ActReboot, set)
	b.want(res, err, issue.Acted, "not repeated")
	if on, _ := r.State(1); !on || res.Power != issue.PowerLost {
		t.Errorf("outlet 1 is on: %v, and it is said to be %q", on, res.Power)
	}
}

// scripted is a device that answers as a test has it.
type scripted struct {
	status, on error
	said       *[]pcucontrol.Operation
}

func (d scripted) Test(context.Context, pcucontrol.Target) (pcucontrol.Result, error) {
	return pcucontrol.Result{}, nil
}

func (d scripted) Status(context.Context, pcucontrol.Target) (pcucontrol.Result, error) {
	return pcucontrol.Result{After: pcucontrol.Unknown}, d.status
}

func (d scripted) Switch(_ context.Context, _ pcucontrol.Target, op pcucontrol.Operation) (pcucontrol.Result, error) {
	*d.said = append(*d.said, op)
	return pcucontrol.Result{After: pcucontrol.Unknown}, d.on
}

// Of two feeds one may be of a device that can say nothing: that settles nothing about the other one, which may be off.
func TestPCU_AFeedThatCannotBeReadHidesNoOther(t *testing.T) {
	b := newBench(t)
	ctx := b.Context()
	mute := &pcucontrol.Error{Kind: pcucontrol.Unsupported, Doing: "status"}
	away := &pcucontrol.Error{Kind: pcucontrol.Unreachable, Doing: "connect"}
	var said []pcucontrol.Operation
	model := func(name string, d scripted) pcucontrol.Model {
		d.said = &said
		return pcucontrol.NewModel(name, "of a test", true, pcucontrol.Route{Driver: d,
			Transport: pcucontrol.Transport{Name: "udp", Port: 9, Can: []string{"test", "status", "on", "off", "cycle"}}})
	}
	b.Power.outlets.PCUs = b.Power.outlets.PCUs.With(model("Mute", scripted{status: mute, on: mute}),
		model("Away", scripted{status: away, on: away}), model("Deaf", scripted{status: mute}))
	feed := func(model string) *outlet {
		return &outlet{by: b.Power.outlets, pcu: store.PCU{Name: model}, shown: map[string]string{},
			target: pcucontrol.Target{Model: model, Host: "127.0.0.1", Outlet: 1}}
	}
	if s := (outletSet{feed("Mute")}).turnOn(ctx); !s.untold || s.on {
		t.Errorf("of one that can say nothing is said %+v", s)
	}
	said = nil
	if s := (outletSet{feed("Deaf")}).turnOn(ctx); !s.untold || s.on || !slices.Equal(said, []pcucontrol.Operation{pcucontrol.OpOn}) {
		t.Errorf("one that cannot be read is told %q, and of it is said %+v", said, s)
	}
	for _, set := range []outletSet{{feed("Mute"), feed("Away")}, {feed("Away"), feed("Mute")}} {
		if s := set.turnOn(ctx); s.untold || s.on || !strings.Contains(s.why, "Away") {
			t.Errorf("of two is said %+v", s)
		}
	}
	req := b.task(issue.NodeDown, "0", rebootRung)
	b.intend(req)
	b.commit(req)
	res, err := b.Power.resolveAmbiguous(ctx, task{Request: req}, policy.ActReboot,
		outletSet{feed("Mute"), feed("Away")})
	if b.want(res, err, issue.Acted, "may be off"); res.Power != issue.LeftOff {
		t.Errorf("it is said to be %q", res.Power)
	}
	b.wantClaims("outlet")
}

func TestPCU_LegacyIsForThoseThatAreNamed(t *testing.T) {
	b := newBench(t)
	b.entry("DRAC", "127.0.0.1:1")
	for _, c := range []struct {
		names []string
		want  bool
	}{
		{nil, false},
		{[]string{"DRA", "pcu", ""}, false},
		{[]string{"HPiLO", "DRAC"}, true},
		{[]string{pcu}, true},
	} {
		b.Power.outlets.PCULegacy = c.names
		o, err := b.Power.outlets.outlet(b.Context(), b.pcu(), 3)
		if err != nil || o.target.Legacy != c.want || o.target.Host != "127.0.0.1" || o.target.Port != 1 ||
			o.target.Outlet != 3 || o.target.Password != pcuSecret {
			t.Errorf("with %q the target is on %s:%d, outlet %d, legacy %v, %v", c.names, o.target.Host, o.target.Port,
				o.target.Outlet, o.target.Legacy, err)
		}
	}
}

func TestPCU_ACertificateNobodyVouchesForIsPinnedWhereItIsPermitted(t *testing.T) {
	b := newBench(t)
	ctx := b.Context()
	r := &rack{}
	_, cable := b.plug("Redfish", "https", r)
	try := func(what string, want bool, says string) {
		t.Helper()
		if ok, reason, err := b.Power.outlets.test(ctx, b.pcu()); err != nil || ok != want ||
			!strings.Contains(reason, says) {
			t.Fatalf("%s: %v, %s, %v", what, ok, reason, err)
		}
	}
	try("not permitted", false, "certificate")
	b.Power.outlets.PCULegacy = []string{"Redfish"}
	try("permitted", true, "")
	if pins, err := b.Store.PCUPins(ctx, b.pcuID()); err != nil || len(pins[store.Certificate]) != 64 {
		t.Fatalf("pinned are %v, %v", pins, err)
	}
	b.Power.outlets.PCULegacy = nil
	try("pinned, and no longer permitted", true, "")
	address := cable.Addr().String()
	_ = cable.Close()
	other, err := pcudev.New(pcudev.Options{Model: "Redfish", Transport: "https", User: pcuUser,
		Password: pcuSecret, Outlets: r})
	b.must(err)
	b.listen(other, "Redfish", address) // the same model with a certificate of its own
	b.Power.outlets.PCULegacy = []string{"Redfish"}
	try("another certificate", false, "monitor pcu forget pcu.huji.example")
}

func TestPCU_AFaultOfOursIsNotBlamedOnIt(t *testing.T) {
	b := newBench(t)
	ctx := b.Context()
	// a worker with another key
	other, err := store.Open(ctx, store.Options{URL: b.url, Key: bytes.Repeat([]byte{8}, 32)})
	b.must(err)
	t.Cleanup(other.Close)
	b.Store = other
	if ok, reason, err := b.Power.outlets.test(ctx, b.pcu()); err == nil {
		t.Errorf("with a secret that cannot be read the dry run says %v, %s", ok, reason)
	}
	b.hung()
	res, err := b.Power.Reboot(ctx, b.task(issue.NodeDown, "0", rebootRung))
	b.want(res, err, issue.Wait, "")
	b.wantCuts(0)
	b.wantClaims()
}

// Nobody sees that an operator lifts the entry of a PCU early: who waits for it asks again.
func TestPCU_OneThatIsLeftAloneIsAskedAboutAgainBeforeThatEnds(t *testing.T) {
	b := newBench(t)
	ctx := b.Context()
	b.hung()
	b.must(b.Store.AddBlacklist(ctx, store.BlacklistEntry{Kind: "pcu", Target: pcu, Reason: "new firmware",
		Until: time.Now().AddDate(0, 0, 30)}))
	res, err := b.Power.Reboot(ctx, b.task(issue.NodeDown, "0", rebootRung))
	b.want(res, err, issue.Wait, "exempt: new firmware")
	if in := time.Until(res.Until); in <= 0 || in > b.Policy.Day/4 {
		t.Errorf("it is asked again in %s", in)
	}
}

// A request to switch by hand that did not leave is no command of ours, in words and in numbers.
func TestPCU_ARequestThatDidNotLeaveIsNoCommand(t *testing.T) {
	b := newBench(t)
	ctx := b.Context()
	b.hung()
	b.entry("ManualPCU", "")
	counted := func() {
		t.Helper()
		if s, err := b.Power.gate.budgetUsed(ctx, store.KindReboot, site); err != nil || s.Fleet > 0 || s.Site > 0 {
			t.Errorf("the budget has %+v, %v", s, err)
		}
	}
	b.w.Mail.Refuse("noc@plc.example", 451, "try later")
	req := b.task(issue.NodeDown, "0", rebootRung)
	if _, err := b.Power.Reboot(ctx, req); err == nil {
		t.Error("the mail was refused, and nobody says so")
	}
	counted()
	b.commit(req) // its worker dies while it sends
	counted()
	cycles, err := b.Store.PowerCycles(ctx, sick, time.Now().Add(-time.Hour))
	if err != nil || len(cycles) > 0 {
		t.Errorf("power was cut at %v, %v", cycles, err)
	}
	b.must(b.Store.Withdraw(ctx, req.Key))
	res, err := b.Power.Reboot(ctx, req)
	b.want(res, err, issue.Wait, "the admins could not be asked yet")
}

func TestPCU_OneThatCannotCycleIsCycledByHand(t *testing.T) {
	o := &outlets{PCUs: newBench(t).Power.outlets.PCUs}
	for model, want := range map[string]bool{"Manual": true, "WakeOnLAN": true, "APCControl12p3": false, "NUT": false} {
		if got := o.manual(store.PCU{Model: model}); got != want {
			t.Errorf("%s is cycled by hand: %v", model, got)
		}
	}
}
