package notify

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"
)

var update = flag.Bool("update", false, "write the golden files anew")

var now = time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)

func days(n float64) time.Time { return now.Add(time.Duration(n * 24 * float64(time.Hour))) }

func node(name string) Item {
	return Item{
		Issue: "nodedown/" + name, Type: "nodedown", Target: name, Since: days(-4),
		Evidence: []string{"no answer on ports 22, 80 and 806 since Fri 20 Nov 2026 09:00 UTC", "ping: no answer in 3 tries"},
		Tried:    []string{"Sat 21 Nov 2026 09:00 UTC: power cycle through pcu1.princeton.edu, which worked, but the node did not come back", "Sun 22 Nov 2026 09:00 UTC: reinstallation and power cycle, and the node did not come back"},
	}
}

func pcu(name string) Item {
	return Item{
		Issue: "pcudown/" + name, Type: "pcudown", Target: name, Since: days(-2.5),
		Evidence: []string{"login as root: wrong password"},
	}
}

func notice(kind Kind, items ...Item) Notice {
	return Notice{
		Kind: kind, Site: "princeton", SiteName: "Princeton University", At: now, Items: items,
		To: []string{"tech@princeton.test"}, MessageID: "<1@monitor.test>",
	}
}

var steps = []Forecast{
	{days(14), "the slices of the site are suspended"},
	{days(7), "another message like this one, also to the principal investigators, and the site cannot create new slices"},
	{What: "the operators are asked to look at it"},
}

func golden() map[string]Notice {
	down := notice(Down, node("planetlab1.princeton.edu"))
	down.Forecast = steps
	group := notice(Down, pcu("pcu1.princeton.edu"), node("planetlab2.princeton.edu"), node("planetlab1.princeton.edu"))
	group.Forecast = steps[:1]
	pcuDown := notice(PCUDown, pcu("pcu1.princeton.edu"))
	pcuDown.Forecast = steps[1:2]
	pcuDown.HowToStop = "Answer this message before Tue 1 Dec 2026 and say how long you need."
	penalty1 := notice(Penalty, node("planetlab1.princeton.edu"))
	penalty1.Level, penalty1.Forecast = 1, steps[:1]
	penalty2 := notice(Penalty, Item{Since: now, Evidence: []string{"held by nodedown/planetlab1.princeton.edu"}})
	penalty2.Level = 2
	online := notice(Online, Item{Issue: "nodedown/planetlab1.princeton.edu", Type: "nodedown", Target: "planetlab1.princeton.edu", Since: days(-1)})
	partly := notice(Online, online.Items...)
	partly.Level, partly.Forecast = 1, steps[:1]
	lifted := notice(Cleared, Item{Since: now}, online.Items[0])
	lifted.Items[1].Kind, lifted.Level = Online, 2
	cleared := notice(Cleared, Item{Issue: "nodedown/planetlab1.princeton.edu", Type: "nodedown", Target: "planetlab1.princeton.edu", Since: now.Add(-10 * time.Second)})
	flagged := notice(Flagged, node("planetlab1.princeton.edu"))
	flagged.Level = 2
	mixed := notice("", Item{Kind: Penalty, Evidence: []string{"held by nodedown/planetlab1.princeton.edu"}})
	mixed.Level, mixed.Forecast, mixed.ReplyHolds = 1, steps[:1], 30*24*time.Hour
	for n := range 4 {
		item := node("planetlab" + string(rune('1'+n)) + ".princeton.edu")
		item.Kind, item.Since = Down, days(-4-float64(n))
		item.Evidence = append(item.Evidence[:1:1], "its own fact "+string(rune('a'+n)))
		mixed.Items = append(mixed.Items, item)
	}
	power := pcu("pcu1.princeton.edu")
	power.Kind = PCUDown
	mixed.Items = append(mixed.Items, power, Item{Kind: Online, Issue: "nodedown/planetlab9.princeton.edu", Type: "nodedown", Target: "planetlab9.princeton.edu", Since: days(-1)})
	resumed := notice(Resumed, Item{Since: days(-30), Evidence: []string{"held by nodedown/planetlab1.princeton.edu"}})
	byHand := notice(ByHand, Item{Issue: "nodedown/planetlab1.princeton.edu", Type: "nodedown", Target: "planetlab1.princeton.edu", Since: days(-4),
		Evidence: []string{"no answer on ports 22, 80 and 806"}, Fix: "Turn outlet 3 of pcu1.princeton.edu off, wait ten seconds, and turn it on again."})
	return map[string]Notice{
		"mixed": mixed, "resumed": resumed, "down": down, "down-several": group, "pcudown": pcuDown, "penalty-1": penalty1, "penalty-2-site": penalty2,
		"online": online, "online-partly": partly, "cleared-and-online": lifted, "cleared": cleared, "flagged": flagged, "by-hand": byHand,
	}
}

func TestNoticesReadAsTheirGoldenFiles(t *testing.T) {
	for name, n := range golden() {
		t.Run(name, func(t *testing.T) {
			m, err := Render(n)
			if err != nil {
				t.Fatal(err)
			}
			got := "Subject: " + m.Subject + "\n\n" + m.Text
			path := filepath.Join("testdata", name+".golden")
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
			for l := range strings.SplitSeq(m.Text, "\n") {
				if len([]rune(l)) > width {
					t.Errorf("a line of %d columns: %s", len([]rune(l)), l)
				}
			}
		})
	}
}

func TestANoticeThatLacksSomethingIsRefused(t *testing.T) {
	for want, spoil := range map[string]func(*Notice){
		"unknown kind":       func(n *Notice) { n.Kind = "nonsense" },
		"penalty level 3":    func(n *Notice) { n.Kind, n.Level = Penalty, 3 },
		"penalty level 0":    func(n *Notice) { n.Kind = Penalty },
		"no site":            func(n *Notice) { n.Site = "" },
		"no time":            func(n *Notice) { n.At = time.Time{} },
		"nothing to speak":   func(n *Notice) { n.Items = nil },
		"message id \"a@b\"": func(n *Notice) { n.MessageID = "a@b" },
		`\r\nBcc:`:           func(n *Notice) { n.MessageID = "<a@b>\r\nBcc: <c@d>" },
	} {
		n := notice(Down, node("a"))
		spoil(&n)
		if m, err := Render(n); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %s, got %v and %q", want, err, m.Subject)
		}
	}
}

func TestTextFromOutsideStaysInItsLine(t *testing.T) {
	evil := "x\r\nBcc: a@b.c\x1b[31m\u202e\u2028end"
	n := notice(Down, Item{Issue: evil, Type: evil, Target: evil, Since: days(-3), Evidence: []string{evil, "", " "}, Tried: []string{evil}, Fix: evil})
	n.Site, n.SiteName, n.HowToStop, n.Forecast = evil, evil, evil, []Forecast{{days(1), evil}}
	m, err := Render(n)
	if err != nil {
		t.Fatal(err)
	}
	if strings.ContainsFunc(m.Subject, unicode.IsControl) {
		t.Errorf("subject %q", m.Subject)
	}
	for _, bad := range []string{"\r", "\x1b", "\u202e", "\u2028", "\nBcc"} {
		if strings.Contains(m.Text, bad) {
			t.Errorf("the text holds %q", bad)
		}
	}
}

func TestManyFactsAreBounded(t *testing.T) {
	item := node("a")
	item.Evidence = nil
	for range 100 {
		item.Evidence = append(item.Evidence, strings.Repeat("ä", 5000))
	}
	m, err := Render(notice(Down, item))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(m.Text, "and 80 more") || len(m.Text) > 60_000 {
		t.Errorf("%d bytes", len(m.Text))
	}
}

func TestRenderLeavesItsInputAlone(t *testing.T) {
	items := []Item{{Type: "nodedown", Target: "b\n"}, {Type: "nodedown", Target: "a"}}
	forecast := []Forecast{{days(2), "b"}, {days(1), "a"}}
	n := notice(Down, items...)
	n.Forecast = forecast
	if _, err := Render(n); err != nil {
		t.Fatal(err)
	}
	if items[0].Target != "b\n" || forecast[0].What != "b" {
		t.Errorf("got %v %v", items, forecast)
	}
}

func TestSubjectsCountWhatTheyNameNot(t *testing.T) {
	for want, n := range map[string]Notice{
		"[princeton] a is down":                                 notice(Down, node("a")),
		"[princeton] 2 nodes are down":                          notice(Down, node("a"), node("b")),
		"[princeton] 1 node and 1 power control unit are down":  notice(Down, node("a"), pcu("b")),
		"[princeton] p is out of order":                         notice(PCUDown, pcu("p")),
		"[princeton] a is stuck in debug mode":                  notice(Down, Item{Type: "failboot", Target: "a"}),
		"[princeton] 2 power control units are back, thank you": notice(Online, pcu("a"), pcu("b")),
		"[princeton] a needs an admin":                          notice(Flagged, node("a")),
		"[princeton] princeton is back, thank you":              notice(Online, Item{}),
		"[princeton] 2 nodes need an admin":                     notice(Flagged, node("a"), node("b")),
		"[princeton] all limits are lifted, thank you":          notice(Cleared, node("a")),
	} {
		if m, err := Render(n); err != nil || m.Subject != want {
			t.Errorf("got %q, %v, want %q", m.Subject, err, want)
		}
	}
}

func TestDistancesReadAsPeopleSayThem(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "now", 400 * time.Millisecond: "now", time.Second: "in 1 second", -12 * time.Second: "12 seconds ago",
		90 * time.Second: "in 2 minutes", time.Hour: "in 60 minutes", 2 * time.Hour: "in 2 hours", -36 * time.Hour: "36 hours ago",
		48 * time.Hour: "in 2 days", 83 * time.Hour: "in 3 days", -30 * 24 * time.Hour: "30 days ago",
	} {
		if got := distance(d); got != want {
			t.Errorf("%s: got %q, want %q", d, got, want)
		}
	}
}

func TestAMessageIDIsStableAndWellFormed(t *testing.T) {
	a := MessageID("nodedown/x/run/3", "planet-lab.org")
	if a != MessageID("nodedown/x/run/3", "planet-lab.org") || a == MessageID("nodedown/x/run/4", "planet-lab.org") {
		t.Errorf("%s is not a function of its key", a)
	}
	for _, domain := range []string{"planet-lab.org", "", "a>\r\nBcc: <b"} {
		if id := MessageID("k", domain); !idForm.MatchString(id) {
			t.Errorf("%q: %q", domain, id)
		}
	}
	if got := Domain("PlanetLab Monitor <monitor@planet-lab.org>"); got != "planet-lab.org" {
		t.Errorf("got %q", got)
	}
	if got := Domain("nonsense"); got != "" {
		t.Errorf("got %q", got)
	}
}
