// Packages makes deb and rpm packages of the programs in bin/. `make packages` runs it.
package main

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/goreleaser/nfpm/v2"
	_ "github.com/goreleaser/nfpm/v2/deb"
	_ "github.com/goreleaser/nfpm/v2/rpm"
)

// options say what is packed, and where to.
type options struct {
	root    string // of the source tree
	bin     string // folder of the programs
	pageBin string // folder of those that write their manual pages; empty: the same
	out     string // folder of the packages
	version string // as git describes it
	built   time.Time
	only    []string // names of packages; none: all
}

func main() {
	var o options
	var at int64
	flag.StringVar(&o.root, "root", "..", "folder of the source tree")
	flag.StringVar(&o.bin, "bin", "../bin", "folder of the programs")
	flag.StringVar(&o.out, "out", "../dist", "folder for the packages")
	flag.StringVar(&o.version, "version", "", "version, as v1.2.3 or v1.2.3-4-gabcdef")
	flag.Int64Var(&at, "time", 0, "time of the commit, in seconds since 1970; the same commit then makes the same packages")
	only := flag.String("only", "", "make only these packages, as monitor,monitor-worker")
	flag.Parse()
	if *only != "" {
		o.only = strings.Split(*only, ",")
	}
	o.built = time.Unix(at, 0).UTC()
	made, err := o.make()
	if err != nil {
		fmt.Fprintln(os.Stderr, "packages:", err)
		os.Exit(1)
	}
	for _, file := range made {
		fmt.Println(file)
	}
}

// make writes every package in both formats.
func (o options) make() (made []string, err error) {
	if err := os.MkdirAll(o.out, 0o755); err != nil {
		return nil, err
	}
	work, err := os.MkdirTemp("", "monitor-packages-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(work)
	if err := o.pages(work); err != nil {
		return nil, err
	}
	for _, p := range all() {
		if len(o.only) > 0 && !slices.Contains(o.only, p.name) {
			continue
		}
		for _, format := range []string{"deb", "rpm"} {
			file, err := o.write(work, p, format)
			if err != nil {
				return nil, fmt.Errorf("%s.%s: %w", p.name, format, err)
			}
			made = append(made, file)
		}
	}
	return made, nil
}

// pages has the programs write their manual pages and completions.
func (o options) pages(work string) error {
	bin := cmp.Or(o.pageBin, o.bin)
	if out, err := exec.Command(filepath.Join(bin, "monitor"), "man", work).CombinedOutput(); err != nil {
		return fmt.Errorf("monitor man: %w: %s", err, out)
	}
	page, err := exec.Command(filepath.Join(bin, "monitor-worker"), "--man").Output()
	if err != nil {
		return fmt.Errorf("monitor-worker --man: %w", err)
	}
	return os.WriteFile(filepath.Join(work, "man", "man1", "monitor-worker.1"), page, 0o644)
}

var describes = regexp.MustCompile(`^v?(\d+\.\d+\.\d+)(?:-(\d+)-g([0-9a-f]+))?$`)

// versionOf makes a version that sorts as the commits do: 1.2.3 < 1.2.3+4.gabcdef < 1.2.4. A tree without a tag is before all.
func versionOf(text string) string {
	if m := describes.FindStringSubmatch(text); m != nil {
		if m[2] == "" {
			return m[1]
		}
		return m[1] + "+" + m[2] + ".g" + m[3]
	}
	commit := strings.TrimPrefix(strings.TrimSuffix(text, "-dirty"), "g")
	if commit == "" {
		return "0.0.0"
	}
	return "0.0.0+g" + commit
}

func (o options) write(work string, p pack, format string) (string, error) {
	info, err := o.info(work, p, format)
	if err != nil {
		return "", err
	}
	info = nfpm.WithDefaults(info)
	if err := nfpm.Validate(info); err != nil {
		return "", err
	}
	packager, err := nfpm.Get(format)
	if err != nil {
		return "", err
	}
	file := filepath.Join(o.out, packager.ConventionalFileName(info))
	f, err := os.Create(file)
	if err != nil {
		return "", err
	}
	if err := packager.Package(info, f); err != nil {
		_ = f.Close()
		_ = os.Remove(file)
		return "", err
	}
	return file, f.Close()
}

func arch() string { return runtime.GOARCH }
