package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestEachTextIsPrintedOnceBelowItsModules(t *testing.T) {
	dir := t.TempDir()
	of := func(path, text string) module {
		folder := filepath.Join(dir, path)
		if err := os.MkdirAll(folder, 0o700); err != nil {
			t.Fatal(err)
		}
		if text != "" {
			if err := os.WriteFile(filepath.Join(folder, "LICENSE.txt"), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		return module{path, "v1.0.0", folder}
	}
	a, b, c := of("example/a", "may be used\r\n```\r\n"), of("example/b", "may be used\n```"), of("example/c", "")
	var out bytes.Buffer
	if err := write(&out, []module{a, b}); err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(out.String(), "\n## example/a v1.0.0\n## example/b v1.0.0\n\n````\nmay be used\n```\n````\n") {
		t.Errorf("%s", out.String())
	}
	if err := write(&out, []module{a, c}); err == nil || !strings.Contains(err.Error(), "example/c v1.0.0 has no licence") {
		t.Errorf("a module without a licence: %v", err)
	}
}
