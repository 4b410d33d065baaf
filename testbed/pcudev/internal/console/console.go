// Package console lets devices speak in lines and prompts, over telnet and ssh.
package console

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Pause waits for ENTER, or for a key that leaves.
func (c *Console) Pause() (key string, err error) {
	c.Say("\r\n        Press <ENTER> to continue...")
	return c.Line(true)
}

// WaitFor hears nothing but one key.
func (c *Console) WaitFor(key byte) bool {
	for {
		if in, err := c.r.ReadByte(); err != nil || in == key {
			c.AfterCR = in == '\r'
			return err == nil
		}
	}
}

// Console is one session of lines, over telnet or in an ssh channel.
type Console struct {
	io.Writer
	r      *bufio.Reader
	telnet bool
	Keys   string // that are a line by themselves

	AfterCR bool // an LF or a NUL that comes now belongs to the end of a line that was taken
}

// New is a session without telnet.
func New(rw io.ReadWriter) *Console { return &Console{Writer: rw, r: bufio.NewReader(rw)} }

// NewTelnet says WILL ECHO and WILL SUPPRESS-GO-AHEAD, without which real clients send lines twice.
func NewTelnet(rw io.ReadWriter) *Console {
	_, _ = rw.Write([]byte{255, 251, 1, 255, 251, 3})
	return &Console{Writer: rw, r: bufio.NewReader(rw), telnet: true}
}

// Say writes to the client.
func (c *Console) Say(format string, args ...any) { _, _ = fmt.Fprintf(c, format, args...) }

// Line reads a line, with an echo of it or of stars. What came together is echoed together.
func (c *Console) Line(echo bool) (string, error) {
	var b, shown []byte
	show := func(more string) {
		if shown = append(shown, more...); len(shown) > 0 {
			_, _ = c.Write(shown)
		}
		shown = nil
	}
	for {
		if c.r.Buffered() == 0 {
			show("")
		}
		ch, err := c.r.ReadByte()
		if err != nil {
			return "", err
		}
		after := c.AfterCR
		c.AfterCR = false
		switch {
		case ch == 255 && c.telnet:
			show("")
			if err := c.option(); err != nil {
				return "", err
			}
		case strings.IndexByte(c.Keys, ch) >= 0:
			show("")
			return string(ch), nil
		case ch == '\n' && after:
		case ch == 0:
			c.AfterCR = after // telnet clients send CR LF as CR NUL LF
		case ch == '\r' || ch == '\n':
			c.AfterCR = ch == '\r'
			show("\r\n")
			return string(b), nil
		case ch == 0x7f || ch == 0x08:
			if len(b) > 0 {
				b = b[:len(b)-1]
				shown = append(shown, "\b \b"...)
			}
		case len(b) > 256:
			return "", errors.New("line too long")
		default:
			b = append(b, ch)
			if !echo {
				ch = '*'
			}
			shown = append(shown, ch)
		}
	}
}

// option reads what follows an IAC: command and, for the four negotiations, one option; a subnegotiation up to its end.
// What a client offers or wants beside what we said at the start is refused.
func (c *Console) option() error {
	const sb, will, wont, do, dont = 250, 251, 252, 253, 254
	command, err := c.r.ReadByte()
	if err != nil || command < sb {
		return err
	}
	if command > sb {
		option, err := c.r.ReadByte()
		ours := option == 1 || option == 3
		switch {
		case command == do && !ours:
			_, err = c.Write([]byte{255, wont, option})
		case command == will && option == 3:
			_, err = c.Write([]byte{255, do, option})
		case command == will:
			_, err = c.Write([]byte{255, dont, option})
		}
		return err
	}
	for last := byte(0); ; {
		ch, err := c.r.ReadByte()
		if err != nil || last == 255 && ch == 240 {
			return err
		}
		last = ch
	}
}

// Ask prompts for one line.
func (c *Console) Ask(prompt string, echo bool) (string, bool) {
	c.Say("%s", prompt)
	text, err := c.Line(echo)
	return strings.TrimSpace(text), err == nil
}
