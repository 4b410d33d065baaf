package selection

import (
	"fmt"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
)

// findings are what an expression refers to.
type findings struct {
	fields map[string]bool
	names  []string // of rows
	lists  map[string]bool
	// entries are those of maps that it looks at, as facts.rack.
	entries map[string]bool
	// asksKnown: it asks whether something is known, or of a map as a whole.
	asksKnown bool
	err       error // the first thing that no row has
}

func newExaminer(s *shape) *examiner {
	return &examiner{
		findings: findings{fields: map[string]bool{}, lists: map[string]bool{}, entries: map[string]bool{}},
		shape:    s,
		local:    map[string]bool{},
		done:     map[int64]bool{},
	}
}

// examine goes through an expression before CEL checks it, since CEL knows neither what is near a misspelt word nor
// which values a field may have.
func examine(parsed *cel.Ast, s *shape) *findings {
	e := newExaminer(s)
	root := parsed.NativeRep().Expr()
	ast.PreOrderVisit(root, ast.NewExprVisitor(func(x ast.Expr) {
		if x.Kind() == ast.ComprehensionKind {
			c := x.AsComprehension()
			e.local[c.IterVar()], e.local[c.IterVar2()], e.local[c.AccuVar()] = true, true, true
		}
	}))
	ast.PreOrderVisit(root, ast.NewExprVisitor(e.visit))
	return &e.findings
}

type examiner struct {
	findings
	shape *shape
	local map[string]bool // variables of exists, all and their like
	done  map[int64]bool  // parts of a dotted name that was seen as a whole
}

func (e *examiner) visit(x ast.Expr) {
	switch x.Kind() {
	case ast.SelectKind, ast.IdentKind:
		e.asksKnown = e.asksKnown || x.Kind() == ast.SelectKind && x.AsSelect().IsTestOnly()
		if !e.done[x.ID()] {
			e.name(x)
		}
	case ast.CallKind:
		e.call(x.AsCall())
	}
}

// name finds the field of an identifier or of a dotted name, where the longest one that is a field counts, as in CEL.
func (e *examiner) name(x ast.Expr) {
	var tail []ast.Expr // from the whole to its first word
	words := []string{}
	for at := x; ; at = at.AsSelect().Operand() {
		tail = append(tail, at)
		if at.Kind() == ast.IdentKind {
			words = append([]string{at.AsIdent()}, words...)
			break
		}
		if at.Kind() != ast.SelectKind {
			return // a field of something computed
		}
		words = append([]string{at.AsSelect().FieldName()}, words...)
	}
	for _, part := range tail {
		e.done[part.ID()] = true
	}
	first := strings.TrimPrefix(words[0], ".")
	if e.local[first] || first == "now" || e.shape.fields[first] == nil && isTypeName(first) {
		return
	}
	for n := len(words); n > 0; n-- {
		name := strings.Join(words[:n], ".")
		if f := e.shape.fields[name]; f != nil && (n == len(words) || f.Type == Map) {
			e.fields[name] = true
			if f.Type == Map && n == len(words) {
				e.asksKnown = true
			} else if f.Type == Map {
				e.entries[strings.Join(words[:n+1], ".")] = true
			}
			return
		}
	}
	e.wrong(e.shape.noField(strings.Join(words, ".")))
}

func isTypeName(word string) bool {
	switch word {
	case "int", "uint", "double", "bool", "string", "bytes", "list", "map", "type", "null_type", "google":
		return true
	}
	return false
}

func (e *examiner) wrong(err error) {
	if e.err == nil {
		e.err = err
	}
}

// call checks what is compared with fields of few values, and gathers the names that are asked for.
func (e *examiner) call(c ast.CallExpr) {
	args := c.Args()
	e.asksKnown = e.asksKnown || c.FunctionName() == fnKnown
	if len(args) != 2 {
		return
	}
	switch c.FunctionName() {
	case operators.Index:
		e.entry(args[0], args[1])
	case operators.Equals, operators.NotEquals:
		e.values(args[0], args[1])
		e.values(args[1], args[0])
	case operators.In:
		e.values(args[0], args[1])
		e.values(args[1], args[0])
	case fnNamed:
		if text, is := literalText(args[1]); is && !globbed(text) {
			e.names = append(e.names, strings.ToLower(text))
		}
	case fnListed:
		if text, is := literalText(args[1]); is {
			e.lists[text] = true
		}
	}
}

// entry notes facts["rack"], which is facts.rack.
func (e *examiner) entry(of, key ast.Expr) {
	name := dotted(of)
	if f, text := e.shape.fields[name], ""; f != nil && f.Type == Map {
		if text, _ = literalText(key); text == "" {
			return
		}
		e.done[of.ID()], e.fields[name], e.entries[name+"."+text] = true, true, true
	}
}

// values checks the literals that a field is compared with.
func (e *examiner) values(of, with ast.Expr) {
	f := e.shape.fields[dotted(of)]
	if f == nil || len(f.Values) == 0 {
		return
	}
	literals := []ast.Expr{with}
	if with.Kind() == ast.ListKind {
		literals = with.AsList().Elements()
	}
	for _, l := range literals {
		if text, is := literalText(l); is && text != "" && !f.has(text) {
			e.wrong(f.noValue(text))
		}
	}
}

func dotted(x ast.Expr) string {
	switch x.Kind() {
	case ast.IdentKind:
		return x.AsIdent()
	case ast.SelectKind:
		return fmt.Sprintf("%s.%s", dotted(x.AsSelect().Operand()), x.AsSelect().FieldName())
	}
	return ""
}

func literalText(x ast.Expr) (string, bool) {
	if x.Kind() != ast.LiteralKind {
		return "", false
	}
	text, is := x.AsLiteral().(types.String)
	return string(text), is
}
