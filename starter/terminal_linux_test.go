package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// terminal opens a pseudo terminal: what is written to screen comes out of keyboard, and the other way round.
func terminal(t *testing.T) (keyboard, screen *os.File) {
	t.Helper()
	keyboard, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skip("no pseudo terminals here:", err)
	}
	t.Cleanup(func() { _ = keyboard.Close() })
	if err := unix.IoctlSetPointerInt(int(keyboard.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(keyboard.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	screen, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = screen.Close() })
	return keyboard, screen
}

func TestColoursAreForTerminals(t *testing.T) {
	alone(t)
	_, screen := terminal(t)
	t.Setenv("NO_COLOR", "")
	t.Setenv("TERM", "xterm")
	state := func(out io.Writer) coloured { return (&app{out: out, now: noon}).state("down") }
	if got := state(screen); got != "\x1b[31mdown\x1b[0m" && got != "\x1b[31mdown\x1b[0;0m" {
		t.Errorf("on a terminal: %q", got)
	}
	if got := state(&bytes.Buffer{}); got != "down" {
		t.Errorf("in a pipe: %q", got)
	}
	t.Setenv("TERM", "dumb")
	if got := state(screen); got != "down" {
		t.Errorf("on a dumb terminal: %q", got)
	}
	t.Setenv("TERM", "xterm")
	t.Setenv("NO_COLOR", "1")
	if got := state(screen); got != "down" {
		t.Errorf("with NO_COLOR: %q", got)
	}
}

func TestANarrowTerminalIsToldTheDistanceOfMomentsAlone(t *testing.T) {
	alone(t)
	_, screen := terminal(t)
	rows := []row{{"nodedown/planetlab1.example.edu", noon().Add(-time.Hour)}}
	for columns, want := range map[uint16]string{120: "2026-11-24 13:03 UTC (1 hour ago)", 60: "edu  1 hour ago"} {
		if err := unix.IoctlSetWinsize(int(screen.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Col: columns, Row: 24}); err != nil {
			t.Fatal(err)
		}
		a := &app{out: screen, now: noon}
		if a.width() != int(columns) {
			t.Errorf("the terminal of %d columns has %d", columns, a.width())
		}
		wantIn(t, string(a.columns(rows)), want)
	}
}

func TestOutputThatIsLostIsAFailure(t *testing.T) {
	alone(t)
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("no /dev/full here:", err)
	}
	defer full.Close()
	var errs bytes.Buffer
	if code := run(t.Context(), []string{"ladders"}, nil, full, &errs); code != exitFailure {
		t.Errorf("exit code %d", code)
	}
	wantIn(t, errs.String(), "no space left on device")
}

func TestAPasswordIsAskedForOnATerminalWithoutEcho(t *testing.T) {
	d := raise(t)
	keyboard, screen := terminal(t)
	typed := make(chan error, 1)
	go func() { // as a person does, who types once asked
		for t.Context().Err() == nil {
			mode, err := unix.IoctlGetTermios(int(keyboard.Fd()), unix.TCGETS)
			if err != nil {
				typed <- err
				return
			}
			if mode.Lflag&unix.ECHO == 0 {
				break
			}
			time.Sleep(time.Millisecond)
		}
		_, err := keyboard.WriteString(password + "\n")
		typed <- err
	}()
	var out, errs bytes.Buffer
	a := &app{in: screen, out: &out, err: &errs, now: noon, account: "alice"}
	code := a.execute(t.Context(), append(append([]string{"pcu", "test"}, d.words...), "--outlet", "3"))
	if err := <-typed; err != nil {
		t.Fatal(err)
	}
	if code != exitOK || !strings.Contains(errs.String(), "password of apc at 127.0.0.1: ") {
		t.Errorf("exit code %d, output %s, %s", code, out.String(), errs.String())
	}
	_ = screen.Close()
	echo, _ := io.ReadAll(keyboard) // ends with an error when the other side is closed
	if strings.Contains(string(echo), password) {
		t.Errorf("the terminal shows %q", echo)
	}
}
