package wire

import (
	"bytes"
	"io"
	"net"
	"testing"
	"testing/iotest"
)

// FuzzTelnet reads what a telnet server sends, in one piece and byte by byte: the text must be the same, and as much
// answered, and no more than was asked.
func FuzzTelnet(f *testing.F) {
	for _, s := range []string{"\xff\xfb\x01\xff\xfb\x03login: ", "\xff\xfd\x18\xff\xfa\x18\x01\xff\xf0ok",
		"a\xff\xffb", "\xff\xf1\xff\xf9\xff", "a\xff\xf6\xff\xfd\x1fb\xff\xfd\x1fc", "\xff\xfa\xff\xff\xff\xf0x"} {
		f.Add([]byte(s))
	}
	read := func(r io.Reader) (text, replies []byte) {
		conn := &halfConn{Reader: r}
		tn := NewTelnet(conn)
		text, _ = io.ReadAll(tn)
		return text, conn.written
	}
	f.Fuzz(func(t *testing.T, sent []byte) {
		text, replies := read(bytes.NewReader(sent))
		textToo, repliesToo := read(iotest.OneByteReader(bytes.NewReader(sent)))
		if !bytes.Equal(text, textToo) || len(replies) != len(repliesToo) {
			t.Errorf("read at once: %q and %q; byte by byte: %q and %q", text, replies, textToo, repliesToo)
		}
		if len(text) > len(sent) || len(replies) > len(sent) {
			t.Errorf("%d bytes of text and %d of replies to %d", len(text), len(replies), len(sent))
		}
	})
}

// halfConn reads what is there and keeps what is written.
type halfConn struct {
	net.Conn
	io.Reader
	written []byte
}

func (c *halfConn) Read(p []byte) (int, error) { return c.Reader.Read(p) }

func (c *halfConn) Write(p []byte) (int, error) {
	c.written = append(c.written, p...)
	return len(p), nil
}

// FuzzCleaner cleans the same text in one piece and in two.
func FuzzCleaner(f *testing.F) {
	f.Add([]byte("\x1b[2J\x1b[1;1HEnter Password: "), 3)
	f.Add([]byte("Rebooting... 9\b\b8\r\n"), 5)
	f.Fuzz(func(t *testing.T, raw []byte, at int) {
		at = max(0, min(at, len(raw)))
		var whole, parts Cleaner
		once := whole.Append(nil, raw)
		if twice := parts.Append(parts.Append(nil, raw[:at]), raw[at:]); !bytes.Equal(once, twice) {
			t.Errorf("%q and %q", once, twice)
		}
		if bytes.ContainsFunc(once, func(r rune) bool { return r < 0x20 && r != '\n' && r != '\t' }) {
			t.Errorf("%q holds control characters", once)
		}
	})
}
