package store

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"testing"
)

// The lists of kinds name every kind: what is not in them is counted by no metric.
func TestTheListsOfKindsAreWhole(t *testing.T) {
	for file, c := range map[string]struct {
		typ  string
		list []string
	}{
		"claim.go":  {"ClaimKind", texts(ClaimKinds())},
		"ledger.go": {"ActionKind", texts(ActionKinds())},
	} {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		found := 0
		ast.Inspect(parsed, func(n ast.Node) bool {
			spec, is := n.(*ast.ValueSpec)
			if !is {
				return true
			}
			typ, named := spec.Type.(*ast.Ident)
			if !named || typ.Name != c.typ {
				return true
			}
			for _, v := range spec.Values {
				text, err := strconv.Unquote(v.(*ast.BasicLit).Value)
				if found++; err != nil || !slices.Contains(c.list, text) {
					t.Errorf("%s lacks %q (%v)", c.typ, text, err)
				}
			}
			return true
		})
		if found != len(c.list) {
			t.Errorf("%d kinds of %s are declared, %d are listed", found, c.typ, len(c.list))
		}
	}
}

func texts[T ~string](list []T) (out []string) {
	for _, k := range list {
		out = append(out, string(k))
	}
	return out
}
