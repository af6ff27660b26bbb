package shell

import (
	"errors"
	"fmt"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// The interpreter does not tell the commands it runs which background job they belong to. So a script is changed before
// it runs: each shell counts its jobs in countVar, as the interpreter does for $!, and each background command knows in
// jobVar whose child it is: "/1/s/2" is the second job of a subshell in the first.
const (
	jobVar   = hidden + "job"
	countVar = hidden + "jobs"
	nameVar  = hidden + "name" // and this is $0
)

// maxScript bounds the length of a script.
const maxScript = 1 << 20

// errDepth is what a script that nests too deep gets.
var errDepth = errors.New("syntax error: nested too deep")

// parse reads a script and makes its background commands known to kill.
func parse(text string) (*syntax.File, error) {
	if len(text) > maxScript {
		return nil, fmt.Errorf("script of %d bytes is longer than %d", len(text), maxScript)
	}
	if depth(text) > 200 {
		return nil, errDepth
	}
	file, err := syntax.NewParser(syntax.Variant(syntax.LangPOSIX)).Parse(strings.NewReader(text), "")
	if err != nil {
		return nil, err
	}
	prepare(file)
	return file, nil
}

// depth is an upper bound of how deep the constructs of a script nest: parser and interpreter are recursive.
func depth(text string) (deepest int) {
	n := 0
	for _, r := range text {
		switch r {
		case '(', '{', '`':
			n++
		case ')', '}':
			n--
		}
		deepest = max(deepest, n)
	}
	return deepest + strings.Count(text, "if ") + strings.Count(text, "while ") + strings.Count(text, "for ") + strings.Count(text, "until ")
}

// syntaxText returns the words of a shell for a parse error.
func syntaxText(err error) string {
	var p syntax.ParseError
	if errors.As(err, &p) {
		return fmt.Sprintf("%d: syntax error: %s", p.Pos.Line(), p.Text)
	}
	var l syntax.LangError
	if errors.As(err, &l) {
		return fmt.Sprintf("%d: syntax error: %s is not in a POSIX shell", l.Pos.Line(), l.Feature)
	}
	return err.Error()
}

// prepare changes every list of statements of a script.
func prepare(file *syntax.File) {
	marked := map[*syntax.Stmt]bool{}
	syntax.Walk(file, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.Word:
			plainTilde(n)
		case *syntax.ParamExp:
			if n.Param != nil && n.Param.Value == "0" {
				n.Param = lit(nameVar)
				n.Short = false
			}
		case *syntax.Subshell:
			n.Stmts = append([]*syntax.Stmt{enterSubshell()}, n.Stmts...)
		case *syntax.CmdSubst:
			if len(n.Stmts) > 0 {
				n.Stmts = append([]*syntax.Stmt{enterSubshell()}, n.Stmts...)
			}
		case *syntax.Stmt:
			declare(n)
			if n.Background && !marked[n] {
				marked[markJob(n)] = true
			}
		}
		return true
	})
}

// plainTilde keeps ~name as it is, for there are no users to look up.
func plainTilde(w *syntax.Word) {
	if lit, ok := w.Parts[0].(*syntax.Lit); ok && len(lit.Value) > 1 && lit.Value[0] == '~' && lit.Value[1] != '/' {
		lit.Value = `\` + lit.Value
	}
}

// enterSubshell is the statement that begins a subshell: its jobs count from 1.
func enterSubshell() *syntax.Stmt {
	return assign(jobVar, &syntax.ParamExp{Short: true, Param: lit(jobVar)}, lit("/s"), countVar, lit("0"))
}

// markJob turns X & into { count=$((count+1)); { job=$job/$count; count=0; X; } & } and returns the new background statement.
func markJob(n *syntax.Stmt) *syntax.Stmt {
	inner := *n
	inner.Background = false
	name := assign(jobVar, &syntax.ParamExp{Short: true, Param: lit(jobVar)}, lit("/"), countVar, lit("0"))
	path := name.Cmd.(*syntax.CallExpr).Assigns[0].Value
	path.Parts = append(path.Parts, &syntax.ParamExp{Short: true, Param: lit(countVar)})
	job := &syntax.Stmt{Background: true, Cmd: &syntax.Block{Stmts: []*syntax.Stmt{name, &inner}}}
	next := &syntax.ArithmExp{X: &syntax.BinaryArithm{Op: syntax.Add, X: word(lit(countVar)), Y: word(lit("1"))}}
	count := assign(countVar, next, nil, "", nil)
	*n = syntax.Stmt{Cmd: &syntax.Block{Stmts: []*syntax.Stmt{count, job}}}
	return job
}

// assign makes a statement that sets one variable to up to two parts, and maybe another to one.
func assign(name string, a, b syntax.WordPart, second string, value syntax.WordPart) *syntax.Stmt {
	first := word(a)
	if b != nil {
		first.Parts = append(first.Parts, b)
	}
	call := &syntax.CallExpr{Assigns: []*syntax.Assign{{Name: lit(name), Value: first}}}
	if second != "" {
		call.Assigns = append(call.Assigns, &syntax.Assign{Name: lit(second), Value: word(value)})
	}
	return &syntax.Stmt{Cmd: call}
}

func lit(s string) *syntax.Lit { return &syntax.Lit{Value: s} }

func word(p syntax.WordPart) *syntax.Word { return &syntax.Word{Parts: []syntax.WordPart{p}} }
