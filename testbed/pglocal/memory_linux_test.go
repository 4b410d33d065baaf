package pglocal

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

func TestClustersOfKilledProcessesAreForgottenAndNoOthers(t *testing.T) {
	in, long := t.TempDir(), time.Now().Add(-2*time.Hour)
	for name, served := range map[string]bool{prefix + "dead": false, prefix + "served": true, prefix + "new": false, "other": false} {
		dir := filepath.Join(in, name)
		err := os.MkdirAll(filepath.Join(dir, "data"), 0o700)
		if served {
			err = errors.Join(err, os.WriteFile(filepath.Join(dir, "data", "postmaster.pid"), nil, 0o600))
		}
		if name != prefix+"new" {
			err = errors.Join(err, os.Chtimes(dir, long, long))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	forget(in)
	var left []string
	entries, err := os.ReadDir(in)
	for _, e := range entries {
		left = append(left, e.Name())
	}
	if want := []string{prefix + "new", prefix + "served", "other"}; err != nil || !slices.Equal(left, want) {
		t.Errorf("left are %q, %v", left, err)
	}
}
