package config

import (
	"bufio"
	"bytes"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func readSample(t *testing.T) (Config, map[string]string) {
	t.Helper()
	var cfg Config
	cfg.Probe.PortMap = map[int]int{}
	l := &loader{cfg: &cfg, where: map[string]string{}}
	l.begin()
	l.readYAML("sample", Sample)
	for _, err := range l.errs {
		t.Error(err)
	}
	return cfg, l.where
}

func TestTheSampleHoldsTheDefaults(t *testing.T) {
	cfg, _ := readSample(t)
	if diff := cmp.Diff(Default(), cfg); diff != "" {
		t.Errorf("the sample file (+) and Default (-) differ:\n%s", diff)
	}
}

func TestTheSampleDocumentsEveryKey(t *testing.T) {
	cfg, where := readSample(t)
	for _, leaf := range leaves("", reflect.ValueOf(&cfg).Elem()) {
		if where[leaf.path] == "" {
			t.Errorf("%s is not in the sample", leaf.path)
		}
	}
}

// A key may share the comment of the key right above it, as a password shares it with its file.
func TestEveryKeyOfTheSampleIsExplained(t *testing.T) {
	explained := false
	for lines := bufio.NewScanner(bytes.NewReader(Sample)); lines.Scan(); {
		line := strings.TrimSpace(lines.Text())
		switch {
		case line == "":
			explained = false
		case strings.HasPrefix(line, "#"):
			explained = true
		case !explained:
			t.Errorf("no comment above %q", line)
		}
		if strings.HasSuffix(line, ":") && line != "notice_every:" {
			explained = false
		}
	}
}
