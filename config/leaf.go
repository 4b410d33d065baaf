package config

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// leaf is one setting: its dotted path in the file and the field that holds it.
type leaf struct {
	path  string
	value reflect.Value
}

// env is the environment variable that sets the leaf.
func (l leaf) env() string {
	return "MONITOR_" + strings.ToUpper(strings.ReplaceAll(l.path, ".", "_"))
}

// leaves lists every setting below v in the order in which the structs declare them.
func leaves(prefix string, v reflect.Value) []leaf {
	var all []leaf
	for i := range v.NumField() {
		path := v.Type().Field(i).Tag.Get("yaml")
		if path == "-" {
			continue
		}
		if prefix != "" {
			path = prefix + "." + path
		}
		if field := v.Field(i); field.Kind() == reflect.Struct {
			all = append(all, leaves(path, field)...)
		} else {
			all = append(all, leaf{path, field})
		}
	}
	return all
}

// setText sets the leaf from text as the environment and flags write it: a list is separated by commas, a map is
// name=value pairs separated by commas.
func (l leaf) setText(text string) error {
	v := l.value
	switch v.Kind() {
	case reflect.Slice:
		list := reflect.MakeSlice(v.Type(), 0, 0)
		for _, part := range fields(text) {
			item := reflect.New(v.Type().Elem()).Elem()
			if err := l.setScalar(item, part); err != nil {
				return err
			}
			list = reflect.Append(list, item)
		}
		v.Set(list)
		return nil
	case reflect.Map:
		for _, part := range fields(text) {
			name, value, ok := strings.Cut(part, "=")
			if !ok {
				return fmt.Errorf("%q is not name=value", part)
			}
			if err := l.setEntry(name, value); err != nil {
				return err
			}
		}
		return nil
	}
	return l.setScalar(v, text)
}

func fields(text string) []string {
	parts := strings.Split(text, ",")
	for i, part := range parts {
		parts[i] = strings.TrimSpace(part)
	}
	return slices.DeleteFunc(parts, func(s string) bool { return s == "" })
}

// setEntry adds one entry to the leaf's map, beside the entries it already has.
func (l leaf) setEntry(name, text string) error {
	v := l.value
	key := reflect.New(v.Type().Key()).Elem()
	if err := l.setScalar(key, name); err != nil {
		return err
	}
	value := reflect.New(v.Type().Elem()).Elem()
	if err := l.setScalar(value, text); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if v.IsNil() {
		v.Set(reflect.MakeMap(v.Type()))
	}
	v.SetMapIndex(key, value)
	return nil
}

// setScalar reads one value, the leaf's own or an item of it. The type of v decides how text is read, so that a password of
// digits stays the digits that were written.
func (l leaf) setScalar(v reflect.Value, text string) error {
	if _, ok := v.Interface().(time.Duration); ok {
		parse := parseRealTime
		if countsPolicyDays(l.path) {
			parse = ParsePolicyTime
		}
		d, err := parse(text)
		if err != nil {
			return err
		}
		v.SetInt(int64(d))
		return nil
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Int:
		n, err := strconv.Atoi(text)
		if err != nil {
			return fmt.Errorf("%q is not a whole number", text)
		}
		v.SetInt(int64(n))
	case reflect.Float64:
		f, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return fmt.Errorf("%q is not a number", text)
		}
		v.SetFloat(f)
	case reflect.Bool:
		if text != "true" && text != "false" {
			return fmt.Errorf("%q is neither true nor false", text)
		}
		v.SetBool(text == "true")
	default:
		return fmt.Errorf("a %s cannot be set", v.Type())
	}
	return nil
}
