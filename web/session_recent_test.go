package web

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/planetlab/monitor/store"
)

// A part of an open page comes to whoever was there a moment ago; a page, and whatever comes after a sign-out, asks.
func TestAnOpenPageIsNotAskedWhoItIsForEachOfItsParts(t *testing.T) {
	f := oneFleet(t)
	r := &recent{Sessions: store.Sessions{Store: f.Store}, read: map[string]remembered{}}
	part := context.WithValue(t.Context(), partKey, true)
	found := func(ctx context.Context) bool {
		t.Helper()
		_, is, err := r.FindCtx(ctx, "token")
		f.must(t, err)
		return is
	}
	f.must(t, r.CommitCtx(t.Context(), "token", []byte("ann"), time.Now().Add(time.Hour)))
	if !found(part) || len(r.read) != 1 {
		t.Fatalf("it is not remembered: %v", r.read)
	}
	r.read["token"] = remembered{[]byte("ann"), time.Now().Add(time.Hour)} // however slow this machine is
	f.must(t, r.Sessions.DeleteCtx(t.Context(), "token"))                  // as another process does
	if !found(part) || found(t.Context()) {
		t.Error("a part asks the database, or a page does not")
	}
	f.must(t, r.DeleteCtx(t.Context(), "token"))
	if found(part) {
		t.Error("who has signed out here is still known")
	}
	r.read["old"] = remembered{[]byte("bob"), time.Now().Add(-time.Hour)}
	f.must(t, r.CommitCtx(t.Context(), "token", []byte("ann"), time.Now().Add(time.Hour)))
	if !found(part) || len(r.read) != 1 {
		t.Errorf("what is over is kept: %v", r.read)
	}
}

func TestAPartIsForWhoIsSignedInAlone(t *testing.T) {
	f := oneFleet(t)
	if code, body := f.visitor(t).part("/nodes"); code != http.StatusOK || !strings.Contains(body, `<h1>Sign in</h1>`) {
		t.Errorf("%d %s", code, body)
	}
}
