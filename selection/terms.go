package selection

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// writeKey writes KEY OP VALUE in CEL, by the type of the field.
func (w *writer) writeKey(key, op, value string) (string, error) {
	if name, rest, dotted := strings.Cut(key, "."); dotted {
		if f := w.table.fields[name]; f != nil && f.Type == Map {
			return writeFact(name, rest, op, value)
		}
	}
	f, err := w.table.field(key)
	if err != nil {
		return "", err
	}
	if quoted(value) {
		value = value[1 : len(value)-1]
	}
	switch op {
	case "~", "!~":
		celText, err := f.matches("", value, "")
		return not(op) + celText, err
	case "=", "!=":
		if value == "" {
			return not(flipped(op)) + fnKnown + "(" + f.Name + ")", nil
		}
		return f.writeEqual(op, value)
	}
	return f.writeOrder(op, value)
}

func not(op string) string {
	if op[0] == '!' {
		return "!"
	}
	return ""
}

func flipped(op string) string {
	if op == "=" {
		return "!="
	}
	return "="
}

// writeEqual writes KEY=A|B and KEY!=A|B.
func (f *Field) writeEqual(op, value string) (string, error) {
	var parts []string
	for _, v := range strings.Split(value, "|") {
		part, err := f.writeValue(strings.TrimSpace(v))
		if err != nil {
			return "", err
		}
		parts = append(parts, part)
	}
	celText := strings.Join(parts, " || ")
	switch {
	case op == "!=" && len(parts) == 1 && strings.Count(celText, " == ") == 1 && f.Type != List:
		return strings.Replace(celText, " == ", " != ", 1), nil
	case op == "!=":
		return "!(" + celText + ")", nil
	case len(parts) > 1:
		return "(" + celText + ")", nil
	}
	return celText, nil
}

func (f *Field) writeValue(v string) (string, error) {
	switch f.Type {
	case Bool:
		yes, known := truth(v)
		if !known {
			return "", fmt.Errorf("%s is yes or no, not %q", f.Name, shortened(v))
		}
		return f.Name + " == " + strconv.FormatBool(yes), nil
	case Number, Time, Duration:
		celText, err := f.literal(v)
		return f.Name + " == " + celText, err
	case Map:
		return "", fmt.Errorf("%s has many values: name one, as %s.NAME=VALUE", f.Name, f.Name)
	}
	return f.writeText(v)
}

func (f *Field) writeText(v string) (string, error) {
	if len(f.Values) > 0 && !globbed(v) {
		if v = strings.ToLower(v); !f.has(v) {
			return "", f.noValue(v)
		}
		if f.Type == List {
			return strconv.Quote(v) + " in " + f.Name, nil
		}
		return f.Name + " == " + strconv.Quote(v), nil
	}
	if f.Type == List {
		return fmt.Sprintf("%s.exists(x, %s(x, %s))", f.Name, fnLike, strconv.Quote(v)), nil
	}
	return fmt.Sprintf("%s(%s, %s)", fnLike, f.Name, strconv.Quote(v)), nil
}

func truth(v string) (yes, known bool) {
	switch strings.ToLower(v) {
	case "true", "yes", "1":
		return true, true
	case "false", "no", "0":
		return false, true
	}
	return false, false
}

// writeOrder writes a comparison by size.
func (f *Field) writeOrder(op, value string) (string, error) {
	switch f.Type {
	case Number, Time, Duration:
		celText, err := f.literal(value)
		return f.Name + " " + op + " " + celText, err
	}
	return "", fmt.Errorf("%s is a %s and has no order: compare it by = or ~", f.Name, f.Type)
}

// literal reads a value as operators write it.
func (f *Field) literal(v string) (string, error) {
	switch f.Type {
	case Number:
		n, err := strconv.Atoi(v)
		if err != nil {
			return "", fmt.Errorf("%s is a number, not %q", f.Name, shortened(v))
		}
		return strconv.Itoa(n), nil
	case Duration:
		d, err := parseDuration(v)
		if err != nil {
			return "", fmt.Errorf("%s is a duration such as 36h or 2d, not %q", f.Name, shortened(v))
		}
		return fmt.Sprintf("duration(%q)", d), nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04", time.DateOnly} {
		if at, err := time.Parse(layout, v); err == nil {
			return fmt.Sprintf("timestamp(%q)", at.UTC().Format(time.RFC3339)), nil
		}
	}
	return "", fmt.Errorf("%s is a time such as 2026-12-24 or 2026-12-24T15:00:00Z, not %q", f.Name, shortened(v))
}

// parseDuration reads Go's durations, with days before them: 2d, 1d12h.
func parseDuration(v string) (time.Duration, error) {
	days, rest, found := strings.Cut(v, "d")
	if !found {
		return time.ParseDuration(v)
	}
	n, err := strconv.ParseFloat(days, 64)
	if err != nil || n < 0 || n > 36500 {
		return 0, fmt.Errorf("no number of days: %q", days)
	}
	d := time.Duration(n * 24 * float64(time.Hour))
	if rest == "" {
		return d, nil
	}
	more, err := time.ParseDuration(rest)
	return d + more, err
}

// writeFact compares a value of a map, whose type is known only when it is read.
func writeFact(name, key, op, value string) (string, error) {
	if quoted(value) {
		value = value[1 : len(value)-1]
	}
	at := fmt.Sprintf("%s[%s]", name, strconv.Quote(key))
	switch op {
	case "~", "!~":
		return fmt.Sprintf("%sstring(%s).matches(%s)", not(op), at, strconv.Quote(value)), nil
	case "=", "!=":
		if value == "" {
			return fmt.Sprintf("%s%s(%s)", not(flipped(op)), fnKnown, at), nil
		}
		return fmt.Sprintf("%s%s(string(%s), %s)", not(op), fnLike, at, strconv.Quote(value)), nil
	}
	n, err := strconv.ParseFloat(value, 64)
	if err != nil {
		return "", fmt.Errorf("%s.%s %s needs a number, not %q", name, key, op, shortened(value))
	}
	return fmt.Sprintf("double(%s) %s %s", at, op, strconv.FormatFloat(n, 'f', -1, 64)), nil
}

func keysOf[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
