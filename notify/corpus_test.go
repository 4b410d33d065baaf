package notify_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/planetlab/monitor/issue"
	. "github.com/planetlab/monitor/notify"
	"github.com/planetlab/monitor/notify/proof"
	"github.com/planetlab/monitor/site"
)

var update = flag.Bool("update", false, "write the golden files anew")

var now = time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)

func days(n float64) time.Time { return now.Add(time.Duration(n * 24 * float64(time.Hour))) }

func host(n int) string { return fmt.Sprintf("planetlab%d.princeton.edu", n) }

// about is an item of an issue type, with what a look would show of it.
func about(typ, target string) Item {
	t, _ := issue.Lookup(typ)
	return Item{
		Kind:     Kind(t.NoticeKind()),
		Issue:    typ + "/" + target,
		Type:     typ,
		Target:   target,
		Since:    days(-4),
		Evidence: seen[typ],
	}
}

// seen is what is seen of each type of issue.
var seen = map[string][]string{
	"nodedown": {"no ssh: timeout", "ping: no answer in 3 tries"},
	"pcudown":  {"login as root: wrong password"},
	"sitedown": {"0 of its 2 nodes run", host(1) + ": no ssh: no route", host(2) + ": no ssh: no route"},
	"badhardware": {
		"debug, kernel \"4.19.110\"",
		"ata1.00: failed command: READ DMA",
		"end_request: I/O error, dev sda, sector 10880",
	},
	"dnserror": {"its name does not resolve to the address that it is registered with"},
	"nodeconfig": {
		"method static, ip 10.1.2.3, gateway 10.1.3.1, netmask 255.255.255.0",
		"the gateway does not lie in the network of the address",
	},
	"oldbootcd": {"debug, kernel \"2.4.29\""},
	"failboot": {
		"debug, kernel \"4.19.110\"",
		"it was here before: the last issue was open for 3 d and closed 20 d ago (good again)",
	},
	"firewall":        {"runs, but port 80 is filtered"},
	"minimalhardware": {"InitializeBootManager: 256 MB of memory, 511 are needed"},
	"noblockdevice":   {"no block devices found"},
	"pcumissing":      {"no ssh: timeout"},
	"filesystem":      {"mounted read-only: /"},
	"nodefact":        {"disk_full: facts.disk_used is 97 (by prometheus at 2026-11-24 12:04 UTC)"},
	"unknownsequence": {"sequence: bminit-cfg-strange-debug-done"},
}

func deeds() []issue.Deed {
	return []issue.Deed{
		{At: days(-3), What: issue.DeedRebooted, How: string(issue.Cycled)},
		{At: days(-2), What: issue.DeedReinstall, How: string(issue.PowerLost)},
	}
}

func down(n int) Item {
	item := about("nodedown", host(n))
	item.Deeds = deeds()
	return item
}

func pcu() Item { return about("pcudown", "pcu1.princeton.edu") }

// whole is what is said of the site itself, with the machines that hold its level.
func whole(kind Kind, since time.Time, nodes ...int) Item {
	item := Item{Kind: kind, Since: since}
	for _, n := range nodes {
		item.Evidence = append(item.Evidence, host(n)+": no ssh: timeout")
	}
	return item
}

func back(item Item) Item {
	return Item{Kind: Online, Issue: item.Issue, Type: item.Type, Target: item.Target, Since: item.Since}
}

func notice(items ...Item) Notice {
	return Notice{
		Site:       "princeton",
		SiteName:   "Princeton University",
		At:         now,
		Items:      items,
		To:         []string{"tech@princeton.test"},
		MessageID:  "<1@monitor.test>",
		ReplyHolds: 30 * 24 * time.Hour,
	}
}

func step(level int, at time.Time) site.Coming {
	return site.Coming{At: at, What: site.ComesStep, Level: level, Targets: []string{host(1)}}
}

func word(at time.Time) site.Coming { return site.Coming{At: at, What: site.ComesWord} }

func resumes(at time.Time) site.Coming { return site.Coming{At: at, What: site.ComesResume} }

func (c corpus) add(name string, n Notice, change ...func(*Notice)) {
	for _, f := range change {
		f(&n)
	}
	if _, there := c[name]; there {
		panic("two messages are called " + name)
	}
	c[name] = n
}

// corpus are messages by name, as facts.
type corpus map[string]Notice

func comes(list ...site.Coming) func(*Notice) { return func(n *Notice) { n.Coming = list } }
func level(l int) func(*Notice)               { return func(n *Notice) { n.Level = l } }
func open(o int) func(*Notice) { // other machines are still in trouble
	return func(n *Notice) {
		n.Open = o
		for i := range o {
			n.Still = append(n.Still, host(6+i))
		}
	}
}
func mailOnly(n *Notice) { n.ReplyHolds = 0 }
func told(at time.Time) func(*Notice) {
	return func(n *Notice) {
		for i := range n.Items {
			n.Items[i].Told = at
		}
	}
}

// messages is the corpus: every kind, first and again, around answers and pauses, at each step up and down, mixed,
// late, and to the admins.
func messages() corpus {
	c := corpus{}
	c.ofEachType()
	c.ofSteps()
	c.ofPauses()
	c.ofGoodNews()
	c.ofSeveral()
	c.toTheAdmins()
	return c
}

func (c corpus) ofEachType() {
	for _, t := range issue.Types() {
		if t.Name == issue.UnknownSequence || t.Name == issue.NodeFact {
			continue // they go to the admins alone
		}
		target := host(1)
		switch t.Target {
		case issue.OfPCU:
			target = "pcu1.princeton.edu"
		case issue.OfSite:
			target = "princeton"
		}
		item := about(t.Name, target)
		c.add(t.Name+"-first", notice(item), comes(step(1, days(7)), word(days(7))))
		c.add(t.Name+"-again", notice(item), comes(word(days(7))), told(days(-7)), level(1))
		c.add(t.Name+"-back", notice(back(item)))
	}
	for _, advice := range []string{AdviceLocked, AdviceHangs, AdviceStrange, AdviceHostKey} {
		item := about("nodeconfig", host(1))
		item.Advice = advice
		item.Evidence = []string{
			map[string]string{AdviceLocked: "no ssh: key denied", AdviceHangs: "no ssh: hang after authentication", AdviceStrange: "no ssh: a strange answer",
				AdviceHostKey: "no ssh: host key changed"}[advice],
		}
		c.add("nodeconfig-"+advice, notice(item), comes(word(days(7))))
	}
	for _, advice := range []string{AdviceNoConfig, AdviceNotKnown, AdviceNodeKey, AdvicePLCFails} {
		item := about("nodeconfig", host(1))
		item.Advice = advice
		item.Evidence = []string{"debug, kernel \"4.19.110\"", map[string]string{
			AdviceNoConfig: "Unable to find and read a node configuration file",
			AdviceNotKnown: "Failed to authenticate call: No such node",
			AdviceNodeKey:  "Failed to authenticate call: Call could not be authenticated",
			AdvicePLCFails: "XML RPC protocol error",
		}[advice]}
		c.add("nodeconfig-"+advice, notice(item), comes(word(days(7))))
		item.Type, item.Kind, item.Issue = "failboot", "failboot", "failboot/"+host(1)
		c.add("failboot-"+advice, notice(item), comes(word(days(7))), told(days(-7)))
	}
}

func (c corpus) ofSteps() {
	c.add(
		"down-by-mail-alone",
		notice(down(1)),
		mailOnly,
		comes(step(1, days(7)), word(days(7)), step(2, days(14)), site.Coming{What: site.ComesAdmins}),
	)
	c.add("down-not-threatened", notice(down(1)), comes(word(days(7))))
	c.add("down-two-steps-at-once", notice(down(1)), comes(step(1, days(7)), step(2, days(7))))
	c.add("down-promised-for-now", notice(down(1)), comes(step(1, days(-1))))
	c.add("warning", notice(whole(Warn, now, 1)), comes(step(1, days(7))))
	c.add("warning-of-level-2", notice(whole(Warn, now, 1, 2)), level(1), comes(step(2, days(7))))
	c.add("penalty-1", notice(whole(Penalty, now, 1)), level(1), comes(step(2, days(7))))
	c.add("penalty-1-announced", notice(whole(Penalty, now, 1)), level(1), func(n *Notice) { n.Announced = days(-7) })
	c.add(
		"penalty-1-after-an-outage-of-the-mail-server",
		notice(whole(Penalty, days(-2.5), 1)),
		level(1),
		comes(step(2, days(7))),
	)
	c.add("penalty-2", notice(whole(Penalty, now, 1, 2)), level(2))
	c.add(
		"penalty-2-announced",
		notice(whole(Penalty, now, 1, 2)),
		level(2),
		func(n *Notice) { n.Announced = days(-7) },
	)
	c.add("penalty-2-after-an-outage-of-the-mail-server", notice(whole(Penalty, days(-1.5), 1, 2)), level(2))
	c.add("eased", notice(whole(Eased, now, 1)), level(1), comes(step(2, days(7))))
	c.add("eased-and-one-is-back", notice(whole(Eased, now, 1), back(down(2))), level(1), open(1), comes(word(days(2))))
}

func (c corpus) ofPauses() {
	answered := func(by string) Item {
		item := whole(Resumed, days(-30), 1)
		item.By = by
		return item
	}
	c.add("resumed", notice(answered("")), comes(step(1, days(7))))
	c.add("resumed-by-name", notice(answered("tech@princeton.test")), level(1), comes(step(2, days(7))))
	c.add("resumed-with-news", notice(answered("tech@princeton.test"), down(2)), comes(step(1, days(7))))
	c.add("continued", notice(whole(Continued, days(-14), 1)), comes(step(1, days(7))))
	c.add(
		"during-an-answer-something-new",
		notice(about("filesystem", host(2))),
		comes(resumes(days(23)), word(days(30)), step(1, days(30))),
	)
	c.add(
		"during-a-pause-without-end",
		notice(about("filesystem", host(2))),
		comes(site.Coming{What: site.ComesResume}),
	)
	waited := down(1)
	waited.Deeds = append(
		waited.Deeds,
		issue.Deed{At: days(-1), What: issue.DeedWaited, Until: days(-1), By: "ann", How: "a new disk comes on Friday"},
	)
	waited.Told = days(-14)
	c.add("down-after-a-pledge", notice(waited), comes(step(1, days(7))))
}

func (c corpus) ofGoodNews() {
	lifted := func(was int, why site.SpareKind) Item {
		return Item{Kind: Cleared, Since: now, Level: was, Why: string(why)}
	}
	c.add("cleared-1", notice(lifted(1, site.SparedGood)), open(1))
	c.add("cleared-2", notice(lifted(2, site.SparedGood)), open(1))
	c.add("cleared-nothing-open", notice(lifted(2, "")))
	c.add("cleared-exempt", notice(lifted(1, site.SparedExempt)), open(1))
	c.add("cleared-exempt-by-the-operators", notice(lifted(2, site.SparedListed)), open(1))
	c.add("cleared-and-back", notice(lifted(2, site.SparedGood), back(down(1)), back(down(2))))
	c.add("cleared-and-one-is-back", notice(lifted(1, site.SparedGood), back(down(1))), open(1))
	c.add("back-partly", notice(back(down(1))), open(1))
	c.add("back-and-limited", notice(back(down(1))), open(2), level(1))
	c.add("back-several", notice(back(down(1)), back(down(2)), back(pcu())))
	c.add("back-drops-what-comes", notice(back(down(1))), open(1), comes(step(1, days(7))))
	again := back(about("failboot", host(1)))
	c.add("back-after-two-issues", notice(back(down(1)), again))
	c.add("back-while-other-thanks-wait", notice(back(down(1))), func(n *Notice) { n.Open = 1 })
	c.add("back-while-the-operators-limit", notice(back(down(1))), level(1), func(n *Notice) { n.Open = 1 })
	ended := func(kind Kind, item Item) Item { item = back(item); item.Kind = kind; return item }
	c.add("gone", notice(ended(Gone, down(1))))
	c.add("gone-pcu-and-more-to-do", notice(ended(Gone, pcu())), open(5))
	c.add("gone-and-one-is-back", notice(ended(Gone, down(1)), back(down(2))))
	c.add("closed-by-the-operators", notice(ended(Closed, down(1))), open(1), level(1))
	c.add("closed-by-the-operators-several", notice(ended(Closed, down(1)), ended(Closed, down(2))))
	c.add("cleared-and-gone", notice(lifted(1, ""), ended(Gone, down(1))))
}

func (c corpus) ofSeveral() {
	c.add("several-nodes", notice(down(1), down(2), down(3)), comes(step(1, days(7))))
	c.add(
		"several-since-different-days",
		notice(down(1), func() Item { i := down(2); i.Since = days(-6); return i }()),
		comes(word(days(7))),
	)
	c.add("node-and-pcu", notice(down(1), pcu()), comes(step(1, days(7)), word(days(3))))
	c.add("one-machine-two-issues", notice(down(1), about("pcumissing", host(1))), comes(word(days(7))))
	c.add(
		"two-machines-different-trouble",
		notice(about("badhardware", host(1)), about("firewall", host(2))),
		comes(word(days(7))),
	)
	mixed := notice(whole(Penalty, now, 1, 2, 3, 4), down(1), down(2), down(3), down(4), pcu(), back(down(9)))
	for i := range mixed.Items[1:5] {
		mixed.Items[i+1].Evidence = append(
			[]string{},
			mixed.Items[i+1].Evidence[0],
			"its own fact "+string(rune('a'+i)),
		)
	}
	c.add(
		"mixed",
		mixed,
		level(1),
		open(5),
		comes(step(2, days(14)), word(days(7)), site.Coming{What: site.ComesAdmins}),
	)
	c.add("one-back-one-down", notice(down(1), back(down(2))), open(1), comes(word(days(7))))
	page := down(1)
	page.Page = "https://plc.test/db/nodes/node.php?id=12"
	c.add("down-with-its-page", notice(page))
	wall := about("firewall", host(1))
	wall.From = []string{"192.0.2.1", "2001:db8::1"}
	c.add("firewall-with-our-addresses", notice(wall))
	boot := about("failboot", host(1))
	boot.Deeds = []issue.Deed{
		{At: days(-3.5), What: issue.DeedRepaired, How: "fsck_repair"},
		{At: days(-3), What: issue.DeedRepaired, How: "restart_node_rins"},
		{At: days(-2.5), What: issue.DeedTriedRepair, How: "restart_bootmanager_boot"},
		{At: days(-2), What: issue.DeedBootFound, How: "noblockdevice/" + host(1)},
	}
	c.add("failboot-with-deeds", notice(boot), comes(word(days(7))))
	cd := about("oldbootcd", host(1))
	cd.Deeds = []issue.Deed{{At: days(-3), What: issue.DeedDisabled, How: "boot"}}
	c.add("oldbootcd-with-deeds", notice(cd), comes(word(days(7))))
	c.add(
		"down-and-somebody-out-of-reach",
		notice(down(1)),
		comes(word(days(7))),
		func(n *Notice) { n.Unreached = []string{"pi@princeton.test: 550 no such user"} },
	)
}

func (c corpus) toTheAdmins() {
	admins := func(n *Notice) { n.To, n.ReplyHolds = []string{"admins@monitor.test"}, 0 }
	flag := func(item Item) Item { item.Kind = Flagged; return item }
	c.add("flagged", notice(flag(down(1))), level(2), admins)
	c.add("flagged-unknownsequence", notice(flag(about("unknownsequence", host(1)))), admins)
	c.add("flagged-nodefact", notice(flag(about("nodefact", host(1)))), admins)
	c.add(
		"flagged-site",
		notice(Item{Kind: Flagged, Evidence: []string{"nobody at the site can be written to"}}),
		admins,
	)
	c.add(
		"by-hand",
		notice(
			Item{
				Kind:     ByHand,
				Issue:    "nodedown/" + host(1),
				Type:     "nodedown",
				Target:   host(1),
				Since:    days(-4),
				Evidence: seen["nodedown"],
				Fix:      "Turn outlet 3 of pcu1.princeton.edu off, wait ten seconds, and turn it on again.",
			},
		),
		admins,
	)
	c.add(
		"held",
		notice(
			Item{
				Kind:   Held,
				Issue:  "guard",
				Type:   "fleet",
				Target: "the fleet",
				Evidence: []string{
					"1000 nodes went down at once, 250 of 250 where a dark site counts once: the fault may be ours",
				},
			},
		),
		admins,
	)
	c.add(
		"doubted",
		notice(
			Item{
				Kind: Doubted, Issue: "guard", Type: "pcudown", Target: "the fleet",
				Evidence: []string{"40 of 40 PCUs became bad within 1 d: the fault may be ours"},
			},
		),
		admins,
	)
	c.add(
		"repaired",
		notice(
			Item{
				Kind: Repaired,
				Evidence: []string{
					"somebody lifted by hand what level 1 holds: the site may create slices",
					"held by nodedown/" + host(1),
				},
			},
		),
		level(1),
		admins,
	)
	var many []Item
	for n := range 12 {
		item := about("unknownsequence", fmt.Sprintf("node%d.site%d.test", n, n%3))
		item.Kind, item.Site = Digest, fmt.Sprintf("site%d", n%3)
		many = append(many, item)
	}
	var noContact []Item
	for n := range 3 {
		login := fmt.Sprintf("site%d", n)
		noContact = append(noContact, Item{Kind: Digest, Type: "site", Target: login, Site: login,
			Evidence: []string{"nobody at the site can be written to"}})
	}
	fleet := func(n *Notice) { n.Site, n.SiteName = "fleet", "" }
	c.add("digest-of-sites", notice(noContact...), admins, fleet)
	c.add("digest", notice(many...), admins, func(n *Notice) { n.Site, n.SiteName = "fleet", "" })
	c.add("digest-unreached", notice(many[:2]...), admins, func(n *Notice) {
		n.Site, n.SiteName, n.Unreached = "fleet", "", []string{"site1: nobody at the site can be written to"}
	})
}

func written(m Message) string { return "Subject: " + m.Subject + "\n\n" + m.Text }

// TestTheCorpusReadsAsItsGoldenFilesAndProves renders each message from the facts that lie beside it, and proves it.
func TestTheCorpusReadsAsItsGoldenFilesAndProves(t *testing.T) {
	all := messages()
	if len(all) < 60 {
		t.Errorf("the corpus has %d messages, 60 are asked for", len(all))
	}
	if *update {
		rewrite(t, all)
	}
	files, err := filepath.Glob("testdata/*.golden")
	if err != nil || len(files) != len(all) {
		t.Errorf("%d golden files for %d messages, %v: run with -update", len(files), len(all), err)
	}
	for name := range all {
		t.Run(name, func(t *testing.T) {
			var n Notice
			facts, err := os.ReadFile(filepath.Join("testdata", name+".json"))
			if err == nil {
				err = json.Unmarshal(facts, &n)
			}
			if err != nil {
				t.Fatal(err)
			}
			if again := asJSON(t, all[name]); !bytes.Equal(again, facts) {
				t.Errorf("the facts are not those of the file:\n%s", again)
			}
			m, err := Render(n)
			if err != nil {
				t.Fatal(err)
			}
			want, err := os.ReadFile(filepath.Join("testdata", name+".golden"))
			if err != nil {
				t.Fatal(err)
			}
			if got := written(m); got != string(want) {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
			for _, wrong := range proof.Check(n, m) {
				t.Errorf("%s\n%s", wrong, written(m))
			}
		})
	}
}

// Without PLC no message speaks of PLC, of slices, or of PlanetLab, whatever it is about; and the facts bear it out.
func TestWithoutPLCNoMessageSpeaksOfIt(t *testing.T) {
	wrong := regexp.MustCompile(`(?i)\bPLC\b|PlanetLab|slice`)
	for name, n := range messages() {
		t.Run(name, func(t *testing.T) {
			n.NoPLC, n.Items = true, slices.Clone(n.Items)
			for i := range n.Items { // what comes from outside is not ours to put into words
				n.Items[i].Evidence, n.Items[i].Page = nil, ""
			}
			m, err := Render(n)
			if err != nil {
				t.Fatal(err)
			}
			body := regexp.MustCompile(`planetlab\d`).ReplaceAllString(m.Text, "n") // names of nodes
			if found := wrong.FindString(body); found != "" {
				t.Errorf("it speaks of %q:\n%s", found, written(m))
			}
			for _, claim := range proof.Check(n, m) {
				t.Errorf("%s\n%s", claim, written(m))
			}
		})
	}
}

func asJSON(t *testing.T, n Notice) []byte {
	t.Helper()
	text, err := json.MarshalIndent(n, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return append(text, '\n')
}

func rewrite(t *testing.T, all corpus) {
	t.Helper()
	old, _ := filepath.Glob("testdata/*.golden")
	facts, _ := filepath.Glob("testdata/*.json")
	for _, file := range append(old, facts...) {
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
	}
	for name, n := range all {
		m, err := Render(n)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for ext, text := range map[string][]byte{".golden": []byte(written(m)), ".json": asJSON(t, n)} {
			if err := os.WriteFile(filepath.Join("testdata", name+ext), text, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestWhatAMessageClaimsTooMuchIsFound spoils the facts under messages that were true, and asks that each lie is found.
func TestWhatAMessageClaimsTooMuchIsFound(t *testing.T) {
	for want, c := range map[string]struct {
		name  string
		spoil func(*Notice)
	}{
		"the subject counts 3 nodes":          {"several-nodes", func(n *Notice) { n.Items = n.Items[:2] }},
		"it names planetlab1":                 {"nodedown-first", func(n *Notice) { n.Items[0].Target, n.Items[0].Issue, n.Coming = "other", "", nil }},
		"is in none of the facts":             {"nodedown-first", func(n *Notice) { n.Items[0].Since = days(-5) }},
		"is not \"4 days ago\"":               {"nodedown-first", func(n *Notice) { n.At = days(1) }},
		"\"from now on\"":                     {"penalty-1", func(n *Notice) { n.Items[0].Since = days(-2) }},
		"\"As we wrote on\"":                  {"penalty-1-announced", func(n *Notice) { n.Announced = time.Time{} }},
		"no level 1 was reached":              {"penalty-1", func(n *Notice) { n.Level = 2 }},
		"that slices are suspended":           {"penalty-2", func(n *Notice) { n.Level = 1 }},
		"closes the matter":                   {"nodedown-back", func(n *Notice) { n.Open = 1 }},
		"but there is none":                   {"back-partly", func(n *Notice) { n.Still = nil }},
		"it does not name planetlab9":         {"back-partly", func(n *Notice) { n.Still[0] = host(9) }},
		"though there is some":                {"nodedown-back", func(n *Notice) { n.Still = []string{host(2)} }},
		"PLC has all of it":                   {"gone", func(n *Notice) { n.Items[0].Kind = Closed }},
		"they have not":                       {"closed-by-the-operators-several", func(n *Notice) { n.Items[0].Kind, n.Items[1].Kind = Gone, Gone }},
		"PLC knows them all":                  {"nodeconfig-notknown", func(n *Notice) { n.Items[0].Advice = AdviceNodeKey }},
		"PLC refuses no key":                  {"nodeconfig-nodekey", func(n *Notice) { n.Items[0].Advice = AdviceNotKnown }},
		"each has one":                        {"failboot-noconfig", func(n *Notice) { n.Items[0].Advice = "" }},
		"PLC answers as it should":            {"failboot-plcfails", func(n *Notice) { n.Items[0].Advice = "" }},
		"that is what its boot fails at":      {"failboot-first", func(n *Notice) { n.Items[0].Advice = AdviceNotKnown }},
		"each repair is known":                {"failboot-with-deeds", func(n *Notice) { n.Items[0].Deeds = n.Items[0].Deeds[:1] }},
		"so does the limit":                   {"back-and-limited", func(n *Notice) { n.Level = 0 }},
		"All limits on":                       {"cleared-2", func(n *Notice) { n.Items[0].Level = 1 }},
		"that were suspended":                 {"eased", func(n *Notice) { n.Items[0].Kind = Warn }},
		"nobody has mended":                   {"cleared-1", func(n *Notice) { n.Items[0].Why = string(site.SparedExempt) }},
		"threatens with level 1":              {"nodedown-first", func(n *Notice) { n.Coming = nil }},
		"is not announced":                    {"down-not-threatened", func(n *Notice) { n.Coming = append(n.Coming, step(1, days(7))) }},
		"there is no further limit":           {"nodedown-first", func(n *Notice) { n.Coming = n.Coming[1:] }},
		"not all of them are":                 {"oldbootcd-with-deeds", func(n *Notice) { n.Items[0].Deeds = nil }},
		"nobody reads the answers":            {"nodedown-first", mailOnly},
		"nobody has answered":                 {"resumed", func(n *Notice) { n.Items[0].Kind = Continued }},
		"they had not":                        {"continued", func(n *Notice) { n.Items[0].Kind = Resumed }},
		"this is the first word":              {"nodedown-again", func(n *Notice) { n.Items[0].Told = time.Time{} }},
		"each power cycle is known":           {"several-nodes", func(n *Notice) { allKnown(n) }},
		"their network is right":              {"nodeconfig-first", func(n *Notice) { n.Items[0].Advice = AdviceHangs }},
		"none hangs":                          {"nodeconfig-hangs", func(n *Notice) { n.Items[0].Advice = AdviceLocked }},
		"a restart from it does not mend":     {"nodeconfig-locked", func(n *Notice) { n.Items[0].Advice = AdviceHangs }},
		"what was seen of planetlab1":         {"nodedown-first", func(n *Notice) { n.Items[0].Evidence = []string{"smoke rises from it"} }},
		"planetlab2.princeton.edu has no":     {"nodedown-first", func(n *Notice) { n.Items = append(n.Items, down(2)) }},
		"it goes to":                          {"nodedown-first", func(n *Notice) { n.To = []string{"pi@princeton.test"} }},
		"the level is 1":                      {"flagged", func(n *Notice) { n.Level = 1 }},
		"good news asks nothing":              {"nodedown-first", func(n *Notice) { n.Items[0].Kind = Online }},
		"nothing says that it is":             {"warning", func(n *Notice) { n.Items[0].Kind, n.Coming = Resumed, nil }},
		"good news carries what comes next":   {"nodedown-first", func(n *Notice) { n.Items[0].Kind = Online }},
		"which people at a site do not know":  {"flagged", func(n *Notice) { n.Items[0].Kind = Down }},
		"\"another message\" is said to come": {"nodedown-first", func(n *Notice) { n.Coming = n.Coming[:1] }},
	} {
		n := messages()[c.name]
		m, err := Render(n)
		if err != nil {
			t.Fatal(err)
		}
		if found := proof.Check(n, m); len(found) > 0 {
			t.Fatalf("%s is not true as it is: %q", c.name, found)
		}
		c.spoil(&n)
		if found := strings.Join(proof.Check(n, m), "\n"); !strings.Contains(found, want) {
			t.Errorf("%s: it is not found that %q; found is %q", c.name, want, found)
		}
	}
}

func allKnown(n *Notice) {
	for i := range n.Items {
		n.Items[i].Deeds = []issue.Deed{
			{At: days(-3), What: issue.DeedRebooted, How: string(issue.Cycled)},
			{At: days(-2), What: issue.DeedReinstall, How: string(issue.Cycled)},
		}
	}
}

// TestEveryTypeSaysWhatIsWrongAndHowToMendIt: each with an advice of its own.
func TestEveryTypeSaysWhatIsWrongAndHowToMendIt(t *testing.T) {
	said := map[string]string{}
	for name, n := range messages() {
		if !strings.HasSuffix(name, "-first") && (n.Items[0].Advice == "" || !strings.HasPrefix(name, "nodeconfig-")) {
			continue
		}
		m, err := Render(n)
		if err != nil {
			t.Fatal(err)
		}
		_, rest, found := strings.Cut(m.Text, "What you can do:\n")
		fix, _, _ := strings.Cut(rest, "\n\n")
		for other, f := range said {
			if f == fix {
				t.Errorf("%s and %s give the same advice: %s", name, other, fix)
			}
		}
		if said[name] = fix; !found || strings.Contains(fix, "tell us what you find") {
			t.Errorf("%s gives no advice of its own: %s", name, fix)
		}
	}
}
