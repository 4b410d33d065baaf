package activities

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/planetlab/monitor/notify"
	"github.com/planetlab/monitor/pcucontrol"
	"github.com/planetlab/monitor/plc"
	"github.com/planetlab/monitor/policy"
	"github.com/planetlab/monitor/store"
	"github.com/planetlab/monitor/testbed/mailbox"
	"github.com/planetlab/monitor/testbed/pcudev"
	"github.com/planetlab/monitor/testbed/pglocal"
)

const (
	node   = "planetlab1.princeton.example"
	secret = "s3cret-Pw"
)

// rack is eight outlets that are on, and counts what switches them.
type rack struct {
	mu       sync.Mutex
	off      [8]bool
	switched int
}

func (*rack) Count() int { return 8 }

func (r *rack) State(n int) (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.off[n-1], nil
}

func (r *rack) Set(n int, on bool) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.off[n-1], r.switched = !on, r.switched+1
	return nil
}

func (r *rack) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.switched
}

// house is Activities on a real Postgres and a real mail server, with one node and its PCU.
type house struct {
	*Activities
	mail *mailbox.Mailbox
}

func newHouse(t *testing.T, model, address string) house {
	t.Helper()
	db, err := store.Open(t.Context(), store.Options{URL: pglocal.ForTest(t), Key: bytes.Repeat([]byte{7}, 32)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	box, err := mailbox.Start("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = box.Close() })
	sender, err := notify.NewSender(notify.Options{Addr: box.Addr(), From: "Monitor <monitor@planet-lab.example>", TLS: "none", Mode: "live", Timeout: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	catalog, err := pcucontrol.Open()
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := db.SaveSnapshot(t.Context(), plc.Snapshot{
		Taken: time.Now(),
		Sites: []plc.Site{{SiteID: 1, LoginBase: "princeton", Name: "Princeton", Enabled: true}},
		Nodes: []plc.Node{{NodeID: 10, Hostname: node, SiteID: 1, BootState: "boot", PCUIDs: []int{5}, Ports: []int{3}}},
		PCUs:  []plc.PCU{{PCUID: 5, SiteID: 1, Hostname: "pcu1.princeton.example", IP: address, Username: "admin", Password: secret, Model: model}},
	}, true); err != nil {
		t.Fatal(err)
	}
	return house{&Activities{Store: db, Mail: sender, PCUs: catalog, Policy: policy.Defaults(24 * time.Hour), Log: slog.New(slog.DiscardHandler),
		Domain: "planet-lab.example", Admins: []string{"admin@planet-lab.example"}, PCUTimeout: 5 * time.Second, PCUConnect: time.Second}, box}
}

func serve(t *testing.T, d pcudev.Device, address string) string {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() { _ = d.Serve(l) }()
	return l.Addr().String()
}

func device(t *testing.T, model, transport string, r *rack) pcudev.Device {
	t.Helper()
	d, err := pcudev.New(pcudev.Options{Model: model, Transport: transport, User: "admin", Password: secret, Outlets: r, OffTime: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func rung(key string) RungInput {
	return RungInput{Ref: Ref{ID: "nodedown/" + node, Run: "run", Type: NodeDownType, Node: node, Site: "princeton", PCUID: 5}, Key: key, Since: time.Now().Add(-time.Hour)}
}

func (h house) ledger(t *testing.T) (outcomes []string) {
	t.Helper()
	list, err := h.Store.Actions(t.Context(), store.ActionFilter{Kind: "reboot"})
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range list {
		outcomes = append(outcomes, a.Outcome)
	}
	return outcomes
}

func TestAManualPCUIsAskedForOnce(t *testing.T) {
	for _, model := range []string{"", "ManualPCU"} {
		h := newHouse(t, model, "")
		p, err := h.Store.PCU(t.Context(), 5)
		if err != nil {
			t.Fatal(err)
		}
		if ok, reason, err := h.testPCU(t.Context(), p); !ok || err != nil {
			t.Errorf("its dry run fails: %s", reason)
		}
		for range 2 { // the second is a retry of the same rung
			res, err := h.power(t.Context(), rung("rung 1"), "reboot")
			if err != nil || res.Outcome != Acted || !res.Asked || !strings.Contains(res.Reason, "asked the admins to power-cycle outlet 3 of pcu1.princeton.example") {
				t.Fatalf("got %+v, %v", res, err)
			}
		}
		mail, err := h.mail.Wait(t.Context(), 1)
		if err != nil {
			t.Fatal(err)
		}
		if text := string(mail[0].Raw); len(h.mail.Messages()) != 1 || !strings.Contains(text, "please power-cycle "+node) || strings.Contains(text, secret) {
			t.Errorf("%d mails: %s", len(h.mail.Messages()), text)
		}
		if got := strings.Join(h.ledger(t), " "); got != "asked" {
			t.Errorf("the ledger says %q", got)
		}
		if res, err := h.power(t.Context(), rung("rung 2"), "reinstall"); err != nil || res.Outcome != Passed || res.Asked {
			t.Errorf("a reinstall gives %+v, %v", res, err)
		}
	}
}

func TestNobodyIsAskedWhereNobodyIsNamed(t *testing.T) {
	h := newHouse(t, "ManualPCU", "")
	h.Admins = nil
	if res, err := h.power(t.Context(), rung("rung 1"), "reboot"); err != nil || res.Outcome != Passed || res.Asked || len(h.mail.Messages()) != 0 {
		t.Errorf("got %+v, %v and %d mails", res, err, len(h.mail.Messages()))
	}
}

func TestAPCUThatShowsAnotherKeyIsNotDriven(t *testing.T) {
	r := &rack{}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	go func() { _ = device(t, "DRAC", "ssh", r).Serve(l) }()
	h := newHouse(t, "DRAC", address)
	p, err := h.Store.PCU(t.Context(), 5)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if ok, reason, err := h.testPCU(t.Context(), p); !ok || err != nil {
			t.Fatal(reason)
		}
	}
	pins, err := h.Store.PCUPins(t.Context(), 5)
	if err != nil || !strings.HasPrefix(pins[store.HostKey], "ssh-ed25519 ") {
		t.Fatalf("pinned are %v, %v", pins, err)
	}
	_ = l.Close()
	serve(t, device(t, "DRAC", "ssh", r), address) // the same model with a key of its own
	res, err := h.power(t.Context(), rung("rung 1"), "reboot")
	if err != nil || res.Outcome != Passed || !strings.Contains(res.Reason, "monitor pcu forget pcu1.princeton.example") || r.count() != 0 {
		t.Fatalf("got %+v, %v and %d switchings", res, err, r.count())
	}
	if _, err := h.Store.ForgetPCUPins(t.Context(), 5); err != nil {
		t.Fatal(err)
	}
	if res, err := h.power(t.Context(), rung("rung 2"), "reboot"); err != nil || res.Outcome != Acted || r.count() != 2 {
		t.Errorf("once forgotten: %+v, %v and %d switchings", res, err, r.count())
	}
}

func TestABusyPCUIsWaitedForButNotForEver(t *testing.T) {
	r := &rack{}
	d := device(t, "APCControl12p3", "telnet", r)
	h := newHouse(t, "APCControl12p3", serve(t, d, "127.0.0.1:0"))
	d.Break(pcudev.Busy)
	for _, want := range []string{Wait, Wait, Passed} {
		res, err := h.power(t.Context(), rung("rung "+time.Now().String()), "reboot")
		if err != nil || res.Outcome != want {
			t.Fatalf("got %+v, %v, not %s", res, err, want)
		}
	}
	if r.count() != 0 || strings.Join(h.ledger(t), " ") != "failed failed failed" {
		t.Errorf("%d switchings, the ledger says %v", r.count(), h.ledger(t))
	}
}

func TestARetryNeverGivesThePowerCommandAgain(t *testing.T) {
	r := &rack{}
	d := device(t, "APCControl12p3", "telnet", r)
	h := newHouse(t, "APCControl12p3", serve(t, d, "127.0.0.1:0"))
	in := rung("rung 1")
	if res, err := h.power(t.Context(), in, "reboot"); err != nil || res.Outcome != Acted || r.count() != 2 {
		t.Fatalf("got %+v, %v and %d switchings", res, err, r.count())
	}
	if res, err := h.resume(t.Context(), in, "reboot"); err != nil || res.Outcome != Acted || r.count() != 2 {
		t.Errorf("a retry gives %+v, %v and %d switchings", res, err, r.count())
	}
	// A worker that died after its intent: the outlet is off, and is turned on.
	dead := rung("rung 2")
	if _, _, err := h.Store.Intent(context.Background(), store.Action{Key: dead.Key, Kind: "reboot", Node: node, PCU: 5}); err != nil {
		t.Fatal(err)
	}
	_ = r.Set(3, false)
	before := r.count()
	res, err := h.resume(t.Context(), dead, "reboot")
	if on, _ := r.State(3); err != nil || res.Outcome != Acted || !on || r.count() != before+1 {
		t.Errorf("a dead worker's command gives %+v, %v and %d switchings", res, err, r.count()-before)
	}
}

func TestLegacyIsForThePCUsThatAreNamed(t *testing.T) {
	h := newHouse(t, "DRAC", "127.0.0.1:1")
	p, err := h.Store.PCU(t.Context(), 5)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		names []string
		want  bool
	}{
		{nil, false},
		{[]string{"DRA", "pcu1", ""}, false},
		{[]string{"HPiLO", "DRAC"}, true},
		{[]string{"pcu1.princeton.example"}, true},
	} {
		h.PCULegacy = c.names
		d, err := h.drive(t.Context(), p, 3)
		if err != nil || d.target.Legacy != c.want || d.target.Host != "127.0.0.1" || d.target.Port != 1 || d.target.Outlet != 3 || d.target.Password != secret {
			t.Errorf("with %q the target is on %s:%d, outlet %d, legacy %v, %v", c.names, d.target.Host, d.target.Port, d.target.Outlet, d.target.Legacy, err)
		}
	}
}

func TestACertificateNobodyVouchesForIsPinnedWhereItIsPermitted(t *testing.T) {
	r := &rack{}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	go func() { _ = device(t, "Redfish", "https", r).Serve(l) }()
	h := newHouse(t, "Redfish", address)
	p, err := h.Store.PCU(t.Context(), 5)
	if err != nil {
		t.Fatal(err)
	}
	try := func(what string, want bool, says string) {
		t.Helper()
		if ok, reason, err := h.testPCU(t.Context(), p); err != nil || ok != want || !strings.Contains(reason, says) {
			t.Fatalf("%s: %v, %s", what, ok, reason)
		}
	}
	try("not permitted", false, "certificate")
	h.PCULegacy = []string{"Redfish"}
	try("permitted", true, "")
	if pins, err := h.Store.PCUPins(t.Context(), 5); err != nil || len(pins[store.Certificate]) != 64 {
		t.Fatalf("pinned are %v, %v", pins, err)
	}
	h.PCULegacy = nil
	try("pinned, and no longer permitted", true, "")
	_ = l.Close()
	serve(t, device(t, "Redfish", "https", r), address) // the same model with a certificate of its own
	h.PCULegacy = []string{"Redfish"}
	try("another certificate", false, "monitor pcu forget pcu1.princeton.example")
}
