package web

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// fixtureWorld is a testbed with one fault.
type fixtureWorld map[string]string

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
