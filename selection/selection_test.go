package selection_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/planetlab/monitor/selection"
)

func noon() time.Time { return time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC) }

func types() []string { return []string{"nodedown", "pcudown", "dnserror", "badhardware"} }

func options() selection.Options {
	return selection.Options{
		Now: noon(),
		Groups: map[string]string{
			"east": "site=princeton|mit", "far": "@east,state!=boot", "round": "@round", "deep": "@far,name=planetlab1*",
		},
		ReadFile: func(path string) ([]byte, error) {
			files := map[string]string{
				"hosts.txt": "# two hosts\nplanetlab1.princeton.edu\n  lab3  # by its short name\n",
				"empty.txt": "# nobody\n",
				"wrong.txt": "planetlab7.princeton.edu\n",
			}
			text, known := files[path]
			if !known {
				return nil, fmt.Errorf("open %s: no such file", path)
			}
			return []byte(text), nil
		},
	}
}

// fleet is four nodes: one down, one good, one in debug mode that nobody knows much of, and one of another site.
func fleet() []selection.Node {
	return []selection.Node{
		{
			Name:        "planetlab1.princeton.edu",
			NodeID:      1,
			Site:        "princeton",
			SitePenalty: 1,
			SiteStatus:  "good",
			Status:      "down",
			State:       "DOWN",
			Category:    "ERROR",
			Why:         "no ssh: timeout, at all",
			BootState:   "boot",
			Model:       "HP DL320",
			PCU:         "pcu1.princeton.edu",
			PCUModel:    "APCControl12p3",
			PCUOK:       true,
			Feeds:       1,
			Since:       noon().AddDate(0, 0, -3),
			LastContact: noon().AddDate(0, 0, -4),
			Seen:        noon().Add(-time.Minute),
			Issues: []string{
				"nodedown",
				"dnserror",
			},
			IssueSince:  noon().AddDate(0, 0, -2),
			Groups:      []string{"Alpha", "Rollout"},
			PowerCycles: 2,
			SSH:         "timeout",
		},
		{
			Name:        "planetlab2.princeton.edu",
			NodeID:      2,
			Site:        "princeton",
			SiteStatus:  "good",
			SitePenalty: 1,
			Status:      "good",
			State:       "BOOT",
			Category:    "PROD",
			BootState:   "boot",
			Booted:      noon().Add(-26 * time.Hour),
			Since:       noon().AddDate(0, 0, -30),
			Seen:        noon(),
			SSH:         "ok",
			Facts:       map[string]any{"kernel": "Linux 2.6.32-20", "boot_server": "boot.example.edu", "disks": 2.0},
		},
		{
			Name:        "lab3.mit.edu",
			NodeID:      3,
			Site:        "mit",
			Status:      "failboot",
			State:       "DEBUG",
			BootState:   "reinstall",
			Blacklisted: true,
		},
		{
			Name:     "planetlab1.epfl.ch",
			NodeID:   4,
			Site:     "epfl",
			Status:   "online",
			State:    "BOOT",
			Firewall: true,
			Model:    "hp dl360",
			Facts:    map[string]any{"kernel": "Linux 4.19.1"},
		},
	}
}

func pick(t *testing.T, r selection.Request) (string, error) {
	t.Helper()
	set, err := selection.NewSet(selection.Nodes(types()), r, options())
	if err != nil {
		return "", err
	}
	rows, err := set.Pick(fleet())
	var ids []string
	for _, n := range rows {
		ids = append(ids, fmt.Sprint(n.NodeID))
	}
	return strings.Join(ids, " "), err
}

func TestExpressionsSelect(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		// CEL
		{`site == "princeton" && state != "boot"`, "1"},
		{`status in ["down", "failboot"]`, "1 3"},
		{`site.penalty >= 1`, "1 2"},
		{`"nodedown" in issues`, "1"},
		{`issues.exists(i, i.startsWith("dns"))`, "1"},
		{`size(issues) > 1`, "1"},
		{`last_contact_age > duration("48h")`, "1"},
		{`now - since > duration("480h")`, "2"},
		{`uptime > duration("1h") || firewall`, "2 4"},
		{`known(kernel) && kernel.matches("2\\.6")`, "2"},
		{`facts.disks > 1`, "2"},
		{`has(facts.boot_server)`, "2"},
		{`facts["kernel"].contains("4.19")`, "4"},
		{`!known(pcu)`, "2 3 4"},
		{`pcu.model == "APCControl12p3" && pcu.ok`, "1"},
		{`named(name, "planetlab*") && !named(name, "*.ch")`, "1 2"},
		{`like(model, "hp*")`, "1 4"},
		{`true`, "1 2 3 4"},
		// the short form
		{"site=princeton,state!=boot", "1"},
		{"state=BOOT", "2 4"},
		{"state!=BOOT", "1 3"},
		{"site=princeton|mit", "1 2 3"},
		{"site!=princeton|mit", "4"},
		{"site=prince*", "1 2"},
		{"site!=prince*", "3 4"},
		{"model=HP*", "1 4"},
		{`why="no ssh: timeout, at all"`, "1"},
		{"why~timeout", "1"},
		{"site.penalty=1,pcu.ok=yes", "1"},
		{"site.penalty>=1", "1 2"},
		{"last_contact_age>2d", "1"},
		{"uptime>1d1h,uptime<2d", "2"},
		{"since<2026-11-20", "2"},
		{"issues=nodedown", "1"},
		{"issues!=nodedown", "2 3 4"},
		{"issues=*error", "1"},
		{"group=Alpha", "1"},
		{"group=alph*,site=princeton", "1"},
		{`"Rollout" in group`, "1"},
		{"issues~^dns", "1"},
		{"firewall", "4"},
		{"!firewall", "1 2 3"},
		{"firewall=true", "4"},
		{"firewall!=true", "1 2 3"},
		{"pcu=", "2 3 4"},
		{"pcu!=", "1"},
		{"facts.boot_server=boot*", "2"},
		{"facts.disks>1", "2"},
		{"facts.kernel=", "1 3"},
		{"kernel~2\\.6", "2"},
		{"kernel!~2\\.6", "4"},
		{"hostname=lab3*", "3"}, // an old name
		// names, globs, groups, files
		{"planetlab2", "2"},
		{"lab3", "3"},
		{"PlanetLab1.Princeton.edu", "1"},
		{"planetlab*", "1 2 4"},
		{"planetlab1.*", "1 4"},
		{"planetlab*.princeton.edu,lab3", "1 2 3"},
		{"planetlab*,state=boot", "2 4"},
		{"planetlab*,!planetlab2", "1 4"},
		{"*", "1 2 3 4"},
		{"*,!*.edu", "4"},
		{"planetlab[2-9]*", "2"},
		{"@east", "1 2 3"},
		{"@far", "1 3"},
		{"!@far", "2 4"},
		{"@deep", "1"},
		{"file:hosts.txt", "1 3"},
		{"planetlab*,!file:hosts.txt", "2 4"},
		// the old form
		{"state=BOOT&&kernel=.*2.6", "2"},
		{"state=DEBUG||site=epfl", "3 4"},
		{"loginbase=prince&&state!=BOOT||hostname=lab", "1 3"},
		{"issues=nodedown&&site=princeton", "1"},
		{"site.penalty=1&&pcuok=true", "1"},
	} {
		if got, err := pick(t, selection.Request{Select: []string{c.text}}); err != nil || got != c.want {
			t.Errorf("%s selects %q, not %q: %v", c.text, got, c.want, err)
		}
	}
}

func TestMistakesSayWhatIsMeant(t *testing.T) {
	for _, c := range []struct{ text, says string }{
		{"", "an empty expression selects nothing: write * for all nodes"},
		{"  ", "an empty expression selects nothing"},
		{"sit=princeton", `nodes have no field "sit": did you mean site?`},
		{`stauts == "down"`, `nodes have no field "stauts": did you mean status?`},
		{`site.penality > 1`, `nodes have no field "site.penality": did you mean site.penalty?`},
		{`kernle=2.6&&state=BOOT`, `nodes have no field "kernle": did you mean kernel?`},
		{"status=dwon", `status is never "dwon": did you mean down?`},
		{`status == "dwon"`, `status is never "dwon": did you mean down?`},
		{`state == "BOOT"`, `state is never "BOOT": did you mean boot?`},
		{`status in ["down", "goood"]`, `status is never "goood": did you mean good?`},
		{`"nodedwn" in issues`, `issues is never "nodedwn": did you mean nodedown?`},
		{"penalty=high", `nodes have no field "penalty": did you mean site.penalty?`},
		{"site.penalty=high", `site.penalty is a number, not "high"`},
		{"uptime>long", `uptime is a duration such as 36h or 2d, not "long"`},
		{"since>tomorrow", `since is a time such as 2026-12-24`},
		{"firewall=maybe", `firewall is yes or no, not "maybe"`},
		{"site>mit", "site is a text and has no order"},
		{"why~(", "missing closing )"},
		{"why=(&&state=BOOT", "missing closing )"},
		{"facts=1", "facts has many values: name one, as facts.NAME=VALUE"},
		{"@esat", `no group "esat": did you mean @east?`},
		{"@round", "groups name one another in a circle"},
		{"file:nowhere.txt", "open nowhere.txt: no such file"},
		{"file:empty.txt", "empty.txt names nobody"},
		{`name`, "no such name among nodes"},
		{`size(issues)`, "it is a int, and must be true or false"},
		{`site == 3`, "no matching overload"},
		{`site == "princeton" &&`, "column 23"},
		{`frobnicate(site)`, "undeclared reference to 'frobnicate'"},
	} {
		_, err := pick(t, selection.Request{Select: []string{c.text}})
		if err == nil || !strings.Contains(err.Error(), c.says) && c.text != "name" {
			t.Errorf("%s: %v does not say %q", c.text, err, c.says)
		}
		if err != nil && strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: more than one line: %q", c.text, err)
		}
	}
}

func TestNamesMustBeOneRowsEach(t *testing.T) {
	for _, c := range []struct{ text, says string }{
		{"planetlab1", "planetlab1 is ambiguous, it may be planetlab1.princeton.edu, planetlab1.epfl.ch: write the whole name, or planetlab1.* for all of them"},
		{"planetlab4.princeton.edu", "no such name among nodes: planetlab4.princeton.edu: did you mean planetlab1.princeton.edu?"},
		{"*,!planetlab4.princeton.edu", "no such name among nodes"},
		{`status == "down" || named(name, "lab33")`, "lab33: did you mean lab3?"},
		{"file:wrong.txt", "planetlab7.princeton.edu: did you mean"},
		{"site", "site is a field: write site=VALUE"},
	} {
		if _, err := pick(t, selection.Request{Select: []string{c.text}}); !errors.Is(err, selection.ErrNoSuchName) ||
			!strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v does not say %q", c.text, err, c.says)
		}
	}
}

func TestNothingIsAnErrorAndNeverEverything(t *testing.T) {
	for _, text := range []string{"site=nowhere", "false", `site == "princeton" && site == "mit"`, "*,!*", "state=boot,state!=boot", "kernel=2.4*", "site=nowhere&&state=BOOT"} {
		if got, err := pick(t, selection.Request{Select: []string{text}}); !errors.Is(err, selection.ErrNothing) ||
			got != "" {
			t.Errorf("%s selects %q, %v", text, got, err)
		}
	}
	if got, err := pick(t, selection.Request{NotIn: []string{"*"}}); !errors.Is(err, selection.ErrNothing) ||
		got != "" {
		t.Errorf("all but all is %q, %v", got, err)
	}
	if got, err := pick(t, selection.Request{}); err != nil || got != "1 2 3 4" {
		t.Errorf("without a request it is %q, %v", got, err)
	}
	set, err := selection.NewSet(selection.Nodes(types()), selection.Request{Select: []string{"*"}}, options())
	if err != nil {
		t.Fatal(err)
	}
	if rows, err := set.Pick(nil); !errors.Is(err, selection.ErrNothing) || rows != nil {
		t.Errorf("* of an empty fleet is %v, %v", rows, err)
	}
}

func TestRequestsAreSets(t *testing.T) {
	for _, c := range []struct {
		r    selection.Request
		want string
	}{
		{selection.Request{Select: []string{"site=mit", "site=epfl"}}, "3 4"},
		{selection.Request{Select: []string{"planetlab*"}, In: []string{"site=princeton", "state=boot"}}, "2"},
		{selection.Request{Select: []string{"*"}, NotIn: []string{"file:hosts.txt", "site=epfl"}}, "2"},
		{selection.Request{NotIn: []string{"site=princeton"}}, "3 4"},
		{selection.Request{In: []string{"site=princeton"}}, "1 2"},
		// What may be in it is left out: of 1 and 3 no kernel is known.
		{selection.Request{NotIn: []string{"kernel~2\\.6"}}, "4"},
	} {
		if got, err := pick(t, c.r); err != nil || got != c.want {
			t.Errorf("%+v selects %q, not %q: %v", c.r, got, c.want, err)
		}
	}
}

func TestOnlyACommandLineReadsFiles(t *testing.T) {
	_, err := selection.Compile(selection.Nodes(types()), "file:/etc/passwd", selection.Options{Now: noon()})
	if err == nil || !strings.Contains(err.Error(), "file: is for the command line only") {
		t.Errorf("a file is read: %v", err)
	}
}

func TestCostlyAndDeepExpressionsAreRefused(t *testing.T) {
	numbers := "[" + strings.Repeat("1,", 99) + "1]"
	for name, text := range map[string]string{
		"loops within loops":  numbers + ".all(a, " + numbers + ".all(b, " + numbers + ".all(c, a + b + c > 0)))",
		"many parentheses":    strings.Repeat("(", 500) + "true" + strings.Repeat(")", 500),
		"many differences":    strings.Repeat("-(", 300) + "id" + strings.Repeat(")", 300) + " == 1",
		"many lists":          strings.Repeat("[", 500) + strings.Repeat("]", 500) + " == []",
		"long":                `site == "` + strings.Repeat("x", 100_000) + `"`,
		"a text that doubles": strings.Repeat("(", 30) + "site" + strings.Repeat(" + site)", 30) + `.matches("` + strings.Repeat("a?", 400) + `")`,
		"a large regex":       `site.matches("(((x{1,100}){1,100}){1,10})")`,
		"many conditionals":   strings.Repeat("true ? ", 300) + "true" + strings.Repeat(" : true", 300),
	} {
		start := time.Now()
		_, err := pick(t, selection.Request{Select: []string{text}})
		if err == nil {
			t.Errorf("%s: it passes", name)
		} else if errors.Is(err, selection.ErrNothing) {
			t.Errorf("%s: it is evaluated: %v", name, err)
		} else if len(err.Error()) > 1000 {
			t.Errorf("%s: the error has %d letters", name, len(err.Error()))
		}
		t.Logf("%s: %s, %v", name, time.Since(start), err)
	}
}

func TestALongListOfNamesIsNotDeep(t *testing.T) {
	var rows []selection.Node
	var names []string
	for i := range 1000 {
		rows = append(rows, selection.Node{Name: fmt.Sprintf("node%d.example.edu", i), NodeID: i})
		names = append(names, fmt.Sprintf("node%d", i))
	}
	set, err := selection.NewSet(
		selection.Nodes(types()),
		selection.Request{Select: []string{strings.Join(names, ",")}},
		options(),
	)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := set.Pick(rows); err != nil || len(got) != 1000 {
		t.Errorf("%d of a thousand names: %v", len(got), err)
	}
}

func TestExplanationsNameEachPart(t *testing.T) {
	set, err := selection.NewSet(
		selection.Nodes(types()),
		selection.Request{Select: []string{"site=princeton,state!=boot", "kernel~2.6"}, NotIn: []string{"blacklisted"}},
		options(),
	)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{
		`yes --select yes[like(site, "princeton"): yes, state != "boot": yes] --select unknown[] --not-in no[]`,
		`yes --select no[like(site, "princeton"): yes, state != "boot": no] --select yes[] --not-in no[]`,
		`no --select no[like(site, "princeton"): no, state != "boot": yes] --select unknown[] --not-in yes[]`,
	} {
		e, err := set.Explain(&fleet()[i])
		if err != nil {
			t.Fatal(err)
		}
		got := map[bool]string{true: "yes", false: "no"}[e.Selected]
		for _, r := range e.Why {
			var parts []string
			for _, p := range r.Parts {
				parts = append(parts, p.Text+": "+string(p.Answer))
			}
			got += fmt.Sprintf(" %s %s[%s]", r.Of, r.Answer, strings.Join(parts, ", "))
		}
		if got != want {
			t.Errorf("node %d: %s\nwant %s", i, got, want)
		}
	}
	e, _ := set.Explain(&fleet()[0])
	if v := strings.Join(e.Why[0].Parts[1].Values, ";"); v != `state is "down"` {
		t.Errorf("the part shows %s", v)
	}
	if v := strings.Join(e.Why[1].Values, ";"); v != `kernel is not known` {
		t.Errorf("the part shows %s", v)
	}
}

func TestEveryFieldOfEveryTableCanBeAsked(t *testing.T) {
	check(t, selection.Nodes(types()))
	check(t, selection.Sites(types()))
	check(t, selection.PCUs(types()))
	check(t, selection.Issues(types()))
	check(t, selection.Ledger())
	check(t, selection.History())
	check(t, selection.Findings([]string{"outlet-twice"}))
	check(t, selection.NodesAt(types()))
	check(t, selection.IssuesAt(types()))
}

func check[T any](t *testing.T, table *selection.Table[T]) {
	t.Helper()
	var row T
	for _, f := range table.Fields() {
		if f.About == "" || f.Type == "" || strings.HasSuffix(f.About, ".") {
			t.Errorf("%s %s is not described", table.Kind, f.Name)
		}
		for _, name := range append([]string{f.Name}, f.Old...) {
			if got, err := table.Lookup(name); err != nil || got.Name != f.Name {
				t.Errorf("%s %s is %v, %v", table.Kind, name, got, err)
			}
		}
		text := "known(" + f.Name + ")"
		s, err := selection.Compile(table, text, options())
		if err != nil {
			t.Errorf("%s: %s: %v", table.Kind, text, err)
			continue
		}
		if _, err := s.Match(&row); err != nil || !s.Uses(f.Name) {
			t.Errorf("%s: %s: %v", table.Kind, text, err)
		}
	}
}

func TestOneSetIsAskedByManyAtOnce(t *testing.T) {
	set, err := selection.NewSet(selection.Nodes(types()), selection.Request{
		Select: []string{"planetlab*,state=boot", "issues~^node"}, NotIn: []string{"site=mit"},
	}, options())
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			rows := fleet()
			for range 20 {
				if got, err := set.Pick(rows); err != nil || len(got) != 3 {
					t.Errorf("%d rows, %v", len(got), err)
				}
				if _, err := set.Explain(&rows[0]); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

// Entries of a map may be of several types: they are put in order all the same, numbers before texts, and what is not
// known is last, whichever way round.
func TestEntriesOfAMapAreSorted(t *testing.T) {
	table := selection.Nodes(nil)
	for field, want := range map[string]string{"facts.fans": "d a b c e ", "-facts.fans": "c b a d e "} {
		order, err := table.Order([]string{field})
		if err != nil {
			t.Fatal(err)
		}
		rows := []*selection.Node{{Name: "e"}, {Name: "c", Facts: map[string]any{"fans": "many"}}, {Name: "b", Facts: map[string]any{"fans": true}},
			{Name: "a", Facts: map[string]any{"fans": 10.0}}, {Name: "d", Facts: map[string]any{"fans": 9.5}}}
		table.Sort(rows, order, time.Now())
		got := ""
		for _, r := range rows {
			got += r.Name + " "
		}
		if got != want {
			t.Errorf("%s puts them as %s, want %s", field, got, want)
		}
	}
}

func TestPartsOfNodesAreThoseThatSomebodyAsksFor(t *testing.T) {
	for text, want := range map[string]selection.NodeParts{
		"status=down":                  {},
		"kernel=4*":                    {Details: true},
		"facts.disk > 90":              {Details: true},
		"power_cycles_7d>1":            {Past: true},
		"known(power_cycle_age)":       {Past: true},
		"changes_30d > 3 && ssh == ''": {Details: true, Past: true},
	} {
		s, err := selection.Compile(selection.Nodes(nil), text, selection.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if got := selection.NodePartsOf(s.Uses); got != want {
			t.Errorf("%s: %+v, want %+v", text, got, want)
		}
	}
}
