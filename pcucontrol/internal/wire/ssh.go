package wire

import (
	"context"
	"crypto/subtle"
	"errors"
	"net"
	"os"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/planetlab/monitor/pcucontrol"
	"github.com/planetlab/monitor/pcucontrol/internal/secret"
)

// DialText connects and, on ssh, logs in.
func DialText(ctx context.Context, t pcucontrol.Target, transport string) (*Session, error) {
	conn, err := Dial(ctx, t)
	if err != nil {
		return nil, err
	}
	switch transport {
	case "ssh":
		return shell(ctx, t, conn)
	case "telnet":
		tn := NewTelnet(conn)
		return NewSession(ctx, t, conn, tn, tn, "\r\n"), nil
	}
	return NewSession(ctx, t, conn, conn, conn, "\r\n"), nil
}

// shell logs in over ssh, by password or keyboard-interactive, and opens a shell.
func shell(ctx context.Context, t pcucontrol.Target, conn net.Conn) (*Session, error) {
	if d, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(d)
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	config, changed := sshConfig(t)
	c, channels, requests, err := ssh.NewClientConn(&noTelnet{Conn: conn}, t.Host, config)
	if err != nil {
		_ = conn.Close()
		kind, doing, detail := pcucontrol.Unexpected, "ssh", secret.Mask(err.Error(), t.Password)
		switch {
		case *changed != "":
			kind, detail = pcucontrol.Refused, "the host key is not the known one; it shows "+*changed+
				"; if the device was replaced, insist on that one (--host-key) or forget the old one (`monitor pcu "+
				"forget`)"
		case ctx.Err() != nil || errors.Is(err, os.ErrDeadlineExceeded):
			kind, detail = pcucontrol.Timeout, "no answer in time"
		case strings.Contains(detail, "no common algorithm") && !t.Legacy:
			kind, detail = pcucontrol.Refused, "it speaks only what is no longer safe, which its record has to "+
				"permit (--legacy; of the worker, pcu.legacy): "+detail
		case strings.Contains(detail, "unable to authenticate"):
			kind, doing, detail = pcucontrol.Auth, "log in", "user name or password refused"
		}
		return nil, Fail(t, kind, doing, detail)
	}
	_ = conn.SetDeadline(time.Time{})
	client := ssh.NewClient(c, channels, requests)
	fail := func(err error) (*Session, error) {
		_ = client.Close()
		if ctx.Err() != nil {
			return nil, Fail(t, pcucontrol.Timeout, "ssh", "no shell in time")
		}
		return nil, Fail(t, pcucontrol.Unexpected, "ssh", secret.Mask(err.Error(), t.Password))
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
	return NewSession(ctx, t, conn, out, in, "\r"), nil
}

// noTelnet fails at once where a server negotiates telnet, which would wait for our name, and we for its version, until
// the time is over. No version of ssh, and no line before it, begins with telnet's escape (RFC 4253, 4.2: it is no text).
type noTelnet struct {
	net.Conn
	heard bool
}

func (c *noTelnet) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 && !c.heard {
		c.heard = true
		if p[0] == telnetIAC {
			return 0, errors.New("it speaks telnet here")
		}
	}
	return n, err
}

// sshConfig also tells the host key, where it is another than the known one.
func sshConfig(t pcucontrol.Target) (config *ssh.ClientConfig, changed *string) {
	changed = new(string)
	config = &ssh.ClientConfig{User: t.User, Auth: sshAuth(t)}
	config.HostKeyCallback = func(_ string, _ net.Addr, key ssh.PublicKey) error {
		is := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))
		if t.SeenHostKey != nil {
			t.SeenHostKey(is)
		}
		if known := strings.TrimSpace(t.KnownHostKey); known != "" &&
			subtle.ConstantTimeCompare([]byte(known), []byte(is)) != 1 {
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
func sshAuth(t pcucontrol.Target) []ssh.AuthMethod {
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
