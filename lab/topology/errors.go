package topology

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Pos is a place in a topology file. Lines and columns count from 1; a zero
// line means the place is unknown and only the file is printed.
type Pos struct {
	File string
	Line int
	Col  int
}

// String returns "file:line:col".
func (p Pos) String() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Col)
}

// Error is one mistake in a topology file.
type Error struct {
	Pos Pos
	Msg string
}

// Error returns "file:line:col: message".
func (e Error) Error() string { return e.Pos.String() + ": " + e.Msg }

// Errors are all mistakes of one topology file, sorted by position.
type Errors []Error

// Error returns one line for each mistake.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, one := range e {
		lines[i] = one.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns the single mistakes, for errors.As and errors.Is.
func (e Errors) Unwrap() []error {
	list := make([]error, len(e))
	for i, one := range e {
		list[i] = one
	}
	return list
}

// sorted returns the errors in file order, each one once.
func (e Errors) sorted() Errors {
	slices.SortStableFunc(e, func(a, b Error) int {
		return cmp.Or(cmp.Compare(a.Pos.Line, b.Pos.Line), cmp.Compare(a.Pos.Col, b.Pos.Col))
	})
	return slices.Compact(e)
}
