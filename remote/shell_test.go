package remote

import (
	"bytes"
	"os"
	"os/exec"
	"testing"
)

// What is to run is handed to sh unharmed, whatever the login shell of a node is.
func TestEveryLoginShellHandsTheScriptOn(t *testing.T) {
	script := "x='a  b'\necho \"$x\" 100% '!history' \\n `echo back` ~ {a,b} *nothing*\n# a comment's quote\necho \"grüße \\$HOME\"\nexit 3\n"
	want, _ := exec.Command("/bin/sh", "-c", script).Output()
	if len(want) == 0 {
		t.Fatal("sh says nothing")
	}
	for _, name := range []string{"sh", "bash", "tcsh"} {
		t.Run(name, func(t *testing.T) {
			path, err := exec.LookPath(name)
			if err != nil && os.Getenv("MONITOR_CI") != "" {
				t.Fatalf("%s is missing: .ci/packages installs it", name)
			}
			if err != nil {
				t.Skipf("%s is not installed", name)
			}
			var out bytes.Buffer
			cmd := exec.Command(path, "-c", shell(script))
			cmd.Stdout = &out
			err = cmd.Run()
			if cmd.ProcessState.ExitCode() != 3 || !bytes.Equal(out.Bytes(), want) {
				t.Errorf("it says %q and ends with %v, want %q", out.Bytes(), err, want)
			}
		})
	}
}
