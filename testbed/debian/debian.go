// Package debian brings real programs into tests: the clients and servers of others that ours must get along with.
package debian

import (
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// Need finds a program. Where Debian's package is missing and may be installed, it is, once; else the test is skipped and
// says what to install. No test needs it under -short.
func Need(t *testing.T, program, pkg string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err == nil {
		return path
	}
	if testing.Short() {
		t.Skipf("no %s, and -short installs nothing", program)
	}
	if err := install(pkg); err != nil {
		t.Skipf("no %s here (%v): run `apt-get install %s`", program, err, pkg)
	}
	if path, err = exec.LookPath(program); err != nil {
		t.Skipf("Debian's %s has no %s here: run `apt-get install %s`", pkg, program, pkg)
	}
	return path
}

// Unpack fetches a package and gives a file of it, without installing it: a server that Debian would start at once.
func Unpack(t *testing.T, pkg, file string) string {
	t.Helper()
	if testing.Short() {
		t.Skipf("no %s, and -short fetches nothing", pkg)
	}
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o777); err != nil { // apt fetches as a user of its own
		t.Fatal(err)
	}
	fetch := exec.Command("sh", "-c", `apt-get download -q "$0" && dpkg -x "$0"_*.deb .`, pkg)
	fetch.Dir = dir
	if out, err := fetch.CombinedOutput(); err != nil {
		t.Skipf("`apt-get download %s` and `dpkg -x` do not work here: %v %s", pkg, err, out)
	}
	return filepath.Join(dir, file)
}

var apt sync.Mutex

func install(pkg string) error {
	apt.Lock()
	defer apt.Unlock()
	if _, err := exec.LookPath("apt-get"); err != nil {
		return err
	}
	if os.Geteuid() != 0 {
		return os.ErrPermission
	}
	_, _ = os.Stderr.WriteString("installing Debian's " + pkg + " for a test ...\n")
	var err error
	for range 2 { // the second time with fresh lists
		cmd := exec.Command("apt-get", "install", "-qy", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=300", pkg)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		cmd.Stdout = os.Stderr
		if err = cmd.Run(); err == nil {
			return nil
		}
		update := exec.Command("apt-get", "update", "-qq")
		update.Stdout = os.Stderr
		if err := update.Run(); err != nil {
			return err
		}
	}
	return err
}
