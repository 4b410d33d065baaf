package inventory

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/planetlab/monitor/testbed/debian"
)

const hosts = `[robotics]
n1.lab.example ansible_host=10.0.1.1 bmc_address=10.0.2.1 bmc_model=Redfish bmc_user=monitor bmc_password=s3cret
n2.lab.example ansible_host=10.0.1.2 pcu=rack1 pcu_outlet=3 drac_ip=10.0.3.1 bmc_model=APCSNMP
n3.lab.example ansible_host=10.0.1.3 pcu=rack1 pcu_outlet=4 drac_ip=10.0.3.1 bmc_model=APCSNMP

[cluster]
c1.hall.example ansible_host=10.1.1.1

[cluster:vars]
contacts=anna@hall.example

[lab:children]
robotics

[cloud]
elsewhere.example ansible_host=10.9.9.9
`

// Debian's own Ansible reads an inventory, and its groups and variables become sites, nodes and PCUs.
func TestARealAnsibleIsRead(t *testing.T) {
	program := debian.Need(t, "ansible-inventory", "ansible-core")
	path := filepath.Join(t.TempDir(), "hosts")
	if err := os.WriteFile(path, []byte(hosts), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("ANSIBLE_LOCAL_TEMP", t.TempDir())
	a := &Ansible{Command: []string{program, "-i", path, "--list"}, Timeout: time.Minute, Models: catalog(t),
		Sites: map[string]string{"lab": "lab", "cluster": "hall"}, Variables: map[string]string{"pcu_address": "drac_ip|bmc_address"}}
	f, err := a.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got, want := f.Count(), "2 sites, 4 nodes, 2 PCUs, 1 person"; got != want {
		t.Errorf("it has %s, want %s", got, want)
	}
	var lines []string
	for _, l := range f.Lines() {
		lines = append(lines, strings.Join([]string{l.Site, l.Name, l.Address, l.Power, l.Model}, " "))
	}
	want := []string{"hall c1.hall.example 10.1.1.1  ", "lab n1.lab.example 10.0.1.1 bmc-n1.lab.example:1 Redfish",
		"lab n2.lab.example 10.0.1.2 rack1:3 APCSNMP", "lab n3.lab.example 10.0.1.3 rack1:4 APCSNMP"}
	if !slices.Equal(lines, want) {
		t.Errorf("the nodes are\n%s\nwant\n%s", strings.Join(lines, "\n"), strings.Join(want, "\n"))
	}
	if word, err := f.Sites[1].PCUs[0].Password.read(); err != nil || word.Reveal() != "s3cret" {
		t.Errorf("the password of the BMC is %q, %v", word.Reveal(), err)
	}
}

func TestWhatAnsibleSaysIsChecked(t *testing.T) {
	vars := func(n1, n2 string) string {
		return `{"_meta": {"hostvars": {"n1": {` + n1 + `}, "n2": {` + n2 + `}}}, "a": {"hosts": ["n1"]}, "b": {"hosts": ["n2", "n1"]}}`
	}
	good, other := `"ansible_host": "10.0.1.1"`, `"ansible_host": "10.0.1.2"`
	for name, c := range map[string]struct {
		text, want string
		sites      map[string]string
	}{
		"no JSON":      {"oops", "ansible: it is not a JSON object", map[string]string{"a": "lab"}},
		"no hostvars":  {`{"a": {"hosts": ["n1"]}}`, "ansible: it has no _meta with hostvars", map[string]string{"a": "lab"}},
		"no group":     {vars(good, other), `ansible: there is no group "c": mend inventory.ansible.sites`, map[string]string{"c": "lab"}},
		"two sites":    {vars(good, other), "ansible: host n1: it is in a and in b, which are two sites", map[string]string{"a": "x", "b": "y"}},
		"no address":   {vars("", other), "ansible: node n1: it has no address", map[string]string{"a": "lab"}},
		"an odd value": {vars(`"ansible_host": ["10.0.1.1"]`, other), "ansible: host n1: its variable ansible_host is none", map[string]string{"a": "lab"}},
		"two of a PCU": {vars(good+`, "pcu": "rack", "bmc_address": "10.0.3.1", "bmc_model": "APCSNMP"`,
			other+`, "pcu": "rack", "bmc_address": "10.0.3.2", "bmc_model": "APCSNMP"`),
			"ansible: host n2: another host has the PCU rack with another address", map[string]string{"all": "lab"}},
		"an outlet twice": {vars(good+`, "pcu": "rack", "bmc_address": "10.0.3.1", "bmc_model": "APCSNMP", "pcu_outlet": 2`,
			other+`, "pcu": "rack", "bmc_address": "10.0.3.1", "bmc_model": "APCSNMP", "pcu_outlet": "2"`),
			"ansible: node n2: outlet 2 of rack feeds n1, too", map[string]string{"all": "lab"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := (&Ansible{Sites: c.sites, Models: catalog(t)}).Parse("ansible", []byte(c.text))
			var wrong Mistakes
			if !errors.As(err, &wrong) {
				t.Fatalf("it is taken: %v", err)
			}
			if !slices.ContainsFunc(wrong, func(m Mistake) bool { return strings.HasPrefix(m.String(), c.want) }) {
				t.Errorf("it says\n%v\nwant\n%s", wrong, c.want)
			}
		})
	}
}

// A program that hangs, fails, or prints without end costs a sweep no more than its time, and says so.
func TestAnAnsibleThatDoesNotAnswerIsAnError(t *testing.T) {
	for name, c := range map[string]struct {
		command []string
		want    string
	}{
		"hangs":   {[]string{"sh", "-c", "sleep 60"}, "did not end in time"},
		"fails":   {[]string{"sh", "-c", "echo no such inventory >&2; exit 4"}, "no such inventory"},
		"missing": {[]string{"/nonexistent/ansible-inventory"}, "no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			a := &Ansible{Command: c.command, Timeout: 300 * time.Millisecond, Sites: map[string]string{"all": "lab"}, Models: catalog(t)}
			_, err := a.Read(t.Context())
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "the inventory cannot be read") {
				t.Errorf("it says %v, want %q", err, c.want)
			}
		})
	}
}
