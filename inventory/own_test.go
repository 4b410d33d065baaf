package inventory

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/planetlab/monitor/plc"
	"github.com/planetlab/monitor/store"
	"github.com/planetlab/monitor/testbed/pglocal"
)

func TestMain(m *testing.M) { os.Exit(pglocal.Main(m)) }

// book is a fleet from a file, over a real store.
type book struct {
	*testing.T
	*Own
	db   *store.Store
	path string
}

func newBook(t *testing.T, text string, penalty *Hook) *book {
	t.Helper()
	if testing.Short() {
		t.Skip("left out by -short: it needs Postgres")
	}
	db, err := store.Open(t.Context(), store.Options{URL: pglocal.ForTest(t), Key: []byte(strings.Repeat("k", 32))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	if err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	b := &book{T: t, db: db, path: filepath.Join(t.TempDir(), "fleet.yaml")}
	b.write(text)
	b.Own = NewOwn(&File{Path: b.path, Models: catalog(t)}, db, 0, penalty)
	return b
}

func (b *book) write(text string) {
	b.Helper()
	if err := os.WriteFile(b.path, []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
}

func (b *book) sync(believe bool) error {
	b.Helper()
	snap, err := b.Snapshot(b.Context())
	if err != nil {
		return err
	}
	_, err = b.db.SaveSnapshot(b.Context(), snap, believe)
	return err
}

func (b *book) must(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

func (b *book) id(host string) int {
	b.Helper()
	n, err := b.db.Node(b.Context(), host)
	b.must(err)
	return n.NodeID
}

const lab = `sites:
  - name: lab
    people: [{email: anna@lab.example}, {email: pi@lab.example, roles: [pi, user]}]
    bmc: {model: Redfish, user: monitor, password: {env: LAB_BMC}}
    nodes:
      - {name: n1, address: 10.0.1.1, bmc: 10.0.2.1}
      - {name: n2, address: 10.0.1.2, bmc: 10.0.2.2}
      - {name: n3, address: 10.0.1.3, boot_state: disabled}
`

// What a file says reaches the store as what PLC says does: sites, people, nodes, outlets and sealed passwords.
func TestAFileIsTakenOverAsPLCIs(t *testing.T) {
	t.Setenv("LAB_BMC", "bmc-s3cret")
	b := newBook(t, lab, nil)
	b.must(b.sync(false))
	n, err := b.db.Node(t.Context(), "n1")
	b.must(err)
	if n.Site != "lab" || n.IP != "10.0.1.1" || n.BootState != "boot" || len(n.Feeds) != 1 || n.Feeds[0].Outlet != 1 {
		t.Errorf("n1 is %+v", n)
	}
	p, err := b.db.PCU(t.Context(), n.Feeds[0].PCUID)
	b.must(err)
	if p.Name != "bmc-n1" || p.IP != "10.0.2.1" || p.Model != "Redfish" || p.Username != "monitor" {
		t.Errorf("its PCU is %+v", p)
	}
	if word, err := b.db.PCUPassword(t.Context(), p); err != nil || word.Reveal() != "bmc-s3cret" {
		t.Errorf("its password is %q, %v", word.Reveal(), err)
	}
	if n, err := b.db.Node(t.Context(), "n3"); err != nil || n.BootState != "disabled" {
		t.Errorf("n3 is at %q, %v", n.BootState, err)
	}
	to, _, err := b.db.Contacts(t.Context(), "lab", []string{"tech"}, time.Now())
	if err != nil || len(to) != 1 || to[0].Email != "anna@lab.example" {
		t.Errorf("technicians are %v, %v", to, err)
	}
}

// A name keeps its id through every order of the file, and when it comes back; another name is another node.
func TestNamesKeepTheirIDs(t *testing.T) {
	b := newBook(t, lab, nil)
	b.must(b.sync(false))
	first, second := b.id("n1"), b.id("n2")
	swapped := strings.NewReplacer("n1,", "n2,", "n2,", "n1,").Replace(lab)
	b.write(swapped)
	b.must(b.sync(false))
	if b.id("n1") != first || b.id("n2") != second {
		t.Errorf("n1 was %d and is %d, n2 was %d and is %d", first, b.id("n1"), second, b.id("n2"))
	}
	renamed := strings.Replace(lab, "name: n2,", "name: n4,", 1)
	b.write(renamed)
	for range 3 {
		b.must(b.sync(false))
	}
	if id := b.id("n4"); id == second || id == first {
		t.Errorf("n4 has the id %d of another", id)
	}
	if n, err := b.db.Node(t.Context(), "n2"); err != nil || !n.Gone {
		t.Errorf("n2 is still there: %v", err)
	}
	b.write(lab)
	b.must(b.sync(false))
	if b.id("n2") != second {
		t.Errorf("n2 came back as %d, and was %d", b.id("n2"), second)
	}
}

// A fleet that PLC kept before goes on under its ids: its history, its issues and its claims are its own.
func TestAFleetThatPLCKeptKeepsItsIDs(t *testing.T) {
	b := newBook(t, lab, nil)
	_, err := b.db.SaveSnapshot(t.Context(), plc.Snapshot{Taken: time.Now().Add(-time.Hour),
		Sites: []plc.Site{{SiteID: 7, LoginBase: "lab", Enabled: true}},
		Nodes: []plc.Node{{NodeID: 70, Hostname: "n2", SiteID: 7, BootState: "boot"}}}, true)
	b.must(err)
	b.must(b.sync(false))
	if b.id("n2") != 70 {
		t.Errorf("n2 is %d now, and was 70", b.id("n2"))
	}
	if id := b.id("n1"); id <= 70 {
		t.Errorf("n1 has the id %d, which PLC may have given", id)
	}
}

// A broken edit says what is wrong, and what was there stands; so it does when a good part of the file is gone.
func TestABrokenEditLeavesWhatStood(t *testing.T) {
	b := newBook(t, lab, nil)
	b.must(b.sync(false))
	var wrong Mistakes
	b.write(strings.Replace(lab, "name: n1", "nmae: n1", 1))
	if err := b.sync(false); !errors.As(err, &wrong) {
		t.Errorf("a broken edit: %v", err)
	}
	if _, err := b.Node(t.Context(), "n1"); !errors.Is(err, plc.ErrUnavailable) {
		t.Errorf("a broken edit knows n1: %v", err)
	}
	var many strings.Builder
	for i := range 40 {
		many.WriteString(strings.NewReplacer("N", string(rune('a'+i/10))+string(rune('0'+i%10)), "A", string(rune('0'+i/10))+string(rune('0'+i%10))).
			Replace("      - {name: xN, address: 10.0.9.1A}\n"))
	}
	b.write(lab + many.String())
	b.must(b.sync(false))
	b.write(lab)
	var doubt *store.SnapshotDoubt
	if err := b.sync(false); !errors.As(err, &doubt) || doubt.From != From || strings.Contains(err.Error(), "PLC") {
		t.Errorf("forty of 43 nodes are gone: %v", err)
	}
	b.must(b.sync(true))
	if n, err := b.db.Node(t.Context(), "xa0"); err != nil || !n.Gone {
		t.Errorf("an operator believes it, and xa0 is still there: %v", err)
	}
}

// A password that is not there costs its own PCU, and nothing else.
func TestAMissingPasswordCostsItsOwnPCU(t *testing.T) {
	b := newBook(t, strings.Replace(lab, "bmc: 10.0.2.2", "bmc: {address: 10.0.2.2, password: {file: nowhere}}", 1), nil)
	t.Setenv("LAB_BMC", "one")
	b.must(b.sync(false))
	if _, err := b.db.PCUByName(t.Context(), "bmc-n1"); err != nil {
		t.Error(err)
	}
	if _, err := b.db.PCUByName(t.Context(), "bmc-n2"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a PCU without its password is taken: %v", err)
	}
	snap, err := b.Snapshot(t.Context())
	b.must(err)
	if len(snap.Unreadable) != 1 || !strings.Contains(snap.Unreadable[0], "bmc-n2") {
		t.Errorf("it says %q", snap.Unreadable)
	}
}

// Boot states are Monitor's own, and what the owner of a node says goes before them.
func TestBootStatesAreMonitorsOwn(t *testing.T) {
	b := newBook(t, lab, nil)
	b.must(b.sync(false))
	b.must(b.SetBootState(t.Context(), "n1", "reinstall"))
	if n, err := b.Node(t.Context(), "n1"); err != nil || n.BootState != "reinstall" || len(n.PCUIDs) != 1 {
		t.Errorf("n1 is %+v, %v", n, err)
	}
	b.write(strings.Replace(lab, "n1, address", "n1, boot_state: disabled, address", 1))
	if n, err := b.Node(t.Context(), "n1"); err != nil || n.BootState != "disabled" {
		t.Errorf("its owner disabled it, and it is at %q, %v", n.BootState, err)
	}
	b.must(b.SetBootState(t.Context(), "n1", "boot"))
	b.write(lab)
	b.must(b.sync(false))
	if n, err := b.db.Node(t.Context(), "n1"); err != nil || n.BootState != "boot" {
		t.Errorf("it is at %q, %v", n.BootState, err)
	}
	if err := b.SetBootState(t.Context(), "nobody", "reinstall"); !errors.Is(err, plc.ErrNotFound) ||
		strings.Contains(err.Error(), "PLC") {
		t.Errorf("a node that is not there: %v", err)
	}
}

// Penalties are what a hook does: each level once, with the claim, and undone again; a hook that says never is believed.
func TestAPenaltyIsWhatTheHookDoes(t *testing.T) {
	dir := t.TempDir()
	log := filepath.Join(dir, "orders")
	hook := NewHook(HookOptions{Command: []string{"sh", "-c", "cat >> " + log + "; echo >> " + log + "; exit $(cat " + dir + "/exit)"},
		Timeout: 10 * time.Second})
	exit := func(code string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, "exit"), []byte(code), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	exit("0")
	b := newBook(t, lab, hook)
	b.must(b.sync(false))
	row, err := b.db.Site(t.Context(), "lab")
	b.must(err)
	ref := plc.SiteRef{SiteID: row.SiteID}
	b.must(b.db.Take(t.Context(), store.Claim{Kind: store.ClaimSiteDisabled, Target: "1", Site: "lab", Issue: "site/lab",
		Key: "k", Was: "enabled", SetTo: "disabled"}))
	b.must(b.SetSiteEnabled(t.Context(), ref, false))
	b.must(b.SetSiteEnabled(t.Context(), ref, false)) // nothing twice
	if on, err := b.SiteEnabled(t.Context(), ref); err != nil || on {
		t.Errorf("level 1 is not in force: %v", err)
	}
	slices, err := b.SlicesOfSite(t.Context(), ref)
	b.must(err)
	if len(slices) != 1 || slices[0].Suspended {
		t.Fatalf("level 2 stands as %+v", slices)
	}
	exit("2")
	results, err := b.SuspendSlices(t.Context(), ref, []string{slices[0].Name})
	if err != nil || len(results) != 1 || !errors.Is(results[0].Err, plc.ErrRefused) {
		t.Errorf("the hook says never: %+v, %v", results, err)
	}
	exit("1")
	results, err = b.SuspendSlices(t.Context(), ref, []string{slices[0].Name})
	if err != nil || len(results) != 1 || !errors.Is(results[0].Err, plc.ErrUnavailable) {
		t.Errorf("the hook fails: %+v, %v", results, err)
	}
	exit("0")
	b.must(b.SetSiteEnabled(t.Context(), ref, true))
	text, err := os.ReadFile(log)
	b.must(err)
	orders := strings.Split(strings.TrimSpace(string(text)), "\n")
	if len(orders) != 4 || !strings.Contains(orders[0], `"do":"apply"`) || !strings.Contains(orders[0], `"issue":"site/lab"`) ||
		!strings.Contains(orders[1], `"level":2`) || !strings.Contains(orders[3], `"do":"undo"`) {
		t.Errorf("the hook was asked\n%s", text)
	}
}

// A hook that hangs, or writes without end, ends with all that it has started.
func TestAHookIsBounded(t *testing.T) {
	begun := time.Now()
	hang := NewHook(HookOptions{Command: []string{"sh", "-c", "sleep 60 & wait"}, Timeout: 200 * time.Millisecond})
	if err := hang.Do(context.Background(), Order{Do: Apply}); !errors.Is(err, plc.ErrUnavailable) ||
		!strings.Contains(err.Error(), "did not end in time") {
		t.Errorf("one that hangs: %v", err)
	}
	loud := NewHook(HookOptions{Command: []string{"sh", "-c", "yes"}, Timeout: time.Minute})
	if err := loud.Do(context.Background(), Order{Do: Apply}); err == nil || !strings.Contains(err.Error(), "wrote more than") {
		t.Errorf("one that writes without end: %v", err)
	}
	if took := time.Since(begun); took > 30*time.Second {
		t.Errorf("they took %s", took)
	}
}
