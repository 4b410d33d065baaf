// Package otherladders makes a second build of Monitor in which every ladder has another order and the next version, as
// a release might. It needs the sources and the go command, and so it is for tests alone.
package otherladders

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/planetlab/monitor/issue"
)

// Of is the ladder of a type in that build.
func Of(l issue.Ladder) issue.Ladder {
	other := issue.Ladder{Version: l.Version + 1}
	for _, r := range l.Rungs {
		other.Rungs = append([]issue.Rung{r}, other.Rungs...)
	}
	return other
}

// reversed does in the other build what Of does.
const reversed = `

func reversed(types []Type) []Type {
	for i, t := range types {
		other := Ladder{Version: t.Ladder.Version + 1}
		for _, r := range t.Ladder.Rungs {
			other.Rungs = append([]Rung{r}, other.Rungs...)
		}
		types[i].Ladder = other
	}
	return types
}
`

// Overlay writes what the go command takes as -overlay into a folder.
func Overlay(dir string) (file string, err error) {
	out, err := exec.Command("go", "list", "-f", "{{.Dir}}", "github.com/planetlab/monitor/issue").Output()
	if err != nil {
		return "", fmt.Errorf("find package issue: %w", err)
	}
	real := filepath.Join(strings.TrimSpace(string(out)), "types_gen.go")
	text, err := os.ReadFile(real)
	if err != nil {
		return "", err
	}
	const list = "return []Type{"
	head, body, found := strings.Cut(string(text), list)
	end := strings.LastIndex(body, "\t}\n}")
	if !found || end < 0 {
		return "", fmt.Errorf("%s does not look as package issue/gen writes it", real)
	}
	changed := filepath.Join(dir, "types_gen.go")
	if err := os.WriteFile(changed, []byte(head+"return reversed([]Type{"+body[:end]+"\t})\n}"+reversed),
		0o600); err != nil {
		return "", err
	}
	text, err = json.Marshal(map[string]any{"Replace": map[string]string{real: changed}})
	if err != nil {
		return "", err
	}
	file = filepath.Join(dir, "overlay.json")
	return file, os.WriteFile(file, text, 0o600)
}

// Worker builds monitor-worker into a folder.
func Worker(dir string) error {
	overlay, err := Overlay(dir)
	if err != nil {
		return err
	}
	cmd := exec.Command("go", "build", "-overlay", overlay, "-o", filepath.Join(dir, "monitor-worker"),
		"github.com/planetlab/monitor/worker")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w: %s", err, out)
	}
	return nil
}
