package engine

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
)

func TestLogKeepsTheLastBytes(t *testing.T) {
	var l logRing
	w := (&output{log: &l}).writer(false)
	line := bytes.Repeat([]byte("x"), 100)
	for i := range 20_000 { // 2 MB
		fmt.Fprintf(w, "%06d%s\n", i, line)
	}
	if n, err := (&output{log: &l}).writer(true).Write(bytes.Repeat([]byte("y"), 3*logLine+1)); n != 3*logLine+1 || err != nil {
		t.Errorf("Write = %d, %v", n, err)
	}
	l.flush()
	all := l.all()
	size := 0
	for _, e := range all {
		size += len(e.Text)
	}
	if size > logLimit || size < logLimit-2*logLine {
		t.Errorf("%d bytes are kept; want nearly %d", size, logLimit)
	}
	if last := all[len(all)-1]; !last.Stderr || string(last.Text) != "y" {
		t.Errorf("the last entry is %q of stderr %v", last.Text, last.Stderr)
	}
}

// Many short lines are kept in bounded memory, in the log and on their way to somebody who takes none.
func TestShortLines(t *testing.T) {
	var l logRing
	out := &output{log: &l}
	f := newFeed()
	out.attach(f, false)
	const lines = 2 * logEntries
	for range lines {
		out.writer(false).Write([]byte("\n")) //nolint:errcheck // it never fails
	}
	if n := len(l.all()); n != logEntries {
		t.Errorf("%d lines are kept; want %d", n, logEntries)
	}
	pieces, err := f.take(t.Context())
	if err != nil || len(pieces) != lines/pieceSmall {
		t.Errorf("%d lines are on their way in %d pieces, %v; want %d", lines, len(pieces), err, lines/pieceSmall)
	}
}

func BenchmarkLog(b *testing.B) {
	var l logRing
	w := (&output{log: &l}).writer(false)
	line := bytes.Repeat([]byte("x"), 100)
	b.ReportAllocs()
	b.SetBytes(int64(len(line)))
	for b.Loop() {
		w.Write(line) //nolint:errcheck // it never fails
	}
}

func TestRandomNameClash(t *testing.T) {
	luck := rand.New(rand.NewPCG(1, 2))
	if got := randomName(luck, func(name string) bool { return name[len(name)-1] > '9' }); got[len(got)-1] != '0' {
		t.Errorf("randomName = %q; want one with the digit 0", got)
	}
}
