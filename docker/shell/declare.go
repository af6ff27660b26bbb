package shell

import (
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// declarations are the commands whose arguments assign variables. The parser takes them for such in bash alone, and the
// interpreter knows them in no other form.
var declarations = map[string]bool{"export": true, "readonly": true, "local": true}

// declare makes a declaration of a command that is one.
func declare(n *syntax.Stmt) {
	call, ok := n.Cmd.(*syntax.CallExpr)
	if !ok || len(call.Assigns) > 0 || len(call.Args) == 0 || !declarations[call.Args[0].Lit()] {
		return
	}
	decl := &syntax.DeclClause{Variant: call.Args[0].Parts[0].(*syntax.Lit)}
	for _, w := range call.Args[1:] {
		decl.Args = append(decl.Args, declared(w))
	}
	n.Cmd = decl
}

// declared turns NAME=VALUE and NAME into what the parser makes of them; anything else is expanded first.
func declared(w *syntax.Word) *syntax.Assign {
	first, ok := w.Parts[0].(*syntax.Lit)
	if !ok {
		return &syntax.Assign{Naked: true, Value: w}
	}
	name, value, assigns := strings.Cut(first.Value, "=")
	switch {
	case !syntax.ValidName(name):
		return &syntax.Assign{Naked: true, Value: w}
	case !assigns && len(w.Parts) == 1:
		return &syntax.Assign{Naked: true, Name: first}
	case !assigns:
		return &syntax.Assign{Naked: true, Value: w}
	}
	rest := *first
	rest.Value = value
	parts := append([]syntax.WordPart{&rest}, w.Parts[1:]...)
	if value == "" {
		parts = parts[1:]
	}
	if len(parts) == 0 {
		return &syntax.Assign{Name: lit(name)}
	}
	return &syntax.Assign{Name: lit(name), Value: &syntax.Word{Parts: parts}}
}
