package selection

import (
	"fmt"
	"slices"
	"strings"
)

// Request is what somebody asks for: rows that any of Select selects or whose names stand in any of the files Hosts, that all
// of In select, and that none of NotIn selects. Without any Select and Hosts it starts from all rows.
type Request struct {
	Select, In, NotIn []string
	Hosts             []string // as Select, each a file of names
}

// Empty reports whether nothing was asked for, which is every row for a list and nothing for an act.
func (r Request) Empty() bool { return len(r.Select)+len(r.Hosts)+len(r.In)+len(r.NotIn) == 0 }

// Set is a request that is ready to be asked.
type Set[T any] struct {
	table       *Table[T]
	any, all    []*Selection[T]
	none        []*Selection[T]
	askedForAll bool
}

// NewSet compiles a request.
func NewSet[T any](table *Table[T], r Request, o Options) (*Set[T], error) {
	s := &Set[T]{table: table, askedForAll: r.Empty()}
	for _, part := range []struct {
		flag  string
		texts []string
		to    *[]*Selection[T]
	}{{"--select", r.Select, &s.any}, {"--in", r.In, &s.all}, {"--not-in", r.NotIn, &s.none}} {
		for _, text := range part.texts {
			one, err := Compile(table, text, o)
			if err != nil {
				return nil, fmt.Errorf("%s %w", part.flag, err)
			}
			*part.to = append(*part.to, one)
		}
	}
	for _, path := range r.Hosts {
		one, err := compileHosts(table, path, o)
		if err != nil {
			return nil, fmt.Errorf("--hosts %w", err)
		}
		s.any = append(s.any, one)
	}
	return s, nil
}

// Uses reports whether any expression looks at a field.
func (s *Set[T]) Uses(field string) bool {
	return slices.ContainsFunc(s.every(), func(x *Selection[T]) bool { return x.Uses(field) })
}

func (s *Set[T]) every() []*Selection[T] { return slices.Concat(s.any, s.all, s.none) }

// Pick are the rows that are selected, in their order. The rows given must be all that there are, since a name that is
// none of theirs is an error. No row is ErrNothing, unless nothing was asked for.
func (s *Set[T]) Pick(rows []T) ([]T, error) {
	if err := s.checkNames(rows); err != nil {
		return nil, err
	}
	var picked []T
	for i := range rows {
		is, err := s.Match(&rows[i])
		if err != nil {
			return nil, err
		}
		if is {
			picked = append(picked, rows[i])
		}
	}
	if len(picked) == 0 && !s.askedForAll {
		return nil, fmt.Errorf(
			"%w of %d %s: see with --explain-select NAME why one is not in it",
			ErrNothing,
			len(rows),
			s.table.Kind,
		)
	}
	return picked, nil
}

// Match reports whether one row is selected.
func (s *Set[T]) Match(row *T) (bool, error) {
	in := len(s.any) == 0
	for _, x := range s.any {
		is, err := x.Match(row)
		if err != nil {
			return false, err
		}
		if in = in || is; is {
			break
		}
	}
	for _, x := range s.all {
		if !in {
			return false, nil
		}
		is, err := x.Match(row)
		if err != nil {
			return false, err
		}
		in = is
	}
	for _, x := range s.none {
		if !in {
			return false, nil
		}
		out, err := x.Excludes(row)
		if err != nil {
			return false, err
		}
		in = !out
	}
	return in, nil
}

// Excludes reports whether a row is to be left out: also one of which that is not known, since to leave one out is the
// side on which to err.
func (s *Selection[T]) Excludes(row *T) (bool, error) {
	answer, err := s.Ask(row)
	return answer != No && err == nil, err
}

// checkNames refuses names that are nobody's or several's.
func (s *Set[T]) checkNames(rows []T) error {
	var asked []askedName
	for _, x := range s.every() {
		asked = append(asked, x.names...)
	}
	if len(asked) == 0 {
		return nil
	}
	index := map[string][]string{} // full names by name and by short name
	for i := range rows {
		full := strings.ToLower(s.table.Name(&rows[i]))
		index[full] = append(index[full], full)
		if s := short(full); s != full {
			index[s] = append(index[s], full)
		}
	}
	for _, a := range asked {
		if err := s.checkName(a.name, index); err != nil {
			if a.place != "" {
				err = fmt.Errorf("%s%w", a.place, err)
			}
			return err
		}
	}
	return nil
}

func (s *Set[T]) checkName(name string, index map[string][]string) error {
	switch who := index[name]; {
	case len(who) == 1:
		return nil
	case len(who) > 1:
		return fmt.Errorf("%w: %s is ambiguous, it may be %s: write the whole name, or %s.* for all of them",
			ErrNoSuchName, name, strings.Join(who[:min(3, len(who))], ", "), name)
	case s.table.known.fields[name] != nil:
		return fmt.Errorf("%w: %s is a field: write %s=VALUE", ErrNoSuchName, name, name)
	}
	hint := ""
	if near := nearest(name, keysOf(index)); near != "" {
		hint = ": did you mean " + near + "?"
	}
	return fmt.Errorf("%w among %s: %s%s", ErrNoSuchName, s.table.Kind, shortened(name), hint)
}
