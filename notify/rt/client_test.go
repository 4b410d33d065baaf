package rt_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/planetlab/monitor/notify/rt"
)

const token = "1-27-0123456789abcdef"

func answering(t *testing.T, do http.HandlerFunc) *rt.Client {
	t.Helper()
	server := httptest.NewServer(do)
	t.Cleanup(server.Close)
	c, err := rt.New(rt.Options{URL: server.URL + "/rt/", Token: token, Queue: "q"})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestTheTokenIsNeverShown(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("the token travelled to %s: %q", r.Host, r.Header.Get("Authorization"))
	}))
	t.Cleanup(elsewhere.Close)
	for name, do := range map[string]http.HandlerFunc{
		"an answer that repeats it": func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprintf(w, `{"message":"bad header %s"}`, r.Header.Get("Authorization"))
		},
		"a redirect":             func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere.URL, http.StatusFound) },
		"an answer of HTML":      func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>login "+token) },
		"a server that hangs up": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		c := answering(t, do)
		if _, err := c.Ticket(t.Context(), 1); err == nil || strings.Contains(err.Error(), token) || strings.Contains(fmt.Sprintf("%#v", err), token) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTheBaseOfTheURLMayBeAnyForm(t *testing.T) {
	c := answering(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/rt/REST/2.0/ticket/7" || r.Header.Get("Authorization") != "token "+token {
			t.Errorf("%s %q", r.URL, r.Header.Get("Authorization"))
		}
		w.Header().Set("ETag", `W/"12"`)
		fmt.Fprint(w, `{"id":7,"Status":"open"}`)
	})
	if got, err := c.Ticket(t.Context(), 7); err != nil || got.Version != 12 || got.Status != "open" {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestOptionsThatCannotWorkAreRefused(t *testing.T) {
	for want, o := range map[string]rt.Options{
		"URL":                 {URL: "ftp://x", Token: token, Queue: "q"},
		"without user":        {URL: "http://a:b@x", Token: token, Queue: "q"},
		"no token":            {URL: "http://x", Queue: "q"},
		"no queue":            {URL: "http://x", Token: token},
		"a character that no": {URL: "http://x", Token: token + "\n", Queue: "q"},
	} {
		if _, err := rt.New(o); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), token) {
			t.Errorf("%s: got %v", want, err)
		}
	}
}

func TestAReferenceThatWouldWidenTheSearchIsRefused(t *testing.T) {
	c := answering(t, func(http.ResponseWriter, *http.Request) { t.Error("it was sent") })
	for _, o := range []rt.Opening{{Key: "k"}, {Reference: "a"}, {Reference: "a' OR Subject LIKE '", Key: "k"}, {Reference: "%", Key: "k"}} {
		if _, _, err := c.Open(t.Context(), o); err == nil {
			t.Errorf("%+v was searched for", o)
		}
	}
}
