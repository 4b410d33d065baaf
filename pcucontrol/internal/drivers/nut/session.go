package nut

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/planetlab/monitor/pcucontrol"
	"github.com/planetlab/monitor/pcucontrol/internal/secret"
	"github.com/planetlab/monitor/pcucontrol/internal/wire"
)

// session is a conversation with upsd about one unit.
type session struct {
	t     pcucontrol.Target
	conn  net.Conn
	limit *io.LimitedReader
	in    *bufio.Reader
	stop  func() bool

	user, unit string
	vars       map[string]string
	writable   []string // the variables that may be set
	commands   []string
	refused    bool // the last answer was an error in the server's own words
	gone       bool // the connection is
}

// open connects, tells who calls, and reads all that there is to know of the unit.
func open(ctx context.Context, t pcucontrol.Target) (*session, error) {
	if strings.ContainsAny(t.User+t.Password, "\r\n") {
		return nil, wire.Fail(t, pcucontrol.Auth, "log in", "a name or a password of several lines cannot be told")
	}
	conn, err := wire.Dial(ctx, t)
	if err != nil {
		return nil, err
	}
	limit := &io.LimitedReader{R: conn, N: wire.MaxRead}
	s := &session{
		t: t, conn: conn, limit: limit, in: bufio.NewReader(limit), vars: map[string]string{},
		stop: context.AfterFunc(ctx, func() { _ = conn.Close() }),
	}
	s.user, s.unit, _ = strings.Cut(t.User, "@")
	if err := s.begin(ctx); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *session) close() {
	s.stop()
	if !s.gone {
		_, _ = io.WriteString(s.conn, "LOGOUT\n")
	}
	_ = s.conn.Close()
}

func (s *session) fail(kind pcucontrol.Kind, doing, detail string) error {
	return wire.Fail(s.t, kind, doing, detail)
}

func (s *session) begin(ctx context.Context) error {
	for _, line := range []string{"USERNAME " + quoted(s.user), "PASSWORD " + quoted(s.t.Password)} {
		if line == `USERNAME ""` || line == `PASSWORD ""` { // reading needs none
			continue
		}
		if _, err := s.say(ctx, "log in", line); err != nil {
			return err
		}
		if _, err := s.answer(ctx, "log in"); err != nil {
			return err
		}
	}
	if err := s.chooseUnit(ctx); err != nil {
		return err
	}
	for _, l := range []struct {
		what string
		keep func(words []string)
	}{
		{"VAR", func(w []string) { s.vars[w[0]] = strings.Join(w[1:], " ") }},
		{"RW", func(w []string) { s.writable = append(s.writable, w[0]) }},
		{"CMD", func(w []string) { s.commands = append(s.commands, w[0]) }},
	} {
		if err := s.list(ctx, "read the unit", l.what+" "+quoted(s.unit), l.keep); err != nil {
			return err
		}
	}
	return nil
}

// chooseUnit finds the unit where the record names none: the only one that there is.
func (s *session) chooseUnit(ctx context.Context) error {
	if s.unit != "" {
		return nil
	}
	var units []string
	if err := s.list(ctx, "find the unit", "UPS", func(w []string) { units = append(units, w[0]) }); err != nil {
		return err
	}
	if len(units) != 1 {
		return s.fail(pcucontrol.NoOutlet, "find the unit", fmt.Sprintf(
			"the server has %d (%s); name one with the user, as in admin@unit", len(units),
			secret.Mask(strings.Join(units, ", "), s.t.Password)))
	}
	s.unit = units[0]
	return nil
}

// say sends a line; sent is whether any of it may have gone out.
func (s *session) say(ctx context.Context, doing, line string) (sent bool, err error) {
	wire.Trace(s.t, ">", line)
	s.refused = false
	n, err := io.WriteString(s.conn, line+"\n")
	if err != nil {
		s.gone = true
		return n > 0, wire.Lost(ctx, s.t, doing, err)
	}
	return true, nil
}

// answer reads one line. One that begins with ERR is an error in the server's own words.
func (s *session) answer(ctx context.Context, doing string) ([]string, error) {
	line, err := s.in.ReadString('\n')
	if err != nil {
		s.gone = true
		if s.limit.N <= 0 {
			err = wire.ErrEndless
		}
		return nil, wire.Lost(ctx, s.t, doing, err)
	}
	wire.Trace(s.t, "<", line)
	words := wordsOf(line)
	switch {
	case len(words) > 1 && words[0] == "ERR":
		kind, detail := meaning(words[1])
		s.refused = kind != pcucontrol.Unexpected
		return nil, s.fail(kind, doing, strings.TrimSpace(detail+" ("+tame(words[1], s.t.Password)+")"))
	case len(words) == 0 || !known(words[0]):
		s.gone = true
		return nil, s.fail(pcucontrol.Unexpected, doing, "this is no upsd; heard: "+
			wire.Tail(secret.Mask(line, s.t.Password)))
	}
	return words, nil
}

// known reports whether an answer of upsd's may begin so.
func known(word string) bool {
	switch word {
	case "OK", "BEGIN", "END", "VAR", "RW", "CMD", "UPS":
		return true
	}
	return false
}

// list reads a list, whose lines begin as was asked.
func (s *session) list(ctx context.Context, doing, what string, keep func(words []string)) error {
	if _, err := s.say(ctx, doing, "LIST "+what); err != nil {
		return err
	}
	words, err := s.answer(ctx, doing)
	if err != nil {
		return err
	}
	if words[0] != "BEGIN" {
		return s.fail(pcucontrol.Unexpected, doing, "an answer to another question")
	}
	skip := len(wordsOf(what))
	for {
		switch words, err = s.answer(ctx, doing); {
		case err != nil:
			return err
		case words[0] == "END":
			return nil
		case len(words) > skip:
			keep(words[skip:])
		}
	}
}

// meaning is what an error of upsd's means. Source: RFC 9271, 4.3, and NUT's list of error responses.
func meaning(code string) (kind pcucontrol.Kind, detail string) {
	switch code {
	case "ACCESS-DENIED", "USERNAME-REQUIRED", "PASSWORD-REQUIRED", "INVALID-USERNAME", "INVALID-PASSWORD":
		return pcucontrol.Auth, "user name or password refused, or the user may not switch"
	case "UNKNOWN-UPS":
		return pcucontrol.NoOutlet, "the server has no such unit"
	case "VAR-NOT-SUPPORTED":
		return pcucontrol.NoOutlet, "the unit does not know it"
	case "DRIVER-NOT-CONNECTED", "DATA-STALE":
		return pcucontrol.Unreachable, "the server does not reach the unit"
	case "CMD-NOT-SUPPORTED", "INVALID-ARGUMENT", "INVALID-VALUE", "READONLY", "TOO-LONG", "INSTCMD-FAILED", "SET-FAILED",
		"FEATURE-NOT-SUPPORTED", "FEATURE-NOT-CONFIGURED":
		return pcucontrol.Refused, "the server refuses it"
	}
	return pcucontrol.Unexpected, "an error that is not known"
}

// tame is a word of the server's as an error may show it.
func tame(word, password string) string {
	return secret.Mask(word[:min(len(word), 60)], password)
}

// quoted is a text as one word. Source: NUT's parseconf, whose words have quotes around them and backslashes before
// quotes and backslashes.
func quoted(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

// wordsOf are the words of a line.
func wordsOf(line string) []string {
	var words []string
	var word strings.Builder
	in, begun, escaped := false, false, false
	for _, r := range strings.TrimRight(line, "\r\n") {
		switch {
		case escaped:
			word.WriteRune(r)
			escaped = false
		case r == '\\':
			escaped, begun = true, true
		case r == '"':
			in, begun = !in, true
		case r == ' ' && !in:
			if begun {
				words = append(words, word.String())
			}
			word.Reset()
			begun = false
		default:
			word.WriteRune(r)
			begun = true
		}
	}
	if begun {
		words = append(words, word.String())
	}
	return words
}
