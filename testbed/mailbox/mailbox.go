// Package mailbox is a mail server that keeps what it gets in memory, for the demo and the tests. It speaks real SMTP,
// fails on demand, and shows its mail on a page.
package mailbox

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// keep is how many messages stay; older ones are forgotten.
const keep = 10_000

// Message is one mail as it arrived. To is the envelope, so it holds only the recipients that were accepted.
type Message struct {
	From       string
	To         []string
	Subject    string
	MessageID  string
	InReplyTo  string
	References []string
	Header     map[string][]string
	Body       string
	At         time.Time
	Raw        []byte
	UTF8       bool // it was announced by SMTPUTF8
}

// Options say how the server listens. The zero value listens on a free loopback port without TLS or login.
type Options struct {
	Addr               string
	Username, Password string      // ask for this login before mail is taken
	TLS                *tls.Config // offer STARTTLS
	Wrapped            bool        // speak TLS from the first byte instead
	UTF8               bool        // offer SMTPUTF8
}

// Mailbox is a running server. All methods may be called at once from many goroutines.
type Mailbox struct {
	opts     Options
	listener net.Listener
	server   *smtp.Server
	done     chan struct{}

	mu       sync.Mutex
	messages []Message
	total    int
	changed  chan struct{} // closed and replaced when a message arrives
	refusals map[string]*smtp.SMTPError
	dataFail *smtp.SMTPError
	drops    int
}

// Start serves on addr, such as "127.0.0.1:0", until [Mailbox.Close].
func Start(addr string) (*Mailbox, error) { return StartWith(Options{Addr: addr}) }

// StartWith serves as o says until [Mailbox.Close].
func StartWith(o Options) (*Mailbox, error) {
	if o.Addr == "" {
		o.Addr = "127.0.0.1:0"
	}
	listener, err := net.Listen("tcp", o.Addr)
	if err != nil {
		return nil, fmt.Errorf("mailbox: %w", err)
	}
	m := &Mailbox{
		opts: o, listener: listener, done: make(chan struct{}),
		changed: make(chan struct{}), refusals: map[string]*smtp.SMTPError{},
	}
	m.server = smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) {
		return &session{box: m, conn: c}, nil
	}))
	m.server.Domain = "mailbox.test"
	m.server.AllowInsecureAuth = true
	m.server.EnableSMTPUTF8 = o.UTF8
	m.server.MaxMessageBytes = 10 << 20
	m.server.ReadTimeout, m.server.WriteTimeout = time.Minute, time.Minute
	m.server.ErrorLog = log.New(io.Discard, "", 0)
	serving := listener
	if o.Wrapped {
		serving = tls.NewListener(listener, o.TLS)
	} else {
		m.server.TLSConfig = o.TLS
	}
	go func() {
		defer close(m.done)
		_ = m.server.Serve(serving)
	}()
	return m, nil
}

// Addr is the host:port on which the server listens.
func (m *Mailbox) Addr() string { return m.listener.Addr().String() }

// Close stops the server and cuts its connections. The messages stay readable.
func (m *Mailbox) Close() error {
	err := m.server.Close()
	_ = m.listener.Close() // Serve may not have begun, and then the server does not know its listener
	<-m.done
	if errors.Is(err, smtp.ErrServerClosed) {
		return nil
	}
	return err
}

// Messages returns what has arrived, oldest first.
func (m *Mailbox) Messages() []Message {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.messages)
}

// Wait waits until n messages have arrived since the start, and returns those that are kept.
func (m *Mailbox) Wait(ctx context.Context, n int) ([]Message, error) {
	for {
		m.mu.Lock()
		total, changed := m.total, m.changed
		m.mu.Unlock()
		if total >= n {
			return m.Messages(), nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return m.Messages(), fmt.Errorf("mailbox: %d of %d messages: %w", total, n, ctx.Err())
		}
	}
}

// Refuse answers every RCPT for the recipient with code, such as 450 or 550, until [Mailbox.Accept].
func (m *Mailbox) Refuse(recipient string, code int, text string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.refusals[strings.ToLower(recipient)] = refusal(code, text)
}

// Accept takes mail for the recipient again.
func (m *Mailbox) Accept(recipient string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.refusals, strings.ToLower(recipient))
}

// RefuseData answers every whole message with code; 0 takes them again.
func (m *Mailbox) RefuseData(code int, text string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.dataFail = nil
	if code != 0 {
		m.dataFail = refusal(code, text)
	}
}

// Drop keeps the next n messages but cuts the connection instead of saying so, as a server does that dies too early.
func (m *Mailbox) Drop(n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.drops = n
}

func refusal(code int, text string) *smtp.SMTPError {
	return &smtp.SMTPError{Code: code, EnhancedCode: smtp.EnhancedCode{code / 100, 0, 0}, Message: text}
}

// store keeps a message and reports whether the connection is to be cut.
func (m *Mailbox) store(msg Message) (drop bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.total++
	m.messages = append(m.messages, msg)
	if over := len(m.messages) - keep; over > 0 {
		m.messages = slices.Delete(m.messages, 0, over)
	}
	close(m.changed)
	m.changed = make(chan struct{})
	if m.drops > 0 {
		m.drops--
		return true
	}
	return false
}

// session is one SMTP connection.
type session struct {
	box    *Mailbox
	conn   *smtp.Conn
	authed bool
	from   string
	to     []string
	utf8   bool
}

func (s *session) AuthMechanisms() []string {
	if s.box.opts.Username == "" {
		return nil
	}
	return []string{sasl.Plain}
}

func (s *session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if user != s.box.opts.Username || password != s.box.opts.Password {
			return smtp.ErrAuthFailed
		}
		s.authed = true
		return nil
	}), nil
}

func (s *session) Mail(from string, o *smtp.MailOptions) error {
	if s.box.opts.Username != "" && !s.authed {
		return refusal(530, "login first") // RFC 4954
	}
	s.from, s.utf8 = from, o != nil && o.UTF8
	return nil
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.box.mu.Lock()
	refused := s.box.refusals[strings.ToLower(to)]
	s.box.mu.Unlock()
	if refused != nil {
		return refused
	}
	s.to = append(s.to, to)
	return nil
}

func (s *session) Data(r io.Reader) error {
	raw, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	s.box.mu.Lock()
	refused := s.box.dataFail
	s.box.mu.Unlock()
	if refused != nil {
		return refused
	}
	msg, err := parse(raw)
	if err != nil {
		return refusal(554, err.Error())
	}
	msg.From, msg.To, msg.At, msg.UTF8 = s.from, slices.Clone(s.to), time.Now(), s.utf8
	if s.box.store(msg) {
		_ = s.conn.Conn().Close()
	}
	return nil
}

func (s *session) Reset()        { s.from, s.to = "", nil }
func (s *session) Logout() error { return nil }
