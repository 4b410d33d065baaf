package pcucontrol

import (
	"bytes"
	"context"
	"crypto/aes"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/gosnmp/gosnmp"
)

const fuzzPassword = "s3cret-Pw"

// said is a connection to a device that says all it has to say at once and hangs up, whatever it hears.
func said(text []byte) Target {
	ours, theirs := net.Pipe()
	go func() { _, _ = io.Copy(io.Discard, theirs) }()
	go func() {
		_, _ = theirs.Write(text)
		_ = theirs.Close()
	}()
	return Target{Host: "pdu", User: "admin", Password: fuzzPassword, Outlet: 3, met: &meeting{conn: ours}}
}

func wantTyped(t *testing.T, err error) {
	if err != nil && (KindOf(err) == "" || strings.Contains(err.Error(), fuzzPassword)) {
		t.Errorf("%v has no kind, or holds the password", err)
	}
}

// FuzzConversation lets a device of any model say anything.
func FuzzConversation(f *testing.F) {
	var names []string
	for _, m := range Models() {
		if slices.ContainsFunc(m.ways, func(w way) bool { _, ok := w.driver.(text); return ok }) {
			names = append(names, m.Name)
		}
	}
	for i, transcript := range []string{
		"\xff\xfb\x01\xff\xfb\x03\r\nUser Name : admin\r\nPassword  : *********\r\n\r\nAmerican Power Conversion               Network Management Card AOS      v2.6.4\r\n\r\n------- Control Console -------\r\n     1- Device Manager\r\n     2- Network\r\n     4- Logout\r\n\r\n     <ESC>- Main Menu, <ENTER>- Refresh\r\n> ",
		"\r\nUser Name : \r\nPassword  : \r\napc>olStatus 3\r\nE000: Success\r\n 3: Outlet 3: On*\r\n\r\napc>",
		"\r\nAccess to the Control Console will be denied\r\n",
		"\r\nRPC3-NC Series\r\n(C) 2002 by BayTech\r\nF4.00\r\n\r\nEnter user name: admin\r\nEnter Password: \r\nRPC3-NC>Status\r\n\r\nAverage Power: 0 Watts\r\n\r\n 1)...Outlet 1  : On\r\n 3)...Outlet 3  : Off\r\n\r\nRPC3-NC>",
		"\r\nRebooting... 10\b\b9\b\b8\b\b\r\nRPC-16>",
		"\x1b[2J\x1b[1;1HEnter Password: \r\nIPS> /S\r\n 3 | (undefined) | ON | \r\nIPS> ",
		"\r\nPassword >\r\nEnter >P3\r\nEnter >",
		"\r\n$ racadm serveraction powerstatus\r\nServer power status: Powering OFF\r\n$ ",
		"</>hpiLO-> show /system1\r\nstatus=0\r\n  Properties\r\n    enabledstate=enabled\r\n</>hpiLO-> ",
		"SSH-2.0-OpenSSH_4.3\r\n", "Port in use.\r\n", "\x00\xff\xff\xff\xfa\x18\x01\xff\xf0", fuzzPassword,
	} {
		f.Add(byte(i), []byte(transcript))
	}
	f.Fuzz(func(t *testing.T, model byte, transcript []byte) {
		m, err := Resolve(names[int(model)%len(names)])
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(m.ways, func(w way) bool { _, ok := w.driver.(text); return ok })
		d := text{m.ways[i].driver.(text).c, "telnet"}
		d.c.Redials = 0
		if len(d.c.Login) == 0 {
			d.c.Login = d.c.Welcome
		}
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		start := time.Now()
		_, err = d.status(ctx, said(transcript))
		wantTyped(t, err)
		_, err = d.set(ctx, said(transcript), opCycle)
		wantTyped(t, err)
		if time.Since(start) > 6*time.Second {
			t.Errorf("it took %v", time.Since(start))
		}
	})
}

// FuzzTelnet reads what a telnet server sends, in one piece and byte by byte: the text must be the same, and as much
// answered, and no more than was asked.
func FuzzTelnet(f *testing.F) {
	for _, s := range []string{"\xff\xfb\x01\xff\xfb\x03login: ", "\xff\xfd\x18\xff\xfa\x18\x01\xff\xf0ok", "a\xff\xffb", "\xff\xf1\xff\xf9\xff", "a\xff\xf6\xff\xfd\x1fb\xff\xfd\x1fc", "\xff\xfa\xff\xff\xff\xf0x"} {
		f.Add([]byte(s))
	}
	read := func(r io.Reader) (text, replies []byte) {
		conn := &halfConn{Reader: r}
		tn := newTelnet(conn)
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
		var whole, parts cleaner
		once := whole.append(nil, raw)
		if twice := parts.append(parts.append(nil, raw[:at]), raw[at:]); !bytes.Equal(once, twice) {
			t.Errorf("%q and %q", once, twice)
		}
		if bytes.ContainsFunc(once, func(r rune) bool { return r < 0x20 && r != '\n' && r != '\t' }) {
			t.Errorf("%q holds control characters", once)
		}
	})
}

// FuzzIPAL lets an iPAL answer anything.
func FuzzIPAL(f *testing.F) {
	for _, s := range []string{"11011111", "", "6666", "\x15", "2", "1101\r\n", strings.Repeat("1", 100), "0" + fuzzPassword} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, answer []byte) {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		r, err := ipal{}.status(ctx, said(answer))
		wantTyped(t, err)
		if err == nil && (len(answer) < 3 || string(r.After) != map[byte]string{'0': "off", '1': "on"}[answer[2]]) {
			t.Errorf("%q is %+v", answer, r)
		}
	})
}

// FuzzSNMPAnswer decodes what an agent may send, and understands it.
func FuzzSNMPAnswer(f *testing.F) {
	for _, v := range []gosnmp.SnmpVersion{gosnmp.Version1, gosnmp.Version2c} {
		for _, value := range []gosnmp.SnmpPDU{{Name: sysObjectID, Type: gosnmp.Integer, Value: 1}, {Name: sysObjectID, Type: gosnmp.NoSuchInstance}, {Name: sysObjectID, Type: gosnmp.OctetString, Value: "x"}} {
			p := gosnmp.SnmpPacket{Version: v, Community: "private", PDUType: gosnmp.GetResponse, RequestID: 7, Variables: []gosnmp.SnmpPDU{value}}
			if b, err := p.MarshalMsg(); err == nil {
				f.Add(b)
			}
		}
	}
	f.Add([]byte("\x30\x84\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, datagram []byte) {
		g := &gosnmp.GoSNMP{Version: gosnmp.Version2c}
		p, err := g.SnmpDecodePacket(datagram)
		if err != nil || p == nil {
			return
		}
		if v, kind, _ := understandSNMP(p); kind == "" {
			for _, table := range apcTables() {
				table.of(v)
			}
		}
	})
}

// answers is a BMC whose answers have the right frame and any content.
type answers struct {
	net.Conn
	left [][]byte
	last []byte
}

func (a *answers) Write(p []byte) (int, error) {
	a.last = bytes.Clone(p)
	return len(p), nil
}

func (a *answers) Read(p []byte) (int, error) {
	if len(a.left) == 0 || len(a.last) < 17 {
		return 0, os.ErrDeadlineExceeded
	}
	payload := a.left[0]
	a.left = a.left[1:]
	kind := a.last[5]
	if kind >= payloadOpen && kind <= payloadRAKP3 {
		payload = append([]byte{a.last[16]}, payload...)
		return copy(p, frame(kind+1, 0, 0, payload)), nil
	}
	return copy(p, payload), nil
}

func (*answers) SetDeadline(time.Time) error { return nil }
func (*answers) Close() error                { return nil }

// FuzzRMCPHandshake lets a BMC answer a login with anything.
func FuzzRMCPHandshake(f *testing.F) {
	opened := append(make([]byte, 7), "\x01\x02\x03\x04"...)
	f.Add([]byte{1}, []byte{}, []byte{})                                               // refused in two bytes
	f.Add(opened, append(make([]byte, 7+32), make([]byte, 20)...), make([]byte, 7+12)) // of suite 3
	f.Add(opened, []byte{0x0d, 0, 0, 0, 0, 0, 0}, []byte{0x0f})
	f.Fuzz(func(t *testing.T, open, rakp2, rakp4 []byte) {
		for _, suite := range cipherSuites() {
			s := &rmcp{conn: &answers{left: [][]byte{open, rakp2, rakp4}}, t: Target{Host: "bmc", User: "admin", Password: fuzzPassword}, suite: suite, privilege: privilegeUser, waits: answerWaits()[:1]}
			err := s.open(t.Context())
			if err == nil {
				t.Error("a BMC that cannot know the password was believed")
			}
			wantTyped(t, err)
		}
	})
}

// FuzzRMCPPacket opens packets of a session, with a true signature over anything and with none.
func FuzzRMCPPacket(f *testing.F) {
	s := &rmcp{t: Target{Host: "bmc"}, suite: cipherSuites()[1], waits: answerWaits()[:1], console: 1, k1: make([]byte, 20), k2: make([]byte, 20)}
	bmc := &rmcp{suite: s.suite, bmc: s.console, k1: s.k1, k2: s.k2}
	f.Add(bmc.seal(message(1, 1, chassisStatus, []byte{0, 1, 0, 0})))
	f.Add(make([]byte, 2*aes.BlockSize))
	f.Fuzz(func(t *testing.T, data []byte) {
		unframe(data)
		s.unseal(data)
		signed := frame(payloadIPMI|payloadEncrypted|payloadIntegrity, s.console, 1, data[:min(len(data), 1<<15)])
		signed = append(signed, 0, 7)
		if m := s.unseal(append(signed, s.mac(s.k1, signed[4:])[:s.suite.check]...)); len(m) > len(data) {
			t.Errorf("%d bytes out of %d", len(m), len(data))
		}
		s.conn = &answers{left: [][]byte{data, append(signed, s.mac(s.k1, signed[4:])[:s.suite.check]...)}, last: make([]byte, 17)}
		_, err := s.commandOnce(t.Context(), "chassis status", s.waits, chassis, chassisStatus)
		wantTyped(t, err)
	})
}

// FuzzModelFile reads an operator's model file: what is taken can be driven.
func FuzzModelFile(f *testing.F) {
	files, err := modelFiles.ReadDir("models")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		text, err := modelFiles.ReadFile("models/" + file.Name())
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte("models:\n  X: &x\n    <<: *x\n"))
	f.Add([]byte("prompt: '('\ntransports: [telnet 0]\nmodels: {A: {}}\n"))
	f.Fuzz(func(t *testing.T, file []byte) {
		found, err := readConversations("own.yaml", file)
		if err != nil {
			return
		}
		c := &Catalog{}
		c.add(found)
		for _, m := range c.Models() {
			if len(m.Transports) == 0 || !slices.Contains(m.Capabilities, "cycle") {
				t.Errorf("%+v was taken", m)
			}
		}
	})
}
