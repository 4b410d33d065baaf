package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

func TestTheCommittedDashboardIsTheGeneratedOne(t *testing.T) {
	file := filepath.Join(t.TempDir(), "monitor.json")
	if err := write(file); err != nil {
		t.Fatal(err)
	}
	made, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	committed, err := os.ReadFile("../../packaging/grafana/monitor.json")
	if err != nil || !bytes.Equal(made, committed) {
		t.Errorf("run `make docs` (%v)", err)
	}
}
