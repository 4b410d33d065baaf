package script

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"github.com/planetlab/monitor/pcucontrol"
)

// placed is a mistake in a model file, and the keys and indices that lead to it.
type placed struct {
	path []any
	err  error
}

func (p *placed) Error() string {
	var words []string
	for _, step := range p.path {
		switch step := step.(type) {
		case int:
			words[len(words)-1] += fmt.Sprintf(" %d", step+1)
		case string:
			words = append(words, step)
		}
	}
	return strings.Join(append(words, p.err.Error()), ": ")
}

func (p *placed) Unwrap() error { return p.err }

func mistake(err error, path ...any) error { return &placed{path, err} }

// below is a mistake in a part of what this path leads to.
func below(err error, path ...any) error {
	var p *placed
	if errors.As(err, &p) {
		return &placed{append(slices.Clone(path), p.path...), p.err}
	}
	return &placed{path, err}
}

// modelLines finds where in a file something is.
type modelLines struct{ root ast.Node }

func linesOf(text []byte) modelLines {
	file, err := parser.ParseBytes(text, 0)
	if err != nil || len(file.Docs) == 0 {
		return modelLines{}
	}
	return modelLines{file.Docs[0].Body}
}

// of is the line of a mistake in a model: of its own keys or, where it has none of that name, of its family's.
func (l modelLines) of(model string, err error) int {
	var p *placed
	own := l.find(l.find(l.root, "models"), model)
	if !errors.As(err, &p) || len(p.path) == 0 {
		return lineOf(own)
	}
	node := l.find(own, p.path[0])
	if node == nil {
		node = l.find(l.root, p.path[0])
	}
	line := lineOf(node)
	for _, step := range p.path[1:] {
		if node = l.find(node, step); node == nil {
			break
		}
		line = lineOf(node)
	}
	if line == 0 {
		return lineOf(own)
	}
	return line
}

// find is a part of a node; nil if there is none. References are followed.
func (l modelLines) find(node ast.Node, step any) ast.Node {
	for {
		switch n := node.(type) {
		case *ast.AnchorNode:
			node = n.Value
			continue
		case *ast.AliasNode:
			node = l.anchored(n.Value.String())
			continue
		case *ast.MappingValueNode:
			if n.Key.String() == fmt.Sprint(step) {
				return n
			}
			if key, isKey := step.(string); !isKey || key == "" {
				node = n.Value
				continue
			}
			switch n.Value.(type) {
			case *ast.MappingNode, *ast.MappingValueNode, *ast.AnchorNode, *ast.AliasNode:
				node = n.Value
				continue
			}
			return nil
		case *ast.MappingNode:
			for _, v := range n.Values {
				if unquoted(v.Key.String()) == fmt.Sprint(step) {
					return v
				}
			}
			return nil
		case *ast.SequenceNode:
			if i, ok := step.(int); ok && i < len(n.Values) {
				return n.Values[i]
			}
			return nil
		}
		return nil
	}
}

func unquoted(key string) string { return strings.Trim(key, `"'`) }

// anchored is what an anchor names.
func (l modelLines) anchored(name string) ast.Node {
	var found ast.Node
	ast.Walk(visitor(func(n ast.Node) {
		if a, ok := n.(*ast.AnchorNode); ok && found == nil && a.Name.String() == name {
			found = a.Value
		}
	}), l.root)
	return found
}

type visitor func(ast.Node)

// Visit looks at a node and at what is in it.
func (v visitor) Visit(n ast.Node) ast.Visitor {
	v(n)
	return v
}

// key is the line of the first key of a name in a model or, if it has none, in the file.
func (l modelLines) key(model, name string) int {
	for _, in := range []ast.Node{l.find(l.find(l.root, "models"), model), l.root} {
		line := 0
		if in == nil {
			continue
		}
		ast.Walk(visitor(func(n ast.Node) {
			if v, ok := n.(*ast.MappingValueNode); ok && line == 0 && unquoted(v.Key.String()) == name {
				line = lineOf(v)
			}
		}), in)
		if line > 0 {
			return line
		}
	}
	return 0
}

func lineOf(n ast.Node) int {
	if v, ok := n.(*ast.MappingValueNode); ok {
		n = v.Key
	}
	if n == nil || n.GetToken() == nil {
		return 0
	}
	return n.GetToken().Position.Line
}

var unknownKey = regexp.MustCompile(`unknown field "([^"]*)"`)

// told is a mistake with its file, its line and its model.
func (l modelLines) told(file, model string, err error) error {
	line := l.of(model, err)
	if m := unknownKey.FindStringSubmatch(err.Error()); m != nil {
		line, err = l.key(model, m[1]), fmt.Errorf("there is no key %q", m[1])
	}
	if line > 0 {
		file = fmt.Sprintf("%s:%d", file, line)
	}
	return fmt.Errorf("%s: %s: %w", file, model, err)
}

// named are the placeholders of a text: what stands in braces and is none of a pattern's \p{..}.
var named = regexp.MustCompile(`(\\.)?\{([a-z]+)\}`)

// checkText finds placeholders that nothing fills.
func (c Conversation) checkText(text string) error {
	for _, m := range named.FindAllStringSubmatch(text, -1) {
		_, known := c.Vars[m[2]]
		if m[1] == "" && !known && !slices.Contains([]string{"user", "password", "outlet", "index", "prompt"}, m[2]) {
			return fmt.Errorf(
				"%q has {%s}, which is none of {user}, {password}, {outlet}, {index}, {prompt} and the vars", text,
				m[2])
		}
	}
	return nil
}

// checkPattern finds what is no pattern.
func (c Conversation) checkPattern(text string) error {
	if err := c.checkText(text); err != nil {
		return err
	}
	_, err := c.pattern(text, pcucontrol.Target{Outlet: 1})
	return err
}

// checkMeanings finds what would never be heard, or always.
func (c Conversation) checkMeanings(list []meaning) error {
	for i, e := range list {
		err := c.checkPattern(e.Hear)
		switch {
		case e.Hear == "":
			return mistake(errors.New("hear is missing: what the device says"), "errors", i)
		case err != nil:
			return mistake(err, "errors", i, "hear")
		case e.Kind == "":
			return mistake(errors.New("kind is missing: what it means"), "errors", i)
		}
		if err := checkKind(e.Kind); err != nil {
			return mistake(err, "errors", i, "kind")
		}
	}
	return nil
}

func checkKind(k pcucontrol.Kind) error {
	if !slices.Contains(
		[]pcucontrol.Kind{pcucontrol.Auth, pcucontrol.NoOutlet, pcucontrol.Busy, pcucontrol.Refused, pcucontrol.Timeout,
			pcucontrol.Unexpected},
		k,
	) {
		return fmt.Errorf("%q is no kind of error that a device can mean", k)
	}
	return nil
}

func (c Conversation) checkAnswers(list []answer) error {
	for i, a := range list {
		if a.Hear == "" {
			return mistake(errors.New("hear is missing: what the device asks"), "answers", i)
		}
		for key, text := range map[string]string{"say": a.Say, "press": a.Press} {
			if err := c.checkText(text); err != nil {
				return mistake(err, "answers", i, key)
			}
		}
		if err := c.checkPattern(a.Hear); err != nil {
			return mistake(err, "answers", i, "hear")
		}
		if a.Again != "" {
			if err := checkKind(a.Again); err != nil {
				return mistake(err, "answers", i, "again")
			}
		}
	}
	return nil
}

func (c Conversation) checkStep(s step) error {
	for i, line := range s.Say {
		if err := c.checkText(line); err != nil {
			return mistake(err, "say", i)
		}
	}
	if err := c.checkText(s.Press); err != nil {
		return mistake(err, "press")
	}
	for key, text := range map[string]string{"hear": s.Hear, "read": s.Read, "expect": s.Expect, "each": s.Each} {
		if err := c.checkPattern(text); err != nil {
			return mistake(err, key)
		}
	}
	for _, name := range s.Only {
		if !slices.Contains([]string{"telnet", "ssh", "tcp"}, name) {
			return mistake(fmt.Errorf("%q is not telnet, ssh or tcp", name), "only")
		}
	}
	if err := c.checkAnswers(s.Answers); err != nil {
		return err
	}
	if err := c.checkMeanings(s.Errors); err != nil {
		return err
	}
	return c.checkGroups(s)
}

// checkGroups finds patterns that tell no state.
func (c Conversation) checkGroups(s step) error {
	if s.Read != "" && strings.Count(s.Read, "(")-strings.Count(s.Read, `\(`)-strings.Count(s.Read, "(?") != 1 {
		return mistake(fmt.Errorf("%q needs one group, around the state", s.Read), "read")
	}
	if s.Each == "" {
		return nil
	}
	p, err := c.pattern(s.Each, pcucontrol.Target{Outlet: 1})
	if err != nil {
		return mistake(err, "each")
	}
	if p.SubexpIndex("outlet") < 0 || p.SubexpIndex("state") < 0 {
		return mistake(fmt.Errorf("%q needs groups named outlet and state", s.Each), "each")
	}
	return nil
}
