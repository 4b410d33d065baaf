// Package ribcl drives HP's iLO by its XML, RIBCL.
package ribcl

import (
	"context"
	"fmt"
	"html"
	"regexp"
	"strconv"
	"strings"

	"github.com/planetlab/monitor/pcucontrol"
	"github.com/planetlab/monitor/pcucontrol/internal/power"
	"github.com/planetlab/monitor/pcucontrol/internal/secret"
	"github.com/planetlab/monitor/pcucontrol/internal/wire"
	"github.com/planetlab/monitor/pcucontrol/internal/xmltext"
)

// Driver drives HP's iLO by RIBCL, its XML scripting language, on the port of its web pages: as HTTP POST to /ribcl
// (iLO 3 and later), or bare on the TLS connection (before).
type Driver struct{}

const (
	ribInfo   = "RIB_INFO"
	hostRead  = `SERVER_INFO MODE="read"`
	hostWrite = `SERVER_INFO MODE="write"`
)

// script is a whole RIBCL document for one command.
func script(t pcucontrol.Target, section, command string) string {
	name, _, _ := strings.Cut(section, " ")
	return "<?xml version=\"1.0\"?>\r\n<RIBCL VERSION=\"2.0\">\r\n" +
		`<LOGIN USER_LOGIN="` + xmltext.Escape(t.User) + `" PASSWORD="` + xmltext.Escape(t.Password) + "\">\r\n" +
		"<" + section + ">\r\n<" + command + "/>\r\n</" + name + ">\r\n</LOGIN>\r\n</RIBCL>\r\n"
}

// ribclAnswer is the stream of documents that answers a script. They are often not well-formed, so they are read by
// their tags.
type ribclAnswer string

var (
	ribclTag       = regexp.MustCompile(`<([A-Za-z_]+)((?:\s+[A-Za-z_]+\s*=\s*(?:"[^"]*"|'[^']*'))*)\s*/?>`)
	ribclAttribute = regexp.MustCompile(`([A-Za-z_]+)\s*=\s*(?:"([^"]*)"|'([^']*)')`)
)

// attributes are those of each element of a name, with the names of attributes in capitals.
func (a ribclAnswer) attributes(element string) []map[string]string {
	var all []map[string]string
	for _, tag := range ribclTag.FindAllStringSubmatch(string(a), -1) {
		if !strings.EqualFold(tag[1], element) {
			continue
		}
		m := map[string]string{}
		for _, attr := range ribclAttribute.FindAllStringSubmatch(tag[2], -1) {
			m[strings.ToUpper(attr[1])] = html.UnescapeString(attr[2] + attr[3])
		}
		all = append(all, m)
	}
	return all
}

// ribclMeanings are what the messages of a status other than nought mean; refused if none of these.
var ribclMeanings = []struct {
	hear *regexp.Regexp
	kind pcucontrol.Kind
}{
	{regexp.MustCompile(`(?i)login|log in|logged in|user name|password`), pcucontrol.Auth},
	{regexp.MustCompile(`(?i)busy|maximum|in use|in progress|try again|not ready`), pcucontrol.Busy},
}

// judge looks at every status: one that is not nought is the answer.
func (a ribclAnswer) judge() (pcucontrol.Kind, string) {
	responses := a.attributes("RESPONSE")
	for _, r := range responses {
		status, err := strconv.ParseUint(strings.TrimSpace(r["STATUS"]), 0, 32)
		if err != nil {
			return pcucontrol.Unexpected, fmt.Sprintf("status %q", r["STATUS"])
		}
		if status == 0 {
			continue
		}
		for _, m := range ribclMeanings {
			if m.hear.MatchString(r["MESSAGE"]) {
				return m.kind, r["MESSAGE"]
			}
		}
		return pcucontrol.Refused, fmt.Sprintf("%s (status %#04x)", r["MESSAGE"], status)
	}
	if len(responses) == 0 {
		return pcucontrol.Unexpected, "no status in the answer: " + wire.Tail(string(a))
	}
	return "", ""
}

// power is the state that the answer tells.
func (a ribclAnswer) power() (pcucontrol.State, bool) {
	for _, p := range a.attributes("GET_HOST_POWER") {
		return power.StateOf(p["HOST_POWER"]), true
	}
	return pcucontrol.Unknown, false
}

// ask sends a script and judges the answer; wanted is the element in it that tells what was asked for.
func (s *session) ask(ctx context.Context, doing, section, command, wanted string) (ribclAnswer, error) {
	a, err := s.exchange(ctx, doing, script(s.t, section, command), wanted)
	if err != nil {
		return "", err
	}
	if kind, why := a.judge(); kind != "" {
		return a, wire.Fail(s.t, kind, doing, secret.Mask(why, s.t.Password))
	}
	return a, nil
}

func (s *session) state(ctx context.Context) (pcucontrol.State, error) {
	a, err := s.ask(ctx, "status", hostRead, "GET_HOST_POWER_STATUS", "GET_HOST_POWER")
	if err != nil {
		return pcucontrol.Unknown, err
	}
	if state, ok := a.power(); ok {
		return state, nil
	}
	return pcucontrol.Unknown, wire.Fail(
		s.t,
		pcucontrol.Unexpected,
		"status",
		"no power status in the answer: "+wire.Tail(secret.Mask(string(a), s.t.Password)),
	)
}

// command switches by the first of some commands that the firmware has, and returns the state that a refusal says the
// power is in.
func (s *session) command(ctx context.Context, doing string, commands ...string) (already pcucontrol.State, err error) {
	for _, command := range commands {
		var a ribclAnswer
		a, err = s.ask(ctx, doing, hostWrite, command, "")
		if already = a.already(); pcucontrol.KindOf(err) != pcucontrol.Refused || already != pcucontrol.Unknown {
			break
		}
	}
	return already, wire.Unsure(s.t, doing, err)
}

var ribclAlready = regexp.MustCompile(`(?i)power is already (on|off)`)

func (a ribclAnswer) already() pcucontrol.State {
	for _, r := range a.attributes("RESPONSE") {
		if m := ribclAlready.FindStringSubmatch(r["MESSAGE"]); m != nil {
			return power.StateOf(m[1])
		}
	}
	return pcucontrol.Unknown
}

func (s *session) on(ctx context.Context) error {
	already, err := s.command(ctx, "on", `SET_HOST_POWER HOST_POWER="Yes"`)
	if already == pcucontrol.On {
		return nil
	}
	return err
}

func (s *session) off(ctx context.Context) error {
	already, err := s.command(ctx, "off", `SET_HOST_POWER HOST_POWER="No"`, "HOLD_PWR_BTN")
	if already == pcucontrol.Off {
		return nil
	}
	return err
}

// cycle resets the server, or boots it cold where the firmware has no reset. One that went off meanwhile is turned on.
func (s *session) cycle(ctx context.Context) error {
	already, err := s.command(ctx, "cycle", "RESET_SERVER", "COLD_BOOT_SERVER")
	if already == pcucontrol.Off {
		return s.on(ctx)
	}
	return err
}

// reset is the firmware's own.
func (s *session) reset(ctx context.Context) error {
	_, err := s.command(ctx, "reset", "RESET_SERVER")
	return err
}

// shutdown presses the power button for a moment, which an operating system takes for a wish to end.
func (s *session) shutdown(ctx context.Context) error {
	_, err := s.command(ctx, "shutdown", "PRESS_PWR_BTN")
	return err
}

// Test reads the network settings, as the dry run for these has always been.
func (Driver) Test(ctx context.Context, t pcucontrol.Target) (pcucontrol.Result, error) {
	s := &session{t: t}
	_, err := s.ask(ctx, "log in", ribInfo+` MODE="read"`, "GET_NETWORK_SETTINGS", "GET_NETWORK_SETTINGS")
	return power.LoggedIn(err)
}

// Status reads the state.
func (Driver) Status(ctx context.Context, t pcucontrol.Target) (pcucontrol.Result, error) {
	s := &session{t: t}
	state, err := s.state(ctx)
	return pcucontrol.Result{Before: state, After: state, Verified: err == nil && state != pcucontrol.Unknown}, err
}

// Switch switches, and reads back.
func (Driver) Switch(ctx context.Context, t pcucontrol.Target, op pcucontrol.Operation) (pcucontrol.Result, error) {
	s := &session{t: t}
	return power.Operations{
		Read:     s.state,
		On:       s.on,
		Off:      s.off,
		Cycle:    s.cycle,
		Reset:    s.reset,
		Shutdown: s.shutdown,
	}.Perform(
		ctx,
		t,
		op,
	)
}
