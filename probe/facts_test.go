package probe_test

import (
	"context"
	"maps"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/planetlab/monitor/probe"
)

// A real shell answers the operator's own facts: what is quoted, has lines, is large, hangs or fails. None of it costs
// the look.
func TestOwnFactsAreAskedOfARealShell(t *testing.T) {
	facts := []probe.Fact{
		{Name: "quoted", Command: `echo "it's" 'a "$HOME"' | tr a-z A-Z`},
		{Name: "lines", Command: "echo one\necho two"},
		{Name: "large", Command: "yes x | tr -d '\\n'"},
		{Name: "forged", Command: `printf 'a\nkernel=forged\nend=1\n'`},
		{Name: "fails", Command: "echo oops >&2; exit 3"},
		{Name: "empty", Command: "true"},
		{Name: "hangs", Command: "sleep 60"},
		{Name: "late", Command: "echo after"},
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, "sh", "-c", probe.Script("localhost", 8*time.Second, facts...)).Output()
	if err != nil {
		t.Fatal(err)
	}
	in, whole := probe.ParseInside(string(out))
	if !whole || in.Kernel == "forged" || in.Uptime == 0 {
		t.Errorf("the look is %+v", in)
	}
	large := in.Own["large"]
	delete(in.Own, "large")
	want := map[string]string{"quoted": `IT'S A "$HOME"`, "lines": "one two", "forged": "a kernel=forged end=1", "late": "after"}
	if !maps.Equal(in.Own, want) {
		t.Errorf("the facts are %q, want %q", in.Own, want)
	}
	if len(large) != 1000 || strings.Trim(large, "x") != "" {
		t.Errorf("the large one has %d characters", len(large))
	}
}

// A node that is lost while a fact is asked was looked at all the same.
func TestANodeThatIsLostInAFactWasLookedAt(t *testing.T) {
	in, whole := probe.ParseInside("kernel=Linux a 6.1\nuptime=9\nend=1\nfact=disk 40%\nfact=Bad x\nfact=")
	if !whole || in.Uptime != 9*time.Second || !maps.Equal(in.Own, map[string]string{"disk": "40%"}) {
		t.Errorf("it reads %+v", in)
	}
}

func TestFactsThatCannotBeAreRefused(t *testing.T) {
	for name, f := range map[string]probe.Fact{
		"a name with a dash": {Name: "a-b", Command: "true"}, "no name": {Command: "true"},
		"a name that is taken": {Name: "kernel", Command: "true"}, "no command": {Name: "a", Command: " "},
		"a long command": {Name: "a", Command: strings.Repeat("x", 2001)},
	} {
		if f.Problem() == "" {
			t.Errorf("%s is taken", name)
		}
	}
	if why := (probe.Fact{Name: "packages", Command: "rpm -qa | sort | md5sum"}).Problem(); why != "" {
		t.Error(why)
	}
}
