// Package sources reads what others know of nodes: Prometheus, a table over HTTP, a command or a file. A source that is
// away, or that speaks nonsense, costs its own facts and nothing else: no node is down because of it.
package sources

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"sync"
	"time"

	"github.com/planetlab/monitor/clean"
	"github.com/planetlab/monitor/probe"
)

// Fact is one thing that a source says of a node.
type Fact struct {
	Node  string // its host name or IP address
	Name  string
	Value any       // a text, a float64 or a bool
	At    time.Time // when it was so
}

// Source answers facts about nodes.
type Source interface {
	// Name is what people and the store call it.
	Name() string
	// Facts are all that it knows now, and a note on what of its answer could not be read.
	Facts(ctx context.Context) ([]Fact, string, error)
}

// Bounds of what one source may say.
const (
	mostText  = 16 << 20 // bytes of an answer
	mostFacts = 500_000
	MostNames = 20   // of different facts
	longest   = 1000 // bytes of a value
)

// ProblemOf says why a fact may not have a name; empty: it may. Those of looks are theirs: nobody else says which kernel
// a node runs.
func ProblemOf(name string) string { return probe.Fact{Name: name, Command: "true"}.Problem() }

// Reading is what became of one try to read a source.
type Reading struct {
	Source string
	At     time.Time
	Facts  []Fact
	Note   string // what was left out of an answer that was taken
	Err    error  // the source is away; there are no facts then
}

// Read reads all sources at once, each within a time. Facts from before fresh ago are old, and left out.
func Read(ctx context.Context, list []Source, timeout, fresh time.Duration) []Reading {
	readings := make([]Reading, len(list))
	var wg sync.WaitGroup
	for i, s := range list {
		wg.Go(func() {
			within, cancel := context.WithTimeout(ctx, timeout)
			defer cancel()
			r := Reading{Source: s.Name(), At: time.Now()}
			var facts []Fact
			facts, r.Note, r.Err = s.Facts(within)
			if r.Err = clean.Err(r.Err); r.Err == nil {
				r.take(facts, fresh)
			}
			readings[i] = r
		})
	}
	wg.Wait()
	return readings
}

// take keeps the facts that can be used. Of one that comes twice and differs, nobody knows which is true.
func (r *Reading) take(facts []Fact, fresh time.Duration) {
	type key struct{ node, name string }
	at, differ := map[key]int{}, map[key]bool{}
	names := map[string]bool{}
	var odd, old int
	var example string
	for _, f := range facts {
		f.Node = strings.ToLower(strings.TrimSuffix(clean.Line(f.Node), "."))
		value, is := tidy(f.Value)
		if f.Value = value; !is || f.Node == "" || ProblemOf(f.Name) != "" || !names[f.Name] && len(names) == MostNames ||
			len(r.Facts) == mostFacts {
			odd++
			continue
		}
		if f.At.IsZero() || f.At.After(r.At) { // another's clock may be ahead
			f.At = r.At
		}
		if r.At.Sub(f.At) > fresh {
			old++
			continue
		}
		names[f.Name] = true
		k := key{f.Node, f.Name}
		i, twice := at[k]
		if !twice {
			at[k] = len(r.Facts)
			r.Facts = append(r.Facts, f)
		} else if r.Facts[i].Value != f.Value {
			differ[k] = true
			example = f.Name + " of " + f.Node
		}
	}
	notes := []string{r.Note}
	if len(differ) > 0 {
		kept := r.Facts[:0]
		for _, f := range r.Facts {
			if !differ[key{f.Node, f.Name}] {
				kept = append(kept, f)
			}
		}
		r.Facts = kept
		notes = append(notes, fmt.Sprintf("%d facts came twice and differ, as %s", len(differ), example))
	}
	if odd > 0 {
		notes = append(notes, fmt.Sprintf("%d facts are not of a form that is kept", odd))
	}
	if old > 0 {
		notes = append(notes, fmt.Sprintf("%d facts are older than %s", old, fresh))
	}
	r.Note = clean.Line(strings.TrimPrefix(strings.Join(notes, "; "), "; "))
}

// tidy is a value as it is kept.
func tidy(value any) (any, bool) {
	switch v := value.(type) {
	case bool:
		return v, true
	case float64:
		return v, !math.IsNaN(v) && !math.IsInf(v, 0)
	case string:
		v = clean.Bounded(strings.TrimSpace(v), longest)
		return v, v != ""
	}
	return nil, false
}

// parse makes a number of a text that JSON would write so: 40 and 0.5, and not 0x10 or 007.
func parse(text string) any {
	text = strings.TrimSpace(text)
	var number float64
	if json.Unmarshal([]byte(text), &number) == nil && text != "null" {
		return number
	}
	return text
}

// lines calls each for all lines that are not empty.
func lines(text []byte, each func(line []byte)) {
	for line := range bytes.Lines(text) {
		if line = bytes.TrimSpace(line); len(line) > 0 {
			each(line)
		}
	}
}
