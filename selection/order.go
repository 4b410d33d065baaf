package selection

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// SortKey is a field by which rows are put in order.
type SortKey struct {
	Field   string
	Reverse bool
}

// Named are the names today of fields that somebody asks for. One entry of a map is named with a dot: facts.kernel.
func (t *Table[T]) Named(fields []string) ([]string, error) {
	var names []string
	for _, name := range fields {
		f, err := t.named(name)
		if err != nil {
			return nil, err
		}
		names = append(names, f)
	}
	return names, nil
}

func (t *Table[T]) named(name string) (string, error) {
	name = strings.TrimSpace(name)
	if of, _, dotted := strings.Cut(name, "."); dotted {
		if f, err := t.Lookup(of); err == nil && f.Type == Map {
			return name, nil
		}
	}
	f, err := t.Lookup(name)
	return f.Name, err
}

// Order reads the fields by which rows are to be sorted; -FIELD is the other way round.
func (t *Table[T]) Order(fields []string) ([]SortKey, error) {
	var keys []SortKey
	for _, name := range fields {
		name, reverse := strings.CutPrefix(strings.TrimSpace(name), "-")
		field, err := t.named(name)
		if err != nil {
			return nil, err
		}
		keys = append(keys, SortKey{field, reverse})
	}
	return keys, nil
}

// Cell is what a row answers for a field, or for one entry of a field that is a map.
func (t *Table[T]) Cell(row *T, field string, now time.Time) any {
	if name, key, dotted := strings.Cut(field, "."); dotted {
		if m, is := t.Value(row, name, now).(map[string]any); is {
			return m[key]
		}
	}
	return t.Value(row, field, now)
}

// Sort puts rows in order, and leaves those that are alike as they were. What is not known is last, whichever way
// round.
func (t *Table[T]) Sort(rows []*T, by []SortKey, now time.Time) {
	if len(by) == 0 {
		return
	}
	values := make([][]any, len(rows))
	order := make([]int, len(rows))
	for i := range rows {
		order[i], values[i] = i, make([]any, len(by))
		for k, key := range by {
			values[i][k] = t.Cell(rows[i], key.Field, now)
		}
	}
	slices.SortStableFunc(order, func(x, y int) int {
		for k, key := range by {
			if c := key.compare(values[x][k], values[y][k]); c != 0 {
				return c
			}
		}
		return 0
	})
	was := slices.Clone(rows)
	for i, from := range order {
		rows[i] = was[from]
	}
}

func (k SortKey) compare(x, y any) int {
	switch {
	case x == nil && y == nil:
		return 0
	case x == nil:
		return 1
	case y == nil:
		return -1
	}
	c := cmp.Compare(rank(x), rank(y))
	if c == 0 {
		c = compare(x, y)
	}
	if k.Reverse {
		return -c
	}
	return c
}

// rank is where values of a type stand where entries of a map are not all of one type: numbers before texts.
func rank(value any) int {
	switch value.(type) {
	case int, float64, time.Time, time.Duration:
		return 0
	case bool:
		return 1
	case string:
		return 2
	}
	return 3
}

// compare compares values of one rank.
func compare(x, y any) int {
	switch a := x.(type) {
	case int:
		if b, is := y.(int); is {
			return cmp.Compare(a, b)
		}
	case float64:
		if b, is := y.(float64); is {
			return cmp.Compare(a, b)
		}
	case time.Time:
		if b, is := y.(time.Time); is {
			return a.Compare(b)
		}
	case time.Duration:
		if b, is := y.(time.Duration); is {
			return cmp.Compare(a, b)
		}
	}
	return strings.Compare(fmt.Sprint(x), fmt.Sprint(y))
}
