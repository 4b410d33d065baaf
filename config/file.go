package config

import (
	"errors"
	"fmt"
	"reflect"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// readYAML applies a configuration file. It walks the syntax tree by itself instead of decoding, because every
// complaint needs its line, and because a YAML decoder turns the password 0123 into 83 and 2.5 nodes into 2.
func (l *loader) readYAML(name string, data []byte) {
	file, err := parser.ParseBytes(data, 0)
	if err != nil {
		l.fail(syntaxError(name, err))
		return
	}
	if len(file.Docs) > 1 {
		l.fail(fmt.Errorf("%s: holds %d YAML documents, want one", name, len(file.Docs)))
		return
	}
	if len(file.Docs) == 1 && file.Docs[0].Body != nil {
		l.readMapping(name, file.Docs[0].Body, "", reflect.ValueOf(l.cfg).Elem())
	}
}

// syntaxError keeps the place and the complaint of the YAML parser, but not the source line, which may hold a secret.
func syntaxError(name string, err error) error {
	var y yaml.Error
	if errors.As(err, &y) && y.GetToken() != nil {
		p := y.GetToken().Position
		return fmt.Errorf("%s:%d:%d: %s", name, p.Line, p.Column, y.GetMessage())
	}
	return fmt.Errorf("%s: not YAML", name)
}

func (l *loader) readMapping(name string, node ast.Node, prefix string, v reflect.Value) {
	entries, ok := mapping(node)
	if !ok {
		l.fail(at(name, node, prefix, errors.New("want a section of key: value lines")))
		return
	}
	for _, entry := range entries {
		key := entry.Key.GetToken().Value
		path := key
		if prefix != "" {
			path = prefix + "." + key
		}
		field, ok := fieldByKey(v, key)
		if !ok {
			l.fail(at(name, entry.Key, path, errors.New("unknown key")))
			continue
		}
		if field.Kind() == reflect.Struct {
			l.readMapping(name, entry.Value, path, field)
			continue
		}
		if _, empty := entry.Value.(*ast.NullNode); empty {
			continue
		}
		place := position(name, entry.Key)
		setting := leaf{path, field}
		if err := setting.setNode(entry.Value); err != nil {
			l.fail(at(name, entry.Value, path, err))
		} else {
			l.placed(setting, place)
		}
	}
}

// setNode sets the leaf from the syntax tree: a scalar, a list or a map of scalars.
func (l leaf) setNode(node ast.Node) error {
	v := l.value
	switch v.Kind() {
	case reflect.Slice:
		seq, ok := node.(*ast.SequenceNode)
		if !ok {
			return errors.New("want a list")
		}
		list := reflect.MakeSlice(v.Type(), 0, len(seq.Values))
		for _, n := range seq.Values {
			item := reflect.New(v.Type().Elem()).Elem()
			if err := l.setFromScalarNode(item, n); err != nil {
				return err
			}
			list = reflect.Append(list, item)
		}
		v.Set(list)
		return nil
	case reflect.Map:
		entries, ok := mapping(node)
		if !ok {
			return errors.New("want key: value entries")
		}
		for _, entry := range entries {
			text, ok := scalar(entry.Value)
			if !ok {
				return errNotScalar
			}
			if err := l.setEntry(entry.Key.GetToken().Value, text); err != nil {
				return err
			}
		}
		return nil
	}
	return l.setFromScalarNode(v, node)
}

var errNotScalar = errors.New("want one plain value, without anchor, alias or tag")

func (l leaf) setFromScalarNode(v reflect.Value, node ast.Node) error {
	text, ok := scalar(node)
	if !ok {
		return errNotScalar
	}
	return l.setScalar(v, text)
}

// scalar returns the text of a scalar as it was written, without quotes.
func scalar(node ast.Node) (string, bool) {
	switch n := node.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return n.GetToken().Value, true
	}
	return "", false
}

// mapping returns the entries of a section. An empty section has none.
func mapping(node ast.Node) ([]*ast.MappingValueNode, bool) {
	switch n := node.(type) {
	case *ast.MappingNode:
		return n.Values, true
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}, true
	case *ast.NullNode, *ast.CommentGroupNode:
		return nil, true
	}
	return nil, false
}

func fieldByKey(v reflect.Value, key string) (reflect.Value, bool) {
	for i := range v.NumField() {
		if tag := v.Type().Field(i).Tag.Get("yaml"); tag == key && tag != "-" {
			return v.Field(i), true
		}
	}
	return reflect.Value{}, false
}

func position(name string, node ast.Node) string {
	if t := node.GetToken(); t != nil {
		return fmt.Sprintf("%s:%d", name, t.Position.Line)
	}
	return name
}

func at(name string, node ast.Node, path string, err error) error {
	if path == "" {
		return fmt.Errorf("%s: %w", position(name, node), err)
	}
	return fmt.Errorf("%s: %s: %w", position(name, node), path, err)
}
