package models

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/planetlab/monitor/pcucontrol"
)

var update = flag.Bool("update", false, "write the table of models in docs/pcu.md anew")

const pageFile = "../../docs/pcu.md"

// between is what is in the page between two marks.
func between(t *testing.T, text, begin, end string) (before, inside, after string) {
	t.Helper()
	before, rest, ok1 := strings.Cut(text, begin)
	inside, after, ok2 := strings.Cut(rest, end)
	if !ok1 || !ok2 {
		t.Fatalf("%s has no %q, or no %q after it", pageFile, begin, end)
	}
	return before + begin, inside, end + after
}

func readPage(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(pageFile)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestThePageListsTheModels(t *testing.T) {
	var b strings.Builder
	b.WriteString("\n| model | what it is | transports | can |\n|---|---|---|---|\n")
	for _, m := range Builtin().Models() {
		var ways []string
		for _, tr := range m.Transports {
			ways = append(ways, fmt.Sprintf("%s %d", tr.Name, tr.Port))
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", m.Name, m.About, strings.Join(ways, ", "),
			strings.Join(m.Capabilities, ", "))
	}
	before, is, after := between(t, readPage(t), "-update` -->", "<!-- end of models -->")
	if *update {
		if err := os.WriteFile(pageFile, []byte(before+b.String()+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if is != b.String() {
		t.Errorf("the models in %s are others: go test ./pcucontrol/models -run Page -update", pageFile)
	}
}

func TestThePageExplainsEveryKindOfError(t *testing.T) {
	page := readPage(t)
	for _, k := range []pcucontrol.Kind{pcucontrol.Auth, pcucontrol.NoOutlet, pcucontrol.Busy, pcucontrol.Refused,
		pcucontrol.Timeout, pcucontrol.Unreachable, pcucontrol.Unexpected, pcucontrol.Ambiguous,
		pcucontrol.UnknownModel, pcucontrol.Unsupported} {
		if !strings.Contains(page, "| "+string(k)+" |") {
			t.Errorf("%s does not explain %q", pageFile, k)
		}
	}
}
