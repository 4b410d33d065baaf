package pcucontrol

import (
	"bytes"
	"cmp"
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"
)

// session is one conversation with a device in lines and prompts.
type session struct {
	w      io.Writer
	t      Target
	nl     string // what ends a line
	chunks chan []byte
	done   chan struct{}
	closes []func() error

	clean  cleaner
	heard  []byte // cleaned, since the last match
	total  int    // bytes that came
	hungUp bool
}

const (
	defaultConnect = 15 * time.Second

	maxRead   = 1 << 20 // bytes one session reads, whatever the device sends
	maxHeard  = 16 << 10
	nudgeTime = 500 * time.Millisecond

	connecting = "connect" // what an error says that came before anything could be sent
)

// newSession starts reading, until Close or the end of ctx closes the connection.
func newSession(ctx context.Context, t Target, conn net.Conn, r io.Reader, w io.Writer, nl string) *session {
	s := &session{w: w, t: t, nl: nl, chunks: make(chan []byte), done: make(chan struct{})}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	s.closes = []func() error{func() error { stop(); return nil }, conn.Close}
	go func() {
		defer close(s.chunks)
		buf := make([]byte, 32<<10) // large, for each chunk is searched for every pattern
		for {
			n, err := r.Read(buf)
			if n > 0 {
				select {
				case s.chunks <- bytes.Clone(buf[:n]):
				case <-s.done:
					return
				}
			}
			if err != nil {
				return
			}
		}
	}()
	return s
}

// Close ends the connection and the reading.
func (s *session) Close() {
	close(s.done)
	for _, f := range s.closes {
		_ = f()
	}
	for range s.chunks { // until the reader has ended
	}
}

func (s *session) fail(kind Kind, doing, detail string) error {
	return &Error{kind, s.t.Host, doing, detail}
}

// tail is the end of a text as errors show it.
func tail(text string) string {
	return strconv.Quote(text[max(0, len(text)-200):])
}

func (s *session) trace(way, text string) {
	if s.t.Trace != nil {
		s.t.Trace(way + " " + strconv.Quote(mask(text, s.t.Password)))
	}
}

// dialText connects and, on ssh, logs in.
func dialText(ctx context.Context, t Target, transport string) (*session, error) {
	conn, err := dial(ctx, t)
	if err != nil {
		return nil, err
	}
	switch transport {
	case "ssh":
		return shell(ctx, t, conn)
	case "telnet":
		tn := newTelnet(conn)
		return newSession(ctx, t, conn, tn, tn, "\r\n"), nil
	}
	return newSession(ctx, t, conn, conn, conn, "\r\n"), nil
}

// dial connects to the target's port, which its way has filled in, or takes the connection that the look for open ports has made.
func dial(ctx context.Context, t Target) (net.Conn, error) {
	if conn := t.met.take(); conn != nil {
		return conn, nil
	}
	conn, err := (&net.Dialer{Timeout: cmp.Or(t.ConnectTimeout, defaultConnect)}).DialContext(ctx, "tcp", net.JoinHostPort(t.Host, strconv.Itoa(t.Port)))
	if err != nil {
		return nil, dialError(t, err)
	}
	return conn, nil
}

func dialError(t Target, err error) error {
	kind, detail := Unreachable, fmt.Sprintf("port %d", t.Port)
	var ne net.Error
	var dns *net.DNSError
	switch {
	case errors.As(err, &dns):
		detail = "no such host"
	case errors.As(err, &ne) && ne.Timeout():
		kind = Timeout
	case errors.Is(err, syscall.ECONNREFUSED):
		detail += " is closed"
	}
	return &Error{kind, t.Host, connecting, detail}
}

// shell logs in over ssh, by password or keyboard-interactive, and opens a shell.
func shell(ctx context.Context, t Target, conn net.Conn) (*session, error) {
	if d, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(d)
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	config, changed := sshConfig(t)
	c, channels, requests, err := ssh.NewClientConn(conn, t.Host, config)
	if err != nil {
		_ = conn.Close()
		kind, doing, detail := Unexpected, "ssh", mask(err.Error(), t.Password)
		switch {
		case *changed != "":
			kind, detail = Refused, "the host key is not the known one; it shows "+*changed+
				"; if the device was replaced, insist on that one (--host-key) or forget the old one (`monitor pcu forget`)"
		case ctx.Err() != nil || errors.Is(err, os.ErrDeadlineExceeded):
			kind, detail = Timeout, "no answer in time"
		case strings.Contains(detail, "no common algorithm") && !t.Legacy:
			kind, detail = Refused, "it speaks only what is no longer safe, which its record has to permit (--legacy; of the worker, pcu.legacy): "+detail
		case strings.Contains(detail, "unable to authenticate"):
			kind, doing, detail = Auth, "log in", "user name or password refused"
		}
		return nil, &Error{kind, t.Host, doing, detail}
	}
	_ = conn.SetDeadline(time.Time{})
	client := ssh.NewClient(c, channels, requests)
	fail := func(err error) (*session, error) {
		_ = client.Close()
		if ctx.Err() != nil {
			return nil, &Error{Timeout, t.Host, "ssh", "no shell in time"}
		}
		return nil, &Error{Unexpected, t.Host, "ssh", mask(err.Error(), t.Password)}
	}
	sh, err := client.NewSession()
	if err != nil {
		return fail(err)
	}
	in, err1 := sh.StdinPipe()
	out, err2 := sh.StdoutPipe()
	_ = sh.RequestPty("vt100", 24, 80, ssh.TerminalModes{}) // some devices have none to give
	if err := errors.Join(err1, err2, sh.Shell()); err != nil {
		return fail(err)
	}
	return newSession(ctx, t, conn, out, in, "\r"), nil
}

// sshConfig also tells the host key, where it is another than the known one.
func sshConfig(t Target) (config *ssh.ClientConfig, changed *string) {
	changed = new(string)
	config = &ssh.ClientConfig{User: t.User, Auth: sshAuth(t)}
	config.HostKeyCallback = func(_ string, _ net.Addr, key ssh.PublicKey) error {
		is := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))
		if t.SeenHostKey != nil {
			t.SeenHostKey(is)
		}
		if known := strings.TrimSpace(t.KnownHostKey); known != "" && subtle.ConstantTimeCompare([]byte(known), []byte(is)) != 1 {
			*changed = is
			return errors.New("the host key is not the known one")
		}
		return nil
	}
	if t.Legacy {
		old := ssh.InsecureAlgorithms()
		config.SetDefaults()
		config.KeyExchanges = append(config.KeyExchanges, old.KeyExchanges...)
		config.Ciphers = append(config.Ciphers, old.Ciphers...)
		config.MACs = append(config.MACs, old.MACs...)
		config.HostKeyAlgorithms = append(ssh.SupportedAlgorithms().HostKeys, old.HostKeys...)
	}
	return config, changed
}

// sshAuth is by key where the password is a private key, else by password, in either of ssh's two ways.
func sshAuth(t Target) []ssh.AuthMethod {
	if key, err := ssh.ParsePrivateKey([]byte(t.Password)); err == nil {
		return []ssh.AuthMethod{ssh.PublicKeys(key)}
	}
	return []ssh.AuthMethod{
		ssh.Password(t.Password),
		ssh.KeyboardInteractive(func(_, _ string, questions []string, _ []bool) ([]string, error) {
			answers := make([]string, len(questions))
			for i := range answers {
				answers[i] = t.Password
			}
			return answers, nil
		}),
	}
}

// await reads until one of the patterns matches what has come since the last match, and returns which, and the text up to its
// end. The earliest match wins. Whenever the device has said nothing for a while, nudge is pressed.
func (s *session) await(ctx context.Context, doing, nudge string, patterns []*regexp.Regexp) (int, string, error) {
	var tick <-chan time.Time
	if nudge != "" {
		ticker := time.NewTicker(nudgeTime)
		defer ticker.Stop()
		tick = ticker.C
	}
	last := s.total
	for {
		if i, end := earliest(patterns, s.heard); i >= 0 {
			text := string(s.heard[:end])
			s.heard = s.heard[end:]
			s.trace("<", text)
			return i, text, nil
		}
		if s.total > maxRead {
			return -1, "", s.lost(Unexpected, doing, "the device does not stop talking")
		}
		if ctx.Err() != nil {
			return -1, "", s.lost(Timeout, doing, "no answer in time")
		}
		select {
		case chunk, ok := <-s.chunks:
			if !ok && ctx.Err() == nil {
				s.hungUp = true
				return -1, "", s.lost(Unexpected, doing, "the device hung up")
			}
			s.total += len(chunk)
			s.heard = s.clean.append(s.heard, chunk)
			s.heard = s.heard[max(0, len(s.heard)-maxHeard):]
			if strings.HasPrefix(string(s.heard), "SSH-") && s.nl == "\r\n" {
				return -1, "", s.lost(Unexpected, doing, "this port speaks ssh")
			}
		case <-tick:
			if quiet := s.total == last; !quiet {
				last = s.total
				continue
			}
			_, _ = s.send(ctx, doing, nudge) // where it has hung up, its last words come before the end of them
		case <-ctx.Done():
		}
	}
}

func (s *session) lost(kind Kind, doing, detail string) error {
	s.trace("<", string(s.heard))
	return s.fail(kind, doing, detail+"; heard: "+tail(mask(string(s.heard), s.t.Password)))
}

func earliest(patterns []*regexp.Regexp, text []byte) (which, end int) {
	which, at := -1, 0
	for i, p := range patterns {
		if m := p.FindIndex(text); m != nil && (which < 0 || m[0] < at) {
			which, at, end = i, m[0], m[1]
		}
	}
	return which, end
}

// send sends keys; sent is whether any of them may have gone out.
func (s *session) send(ctx context.Context, doing, keys string) (sent bool, err error) {
	s.trace(">", keys)
	n, err := io.WriteString(s.w, keys)
	switch {
	case err == nil:
		return true, nil
	case ctx.Err() != nil:
		return n > 0, s.fail(Timeout, doing, "no answer in time")
	}
	s.hungUp = true
	return n > 0, s.fail(Unexpected, doing, "the device hung up")
}

// settle gives slow devices their time between two looks, and ends early with the context.
func settle(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// cleaner takes away what is not text: escape sequences of terminals, also those that come in pieces, and control characters but
// the line feed.
type cleaner struct{ escape, sequence bool }

func (c *cleaner) append(text, raw []byte) []byte {
	for _, b := range raw {
		switch {
		case c.sequence:
			c.sequence = b < 0x40 || b > 0x7e
		case c.escape:
			c.escape, c.sequence = false, b == '['
		case b == 0x1b:
			c.escape = true
		case b >= 0x20 && b != 0x7f || b == '\n' || b == '\t':
			text = append(text, b)
		}
	}
	return text
}
