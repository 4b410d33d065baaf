package selection

import (
	"fmt"
	"path"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

// The functions that CEL has here beside its own.
const (
	fnNamed  = "named"  // named(name, "planetlab1"): the whole name, the part before its first dot, or a glob for either
	fnListed = "listed" // listed(name, "hosts.txt"): one of a file's names
	fnLike   = "like"   // like(text, "HP*"): equal but for case, with globs
	fnKnown  = "known"  // known(field): whether it is known
)

// Functions are the functions beside CEL's own, each with what it answers.
func Functions() [][2]string {
	return [][2]string{
		{"known(FIELD)", "whether the field is known of this row"},
		{
			`like(TEXT, "HP*")`,
			"whether a text equals another but for upper and lower case; * and ? stand for any letters and any one",
		},
		{
			`named(name, "planetlab1")`,
			"whether this is its name, the part of it before the first dot, or a glob for either",
		},
		{"now", "the time at which the rows were read, for comparisons with fields of type time"},
	}
}

// nameList is the content of a file of names.
type nameList struct {
	names []askedName
	set   map[string]bool
}

// askedName is a name that must be one row's, and where it stands, where that is in a file.
type askedName struct{ name, place string }

func environment(s *shape, lists map[string]nameList) (*cel.Env, error) {
	options := []cel.EnvOption{
		cel.ParserExpressionSizeLimit(mostText), cel.ParserRecursionLimit(mostNesting), cel.ParserErrorRecoveryLimit(1),
		cel.ExpressionNestingDepthLimit(4 * mostNesting), cel.RegexProgramSizeLimit(mostRegex),
		cel.CrossTypeNumericComparisons(true), cel.DefaultUTCTimeZone(true), cel.EnableMacroCallTracking(),
		cel.Variable("now", cel.TimestampType),
		textFunction(fnNamed, func(name, pattern string) bool { return named(name, pattern) }),
		textFunction(fnLike, like),
		textFunction(fnListed, func(name, file string) bool {
			set, name := lists[file].set, strings.ToLower(name)
			return set[name] || set[short(name)]
		}),
		cel.Function(
			fnKnown,
			cel.Overload("known_any", []*cel.Type{cel.DynType}, cel.BoolType, cel.OverloadIsNonStrict(),
				cel.UnaryBinding(func(v ref.Val) ref.Val {
					if e, is := v.(*types.Err); is && !unknown(e) {
						return e
					}
					return types.Bool(!types.IsUnknownOrError(v))
				})),
		),
	}
	for _, name := range s.order {
		options = append(options, cel.Variable(name, s.fields[name].Type.cel()))
	}
	env, err := cel.NewEnv(options...)
	if err != nil {
		return nil, fmt.Errorf("fields of %s: %w", s.kind, err)
	}
	return env, nil
}

func textFunction(name string, does func(a, b string) bool) cel.EnvOption {
	return cel.Function(name, cel.Overload(name+"_text", []*cel.Type{cel.StringType, cel.StringType}, cel.BoolType,
		cel.BinaryBinding(func(a, b ref.Val) ref.Val {
			return types.Bool(does(string(a.(types.String)), string(b.(types.String))))
		})))
}

// named reports whether a pattern is a row's name, its short name, or a glob for either.
func named(name, pattern string) bool {
	name, pattern = strings.ToLower(name), strings.ToLower(pattern)
	if !globbed(pattern) {
		return name == pattern || short(name) == pattern
	}
	return glob(name, pattern) || glob(short(name), pattern)
}

// like compares but for case, with globs.
func like(text, pattern string) bool { return glob(strings.ToLower(text), strings.ToLower(pattern)) }

func globbed(pattern string) bool { return strings.ContainsAny(pattern, "*?[") }

// glob is path.Match over a text that is no path; what is no pattern stands for itself.
func glob(text, pattern string) bool {
	const noSlash = "\x00"
	matches, err := path.Match(strings.ReplaceAll(pattern, "/", noSlash), strings.ReplaceAll(text, "/", noSlash))
	if err != nil {
		return text == pattern
	}
	return matches
}

// short is a host's name before its first dot.
func short(name string) string {
	s, _, _ := strings.Cut(name, ".")
	return s
}
