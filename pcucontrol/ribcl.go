package pcucontrol

import (
	"context"
	"fmt"
	"html"
	"regexp"
	"strconv"
	"strings"
)

// ribcl drives HP's iLO by RIBCL, its XML scripting language, on the port of its web pages: as HTTP POST to /ribcl (iLO 3 and later),
// or bare on the TLS connection (before).
type ribcl struct{}

const (
	ribInfo   = "RIB_INFO"
	hostRead  = `SERVER_INFO MODE="read"`
	hostWrite = `SERVER_INFO MODE="write"`
)

// script is a whole RIBCL document for one command.
func script(t Target, section, command string) string {
	name, _, _ := strings.Cut(section, " ")
	return "<?xml version=\"1.0\"?>\r\n<RIBCL VERSION=\"2.0\">\r\n" +
		`<LOGIN USER_LOGIN="` + xmlText(t.User) + `" PASSWORD="` + xmlText(t.Password) + "\">\r\n" +
		"<" + section + ">\r\n<" + command + "/>\r\n</" + name + ">\r\n</LOGIN>\r\n</RIBCL>\r\n"
}

// ribclAnswer is the stream of documents that answers a script. They are often not well-formed, so they are read by their tags.
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
	kind Kind
}{
	{regexp.MustCompile(`(?i)login|log in|logged in|user name|password`), Auth},
	{regexp.MustCompile(`(?i)busy|maximum|in use|in progress|try again|not ready`), Busy},
}

// judge looks at every status: one that is not nought is the answer.
func (a ribclAnswer) judge() (Kind, string) {
	responses := a.attributes("RESPONSE")
	for _, r := range responses {
		status, err := strconv.ParseUint(strings.TrimSpace(r["STATUS"]), 0, 32)
		if err != nil {
			return Unexpected, fmt.Sprintf("status %q", r["STATUS"])
		}
		if status == 0 {
			continue
		}
		for _, m := range ribclMeanings {
			if m.hear.MatchString(r["MESSAGE"]) {
				return m.kind, r["MESSAGE"]
			}
		}
		return Refused, fmt.Sprintf("%s (status %#04x)", r["MESSAGE"], status)
	}
	if len(responses) == 0 {
		return Unexpected, "no status in the answer: " + tail(string(a))
	}
	return "", ""
}

// power is the state that the answer tells.
func (a ribclAnswer) power() (State, bool) {
	for _, p := range a.attributes("GET_HOST_POWER") {
		return states{}.of(p["HOST_POWER"]), true
	}
	return Unknown, false
}

// ask sends a script and judges the answer; wanted is the element in it that tells what was asked for.
func (s *iloSession) ask(ctx context.Context, doing, section, command, wanted string) (ribclAnswer, error) {
	a, err := s.exchange(ctx, doing, script(s.t, section, command), wanted)
	if err != nil {
		return "", err
	}
	if kind, why := a.judge(); kind != "" {
		return a, &Error{kind, s.t.Host, doing, mask(why, s.t.Password)}
	}
	return a, nil
}

func (s *iloSession) state(ctx context.Context) (State, error) {
	a, err := s.ask(ctx, "status", hostRead, "GET_HOST_POWER_STATUS", "GET_HOST_POWER")
	if err != nil {
		return Unknown, err
	}
	if state, ok := a.power(); ok {
		return state, nil
	}
	return Unknown, &Error{Unexpected, s.t.Host, "status", "no power status in the answer: " + tail(mask(string(a), s.t.Password))}
}

// command switches by the first of some commands that the firmware has, and returns the state that a refusal says the power is in.
func (s *iloSession) command(ctx context.Context, doing string, commands ...string) (already State, err error) {
	for _, command := range commands {
		var a ribclAnswer
		a, err = s.ask(ctx, doing, hostWrite, command, "")
		if already = a.already(); KindOf(err) != Refused || already != Unknown {
			break
		}
	}
	return already, unsure(s.t, doing, err)
}

var ribclAlready = regexp.MustCompile(`(?i)power is already (on|off)`)

func (a ribclAnswer) already() State {
	for _, r := range a.attributes("RESPONSE") {
		if m := ribclAlready.FindStringSubmatch(r["MESSAGE"]); m != nil {
			return states{}.of(m[1])
		}
	}
	return Unknown
}

func (s *iloSession) on(ctx context.Context) error {
	already, err := s.command(ctx, "on", `SET_HOST_POWER HOST_POWER="Yes"`)
	if already == On {
		return nil
	}
	return err
}

func (s *iloSession) off(ctx context.Context) error {
	already, err := s.command(ctx, "off", `SET_HOST_POWER HOST_POWER="No"`, "HOLD_PWR_BTN")
	if already == Off {
		return nil
	}
	return err
}

// cycle resets the server, or boots it cold where the firmware has no reset. One that went off meanwhile is turned on.
func (s *iloSession) cycle(ctx context.Context) error {
	already, err := s.command(ctx, "cycle", "RESET_SERVER", "COLD_BOOT_SERVER")
	if already == Off {
		return s.on(ctx)
	}
	return err
}

// reset is the firmware's own.
func (s *iloSession) reset(ctx context.Context) error {
	_, err := s.command(ctx, "reset", "RESET_SERVER")
	return err
}

// shutdown presses the power button for a moment, which an operating system takes for a wish to end.
func (s *iloSession) shutdown(ctx context.Context) error {
	_, err := s.command(ctx, "shutdown", "PRESS_PWR_BTN")
	return err
}

// test reads the network settings, as the dry run for these has always been.
func (ribcl) test(ctx context.Context, t Target) (Result, error) {
	s := &iloSession{t: t}
	_, err := s.ask(ctx, "log in", ribInfo+` MODE="read"`, "GET_NETWORK_SETTINGS", "GET_NETWORK_SETTINGS")
	return loggedIn(err)
}

func (ribcl) status(ctx context.Context, t Target) (Result, error) {
	s := &iloSession{t: t}
	state, err := s.state(ctx)
	return Result{Before: state, After: state, Verified: err == nil && state != Unknown}, err
}

func (ribcl) set(ctx context.Context, t Target, op operation) (Result, error) {
	s := &iloSession{t: t}
	return switches{read: s.state, on: s.on, off: s.off, cycle: s.cycle, reset: s.reset, shutdown: s.shutdown}.set(ctx, t, op)
}
