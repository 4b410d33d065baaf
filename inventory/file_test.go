package inventory

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/planetlab/monitor/pcucontrol"
	"github.com/planetlab/monitor/pcucontrol/models"
)

func catalog(t testing.TB) *pcucontrol.Catalog {
	t.Helper()
	c, err := models.Open()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// The sample that docs/lab.md shows is good, and is the thirty machines that it says it is.
func TestTheSampleIsGood(t *testing.T) {
	t.Setenv("RACK_COMMUNITY", "private")
	file := &File{Path: "../docs/lab.yaml", Models: catalog(t)}
	f, err := file.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got, want := f.Count(), "1 site, 30 nodes, 29 PCUs, 2 people"; got != want {
		t.Errorf("it has %s, want %s", got, want)
	}
	lines := f.Lines()
	if l := lines[27]; l.Power != "bmc-n28.lab.example:1" || l.Model != "OpenIPMI" {
		t.Errorf("the one with IPMI is %+v", l)
	}
	if l := lines[29]; l.Power != "rack1:2 rack1:3" {
		t.Errorf("the one with two outlets is %+v", l)
	}
}

// Each mistake names its line, what is wrong and what to do, and hides no other.
func TestMistakesNameTheirLine(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"no sites":           {"sites: []\n", "f.yaml: it has no sites: write at least one site with a node"},
		"no text":            {"# nothing\n", "f.yaml: it does not hold one YAML document: "},
		"no YAML":            {"sites:\n  - name: [\n", "f.yaml:2: "},
		"an unknown key":     {one("adress: 10.0.1.1"), `f.yaml:4: node n1: there is no key "adress" here: it may be one of name, address`},
		"a key twice":        {one("address: 10.0.1.1, address: 10.0.1.2"), "f.yaml:4: "},
		"no address":         {one("model: x86"), "f.yaml:4: node n1: it has no address: write address: and its IP address"},
		"a host name":        {one("address: n1.example"), `f.yaml:4: node n1: "n1.example" is no IP address`},
		"a boot state":       {one("address: 10.0.1.1, boot_state: off"), `f.yaml:4: node n1: there is no boot state "off": it may be boot, safeboot, disabled`},
		"a day":              {one("address: 10.0.1.1, exempt_until: tomorrow"), `f.yaml:4: node n1: "tomorrow" is no day: write it as 2026-12-31`},
		"an unknown PCU":     {one("address: 10.0.1.1, power: [{pcu: rak}]"), `f.yaml:4: node n1: there is no PCU "rak": did you mean rack?`},
		"an outlet":          {one("address: 10.0.1.1, power: [{pcu: rack, outlet: x}]"), `f.yaml:4: node n1: "x" is no whole number`},
		"a password":         {one("address: 10.0.1.1, bmc: {address: 10.0.2.1, model: Redfish, password: secret}"), "f.yaml:4: node n1: a section is wanted here, not one value: write {env: VARIABLE} or {file: PATH}: the password itself must not stand here"},
		"a BMC's model":      {one("address: 10.0.1.1, bmc: 10.0.2.1"), "f.yaml:4: PCU bmc-n1: it has no model"},
		"an odd model":       {one("address: 10.0.1.1, bmc: {address: 10.0.2.1, model: Redfisch}"), `f.yaml:4: PCU bmc-n1: there is no model "Redfisch": did you mean Redfish?`},
		"an odd address":     {one("address: 10.0.1.1, bmc: {address: 'https://10.0.2.1/', model: Redfish}"), `f.yaml:4: PCU bmc-n1: "https://10.0.2.1/" is no address`},
		"an odd name":        {strings.Replace(one("address: 10.0.1.1"), "name: n1", "name: n 1", 1), `f.yaml:4: node n 1: "n 1" is no name: use letters`},
		"an ssh key":         {one("address: 10.0.1.1, host_key: abc"), "f.yaml:4: node n1: its host_key is no ssh key"},
		"no list":            {"sites:\n  name: lab\n", "f.yaml:2: a list is wanted here: write each on a line of its own, after a -"},
		"two of a name":      {two("name: n1, address: 10.0.1.2"), "f.yaml:5: node n1: line 4 has a node of this name, too: give each a name of its own"},
		"an address twice":   {two("name: n2, address: 10.0.1.1"), "f.yaml:5: node n2: n1 has the address 10.0.1.1, too: give each node its own address"},
		"an outlet twice":    {two("name: n2, address: 10.0.1.2, power: [{pcu: rack, outlet: 3}]"), "f.yaml:5: node n2: outlet 3 of rack feeds n1, too: a power cycle of one would cut the other: give each node its own outlet"},
		"a role":             {one("address: 10.0.1.1") + "    people: [{email: a@b.example, roles: [boss]}]\n", `f.yaml:6: person a@b.example: there is no role "boss": it may be tech, pi, user`},
		"an address of mail": {one("address: 10.0.1.1") + "    people: [{email: anna}]\n", `f.yaml:6: person anna: "anna" is no address of mail`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse("f.yaml", []byte(c.text), catalog(t))
			var wrong Mistakes
			if !errors.As(err, &wrong) {
				t.Fatalf("it is taken: %v", err)
			}
			if !slices.ContainsFunc(wrong, func(m Mistake) bool { return strings.HasPrefix(m.String(), c.want) }) {
				t.Errorf("it says\n%v\nwant\n%s", wrong, c.want)
			}
			for _, m := range wrong {
				if m.Do == "" {
					t.Errorf("nobody is told what to do: %s", m)
				}
			}
		})
	}
}

// one is a fleet of one node; line 4 is the node's.
func one(node string) string {
	return "sites:\n  - name: lab\n    nodes:\n    - {name: n1, " + node + "}\n" +
		"    pcus: [{name: rack, address: 10.0.3.1, model: APCSNMP}]\n"
}

// two is a fleet of two nodes, in lines 4 and 5.
func two(other string) string {
	return strings.Replace(one("address: 10.0.1.1, power: [{pcu: rack, outlet: 3}]"), "    pcus:",
		"    - {"+other+"}\n    pcus:", 1)
}

func TestMistakesDoNotHideEachOther(t *testing.T) {
	text := "sites:\n  - name: lab\n    color: red\n    nodes:\n    - {name: n1}\n    - {name: n1, address: x}\n"
	_, err := Parse("f.yaml", []byte(text), catalog(t))
	var wrong Mistakes
	if !errors.As(err, &wrong) || len(wrong) != 4 {
		t.Fatalf("it says %v, want four mistakes", err)
	}
	for i, line := range []int{3, 5, 6, 6} {
		if wrong[i].Line != line {
			t.Errorf("mistake %d is in line %d, want %d: %s", i, wrong[i].Line, line, wrong[i])
		}
	}
	if want := " (and 3 more: see `monitor inventory check`)"; !strings.HasSuffix(err.Error(), want) {
		t.Errorf("it says %q, want it to end with %q", err, want)
	}
}

// The same text is not parsed again, a changed one is, and a broken one leaves what stood for those who ask next.
func TestAFileIsReadAnewWhenItChanges(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f.yaml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f := &File{Path: path, Models: catalog(t)}
	write(one("address: 10.0.1.1"))
	first, err := f.Read(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if again, err := f.Read(context.Background()); err != nil || again != first {
		t.Errorf("the same text is read as %p, %v, want %p", again, err, first)
	}
	write(one("addres: 10.0.1.1"))
	if _, err := f.Read(context.Background()); err == nil {
		t.Error("a broken edit is taken")
	}
	write(one("address: 10.0.1.2"))
	if now, err := f.Read(context.Background()); err != nil || now.Sites[0].Nodes[0].Address != "10.0.1.2" {
		t.Errorf("the mended one is %v, %v", now, err)
	}
	write("")
	if _, err := f.Read(context.Background()); err == nil || !strings.Contains(err.Error(), "is empty") {
		t.Errorf("an empty file, as of a half-done copy: %v", err)
	}
}

// A fleet of ten thousand is read within the time of a sweep's first moment.
func TestAFleetOfTenThousandIsReadQuickly(t *testing.T) {
	if testing.Short() {
		t.Skip("left out by -short: it takes a second")
	}
	var text strings.Builder
	text.WriteString("sites:\n")
	for s := range 100 {
		fmt.Fprintf(&text, "  - name: site%d\n    bmc: {model: Redfish, password: {env: PW}}\n    nodes:\n", s)
		for n := range 100 {
			fmt.Fprintf(&text, "    - {name: n%d.site%d.example, address: 10.%d.%d.1, bmc: 10.%d.%d.2}\n", n, s, s, n, s, n)
		}
	}
	f, err := Parse("big.yaml", []byte(text.String()), catalog(t))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := f.Count(), "100 sites, 10000 nodes, 10000 PCUs, 0 people"; got != want {
		t.Errorf("it has %s, want %s", got, want)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(one("address: 10.0.1.1")))
	f.Add([]byte("sites: [[[{"))
	f.Add([]byte("sites:\n  - &a {name: *a}\n"))
	models := catalog(f)
	f.Fuzz(func(t *testing.T, text []byte) {
		fleet, err := Parse("f.yaml", text, models)
		if err == nil && len(fleet.Lines()) == 0 {
			t.Error("a fleet without nodes is taken")
		}
	})
}
