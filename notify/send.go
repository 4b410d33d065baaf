package notify

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	netmail "net/mail"
	"os"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/wneessen/go-mail"
	"github.com/wneessen/go-mail/smtp"
)

// The modes of a sender and its ways to use TLS, as the configuration names them.
const (
	ModeLive    = "live"
	ModeTest    = "test"
	ModeObserve = "observe"

	TLSNone     = "none"
	TLSStartTLS = "starttls"
	TLSWrapped  = "tls"
)

// batch is how many recipients share one envelope; servers must take 100 (RFC 5321, 4.5.3.1.8).
const batch = 100

// Options say how mail leaves.
type Options struct {
	Addr     string // host:port of the mail server
	From     string // the sender, with or without a name
	ReplyTo  string
	Username string
	Password string
	TLS      string // TLSNone, TLSStartTLS (required, not merely tried) or TLSWrapped
	// TLSConfig is the client's side of TLS; nil means the system's authorities and the host in Addr.
	TLSConfig   *tls.Config
	Mode        string        // ModeLive, ModeTest or ModeObserve
	TestAddress string        // who gets everything in ModeTest
	Timeout     time.Duration // for one message; 0 means one minute
	// Observe is told how long each message took and how it ended; nil: nobody asks.
	Observe func(took time.Duration, err error)
}

// Sender sends messages. It keeps no connection and may be used from many goroutines.
type Sender struct {
	o    Options
	from *netmail.Address
}

// NewSender checks the options; it does not connect.
func NewSender(o Options) (*Sender, error) {
	s := &Sender{o: o}
	if s.o.Timeout <= 0 {
		s.o.Timeout = time.Minute
	}
	if !slices.Contains([]string{ModeLive, ModeTest, ModeObserve}, o.Mode) {
		return nil, fmt.Errorf("mail mode %q is not live, test or observe", o.Mode)
	}
	if !slices.Contains([]string{TLSNone, TLSStartTLS, TLSWrapped}, o.TLS) {
		return nil, fmt.Errorf("mail TLS %q is not none, starttls or tls", o.TLS)
	}
	if o.Mode == ModeObserve {
		return s, nil
	}
	var err error
	if s.from, err = netmail.ParseAddress(o.From); err != nil {
		return nil, fmt.Errorf("mail sender %q: %w", o.From, err)
	}
	if _, _, err := net.SplitHostPort(o.Addr); err != nil {
		return nil, fmt.Errorf("mail server %q: %w", o.Addr, err)
	}
	if o.Mode == ModeTest {
		if _, err := netmail.ParseAddress(o.TestAddress); err != nil {
			return nil, fmt.Errorf("mail test address %q: %w", o.TestAddress, err)
		}
	}
	return s, nil
}

// Receipt says what became of a message, recipient by recipient.
type Receipt struct {
	Mode     string
	Accepted []string          // the server took the message for these
	Rejected map[string]string // never try these again; with the reason
	Deferred map[string]string // try these again, with Message.Only; with the reason
	// Withheld are the recipients that observe or test mode kept the message from.
	Withheld []string
}

// Left lists the recipients that another try may still reach, in order: for [Message.Only].
func (r Receipt) Left() []string {
	var left []string
	for to := range r.Deferred {
		left = append(left, to)
	}
	slices.Sort(left)
	return left
}

func (r *Receipt) reject(address, why string) {
	r.Rejected[address] = why
	delete(r.Deferred, address)
}

func (r Receipt) String() string {
	switch r.Mode {
	case ModeObserve:
		return "observe mode, nothing was sent; it was for " + strings.Join(r.Withheld, ", ")
	case ModeTest:
		return fmt.Sprintf(
			"test mode, sent to %s; it was for %s",
			strings.Join(r.Accepted, ", "),
			strings.Join(r.Withheld, ", "),
		)
	}
	return fmt.Sprintf("%d accepted, %d rejected, %d deferred", len(r.Accepted), len(r.Rejected), len(r.Deferred))
}

// Send sends m to each of its recipients once. The receipt is good even with an error: those that it lists as accepted
// have the message, so a retry sets [Message.Only] to [Receipt.Left]. The error is nil when nobody is left over and
// somebody accepted; else it is an [Error]: Temporary while somebody is left over, Permanent when all are rejected.
// Ambiguous means that those left over may have the message already; the Message-ID lets their readers show it once.
func (s *Sender) Send(ctx context.Context, m Message) (_ Receipt, err error) {
	if s.o.Observe != nil && s.o.Mode != ModeObserve {
		defer func(start time.Time) { s.o.Observe(time.Since(start), err) }(time.Now())
	}
	r := Receipt{Mode: s.o.Mode, Rejected: map[string]string{}, Deferred: map[string]string{}}
	to, header := recipients(m, &r)
	if len(to) == 0 {
		return r, s.failed(ctx, "address", Permanent, errors.New("nobody to send it to"))
	}
	switch s.o.Mode {
	case ModeObserve:
		r.Withheld = to
		return r, nil
	case ModeTest:
		r.Withheld = to
		m.Subject = "[test] " + m.Subject
		m.Text = wrap(
			"This is a test. Without test mode this mail would have gone to: "+strings.Join(to, ", "),
		) + "\n\n" + m.Text
		to, header = []string{s.o.TestAddress}, []string{s.o.TestAddress}
	}
	mailings, err := s.mailings(m, to, header)
	if err != nil {
		return r, s.failed(ctx, "compose", Permanent, err)
	}
	for _, address := range to {
		r.Deferred[address] = "not tried"
	}
	ctx, cancel := context.WithTimeout(ctx, s.o.Timeout)
	defer cancel()
	if err := s.deliver(ctx, mailings, &r); err != nil {
		return r, err
	}
	switch {
	case len(r.Deferred) > 0:
		return r, &Error{Failure: Temporary, Server: s.o.Addr, Step: "rcpt", cause: reasons(r.Deferred)}
	case len(r.Accepted) == 0:
		return r, &Error{Failure: Permanent, Server: s.o.Addr, Step: "rcpt", cause: reasons(r.Rejected)}
	}
	return r, nil
}

// recipients returns whom to send m to, and whom its header names. What is no address goes to r.Rejected.
func recipients(m Message, r *Receipt) (to, header []string) {
	seen := map[string]bool{}
	for _, text := range m.To {
		a, err := netmail.ParseAddress(text)
		if err != nil || !plainAddress(a.Address) {
			r.Rejected[line(text)] = "not a mail address that Monitor writes to"
			continue
		}
		if folded := strings.ToLower(a.Address); !seen[folded] {
			seen[folded] = true
			header = append(header, a.Address)
		}
	}
	if len(m.Only) == 0 {
		return header, header
	}
	only := map[string]bool{}
	for _, text := range m.Only {
		only[strings.ToLower(text)] = true
	}
	to = slices.DeleteFunc(slices.Clone(header), func(a string) bool { return !only[strings.ToLower(a)] })
	return to, header
}

// plainAddress reports whether an address reads the same to every program on its way: a quoted one with a comma or a
// bracket is two to some of
// them, and one that the library refuses would cost the message of all others.
func plainAddress(address string) bool {
	if len(address) > 254 || strings.ContainsAny(address, " \t\r\n<>\"(),:;[]\\") ||
		line(address) != address { // RFC 5321, 4.5.3.1.3
		return false
	}
	return mail.NewMsg().To(address) == nil
}

// compose builds the mail. Every header value goes through [line] or a strict form, so none can add a header.
func (s *Sender) compose(m Message, to []string) (*mail.Msg, error) {
	for _, id := range append([]string{m.MessageID}, threads(m)...) {
		if !idForm.MatchString(id) {
			return nil, fmt.Errorf("message id %q is not <something@domain>", id)
		}
	}
	msg := mail.NewMsg()
	msg.SetAddrHeaderFromMailAddress(mail.HeaderFrom, s.from)
	if err := msg.To(to...); err != nil {
		return nil, err
	}
	if s.o.ReplyTo != "" {
		if err := msg.ReplyTo(s.o.ReplyTo); err != nil {
			return nil, err
		}
	}
	at := m.At
	if at.IsZero() {
		at = time.Now()
	}
	msg.SetDateWithValue(at)
	msg.SetMessageIDWithValue(strings.Trim(m.MessageID, "<>"))
	if m.InReplyTo != "" {
		msg.SetGenHeader(mail.HeaderInReplyTo, m.InReplyTo)
	}
	if list := threads(m); len(list) > 0 {
		msg.SetGenHeaderPreformatted(mail.HeaderReferences, strings.Join(list, "\r\n "))
	}
	msg.Subject(line(m.Subject))
	// So that no holiday responder answers a machine (RFC 3834).
	msg.SetGenHeader("Auto-Submitted", "auto-generated")
	msg.SetGenHeader("X-Auto-Response-Suppress", "All")
	msg.SetUserAgent("PlanetLab Monitor")
	if m.List != "" {
		msg.SetGenHeader("List-Id", s.listID(m.List))
	}
	if m.Kind != "" {
		msg.SetGenHeader("X-Monitor-Kind", line(string(m.Kind)))
	}
	msg.SetBodyString(mail.TypeTextPlain, m.Text)
	return msg, nil
}

// listID names a stream of messages, by which readers can sort them (RFC 2919).
func (s *Sender) listID(list string) string {
	label := strings.Trim(domainChars.ReplaceAllString(strings.ToLower(list), "-"), ".-")
	return "<" + cut(cmp.Or(label, "all"), maxLabel) + ".monitor." + cmp.Or(Domain(s.from.String()), "invalid") + ">"
}

// maxLabel is how long a part of a List-Id may be; the whole has 255 characters (RFC 2919).
const maxLabel = 100

// threads are the messages that m continues, the oldest first, each once.
func threads(m Message) []string {
	list := slices.Clone(m.References)
	if m.InReplyTo != "" && !slices.Contains(list, m.InReplyTo) {
		list = append(list, m.InReplyTo)
	}
	return list
}

// mailing is a message as some of its recipients get it.
type mailing struct {
	msg  *mail.Msg
	to   []string
	utf8 bool // a recipient's address is not ASCII, which takes a server that offers SMTPUTF8 (RFC 6531)
}

// mailings are what is sent. A message that names an address beyond ASCII can go only from server to server that know
// SMTPUTF8, so that those
// with plain addresses get one that does not name it.
func (s *Sender) mailings(m Message, to, header []string) ([]mailing, error) {
	var list []mailing
	for _, utf8 := range []bool{false, true} {
		ours := func(address string) bool { return ascii(address) != utf8 }
		part := mailing{utf8: utf8, to: keep(to, ours)}
		if len(part.to) == 0 {
			continue
		}
		names := header
		if !utf8 {
			names = keep(header, ours)
		}
		var err error
		if part.msg, err = s.compose(m, names); err != nil {
			return nil, err
		}
		list = append(list, part)
	}
	return list, nil
}

func keep(addresses []string, which func(string) bool) []string {
	return slices.DeleteFunc(slices.Clone(addresses), func(a string) bool { return !which(a) })
}

func ascii(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r > unicode.MaxASCII })
}

// deliver carries a message to every address, a batch an envelope, over one connection.
func (s *Sender) deliver(ctx context.Context, mailings []mailing, r *Receipt) error {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", s.o.Addr)
	if err != nil {
		return s.failed(ctx, "connect", Temporary, err)
	}
	defer conn.Close()
	// A context that ends cuts the conversation, wherever it is.
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	client, failure := s.greet(ctx, conn)
	if failure != nil {
		return failure
	}
	for _, m := range mailings {
		if offered, _ := client.Extension("SMTPUTF8"); m.utf8 && !offered {
			for _, address := range m.to {
				r.reject(address, "the address is not ASCII, and the mail server does not offer SMTPUTF8")
			}
			continue
		}
		client.SkipSMTPUTF8(!m.utf8)
		for part := range slices.Chunk(m.to, batch) {
			if failure := s.envelope(ctx, client, m.msg, part, r); failure != nil {
				return failure
			}
		}
	}
	_ = client.Quit() // all is said: a server that hangs up early has still taken the mail
	return nil
}

// Check goes as far as a message would before its sender: connection, TLS, login. Nothing is sent.
func (s *Sender) Check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.o.Timeout)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", s.o.Addr)
	if err != nil {
		return s.failed(ctx, "connect", Temporary, err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	client, failure := s.greet(ctx, conn)
	if failure != nil {
		return failure
	}
	_ = client.Quit()
	return nil
}

// greet brings a connection to where mail may be sent: greeting, TLS, login.
func (s *Sender) greet(ctx context.Context, conn net.Conn) (*smtp.Client, *Error) {
	host, _, _ := net.SplitHostPort(s.o.Addr)
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if s.o.TLSConfig != nil {
		config = s.o.TLSConfig.Clone()
	}
	if config.ServerName == "" {
		config.ServerName = host
	}
	if s.o.TLS == TLSWrapped {
		wrapped := tls.Client(conn, config)
		if err := wrapped.HandshakeContext(ctx); err != nil {
			return nil, s.failed(ctx, "tls", TLS, err)
		}
		conn = wrapped
	}
	client, err := smtp.NewClient(conn, host)
	if err != nil {
		return nil, s.failed(ctx, "greeting", Temporary, err)
	}
	if err := client.Hello(hello()); err != nil {
		return nil, s.failed(ctx, "hello", Temporary, err)
	}
	if s.o.TLS == TLSStartTLS {
		if ok, _ := client.Extension("STARTTLS"); !ok {
			return nil, s.failed(ctx, "starttls", TLS, errors.New("the server does not offer it"))
		}
		if err := client.StartTLS(config); err != nil {
			return nil, s.failed(ctx, "starttls", TLS, err)
		}
	}
	if s.o.Username == "" {
		return client, nil
	}
	return client, s.login(ctx, client, host)
}

// login uses the strongest way that the server offers.
func (s *Sender) login(ctx context.Context, client *smtp.Client, host string) *Error {
	user, password := s.o.Username, s.o.Password
	ip := net.ParseIP(host)
	local := host == "localhost" || ip != nil && ip.IsLoopback()
	_, offered := client.Extension("AUTH")
	for _, way := range []struct {
		name string
		auth smtp.Auth
	}{
		{"SCRAM-SHA-256", smtp.ScramSHA256Auth(user, password)},
		{"SCRAM-SHA-1", smtp.ScramSHA1Auth(user, password)},
		{"PLAIN", smtp.PlainAuth("", user, password, host, local)},
		{"LOGIN", smtp.LoginAuth(user, password, host, local)},
		{"CRAM-MD5", smtp.CRAMMD5Auth(user, password)},
	} {
		if !slices.Contains(strings.Fields(strings.ToUpper(offered)), way.name) {
			continue
		}
		if err := client.Auth(way.auth); err != nil {
			return s.failed(ctx, "login", Auth, withoutPassword(err, password))
		}
		return nil
	}
	return s.failed(ctx, "login", Auth, fmt.Errorf("the server offers no known way (%s)", line(offered)))
}

// withoutPassword keeps an answer that quotes the password from carrying it on.
func withoutPassword(err error, password string) error {
	if password == "" || !strings.Contains(err.Error(), password) {
		return err
	}
	return errors.New("the server refused the login, and its answer repeats the password")
}

// envelope sends msg once for a batch of recipients and writes down what became of each.
func (s *Sender) envelope(ctx context.Context, client *smtp.Client, msg *mail.Msg, to []string, r *Receipt) *Error {
	if err := client.Mail("<" + s.from.Address + ">"); err != nil {
		return s.failed(ctx, "sender", Temporary, err)
	}
	var taken []string
	for _, address := range to {
		err := client.Rcpt("<" + address + ">")
		switch code := replyCode(err); {
		case err == nil:
			taken = append(taken, address)
		case code/100 == 5 && code != 552: // 552 here means "too many recipients" from old servers (RFC 5321, 4.5.3.1.10)
			r.reject(address, replyText(err))
		case code != 0:
			r.Deferred[address] = replyText(err)
		default:
			return s.failed(ctx, "rcpt", Temporary, err)
		}
	}
	if len(taken) == 0 {
		if err := client.Reset(); err != nil {
			return s.failed(ctx, "reset", Temporary, err)
		}
		return nil
	}
	if failure := s.data(ctx, client, msg); failure != nil {
		for _, address := range taken {
			r.Deferred[address] = replyText(failure)
			if failure.Failure == Permanent {
				r.reject(address, r.Deferred[address])
			}
		}
		return failure
	}
	for _, address := range taken {
		delete(r.Deferred, address)
	}
	r.Accepted = append(r.Accepted, taken...)
	return nil
}

// data sends the message itself. After its last byte a broken connection leaves open whether the server took it.
func (s *Sender) data(ctx context.Context, client *smtp.Client, msg *mail.Msg) *Error {
	w, err := client.Data()
	if err != nil {
		return s.failed(ctx, "data", Temporary, err)
	}
	if _, err := msg.WriteTo(w); err != nil {
		return s.failed(ctx, "data", Temporary, err)
	}
	if err := w.Close(); err != nil {
		return s.failed(ctx, "data", Ambiguous, err)
	}
	return nil
}

// hello is the name we greet with: our host's, where it is a name that a server can read.
func hello() string {
	name, err := os.Hostname()
	if err != nil || name == "" || domainChars.MatchString(name) {
		return "localhost"
	}
	return name
}

// reasons joins the answers of the server in a stable order.
func reasons(answers map[string]string) error {
	list := make([]string, 0, len(answers))
	for to, reason := range answers {
		list = append(list, to+": "+reason)
	}
	slices.Sort(list)
	return errors.New(strings.Join(list, "; "))
}
