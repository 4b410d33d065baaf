package listen

import (
	"bufio"
	"io"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"time"
)

// Whoever takes all connections that there are keeps the others waiting, and no more than those: one that ends makes
// room for the next.
func TestSoManyConnectionsAreServedAtOnce(t *testing.T) {
	const most = 3
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{}, 10)
	s := Server(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { served <- struct{}{} }), nil,
		slog.New(slog.DiscardHandler))
	ended := make(chan error, 1)
	go func() { ended <- Serve(l, s, most) }()
	dial := func() net.Conn {
		t.Helper()
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		return conn
	}
	ask := func(conn net.Conn) {
		t.Helper()
		if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
	}
	answered := func(conn net.Conn) {
		t.Helper()
		_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		if _, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil {
			t.Fatal(err)
		}
	}
	var held []net.Conn
	for range most { // each is answered, and kept open
		conn := dial()
		ask(conn)
		answered(conn)
		<-served
		held = append(held, conn)
	}
	waits := dial()
	ask(waits)
	ask(held[0]) // what is served after the one that waits has asked
	answered(held[0])
	<-served
	select {
	case <-served:
		t.Error("one more than there may be is served")
	default:
	}
	_ = held[0].Close()
	answered(waits)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := <-ended; err != nil {
		t.Errorf("a server that was closed ends with %v", err)
	}
}
