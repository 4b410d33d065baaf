package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// need finds a program; in CI, where all of .ci/packages is installed, a missing one fails.
func need(t *testing.T, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil && os.Getenv("MONITOR_CI") != "" {
		t.Fatal(err)
	}
	if err != nil {
		t.Skip(err)
	}
	return path
}

func TestVersionsSortAsCommitsDo(t *testing.T) {
	dpkg := need(t, "dpkg")
	list := []string{"", "1a2b3c4", "v0.9.0", "v0.9.0-3-g1a2b3c4", "v0.9.0-12-gfedcba9", "v0.10.0", "v1.0.0"}
	for i := 1; i < len(list); i++ {
		older, newer := versionOf(list[i-1]), versionOf(list[i])
		if err := exec.Command(dpkg, "--compare-versions", older, "lt", newer).Run(); err != nil {
			t.Errorf("%s (%s) is not before %s (%s)", older, list[i-1], newer, list[i])
		}
	}
}

// made packs the pages of what `make build` has compiled. The programs themselves, which are large, are stood in for by a
// small one: `make package-test` packs the real ones.
func made(t *testing.T, only ...string) (dir string, list []string) {
	t.Helper()
	for _, program := range []string{"monitor", "monitor-worker"} {
		if _, err := os.Stat(filepath.Join("../../bin", program)); err != nil {
			t.Skip("needs the programs of `make build`")
		}
	}
	bin := t.TempDir()
	source := filepath.Join(bin, "main.go")
	if err := os.WriteFile(source, []byte("package main\n\nfunc main() {}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, program := range []string{"monitor", "monitor-worker", "temporal-dev"} {
		cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s", "-o", filepath.Join(bin, program), source)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	dir = t.TempDir()
	o := options{root: "../..", bin: bin, pageBin: "../../bin", out: dir, version: "v1.2.3",
		built: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), only: only}
	list, err := o.make()
	if err != nil {
		t.Fatal(err)
	}
	return dir, list
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

func TestPackages(t *testing.T) {
	if testing.Short() {
		t.Skip("packs all programs")
	}
	dir, list := made(t)
	if len(list) != 8 {
		t.Fatalf("made: %v", list)
	}
	deb := func(name string) string { return filepath.Join(dir, name+"_1.2.3-1_"+arch()+".deb") }
	t.Run("hold what they should", func(t *testing.T) {
		for name, want := range map[string][]string{
			"monitor": {"/usr/bin/monitor", "/usr/share/man/man1/monitor.1.gz", "/usr/share/man/man1/monitor-issue-show.1.gz",
				"/usr/share/bash-completion/completions/monitor", "/usr/share/zsh/vendor-completions/_monitor",
				"/usr/share/fish/vendor_completions.d/monitor.fish", "/usr/share/doc/monitor/monitor.sample.yaml",
				"/usr/share/doc/monitor/copyright"},
			"monitor-worker": {"/usr/bin/monitor-worker", "/usr/lib/systemd/system/monitor-worker.service", "/usr/lib/sysusers.d/monitor-worker.conf",
				"/usr/lib/tmpfiles.d/monitor-worker.conf", "/usr/share/man/man1/monitor-worker.1.gz",
				"/usr/share/monitor/prometheus/monitor.rules.yml", "/usr/share/monitor/grafana/monitor.json",
				"/usr/share/doc/monitor-worker/examples/credentials.conf"},
			"monitor-temporal": {"/usr/lib/monitor/temporal-dev", "/usr/lib/systemd/system/monitor-temporal.service"},
			"monitor-tools":    {"/usr/sbin/fence_monitor"},
		} {
			files := run(t, need(t, "dpkg-deb"), "-c", deb(name))
			for _, path := range want {
				if !strings.Contains(files, " ."+path+"\n") && !strings.Contains(files, " "+path+"\n") {
					t.Errorf("%s has no %s", name, path)
				}
			}
			for line := range strings.Lines(files) {
				if strings.Contains(line, "/etc/") || !strings.Contains(line, " root/root ") {
					t.Errorf("%s: %s", name, line)
				}
			}
		}
		for _, file := range list {
			if strings.HasSuffix(file, ".rpm") {
				if files := run(t, need(t, "rpm"), "-qlp", "--nosignature", file); !strings.Contains(files, "/usr/") {
					t.Errorf("%s holds %s", file, files)
				}
			}
		}
	})
	t.Run("are made alike from the same commit", func(t *testing.T) {
		again, _ := made(t, "monitor-tools", "monitor-temporal")
		for _, name := range []string{"monitor-tools", "monitor-temporal"} {
			a, _ := os.ReadFile(deb(name))
			b, err := os.ReadFile(filepath.Join(again, filepath.Base(deb(name))))
			if err != nil || !bytes.Equal(a, b) {
				t.Errorf("%s differs, %v", name, err)
			}
		}
	})
	t.Run("are without errors for lintian", func(t *testing.T) {
		if os.Getenv("MONITOR_PACKAGE_TEST") == "" {
			t.Skip("takes minutes: `make package-test` runs it")
		}
		lintian := need(t, "lintian")
		for _, name := range []string{"monitor", "monitor-worker", "monitor-temporal", "monitor-tools"} {
			out, err := exec.Command(lintian, "--fail-on", "error", "--suppress-tags", suppressed, deb(name)).CombinedOutput()
			if err != nil {
				t.Errorf("%s: %v\n%s", name, err, out)
			}
		}
	})
	t.Run("have manual pages that man reads without a complaint", func(t *testing.T) {
		man := need(t, "man")
		work := t.TempDir()
		run(t, "dpkg-deb", "-x", deb("monitor"), work)
		for _, page := range []string{"monitor.1.gz", "monitor-setup.1.gz"} {
			cmd := exec.Command(man, "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", filepath.Join(work, "usr/share/man/man1", page))
			cmd.Env = append(os.Environ(), "MANROFFSEQ=", "LC_ALL=C.UTF-8", "MANWIDTH=80")
			if out, err := cmd.CombinedOutput(); err != nil || bytes.Contains(out, []byte("warning")) && !bytes.Contains(out, []byte("found something")) {
				t.Errorf("%s: %v", page, err)
			}
		}
	})
}

// suppressed are lintian's errors about how Go programs are built, which Debian's own Go packages have, too.
const suppressed = "statically-linked-binary"

var exposure = regexp.MustCompile(`Overall exposure level for \S+: ([0-9.]+)`)

func TestUnitsAreHardened(t *testing.T) {
	analyze := need(t, "systemd-analyze")
	units, err := filepath.Glob("../../packaging/systemd/*.service")
	if err != nil || len(units) < 2 {
		t.Fatalf("%v, %v", units, err)
	}
	for _, unit := range units {
		m := exposure.FindStringSubmatch(run(t, analyze, "security", "--offline=true", unit))
		if m == nil {
			t.Fatalf("%s: no level", unit)
		}
		if level, err := strconv.ParseFloat(m[1], 64); err != nil || level >= 2 {
			t.Errorf("%s is exposed by %s, %v", unit, m[1], err)
		}
	}
}

func TestMaintainerScriptsAreShell(t *testing.T) {
	scripts, err := filepath.Glob("../../packaging/scripts/*")
	if err != nil || len(scripts) != 3 || !slices.ContainsFunc(scripts, func(s string) bool { return strings.HasSuffix(s, "postinst") }) {
		t.Fatalf("%v, %v", scripts, err)
	}
	for _, s := range append(scripts, "../../packaging/tools/fence_monitor") {
		run(t, "sh", "-n", s)
	}
}
