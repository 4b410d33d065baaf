package selection

import (
	"fmt"
	"slices"
	"strings"

	"github.com/planetlab/monitor/spelling"
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
	near := nearest(name, s.order)
	if near != "" {
		near = "did you mean " + near + "? "
	}
	return fmt.Errorf("%s have no field %q: %s`%s --list-fields` lists all", s.kind, shortened(name), near, s.lister)
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
		d := spelling.Distance(word, w)
		if _, last, dotted := strings.Cut(w, "."); dotted {
			d = min(d, spelling.Distance(word, last)+1)
		}
		if best == "" || d < least {
			best, least = w, d
		}
	}
	return best
}

// has reports whether a field's values are few and this is one of them.
func (f *Field) has(value string) bool { return len(f.Values) == 0 || slices.Contains(f.Values, value) }
