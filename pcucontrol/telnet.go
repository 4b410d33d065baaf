package pcucontrol

import (
	"bytes"
	"net"
	"sync"
)

// telnetConn is a telnet client's side of a connection (RFC 854, 1143): it lets the device echo and suppress go-ahead, refuses every
// other option, and passes over all other commands. A library was tried first: it ends the session on a NOP.
type telnetConn struct {
	net.Conn
	mu      sync.Mutex // replies and lines are written by two goroutines
	state   byte       // 0: text; else the command that is under way
	agreed  map[[2]byte]bool
	pending []byte
}

const (
	telnetSE   = 240
	telnetSB   = 250
	telnetWill = 251
	telnetWont = 252
	telnetDo   = 253
	telnetDont = 254
	telnetIAC  = 255
	inSub      = 1 // within a subnegotiation
	inSubIAC   = 2

	optionEcho      = 1
	optionNoGoAhead = 3
)

// Read reads text.
func (c *telnetConn) Read(p []byte) (int, error) {
	for {
		buf := make([]byte, len(p))
		n, err := c.Conn.Read(buf)
		text := p[:0]
		for _, b := range buf[:n] {
			if c.take(b) {
				text = append(text, b)
			}
		}
		if len(c.pending) > 0 {
			c.mu.Lock()
			_, _ = c.Conn.Write(c.pending)
			c.mu.Unlock()
			c.pending = c.pending[:0]
		}
		if len(text) > 0 || err != nil {
			return len(text), err
		}
	}
}

// take says whether a byte is text.
func (c *telnetConn) take(b byte) bool {
	switch c.state {
	case 0:
		if b != telnetIAC {
			return true
		}
		c.state = telnetIAC
	case telnetIAC:
		switch {
		case b == telnetIAC:
			c.state = 0
			return true
		case b == telnetSB:
			c.state = inSub
		case b >= telnetWill:
			c.state = b
		default:
			c.state = 0
		}
	case inSub:
		if b == telnetIAC {
			c.state = inSubIAC
		}
	case inSubIAC:
		c.state = inSub
		if b == telnetSE {
			c.state = 0
		}
	default:
		c.negotiate(c.state, b)
		c.state = 0
	}
	return false
}

// negotiate answers an offer or a wish, each option once: otherwise two polite sides would thank each other for ever.
func (c *telnetConn) negotiate(command, option byte) {
	if c.agreed == nil {
		c.agreed = map[[2]byte]bool{}
	}
	welcome := option == optionNoGoAhead || option == optionEcho && command == telnetWill
	reply := map[byte]byte{telnetWill: telnetDont, telnetDo: telnetWont}[command]
	if welcome {
		reply = map[byte]byte{telnetWill: telnetDo, telnetDo: telnetWill}[command]
	}
	key := [2]byte{option, reply}
	if reply == 0 || c.agreed[key] {
		return
	}
	c.agreed[key] = true
	c.pending = append(c.pending, telnetIAC, reply, option)
}

// Write sends text; a byte 255 is doubled. Of a text that was cut off, what went out with it counts too.
func (c *telnetConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n, err := c.Conn.Write(bytes.ReplaceAll(p, []byte{telnetIAC}, []byte{telnetIAC, telnetIAC}))
	return min(n, len(p)), err
}
