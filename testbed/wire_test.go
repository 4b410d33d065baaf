package testbed

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"
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

// A session of Postgres, and the locks that it holds, end with the worker that died, also where it listens on a socket.
func TestAWireTellsTheServerThatItsClientHasDied(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			address := "127.0.0.1:0"
			if network == "unix" {
				address = filepath.Join(t.TempDir(), "socket")
			}
			l, err := net.Listen(network, address)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			wire, err := NewWire(l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer wire.Close()
			client, err := net.Dial("tcp", wire.Addr())
			if err != nil {
				t.Fatal(err)
			}
			session, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer session.Close()
			if err := errors.Join(client.Close(), session.SetReadDeadline(time.Now().Add(20*time.Second))); err != nil {
				t.Fatal(err)
			}
			if _, err := session.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
				t.Errorf("the server hears %v", err)
			}
		})
	}
}
