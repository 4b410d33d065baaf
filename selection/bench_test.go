package selection_test

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/planetlab/monitor/selection"
)

func tenThousand() []selection.Node {
	r := rand.New(rand.NewPCG(1, 2))
	rows := make([]selection.Node, 10_000)
	for i := range rows {
		rows[i] = randomNode(r, i)
	}
	return rows
}

// expressions are of the kinds that people write.
func expressions() map[string]string {
	return map[string]string{
		"short": "site=a,state!=boot",
		"cel":   `status in ["down", "failboot"] && site.penalty < 2 && (last_contact_age > duration("48h") || "nodedown" in issues)`,
		"names": "node1*,state=down,!node12",
		"old":   "state=BOOT&&site=a||model=HP",
	}
}

func pickAll(t testing.TB, text string, rows []selection.Node) int {
	t.Helper()
	set, err := selection.NewSet(
		selection.Nodes(types()),
		selection.Request{Select: []string{strings.ReplaceAll(text, "node12", "node12."+short(rows[12]))}},
		options(),
	)
	if err != nil {
		t.Fatal(err)
	}
	picked, err := set.Pick(rows)
	if err != nil {
		t.Fatal(err)
	}
	return len(picked)
}

func short(n selection.Node) string {
	_, domain, _ := strings.Cut(n.Name, ".")
	return domain
}

// BenchmarkSelection compares with the old way in the same run: nodequery put a row's values into a dictionary of texts
// and compiled each regular expression anew for each node.
func BenchmarkSelection(b *testing.B) {
	rows := tenThousand()
	for name, text := range expressions() {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				pickAll(b, text, rows)
			}
			ours := b.Elapsed() / time.Duration(b.N)
			start := time.Now()
			theirs := oldWay(rows, "state=BOOT&&site=a||model=HP")
			took := time.Since(start)
			if name == "old" && theirs != pickAll(b, text, rows) {
				b.Fatalf("the old way selects %d", theirs)
			}
			b.ReportMetric(float64(ours)/float64(took), "of-old-way")
			b.ReportMetric(float64(ours)/float64(100*time.Millisecond), "of-100ms")
			if ours > 100*time.Millisecond {
				b.Errorf("%s takes %s of 10,000 nodes", text, ours)
			}
		})
	}
}

func oldWay(rows []selection.Node, text string) int {
	count := 0
	for _, n := range rows {
		values := map[string]string{
			"state":    n.State,
			"site":     n.Site,
			"model":    n.Model,
			"status":   n.Status,
			"hostname": n.Name,
			"penalty":  fmt.Sprint(n.SitePenalty),
		}
		for _, alternative := range strings.Split(text, "||") {
			all := true
			for _, term := range strings.Split(alternative, "&&") {
				key, pattern, _ := strings.Cut(term, "=")
				all = all && regexp.MustCompile("(?i)^(?:"+pattern+")").MatchString(values[key])
			}
			if all {
				count++
				break
			}
		}
	}
	return count
}
