package rig

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// A log of the demo lies where others may write, too: a link there must not have a file of ours written over.
func TestALogIsNotWrittenThroughALink(t *testing.T) {
	precious := filepath.Join(t.TempDir(), "precious")
	if err := os.WriteFile(precious, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := &Rig{dir: t.TempDir()}
	if err := os.Symlink(precious, filepath.Join(r.dir, "worker.log")); err != nil {
		t.Fatal(err)
	}
	if _, err := r.spawn(exec.Command("echo", "not mine"), "worker.log"); !errors.Is(err, syscall.ELOOP) {
		t.Errorf("a link is followed: %v", err)
	}
	c, err := r.spawn(exec.Command("echo", "hello"), "other.log")
	if err != nil {
		t.Fatal(err)
	}
	<-c.ended
	if text, err := os.ReadFile(filepath.Join(r.dir, "other.log")); string(text) != "hello\n" || c.err != nil {
		t.Errorf("the log has %q, %v, %v", text, err, c.err)
	}
	if text, _ := os.ReadFile(precious); string(text) != "mine" {
		t.Errorf("the file behind the link has %q", text)
	}
}
