package pcucontrol

import (
	"context"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// apc drives the control console menus of APC's switched racks (firmware v2 and v3) over telnet, else ssh.
type apc struct{ menu []string }

var (
	apcUser     = regexp.MustCompile(`User Name\s*:\s*`)
	apcPassword = regexp.MustCompile(`Password\s*:\s*`)
	apcPrompt   = regexp.MustCompile(`(?m)^> $`)
	apcEnter    = regexp.MustCompile(`Press <ENTER> to continue\.\.\.`)
	apcConfirm  = regexp.MustCompile(`Enter 'YES' to continue or <ENTER> to cancel`)
	apcBusy     = regexp.MustCompile(`Access to the Control Console will be denied`)
	apcDenied   = regexp.MustCompile(`(?i)(invalid|incorrect|wrong)[^\n]*(user|password|login)`)
	apcOutlet   = regexp.MustCompile(`(?m)^\s*(?:State|Outlet State)\s*:\s*(ON|OFF)`)
	apcUnknown  = regexp.MustCompile(`(?i)invalid (selection|outlet)`)
	apcBye      = regexp.MustCompile(`Bye`)
	apcDone     = regexp.MustCompile(`Command successfully issued\.`)
)

func (a apc) open(ctx context.Context, t Target) (*session, []string, error) {
	var tried []string
	transports := []struct {
		name string
		port int
		dial func(context.Context, Target, int) (*session, error)
	}{{"telnet", 23, dialTelnet}, {"ssh", 22, dialSSH}}
	var err error = &Error{Unsupported, t.Host, "connect", "no transport " + t.Transport}
	for _, tr := range transports {
		if t.Transport != "" && t.Transport != tr.name {
			continue
		}
		port := tr.port
		if t.Port != 0 {
			port = t.Port
		}
		tried = append(tried, tr.name+" "+strconv.Itoa(port))
		// A wrong guess of the transport must leave time for the other.
		tryCtx, cancel := context.WithCancel(ctx)
		if d, ok := ctx.Deadline(); ok && tr.name == "telnet" && t.Transport == "" {
			tryCtx, cancel = context.WithTimeout(ctx, time.Until(d)/2)
		}
		var s *session
		if s, err = tr.dial(tryCtx, t, port); err == nil {
			if err = a.login(s, tr.name == "telnet"); err == nil {
				s.closes = append(s.closes, func() error { cancel(); return nil })
				return s, tried, nil
			}
			s.Close()
		}
		cancel()
		if k := KindOf(err); k != Unreachable && k != Timeout && k != Unexpected {
			return nil, tried, err
		}
		if t.Port != 0 && KindOf(err) == Unreachable {
			return nil, tried, err
		}
	}
	return nil, tried, err
}

func (a apc) login(s *session, asks bool) error {
	if asks {
		i, _, err := s.await("log in", apcUser, apcBusy)
		if err != nil {
			return err
		}
		if i == 1 {
			return s.fail(Busy, "log in", "somebody else is logged in")
		}
		if err := s.send("log in", s.t.User); err != nil {
			return err
		}
		if _, _, err := s.await("log in", apcPassword); err != nil {
			return err
		}
		if err := s.send("log in", s.t.Password); err != nil {
			return err
		}
	}
	i, _, err := s.await("log in", apcPrompt, apcBusy, apcDenied, apcUser)
	switch {
	case err != nil:
		return err
	case i == 1:
		return s.fail(Busy, "log in", "somebody else is logged in")
	case i >= 2:
		return s.fail(Auth, "log in", "user name or password refused")
	}
	return nil
}

// walk goes down the menus to the outlet, without the power command, and returns what the outlet's menu says of it.
func (a apc) walk(s *session) (State, error) {
	state := Unknown
	for _, step := range a.menu[:len(a.menu)-1] {
		if step == "p" {
			step = strconv.Itoa(s.t.Outlet)
		}
		if err := s.send("menu "+step, step); err != nil {
			return state, err
		}
		for {
			i, text, err := s.await("menu "+step, apcPrompt, apcEnter, apcUnknown)
			if err != nil {
				return state, err
			}
			if m := apcOutlet.FindStringSubmatch(text); m != nil {
				state = State(strings.ToLower(m[1]))
			}
			if i == 2 {
				return state, s.fail(NoOutlet, "menu "+step, "outlet "+strconv.Itoa(s.t.Outlet))
			}
			if i == 0 {
				break
			}
			if err := s.send("menu "+step, ""); err != nil {
				return state, err
			}
		}
	}
	return state, nil
}

// logout leaves as a person would, so that the device's only session is free at once.
func (a apc) logout(s *session) {
	for range len(a.menu) {
		if s.send("leave", "\x1b") != nil {
			break
		}
		if _, _, err := s.await("leave", apcPrompt); err != nil {
			break
		}
	}
	// The session is free for others only when the device says so.
	if s.send("leave", "4") == nil {
		_, _, _ = s.await("leave", apcBye)
	}
	s.Close()
}

func (a apc) test(ctx context.Context, t Target) (Result, error) {
	s, tried, err := a.open(ctx, t)
	if err != nil {
		return Result{Tried: tried}, err
	}
	defer a.logout(s)
	r := Result{Tried: tried, Before: Unknown, After: Unknown, Verified: true}
	if t.Outlet < 1 {
		r.Note = "logged in"
		return r, nil
	}
	if r.Before, err = a.walk(s); err != nil {
		return r, err
	}
	r.After, r.Note = r.Before, "logged in and found the outlet"
	return r, nil
}

func (a apc) status(ctx context.Context, t Target) (Result, error) {
	r, err := a.test(ctx, t)
	r.Verified, r.Note = r.After != Unknown, ""
	return r, err
}

// set gives the power command. The outlet's menu is 1 on, 2 off, 3 reboot on all but the 1p4 firmware, whose fourth line
// is the reboot.
func (a apc) set(ctx context.Context, t Target, op operation) (Result, error) {
	s, tried, err := a.open(ctx, t)
	if err != nil {
		return Result{Tried: tried}, err
	}
	defer a.logout(s)
	r := Result{Tried: tried, Before: Unknown, After: Unknown}
	if r.Before, err = a.walk(s); err != nil {
		return r, err
	}
	command, want := a.menu[len(a.menu)-1], On
	switch {
	case op == opOff:
		command, want = "2", Off
	case op == opOn, op == opCycle && r.Before == Off:
		command = "1"
		if op == opCycle {
			r.Note = "found off, turned on"
		}
	}
	if err := s.send("power command", command); err != nil {
		return r, err
	}
	if i, _, err := s.await("power command", apcConfirm, apcUnknown); err != nil {
		return r, err
	} else if i == 1 {
		return r, s.fail(Refused, "power command", "the menu has no such command")
	}
	if err := s.send("confirm", "YES"); err != nil {
		return r, s.fail(Ambiguous, "confirm", "YES may have gone out")
	}
	if i, _, err := s.await("confirm", apcDone, apcUnknown); err != nil {
		return r, s.fail(Ambiguous, "confirm", "YES went out and no answer came")
	} else if i == 1 {
		return r, s.fail(Refused, "confirm", "the device refused the command")
	}
	// The acknowledgement waits for ENTER, then the outlet's menu shows its state again.
	for {
		if err := s.send("read back", ""); err != nil {
			break
		}
		_, text, err := s.await("read back", apcPrompt)
		if err != nil {
			break
		}
		m := apcOutlet.FindStringSubmatch(text)
		if m == nil {
			continue
		}
		r.After = State(strings.ToLower(m[1]))
		if r.After == want {
			r.Verified = true
			return r, nil
		}
		settle(ctx, 300*time.Millisecond)
		if ctx.Err() != nil {
			break
		}
	}
	if r.After != Unknown {
		return r, s.fail(Ambiguous, "read back", "the outlet stays "+string(r.After))
	}
	r.Note = "sent, not verified"
	return r, nil
}
