package debian

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// only makes this folder, with or without an apt-get in it, all that there is on this machine.
func only(t *testing.T, aptGet string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if aptGet != "" {
		if err := os.WriteFile(filepath.Join(dir, "apt-get"), []byte("#!/bin/sh\necho \"$1\" >> "+dir+"/log\n"+aptGet), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir)
	return dir
}

func TestAMachineWithoutAptSaysSo(t *testing.T) {
	only(t, "")
	if err := install("no-apt"); err == nil || !strings.Contains(err.Error(), "no apt-get") {
		t.Errorf("it gives %v", err)
	}
}

func TestInstallingNeedsRoot(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("this is root")
	}
	only(t, "exit 0")
	if err := install("no-root"); err == nil || !strings.Contains(err.Error(), "root") {
		t.Errorf("it gives %v", err)
	}
}

func TestAFailureIsToldWithItsReasonAndNotRepeated(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("installing needs root")
	}
	dir := only(t, "echo E: no network >&2\nexit 100\n")
	pkg := "far-away" + strings.ReplaceAll(dir, "/", "-") // what failed is remembered as long as the process lives, so as -count=2
	for range 3 {
		if err := install(pkg); err == nil || !strings.Contains(err.Error(), "no network") {
			t.Errorf("it gives %v", err)
		}
	}
	if log, _ := os.ReadFile(filepath.Join(dir, "log")); string(log) != "install\nupdate\n" {
		t.Errorf("it ran apt-get %q", log)
	}
}

func TestWhatIsMissingIsInstalled(t *testing.T) {
	if os.Geteuid() != 0 || testing.Short() {
		t.Skip("installing needs root, and time")
	}
	dir := only(t, "")
	script := "#!/bin/sh\necho '#!/bin/sh' > " + dir + "/gadget\n/bin/chmod 700 " + dir + "/gadget\n"
	if err := os.WriteFile(filepath.Join(dir, "apt-get"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	if path := Need(t, "gadget", "gadget-tools"); path != filepath.Join(dir, "gadget") {
		t.Errorf("it is at %q", path)
	}
}

func TestAProgramIsNotUsedBeforeItsPackageIsInstalled(t *testing.T) {
	if os.Geteuid() != 0 || testing.Short() {
		t.Skip("installing needs root, and time")
	}
	for status, installs := range map[string]bool{"unpacked": true, "half-configured": true, "installed": false, "not-installed": false} {
		dir := only(t, "")
		for name, text := range map[string]string{"gadget": "exit 0", "dpkg-query": "echo -n " + status, "apt-get": "echo $1 > " + dir + "/log"} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+text+"\n"), 0o700); err != nil {
				t.Fatal(err)
			}
		}
		Need(t, "gadget", "gadget-"+status)
		if _, err := os.Stat(filepath.Join(dir, "log")); (err == nil) != installs {
			t.Errorf("%s: %v", status, err)
		}
	}
}

func TestAMissingProgramSkipsATest(t *testing.T) {
	only(t, "exit 100")
	t.Setenv(required, "")
	skipped := false
	t.Run("that needs it", func(t *testing.T) {
		defer func() { skipped = t.Skipped() }()
		Need(t, "gadget", "gadget-that-nobody-has")
	})
	if !skipped {
		t.Error("the test went on without its program")
	}
}

// ended keeps how a test would have ended.
type ended struct{ skipped, failed bool }

func (*ended) Helper()                 {}
func (e *ended) Skipf(string, ...any)  { e.skipped = true }
func (e *ended) Fatalf(string, ...any) { e.failed = true }

func TestAMissingProgramFailsATestInCI(t *testing.T) {
	for value, want := range map[string]ended{"": {skipped: true}, "1": {failed: true}} {
		t.Setenv(required, value)
		var got ended
		if Missing(&got, "no gadget"); got != want {
			t.Errorf("with %s=%q it is %+v", required, value, got)
		}
	}
}

func TestCIInstallsWhatTestsNeed(t *testing.T) {
	list, err := os.ReadFile("../../.ci/packages")
	if err != nil {
		t.Fatal(err)
	}
	installed := strings.Fields(string(list))
	need := regexp.MustCompile(`debian\.Need\(t, "[^"]+",\s*"([^"]+)"\)`)
	found := 0
	err = filepath.WalkDir("../..", func(path string, _ os.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, m := range need.FindAllSubmatch(text, -1) {
			if found++; !slices.Contains(installed, string(m[1])) {
				t.Errorf("%s needs Debian's %s, which is not in .ci/packages", path, m[1])
			}
		}
		return err
	})
	if err != nil || found == 0 {
		t.Errorf("%d needs were found, %v", found, err)
	}
}
