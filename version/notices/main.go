// Notices writes the licences of everything that is compiled into Monitor's programs: THIRD_PARTY_NOTICES.md.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// programs are what is shipped.
var programs = []string{"./worker", "./starter", "./testbed/cmd/monitor-testbed"}

func main() {
	modules, err := compiledIn(programs)
	if err == nil {
		err = write(os.Stdout, modules)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "notices:", err)
		os.Exit(1)
	}
}

// unlicensed are modules whose folder holds no licence, with what is known. Each is a decision: an unknown one is an
// error.
var unlicensed = map[string]string{
	"github.com/nexus-rpc/nexus-proto-annotations": "No licence text is in this version. go.temporal.io/api, which comes under the MIT licence, requires it for\n" +
		"annotations that protoc generates; nothing of Monitor uses it by itself. To be looked at again with each new version.",
}

type module struct{ Path, Version, Dir string }

// compiledIn lists the modules of which packages are compiled into programs for the platform of the images.
func compiledIn(programs []string) ([]module, error) {
	cmd := exec.Command("go", append([]string{"list", "-deps", "-json=Module"}, programs...)...)
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH=amd64", "CGO_ENABLED=0")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("list the modules: %w", err)
	}
	seen := map[string]bool{}
	var list []module
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p struct {
			Module *struct {
				module
				Main    bool
				Replace *module
			}
		}
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
		if p.Module == nil || p.Module.Main || seen[p.Module.Path] {
			continue
		}
		m := p.Module.module
		if p.Module.Replace != nil {
			m = *p.Module.Replace
		}
		seen[p.Module.Path] = true
		list = append(list, m)
	}
	slices.SortFunc(list, func(a, b module) int { return strings.Compare(a.Path, b.Path) })
	if len(list) == 0 {
		return nil, errors.New("no module is compiled in: is this the folder of go.mod?")
	}
	return list, nil
}

// texts are the files of a module that must go with it, in one.
func (m module) texts() (string, error) {
	entries, err := os.ReadDir(m.Dir)
	if err != nil {
		return "", fmt.Errorf("%s: %w", m.Path, err)
	}
	var all []string
	for _, e := range entries {
		name := strings.ToUpper(e.Name())
		if e.IsDir() ||
			!slices.ContainsFunc(
				[]string{"LICENSE", "LICENCE", "COPYING", "NOTICE", "PATENTS"},
				func(p string) bool { return strings.HasPrefix(name, p) },
			) ||
			strings.HasSuffix(name, ".GO") {
			continue
		}
		text, err := os.ReadFile(filepath.Join(m.Dir, e.Name()))
		if err != nil {
			return "", fmt.Errorf("%s: %w", m.Path, err)
		}
		all = append(all, strings.TrimSpace(strings.ReplaceAll(string(text), "\r\n", "\n")))
	}
	if remark := unlicensed[m.Path]; len(all) == 0 && remark != "" {
		return remark, nil
	}
	if len(all) == 0 {
		return "", fmt.Errorf(
			"%s %s has no licence in its folder: find out under which one it comes, or do without it",
			m.Path,
			m.Version,
		)
	}
	return strings.Join(all, "\n\n---\n\n"), nil
}

// write prints each text once, with the modules that come under it.
func write(w io.Writer, modules []module) error {
	under := map[string][]module{}
	var order []string
	for _, m := range modules {
		text, err := m.texts()
		if err != nil {
			return err
		}
		if under[text] == nil {
			order = append(order, text)
		}
		under[text] = append(under[text], m)
	}
	var out strings.Builder
	out.WriteString(
		"# Third-party notices\n\nWritten by `make docs` from the modules that are compiled into monitor, monitor-worker and monitor-testbed.\n" +
			"Each text is printed once, below the modules that come under it. Go itself comes under the licence of golang.org/x.\n",
	)
	for _, text := range order {
		out.WriteString("\n")
		for _, m := range under[text] {
			fmt.Fprintf(&out, "## %s %s\n", m.Path, m.Version)
		}
		fence := "```"
		for strings.Contains(text, fence) {
			fence += "`"
		}
		fmt.Fprintf(&out, "\n%s\n%s\n%s\n", fence, text, fence)
	}
	_, err := io.WriteString(w, out.String())
	return err
}
