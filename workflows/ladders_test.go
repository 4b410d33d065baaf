package workflows_test

import (
	"os/exec"
	"testing"

	"github.com/planetlab/monitor/testbed/otherladders"
)

// An issue keeps the ladder with which it opened: a build in which every ladder has another order must lead the
// recorded histories through the same commands.
func TestRecordedHistoriesReplayInABuildWithOtherLadders(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles a second build")
	}
	overlay, err := otherladders.Overlay(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "go", "test", "-count=1", "-overlay", overlay, "-run",
		"^TestRecordedHistoriesReplay$", "-v", ".")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	t.Logf("%d bytes of output", len(out))
}
