// Package hostile plays those who mean harm, or are broken as if they did: nodes, devices, PLC, trackers,
// Alertmanagers and users of the Temporal namespace. Each role has habits; the tests let them loose beside healthy
// targets, which must be worked as without them.
package hostile

import (
	"net"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// Evil is a text that no row, history, mail or terminal must ever hold as it is: a NUL, which Postgres refuses, an
// escape and a C1 control, which drive terminals, a bidirectional control, bytes that are no UTF-8, and a line of its
// own.
const Evil = "\x00\x1b[2J\u009b31m\u202eevil\xff\r\n{{.Secret}} $(reboot) '\"><x>"

// Novel is so many bytes of Evil.
func Novel(size int) string { return strings.Repeat(Evil, size/len(Evil)+1)[:size] }

// control is an escape of a control in JSON, and not the text of one, which is harmless.
var control = regexp.MustCompile(`(?:^|[^\\])(?:\\\\)*\\u00(?:[01][0-9a-f]|7f|[89][0-9a-f])`)

// HoldsControl says whether a text in JSON holds a control character.
func HoldsControl(json string) bool { return control.MatchString(json) }

// Habit is one way to do harm, with a name that reads as what the role does.
type Habit struct {
	Name string
	// Serve deals with one connection and closes nothing: the caller does.
	Serve func(net.Conn)
}

// Serve lets a habit answer on an address until the test ends.
func Serve(t testing.TB, address string, h Habit) net.Addr {
	t.Helper()
	at, stop, err := Listen(address, h)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return at
}

// Listen lets a habit answer on an address until it is stopped, which ends every conversation.
func Listen(address string, h Habit) (at net.Addr, stop func(), err error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, nil, err
	}
	talks := &talks{conns: map[net.Conn]bool{}}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			if talks.begin(c) {
				go func() {
					defer talks.end(c)
					h.Serve(c)
				}()
			}
		}
	}()
	return l.Addr(), func() { _ = l.Close(); talks.stop() }, nil
}

// talks are the conversations of one listener.
type talks struct {
	mu    sync.Mutex
	over  bool
	conns map[net.Conn]bool
}

func (t *talks) begin(c net.Conn) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.over {
		_ = c.Close()
		return false
	}
	t.conns[c] = true
	return true
}

func (t *talks) end(c net.Conn) {
	_ = c.Close()
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.conns, c)
}

func (t *talks) stop() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.over = true
	for c := range t.conns {
		_ = c.Close()
	}
}

// flood writes a text until the other side has enough.
func flood(c net.Conn, text string) {
	for {
		if _, err := c.Write([]byte(text)); err != nil {
			return
		}
	}
}

// silence says nothing until the other side hangs up.
func silence(c net.Conn) {
	b := make([]byte, 4096)
	for {
		if _, err := c.Read(b); err != nil {
			return
		}
	}
}
