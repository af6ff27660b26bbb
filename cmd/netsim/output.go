package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"golang.org/x/term"
)

// printJSON writes one document for other programs.
func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("write JSON: %w", err)
	}
	return nil
}

// isTerminal tells whether a stream is a terminal.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// colour is one of a terminal's, which ends with plain.
type colour string

const (
	plain colour = "\x1b[0m"
	green colour = "\x1b[32m"
	red   colour = "\x1b[31m"
	faint colour = "\x1b[2m"
	bold  colour = "\x1b[1m"
)

// painter colours text, or leaves it as it is.
type painter bool

// newPainter returns one for a stream: terminals have colours, unless NO_COLOR is set.
func newPainter(stream any) painter {
	return painter(os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && isTerminal(stream))
}

func (p painter) paint(c colour, text string) string {
	if !p || text == "" {
		return text
	}
	return string(c) + text + string(plain)
}
