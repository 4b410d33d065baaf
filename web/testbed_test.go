package web

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// fixtureWorld is a testbed with one fault.
type fixtureWorld map[string]string

func (w fixtureWorld) Day() time.Duration {
	if day, err := time.ParseDuration(w["day"]); err == nil {
		return day
	}
	return 3 * time.Second
}

func (w fixtureWorld) SetDay(day time.Duration) error {
	if day < time.Second {
		return errors.New("that is too short")
	}
	w["day"] = day.String()
	return nil
}

func TestAVisitorOfADemoChangesTheSpeedOfTime(t *testing.T) {
	world := fixtureWorld{}
	f := newFixture(t, func(o *Options) { o.Testbed, o.Public = world, PublicFull })
	v := f.visitor(t)
	if _, body := v.get("/"); !strings.Contains(body, "a policy day lasts 3s") || !strings.Contains(body, "keep the pace with which they opened") {
		t.Error("the first page does not say how fast time passes")
	}
	if code, _ := v.post("/testbed", url.Values{"day": {"10s"}}); code >= 400 || world["day"] != "10s" {
		t.Errorf("it is not changed: %d %v", code, world)
	}
	if _, body := v.get("/"); !strings.Contains(body, "a policy day lasts 10s") {
		t.Error("the page shows what was")
	}
	for _, day := range []string{"", "soon", "-3s", "0s", "1ms", "48h"} {
		if code, _ := v.post("/testbed", url.Values{"day": {day}}); code != http.StatusBadRequest || world["day"] != "10s" {
			t.Errorf("%q: %d %v", day, code, world)
		}
	}
	if code, _ := v.post("/testbed", url.Values{"day": {"5s"}}, "Sec-Fetch-Site", "cross-site"); code != http.StatusForbidden {
		t.Errorf("another site's form: %d", code)
	}
	none := newFixture(t)
	if code, _ := none.as(t, anAdmin).post("/testbed", url.Values{"day": {"5s"}}); code != http.StatusNotFound && code != http.StatusMethodNotAllowed {
		t.Errorf("without a demo: %d", code)
	}
}

func (fixtureWorld) Faults() []string           { return []string{"Hang it"} }
func (w fixtureWorld) Wrong(host string) string { return w[host] }
func (w fixtureWorld) Heal(host string) error   { delete(w, host); return nil }
func (w fixtureWorld) Break(host, fault string) error {
	if fault != "Hang it" {
		return errors.New("there is no such fault")
	}
	w[host] = "hung"
	return nil
}

func TestAVisitorOfADemoBreaksANodeAndMendsIt(t *testing.T) {
	world := fixtureWorld{}
	f := newFixture(t, func(o *Options) { o.Testbed, o.Public = world, PublicFull })
	v := f.visitor(t)
	const node = "/nodes/planetlab1.princeton.example"
	if _, body := v.get(node); !strings.Contains(body, "break it yourself") || !strings.Contains(body, "is well") {
		t.Error("the page of a node has no panel")
	}
	if code, _ := v.post(node+"/testbed", url.Values{"fault": {"Hang it"}}); code >= 400 || world["planetlab1.princeton.example"] == "" {
		t.Errorf("it is not broken: %d %v", code, world)
	}
	if _, body := v.get(node); !strings.Contains(body, "In truth it is hung") {
		t.Error("the page does not say what is wrong")
	}
	for path, form := range map[string]url.Values{
		node + "/testbed":                {"fault": {"Blow it up"}},
		"/nodes/nowhere.example/testbed": {"fault": {"Hang it"}},
	} {
		if code, _ := v.post(path, form); code != http.StatusBadRequest && code != http.StatusNotFound || len(world) != 1 {
			t.Errorf("%s %v: %d %v", path, form, code, world)
		}
	}
	if code, _ := v.post(node+"/testbed", url.Values{"fault": {"Hang it"}}, "Sec-Fetch-Site", "cross-site"); code != http.StatusForbidden {
		t.Errorf("another site's form: %d", code)
	}
	if code, _ := v.post(node+"/testbed", url.Values{"fault": {""}}); code >= 400 || len(world) > 0 {
		t.Errorf("it is not mended: %d %v", code, world)
	}
}

func TestWithoutADemoNobodyBreaksANode(t *testing.T) {
	f := newFixture(t)
	v := f.as(t, anAdmin)
	const node = "/nodes/planetlab1.princeton.example"
	if _, body := v.get(node); strings.Contains(body, "break it yourself") {
		t.Error("the page of a node has the panel of a demo")
	}
	if code, _ := v.post(node+"/testbed", url.Values{"fault": {"Hang it"}}); code != http.StatusNotFound && code != http.StatusMethodNotAllowed {
		t.Errorf("the form is taken: %d", code)
	}
}
