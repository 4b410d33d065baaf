package access

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden file and docs/access.md anew")

// golden compares a text with a file.
func golden(t *testing.T, path, text string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != text {
		t.Errorf("%s is not what the table says now: read the difference, then run `go test ./access -update`\n%s", path, text)
	}
}

// people are those of the matrix: each role as it is usually given, and strangers.
func people() []Who {
	return []Who{
		{Name: "viewer", Role: Viewer, Sites: []string{AllSites}},
		{Name: "user of mine", Role: Viewer, Sites: []string{"mine"}},
		{Name: "tech of mine", Role: Site, Sites: []string{"mine"}},
		{Name: "operator", Role: Operator, Sites: []string{AllSites}},
		{Name: "operator of mine", Role: Operator, Sites: []string{"mine"}},
		{Name: "admin", Role: Admin, Sites: []string{AllSites}},
		{Name: "stranger"},
		{Name: "site, no site", Role: Site},
		{Name: "site, all sites", Role: Site, Sites: []string{AllSites}},
		{Name: "role unknown", Role: "root", Sites: []string{AllSites}},
	}
}

func TestTheWholeMatrixIsThatOfTheGoldenFile(t *testing.T) {
	var b strings.Builder
	b.WriteString("m: allowed at the site mine, f: at a foreign one, *: for the whole fleet, -: not at all\n\n")
	fmt.Fprintf(&b, "%-18s", "")
	for _, w := range people() {
		fmt.Fprintf(&b, " %-17s", w.Name)
	}
	for _, r := range Verbs() {
		fmt.Fprintf(&b, "\n%-18s", r.Verb)
		for _, w := range people() {
			marks := ""
			for _, at := range []struct{ mark, site string }{{"m", "mine"}, {"f", "foreign"}, {"*", ""}} {
				if Allowed(w, r.Verb, at.site) {
					marks += at.mark
				}
			}
			if marks == "" {
				marks = "-"
			}
			fmt.Fprintf(&b, " %-17s", marks)
		}
	}
	lines := strings.Split(b.String(), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	golden(t, "testdata/matrix.txt", strings.Join(lines, "\n")+"\n")
}

func TestThePageIsTheTable(t *testing.T) { golden(t, "../docs/access.md", Page()) }

func TestEverythingIsRefusedUnlessAllowed(t *testing.T) {
	admin := Who{Name: "root", Role: Admin, Sites: []string{AllSites}}
	for _, c := range []struct {
		name string
		who  Who
		verb Verb
		site string
		says string
	}{
		{"a stranger", Who{}, SeeNodes, "mine", "nobody is signed in"},
		{"a verb that nobody knows", admin, "node.melt", "mine", `no verb "node.melt" is known`},
		{"a foreign site", Who{Name: "tom", Role: Site, Sites: []string{"mine"}}, NodeReboot, "foreign", "node.reboot at foreign is not for tom"},
		{"a site by the name of all", Who{Name: "tom", Role: Site, Sites: []string{"mine"}}, SeeNodes, AllSites, "at *"},
		{"a role that may not", Who{Name: "vic", Role: Viewer, Sites: []string{AllSites}}, FleetStop, "", "vic is a viewer"},
		{"a fleet's verb for one of a site", Who{Name: "op", Role: Operator, Sites: []string{"mine"}}, FleetStop, "", "concerns the whole fleet"},
		{"the fleet's verb with one's own site named", Who{Name: "op", Role: Operator, Sites: []string{"mine"}}, FleetStop, "mine", "concerns the whole fleet"},
	} {
		err := Check(c.who, c.verb, c.site)
		if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	for _, r := range Verbs() {
		if r.Scope == Everybody {
			continue
		}
		if Allowed(Who{Name: "x", Role: Operator}, r.Verb, "mine") {
			t.Errorf("no sites mean all for %s", r.Verb)
		}
	}
}

func TestEveryVerbIsForTheAdminAndStandsOnce(t *testing.T) {
	seen := map[Verb]bool{}
	for _, r := range Verbs() {
		if seen[r.Verb] {
			t.Errorf("%s stands twice", r.Verb)
		}
		seen[r.Verb] = true
		if r.About == "" || r.Scope == "" || r.Roles[len(r.Roles)-1] != Admin {
			t.Errorf("%s is not whole: %+v", r.Verb, r)
		}
	}
}

func TestAScopeIsRefusedThatMeansNothing(t *testing.T) {
	for _, c := range []struct {
		role  Role
		sites []string
		says  string
	}{
		{"root", []string{AllSites}, "no role"},
		{Viewer, nil, "no site is named"},
		{Site, []string{AllSites}, "not for all"},
		{Operator, []string{""}, "without a name"},
		{Operator, []string{AllSites}, ""},
		{Site, []string{"mine", "other"}, ""},
	} {
		if err := CheckScope(c.role, c.sites); (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s of %q: %v", c.role, c.sites, err)
		}
	}
}

func TestSomebodyIsNamedByWhatHeWasRecognisedBy(t *testing.T) {
	for want, w := range map[string]Who{
		"a stranger":    {},
		"alice":         {Account: "alice"},
		"bob, as alice": {Name: "bob", Account: "alice"},
		"carol":         {Name: "carol", Account: "carol"},
	} {
		if w.String() != want {
			t.Errorf("%+v is %q", w, w)
		}
	}
}
