package config

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Setting is one key with its value, written as for --set.
type Setting struct{ Key, Value string }

// Edit sets keys in the text of a configuration file, and leaves all else as it is: comments, order, other keys. Where
// every key has its value already the text comes back unchanged. A secret is refused: it belongs into a file of its own.
func Edit(text []byte, set []Setting) ([]byte, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return nil, fmt.Errorf("the configuration cannot be read: %w", err)
	}
	if doc.Kind == 0 {
		doc = yaml.Node{Kind: yaml.DocumentNode, Content: []*yaml.Node{{Kind: yaml.MappingNode}}}
	}
	root := doc.Content[0]
	if root.Kind == yaml.ScalarNode && root.Value == "" { // nothing but comments
		*root = yaml.Node{Kind: yaml.MappingNode, HeadComment: root.HeadComment}
	}
	if root.Kind != yaml.MappingNode {
		return nil, errors.New("the configuration is no list of sections")
	}
	changed := false
	for _, s := range set {
		value, err := valueOf(s)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.Key, err)
		}
		changed = put(root, strings.Split(s.Key, "."), value) || changed
	}
	if !changed {
		return text, nil
	}
	var out bytes.Buffer
	e := yaml.NewEncoder(&out)
	e.SetIndent(2)
	if err := e.Encode(&doc); err != nil {
		return nil, err
	}
	return out.Bytes(), e.Close()
}

// valueOf is a setting's value as its kind is written in the file.
func valueOf(s Setting) (*yaml.Node, error) {
	cfg := Default()
	for _, l := range leaves("", reflect.ValueOf(&cfg).Elem()) {
		if l.path != s.Key {
			continue
		}
		if _, secret := l.value.Interface().(Secret); secret {
			return nil, errors.New("a secret stands in a file of its own: name that as " + s.Key + "_file")
		}
		if err := l.setText(s.Value); err != nil {
			return nil, err
		}
		switch l.value.Kind() {
		case reflect.Slice:
			n := &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
			for _, part := range fields(s.Value) {
				n.Content = append(n.Content, plainNode(part))
			}
			return n, nil
		case reflect.Map:
			n := &yaml.Node{Kind: yaml.MappingNode, Style: yaml.FlowStyle}
			for _, part := range fields(s.Value) {
				name, value, _ := strings.Cut(part, "=")
				n.Content = append(n.Content, plainNode(name), plainNode(value))
			}
			return n, nil
		case reflect.String:
			n := plainNode(s.Value)
			n.Tag = "!!str" // a name of digits stays a name
			return n, nil
		}
		return plainNode(s.Value), nil
	}
	return nil, errors.New("unknown key")
}

func plainNode(text string) *yaml.Node {
	n := &yaml.Node{}
	n.SetString(text)
	n.Tag = ""
	return n
}

// put sets a value below a mapping, and reports whether it was another.
func put(in *yaml.Node, path []string, value *yaml.Node) bool {
	for i := 0; i+1 < len(in.Content); i += 2 {
		if in.Content[i].Value != path[0] {
			continue
		}
		at := in.Content[i+1]
		if len(path) > 1 {
			if at.Kind != yaml.MappingNode {
				*at = yaml.Node{Kind: yaml.MappingNode}
			}
			return put(at, path[1:], value)
		}
		if same(at, value) {
			return false
		}
		value.LineComment, value.FootComment = at.LineComment, at.FootComment
		*at = *value
		return true
	}
	if len(path) > 1 {
		section := &yaml.Node{Kind: yaml.MappingNode}
		in.Content = append(in.Content, plainNode(path[0]), section)
		return put(section, path[1:], value)
	}
	in.Content = append(in.Content, plainNode(path[0]), value)
	return true
}

// same reports whether two nodes say the same.
func same(a, b *yaml.Node) bool {
	if a.Kind != b.Kind || a.Value != b.Value || len(a.Content) != len(b.Content) {
		return false
	}
	for i := range a.Content {
		if !same(a.Content[i], b.Content[i]) {
			return false
		}
	}
	return true
}

// Lookup reads one key of the text of a configuration file as it stands there; empty: it is not set. A list is told with
// commas.
func Lookup(text []byte, key string) (string, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return "", fmt.Errorf("the configuration cannot be read: %w", err)
	}
	if doc.Kind == 0 {
		return "", nil
	}
	at := doc.Content[0]
	for _, part := range strings.Split(key, ".") {
		var next *yaml.Node
		for i := 0; i+1 < len(at.Content); i += 2 {
			if at.Kind == yaml.MappingNode && at.Content[i].Value == part {
				next = at.Content[i+1]
			}
		}
		if next == nil {
			return "", nil
		}
		at = next
	}
	if at.Kind == yaml.SequenceNode {
		var parts []string
		for _, n := range at.Content {
			parts = append(parts, n.Value)
		}
		return strings.Join(parts, ","), nil
	}
	return at.Value, nil
}
