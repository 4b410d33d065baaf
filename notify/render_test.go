package notify

import (
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/planetlab/monitor/issue"
	"github.com/planetlab/monitor/site"
)

var now = time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)

func days(n float64) time.Time { return now.Add(time.Duration(n * 24 * float64(time.Hour))) }

func node(name string) Item {
	return Item{
		Issue: "nodedown/" + name, Type: "nodedown", Target: name, Since: days(-4),
		Evidence: []string{
			"no answer on ports 22, 80 and 806 since Fri 20 Nov 2026 09:00 UTC",
			"ping: no answer in 3 tries",
		},
		Deeds: []issue.Deed{
			{At: days(-3), What: issue.DeedRebooted, How: string(issue.Cycled)},
			{At: days(-2), What: issue.DeedReinstall, How: string(issue.PowerLost)},
		},
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

var steps = []site.Coming{
	{At: days(7), What: site.ComesStep, Level: 1, Targets: []string{"planetlab1.princeton.edu"}},
	{At: days(7), What: site.ComesWord},
	{At: days(14), What: site.ComesStep, Level: 2, Targets: []string{"planetlab1.princeton.edu"}},
	{What: site.ComesAdmins},
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
	n := notice(
		Down,
		Item{
			Issue:    evil,
			Type:     evil,
			Target:   evil,
			Since:    days(-3),
			Evidence: []string{evil, "", " "},
			Deeds:    []issue.Deed{{What: issue.DeedUnreachable, How: evil}},
			Fix:      evil,
		},
	)
	n.Site, n.SiteName, n.HowToStop, n.Coming = evil, evil, evil, []site.Coming{
		{At: days(1), What: site.ComesStep, Level: 1, Targets: []string{evil}},
	}
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
	forecast := []site.Coming{{At: days(2), Targets: []string{"b\n"}}, {At: days(1)}}
	n := notice(Down, items...)
	n.Coming = forecast
	if _, err := Render(n); err != nil {
		t.Fatal(err)
	}
	if items[0].Target != "b\n" || forecast[0].Targets[0] != "b\n" {
		t.Errorf("got %v %v", items, forecast)
	}
}

func TestSubjectsCountWhatTheyNameNot(t *testing.T) {
	for want, n := range map[string]Notice{
		"[princeton] a is down":                                      notice(Down, node("a")),
		"[princeton] 2 nodes are down":                               notice(Down, node("a"), node("b")),
		"[princeton] 1 node and 1 power control unit are in trouble": notice(Down, node("a"), pcu("b")),
		"[princeton] p is out of order":                              notice(PCUDown, pcu("p")),
		"[princeton] a is stuck in debug mode":                       notice(Down, Item{Type: "failboot", Target: "a"}),
		"[princeton] 2 power control units are back, thank you":      notice(Online, pcu("a"), pcu("b")),
		"[princeton] a needs an admin":                               notice(Flagged, node("a")),
		"[princeton] princeton is back, thank you":                   notice(Online, Item{}),
		"[princeton] 2 nodes need an admin":                          notice(Flagged, node("a"), node("b")),
		"[princeton] all limits are lifted, thank you":               notice(Cleared, Item{Level: 2}),
		"[princeton] the limit is lifted":                            notice(Cleared, Item{Level: 1, Why: string(site.SparedExempt)}),
	} {
		if m, err := Render(n); err != nil || m.Subject != want {
			t.Errorf("got %q, %v, want %q", m.Subject, err, want)
		}
	}
}

func TestAMachineHasOneEntryAndCountsOnce(t *testing.T) {
	missing := Item{
		Kind:     "pcumissing",
		Issue:    "pcumissing/a",
		Type:     "pcumissing",
		Target:   "a",
		Since:    days(-2),
		Evidence: []string{"no PCU feeds it"},
	}
	down := node("a")
	down.Kind = Down
	m, err := Render(notice("", down, missing))
	if err != nil {
		t.Fatal(err)
	}
	if m.Subject != "[princeton] a is down" || strings.Count(m.Text, "\na\n") != 1 {
		t.Errorf("two issues of one machine:\n%s\n%s", m.Subject, m.Text)
	}
	for _, want := range []string{"also down, and without a power control unit", "no PCU feeds it", "- Please look at the machine itself", "- Please connect the node"} {
		if !strings.Contains(m.Text, want) {
			t.Errorf("the entry lacks %q:\n%s", want, m.Text)
		}
	}
	back := Item{Kind: Online, Issue: "nodedown/a", Type: "nodedown", Target: "a"}
	again := Item{Kind: Online, Issue: "failboot/a", Type: "failboot", Target: "a"}
	if m, err := Render(notice("", back, again)); err != nil || m.Subject != "[princeton] a is back, thank you" {
		t.Errorf("one machine is back: %q, %v", m.Subject, err)
	}
	if m, err := Render(notice("", back, missing)); err != nil || strings.Contains(m.Text, "Thank you") ||
		strings.Contains(m.Subject, "back") {
		t.Errorf("thanks for a machine with other trouble: %q, %v\n%s", m.Subject, err, m.Text)
	}
}

func TestDeedsSayWhatIsKnownAndNoMore(t *testing.T) {
	n := Notice{At: now}
	for want, d := range map[string]issue.Deed{
		"power-cycled it through its power control unit":                                       {What: issue.DeedRebooted, How: string(issue.Cycled)},
		"tried to restart it through its power control unit, which did not say whether it has": {What: issue.DeedRebooted, How: string(issue.PowerLost)},
		"had it install itself anew, by a power cycle through its power control unit":          {What: issue.DeedReinstall, How: string(issue.Cycled)},
		"switched its power off, and the power control unit does not switch it on again":       {What: issue.DeedRebooted, How: string(issue.LeftOff)},
		"asked the operators to switch its power by hand":                                      {What: issue.DeedAskedAdmins, How: "pcu1"},
		"found while it boots that it is without a disk that it can use":                       {What: issue.DeedBootFound, How: "noblockdevice/a"},
		"waited until 24 Nov 2026 09:00 UTC, as was asked by ann: a new disk":                  {What: issue.DeedWaited, Until: now, By: "ann", How: "a new disk"},
		"set it disabled at PlanetLab Central, where it was at boot":                           {What: issue.DeedDisabled, How: "boot"},
		"checked its file systems, and started its boot once more":                             {What: issue.DeedRepaired, How: "fsck_repair"},
		"had it install itself anew":                                                           {What: issue.DeedRepaired, How: "restart_bootmanager_rins"},
		"entered it to mend its boot, and did not hear whether that worked":                    {What: issue.DeedTriedRepair, How: "fsck_repair"},
		"could not restart it through its power control unit: no route":                        {What: issue.DeedUnreachable, How: "no route"},
		"found that its power control unit pcu1 does not work, about which we write as well":   {What: issue.DeedPCUDownOpened, How: "pcu1"},
	} {
		if got := n.deeds(Item{Deeds: []issue.Deed{d, d}}); len(got) != 1 || got[0] != want {
			t.Errorf("got %q, want %q once", got, want)
		}
	}
}

func TestWhatComesIsSaidOnceAndNotBeforeItsTime(t *testing.T) {
	for name, c := range map[string]struct {
		coming []site.Coming
		want   []string
	}{
		"a step ahead": {steps[:1], []string{"Not before Tue 1 Dec 2026 09:00 UTC (in 7 days), if the site is still short of working nodes because of planetlab1.princeton.edu: " +
			"the site cannot create new slices any more, and its slices go on running."}},
		"a step that was promised for a time that has come": {[]site.Coming{{At: days(-1), What: site.ComesStep, Level: 2}},
			[]string{"Any time from now, if the site is still short of working nodes: the site cannot create new slices any more, and its slices are suspended; nothing in them is deleted."}},
		"a message twice": {[]site.Coming{{At: days(1), What: site.ComesWord}, {At: days(2), What: site.ComesWord}},
			[]string{"Wed 25 Nov 2026 09:00 UTC (in 24 hours): another message, if the trouble is still there."}},
		"a pause without end": {[]site.Coming{{What: site.ComesResume}}, []string{"The operators have stopped the clock: no limit comes before they let it go on, and you hear from us first."}},
		"a pause": {[]site.Coming{{At: days(30), What: site.ComesResume}},
			[]string{"Thu 24 Dec 2026 09:00 UTC (in 30 days): the clock, which is stopped, goes on. If the trouble is still there then, you hear from us before any limit comes."}},
	} {
		n := Notice{At: now, Coming: c.coming}
		if got := n.coming(); strings.Join(got, "\n") != strings.Join(c.want, "\n") {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
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
