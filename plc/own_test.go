package plc_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/planetlab/monitor/plc"
	"github.com/planetlab/monitor/testbed/fakeplc"
)

type row = fakeplc.Row

func TestOnlyOurOwnIsRead(t *testing.T) {
	db, c := fleet(t)
	db.Add("Sites", row{"site_id": 50, "login_base": "upmc", "enabled": true, "ext_consortium_id": 1, "peer_id": 9})
	db.Add("Nodes", row{"node_id": 500, "hostname": "n1.peer", "site_id": 50, "boot_state": "boot", "peer_id": 9})
	db.Add("Slices", row{"slice_id": 501, "name": "upmc_a", "site_id": 50, "peer_id": 9})
	db.Add("Slices", row{"slice_id": 502, "name": "princeton_shadow", "site_id": 1, "peer_id": 9})
	db.Add("Persons", row{"email": "tech@peer", "site_ids": []any{1}, "roles": []any{"tech"}, "peer_id": 9})
	db.Add("Persons", row{"email": "left@princeton", "site_ids": []any{1}, "roles": []any{"tech"}, "enabled": false})
	db.Add("Persons", row{"email": "tech@princeton", "site_ids": []any{1}, "roles": []any{"tech"}})
	s, err := c.Snapshot(t.Context())
	if err != nil || len(s.Sites) != 3 || len(s.Nodes) != 7 || len(s.Slices) != 2 {
		t.Errorf("%d sites, %d nodes, slices %v, %v", len(s.Sites), len(s.Nodes), s.Slices, err)
	}
	var people []string
	for _, p := range s.Persons {
		people = append(people, p.Email)
	}
	if slices.Sort(people); !slices.Equal(people, []string{"monitor@example", "tech@princeton"}) {
		t.Errorf("people are %q", people)
	}
	if _, err := c.Node(t.Context(), "n1.peer"); !errors.Is(err, plc.ErrPeer) || !errors.Is(err, plc.ErrNotFound) {
		t.Errorf("a peer's node gives %v", err)
	}
	if err := c.SetSiteEnabled(t.Context(), plc.SiteRef{SiteID: 50}, false); !errors.Is(err, plc.ErrPeer) || !errors.Is(err, plc.ErrRefused) {
		t.Errorf("a peer's site gives %v", err)
	}
	if list, err := c.SlicesOfSite(t.Context(), princeton); err != nil || len(list) != 2 {
		t.Errorf("slices are %v, %v", list, err)
	}
}

func TestALostRoleIsNotBelieved(t *testing.T) {
	db, c := fleet(t)
	db.Add("SliceTags", row{"slice_id": 5, "tagname": "enabled", "value": "0"})
	if roles, err := c.Roles(t.Context()); err != nil || !slices.Equal(roles, []string{"admin"}) {
		t.Errorf("roles are %q, %v", roles, err)
	}
	db.SetRoles("pi")
	if roles, err := c.Roles(t.Context()); err != nil || !slices.Equal(roles, []string{"pi"}) {
		t.Errorf("roles are %q, %v", roles, err)
	}
	if s, err := c.Snapshot(t.Context()); !errors.Is(err, plc.ErrNotAdmin) || len(s.Nodes) != 0 {
		t.Errorf("a snapshot gives %d nodes, %v", len(s.Nodes), err)
	}
	// Without the role PLC shows no tag: the slice would look restored.
	if _, err := c.RestoreSlices(t.Context(), princeton, []string{"princeton_a"}); !errors.Is(err, plc.ErrNotAdmin) {
		t.Errorf("to restore gives %v", err)
	}
	if _, err := c.SlicesOfSite(t.Context(), princeton); !errors.Is(err, plc.ErrNotAdmin) {
		t.Errorf("to read the slices gives %v", err)
	}
	if _, err := c.NodeKey(t.Context(), "n1.example"); !errors.Is(err, plc.ErrNotAdmin) {
		t.Errorf("to read a key gives %v", err)
	}
	db.SetRoles("admin")
	if _, err := c.Snapshot(t.Context()); err != nil {
		t.Errorf("with the role back: %v", err)
	}
}

func TestARoleLostHalfwayThroughASnapshot(t *testing.T) {
	db, c := fleet(t)
	release := db.Hang("GetInterfaces")
	got := make(chan error)
	go func() {
		_, err := c.Snapshot(t.Context())
		got <- err
	}()
	for db.Calls("GetInterfaces") == 0 {
		time.Sleep(time.Millisecond)
	}
	db.SetRoles("pi", "tech")
	release()
	if err := <-got; !errors.Is(err, plc.ErrNotAdmin) {
		t.Errorf("it gives %v", err)
	}
}

func TestSitesAreKnownByTheirID(t *testing.T) {
	db, c := fleet(t)
	db.Rename("Sites", 1, "pton")
	db.Rename("Sites", 2, "princeton") // and another has the old name
	site := plc.SiteRef{SiteID: 1, LoginBase: "princeton"}
	if err := c.SetSiteEnabled(t.Context(), site, false); err != nil || db.Get("Sites", "site_id", 1)["enabled"] != false {
		t.Errorf("site 1: %v", err)
	}
	if err := done(c.SuspendSlices(t.Context(), site, []string{"princeton_a"})); err != nil || db.Get("SliceTags", "value", "0") == nil {
		t.Errorf("its slice: %v", err)
	}
	db.Delete("Sites", 1)
	if err := c.SetSiteEnabled(t.Context(), site, false); !errors.Is(err, plc.ErrNotFound) || !errors.Is(err, plc.ErrRefused) {
		t.Errorf("a deleted site gives %v", err)
	}
	if err := c.SetSiteEnabled(t.Context(), plc.SiteRef{LoginBase: "free"}, false); err != nil || db.Get("Sites", "site_id", 3)["enabled"] != false {
		t.Errorf("by its name: %v", err)
	}
	if err := c.SetSiteEnabled(t.Context(), plc.SiteRef{}, false); err == nil || db.Get("Sites", "site_id", 2)["enabled"] != false {
		t.Errorf("no site at all gives %v", err)
	}
}

func TestOnlyOrdinarySlicesAreSuspended(t *testing.T) {
	db, c := fleet(t)
	ctx := t.Context()
	db.Add("Slices", row{"slice_id": 7, "name": "princeton_sys", "site_id": 1})
	db.Add("SliceTags", row{"slice_id": 7, "tagname": "system", "value": "1"})
	db.Add("Slices", row{"slice_id": 8, "name": "princeton_old", "site_id": 1, "expires": 1000})
	sliver := db.Add("SliceTags", row{"slice_id": 5, "tagname": "enabled", "value": "0", "node_id": 3})
	list, err := c.SlicesOfSite(ctx, princeton)
	if err != nil || len(list) != 2 || list[0].Suspended {
		t.Fatalf("slices are %+v, %v", list, err)
	}
	results, err := c.SuspendSlices(ctx, princeton, []string{"princeton_sys", "princeton_old", "princeton_a"})
	if err != nil || !errors.Is(results[0].Err, plc.ErrNotOrdinary) || !errors.Is(results[1].Err, plc.ErrNotFound) || results[2].Err != nil || plc.SliceErrors(results) != nil {
		t.Errorf("%+v, %v", results, err)
	}
	db.Add("SliceTags", row{"slice_id": 5, "tagname": "enabled", "value": "1"})
	db.Add("SliceTags", row{"slice_id": 5, "tagname": "enabled", "value": "0"}) // two at once
	db.Add("SliceTags", row{"slice_id": 5, "tagname": "system", "value": "1"})  // and it became a system slice
	if err := done(c.RestoreSlices(ctx, princeton, []string{"princeton_a"})); err != nil {
		t.Errorf("to restore: %v", err)
	}
	left := db.All("SliceTags", "value", "0")
	if len(left) != 1 || left[0]["slice_tag_id"] != sliver || len(db.All("SliceTags", "value", "1")) != 3 {
		t.Errorf("tags left are %v", left)
	}
}

func TestOneRefusedSliceDoesNotStopTheOthers(t *testing.T) {
	db, c := fleet(t)
	// A sliver tag of a node group stands in the way of ours: PLC takes it for the same.
	db.Add("SliceTags", row{"slice_id": 5, "tagname": "enabled", "value": "0", "nodegroup_id": 4})
	results, err := c.SuspendSlices(t.Context(), princeton, []string{"princeton_a", "princeton_b"})
	if err != nil || !errors.Is(results[0].Err, plc.ErrRefused) || !errors.Is(results[0].Err, plc.ErrInvalid) || results[1].Err != nil {
		t.Errorf("%+v, %v", results, err)
	}
	if list, _ := c.SlicesOfSite(t.Context(), princeton); list[0].Suspended || !list[1].Suspended {
		t.Errorf("slices are %+v", list)
	}
	if err := plc.SliceErrors(results); err == nil || !strings.Contains(err.Error(), "slice princeton_a: ") {
		t.Errorf("it says %v", err)
	}
}

func TestLostAnswersAreReadBack(t *testing.T) {
	db, c := fleet(t)
	ctx := t.Context()
	for _, method := range []string{"UpdateSite", "UpdateNode", "AddSliceTag", "DeleteSliceTag"} {
		db.LoseAnswers(method, 1)
	}
	if err := c.SetSiteEnabled(ctx, princeton, false); err != nil || db.Get("Sites", "site_id", 1)["enabled"] != false {
		t.Errorf("site: %v", err)
	}
	if err := c.SetBootState(ctx, "n1.example", "reinstall"); err != nil || db.Get("Nodes", "node_id", 1)["boot_state"] != "reinstall" {
		t.Errorf("boot state: %v", err)
	}
	if err := done(c.SuspendSlices(ctx, princeton, []string{"princeton_a"})); err != nil || len(db.All("SliceTags", "value", "0")) != 1 {
		t.Errorf("suspend: %v, %v", err, db.All("SliceTags", "value", "0"))
	}
	if err := done(c.RestoreSlices(ctx, princeton, []string{"princeton_a"})); err != nil || len(db.All("SliceTags", "value", "0")) != 0 {
		t.Errorf("restore: %v, %v", err, db.All("SliceTags", "value", "0"))
	}
}

func TestRefusedOrPerhapsDone(t *testing.T) {
	db, _ := fleet(t)
	server := httptest.NewServer(db)
	defer server.Close()
	c, _ := plc.New(plc.Options{URL: server.URL, Username: "monitor@example", Password: "s3cret", Timeout: 200 * time.Millisecond})
	ctx := t.Context()

	release := db.Hang("UpdateNode")
	err := c.SetBootState(ctx, "n1.example", "disabled")
	if !errors.Is(err, plc.ErrMayBeDone) || errors.Is(err, plc.ErrRefused) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a write that hangs gives %v", err)
	}
	release()
	for db.Get("Nodes", "node_id", 1)["boot_state"] != "disabled" { // it was done, in the end
		time.Sleep(time.Millisecond)
	}
	if err := c.SetBootState(ctx, "n1.example", "dbg-not"); !errors.Is(err, plc.ErrRefused) || errors.Is(err, plc.ErrMayBeDone) {
		t.Errorf("a fault gives %v", err)
	}
	db.DropWrites("boot_state")
	if err := c.SetBootState(ctx, "n1.example", "boot"); !errors.Is(err, plc.ErrNotWritten) || !errors.Is(err, plc.ErrRefused) {
		t.Errorf("a yes that changed nothing gives %v", err)
	}
	db.SetDown(true)
	if err := c.SetBootState(ctx, "n1.example", "boot"); !errors.Is(err, plc.ErrMayBeDone) || !errors.Is(err, plc.ErrUnavailable) {
		t.Errorf("a dead PLC gives %v", err)
	}
	server.Close()
	if err := c.SetBootState(ctx, "n1.example", "boot"); !errors.Is(err, plc.ErrRefused) || !errors.Is(err, plc.ErrUnavailable) {
		t.Errorf("a PLC that nobody listens at gives %v", err)
	}
}

func TestPasswordsDoNotFollowRedirects(t *testing.T) {
	thief := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the password went elsewhere") }))
	defer thief.Close()
	for _, code := range []int{301, 302, 303, 307, 308} {
		server := httptest.NewServer(http.RedirectHandler(thief.URL+"/PLCAPI/", code))
		c, _ := plc.New(plc.Options{URL: server.URL, Username: "monitor@example", Password: "s3cret"})
		err := c.SetBootState(t.Context(), "n1.example", "boot")
		if !errors.Is(err, plc.ErrRedirected) || !errors.Is(err, plc.ErrRefused) || !strings.Contains(err.Error(), thief.URL) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%d gives %v", code, err)
		}
		server.Close()
	}
	if _, err := plc.New(plc.Options{URL: "https://me:s3cret@plc.example/"}); err == nil || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("a URL with a password gives %v", err)
	}
}

func TestAHungPLCIsLeftAtTheDeadline(t *testing.T) {
	db, _ := fleet(t)
	server := httptest.NewServer(db)
	t.Cleanup(server.Close)
	c, _ := plc.New(plc.Options{URL: server.URL, Username: "monitor@example", Password: "s3cret", Timeout: time.Hour})
	release := db.Hang("GetNodes")
	t.Cleanup(release)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := c.Snapshot(ctx); !errors.Is(err, plc.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("it gives %v", err)
	}
	if n := db.Calls("GetNodes"); n != 1 {
		t.Errorf("asked %d times", n)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := c.AuthCheck(ctx); !errors.Is(err, context.Canceled) || errors.Is(err, plc.ErrUnavailable) {
		t.Errorf("a call that we gave up gives %v", err)
	}
}

func TestWhatPLCSawOfANode(t *testing.T) {
	db, c := fleet(t)
	db.Set("Nodes", 1, "run_level", "boot")
	for i, column := range []string{"last_boot", "last_download", "last_pcu_reboot", "last_pcu_confirmation"} {
		db.Set("Nodes", 1, column, 1000+i)
	}
	check := func(n plc.Node, err error) {
		t.Helper()
		if err != nil || n.RunLevel != "boot" || n.LastBoot.Unix() != 1000 || n.LastDownload.Unix() != 1001 || n.LastPCUReboot.Unix() != 1002 || n.LastPCUConfirmation.Unix() != 1003 {
			t.Errorf("%+v, %v", n, err)
		}
	}
	s, err := c.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	check(s.Nodes[0], nil)
	check(c.Node(t.Context(), "n1.example"))
}

func TestAnOlderPLCIsAskedOnceWhatItHas(t *testing.T) {
	db, c := fleet(t)
	db.Set("Nodes", 1, "last_boot", 1000)
	db.Lack("Nodes", "last_pcu_reboot", "last_pcu_confirmation")
	n, err := c.Node(t.Context(), "n1.example")
	if err != nil || n.LastBoot.Unix() != 1000 || !n.LastPCUReboot.IsZero() {
		t.Errorf("%+v, %v", n, err)
	}
	asked := db.Calls("GetNodes")
	if s, err := c.Snapshot(t.Context()); err != nil || len(s.Nodes) != 7 || s.Nodes[0].LastBoot.Unix() != 1000 {
		t.Errorf("%d nodes, %v", len(s.Nodes), err)
	}
	if n := db.Calls("GetNodes") - asked; n != 1 {
		t.Errorf("nodes were asked for %d times", n)
	}
}

func TestARowThatIsNoXMLCostsThatRow(t *testing.T) {
	db, _ := fleet(t)
	db.Set("Nodes", 4, "model", "rack\x01server") // PLC writes control characters as they are
	db.Add("NodeTags", row{"node_id": 5, "tagname": "exempt_node_until", "value": "2030\x010101"})
	raw := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec := httptest.NewRecorder()
		db.ServeHTTP(rec, r)
		fmt.Fprint(w, strings.ReplaceAll(rec.Body.String(), "\uFFFD", "\x01")) // as our own encoder would not
	}))
	defer raw.Close()
	c, _ := plc.New(plc.Options{URL: raw.URL, Username: "monitor@example", Password: "s3cret"})
	s, err := c.Snapshot(t.Context())
	if err != nil || len(s.Nodes) != 6 || !slices.Equal(s.Unsent["nodes"], []int{4}) || len(s.Unreadable) != 2 {
		t.Fatalf("%d nodes, unreadable %q, %v", len(s.Nodes), s.Unreadable, err)
	}
	if s.NodeExempt[5].Year() != 9999 || s.NodeExempt[3].Year() != 2030 {
		t.Errorf("exempt are %v", s.NodeExempt)
	}
}
