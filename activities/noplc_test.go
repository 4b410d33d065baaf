package activities

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/planetlab/monitor/inventory"
	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/request"
	"github.com/planetlab/monitor/store"
	"github.com/planetlab/monitor/testbed"
	"github.com/planetlab/monitor/testbed/fakenode"
)

// lab is a bench without PLC: a file says what there is, and each node has its BMC.
type lab struct {
	*bench
	file string
}

func newLab(t *testing.T, none inventory.NoPLC, site testbed.Site) *lab {
	t.Helper()
	l := &lab{file: filepath.Join(t.TempDir(), "fleet.yaml")}
	l.bench = benchWith(t, func(w *testbed.World, o *Options) {
		for name, text := range map[string]string{
			l.file: w.Inventory(), filepath.Join(filepath.Dir(l.file), "bmc_password"): testbed.BMCPassword,
			filepath.Join(filepath.Dir(l.file), "pcu_password"): "pcu-s3cret",
		} {
			if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		o.Inventory = inventory.NewOwn(&inventory.File{Path: l.file, Models: o.PCUs}, o.Store, 0, nil)
		o.NoPLC, o.PCULegacy = &none, []string{"Redfish"} // their certificates are their own
	}, site)
	if site.BMCs {
		l.fed = "bmc-" + sick
	}
	l.must(l.w.Break(sick, testbed.Fault{State: fakenode.Hung, FixedBy: testbed.Reinstall}))
	l.was("node", sick, policy.StatusDown, 3)
	l.pcuIs(policy.StatusGood)
	return l
}

// edit changes the text of the file.
func (l *lab) edit(from, to string) {
	l.Helper()
	text, err := os.ReadFile(l.file)
	l.must(err)
	if !strings.Contains(string(text), from) {
		l.Fatalf("the file has no %q:\n%s", from, text)
	}
	l.must(os.WriteFile(l.file, []byte(strings.Replace(string(text), from, to, 1)), 0o600))
}

func (l *lab) wantBootState(want string) {
	l.Helper()
	n, err := l.Power.Inventory.Node(l.Context(), sick)
	if err != nil || n.BootState != want {
		l.Errorf("its boot state is %q, %v; want %s", n.BootState, err, want)
	}
}

// comesBack waits until the sick node answers.
func (l *lab) comesBack() {
	l.Helper()
	l.until("it runs", func() bool { return l.w.State(sick) == fakenode.Up })
}

func withBMCs() testbed.Site { return testbed.Site{Login: site, Nodes: 2, BMCs: true} }

// Without PLC a reinstallation boots the node from the network once and cuts its power, under the same claims; when the
// node is back, what is left of that is taken back.
func TestNoPLC_AReinstallationBootsFromTheNetworkOnce(t *testing.T) {
	l := newLab(t, inventory.NoPLC{}, withBMCs())
	l.Policy.BootGrace = 0 // as where days pass between the commands
	res, err := l.Power.Reboot(l.Context(), l.task(issue.NodeDown, "1", rebootRung))
	l.want(res, err, issue.Acted, "cycled")
	if n := len(l.w.WipeTimes(sick)); n != 0 {
		t.Fatalf("a plain reboot installed it %d times", n)
	}
	req := l.rebooted("2")
	res, err = l.Power.Reinstall(l.Context(), req)
	l.want(res, err, issue.Acted, "cycled")
	l.wantClaims("boot state")
	l.wantBootState("reinstall")
	l.comesBack()
	if n := len(l.w.WipeTimes(sick)); n != 1 {
		t.Errorf("it was installed %d times, want once", n)
	}
	if _, err := l.Issues.claims.releaseAll(l.Context(), req.State.Ref, "it is back"); err != nil {
		t.Error(err)
	}
	l.wantClaims()
	l.wantBootState("boot")
	l.wantCuts(2)
}

// A reinstallation whose power was surely not cut leaves nothing behind: whoever reboots the node next does not wipe it.
func TestNoPLC_AReinstallationThatIsGivenUpLeavesNothingBehind(t *testing.T) {
	l := newLab(t, inventory.NoPLC{}, withBMCs())
	req := l.rebooted("1")
	l.tc.asked = func() {} // nothing is asked of Temporal
	n, err := l.Store.Node(l.Context(), sick)
	l.must(err)
	by, name, err := l.Power.bootStates.installer(l.Context(), n)
	l.must(err)
	if name != "the boot device of bmc-"+sick {
		t.Errorf("it is installed by %q", name)
	}
	// a try whose worker died after it had told the BMC, and before it cut the power
	l.intend(req)
	claims, err := l.Store.Claims(l.Context(), store.ClaimFilter{Kind: store.ClaimBootState})
	l.must(err)
	claims[0].Data = by.data()
	l.must(l.Store.Mark(l.Context(), claims[0].ID, by))
	l.must(l.Boot.bootStates.prepare(l.Context(), claims[0]))
	res, err := l.Power.Reinstall(l.Context(), req)
	l.want(res, err, issue.Wait, "its worker ended before the command was given; set back to boot in the inventory")
	l.wantClaims()
	l.wantBootState("boot")
	l.wantCuts(0)
	_, err = l.outlet().run(l.Context(), l.Power.outlets.PCUs.Cycle) // by anybody
	l.must(err)
	l.until("it has booted, and hangs", func() bool { return l.w.State(sick) == fakenode.Hung })
	if n := len(l.w.WipeTimes(sick)); n != 0 {
		t.Errorf("it was installed %d times by a plain power cycle", n)
	}
}

// Where nothing can have a node installed anew, the rung is passed over, and says so.
func TestNoPLC_ARackCannotInstall(t *testing.T) {
	l := newLab(t, inventory.NoPLC{}, testbed.Site{Login: site, Nodes: 2})
	res, err := l.Power.Reinstall(l.Context(), l.rebooted("1"))
	l.want(res, err, issue.Passed, "nothing can have it installed anew")
	l.wantCuts(0)
}

// A hook has the node installed in place of the boot device, and is told when that is taken back.
func TestNoPLC_AHookInstalls(t *testing.T) {
	dir := t.TempDir()
	orders := filepath.Join(dir, "orders")
	hook := inventory.NewHook(inventory.HookOptions{Timeout: 10 * time.Second,
		Command: []string{"sh", "-c", "cat >> " + orders + "; echo >> " + orders + "; test ! -e " + dir + "/refuse || exit 2"}})
	l := newLab(t, inventory.NoPLC{Reinstall: hook}, testbed.Site{Login: site, Nodes: 2})
	l.Policy.BootGrace = 0 // as where days pass between the commands
	req := l.rebooted("1")
	res, err := l.Power.Reinstall(l.Context(), req)
	l.want(res, err, issue.Acted, "cycled")
	if _, err := l.Issues.claims.releaseAll(l.Context(), req.State.Ref, "it is back"); err != nil {
		t.Error(err)
	}
	l.wantClaims()
	text, err := os.ReadFile(orders)
	l.must(err)
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	if len(lines) != 2 || !strings.Contains(lines[0], `"do":"apply","what":"reinstall"`) ||
		!strings.Contains(lines[0], `"node":"`+sick+`"`) || !strings.Contains(lines[0], `"kind":"boot state"`) ||
		!strings.Contains(lines[1], `"do":"undo"`) {
		t.Errorf("the hook was told\n%s", text)
	}
	l.must(os.WriteFile(filepath.Join(dir, "refuse"), nil, 0o600))
	res, err = l.Power.Reinstall(l.Context(), l.rebooted("2"))
	l.want(res, err, issue.Wait, "the boot state could not be set")
	l.wantCuts(1)
}

// What its owner writes into the file while a sweep is old counts at once; an inventory that is broken forbids power.
func TestNoPLC_TheFileIsAskedAfresh(t *testing.T) {
	l := newLab(t, inventory.NoPLC{}, withBMCs())
	l.edit("{name: "+sick+",", "{name: "+sick+", boot_state: disabled,")
	res, err := l.Power.Reboot(l.Context(), l.task(issue.NodeDown, "1", rebootRung))
	l.want(res, err, issue.Wait, "the inventory has it at disabled: it is in somebody's hands")
	l.edit("boot_state: disabled,", "boot_stat: disabled,")
	res, err = l.Power.Reboot(l.Context(), l.task(issue.NodeDown, "2", rebootRung))
	l.want(res, err, issue.Wait, "the inventory cannot be asked for its boot state")
	l.edit("      - {name: "+sick+", boot_stat: disabled,", "      - {name: other.huji.example,")
	res, err = l.Power.Reboot(l.Context(), l.task(issue.NodeDown, "3", rebootRung))
	l.want(res, err, issue.Gone, "the inventory does not have "+sick+" any more")
	l.wantCuts(0)
}

// A sweep says of a broken file what is wrong with it and where; what was there stands.
func TestNoPLC_ASweepSaysWhatIsWrongWithTheFile(t *testing.T) {
	l := newLab(t, inventory.NoPLC{}, withBMCs())
	l.edit("name: "+sick, "nmae: "+sick)
	plan, err := l.Sweep.SyncPLC(l.Context(), SweepInput{})
	l.must(err)
	if !strings.Contains(plan.PLC, "the inventory has a mistake, and what was last read of it stands") ||
		!strings.Contains(plan.PLC, `there is no key "nmae" here`) || strings.Contains(plan.PLC, "PLC ") {
		t.Errorf("it says %q", plan.PLC)
	}
	if n, err := l.Store.Node(l.Context(), sick); err != nil || n.Gone {
		t.Errorf("the node is gone: %v", err)
	}
}

// Where nobody is denied anything, nobody is threatened with it, and no level rises.
func TestNoPLC_NobodyIsDeniedAnythingWithoutAHook(t *testing.T) {
	l := newLab(t, inventory.NoPLC{}, withBMCs())
	row, err := l.Store.Site(l.Context(), site)
	l.must(err)
	spared, err := l.Penalties.gate.spared(l.Context(), row, false)
	l.must(err)
	if spared == nil || !strings.Contains(spared.String(), "no penalties here") {
		t.Errorf("the site is spared: %v", spared)
	}
}

// A person's order to reinstall goes the same way, and is given back likewise when the node stays away.
func TestNoPLC_APersonOrdersAReinstallation(t *testing.T) {
	l := newLab(t, inventory.NoPLC{}, withBMCs())
	s := l.ordered("run", request.Reinstall)
	if res := l.try(&s); res.Outcome != issue.Acted {
		t.Fatalf("answered %+v", res)
	}
	l.comesBack()
	if n := len(l.w.WipeTimes(sick)); n != 1 {
		t.Errorf("it was installed %d times, want once", n)
	}
	l.done(s, request.NotBack)
	l.wantClaims()
	l.wantBootState("boot")
}

// Where somebody sets another boot state while a node is told to install itself, that is taken back as well; and a boot
// state alone is no way to have it installed, since no BootManager asks for it.
func TestNoPLC_ABootStateThatAPersonSets(t *testing.T) {
	l := newLab(t, inventory.NoPLC{}, withBMCs())
	n, err := l.Store.Node(l.Context(), sick)
	l.must(err)
	by, _, err := l.Boot.bootStates.installer(l.Context(), n)
	l.must(err)
	claim := store.Claim{Kind: store.ClaimBootState, Target: sick, Site: site, Was: "boot", SetTo: "reinstall",
		Issue: issue.NodeDown + "/" + sick, Key: "k", Data: by.data()}
	l.must(l.Store.Take(l.Context(), claim))
	l.must(l.Boot.bootStates.prepare(l.Context(), claim))
	s := l.ordered("run", request.BootState)
	if res := l.try(&s); res.Outcome != issue.Acted {
		t.Fatalf("answered %+v", res)
	}
	l.done(s, request.Done)
	l.wantClaims()
	l.wantBootState("boot")
	_, err = l.outlet().run(l.Context(), l.Power.outlets.PCUs.Cycle) // by anybody
	l.must(err)
	l.until("it has booted, and hangs", func() bool { return l.w.State(sick) == fakenode.Hung })
	if n := len(l.w.WipeTimes(sick)); n != 0 {
		t.Errorf("it was installed %d times by a plain power cycle", n)
	}
	s = l.opened("run2", request.Input{Node: sick, Act: request.BootState, State: "reinstall", From: "the test",
		Order: policy.Order{By: "alice", Role: policy.RoleOperator, Reason: "it hangs"}})
	if res := l.try(&s); res.Outcome != issue.Passed || !strings.Contains(res.Reason, "no BootManager asks for") {
		t.Errorf("answered %+v", res)
	}
	l.wantBootState("boot")
}
