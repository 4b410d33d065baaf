package selection_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/planetlab/monitor/selection"
)

// condition is a term of the short form with the same in plain Go.
type condition struct {
	text string
	is   func(n selection.Node) bool
}

func randomNode(r *rand.Rand, id int) selection.Node {
	pick := func(list ...string) string { return list[r.IntN(len(list))] }
	n := selection.Node{
		NodeID: id,
		Name:   fmt.Sprintf("node%d.%s.edu", id, pick("a", "b", "c")),
		Site:   pick("a", "b", "c"),
		Status: pick("good", "down", "failboot"),
		State: pick(
			"BOOT",
			"DOWN",
			"DEBUG",
		),
		SitePenalty: r.IntN(3),
		Firewall:    r.IntN(4) == 0,
		Model:       pick("", "HP DL320", "hp dl360", "Dell"),
	}
	if r.IntN(2) == 0 {
		n.LastContact = noon().Add(-time.Duration(r.IntN(100)) * time.Hour)
	}
	for _, typ := range types() {
		if r.IntN(4) == 0 {
			n.Issues = append(n.Issues, typ)
		}
	}
	return n
}

func randomCondition(r *rand.Rand) condition {
	site, level, hours := string(rune('a'+r.IntN(4))), r.IntN(3), r.IntN(100)
	typ := types()[r.IntN(len(types()))]
	return []condition{
		{"site=" + site, func(n selection.Node) bool { return n.Site == site }},
		{"site!=" + site, func(n selection.Node) bool { return n.Site != site }},
		{"state=boot|debug", func(n selection.Node) bool { return n.State != "DOWN" }},
		{fmt.Sprintf("site.penalty>=%d", level), func(n selection.Node) bool { return n.SitePenalty >= level }},
		{"firewall", func(n selection.Node) bool { return n.Firewall }},
		{"!firewall", func(n selection.Node) bool { return !n.Firewall }},
		{"model=hp*", func(n selection.Node) bool { return strings.HasPrefix(strings.ToLower(n.Model), "hp") }},
		{"model!=hp*", func(n selection.Node) bool {
			return n.Model != "" && !strings.HasPrefix(strings.ToLower(n.Model), "hp")
		}},
		{"issues=" + typ, func(n selection.Node) bool { return slices.Contains(n.Issues, typ) }},
		{"issues!=" + typ, func(n selection.Node) bool { return !slices.Contains(n.Issues, typ) }},
		{fmt.Sprintf("last_contact_age>%dh", hours), func(n selection.Node) bool {
			return !n.LastContact.IsZero() && noon().Sub(n.LastContact) > time.Duration(hours)*time.Hour
		}},
		{"node*." + site + ".edu", func(n selection.Node) bool { return strings.HasSuffix(n.Name, "."+site+".edu") }},
		{"!node*." + site + ".edu", func(n selection.Node) bool { return !strings.HasSuffix(n.Name, "."+site+".edu") }},
	}[r.IntN(13)]
}

// One name at most: names are joined by or.
func oneName(list []condition) bool {
	names := 0
	for _, c := range list {
		if strings.HasPrefix(c.text, "node*") {
			names++
		}
	}
	return names <= 1
}

func TestShortFormsSelectWhatPlainGoSelects(t *testing.T) {
	r := rand.New(rand.NewPCG(12, 12))
	table := selection.Nodes(types())
	var rows []selection.Node
	for id := range 60 {
		rows = append(rows, randomNode(r, id))
	}
	for range 1500 {
		var list []condition
		for range 1 + r.IntN(4) {
			list = append(list, randomCondition(r))
		}
		if !oneName(list) {
			continue
		}
		var texts []string
		for _, c := range list {
			texts = append(texts, c.text)
		}
		text := strings.Join(texts, ",")
		s, err := selection.Compile(table, text, options())
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		again, err := selection.Compile(table, s.CEL(), options())
		if err != nil {
			t.Fatalf("%s is %s: %v", text, s.CEL(), err)
		}
		notIt, err := selection.Compile(table, "!("+s.CEL()+")", options())
		if err != nil {
			t.Fatal(err)
		}
		for i := range rows {
			want := !slices.ContainsFunc(list, func(c condition) bool { return !c.is(rows[i]) })
			got := match(t, s, &rows[i])
			if got != want {
				t.Fatalf("%s of %+v is %v", text, rows[i], got)
			}
			if match(t, again, &rows[i]) != got {
				t.Fatalf("%s and %s differ", text, s.CEL())
			}
			if match(t, notIt, &rows[i]) && got {
				t.Fatalf("%s and its contrary both select %+v", text, rows[i])
			}
		}
	}
}

func match(t *testing.T, s *selection.Selection[selection.Node], n *selection.Node) bool {
	t.Helper()
	is, err := s.Match(n)
	if err != nil {
		t.Fatal(err)
	}
	return is
}

// FuzzSelection feeds any text: it is refused or selects some of the rows, explains itself, and means the same in CEL.
func FuzzSelection(f *testing.F) {
	for _, seed := range []string{
		"", "*", "site=princeton,state!=boot", "state=BOOT&&kernel=2.6||site=mit", `site == "mit" && known(kernel)`, "planetlab1,!lab3,@east,file:hosts.txt",
		`issues.exists(i, i == "nodedown")`, "facts.kernel~4", "uptime>1d12h", `why="a,b"`, "site='", "a=b&&\x00", "!", "=", ",", "[", "\xff=\xff", `"\`, "file:", "@",
		`now - since > duration("1h")`, "1/0 == 1", "facts.disks/0 > 1", `{"a": 1}.a == 1`, "[1,2][9] == 1", "site.matches(why)",
	} {
		f.Add(seed)
	}
	table := selection.Nodes(types())
	f.Fuzz(func(t *testing.T, text string) {
		set, err := selection.NewSet(table, selection.Request{Select: []string{text}}, options())
		if err != nil {
			return
		}
		rows := fleet()
		picked, err := set.Pick(rows)
		if len(picked) == 0 && err == nil {
			t.Errorf("%q selects nothing, and that is no error", text)
		}
		if len(picked) > 0 && err != nil {
			t.Errorf("%q selects %d rows and fails: %v", text, len(picked), err)
		}
		if err != nil && !errors.Is(err, selection.ErrNothing) {
			return
		}
		for i := range rows {
			e, err := set.Explain(&rows[i])
			is := slices.ContainsFunc(picked, func(n selection.Node) bool { return n.NodeID == rows[i].NodeID })
			if err != nil {
				continue // it costs more to look at every part
			}
			if e.Selected != is || (e.Why[0].Answer == selection.Yes) != is {
				t.Errorf("%q: %s is selected: %v, and the explanation says %+v", text, rows[i].Name, is, e)
			}
		}
	})
}
