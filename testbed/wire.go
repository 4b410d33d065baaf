package testbed

import (
	"io"
	"net"
	"strings"
	"sync"
)

// Wire is a network between a client and a server: it passes bytes on, until somebody cuts it, takes it away, or has an answer lost. It
// listens at one address for its life, so that a server may move behind it.
type Wire struct {
	listener net.Listener

	mu     sync.Mutex
	to     string
	away   bool
	lose   int // how many answers are still to be lost
	lost   int
	closed bool
	ends   map[net.Conn]struct{}
}

// network is that of an address: a path is a socket in the file system.
func network(address string) string {
	if strings.HasPrefix(address, "/") {
		return "unix"
	}
	return "tcp"
}

// NewWire lays a wire to an address, or to the path of a socket.
func NewWire(to string) (*Wire, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	w := &Wire{listener: l, to: to, ends: map[net.Conn]struct{}{}}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go w.pass(c)
		}
	}()
	return w, nil
}

// Addr is where a client connects.
func (w *Wire) Addr() string { return w.listener.Addr().String() }

// Cut closes every connection; new ones are taken.
func (w *Wire) Cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for c := range w.ends {
		_ = c.Close()
	}
}

// Away cuts the wire and takes no connection until it is back.
func (w *Wire) Away(away bool) {
	w.mu.Lock()
	w.away = away
	w.mu.Unlock()
	if away {
		w.Cut()
	}
}

// LoseAnswers lets the next n requests reach the server, and closes their connections when the answer comes.
func (w *Wire) LoseAnswers(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lose = n
}

// Lost counts the answers that were lost.
func (w *Wire) Lost() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.lost
}

// Close ends the wire and every connection.
func (w *Wire) Close() {
	_ = w.listener.Close()
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.Cut()
}

func (w *Wire) pass(client net.Conn) {
	defer client.Close()
	w.mu.Lock()
	to, away := w.to, w.away || w.closed
	w.mu.Unlock()
	if away {
		return
	}
	server, err := net.Dial(network(to), to)
	if err != nil {
		return
	}
	defer server.Close()
	if !w.hold(client, server) {
		return
	}
	defer w.drop(client, server)
	both := sync.WaitGroup{}
	both.Go(func() {
		_, _ = io.Copy(server, client)
		finishWriting(server)
	})
	both.Go(func() {
		w.answers(client, server)
		finishWriting(client)
	})
	both.Wait()
}

// finishWriting lets the other end know that nothing comes any more: Postgres ends a session by that, and with it its locks.
func finishWriting(c net.Conn) {
	if half, ok := c.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
}

func (w *Wire) hold(ends ...net.Conn) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range ends {
		w.ends[c] = struct{}{}
	}
	return !w.away && !w.closed
}

func (w *Wire) drop(ends ...net.Conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range ends {
		delete(w.ends, c)
	}
}

// answers passes on what the server says, unless it is to be lost.
func (w *Wire) answers(client, server net.Conn) {
	buf := make([]byte, 32<<10)
	for {
		n, err := server.Read(buf)
		if n > 0 && w.loses() {
			_ = client.Close()
			_ = server.Close()
			return
		}
		if n > 0 {
			if _, err := client.Write(buf[:n]); err != nil {
				_ = server.Close()
				return
			}
		}
		if err != nil {
			return
		}
	}
}

func (w *Wire) loses() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.lose == 0 {
		return false
	}
	w.lose--
	w.lost++
	return true
}
