package pcucontrol_test

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/planetlab/monitor/pcucontrol"
	"github.com/planetlab/monitor/pcucontrol/models"
	"github.com/planetlab/monitor/testbed/debian"
)

// wtiScript is a power switch as a program on a terminal, behind whichever server: its outlets are files, there while
// they are on. It waits a moment before it ends: telnetd may lose the last words of a program that has ended.
const wtiScript = `#!/bin/bash
cd OUTLETS
read -rsp "Enter Password: " password; echo
[ "$password" = "PASSWORD" ] || { echo "Invalid password."; sleep 1; exit; }
echo "Internet Power Switch v1.41h"
while echo && read -rp "IPS> " verb plug; do
	[ -n "$plug" ] && [ ! -e "log$plug" ] && { echo "Invalid Plug"; continue; }
	case "${verb^^}" in
	/X) echo Disconnected.; exit ;;
	/S) echo "Plug | Name | Status |"
		for n in 1 2 3; do printf '  %d  | (undefined) | %s |\n' $n "$([ -e on$n ] && echo ON || echo OFF)"; done ;;
	/ON | /OFF | /BOOT)
		read -rp "Sure? (Y/N): " sure
		[ "${sure^^}" = Y ] || continue
		[ "${verb^^}" != /ON ] && rm -f on$plug && echo -n "off " >> log$plug
		[ "${verb^^}" != /OFF ] && touch on$plug && echo -n "on " >> log$plug ;;
	*) echo "Invalid Command" ;;
	esac
done
`

// script writes the power switch; log reads what happened to outlet 2.
func script(t *testing.T) (path string, log func() string) {
	t.Helper()
	dir := t.TempDir()
	for _, n := range []string{"1", "2", "3"} {
		for _, name := range []string{"on", "log"} {
			if err := os.WriteFile(filepath.Join(dir, name+n), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	path = filepath.Join(dir, "wti")
	if err := os.WriteFile(path, []byte(strings.NewReplacer("OUTLETS", dir, "PASSWORD", password).Replace(wtiScript)),
		0o700); err != nil {
		t.Fatal(err)
	}
	return path, func() string {
		text, err := os.ReadFile(filepath.Join(dir, "log2"))
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(text))
	}
}

// inetd runs a server for each connection.
func inetd(t *testing.T, path string, args ...string) (port int) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			f, err := c.(*net.TCPConn).File()
			_ = c.Close()
			if err != nil {
				return
			}
			cmd := exec.CommandContext(t.Context(), path, args...)
			cmd.Stdin, cmd.Stdout = f, f
			_ = cmd.Start()
			_ = f.Close()
			go func() { _ = cmd.Wait() }()
		}
	}()
	return l.Addr().(*net.TCPAddr).Port
}

func TestATelnetServerOfOthersIsDriven(t *testing.T) {
	telnetd := debian.Unpack(t, "inetutils-telnetd", "usr/sbin/telnetd")
	t.Parallel()
	login, log := script(t)
	var trace strings.Builder
	target := pcucontrol.Target{
		Model:    "WTIIPS4",
		Host:     "127.0.0.1",
		Port:     inetd(t, telnetd, "-h", "--exec-login="+login),
		Password: password,
		Outlet:   2,
	}
	target.Trace = func(line string) { trace.WriteString(line + "\n") }
	drivesOutletTwo(t, target, log)
	if t.Failed() {
		t.Log(trace.String())
	}
	target.Password = "guess-me"
	if _, err := models.Builtin().Cycle(enough(t), target); pcucontrol.KindOf(err) != pcucontrol.Auth {
		t.Errorf("a wrong password gives %v", err)
	}
}

func drivesOutletTwo(t *testing.T, target pcucontrol.Target, log func() string) {
	t.Helper()
	for _, c := range []struct {
		name string
		do   func(context.Context, pcucontrol.Target) (pcucontrol.Result, error)
		then pcucontrol.State
		log  string
	}{
		{"a dry run", models.Builtin().Test, "", ""},
		{"a cycle", models.Builtin().Cycle, pcucontrol.On, "off on"},
		{"off", models.Builtin().TurnOff, pcucontrol.Off, "off on off"},
		{"status", models.Builtin().Status, pcucontrol.Off, "off on off"},
		{"a cycle of what is off", models.Builtin().Cycle, pcucontrol.On, "off on off on"},
	} {
		if r, err := c.do(enough(t), target); err != nil || c.then != "" && r.After != c.then || log() != c.log {
			t.Errorf("%s gives %+v, %v and switched %q", c.name, r, err, log())
		}
	}
}
