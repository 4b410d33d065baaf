// Package temporallocal gives a test a Temporal server of its own: the development server of dev/, as a process that ends
// with the test.
package temporallocal

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// Program is the path of the development server, under root. It is built where it is not there yet, which takes minutes.
func Program(t testing.TB, root string) string {
	t.Helper()
	bin, err := filepath.Abs(filepath.Join(root, "bin", "temporal-dev"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(bin); err == nil {
		return bin
	}
	if testing.Short() {
		t.Skip("bin/temporal-dev is not built: run `make build`")
	}
	build := exec.CommandContext(t.Context(), "go", "build", "-o", bin, ".")
	build.Dir = filepath.Join(root, "dev")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build in dev/: %v\n%s", err, out)
	}
	return bin
}

// ForTest starts a server and says where it listens. Root is the folder of the repository.
func ForTest(t testing.TB, root string) (address string) {
	t.Helper()
	ready := filepath.Join(t.TempDir(), "ready")
	var log bytes.Buffer
	cmd := exec.Command(Program(t, root), "--ready-file", ready, "--exit-with-stdin", "--ui-port", "-1")
	cmd.Stdout, cmd.Stderr = &log, &log
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	t.Cleanup(func() {
		_ = stdin.Close()
		select {
		case <-ended:
		case <-time.After(10 * time.Second):
			_ = cmd.Process.Kill()
			<-ended
		}
	})
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		select {
		case <-ended:
			t.Fatalf("temporal-dev ended at once: %s", log.String())
		default:
		}
		var where struct{ Address string }
		if text, err := os.ReadFile(ready); err == nil && json.Unmarshal(text, &where) == nil {
			return where.Address
		}
	}
	t.Fatal("temporal-dev is not ready within a minute")
	return ""
}
