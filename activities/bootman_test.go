package activities

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.temporal.io/sdk/client"
	"golang.org/x/crypto/ssh"

	"github.com/planetlab/monitor/bootman"
	"github.com/planetlab/monitor/config"
	"github.com/planetlab/monitor/connect"
	"github.com/planetlab/monitor/inventory"
	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/plc"
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/probe"
	"github.com/planetlab/monitor/store"
	"github.com/planetlab/monitor/testbed"
	"github.com/planetlab/monitor/testbed/fakenode"
	"github.com/planetlab/monitor/testbed/fakeplc"
	"github.com/planetlab/monitor/testbed/pglocal"
)

// desk takes down which issues are opened instead of opening them.
type desk struct {
	client.Client
	mu     sync.Mutex
	opened map[string]issue.Input
}

func (d *desk) ExecuteWorkflow(_ context.Context, o client.StartWorkflowOptions, _ any,
	args ...any) (client.WorkflowRun, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.opened[o.ID] = args[0].(issue.Input)
	return nil, nil
}

// silentInventory is one that does not answer.
type silentInventory struct{ inventory.Keeper }

func (silentInventory) Node(context.Context, string) (plc.Node, error) {
	return plc.Node{}, errors.New("it is away")
}

// fleet is a testbed of one site with real nodes, a real PLCAPI and a real Postgres.
type fleet struct {
	*testbed.World
	*Groups
	*ledger
	desk *desk
	url  string // of Postgres
	next int
}

func newFleet(t *testing.T) *fleet {
	t.Helper()
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	world, err := testbed.Start(testbed.Options{Sites: []testbed.Site{{Login: "sydney", Nodes: 50, NoPCU: true}},
		BootTime: 300 * time.Millisecond, Root: key.PublicKey()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(world.Close)
	url := pglocal.ForTest(t)
	db, err := store.Open(t.Context(), store.Options{URL: url, Key: bytes.Repeat([]byte{7}, 32)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	if err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, world.PLCCA, 0o600); err != nil {
		t.Fatal(err)
	}
	api, err := plc.New(plc.Options{URL: world.PLC, Username: testbed.PLCUser,
		Password: testbed.PLCPassword, CAFile: ca})
	if err != nil {
		t.Fatal(err)
	}
	boot, err := bootman.New()
	if err != nil {
		t.Fatal(err)
	}
	numbers := policy.Defaults(24 * time.Hour)
	numbers.Budget = policy.Budget{RebootsFleet: 100, RebootsSite: 100, ReinstallsFleet: 100, ReinstallsSite: 100}
	f := &fleet{World: world, desk: &desk{opened: map[string]issue.Input{}}, url: url}
	f.Groups = New(Options{
		Store: db, Inventory: api, Temporal: f.desk, Policy: numbers, Log: slog.New(slog.DiscardHandler),
		SweepEvery: time.Hour,
		Prober: probe.New(probe.Options{SSHKey: key, PortMap: testbed.PortMap(), Timeout: 2 * time.Second, Tries: 1,
			Resolver: world.Resolver}),
		Bootman: boot,
		Enter: connect.Entrance(config.Probe{SSHUser: "root", SSHPorts: []int{22, 806}, PortMap: testbed.PortMap(),
			Timeout: 500 * time.Millisecond}, key),
	})
	f.ledger = f.Boot.ledger
	f.sync(t)
	w, err := db.StartSweep(t.Context(), "sweep/1")
	if err == nil {
		w.Believed, w.Counts = true, map[string]int{"nodes": 50, "pcus": 0}
		err = db.EndSweep(t.Context(), w)
	}
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *fleet) sync(t *testing.T) {
	t.Helper()
	snapshot, err := f.Power.Inventory.Snapshot(t.Context())
	if err == nil {
		_, err = f.Store.SaveSnapshot(t.Context(), snapshot, true)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// stuck gives a fresh node that is stuck in debug mode.
func (f *fleet) stuck(t *testing.T, d fakenode.DebugMode) string {
	t.Helper()
	f.next++
	host := fmt.Sprintf("planetlab%d.sydney.example", f.next)
	f.debug(t, host, d)
	f.TellHostKey(host)
	return host
}

func (f *fleet) debug(t *testing.T, host string, d fakenode.DebugMode) {
	t.Helper()
	off := testbed.Fault{State: fakenode.Off, FixedBy: testbed.Nobody}
	for _, a := range []testbed.Fault{off, {State: fakenode.Debug, FixedBy: testbed.Nobody, Debug: d}} {
		if err := f.Break(host, a); err != nil {
			t.Fatal(err)
		}
	}
}

func input(host string, visit int) issue.Request {
	ref := Ref{ID: issue.Failboot + "/" + host, Run: "run", Type: issue.Failboot, Node: host, Site: "sydney"}
	typ, _ := issue.Lookup(issue.Failboot)
	s := issue.Start(issue.Opening{Ref: ref, Times: issue.TimesOf(policy.Defaults(24 * time.Hour)), Ladder: typ.Ladder},
		time.Now().Add(-time.Hour))
	s.Began()
	return issue.Request{State: s, Rung: typ.Ladder.Rungs[0], Key: fmt.Sprintf("%s/%d.0", ref.Episode(), visit)}
}

func (f *fleet) visit(t *testing.T, host string, visit int) issue.Result {
	t.Helper()
	res, err := f.Boot.Bootman(t.Context(), input(host, visit))
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// told waits until a node has been told so much, and a little longer for what should not come.
func (f *fleet) told(t *testing.T, host string, want ...string) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); len(f.Told(host)) < len(want) && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond)
	}
	time.Sleep(50 * time.Millisecond)
	if got := f.Told(host); !slices.Equal(got, want) {
		t.Errorf("%s was told %q, want %q", host, got, want)
	}
}

func (f *fleet) wantLedger(t *testing.T, host string, want ...string) {
	t.Helper()
	list, err := f.Store.Actions(t.Context(), store.ActionFilter{Node: host})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, a := range slices.Backward(list) {
		got = append(got, string(a.Kind)+" "+a.Outcome)
	}
	if !slices.Equal(got, want) {
		t.Errorf("the ledger of %s says %q, want %q", host, got, want)
	}
}

// logOf writes a log that has the steps of a sequence.
func logOf(sequence string) string {
	says := map[string]string{
		"bminit": "Initializing the BootManager.", "cfg": "Reading node configuration file.",
		"auth":   "Authenticating node with PLC.",
		"getplc": "Retrieving details of node from PLC.", "update": "Updating node boot state at PLC.",
		"hardware":    "Checking if hardware requirements met.",
		"installinit": "Install: Initializing.", "validate": "Validating node installation.",
		"exception": "Exception while running: a step",
		"debug":     "Starting debug mode", "fsckfail": "Running e2fsck -v -p /dev/planetlab/root failed",
		"hardwarerequirefail": "Hardware requirements not met",
		"authfail":            "Failed to authenticate call: Call could not be authenticated",
		"noinstall":           "notinstalled", "bootupdatefail": "BootUpdateNode",
		"bmexceptrmfail": "Unable to remove directory tree: /tmp/mnt",
		"nodehostname":   "Configured node hostname does not resolve", "dnserror": "Name or service not known",
		"implementerror": "Implementation Error", "bootcheckfail": "BootCheckAuthentication",
		"noblockdev":   "No block devices detected.",
		"disktoosmall": "The total usable disk size of all disks is insufficient to be usable as a PlanetLab node.",
		"nonode":       "Failed to authenticate call: No such node",
		"nospace":      "No space left on device", "authfail2": "Authentication Failed",
	}
	var log []string
	for step := range strings.SplitSeq(strings.TrimSuffix(sequence, "-done"), "-") {
		log = append(log, says[step])
	}
	return strings.Join(log, "\n") + "\n"
}

const (
	bootSequence = "bminit-cfg-auth-getplc-update-debug-done"
	fsckSequence = "bminit-cfg-auth-getplc-installinit-validate-exception-fsckfail-exception-debug-validate-done"
	keySequence  = "bminit-cfg-auth-authfail-debug-done"
)

func TestBootman(t *testing.T) {
	f := newFleet(t)
	for _, c := range []struct {
		name string
		test func(*testing.T, *fleet)
	}{
		{"it does what the sequence calls for", testBootmanDoesWhatTheSequenceCallsFor},
		{"it opens what no program mends", testBootmanOpensWhatNoProgramMends},
		{"an issue that ended in vain is not opened again", testAnIssueThatEndedInVainIsNotOpenedAgain},
		{"a sequence that comes back is not repaired twice", testASequenceThatComesBackIsNotRepairedTwice},
		{"a retry starts nothing again", testARetryStartsNothingAgain},
		{"what is left alone", testWhatIsLeftAlone},
		{"in observe mode no visit is used up", testInObserveModeNoVisitIsUsedUp},
		{"nodedown lets failboot speak", testNodeDownLetsFailbootSpeak},
		{"a second restart within a day is hard", testASecondRestartWithinADayIsHard},
		{"node keys", testNodeKeys},
		{"an unknown sequence is shown to admins and tried once", testAnUnknownSequenceIsShownToAdminsAndTriedOnce},
		{"a new host key needs a reason in PLC", testANewHostKeyNeedsAReasonInPLC},
		{"only a proven host key may choose a reinstall", testOnlyAProvenHostKeyMayChooseAReinstall},
	} {
		t.Run(c.name, func(t *testing.T) {
			f.desk.opened = map[string]issue.Input{}
			c.test(t, f)
		})
	}
}

func testBootmanDoesWhatTheSequenceCallsFor(t *testing.T, f *fleet) {
	for _, c := range []struct {
		sequence string
		told     []string
		ledger   string
		state    string // in PLC, afterwards
	}{
		{bootSequence, []string{"BootManager.py boot"}, "bootman sent", "boot"},
		{"bminit-cfg-auth-getplc-installinit-validate-exception-noinstall-update-debug-done",
			[]string{"BootManager.py reinstall"}, "reinstall sent", "boot"},
		{"bminit-cfg-auth-getplc-exception-update-bootupdatefail-debug-done", []string{"shutdown -r now"},
			"reboot sent", "boot"},
		{"bminit-cfg-auth-getplc-hardware-installinit-exception-bmexceptrmfail-update-debug-done",
			[]string{"shutdown -r now"}, "reinstall sent", "reinstall"},
		{fsckSequence, []string{"umount /tmp/mnt/sysimg/vservers", "umount /tmp/mnt/sysimg",
			"fsck -f -y /dev/planetlab/root", "fsck -f -y /dev/planetlab/vservers", "BootManager.py boot"},
			"bootman sent", "boot"},
	} {
		t.Run(c.ledger+" for "+c.sequence, func(t *testing.T) {
			host := f.stuck(t, fakenode.DebugMode{Log: logOf(c.sequence)})
			res := f.visit(t, host, 0)
			if res.Outcome != issue.Acted || res.Told {
				t.Errorf("it answers %+v", res)
			}
			if state := f.DB.Get("Nodes", "hostname", host)["boot_state"]; state != c.state {
				t.Errorf("PLC has it at %v, want %s", state, c.state)
			}
			f.told(t, host, c.told...)
			f.wantLedger(t, host, c.ledger)
			l, err := f.Store.LastBootLog(t.Context(), host)
			if err != nil || l.Sequence != c.sequence || string(l.Log) != logOf(c.sequence) {
				t.Errorf("the log is kept as %+v, %v", l, err)
			}
		})
	}
}

func testBootmanOpensWhatNoProgramMends(t *testing.T, f *fleet) {
	for _, c := range []struct {
		sequence, dmesg, typ, evidence string
	}{
		{bootSequence, "Buffer I/O error on device dm-0, logical block 7\n", issue.BadHardware,
			"Buffer I/O error on device dm-0, logical block 7"},
		{"bminit-cfg-auth-getplc-update-hardware-exception-hardwarerequirefail-update-debug-done",
			"sda: a disk that says little\n", issue.BadHardware, "sda: a disk that says little"},
		{"bminit-cfg-auth-implementerror-bootcheckfail-dnserror-update-implementerror-bootupdatefail-dnserror-done", "",
			issue.DNSError, "method: static, ip: "},
		{"bminit-cfg-exception-nodehostname-update-debug-done", "", issue.NodeConfig, "dns1: 10.0.0.53, dns2: not set"},
		{"bminit-cfg-auth-bootcheckfail-nonode-exception-update-bootupdatefail-nonode-debug-done", "", issue.NodeConfig,
			"Failed to authenticate call: No such node"},
		{"bminit-cfg-auth-getplc-hardware-disktoosmall-exception-hardwarerequirefail-update-debug-done", "",
			issue.MinimalHardware, "The total usable disk size"},
		{"bminit-cfg-auth-getplc-hardware-exception-noblockdev-hardwarerequirefail-update-debug-done", "",
			issue.NoBlockDevice, "No block devices detected."},
		{"bminit-cfg-auth-getplc-hardware-exception-hardwarerequirefail-update-debug-done", "", issue.OldBootCD,
			"Hardware requirements not met"},
	} {
		t.Run(c.typ+" for "+c.sequence, func(t *testing.T) {
			host := f.stuck(t, fakenode.DebugMode{Log: logOf(c.sequence), Dmesg: c.dmesg})
			id := f.DB.Get("Nodes", "hostname", host)["node_id"].(int)
			nic := f.DB.Get("Interfaces", "node_id", id)["interface_id"].(int)
			f.DB.Set("Interfaces", nic, "method", "static")
			f.DB.Set("Interfaces", nic, "dns1", "10.0.0.53")
			res := f.visit(t, host, 0)
			if res.Outcome != issue.Wait || !strings.Contains(res.Reason, c.typ+"/"+host+" is open") {
				t.Errorf("it answers %+v", res)
			}
			in, opened := f.desk.opened[c.typ+"/"+host]
			if !opened || in.Cause == "" || !strings.Contains(strings.Join(in.Evidence, "\n"), c.evidence) {
				t.Errorf("opened is %v, as %+v", opened, in)
			}
			f.told(t, host)
			f.wantLedger(t, host)
		})
	}
}

func testAnIssueThatEndedInVainIsNotOpenedAgain(t *testing.T, f *fleet) {
	host := f.stuck(t, fakenode.DebugMode{
		Log: logOf("bminit-cfg-auth-getplc-hardware-exception-noblockdev-hardwarerequirefail-update-debug-done"),
	})
	id := issue.NoBlockDevice + "/" + host
	earlier := store.Issue{ID: id, Type: issue.NoBlockDevice, Target: host, Node: host, Site: "sydney",
		Status: "closed", Outcome: "closed by an operator"}
	for _, c := range []struct {
		opened time.Time
		want   issue.Outcome
	}{{time.Now().AddDate(0, -1, 0), issue.Wait}, {time.Now().Add(-time.Minute), issue.Passed}} {
		delete(f.desk.opened, id)
		earlier.Opened, earlier.Closed = c.opened, c.opened.Add(time.Second)
		putIssue(t, f.url, earlier)
		res := f.visit(t, host, 0)
		if _, opened := f.desk.opened[id]; res.Outcome != c.want || opened != (c.want == issue.Wait) {
			t.Errorf("after one of %s it answers %+v, opened: %v", c.opened, res, opened)
		}
	}
}

func testASequenceThatComesBackIsNotRepairedTwice(t *testing.T, f *fleet) {
	host := f.stuck(t, fakenode.DebugMode{Log: logOf(fsckSequence)})
	repair := []string{"umount /tmp/mnt/sysimg/vservers", "umount /tmp/mnt/sysimg", "fsck -f -y /dev/planetlab/root",
		"fsck -f -y /dev/planetlab/vservers", "BootManager.py boot"}
	f.visit(t, host, 0)
	f.told(t, host, repair...)
	f.debug(t, host, fakenode.DebugMode{Log: logOf(fsckSequence)})
	if res := f.visit(t, host, 1); res.Outcome != issue.Passed ||
		!strings.Contains(res.Reason, "fsck_repair was tried") {
		t.Errorf("the same sequence again gives %+v", res)
	}
	f.told(t, host, repair...)
	f.debug(t, host, fakenode.DebugMode{Log: logOf(bootSequence)})
	if res := f.visit(t, host, 2); res.Outcome != issue.Acted {
		t.Errorf("another sequence gives %+v", res)
	}
	f.told(t, host, append(repair, "BootManager.py boot")...)
	f.wantLedger(t, host, "bootman sent", "bootman sent")
}

func testARetryStartsNothingAgain(t *testing.T, f *fleet) {
	host := f.stuck(t, fakenode.DebugMode{Log: logOf(bootSequence)})
	f.visit(t, host, 0)
	f.told(t, host, "BootManager.py boot")
	f.debug(t, host, fakenode.DebugMode{Log: logOf(bootSequence)})
	if res := f.visit(t, host, 0); res.Outcome != issue.Acted || !strings.Contains(res.Reason, "was started") {
		t.Errorf("a retry that finds the outcome gives %+v", res)
	}
	in := input(host, 5)
	other := "bminit-cfg-auth-getplc-exception-update-bootupdatefail-debug-done"
	f.debug(t, host, fakenode.DebugMode{Log: logOf(other)})
	if _, _, err := f.Store.Intent(t.Context(), store.Action{Key: in.Key, Kind: "reboot", Issue: in.State.Ref.ID,
		Node: host, Site: "sydney"}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Store.Commit(t.Context(), in.Key); err != nil {
		t.Fatal(err)
	}
	// it may be anything by now
	if err := f.Break(host, testbed.Fault{State: fakenode.Off, FixedBy: testbed.Nobody}); err != nil {
		t.Fatal(err)
	}
	if res := f.visit(t, host, 5); res.Outcome != issue.Acted || !strings.Contains(res.Reason, "not repeated") {
		t.Errorf("a retry that finds the point of no return passed gives %+v", res)
	}
	f.wantLedger(t, host, "bootman sent", "reboot ambiguous")
	never := input(host, 6)
	if err := f.Store.AddBootRepair(t.Context(), store.BootRepair{Key: never.Key, Node: host, Sequence: other,
		Action: string(bootman.RestartNodeBoot), At: time.Now()}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := f.Store.Intent(t.Context(), store.Action{Key: never.Key, Kind: "reboot", Issue: in.State.Ref.ID,
		Node: host, Site: "sydney"}); err != nil {
		t.Fatal(err)
	}
	if res := f.visit(t, host, 6); res.Outcome != issue.Wait || !strings.Contains(res.Reason, "before it began") {
		t.Errorf("a retry that finds but the intent gives %+v", res)
	}
	f.debug(t, host, fakenode.DebugMode{Log: logOf(other)})
	if res := f.visit(t, host, 7); res.Outcome != issue.Acted || !strings.Contains(res.Reason, "restarted cleanly") {
		t.Errorf("what never began counts as tried: %+v", res)
	}
	f.told(t, host, "BootManager.py boot", "shutdown -r now")
}

func testWhatIsLeftAlone(t *testing.T, f *fleet) {
	log := logOf(bootSequence)
	t.Run("a node whose BootManager runs", func(t *testing.T) {
		host := f.stuck(t, fakenode.DebugMode{Log: log, Running: true})
		if res := f.visit(t, host, 0); res.Outcome != issue.Wait || !strings.Contains(res.Reason, "running") ||
			res.Until.IsZero() {
			t.Errorf("it answers %+v", res)
		}
		f.told(t, host)
	})
	t.Run("a node that hangs when it is read: the ladder climbs", func(t *testing.T) {
		host := f.stuck(t, fakenode.DebugMode{Log: log, Hangs: true})
		if res := f.visit(t, host, 0); res.Outcome != issue.Acted || !strings.Contains(res.Reason, "dmesg") {
			t.Errorf("it answers %+v", res)
		}
		f.told(t, host)
	})
	t.Run("a node that is up", func(t *testing.T) {
		host := f.stuck(t, fakenode.DebugMode{Log: log})
		if err := f.Heal(host); err != nil {
			t.Fatal(err)
		}
		if res := f.visit(t, host, 0); res.Outcome != issue.Recovered {
			t.Errorf("it answers %+v", res)
		}
		f.wantLedger(t, host)
	})
	t.Run("a node that runs behind a firewall", func(t *testing.T) {
		host := f.stuck(t, fakenode.DebugMode{Log: log})
		if err := f.Break(host, testbed.Fault{State: fakenode.Firewalled, FixedBy: testbed.Nobody}); err != nil {
			t.Fatal(err)
		}
		if res := f.visit(t, host, 0); res.Outcome != issue.Wait ||
			!strings.Contains(res.Reason, "up and was left alone") {
			t.Errorf("it answers %+v", res)
		}
	})
	t.Run("a node that is off", func(t *testing.T) {
		host := f.stuck(t, fakenode.DebugMode{Log: log})
		if err := f.Break(host, testbed.Fault{State: fakenode.Off, FixedBy: testbed.Nobody}); err != nil {
			t.Fatal(err)
		}
		if res := f.visit(t, host, 0); res.Outcome != issue.Wait {
			t.Errorf("it answers %+v", res)
		}
	})
	t.Run("a node that somebody has put into safeboot", func(t *testing.T) {
		host := f.stuck(t, fakenode.DebugMode{Log: log})
		f.DB.Set("Nodes", f.DB.Get("Nodes", "hostname", host)["node_id"].(int), "boot_state", "safeboot")
		f.sync(t)
		if res := f.visit(t, host, 0); res.Outcome != issue.Wait || !strings.Contains(res.Reason, "somebody's hands") {
			t.Errorf("it answers %+v", res)
		}
		f.told(t, host)
	})
	t.Run("an exempt node is not even entered", func(t *testing.T) {
		host := f.stuck(t, fakenode.DebugMode{Log: log})
		f.DB.Add("NodeTags", fakeplc.Row{"node_id": f.DB.Get("Nodes", "hostname", host)["node_id"],
			"tagname": "exempt_node_until", "value": time.Now().AddDate(0, 1, 0).Format("20060102")})
		f.sync(t)
		if res := f.visit(t, host, 0); res.Outcome != issue.Wait || !strings.Contains(res.Reason, "exempt") {
			t.Errorf("it answers %+v", res)
		}
		f.told(t, host)
		if key, err := f.Store.HostKey(t.Context(), host); key != "" || err != nil {
			t.Errorf("its key is known: %q, %v", key, err)
		}
	})
	t.Run("a node that would be wiped beyond the budget", func(t *testing.T) {
		budget := f.Policy.Budget
		defer func() { f.Policy.Budget = budget }()
		f.Policy.Budget.ReinstallsSite = 0
		host := f.stuck(t, fakenode.DebugMode{
			Log: logOf("bminit-cfg-auth-getplc-installinit-validate-exception-noinstall-update-debug-done"),
		})
		if res := f.visit(t, host, 0); res.Outcome != issue.Wait || !strings.Contains(res.Reason, "budget") {
			t.Errorf("it answers %+v", res)
		}
		f.told(t, host)
	})
	for typ := range f.desk.opened {
		t.Errorf("%s was opened", typ)
	}
}

// In observe mode a node is looked at, and nothing else; the ladder stands where it is.
func testInObserveModeNoVisitIsUsedUp(t *testing.T, f *fleet) {
	ctx := t.Context()
	if err := f.Store.SetControl(ctx, store.Control{Name: store.ControlMode, Value: "observe"}); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := f.Store.SetControl(ctx, store.Control{Name: store.ControlMode}); err != nil {
			t.Error(err)
		}
	}()
	for _, d := range []fakenode.DebugMode{{Log: logOf(bootSequence)}, {Log: logOf(bootSequence), Hangs: true}} {
		host := f.stuck(t, d)
		for visit := range 2 {
			if res := f.visit(t, host, visit); res.Outcome != issue.Wait ||
				!strings.Contains(res.Reason, "observe mode") {
				t.Errorf("it answers %+v", res)
			}
		}
		f.told(t, host)
	}
	host := f.stuck(t, fakenode.DebugMode{Log: logOf(bootSequence)})
	if err := f.Store.AddBlacklist(ctx,
		store.BlacklistEntry{Kind: "node", Target: host, Reason: "new board"}); err != nil {
		t.Fatal(err)
	}
	if res := f.visit(t, host, 0); res.Outcome != issue.Wait || !strings.Contains(res.Reason, "new board") {
		t.Errorf("a listed node is entered: %+v", res)
	}
}

// A node that was down and came up in debug mode may be under repair: nodedown cuts no power and writes no mail.
func testNodeDownLetsFailbootSpeak(t *testing.T, f *fleet) {
	host := f.stuck(t, fakenode.DebugMode{Log: logOf(bootSequence)})
	failboot := store.Issue{ID: issue.Failboot + "/" + host, Type: issue.Failboot, Target: host, Node: host,
		Site: "sydney", Status: "open", Opened: time.Now()}
	putIssue(t, f.url, failboot)
	down := store.Change{Kind: "node", Target: host,
		Record: policy.Record{Status: policy.StatusDown, Changed: time.Now().Add(-72 * time.Hour)}}
	if err := f.Store.SaveChanges(t.Context(), []store.Change{down}, time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := f.Store.AddBootRepair(t.Context(), store.BootRepair{Key: "r", Node: host, Sequence: "s", Action: "x",
		At: time.Now()}); err != nil {
		t.Fatal(err)
	}
	in := input(host, 0)
	in.State.Ref.Type, in.State.Ref.ID = issue.NodeDown, issue.NodeDown+"/"+host
	for name, rung := range map[string]func(context.Context, issue.Request) (issue.Result, error){
		"reboot": f.Power.Reboot, "email": f.People.Email,
	} {
		if res, err := rung(t.Context(), in); err != nil || res.Outcome != issue.Wait ||
			!strings.Contains(res.Reason, failboot.ID+" speaks for it") {
			t.Errorf("%s answers %+v, %v", name, res, err)
		}
	}
	failboot.Status, failboot.Closed = "closed", time.Now()
	putIssue(t, f.url, failboot)
	if res, err := f.Power.Reboot(t.Context(), in); err != nil || strings.Contains(res.Reason, "speaks for it") {
		t.Errorf("once failboot has ended it answers %+v, %v", res, err)
	}
}

func testASecondRestartWithinADayIsHard(t *testing.T, f *fleet) {
	host := f.stuck(t, fakenode.DebugMode{
		Log: logOf("bminit-cfg-auth-getplc-exception-update-bootupdatefail-debug-done"),
	})
	f.visit(t, host, 0)
	f.told(t, host, "shutdown -r now")
	f.debug(t, host, fakenode.DebugMode{Log: logOf("bminit-cfg-auth-implementerror-bootcheckfail-update-debug-done")})
	if res := f.visit(t, host, 1); res.Outcome != issue.Acted || !strings.Contains(res.Reason, "hard") {
		t.Errorf("it answers %+v", res)
	}
	f.told(t, host, "shutdown -r now", "sysrq s", "sysrq u", "sysrq b")
}

func testNodeKeys(t *testing.T, f *fleet) {
	inPLC := func(host string) any { return f.DB.Get("Nodes", "hostname", host)["key"] }
	t.Run("a key that differs goes into PLC, and nowhere else", func(t *testing.T) {
		host := f.stuck(t, fakenode.DebugMode{Log: logOf(keySequence), Key: "n3w s3cret"})
		res := f.visit(t, host, 0)
		if res.Outcome != issue.Acted || inPLC(host) != "n3w s3cret" {
			t.Errorf("it answers %+v, and PLC has %v", res, inPLC(host))
		}
		f.told(t, host, "BootManager.py boot")
		list, err := f.Store.Actions(t.Context(), store.ActionFilter{Node: host})
		if err != nil || strings.Contains(fmt.Sprint(res, list), "s3cret") {
			t.Errorf("the key is told: %v %v, %v", res, list, err)
		}
		f.debug(t, host, fakenode.DebugMode{Log: logOf(keySequence), Key: "n3w s3cret"})
		if res := f.visit(t, host, 1); res.Outcome != issue.Wait || f.desk.opened["nodeconfig/"+host].Cause == "" {
			t.Errorf("when that did not help it answers %+v", res)
		}
		f.told(t, host, "BootManager.py boot")
	})
	t.Run("a node without a key has a bad configuration", func(t *testing.T) {
		host := f.stuck(t, fakenode.DebugMode{Log: logOf(keySequence)})
		was := inPLC(host)
		if res := f.visit(t, host, 0); res.Outcome != issue.Wait || f.desk.opened["nodeconfig/"+host].Cause == "" ||
			inPLC(host) != was {
			t.Errorf("it answers %+v, and PLC has %v", res, inPLC(host))
		}
		f.told(t, host)
	})
}

// A log must not choose what an impostor would have of us: a reinstallation, or another node key in PLC.
func testOnlyAProvenHostKeyMayChooseAReinstall(t *testing.T, f *fleet) {
	const wipes = "bminit-cfg-auth-getplc-installinit-validate-exception-noinstall-update-debug-done"
	for _, c := range []struct{ name, log, key, told string }{
		{"a reinstallation", logOf(wipes), "", "BootManager.py reinstall"},
		{"a node key", logOf(keySequence), "the thief's s3cret", "BootManager.py boot"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f.next++
			host := fmt.Sprintf("planetlab%d.sydney.example", f.next)
			was := f.DB.Get("Nodes", "hostname", host)
			f.debug(t, host, fakenode.DebugMode{Log: c.log, Key: c.key})
			res := f.visit(t, host, 0)
			if res.Outcome != issue.Acted || !strings.Contains(res.Reason, "--accept-host-key") {
				t.Errorf("with a key that nothing proves it answers %+v", res)
			}
			f.told(t, host)
			if is := f.DB.Get("Nodes", "hostname", host); is["key"] != was["key"] ||
				is["boot_state"] != was["boot_state"] {
				t.Errorf("PLC has it as %v", is)
			}
			shown, _, _, _, err := ssh.ParseAuthorizedKey([]byte(f.hostKey(t, host)))
			if err == nil {
				err = f.Store.ConfirmHostKey(t.Context(), host, shown, "ann", time.Now())
			}
			if err != nil {
				t.Fatal(err)
			}
			if res := f.visit(t, host, 1); res.Outcome != issue.Acted ||
				strings.Contains(res.Reason, "--accept-host-key") {
				t.Errorf("once ann has compared it, it answers %+v", res)
			}
			f.told(t, host, c.told)
		})
	}
}

func (f *fleet) hostKey(t *testing.T, host string) string {
	t.Helper()
	key, err := f.Store.HostKey(t.Context(), host)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func testAnUnknownSequenceIsShownToAdminsAndTriedOnce(t *testing.T, f *fleet) {
	const sequence = "bminit-nospace-debug-done"
	d := fakenode.DebugMode{Log: logOf(sequence), Records: []string{"old", "new"}}
	host := f.stuck(t, d)
	if res := f.visit(t, host, 0); res.Outcome != issue.Acted || !strings.Contains(res.Reason, "cleared 1 of 2") {
		t.Errorf("it answers %+v", res)
	}
	if in := f.desk.opened["unknownsequence/"+host]; len(in.Evidence) < 2 || in.Evidence[0] != "sequence: "+sequence {
		t.Errorf("opened is %+v", in)
	}
	f.told(t, host, "BootManager.py boot")
	f.debug(t, host, d)
	if res := f.visit(t, host, 1); res.Outcome != issue.Wait ||
		!strings.Contains(res.Reason, "unknownsequence/"+host+" is open") {
		t.Errorf("the second visit answers %+v", res)
	}
	f.told(t, host, "BootManager.py boot")
	if err := f.Store.SetBootSequence(t.Context(), bootman.Known{Sequence: sequence, Action: bootman.RestartNodeBoot},
		"ann"); err != nil {
		t.Fatal(err)
	}
	if res := f.visit(t, host, 2); res.Outcome != issue.Acted {
		t.Errorf("once an admin has taught it, it answers %+v", res)
	}
	f.told(t, host, "BootManager.py boot", "shutdown -r now")
}

func testANewHostKeyNeedsAReasonInPLC(t *testing.T, f *fleet) {
	f.next++
	host := fmt.Sprintf("planetlab%d.sydney.example", f.next)
	f.debug(t, host, fakenode.DebugMode{Log: logOf(bootSequence)}) // with a key of the CD, which PLC was not told
	id := f.DB.Get("Nodes", "hostname", host)["node_id"].(int)
	f.visit(t, host, 0)
	f.told(t, host, "BootManager.py boot")
	first, err := f.Store.HostKey(t.Context(), host)
	if err != nil || first == "" {
		t.Fatalf("the first key is %q, %v", first, err)
	}
	f.debug(t, host, fakenode.DebugMode{Log: logOf(fsckSequence)})
	f.DB.Set("Nodes", id, "run_level", "boot")
	if res := f.visit(t, host, 1); res.Outcome != issue.Acted || !strings.Contains(res.Reason, "host key has changed") {
		t.Errorf("a key that nothing explains gives %+v", res)
	}
	f.told(t, host, "BootManager.py boot")
	if err := f.Heal(host); err != nil { // with the key that it told PLC when it was installed
		t.Fatal(err)
	}
	n, err := f.Power.Inventory.Node(t.Context(), host)
	if err != nil {
		t.Fatal(err)
	}
	installed, _, _, _, err := ssh.ParseAuthorizedKey([]byte(n.SSHKey))
	if err != nil {
		t.Fatal(err)
	}
	if why, err := f.Boot.HostKeys.MayChange(t.Context(), host, installed); err != nil ||
		!strings.Contains(why, "told PLC") {
		t.Errorf("the key that PLC was told gives %q, %v", why, err)
	}
	// nobody is told that PLC knows of no reason, while PLC cannot be asked
	away := f.Boot.HostKeys
	away.Inventory = silentInventory{}
	if err := away.Check(t.Context(), host, installed); !errors.Is(err, ErrNotCompared) || errors.Is(err, ErrHostKey) {
		t.Errorf("while PLC is away it gives %v", err)
	}
	f.debug(t, host, fakenode.DebugMode{Log: logOf(fsckSequence)})
	f.visit(t, host, 2)
	if second, _ := f.Store.HostKey(t.Context(), host); second == first {
		t.Error("the new key of a node in debug mode is not known")
	}
	f.told(t, host, "BootManager.py boot", "umount /tmp/mnt/sysimg/vservers", "umount /tmp/mnt/sysimg",
		"fsck -f -y /dev/planetlab/root", "fsck -f -y /dev/planetlab/vservers", "BootManager.py boot")
	h, err := f.Store.History(t.Context(), host, 10)
	if err != nil || len(h) != 1 || h[0].Kind != "host key" || !strings.Contains(h[0].Reason, "run level failboot") {
		t.Errorf("history is %+v, %v", h, err)
	}
}
