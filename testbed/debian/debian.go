// Package debian brings real programs into tests: the clients and servers of others that ours must get along with.
package debian

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// patience bounds one run of apt-get, whose mirror may be out of reach.
const patience = 5 * time.Minute

// required names the variable that makes a missing program a failure, as in CI (.ci/run sets it): what is skipped there
// proves nothing.
const required = "MONITOR_CI"

// ender is how a test ends early.
type ender interface {
	Helper()
	Skipf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// Missing ends a test whose program cannot be had: it is skipped or, where all must be there, fails.
func Missing(t ender, format string, args ...any) {
	t.Helper()
	if os.Getenv(required) != "" {
		t.Fatalf(format, args...)
		return
	}
	t.Skipf(format, args...)
}

// Need finds a program. Where Debian's package is missing and may be installed, it is, once; else the test is skipped
// and says why and what to install; in CI it fails. No test installs anything under -short.
func Need(t testing.TB, program, pkg string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err == nil && settled(pkg) {
		return path
	}
	if testing.Short() {
		t.Skipf("no %s here that works, and -short installs nothing: run `apt-get install %s`", program, pkg)
	}
	if err := install(pkg); err != nil {
		Missing(t, "no %s here that works (%v): run `apt-get install %s`", program, err, pkg)
	}
	if path, err = exec.LookPath(program); err != nil {
		Missing(t, "Debian's %s has no %s here: %v", pkg, program, err)
	}
	return path
}

// settled reports whether a package is not in the middle of being installed, as by a test of another process: its
// program is there before the libraries that it needs. A program that came otherwise, or elsewhere than on Debian, is
// taken as it is.
func settled(pkg string) bool {
	status, err := exec.Command("dpkg-query", "-W", "-f", "${db:Status-Status}", pkg).Output()
	return err != nil || string(status) == "installed" || string(status) == "not-installed"
}

// Unpack fetches a package and gives a file of it, without installing it: a server that Debian would start at once.
func Unpack(t testing.TB, pkg, file string) string {
	t.Helper()
	if testing.Short() {
		t.Skipf("no %s, and -short fetches nothing", pkg)
	}
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o777); err != nil { // apt fetches as a user of its own
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	fetch := exec.CommandContext(ctx, "sh", "-c", `apt-get download -q "$0" && dpkg -x "$0"_*.deb .`, pkg)
	fetch.Dir, fetch.WaitDelay = dir, time.Second
	if out, err := fetch.CombinedOutput(); err != nil {
		Missing(t, "`apt-get download %s` and `dpkg -x` do not work here: %v: %s", pkg, err, lastLine(out))
	}
	return filepath.Join(dir, file)
}

var apt struct {
	sync.Mutex
	failed map[string]error // by package: what did not work once is not tried for every test again
}

func install(pkg string) error {
	apt.Lock()
	defer apt.Unlock()
	if err := apt.failed[pkg]; err != nil {
		return err
	}
	err := installs(pkg)
	if err != nil {
		if apt.failed == nil {
			apt.failed = map[string]error{}
		}
		apt.failed[pkg] = err
	}
	return err
}

func installs(pkg string) error {
	if _, err := exec.LookPath("apt-get"); err != nil {
		return errors.New("and no apt-get to install it")
	}
	if os.Geteuid() != 0 {
		return errors.New("and installing it needs root")
	}
	_, _ = os.Stderr.WriteString("installing Debian's " + pkg + " for a test ...\n")
	words := []string{"install", "-qy", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=300", pkg}
	if run(words...) == nil {
		return nil
	}
	if err := run("update", "-qq"); err != nil { // the second time with fresh lists
		return err
	}
	return run(words...)
}

// run is apt-get with these words; its error has the last line that it wrote.
func run(words ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "apt-get", words...)
	cmd.Env, cmd.WaitDelay = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive"), time.Second
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("apt-get %s: %w: %s", words[0], err, lastLine(out))
	}
	return nil
}

func lastLine(out []byte) string {
	out = bytes.TrimSpace(out)
	return string(out[bytes.LastIndexByte(out, '\n')+1:])
}
