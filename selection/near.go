package selection

import (
	"fmt"
	"slices"
	"strings"
)

// field finds a field by its name or an old one.
func (s *shape) field(name string) (*Field, error) {
	if f := s.fields[name]; f != nil {
		return f, nil
	}
	for _, o := range s.old {
		if o.old == name {
			return s.fields[o.now], nil
		}
	}
	return nil, s.noField(name)
}

func (s *shape) noField(name string) error {
	if near := nearest(name, s.order); near != "" {
		return fmt.Errorf(
			"%s have no field %q: did you mean %s? `monitor query %s --list-fields` lists all",
			s.kind,
			shortened(name),
			near,
			s.kind,
		)
	}
	return fmt.Errorf(
		"%s have no field %q: `monitor query %s --list-fields` lists all",
		s.kind,
		shortened(name),
		s.kind,
	)
}

func (f *Field) noValue(value string) error {
	return fmt.Errorf(
		"%s is never %q: did you mean %s? It is one of %s",
		f.Name,
		shortened(value),
		nearest(value, f.Values),
		strings.Join(f.Values, ", "),
	)
}

// nearest is the word of a list that is most like another one, and always one of them unless the list is empty.
func nearest(word string, list []string) string {
	best, least := "", 0
	for _, w := range list {
		d := distance(word, w)
		if _, last, dotted := strings.Cut(w, "."); dotted {
			d = min(d, distance(word, last)+1)
		}
		if best == "" || d < least {
			best, least = w, d
		}
	}
	return best
}

// distance counts the letters that must be added, taken out, replaced or swapped with their neighbour to make b of a.
// Words far longer than any name are not compared letter by letter.
func distance(from, to string) int {
	a, b := []rune(strings.ToLower(from)), []rune(strings.ToLower(to))
	if len(a) > 100 || len(b) > 100 {
		return max(len(a), len(b))
	}
	var before []int
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range a {
		next := make([]int, len(b)+1)
		next[0] = i + 1
		for j := range b {
			change := row[j]
			if a[i] != b[j] {
				change++
			}
			next[j+1] = min(change, row[j+1]+1, next[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				next[j+1] = min(next[j+1], before[j-1]+1)
			}
		}
		before, row = row, next
	}
	return row[len(b)]
}

// has reports whether a field's values are few and this is one of them.
func (f *Field) has(value string) bool { return len(f.Values) == 0 || slices.Contains(f.Values, value) }
