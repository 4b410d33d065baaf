// Package wire is what lies under the conversations with devices: connections over TCP, TLS, telnet and ssh, sessions
// of lines and prompts, and what an error of a connection means for a power command.
package wire

import (
	"bytes"
	"context"
	"io"
	"net"
	"regexp"
	"strings"
	"time"

	"github.com/planetlab/monitor/pcucontrol"
	"github.com/planetlab/monitor/pcucontrol/internal/secret"
)

// Session is one conversation with a device in lines and prompts.
type Session struct {
	w       io.Writer
	Target  pcucontrol.Target
	NewLine string // what ends a line
	Chunks  chan []byte
	done    chan struct{}
	closes  []func() error

	clean  Cleaner
	Heard  []byte // cleaned, since the last match
	Total  int    // bytes that came
	HungUp bool
}

const MaxRead = 1 << 20 // bytes one session reads, whatever the device sends

const maxHeard = 16 << 10

const nudgeTime = 500 * time.Millisecond

// NewSession starts reading, until Close or the end of ctx closes the connection.
func NewSession(ctx context.Context, t pcucontrol.Target, conn net.Conn, r io.Reader, w io.Writer, nl string) *Session {
	s := &Session{w: w, Target: t, NewLine: nl, Chunks: make(chan []byte), done: make(chan struct{})}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	s.closes = []func() error{func() error { stop(); return nil }, conn.Close}
	go func() {
		defer close(s.Chunks)
		buf := make([]byte, 32<<10) // large, for each chunk is searched for every pattern
		for {
			n, err := r.Read(buf)
			if n > 0 {
				select {
				case s.Chunks <- bytes.Clone(buf[:n]):
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
func (s *Session) Close() {
	close(s.done)
	for _, f := range s.closes {
		_ = f()
	}
	for range s.Chunks { // until the reader has ended
	}
}

// Fail is an error of what was being done.
func (s *Session) Fail(kind pcucontrol.Kind, doing, detail string) error {
	return Fail(s.Target, kind, doing, detail)
}

// Trace shows what was said or heard.
func (s *Session) Trace(arrow, text string) { Trace(s.Target, arrow, text) }

// Await reads until one of the patterns matches what has come since the last match, and returns which, and the text up
// to its end. The earliest match wins. Whenever the device has said nothing for a while, nudge is pressed.
func (s *Session) Await(ctx context.Context, doing, nudge string, patterns []*regexp.Regexp) (int, string, error) {
	var tick <-chan time.Time
	if nudge != "" {
		ticker := time.NewTicker(nudgeTime)
		defer ticker.Stop()
		tick = ticker.C
	}
	last := s.Total
	for {
		if i, end := earliest(patterns, s.Heard); i >= 0 {
			text := string(s.Heard[:end])
			s.Heard = s.Heard[end:]
			s.Trace("<", text)
			return i, text, nil
		}
		if s.Total > MaxRead {
			return -1, "", s.lost(pcucontrol.Unexpected, doing, "the device does not stop talking")
		}
		if ctx.Err() != nil {
			return -1, "", s.lost(pcucontrol.Timeout, doing, "no answer in time")
		}
		select {
		case chunk, ok := <-s.Chunks:
			if !ok && ctx.Err() == nil {
				s.HungUp = true
				return -1, "", s.lost(pcucontrol.Unexpected, doing, "the device hung up")
			}
			s.Total += len(chunk)
			s.Heard = s.clean.Append(s.Heard, chunk)
			s.Heard = s.Heard[max(0, len(s.Heard)-maxHeard):]
			if strings.HasPrefix(string(s.Heard), "SSH-") && s.NewLine == "\r\n" {
				return -1, "", s.lost(pcucontrol.Unexpected, doing, "this port speaks ssh")
			}
		case <-tick:
			if quiet := s.Total == last; !quiet {
				last = s.Total
				continue
			}
			_, _ = s.Send(ctx, doing, nudge) // where it has hung up, its last words come before the end of them
		case <-ctx.Done():
		}
	}
}

func (s *Session) lost(kind pcucontrol.Kind, doing, detail string) error {
	s.Trace("<", string(s.Heard))
	return s.Fail(kind, doing, detail+"; heard: "+Tail(secret.Mask(string(s.Heard), s.Target.Password)))
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

// Send sends keys; sent is whether any of them may have gone out.
func (s *Session) Send(ctx context.Context, doing, keys string) (sent bool, err error) {
	s.Trace(">", keys)
	n, err := io.WriteString(s.w, keys)
	switch {
	case err == nil:
		return true, nil
	case ctx.Err() != nil:
		return n > 0, s.Fail(pcucontrol.Timeout, doing, "no answer in time")
	}
	s.HungUp = true
	return n > 0, s.Fail(pcucontrol.Unexpected, doing, "the device hung up")
}
