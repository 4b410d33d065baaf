package notify

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/planetlab/monitor/issue"
)

// evidence is what a notice of each type would show.
var evidence = map[Kind]Item{
	"sitedown":        {Evidence: []string{"0 of its 2 nodes run", "planetlab1.princeton.edu: no ssh: no route", "planetlab2.princeton.edu: no ssh: no route"}},
	"badhardware":     {Evidence: []string{"debug, kernel \"4.19.110\"", "ata1.00: failed command: READ DMA", "end_request: I/O error, dev sda, sector 10880"}},
	"dnserror":        {Evidence: []string{"its name does not resolve to the address that PLC holds"}},
	"nodeconfig":      {Evidence: []string{"method static, ip 10.1.2.3, gateway 10.1.3.1, netmask 255.255.255.0", "the gateway does not lie in the network of the address"}},
	"oldbootcd":       {Evidence: []string{"debug, kernel \"2.4.29\""}, Deeds: []issue.Deed{{At: days(-3), What: issue.DeedDisabled, How: "boot"}}},
	"failboot":        {Evidence: []string{"debug, kernel \"4.19.110\""}, Deeds: []issue.Deed{{At: days(-3), What: issue.DeedRepaired, How: "fsck_repair"}, {At: days(-2), What: issue.DeedBootFound, How: "noblockdevice/planetlab1.princeton.edu"}}},
	"firewall":        {Evidence: []string{"runs, but port 80 is filtered"}},
	"minimalhardware": {Evidence: []string{"InitializeBootManager: 256 MB of memory, 511 are needed"}},
	"noblockdevice":   {Evidence: []string{"no block devices found"}},
	"pcumissing":      {Evidence: []string{"no ssh: timeout"}},
	"filesystem":      {Evidence: []string{"mounted read-only: /"}},
	Held:              {Evidence: []string{"1000 nodes went down at once, 250 of 250 where a dark site counts once: the fault may be ours"}},
	Doubted:           {Evidence: []string{"40 of 40 PCUs became bad within 1 d: the fault may be ours"}},
	Warn:              {Evidence: []string{"planetlab1.princeton.edu: no ssh: timeout"}},
	Eased:             {Evidence: []string{"planetlab1.princeton.edu: no ssh: timeout"}},
	Repaired:          {Evidence: []string{"somebody lifted by hand what level 1 holds: the site may create slices", "held by nodedown/planetlab1.princeton.edu"}},
}

func TestNoticesOfEveryTypeReadAsTheirGoldenFiles(t *testing.T) {
	for kind, item := range evidence {
		t.Run(string(kind), func(t *testing.T) {
			item.Issue, item.Type, item.Target, item.Since = string(kind)+"/planetlab1.princeton.edu", string(kind), "planetlab1.princeton.edu", days(-4)
			switch kind {
			case "sitedown":
				item.Issue, item.Target = "sitedown/princeton", "princeton"
			case Held:
				item = Item{Issue: "guard", Type: "fleet", Target: "the fleet", Evidence: item.Evidence}
			case Doubted:
				item = Item{Issue: "guard", Type: "pcudown", Target: "the fleet", Evidence: item.Evidence}
			case Repaired, Warn, Eased:
				item = Item{Evidence: item.Evidence}
			}
			n := notice(kind, item)
			n.Open = 1
			if kind != Held && kind != Doubted && kind != Repaired {
				n.Coming = steps[:1]
			}
			m, err := Render(n)
			if err != nil {
				t.Fatal(err)
			}
			got := "Subject: " + m.Subject + "\n\n" + m.Text
			path := filepath.Join("testdata", "kind-"+string(kind)+".golden")
			if *update {
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func TestEveryTypeSaysWhatIsWrongAndHowToMendIt(t *testing.T) {
	for _, about := range issue.Types() {
		typ := about.Name
		if ofType("state", typ) == "" {
			t.Errorf("the template of %s does not say what is wrong", typ)
		}
		if fix(Item{Type: typ}) == fix(Item{Type: "anything"}) {
			t.Errorf("%s does not say how to mend it", typ)
		}
		if strings.HasSuffix(typ, "down") != (state(typ) == "down") && typ != "pcudown" {
			t.Errorf("%s is %q", typ, state(typ))
		}
	}
}
