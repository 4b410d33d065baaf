package selection

import (
	"fmt"
	"strings"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types/ref"
)

// Answer is whether an expression holds for a row.
type Answer string

// The answers.
const (
	Yes     Answer = "yes"
	No      Answer = "no"
	Unknown Answer = "unknown" // it needs what is not known of the row
)

// Reason is one expression and what became of it for a row, with its parts beneath it.
type Reason struct {
	Answer Answer   `json:"answer"`
	Of     string   `json:"of"` // --select, --in or --not-in for a whole expression, else empty
	Text   string   `json:"text"`
	Values []string `json:"values,omitempty"` // of the fields that a part looks at
	Parts  []Reason `json:"parts,omitempty"`
}

// Explanation says why a row is selected or not.
type Explanation struct {
	Name     string   `json:"name"`
	Selected bool     `json:"selected"`
	Why      []Reason `json:"why"`
}

// Explain says why a row is selected or not, expression by expression and part by part.
func (s *Set[T]) Explain(row *T) (Explanation, error) {
	in, err := s.Match(row)
	if err != nil {
		return Explanation{}, err
	}
	e := Explanation{Name: s.table.Name(row), Selected: in}
	for _, group := range []struct {
		of   string
		list []*Selection[T]
	}{{"--select", s.any}, {"--in", s.all}, {"--not-in", s.none}} {
		for _, x := range group.list {
			r, err := x.Explain(row)
			if err != nil {
				return e, err
			}
			r.Of = group.of
			e.Why = append(e.Why, r)
		}
	}
	return e, nil
}

// Explain says what becomes of an expression and its parts for a row.
func (s *Selection[T]) Explain(row *T) (Reason, error) {
	program, err := s.env.Program(s.ast, cel.CostLimit(4*mostCost), cel.EvalOptions(cel.OptExhaustiveEval))
	if err != nil {
		return Reason{}, err
	}
	out, details, err := program.Eval(activation[T]{s.table, row, s.now})
	if err != nil && !unknown(err) {
		return Reason{}, s.wrong(row, err)
	}
	x := explainer[T]{Selection: s, row: row, value: func(e ast.Expr) ref.Val {
		v, _ := details.State().Value(e.ID())
		return v
	}}
	r := x.reason(s.ast.NativeRep().Expr())
	if r.Answer = answerOf(out); unknown(err) {
		r.Answer = Unknown
	}
	return r, nil
}

type explainer[T any] struct {
	*Selection[T]
	row   *T
	value func(ast.Expr) ref.Val
}

func answerOf(v ref.Val) Answer {
	switch {
	case v == nil:
		return Unknown
	case v.Value() == true:
		return Yes
	case v.Value() == false:
		return No
	}
	return Unknown
}

// reason follows and, or and not; anything else is a part by itself.
func (x *explainer[T]) reason(e ast.Expr) Reason {
	info := x.ast.NativeRep().SourceInfo()
	text, err := cel.ExprToString(e, info)
	if err != nil {
		text = "a part of it"
	}
	r := Reason{Text: text, Answer: answerOf(x.value(e))}
	if e.Kind() == ast.CallKind {
		switch c := e.AsCall(); c.FunctionName() {
		case operators.LogicalAnd, operators.LogicalOr:
			x.flatten(c.FunctionName(), e, &r.Parts)
			return r
		case operators.LogicalNot:
			r.Parts = []Reason{x.reason(c.Args()[0])}
			return r
		}
	}
	r.Values = x.values(e)
	return r
}

// flatten lists the parts of a chain of the same operator side by side.
func (x *explainer[T]) flatten(operator string, e ast.Expr, parts *[]Reason) {
	if e.Kind() == ast.CallKind && e.AsCall().FunctionName() == operator {
		for _, arg := range e.AsCall().Args() {
			x.flatten(operator, arg, parts)
		}
		return
	}
	*parts = append(*parts, x.reason(e))
}

// values are those of the fields that a part looks at, in words.
func (x *explainer[T]) values(e ast.Expr) []string {
	found := newExaminer(x.table.shape())
	ast.PreOrderVisit(e, ast.NewExprVisitor(found.visit))
	var words []string
	for _, name := range keysOf(found.fields) {
		words = append(words, name+" is "+Show(x.table.Value(x.row, name, x.now)))
	}
	return words
}

// Show is a field's value in words.
func Show(v any) string {
	switch v := v.(type) {
	case nil:
		return "not known"
	case string:
		return fmt.Sprintf("%q", v)
	case []string:
		if len(v) == 0 {
			return "empty"
		}
		return strings.Join(v, ", ")
	case time.Time:
		return v.UTC().Format("2006-01-02 15:04 UTC")
	case time.Duration:
		return ShowDuration(v)
	case map[string]any:
		if len(v) == 0 {
			return "empty"
		}
		var parts []string
		for _, k := range keysOf(v) {
			parts = append(parts, fmt.Sprintf("%s=%v", k, v[k]))
		}
		return strings.Join(parts, ", ")
	}
	return fmt.Sprint(v)
}

// ShowDuration is a duration with days, to the minute.
func ShowDuration(d time.Duration) string {
	d = d.Round(time.Minute)
	days := d / (24 * time.Hour)
	rest := d - days*24*time.Hour
	text := strings.TrimSuffix(rest.String(), "0s")
	switch {
	case days == 0:
		return text
	case rest == 0:
		return fmt.Sprintf("%dd", days)
	}
	return fmt.Sprintf("%dd%s", days, text)
}
