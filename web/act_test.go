package web

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/planetlab/monitor/access"
	"github.com/planetlab/monitor/store"
)

var planID = regexp.MustCompile(`name="plan" value="([^"]+)"`)

// looksAt shows a plan, and is its name.
func (v *visitor) looksAt(form url.Values) (id, body string) {
	v.t.Helper()
	code, body := v.post("/act/preview", form)
	m := planID.FindStringSubmatch(body)
	if m == nil {
		v.t.Fatalf("%v: no plan: %d %s", form, code, body)
	}
	return m[1], body
}

func silenced(t *testing.T, f *fixture) (targets []string) {
	t.Helper()
	list, err := f.Blacklist(t.Context())
	f.must(t, err)
	for _, e := range list {
		if e.Target != "nairobi" {
			targets = append(targets, e.Target)
		}
	}
	slices.Sort(targets)
	return targets
}

func TestAPlanIsCarriedOutForWhatWasShownAndNothingElse(t *testing.T) {
	f := newFixture(t)
	v := f.as(t, anOperator)
	id, body := v.looksAt(url.Values{"do": {"target.silence"}, "of": {"nodes"}, "all": {"1"}, "back": {"/nodes?select=status%3Ddown,site%3Dhuji|tokyo"}})
	for _, want := range []string{"planetlab1.huji.example", "planetlab2.huji.example", "planetlab2.tokyo.example", "Silence: 3 nodes"} {
		if !strings.Contains(body, want) {
			t.Errorf("%s is not shown", want)
		}
	}
	if got := silenced(t, f); len(got) > 0 {
		t.Fatalf("the preview silences %v", got)
	}
	// the fleet changes: one more would be selected now
	f.must(t, f.SaveChanges(t.Context(), []store.Change{{Kind: "node", Target: "planetlab1.tokyo.example", Record: fixtureDown()}}, noon))
	if code, body := v.post("/act", url.Values{"plan": {id}, "until": {"3d"}}); code != http.StatusBadRequest || !strings.Contains(body, "Say why") {
		t.Errorf("without a reason: %d", code)
	}
	if code, body := v.post("/act", url.Values{"plan": {id}, "reason": {"moving"}, "until": {"yesterday"}}); code != http.StatusBadRequest || !strings.Contains(body, "is no time") {
		t.Errorf("without a time: %d", code)
	}
	form := url.Values{"plan": {id}, "reason": {"the racks are moved"}, "until": {"3d"}, "id": {"planetlab1.inria.example"}}
	code, body := v.post("/act", form)
	want := []string{"planetlab1.huji.example", "planetlab2.huji.example", "planetlab2.tokyo.example"}
	if got := silenced(t, f); code != http.StatusOK || !slices.Equal(got, want) || !strings.Contains(body, "3 of 3 done") {
		t.Errorf("%d: %v\n%s", code, got, body)
	}
	// the same form once more orders nothing again
	if code, body := v.post("/act", form); code != http.StatusOK || len(silenced(t, f)) != 3 || strings.Count(body, "it was given before") != 3 {
		t.Errorf("%d: %v\n%s", code, silenced(t, f), body)
	}
	acts, err := f.Actions(t.Context(), store.ActionFilter{Kind: store.KindOrder})
	f.must(t, err)
	if len(acts) != 3 || !strings.Contains(string(acts[0].Data), anOperator) || acts[0].Reason != "the racks are moved" || !strings.Contains(string(acts[0].Data), "127.0.0.1") {
		t.Errorf("%+v", acts)
	}
	// what went wrong is told target by target, and offered again
	id, _ = v.looksAt(url.Values{"do": {"target.unsilence"}, "of": {"nodes"}, "id": {"planetlab1.huji.example", "planetlab1.inria.example"}})
	code, body = v.post("/act", url.Values{"plan": {id}, "reason": {"they stand"}})
	if code != http.StatusOK || !strings.Contains(body, "1 of 2 done") || !strings.Contains(body, "is not exempt") || !strings.Contains(body, "Try those 1 again") {
		t.Errorf("%d %s", code, body)
	}
}

func TestNobodyCarriesOutThePlanOfAnother(t *testing.T) {
	f := newFixture(t)
	id, _ := f.as(t, anOperator).looksAt(url.Values{"do": {"fleet.stop"}, "of": {""}})
	for name, v := range map[string]*visitor{"an admin": f.as(t, anAdmin), "a stranger": f.visitor(t)} {
		if code, body := v.post("/act", url.Values{"plan": {id}, "reason": {"mine"}}); code == http.StatusOK && !strings.Contains(body, "<h1>Sign in") {
			t.Errorf("%s: %d", name, code)
		}
	}
	for _, forged := range []string{"", "x", id + "x", strings.ToUpper(id)} {
		if code, _ := f.as(t, anOperator).post("/act", url.Values{"plan": {forged}, "reason": {"r"}}); code != http.StatusBadRequest {
			t.Errorf("the forged plan %q: %d", forged, code)
		}
	}
	if c, err := f.Controls(t.Context()); err != nil || c.Stopped() != "" {
		t.Error("it is stopped", err)
	}
}

func TestTheFleetIsStoppedAndStartedOnThePages(t *testing.T) {
	f := newFixture(t)
	v := f.as(t, anOperator)
	id, _ := v.looksAt(url.Values{"do": {"fleet.stop"}, "of": {""}, "back": {"/"}})
	if code, body := v.post("/act", url.Values{"plan": {id}, "reason": {"power works " + evil}}); code != http.StatusOK || !strings.Contains(body, "1 of 1 done") {
		t.Fatalf("%d %s", code, body)
	}
	for _, path := range []string{"/", "/nodes", "/audit"} {
		if _, body := v.get(path); !strings.Contains(body, "Stopped: power works") || strings.Contains(body, "<script>alert") {
			t.Errorf("%s does not say that it is stopped, or says it as markup", path)
		}
	}
	id, _ = v.looksAt(url.Values{"do": {"fleet.start"}, "of": {""}})
	if code, _ := v.post("/act", url.Values{"plan": {id}, "reason": {"done"}}); code != http.StatusOK {
		t.Error(code)
	}
	if c, err := f.Controls(t.Context()); err != nil || c.Stopped() != "" {
		t.Error("it is stopped still", err)
	}
}

// Every deed is offered to and taken from exactly those whom the table of access/ allows it.
func TestOrdersAreForThoseWhoMayGiveThem(t *testing.T) {
	f := oneFleet(t)
	target := map[string]string{"issues": "nodedown/planetlab1.huji.example", "nodes": "planetlab1.huji.example", "sites": "huji", "pcus": "pcu.huji.example", "sequences": "a-b", "": ""}
	foreign := map[string]string{"issues": "nodedown/planetlab2.tokyo.example", "nodes": "planetlab2.tokyo.example", "sites": "tokyo", "pcus": "pcu.tokyo.example", "sequences": "a-b", "": ""}
	offered := 0
	for account, who := range map[string]access.Who{
		anAdmin:    {Role: access.Admin, Sites: []string{access.AllSites}},
		anOperator: {Role: access.Operator, Sites: []string{access.AllSites}},
		aTech:      {Role: access.Site, Sites: []string{"huji"}},
		aUser:      {Role: access.Viewer, Sites: []string{"tokyo"}},
	} {
		v := f.as(t, account)
		for _, d := range deeds() {
			for site, id := range map[string]string{"huji": target[d.Of], "tokyo": foreign[d.Of]} {
				if d.Of == "" || d.Of == "sequences" {
					site = ""
				}
				code, body := v.post("/act/preview", url.Values{"do": {string(d.Verb)}, "of": {d.Of}, "id": {id}, "step": {"5"}})
				refused := code == http.StatusForbidden || strings.Contains(body, "forbidden</span>")
				if refused == access.Allowed(who, d.Verb, site) {
					t.Errorf("%s, %s of %q: %d, refused %v", account, d.Verb, id, code, refused)
				}
				if !refused {
					offered++
				}
			}
		}
	}
	if offered < 50 || offered > 6*len(deeds()) {
		t.Errorf("%d orders are offered", offered)
	}
	stranger := f.visitor(t)
	for _, d := range deeds() {
		if _, body := stranger.post("/act/preview", url.Values{"do": {string(d.Verb)}, "of": {d.Of}, "id": {target[d.Of]}}); !strings.Contains(body, "<h1>Sign in</h1>") {
			t.Errorf("a stranger may look at %s", d.Verb)
		}
	}
	if _, body := f.as(t, aUser).get("/issues/nodedown/planetlab2.tokyo.example"); strings.Contains(body, "/act/preview") {
		t.Error("a user of a site is offered orders")
	}
}

func TestBoundsOfAPlan(t *testing.T) {
	f := oneFleet(t)
	v := f.as(t, anOperator)
	many := url.Values{"do": {"target.silence"}, "of": {"nodes"}}
	for n := range mostTargets + 1 {
		many.Add("id", strings.Repeat("x", 3)+string(rune('a'+n%26))+strings.Repeat("y", n/26))
	}
	for name, form := range map[string]url.Values{
		"no target": {"do": {"target.silence"}, "of": {"nodes"}}, "too many": many, "no such order": {"do": {"rm"}, "of": {"nodes"}, "id": {"a"}},
		"of the wrong kind": {"do": {"issue.close"}, "of": {"nodes"}, "id": {"a"}}, "an odd name": {"do": {"target.silence"}, "of": {"nodes"}, "id": {"a\x00b"}},
		"all of a foreign address": {"do": {"target.silence"}, "of": {"nodes"}, "all": {"1"}, "back": {"https://evil.example/nodes"}},
	} {
		if code, body := v.post("/act/preview", form); code != http.StatusBadRequest || planID.MatchString(body) {
			t.Errorf("%s: %d", name, code)
		}
	}
}
