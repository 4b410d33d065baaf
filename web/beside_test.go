package web

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestTheAPIAndLinksAreAtTheAddressOfThePages(t *testing.T) {
	said := func(text string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, text+" "+r.Header.Get("Cookie"))
		})
	}
	s := newFixture(t).pages
	s.API, s.Links = said("the API"), said("a link")
	server := httptest.NewServer(s.Handler())
	defer server.Close()
	for path, want := range map[string]string{"/api/v1/self": "the API", "/links/x.y": "a link", "/sign-in": "<html"} {
		r, err := http.Get(server.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(r.Body)
		r.Body.Close()
		if err != nil || !strings.Contains(string(body), want) {
			t.Errorf("%s: %v %s", path, err, body)
		}
	}
}
