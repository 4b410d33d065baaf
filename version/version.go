// Package version says which build of Monitor a program is, from what the Go tool writes into every binary.
package version

import (
	"runtime/debug"
	"strings"
)

// String is the module's version, the commit and its date, as far as the build knows them: a build outside a clone knows no
// commit, and "with changes" is one of a tree that differs from its commit.
func String() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "of unknown version: it was built without modules"
	}
	return describe(info)
}

// Build is a build as programs ask for it.
type Build struct{ Version, Revision, Go string }

// Read is this program's build; what is not known is empty.
func Read() Build {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return Build{}
	}
	b := Build{Version: info.Main.Version, Go: info.GoVersion}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			b.Revision = s.Value
		}
	}
	return b
}

func describe(info *debug.BuildInfo) string {
	vcs := map[string]string{}
	for _, s := range info.Settings {
		vcs[s.Key] = s.Value
	}
	parts := []string{"(devel)"}
	if info.Main.Version != "" {
		parts[0] = info.Main.Version
	}
	commit := vcs["vcs.revision"]
	if commit == "" {
		commit = "unknown"
	}
	if vcs["vcs.modified"] == "true" {
		commit += " with changes"
	}
	parts = append(parts, "commit "+commit)
	if date := vcs["vcs.time"]; date != "" {
		parts = append(parts, "of "+date)
	}
	if info.GoVersion != "" {
		parts = append(parts, info.GoVersion)
	}
	return strings.Join(parts, ", ")
}
