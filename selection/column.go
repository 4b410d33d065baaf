package selection

import (
	"strings"
	"time"
)

// The makers of columns. A text without letters and a time that is zero are not known.

func text[T any](name, about string, of func(*T) string, old ...string) Column[T] {
	return Column[T]{
		Field{Name: name, Type: Text, About: about, Old: old},
		func(row *T, _ time.Time) any { return orUnknown(of(row)) },
	}
}

// oneOf is a text of few values, which are told in lower case.
func oneOf[T any](name, about string, values []string, of func(*T) string, old ...string) Column[T] {
	return Column[T]{Field{Name: name, Type: Text, About: about, Values: values, Old: old},
		func(row *T, _ time.Time) any { return orUnknown(strings.ToLower(of(row))) }}
}

func orUnknown(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func number[T any](name, unit, about string, of func(*T) int, old ...string) Column[T] {
	return Column[T]{
		Field{Name: name, Type: Number, Unit: unit, About: about, Old: old},
		func(row *T, _ time.Time) any { return of(row) },
	}
}

func yes[T any](name, about string, of func(*T) bool, old ...string) Column[T] {
	return Column[T]{
		Field{Name: name, Type: Bool, About: about, Old: old},
		func(row *T, _ time.Time) any { return of(row) },
	}
}

func moment[T any](name, about string, of func(*T) time.Time, old ...string) Column[T] {
	return Column[T]{Field{Name: name, Type: Time, Unit: "UTC", About: about, Old: old}, func(row *T, _ time.Time) any {
		if at := of(row); !at.IsZero() {
			return at
		}
		return nil
	}}
}

// age is how long ago something was.
func age[T any](name, about string, of func(*T) time.Time, old ...string) Column[T] {
	return Column[T]{
		Field{Name: name, Type: Duration, Unit: "such as 36h or 2d", About: about, Old: old},
		func(row *T, now time.Time) any {
			if at := of(row); !at.IsZero() {
				return now.Sub(at)
			}
			return nil
		},
	}
}

// ahead is whether a day still lies ahead.
func ahead[T any](name, about string, of func(*T) time.Time) Column[T] {
	return Column[T]{
		Field{Name: name, Type: Bool, About: about},
		func(row *T, now time.Time) any { return of(row).After(now) },
	}
}

func words[T any](name, about string, values []string, of func(*T) []string) Column[T] {
	return Column[T]{
		Field{Name: name, Type: List, Unit: "of text", About: about, Values: values},
		func(row *T, _ time.Time) any {
			if list := of(row); list != nil {
				return list
			}
			return []string{}
		},
	}
}

func facts[T any](name, about string, of func(*T) map[string]any) Column[T] {
	return Column[T]{Field{Name: name, Type: Map, Unit: "by name", About: about}, func(row *T, _ time.Time) any {
		if m := of(row); m != nil {
			return m
		}
		return map[string]any{}
	}}
}
