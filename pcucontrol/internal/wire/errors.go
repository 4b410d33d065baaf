package wire

import (
	"context"
	"errors"
	"io"
	"net"
	"net/url"
	"os"
	"strconv"

	"github.com/planetlab/monitor/pcucontrol"
	"github.com/planetlab/monitor/pcucontrol/internal/secret"
)

// Connecting is what an error was doing that came before anything could be sent.
const Connecting = "connect"

// Fail is an error of what was being done to a device.
func Fail(t pcucontrol.Target, kind pcucontrol.Kind, doing, detail string) error {
	return &pcucontrol.Error{Kind: kind, Host: t.Host, Doing: doing, Detail: detail}
}

// Tail is the end of a text as errors show it.
func Tail(text string) string {
	return strconv.Quote(text[max(0, len(text)-200):])
}

// Trace shows what was sent (>) or heard (<) to who follows the conversation.
func Trace(t pcucontrol.Target, arrow, text string) {
	if t.Trace != nil {
		t.Trace(arrow + " " + strconv.Quote(secret.Mask(text, t.Password)))
	}
}

// Unsupported is the error of a device that has no word for something.
func Unsupported(t pcucontrol.Target, what string) error {
	return Fail(t, pcucontrol.Unsupported, what, "the device has no word for it")
}

// What a device does that no session bears.
var (
	ErrUnasked = errors.New("it talks before it is asked")
	ErrEndless = errors.New("it does not stop talking")
)

// Lost is what an error of a connection means.
func Lost(ctx context.Context, t pcucontrol.Target, doing string, err error) error {
	fail := func(kind pcucontrol.Kind, doing, detail string) error {
		return Fail(t, kind, doing, detail)
	}
	var told *pcucontrol.Error
	var ne net.Error
	if errors.As(err, &told) { // by dial
		return told
	}
	switch {
	case ctx.Err() != nil || errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &ne) && ne.Timeout():
		return fail(pcucontrol.Timeout, doing, "no answer in time")
	case errors.Is(err, ErrEndless):
		return fail(pcucontrol.Unexpected, doing, ErrEndless.Error())
	case errors.Is(err, ErrUnasked):
		return fail(pcucontrol.Unexpected, doing, ErrUnasked.Error())
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return fail(pcucontrol.Unexpected, doing, "the device hung up")
	}
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err // without the address
	}
	return fail(pcucontrol.Unexpected, doing, Tail(secret.Mask(err.Error(), t.Password)))
}

// Unsure turns an error of a power command into an ambiguous one, unless the device itself refused, or no connection
// came about to send it by. A port that is closed after the command was sent was open before it.
func Unsure(t pcucontrol.Target, doing string, err error) error {
	var e *pcucontrol.Error
	if errors.As(err, &e) && e.Doing == Connecting {
		return err
	}
	switch pcucontrol.KindOf(err) {
	case pcucontrol.Timeout, pcucontrol.Unexpected, pcucontrol.Unreachable, pcucontrol.NoOutlet:
		return Ambiguous(t, doing, err)
	}
	return err
}

// Ambiguous is the error of a command that went out, and of which no more is known.
func Ambiguous(t pcucontrol.Target, doing string, err error) error {
	return Fail(t, pcucontrol.Ambiguous, doing, "the command went out; "+err.Error())
}
