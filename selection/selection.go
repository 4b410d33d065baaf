// Package selection decides which nodes, sites, PCUs, issues or lines of the ledger somebody means. There is one
// language and one evaluator for the command line, the API, the pages and the configuration, so that an expression
// means the same everywhere.
//
// The language is CEL (https://cel.dev) over the fields of a Table:
//
//	site == "princeton" && status in ["down", "offline"] && last_contact_age > duration("48h")
//
// Three shorter forms are written in its terms before anything is evaluated, and CEL returns what each became:
//
//	site=princeton,state!=boot            comma means and; | separates values; * and ? are globs
//	planetlab1,planet*.mit.edu,!planet9.mit.edu,@mygroup,file:hosts.txt
//	state=BOOT&&kernel=2\.6||site=mit     regular expressions, as nodequery took them
//
// What is not known of a row is neither equal nor unequal to anything: a comparison with it is unknown, and a row for
// which the whole expression is unknown is not selected. known(FIELD) asks. An expression that selects nothing is
// ErrNothing, so that nothing can pass for everything.
package selection

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/interpreter"
)

// What an expression may cost. They are far above what anybody writes, and low enough that the worst expression over
// ten thousand rows takes seconds.
const (
	mostText    = 64 << 10 // bytes, before and after a short form is written in CEL
	mostNesting = 40       // levels
	mostCost    = 2000     // CEL's units for one row: about one for each step
	mostRegex   = 2000     // instructions of a compiled regular expression
)

// Errors that callers tell apart. All others are mistakes in the expression.
var (
	// ErrNothing says that an expression is good and selects nothing.
	ErrNothing = errors.New("nothing is selected")
	// ErrNoSuchName says that a name in an expression is nobody's, or that of several.
	ErrNoSuchName = errors.New("no such name")
)

// errUnknown is what an evaluation comes to when it needs what is not known of the row.
var errUnknown = errors.New("not known")

// Options say what an expression may refer to.
type Options struct {
	Now    time.Time
	Groups map[string]string // expressions by name, for @name
	// ReadFile reads the host list of a file: term. Nil forbids them: only a command line may read its user's files.
	ReadFile func(path string) ([]byte, error)
}

// Selection is one expression, ready to be asked about rows of type T.
type Selection[T any] struct {
	table   *Table[T]
	now     time.Time
	text    string
	env     *cel.Env
	ast     *cel.Ast
	program cel.Program
	uses    map[string]bool
	entries map[string]bool // of maps
	known   bool            // it asks what is known
	names   []askedName     // names of rows that it asks for: each must be one row's
}

// Compile reads an expression in any of the forms.
func Compile[T any](table *Table[T], text string, o Options) (*Selection[T], error) {
	return compileAs(table, text, o, func(w writer) (string, error) { return w.write(text, 0) })
}

// compileHosts reads a file of names: those whose names stand in it.
func compileHosts[T any](table *Table[T], path string, o Options) (*Selection[T], error) {
	return compileAs(table, path, o, func(w writer) (string, error) { return w.writeFile(path) })
}

func compileAs[T any](table *Table[T], text string, o Options, write func(writer) (string, error)) (*Selection[T], error) {
	w := writer{table: table.shape(), groups: o.Groups, readFile: o.ReadFile, lists: map[string]nameList{}}
	celText, err := write(w)
	if err != nil {
		return nil, fmt.Errorf("%q: %w", shortened(text), err)
	}
	s := &Selection[T]{table: table, now: o.Now, text: celText}
	if err := s.compile(w.lists); err != nil {
		return nil, fmt.Errorf("%q: %w", shortened(text), err)
	}
	return s, nil
}

func (s *Selection[T]) compile(lists map[string]nameList) (err error) {
	if s.env, err = environment(s.table.shape(), lists); err != nil {
		return err
	}
	parsed, issues := s.env.Parse(s.text)
	if issues.Err() != nil {
		return syntaxError(issues)
	}
	found := examine(parsed, s.table.shape())
	if found.err != nil {
		return found.err
	}
	checked, issues := s.env.Check(parsed)
	if issues.Err() != nil {
		return syntaxError(issues)
	}
	if checked.OutputType() != cel.BoolType {
		return fmt.Errorf("it is a %s, and must be true or false for each row", checked.OutputType())
	}
	s.ast, s.uses = checked, found.fields
	for _, name := range found.names {
		s.names = append(s.names, askedName{name: name})
	}
	s.entries, s.known = found.entries, found.asksKnown
	for path := range found.lists {
		s.names = append(s.names, lists[path].names...)
	}
	s.program, err = s.env.Program(checked, cel.CostLimit(mostCost), cel.EvalOptions(cel.OptOptimize))
	if err != nil {
		return fmt.Errorf("it cannot be evaluated: %w", err)
	}
	return nil
}

// CEL is the expression as it is evaluated.
func (s *Selection[T]) CEL() string { return s.text }

// Uses reports whether the expression looks at a field, so that a reader of rows may leave others out.
func (s *Selection[T]) Uses(field string) bool { return s.uses[field] }

// AsksWhatIsKnown reports whether the expression asks if something is known, so that it may hold because nothing is.
func (s *Selection[T]) AsksWhatIsKnown() bool { return s.known }

// Says are the fields and the entries of maps that the expression looks at, as far as they are known of a row, in words:
// facts.fans is 2.
func (s *Selection[T]) Says(row *T) (list []string) {
	for _, name := range slices.Concat(keysOf(s.uses), keysOf(s.entries)) {
		f, v := s.table.known.fields[name], s.table.Cell(row, name, s.now)
		if v != nil && (f == nil || f.Type != Map) {
			list = append(list, name+" is "+Show(v))
		}
	}
	return list
}

// Ask says whether an expression holds for a row, and Unknown where that hangs on what is not known of the row. An error
// is one of the expression, not of the row.
func (s *Selection[T]) Ask(row *T) (Answer, error) {
	out, _, err := s.program.Eval(activation[T]{s.table, row, s.now})
	if unknown(err) {
		return Unknown, nil
	}
	if err != nil {
		return Unknown, s.wrong(row, err)
	}
	return answerOf(out), nil
}

// Match reports whether a row is selected. An error is one of the expression, not of the row.
func (s *Selection[T]) Match(row *T) (bool, error) {
	answer, err := s.Ask(row)
	return answer == Yes && err == nil, err
}

func (s *Selection[T]) wrong(row *T, err error) error {
	var cancelled interpreter.EvalCancelledError
	if errors.As(err, &cancelled) && cancelled.Cause == interpreter.CostLimitExceeded {
		return errors.New("it costs too much to evaluate: make it simpler, above all loops within loops")
	}
	return fmt.Errorf("at %s: %w", s.table.Name(row), err)
}

// unknown reports whether an evaluation ended for want of a fact. A map without the key says so in words alone.
func unknown(err error) bool {
	return err != nil && (errors.Is(err, errUnknown) || strings.HasPrefix(err.Error(), "no such key: "))
}

// syntaxError is the first thing that CEL has to say, in one line.
func syntaxError(issues *cel.Issues) error {
	list := issues.Errors()
	if len(list) == 0 {
		return issues.Err()
	}
	e := list[0]
	message := strings.TrimPrefix(strings.TrimSpace(e.Message), "Syntax error: ")
	if message, _, _ = strings.Cut(message, "\n"); e.Location == nil || e.Location.Column() < 0 {
		return errors.New(message)
	}
	return fmt.Errorf("column %d: %s", e.Location.Column()+1, message)
}

// shortened keeps an error readable when the expression is not.
func shortened(text string) string {
	if r := []rune(text); len(r) > 120 {
		return string(r[:119]) + "…"
	}
	return text
}
