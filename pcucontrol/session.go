package pcucontrol

import (
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

	"github.com/ziutek/telnet"
	"golang.org/x/crypto/ssh"
)

// session is one conversation with a device in lines and prompts.
type session struct {
	rw     io.ReadWriteCloser
	t      Target
	read   []byte
	total  int
	nl     string
	closes []func() error
}

// maxRead bounds what one session reads, whatever the device sends.
const maxRead = 1 << 20

func (s *session) Close() {
	for _, f := range s.closes {
		_ = f()
	}
}

func (s *session) fail(kind Kind, doing, detail string) error {
	return &Error{kind, s.t.Host, doing, mask(detail, s.t.Password)}
}

func mask(text, password string) string {
	if password == "" {
		return text
	}
	return strings.ReplaceAll(text, password, "********")
}

// dialTelnet opens a telnet connection; options are negotiated by the library.
func dialTelnet(ctx context.Context, t Target, port int) (*session, error) {
	conn, err := dial(ctx, t, port)
	if err != nil {
		return nil, err
	}
	tc, err := telnet.NewConn(conn)
	if err != nil {
		_ = conn.Close()
		return nil, &Error{Unexpected, t.Host, "telnet", err.Error()}
	}
	return &session{rw: tc, t: t, nl: "\r\n", closes: []func() error{conn.Close}}, nil
}

func dial(ctx context.Context, t Target, port int) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", net.JoinHostPort(t.Host, strconv.Itoa(port)))
	if err != nil {
		return nil, dialError(t, port, err)
	}
	if d, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(d)
	}
	return conn, nil
}

func dialError(t Target, port int, err error) error {
	kind, detail := Unreachable, fmt.Sprintf("port %d", port)
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
	return &Error{kind, t.Host, "connect", detail}
}

// dialSSH opens a shell over ssh, by password or keyboard-interactive.
func dialSSH(ctx context.Context, t Target, port int) (*session, error) {
	conn, err := dial(ctx, t, port)
	if err != nil {
		return nil, err
	}
	fail := func(kind Kind, doing string, err error) (*session, error) {
		_ = conn.Close()
		return nil, &Error{kind, t.Host, doing, mask(err.Error(), t.Password)}
	}
	cfg := &ssh.ClientConfig{User: t.User, Auth: []ssh.AuthMethod{
		ssh.Password(t.Password),
		ssh.KeyboardInteractive(func(_, _ string, questions []string, _ []bool) ([]string, error) {
			answers := make([]string, len(questions))
			for i := range answers {
				answers[i] = t.Password
			}
			return answers, nil
		}),
	}}
	changed := false
	cfg.HostKeyCallback = func(_ string, _ net.Addr, key ssh.PublicKey) error {
		is := ssh.MarshalAuthorizedKey(key)
		if t.KnownHostKey != "" && subtle.ConstantTimeCompare([]byte(strings.TrimSpace(t.KnownHostKey)), []byte(strings.TrimSpace(string(is)))) != 1 {
			changed = true
			return errors.New("the host key is not the known one")
		}
		return nil
	}
	if t.Legacy {
		old := ssh.InsecureAlgorithms()
		cfg.SetDefaults()
		cfg.KeyExchanges = append(cfg.KeyExchanges, old.KeyExchanges...)
		cfg.Ciphers = append(cfg.Ciphers, old.Ciphers...)
		cfg.MACs = append(cfg.MACs, old.MACs...)
		cfg.HostKeyAlgorithms = append(ssh.SupportedAlgorithms().HostKeys, old.HostKeys...)
	}
	c, chans, reqs, err := ssh.NewClientConn(conn, t.Host, cfg)
	switch {
	case changed:
		return fail(Refused, "ssh", err)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fail(Timeout, "ssh", errors.New("no answer in time"))
	case err != nil && strings.Contains(err.Error(), "unable to authenticate"):
		return fail(Auth, "log in", errors.New("user name or password refused"))
	case err != nil:
		return fail(Unexpected, "ssh", err)
	}
	client := ssh.NewClient(c, chans, reqs)
	shell, err := client.NewSession()
	if err != nil {
		return fail(Unexpected, "ssh", err)
	}
	in, err1 := shell.StdinPipe()
	out, err2 := shell.StdoutPipe()
	err3 := shell.RequestPty("vt100", 24, 80, ssh.TerminalModes{})
	err4 := shell.Shell()
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return fail(Unexpected, "ssh", err)
	}
	return &session{rw: pipes{out, in}, t: t, nl: "\r", closes: []func() error{client.Close, conn.Close}}, nil
}

type pipes struct {
	io.Reader
	io.WriteCloser
}

var ansi = regexp.MustCompile("\x1b\\[[0-9;?]*[A-Za-z]|\x00")

// await reads until one of the patterns matches what has come since the last match, and returns which and the text up
// to its end. The earliest match wins.
func (s *session) await(doing string, patterns ...*regexp.Regexp) (int, string, error) {
	buf := make([]byte, 4096)
	for {
		clean := ansi.ReplaceAll(s.read, nil)
		best, at, end := -1, 0, 0
		for i, p := range patterns {
			if m := p.FindIndex(clean); m != nil && (best < 0 || m[0] < at) {
				best, at, end = i, m[0], m[1]
			}
		}
		if best >= 0 {
			text := string(clean[:end])
			s.read = clean[end:]
			return best, text, nil
		}
		if s.total > maxRead {
			return -1, "", s.fail(Unexpected, doing, "the device does not stop talking")
		}
		n, err := s.rw.Read(buf)
		if n > 0 {
			s.total += n
			s.read = append(s.read, buf[:n]...)
			s.read = s.read[max(0, len(s.read)-8192):]
			if s.t.Trace != nil {
				s.t.Trace("< " + mask(string(buf[:n]), s.t.Password))
			}
			continue
		}
		last := "heard: " + strconv.Quote(string(clean[max(0, len(clean)-200):]))
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return -1, string(clean), s.fail(Timeout, doing, last)
		case err != nil:
			return -1, string(clean), s.fail(Unexpected, doing, "the device hung up; "+last)
		}
	}
}

func (s *session) send(doing, line string) error {
	if s.t.Trace != nil {
		s.t.Trace("> " + mask(line, s.t.Password))
	}
	if _, err := io.WriteString(s.rw, line+s.nl); err != nil {
		return s.fail(Unexpected, doing, "the device hung up")
	}
	return nil
}

// settle gives slow devices their time between two looks, and ends early with the context.
func settle(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
