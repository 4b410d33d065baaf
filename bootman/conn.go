package bootman

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/planetlab/monitor/clean"
)

// MaxOutput bounds what is kept of one command's output, and so of a log.
const MaxOutput = 1 << 20

// What may come between us and the answer to a command. Either leaves open whether the command was carried out.
var (
	ErrTimeout = errors.New("no answer in time")
	ErrLost    = errors.New("the connection broke")
)

// Uncertain says whether an error leaves open if a command was carried out.
func Uncertain(err error) bool { return errors.Is(err, ErrTimeout) || errors.Is(err, ErrLost) }

// deniedError is a key that was refused, by the node or by us.
type deniedError struct{ error }

func (e deniedError) Unwrap() error { return e.error }

// Denied says whether an error of Dial means that the node is there and that a key stands in the way.
func Denied(err error) bool {
	var d deniedError
	return errors.As(err, &d)
}

// Target says where a node is and how it is entered.
type Target struct {
	Host      string
	Addresses []string // host:port, in the order they are tried
	User      string
	Keys      []ssh.Signer // all are offered in one login
	// HostKey is asked about the key that the node shows; an error refuses it.
	HostKey func(ssh.PublicKey) error
	// Timeout bounds the way in and each command.
	Timeout time.Duration
}

// Conn is one ssh connection over which many commands run, one after the other or at once.
type Conn struct {
	client  *ssh.Client
	timeout time.Duration
}

// Dial enters a node on the first of its addresses that lets it in. A key that is refused, on either side, ends the search.
func Dial(ctx context.Context, t Target) (*Conn, error) {
	if len(t.Addresses) == 0 {
		return nil, fmt.Errorf("enter %s: no address is known", t.Host)
	}
	var all []error
	for _, address := range t.Addresses {
		c, err := dial(ctx, t, address)
		if err == nil {
			return c, nil
		}
		all = append(all, fmt.Errorf("enter %s at %s: %w", t.Host, address, clean.Err(err)))
		if Denied(err) {
			break
		}
	}
	return nil, errors.Join(all...)
}

func dial(ctx context.Context, t Target, address string) (*Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, t.Timeout)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	var refused error
	sc, chans, reqs, err := ssh.NewClientConn(conn, address, &ssh.ClientConfig{
		User: t.User, Auth: []ssh.AuthMethod{ssh.PublicKeys(t.Keys...)},
		HostKeyCallback: func(_ string, _ net.Addr, key ssh.PublicKey) error {
			refused = t.HostKey(key)
			return refused
		},
	})
	inTime := stop()
	switch {
	case err == nil && inTime:
		return &Conn{client: ssh.NewClient(sc, chans, reqs), timeout: t.Timeout}, nil
	case refused != nil:
		err = deniedError{refused}
	case err == nil, ctx.Err() != nil:
		err = fmt.Errorf("connected, but ssh says nothing: %w", ErrTimeout)
	case strings.Contains(err.Error(), "unable to authenticate"):
		err = deniedError{errors.New("the node refuses our ssh key")}
	}
	_ = conn.Close()
	return nil, err
}

// Close ends the connection and every command on it.
func (c *Conn) Close() { _ = c.client.Close() }

// Output is what a command answered.
type Output struct {
	Text   []byte // its standard output, without what the node's shell said before it
	Err    []byte // its error output
	Status int    // its exit status
	Cut    bool   // there was more than MaxOutput; the status is not known
}

// mark is what we let the node say before a command's answer. What comes before it is noise: of the shell's profile, of a
// console that is shared, of a banner.
const mark = "monitor-answer-begins"

// answer is the output after the mark. An output without it is no answer of a shell, and is handed on as it is.
func answer(out []byte) []byte {
	if _, after, found := bytes.Cut(out, []byte(mark+"\n")); found {
		return after
	}
	return out
}

// said is what a failed command has to say for itself.
func (o Output) said() []byte {
	if text := bytes.TrimSpace(o.Err); len(text) > 0 {
		return text
	}
	return o.Text
}

// Run runs one command to its end, or gives up on it after the connection's timeout, with what it had said until then. Other
// commands are not held up by one that hangs.
func (c *Conn) Run(ctx context.Context, command string) (Output, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	out, errs := &bounded{full: make(chan struct{})}, &bounded{full: make(chan struct{})}
	result := func() Output {
		o := Output{Text: answer(out.bytes()), Err: errs.bytes()}
		if o.Cut = len(o.Text) > MaxOutput; o.Cut {
			o.Text = o.Text[:MaxOutput]
		}
		return o
	}
	opened := make(chan *ssh.Session, 1)
	ended := make(chan error, 1)
	go func() {
		session, err := c.client.NewSession()
		if err != nil {
			ended <- err
			return
		}
		opened <- session
		session.Stdout, session.Stderr = out, errs
		ended <- session.Run("echo " + mark + "\n" + command)
	}()
	// Closing the session says so to the node; a node that reads nothing must not hold us up even then.
	abandon := func() {
		go func() {
			select {
			case session := <-opened:
				_ = session.Close()
			case <-ended:
			}
		}()
	}
	select {
	case err := <-ended:
		var exit *ssh.ExitError
		switch {
		case errors.As(err, &exit):
			o := result()
			o.Status = exit.ExitStatus()
			return o, nil
		case err != nil:
			err = fmt.Errorf("%w: %w", ErrLost, clean.Err(err))
		}
		return result(), err
	case <-out.full:
		abandon()
		o := result()
		o.Cut = true
		return o, nil
	case <-ctx.Done():
		abandon()
		return result(), ErrTimeout
	}
}

// mostRead leaves room for what a node says before an answer.
const mostRead = MaxOutput + 64<<10

// bounded keeps the first bytes of what is written to it, and says when it is full.
type bounded struct {
	mu   sync.Mutex
	buf  bytes.Buffer
	full chan struct{}
	done bool
}

func (b *bounded) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.buf.Write(p[:min(len(p), mostRead-b.buf.Len())])
	if b.buf.Len() == mostRead && !b.done {
		b.done = true
		close(b.full)
	}
	return len(p), nil
}

func (b *bounded) bytes() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return bytes.Clone(b.buf.Bytes())
}
