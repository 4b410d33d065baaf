package notify

import (
	"context"
	"errors"
	"fmt"
	"net/textproto"
	"strings"

	"github.com/planetlab/monitor/clean"
)

// Failure says what kind of error kept a message back, and so what a caller may do about it.
type Failure string

// The kinds of failure.
const (
	Temporary Failure = "temporary" // try again later
	Permanent Failure = "permanent" // the same message will never be taken
	Auth      Failure = "auth"      // the mail server does not take our login: an admin must act
	TLS       Failure = "tls"       // the connection cannot be made safe: an admin must act
	Ambiguous Failure = "ambiguous" // the connection broke while the server was deciding; it may have taken the message
)

// Error is a failure to send. It holds no password.
type Error struct {
	Failure Failure
	Server  string // host:port
	Step    string // such as "connect", "login", "rcpt", "data"
	Code    int    // the server's SMTP reply code, or 0 if it did not reply
	cause   error
}

func (e *Error) Error() string {
	return clean.Line(fmt.Sprintf("mail server %s: %s: %v", e.Server, e.Step, e.cause))
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.cause }

// FailureOf returns the kind of failure behind err, or "" if err did not come from [Sender.Send].
func FailureOf(err error) Failure {
	var e *Error
	if errors.As(err, &e) {
		return e.Failure
	}
	return ""
}

// failed makes an Error. A reply of the server decides between temporary and permanent; without one, otherwise stands.
func (s *Sender) failed(ctx context.Context, step string, otherwise Failure, err error) *Error {
	e := &Error{Failure: otherwise, Server: s.o.Addr, Step: step, cause: err}
	if ctx.Err() != nil && replyCode(err) == 0 {
		e.cause = errors.Join(ctx.Err(), err)
		if otherwise != Ambiguous {
			e.Failure = Temporary
		}
	}
	e.Code = replyCode(err)
	switch e.Code / 100 {
	case 4:
		e.Failure = Temporary
	case 5:
		e.Failure = Permanent
		if otherwise == Auth || e.Code == 530 || e.Code == 535 { // login wanted, login wrong (RFC 4954)
			e.Failure = Auth
		}
	}
	return e
}

func replyCode(err error) int {
	var reply *textproto.Error
	if errors.As(err, &reply) {
		return reply.Code
	}
	return 0
}

// replyText is the server's answer in one line.
func replyText(err error) string {
	return line(strings.ReplaceAll(err.Error(), "\n", " "))
}
