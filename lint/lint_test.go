package lint_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/planetlab/monitor/lint"
	"github.com/planetlab/monitor/pcucontrol/models"
)

// good is a fleet in which nothing is wrong.
func good() lint.Fleet {
	return lint.Fleet{
		Nodes: []lint.Node{
			{Host: "n1.lab.example", Site: "lab", IP: "10.0.1.1", Feeds: []lint.Feed{{PCUID: 5, Outlet: 1}}, DNS: "ok"},
			{Host: "n2.lab.example", Site: "lab", IP: "10.0.1.2", Feeds: []lint.Feed{{PCUID: 5, Outlet: 2}},
				DNS: "not asked: timeout"},
			{Host: "amt.lab.example", Site: "lab", IP: "10.0.1.3", Feeds: []lint.Feed{{PCUID: 6, Outlet: 1}}},
		},
		PCUs: []lint.PCU{
			{PCUID: 5, Name: "pcu1.lab.example", Site: "lab", Hostname: "pcu1.lab.example", IP: "10.0.2.1", Model: "APCControl12p3",
				HasPassword: true},
			{PCUID: 6, Name: "amt", Site: "lab", IP: "10.0.1.3", Model: "IntelAMT", HasPassword: true},
		},
		Sites:          []lint.Site{{Login: "lab"}, {Login: "empty"}, {Login: "soon", Pending: true}},
		Persons:        []lint.Person{{Site: "lab", Roles: []string{"user", "tech"}}},
		PasswordsKnown: true,
	}
}

// found are the findings in a form that compares.
func found(t *testing.T, f lint.Fleet, sees func(string) bool) []string {
	t.Helper()
	catalog, err := models.Open()
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, x := range lint.Check(f, lint.Options{Models: catalog, Sees: sees}) {
		if x.Rule == "" {
			continue
		}
		if x.Do == "" || x.Site == "" || x.Kind == "" {
			t.Errorf("%+v does not say what to do, or of what site it is", x)
		}
		out = append(out, x.Name+" "+x.Rule+": "+x.What)
	}
	return out
}

func TestEachRuleFindsWhatIsWrongAndNothingElse(t *testing.T) {
	if got := found(t, good(), nil); len(got) > 0 {
		t.Fatalf("in a good fleet is found: %q", got)
	}
	broken := map[string]bool{}
	for name, c := range map[string]struct {
		spoil func(*lint.Fleet)
		want  []string
	}{
		"two nodes with one address": {func(f *lint.Fleet) { f.Nodes[1].IP = "10.0.1.1 " }, []string{
			"n1.lab.example address-twice: its address 10.0.1.1 is also that of n2.lab.example",
			"n2.lab.example address-twice: its address 10.0.1.1 is also that of n1.lab.example"}},
		"IPv6 in two spellings": {func(f *lint.Fleet) { f.Nodes[0].IP, f.Nodes[1].IP = "2001:db8::1", "2001:DB8:0::1" }, []string{
			"n1.lab.example address-twice: its address 2001:db8::1 is also that of n2.lab.example",
			"n2.lab.example address-twice: its address 2001:db8::1 is also that of n1.lab.example"}},
		"a PCU at the address of a node that it does not feed": {func(f *lint.Fleet) { f.PCUs[0].IP = "10.0.1.3" }, []string{
			"amt.lab.example address-twice: its address 10.0.1.3 is also that of pcu1.lab.example",
			"amt address-twice: its address 10.0.1.3 is also that of pcu1.lab.example",
			"pcu1.lab.example address-twice: its address 10.0.1.3 is also that of amt, amt.lab.example"}},
		"two PCUs at two ports of one address are two": {func(f *lint.Fleet) { f.PCUs[0].IP, f.PCUs[1].IP = "10.0.2.1:623", "10.0.2.1:624" },
			nil},
		"an outlet of two nodes": {func(f *lint.Fleet) { f.Nodes[1].Feeds[0].Outlet = 1 }, []string{
			"pcu1.lab.example outlet-twice: its outlet 1 feeds 2 nodes: n1.lab.example, n2.lab.example"}},
		"a node that has an outlet twice is one": {func(f *lint.Fleet) { f.Nodes[0].Feeds = append(f.Nodes[0].Feeds, f.Nodes[0].Feeds[0]) },
			nil},
		"no primary interface": {func(f *lint.Fleet) { f.Nodes[0].NoPrimary = true }, []string{
			"n1.lab.example no-primary: none of its interfaces is the primary one"}},
		"a primary interface without an address": {func(f *lint.Fleet) { f.Nodes[0].IP = "0.0.0.0" }, []string{
			"n1.lab.example no-address: its primary interface has no address"}},
		"a PCU that is nowhere": {func(f *lint.Fleet) { f.PCUs[0].Hostname, f.PCUs[0].IP = "", "" }, []string{
			"pcu1.lab.example no-address: it has neither a hostname nor an address"}},
		"a name that leads elsewhere": {func(f *lint.Fleet) { f.Nodes[0].DNS = lint.DNSMismatch }, []string{
			"n1.lab.example name-address: n1.lab.example does not lead to the address 10.0.1.1"}},
		"a name that nobody knows": {func(f *lint.Fleet) { f.PCUs[0].DNS = lint.DNSNoEntry }, []string{
			"pcu1.lab.example name-address: no name server knows pcu1.lab.example"}},
		"a PCU without nodes": {func(f *lint.Fleet) { f.Nodes[2].Feeds = nil; f.Nodes[2].IP = "10.0.1.9" }, []string{
			"amt pcu-no-node: it feeds no node"}},
		"a PCU without a model": {func(f *lint.Fleet) { f.PCUs[0].Model = " " }, []string{
			"pcu1.lab.example pcu-no-model: it has no model, so people are asked to switch it"}},
		"a model that nothing drives": {func(f *lint.Fleet) { f.PCUs[0].Model = "Toaster 3000" }, []string{
			`pcu1.lab.example pcu-unknown-model: nothing drives its model "Toaster 3000"`}},
		"a PCU without a password": {func(f *lint.Fleet) { f.PCUs[0].HasPassword = false }, []string{
			"pcu1.lab.example pcu-no-password: it has no password"}},
		"of passwords nothing is known": {func(f *lint.Fleet) { f.PCUs[0].HasPassword, f.PasswordsKnown = false, false }, nil},
		"people switch it":              {func(f *lint.Fleet) { f.PCUs[0] = lint.PCU{PCUID: 5, Name: "x", Site: "lab", Model: "ManualPCU"} }, nil},
		"nobody at the site": {func(f *lint.Fleet) { f.Persons[0].Roles = []string{"user", "admin"} }, []string{
			"lab site-no-people: it has no technician and no PI whose account is enabled: nobody hears of its machines"}},
		"text from outside is one line": {func(f *lint.Fleet) { f.PCUs[0].Model = "a\nb\x1b[31m" }, []string{
			`pcu1.lab.example pcu-unknown-model: nothing drives its model "a\nb\x1b[31m"`}},
	} {
		f := good()
		c.spoil(&f)
		got := found(t, f, nil)
		if fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("%s: found %q, not %q", name, got, c.want)
		}
		for _, line := range c.want {
			_, rule, _ := strings.Cut(line, " ")
			id, _, _ := strings.Cut(rule, ":")
			broken[id] = true
		}
	}
	for _, id := range lint.Rules() {
		if !broken[id] {
			t.Errorf("nothing here breaks the rule %s", id)
		}
	}
}

func TestEachThingHasARow(t *testing.T) {
	if rows := lint.Check(good(), lint.Options{}); len(rows) != 8 {
		t.Errorf("%d rows of 3 nodes, 2 PCUs and 3 sites", len(rows))
	}
}

func TestWhatMayNotBeSeenIsNotNamed(t *testing.T) {
	f := good()
	f.Nodes[1].Site, f.Nodes[1].IP = "other", "10.0.1.1"
	f.Nodes[1].Feeds[0].Outlet = 1
	f.Persons = append(f.Persons, lint.Person{Site: "other", Roles: []string{"pi"}})
	got := found(t, f, func(site string) bool { return site == "lab" })
	if len(got) != 3 {
		t.Fatalf("found %q", got)
	}
	for _, line := range got {
		if strings.Contains(line[1:], "n2.") || !strings.HasPrefix(line, "n2") && !strings.Contains(line, "a node of another site") {
			t.Errorf("it names what may not be seen: %s", line)
		}
	}
}

func TestALargeFleetIsCheckedAtOnce(t *testing.T) {
	f := lint.Fleet{Sites: []lint.Site{{Login: "lab"}}}
	for i := range 10_000 {
		f.Nodes = append(f.Nodes, lint.Node{Host: fmt.Sprintf("n%d", i), Site: "lab", IP: fmt.Sprintf("10.%d.%d.1", i>>8, i&255),
			Feeds: []lint.Feed{{PCUID: i + 1, Outlet: 1}}})
		f.PCUs = append(f.PCUs, lint.PCU{PCUID: i + 1, Name: fmt.Sprint(i), Site: "lab", IP: fmt.Sprintf("11.%d.%d.1", i>>8, i&255)})
	}
	for i := range 5_000 { // half of it is typed wrong
		f.Nodes[i].IP, f.Nodes[i].Feeds[0] = "10.0.0.1", lint.Feed{PCUID: 1, Outlet: 1}
	}
	began := time.Now()
	lint.Check(f, lint.Options{})
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it takes %s", took)
	}
}
