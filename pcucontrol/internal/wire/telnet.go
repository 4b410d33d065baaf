package wire

import (
	"bytes"
	"net"

	"github.com/ziutek/telnet"
)

// telnetConn is a telnet client's side of a connection: the library reads text and answers options, letting the device
// echo and suppress go-ahead and refusing every other one.
type telnetConn struct {
	*telnet.Conn
	wire *telnetWire
}

// NewTelnet is a client's side of a connection.
func NewTelnet(conn net.Conn) *telnetConn {
	wire := &telnetWire{Conn: conn, seen: map[[2]byte]bool{}}
	c, _ := telnet.NewConn(wire) // it has no error to give
	return &telnetConn{c, wire}
}

// Write sends text; a byte 255 is doubled. Of a text that was cut off, what went out with it counts too. The library's
// own Write loses bytes that are no UTF-8, as a password may have.
func (c *telnetConn) Write(p []byte) (int, error) {
	n, err := c.wire.Conn.Write(bytes.ReplaceAll(p, []byte{telnetIAC}, []byte{telnetIAC, telnetIAC}))
	return min(n, len(p)), err
}

// The commands and options of RFC 854, 857, 858 and 1073 that need a word.
const (
	telnetSE   = 240
	telnetSB   = 250
	telnetWill = 251
	telnetDo   = 253
	telnetWont = 252
	telnetIAC  = 255

	optionEcho       = 1
	optionNoGoAhead  = 3
	optionWindowSize = 31
)

// telnetWire stands between the library and the network, and keeps from the library what it cannot bear: commands such
// as NOP, at which it ends the session; a wish for the window's size, which it answers with bytes that are not escaped;
// and the same refusable option again, which it would refuse for ever.
type telnetWire struct {
	net.Conn
	state telnetState
	verb  byte             // of the option that is under way
	seen  map[[2]byte]bool // options refused, by verb
}

type telnetState int

const (
	inText telnetState = iota
	inCommand
	inOption
	inSub    // within a subnegotiation
	inSubIAC // and perhaps at its end
)

// Read reads the stream without what the library must not see.
func (w *telnetWire) Read(p []byte) (int, error) {
	for {
		buf := make([]byte, max(1, len(p)-2)) // two bytes of a command may have been held back
		n, err := w.Conn.Read(buf)
		out := p[:0]
		for _, b := range buf[:n] {
			out = append(out, w.take(b)...)
		}
		if len(out) > 0 || err != nil {
			return len(out), err
		}
	}
}

// Write sends the library's answers. Where the device has hung up they are lost, and its last words are still read.
func (w *telnetWire) Write(p []byte) (int, error) {
	_, _ = w.Conn.Write(p)
	return len(p), nil
}

// take is what the library sees now that a byte has come.
func (w *telnetWire) take(b byte) []byte {
	switch w.state {
	case inText:
		if b == telnetIAC {
			w.state = inCommand
			return nil
		}
	case inCommand:
		w.state = inText
		switch {
		case b == telnetSB:
			w.state = inSub
			return []byte{telnetIAC, b}
		case b == telnetIAC:
			return []byte{telnetIAC, b}
		case b >= telnetWill:
			w.state, w.verb = inOption, b
		}
		return nil
	case inOption:
		w.state = inText
		return w.option(b)
	case inSub:
		if b == telnetIAC {
			w.state = inSubIAC
		}
	case inSubIAC:
		if w.state = inSub; b == telnetSE {
			w.state = inText
		}
	}
	return []byte{b}
}

func (w *telnetWire) option(option byte) []byte {
	key := [2]byte{w.verb, option}
	switch {
	case option == optionEcho || option == optionNoGoAhead:
	case w.seen[key]:
		return nil
	case w.verb == telnetDo && option == optionWindowSize:
		w.seen[key] = true
		_, _ = w.Write([]byte{telnetIAC, telnetWont, option})
		return nil
	}
	w.seen[key] = true
	return []byte{telnetIAC, w.verb, option}
}
