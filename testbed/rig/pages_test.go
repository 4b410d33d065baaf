package rig

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/planetlab/monitor/testbed/fakenode"
)

// A visitor of the demo hangs a node on its page, Monitor finds that out, and the visitor mends it.
func TestAVisitorBreaksANodeOfTheRunningProduct(t *testing.T) {
	if testing.Short() {
		t.Skip("runs the whole product")
	}
	t.Parallel()
	r, err := Start(t.Context(), Options{Bin: programs(t), Day: 5 * time.Second, Pages: "127.0.0.1:0", Log: t.Output()})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	const host = "planetlab1.tokyo.example"
	page := r.Pages + "/nodes/" + host
	until := func(what string, seen func(body string) bool) {
		t.Helper()
		body := ""
		for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
			answer, err := http.Get(page)
			if err != nil {
				t.Fatal(err)
			}
			text, _ := io.ReadAll(answer.Body)
			answer.Body.Close()
			if body = string(text); seen(body) {
				return
			}
		}
		t.Fatalf("the page does not show %s:\n%s\n%s", what, body, r.tail("worker1.log"))
	}
	shows := func(text string) func(string) bool {
		return func(body string) bool { return strings.Contains(body, text) }
	}
	press := func(fault string) {
		t.Helper()
		answer, err := http.PostForm(page+"/testbed", url.Values{"fault": {fault}})
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			t.Fatalf("%q: %s", fault, answer.Status)
		}
	}
	until("a node that is well", shows("In truth it is well."))
	press("Hang it: only a human helps")
	if s := r.State(host); s != fakenode.Hung {
		t.Errorf("it is %s", s)
	}
	until("what is wrong", shows("In truth it is hung"))
	until("that Monitor sees it", shows("no ssh: timeout"))
	press("")
	until("that it is mended", shows("In truth it is well."))
	until("that Monitor sees that", func(body string) bool { return !strings.Contains(body, "no ssh: timeout") })
	if s := r.State(host); s != fakenode.Up {
		t.Errorf("it is %s", s)
	}
}
