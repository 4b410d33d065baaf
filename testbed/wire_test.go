package testbed

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestAWirePassesCutsAndLosesAnswers(t *testing.T) {
	served := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		served++
		_, _ = io.WriteString(w, "pong")
	}))
	defer server.Close()
	wire, err := NewWire(strings.TrimPrefix(server.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer wire.Close()
	ask := func() error {
		resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Post("http://"+wire.Addr(), "text/plain", strings.NewReader("ping"))
		if err == nil {
			_, err = io.ReadAll(resp.Body)
			_ = resp.Body.Close()
		}
		return err
	}
	if err := ask(); err != nil || served != 1 {
		t.Fatalf("through the wire: %v, served %d", err, served)
	}
	wire.LoseAnswers(1)
	if err := ask(); err == nil || served != 2 || wire.Lost() != 1 {
		t.Errorf("an answer that is lost: %v, served %d, lost %d", err, served, wire.Lost())
	}
	wire.Away(true)
	if err := ask(); err == nil || served != 2 {
		t.Errorf("a wire that is away: %v, served %d", err, served)
	}
	wire.Away(false)
	if err := ask(); err != nil || served != 3 {
		t.Errorf("a wire that is back: %v, served %d", err, served)
	}
}
