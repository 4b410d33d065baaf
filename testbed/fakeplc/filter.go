package fakeplc

import (
	"cmp"
	"path"
	"slices"
	"strings"

	"github.com/planetlab/monitor/plc/xmlrpc"
)

// query is a checked filter: it says of a row whether it is meant.
type query func(Row) bool

func everything(Row) bool { return true }

// parseFilter checks a filter as PLC does. Nil and {} mean everything, [] nothing.
func parseFilter(t table, filter any) (query, *xmlrpc.Fault) {
	switch f := filter.(type) {
	case nil:
		return everything, nil
	case Row:
		var all []query
		for k, v := range f {
			q, bad := parseField(t, k, v)
			if bad != nil {
				return nil, bad
			}
			all = append(all, q)
		}
		return func(r Row) bool { return !slices.ContainsFunc(all, func(q query) bool { return !q(r) }) }, nil
	case []any:
		for _, v := range f {
			if bad := named(t, v); bad != nil {
				return nil, bad
			}
		}
		return func(r Row) bool { return slices.ContainsFunc(f, func(v any) bool { return is(t, r, v) }) }, nil
	}
	return nil, fault(102, "Invalid argument: expected array or struct, got %T", filter)
}

// parseField checks one field of a filter, with its modifiers.
func parseField(t table, key string, v any) (query, *xmlrpc.Fault) {
	name := strings.TrimLeft(key, "~<>[]&|")
	modifiers := key[:len(key)-len(name)]
	c, known := t.columns[name]
	switch {
	case strings.HasPrefix(name, "-"):
		return nil, fault(109, "the testbed's PLC does not sort or clip")
	case !known:
		return nil, fault(102, "Invalid filter field '%s'", name)
	}
	test, bad := parseTest(c, name, modifiers, v)
	if bad != nil || !strings.Contains(modifiers, "~") {
		return test, bad
	}
	return func(r Row) bool { return !test(r) }, nil
}

func parseTest(c column, name, modifiers string, v any) (query, *xmlrpc.Fault) {
	list, many := v.([]any)
	if c.kind == integers || c.kind == texts {
		if !strings.ContainsAny(modifiers, "&|") {
			// Postgres cannot compare an array with a value.
			return nil, fault(106, "PLCDBError: operator does not exist: %s", name)
		}
		if !many {
			list = []any{v}
		}
		if !c.fits(list) {
			return nil, fault(102, "%s: wrong type", name)
		}
		return listTest(name, strings.Contains(modifiers, "&"), list), nil
	}
	if many {
		if slices.ContainsFunc(list, func(e any) bool { return !c.fits(e) }) {
			return nil, fault(102, "%s: wrong type", name)
		}
		return func(r Row) bool { return slices.Contains(list, r[name]) }, nil
	}
	if v == nil && !c.null || v != nil && !c.fits(v) {
		expected := map[kind]string{integer: "int", text: "string", boolean: "boolean"}[c.kind]
		return nil, fault(102, "%s: expected %s, got %T", name, expected, v)
	}
	if s, ok := v.(string); ok && strings.ContainsAny(s, "*%") {
		pattern := strings.NewReplacer("%", "*", "[", `\[`, "?", `\?`).Replace(s)
		return func(r Row) bool {
			value, _ := r[name].(string)
			ok, _ := path.Match(pattern, value)
			return ok
		}, nil
	}
	if order := strings.Trim(modifiers, "~"); order != "" {
		return orderTest(name, order, v), nil
	}
	return func(r Row) bool { return r[name] == v }, nil
}

func listTest(name string, all bool, want []any) query {
	return func(r Row) bool {
		have, _ := r[name].([]any)
		found := 0
		for _, v := range want {
			if slices.Contains(have, v) {
				found++
			}
		}
		return all && found == len(want) || !all && found > 0
	}
}

// orderTest compares numbers; [ and ] are PLC's "at most" and "at least".
func orderTest(name, order string, v any) query {
	limit, _ := v.(int)
	return func(r Row) bool {
		n, ok := r[name].(int)
		switch d := cmp.Compare(n, limit); order {
		case "<":
			return ok && d < 0
		case ">":
			return ok && d > 0
		case "[":
			return ok && d <= 0
		default:
			return ok && d >= 0
		}
	}
}

// named checks a value that names one row: its id, or its name if its table has names.
func named(t table, v any) *xmlrpc.Fault {
	_, id := v.(int)
	_, name := v.(string)
	if id || name && t.name != "" {
		return nil
	}
	return fault(102, "Invalid argument: expected an identifier, got %T", v)
}

// is reports whether an id or name, of the right type, is a row's. The string "3" is a name.
func is(t table, r Row, v any) bool {
	if _, id := v.(int); id {
		return r[t.id] == v
	}
	return t.name != "" && r[t.name] == v
}
