package selection

import (
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/interpreter"
)

// Type is the type of a field.
type Type string

// The types of fields.
const (
	Text     Type = "text"
	Number   Type = "number"
	Bool     Type = "bool"
	Time     Type = "time"
	Duration Type = "duration"
	List     Type = "list"
	Map      Type = "map"
)

func (t Type) cel() *cel.Type {
	switch t {
	case Number:
		return cel.IntType
	case Bool:
		return cel.BoolType
	case Time:
		return cel.TimestampType
	case Duration:
		return cel.DurationType
	case List:
		return cel.ListType(cel.StringType)
	case Map:
		return cel.MapType(cel.StringType, cel.DynType)
	}
	return cel.StringType
}

// Field is what is written about one field: what --list-fields prints and docs/select.md is made of.
type Field struct {
	Name   string   `json:"name"`
	Type   Type     `json:"type"`
	Unit   string   `json:"unit,omitempty"`
	About  string   `json:"about"`
	Values []string `json:"values,omitempty"` // all that there are, where they are few
	Old    []string `json:"old,omitempty"`    // its names in the old commands, which are accepted too
}

// Column is a field and how a row answers for it: a string, int, bool, time.Time, time.Duration, []string or
// map[string]any, and nil for what is not known.
type Column[T any] struct {
	Field
	Of func(row *T, now time.Time) any
}

// Table is one kind of rows. The first column is the name of a row.
type Table[T any] struct {
	Kind    string // what its rows are called, in the plural
	Columns []Column[T]

	byName map[string]*Column[T]
	known  *shape
}

// ListedBy says which command lists the fields, where that is not monitor query.
func (t *Table[T]) ListedBy(command string) *Table[T] {
	t.known.lister = command
	return t
}

// NewTable makes a table of its columns.
func NewTable[T any](kind string, columns ...Column[T]) *Table[T] {
	t := &Table[T]{
		Kind:    kind,
		Columns: columns,
		byName:  map[string]*Column[T]{},
		known:   &shape{kind: kind, lister: "monitor query " + kind, fields: map[string]*Field{}},
	}
	for i := range columns {
		c := &t.Columns[i]
		t.byName[c.Field.Name] = c
		t.known.fields[c.Field.Name] = &c.Field
		t.known.order = append(t.known.order, c.Field.Name)
		for _, old := range c.Old {
			t.known.old = append(t.known.old, oldName{old, c.Field.Name})
		}
	}
	t.known.key = columns[0].Field.Name
	return t
}

// Fields are all fields, in order.
func (t *Table[T]) Fields() []Field {
	list := make([]Field, len(t.Columns))
	for i, c := range t.Columns {
		list[i] = c.Field
	}
	return list
}

// Name is the name of a row.
func (t *Table[T]) Name(row *T) string {
	name, _ := t.Columns[0].Of(row, time.Time{}).(string)
	return name
}

// Value is what a row answers for a field, by its name or an old one; nil where that is not known.
func (t *Table[T]) Value(row *T, field string, now time.Time) any {
	c := t.byName[field]
	if c == nil {
		return nil
	}
	return c.Of(row, now)
}

// Lookup finds a field by its name or an old one. Of an unknown one the error names the nearest.
func (t *Table[T]) Lookup(name string) (Field, error) {
	f, err := t.known.field(name)
	if err != nil {
		return Field{}, err
	}
	return *f, nil
}

func (t *Table[T]) shape() *shape { return t.known }

// shape is a table without its rows: all that reading an expression needs.
type shape struct {
	kind, key string
	lister    string // the command that lists the fields
	fields    map[string]*Field
	order     []string
	old       []oldName
}

type oldName struct{ old, now string }

// activation answers CEL for one row.
type activation[T any] struct {
	table *Table[T]
	row   *T
	now   time.Time
}

// ResolveName implements interpreter.Activation.
func (a activation[T]) ResolveName(name string) (any, bool) {
	if name == "now" {
		return types.Timestamp{Time: a.now}, true
	}
	c := a.table.byName[name]
	if c == nil {
		return nil, false
	}
	return celValue(c.Of(a.row, a.now)), true
}

// Parent implements interpreter.Activation.
func (a activation[T]) Parent() interpreter.Activation { return nil }

func celValue(v any) ref.Val {
	switch v := v.(type) {
	case nil:
		return types.WrapErr(errUnknown)
	case string:
		return types.String(v)
	case int:
		return types.Int(v)
	case bool:
		return types.Bool(v)
	case time.Time:
		return types.Timestamp{Time: v}
	case time.Duration:
		return types.Duration{Duration: v}
	case []string:
		return types.NewStringList(types.DefaultTypeAdapter, v)
	}
	return types.DefaultTypeAdapter.NativeToValue(v)
}
