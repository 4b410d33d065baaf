package bootman

import (
	"bytes"
	_ "embed"
	"encoding/csv"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

//go:embed data/bootman-patterns.csv
var bootPatterns []byte

//go:embed data/bootman-sequences.csv
var seedSequences []byte

// pattern is a step of the boot and the line by which it is known.
type pattern struct {
	step string
	re   *regexp.Regexp
}

// maxSteps ends the name of a log that repeats itself without end. The longest sequence that is known has 32 steps.
const maxSteps = 200

// Namer names boot logs. It is safe for use by many goroutines.
type Namer struct{ patterns []pattern }

// NewNamer reads the patterns that are built in.
func NewNamer() (*Namer, error) {
	patterns, err := readPatterns("bootman-patterns.csv", bootPatterns)
	return &Namer{patterns}, err
}

// Sequence names a BootManager's log: the steps in it in the order they occur, joined by dashes, with done at the end. At each
// place the earliest match wins, and of those that begin at the same place the one listed first. A log that goes on past
// maxSteps ends in more-done.
func (n *Namer) Sequence(log []byte) string {
	next := make([][]int, len(n.patterns)) // where each pattern matches next; nil: nowhere any more
	for i, p := range n.patterns {
		next[i] = find(p.re, log, 0)
	}
	var steps []string
	for {
		first := -1
		for i, at := range next {
			if at != nil && (first < 0 || at[0] < next[first][0]) {
				first = i
			}
		}
		if first < 0 {
			return strings.Join(append(steps, "done"), "-")
		}
		if len(steps) == maxSteps {
			return strings.Join(append(steps, "more", "done"), "-")
		}
		steps = append(steps, n.patterns[first].step)
		end := next[first][1]
		for i, at := range next {
			if at != nil && at[0] < end {
				next[i] = find(n.patterns[i].re, log, end)
			}
		}
	}
}

// find is the first match at or behind an offset.
func find(re *regexp.Regexp, text []byte, from int) []int {
	at := re.FindIndex(text[from:])
	if at == nil {
		return nil
	}
	return []int{at[0] + from, at[1] + from}
}

// Steps of a sequence, without its end.
func stepsOf(sequence string) []string {
	return strings.Split(strings.TrimSuffix(sequence, "-done"), "-")
}

// NoSpace says whether a sequence tells of a full disk.
func NoSpace(sequence string) bool { return slices.Contains(stepsOf(sequence), "nospace") }

// Known is a sequence and what it calls for.
type Known struct {
	Sequence string
	Action   Action
}

// Seed is the table of known sequences as it is shipped, ordered by action.
func Seed() ([]Known, error) {
	rows, err := readTable("bootman-sequences.csv", seedSequences, "sequence", "action")
	if err != nil {
		return nil, err
	}
	seed := make([]Known, len(rows))
	for i, r := range rows {
		seed[i] = Known{r[0], Action(r[1])}
		if err := seed[i].Check(); err != nil {
			return nil, fmt.Errorf("bootman-sequences.csv: row %d: %w", i+2, err)
		}
	}
	return seed, nil
}

var sequenceForm = regexp.MustCompile(`^([a-zA-Z0-9]+-)*done$`)

// Check says what is wrong with a row of the table, or nil.
func (k Known) Check() error {
	if !sequenceForm.MatchString(k.Sequence) || len(k.Sequence) > 4000 {
		return fmt.Errorf("%q is no sequence: it is made of steps joined by dashes and ends in done, as bminit-cfg-auth-authfail-debug-done", k.Sequence)
	}
	if !slices.Contains(Actions(), k.Action) {
		return fmt.Errorf("no action is called %q: use one of %s", k.Action, join(Actions()))
	}
	return nil
}

func join(actions []Action) string {
	names := make([]string, len(actions))
	for i, a := range actions {
		names[i] = string(a)
	}
	return strings.Join(names, ", ")
}

func readPatterns(name string, text []byte) ([]pattern, error) {
	rows, err := readTable(name, text, "step", "pattern")
	if err != nil {
		return nil, err
	}
	patterns := make([]pattern, len(rows))
	for i, r := range rows {
		re, err := regexp.Compile(r[1])
		if err != nil {
			return nil, fmt.Errorf("%s: step %s: %w", name, r[0], err)
		}
		patterns[i] = pattern{r[0], re}
	}
	return patterns, nil
}

// readTable reads a file of two columns and drops its heading.
func readTable(name string, text []byte, heading ...string) ([][]string, error) {
	r := csv.NewReader(bytes.NewReader(text))
	r.FieldsPerRecord = len(heading)
	rows, err := r.ReadAll()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if len(rows) == 0 || !slices.Equal(rows[0], heading) {
		return nil, fmt.Errorf("%s: the first line must be %s", name, strings.Join(heading, ","))
	}
	return rows[1:], nil
}
