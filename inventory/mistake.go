package inventory

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Mistake is one thing that is wrong with an inventory: where, what, and what to do.
type Mistake struct {
	File string `json:"file"`
	Line int    `json:"line,omitempty"` // 0: the source has no lines
	At   string `json:"at,omitempty"`   // such as node n01.lab.example
	What string `json:"what"`
	Do   string `json:"do"`
}

func (m Mistake) String() string {
	var s strings.Builder
	s.WriteString(m.File)
	if m.Line > 0 {
		fmt.Fprintf(&s, ":%d", m.Line)
	}
	if m.At != "" {
		s.WriteString(": " + m.At)
	}
	return s.String() + ": " + m.What + ": " + m.Do
}

// Mistakes say why an inventory was not taken. What was read before it stands.
type Mistakes []Mistake

func (list Mistakes) Error() string {
	first := list[0].String()
	if n := len(list) - 1; n > 0 {
		first += fmt.Sprintf(" (and %d more: see `monitor inventory check`)", n)
	}
	return first
}

// mistakes gathers what is wrong with one file.
type mistakes struct {
	file string
	list Mistakes
}

func (m *mistakes) add(line int, at, do, what string, args ...any) {
	m.list = append(m.list, Mistake{m.file, line, at, fmt.Sprintf(what, args...), do})
}

// err is nil when nothing is wrong; else the mistakes, in the order of the file.
func (m *mistakes) err() error {
	if len(m.list) == 0 {
		return nil
	}
	slices.SortStableFunc(m.list, func(a, b Mistake) int { return cmp.Compare(a.Line, b.Line) })
	return m.list
}
