package version

import (
	"runtime/debug"
	"testing"
)

func TestABuildIsDescribed(t *testing.T) {
	for _, c := range []struct {
		name, want string
		info       debug.BuildInfo
	}{
		{"of a release", "v1.2.0, commit 5b687bb, of 2026-11-26T13:40:00Z, go1.26.8", debug.BuildInfo{
			GoVersion: "go1.26.8", Main: debug.Module{Version: "v1.2.0"},
			Settings: []debug.BuildSetting{{Key: "vcs.revision", Value: "5b687bb"}, {Key: "vcs.time", Value: "2026-11-26T13:40:00Z"}, {Key: "vcs.modified", Value: "false"}},
		}},
		{"of a changed tree", "v0.0.0-1, commit 5b687bb with changes", debug.BuildInfo{
			Main:     debug.Module{Version: "v0.0.0-1"},
			Settings: []debug.BuildSetting{{Key: "vcs.revision", Value: "5b687bb"}, {Key: "vcs.modified", Value: "true"}},
		}},
		{"of no clone", "(devel), commit unknown", debug.BuildInfo{}},
	} {
		if got := describe(&c.info); got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

func TestARunningProgramKnowsItsVersion(t *testing.T) {
	if s := String(); s == "" || s == describe(&debug.BuildInfo{}) {
		t.Errorf("it says %q", s)
	}
}
