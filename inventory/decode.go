package inventory

import (
	"errors"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"github.com/planetlab/monitor/spelling"
)

// decode reads a YAML text into a fleet. It walks the syntax tree by itself, as the configuration does, so that every
// mistake has its line, and no two of them hide each other.
func decode(m *mistakes, text []byte) *Fleet {
	f := &Fleet{from: m.file}
	file, err := parser.ParseBytes(text, 0)
	if err != nil {
		line, what := 0, "it is not YAML"
		var y yaml.Error
		if errors.As(err, &y) && y.GetToken() != nil {
			line, what = y.GetToken().Position.Line, y.GetMessage()
		}
		m.add(line, "", "mend the YAML of this line or of the one above it", "%s", what)
		return f
	}
	if len(file.Docs) != 1 || file.Docs[0].Body == nil {
		m.add(0, "", "write `sites:` and a list of sites", "it does not hold one YAML document")
		return f
	}
	d := decoder{mistakes: m}
	d.value(file.Docs[0].Body, reflect.ValueOf(f).Elem(), "")
	return f
}

type decoder struct{ *mistakes }

func lineOf(n ast.Node) int {
	if t := n.GetToken(); t != nil {
		return t.Position.Line
	}
	return 0
}

// value reads one node of the tree into v. At is what it belongs to, as people know it.
func (d decoder) value(n ast.Node, v reflect.Value, at string) {
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		v = v.Elem()
	}
	if date, is := v.Addr().Interface().(*Date); is {
		d.date(n, date, at)
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		d.mapping(n, v, at)
	case reflect.Slice:
		list, is := n.(*ast.SequenceNode)
		if !is {
			d.add(lineOf(n), at, "write each on a line of its own, after a -", "a list is wanted here")
			return
		}
		for _, one := range list.Values {
			item := reflect.New(v.Type().Elem()).Elem()
			d.value(one, item, at)
			v.Set(reflect.Append(v, item))
		}
	default:
		d.scalar(n, v, at)
	}
}

func (d decoder) mapping(n ast.Node, v reflect.Value, at string) {
	if line := v.FieldByName("Line"); line.IsValid() {
		line.SetInt(int64(lineOf(n)))
	}
	if text, is := scalarText(n); is {
		if alone, is := loneField(v); is { // as in `bmc: 10.0.2.1`
			alone.SetString(text)
			return
		}
	}
	var entries []*ast.MappingValueNode
	switch n := n.(type) {
	case *ast.MappingNode:
		entries = n.Values
	case *ast.MappingValueNode:
		entries = []*ast.MappingValueNode{n}
	default:
		do := "write key: value lines, one below the other"
		if v.Type() == reflect.TypeFor[Secret]() {
			do = "write {env: VARIABLE} or {file: PATH}: the password itself must not stand here"
		}
		d.add(lineOf(n), at, do, "a section is wanted here, not one value")
		return
	}
	if name := nameIn(entries); name != "" {
		at = strings.ToLower(v.Type().Name()) + " " + name
	}
	seen := map[string]bool{}
	for _, e := range entries {
		key := e.Key.GetToken().Value
		field, known := fieldByKey(v, key)
		switch {
		case !known:
			d.add(lineOf(e.Key), at, "it may be one of "+strings.Join(keys(v.Type()), ", "), "there is no key %q here",
				key)
		case seen[key]:
			d.add(lineOf(e.Key), at, "leave one of them out", "%s is there twice", key)
		default:
			seen[key] = true
			if _, empty := e.Value.(*ast.NullNode); !empty {
				d.value(e.Value, field, at)
			}
		}
	}
	if line := v.FieldByName("Line"); line.IsValid() && len(entries) > 0 {
		line.SetInt(int64(lineOf(entries[0].Key)))
	}
}

// nameIn is what a section calls itself, for those who look for it.
func nameIn(entries []*ast.MappingValueNode) string {
	for _, e := range entries {
		if key := e.Key.GetToken().Value; key == "name" || key == "email" {
			text, _ := scalarText(e.Value)
			return text
		}
	}
	return ""
}

func scalarText(n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return n.GetToken().Value, true
	}
	return "", false
}

func (d decoder) scalar(n ast.Node, v reflect.Value, at string) {
	text, is := scalarText(n)
	if !is {
		d.add(lineOf(n), at, "write it out, without anchor, alias or tag", "one plain value is wanted here")
		return
	}
	if v.Kind() == reflect.String {
		v.SetString(text)
		return
	}
	number, err := strconv.Atoi(text)
	if err != nil {
		d.add(lineOf(n), at, "write digits alone", "%q is no whole number", text)
		return
	}
	v.SetInt(int64(number))
}

func (d decoder) date(n ast.Node, date *Date, at string) {
	text, _ := scalarText(n)
	t, err := time.Parse(time.DateOnly, text)
	if err != nil {
		d.add(lineOf(n), at, "write it as 2026-12-31", "%q is no day", text)
		return
	}
	date.Time = t
}

func fieldByKey(v reflect.Value, key string) (reflect.Value, bool) {
	for i := range v.NumField() {
		if tag := v.Type().Field(i).Tag.Get("yaml"); tag == key && tag != "" && tag != "-" {
			return v.Field(i), true
		}
	}
	return reflect.Value{}, false
}

// loneField is the field that a value without a key sets.
func loneField(v reflect.Value) (reflect.Value, bool) {
	for i := range v.NumField() {
		if v.Type().Field(i).Tag.Get("alone") != "" {
			return v.Field(i), true
		}
	}
	return reflect.Value{}, false
}

func keys(t reflect.Type) []string {
	var list []string
	for i := range t.NumField() {
		if tag := t.Field(i).Tag.Get("yaml"); tag != "" && tag != "-" {
			list = append(list, tag)
		}
	}
	return list
}

// nearest is the word of a list that is most like another; none: nothing is near.
func nearest(word string, list []string) string {
	best, least := "", len(word)/2+1
	for _, w := range list {
		if n := spelling.Distance(word, w); n < least {
			best, least = w, n
		}
	}
	return best
}
