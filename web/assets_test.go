package web

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"strings"
	"testing"
)

// What is not ours is what its maker published: assets/README.md says where it is from.
func TestForeignAssetsAreThoseThatArePinned(t *testing.T) {
	sums, err := os.ReadFile("assets/SHA256SUMS")
	if err != nil {
		t.Fatal(err)
	}
	pinned := map[string]string{}
	for line := range strings.Lines(string(sums)) {
		sum, name, _ := strings.Cut(strings.TrimSpace(line), "  ")
		pinned[name] = sum
	}
	files, err := os.ReadDir("assets")
	if err != nil {
		t.Fatal(err)
	}
	scripts := 0
	for _, file := range files {
		if !strings.HasSuffix(file.Name(), ".js") {
			continue
		}
		text, err := os.ReadFile("assets/" + file.Name())
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(text)
		if pinned[file.Name()] != hex.EncodeToString(sum[:]) {
			t.Errorf("%s is not the one that assets/SHA256SUMS pins", file.Name())
		}
		scripts++
	}
	if scripts != 3 {
		t.Errorf("%d scripts are served", scripts)
	}
}
