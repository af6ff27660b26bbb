package engine

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// typeInto types into a new terminal and returns the lines that a program gets, the screen, and the keys that signalled.
func typeInto(text string) (lines, screen, signals string) {
	var shown bytes.Buffer
	var keys []byte
	term := newTerminal(&shown, Size{}, func(key byte) { keys = append(keys, key) })
	_, _ = term.Write([]byte(text)) // it never fails
	var all bytes.Buffer
	for _, line := range term.ready {
		all.Write(line)
	}
	return all.String(), shown.String(), string(keys)
}

func TestLineDiscipline(t *testing.T) {
	for _, row := range []struct{ show, typed, lines, screen, signals string }{
		{"a line", "ls\r", "ls\n", "ls\r\n", ""},
		{"a newline is one too", "ls\nps\r\nid\n", "ls\nps\nid\n", "ls\r\nps\r\nid\r\n", ""},
		{"erase", "lx\x7fs\r", "ls\n", "lx\b \bs\r\n", ""},
		{"erase of nothing", "\x7f\x08\r", "\n", "\r\n", ""},
		{"erase of a character of two bytes", "é\x7fe\r", "e\n", "\xc3\xa9\b \be\r\n", ""},
		{"kill", "abc\x15d\r", "d\n", "abc\b\b\b   \b\b\bd\r\n", ""},
		{"word", "ab cd \x17\r", "ab \n", "ab cd \b\b\b   \b\b\b\r\n", ""},
		{"end on a blank line", "\x04", "\x04", "", ""},
		{"end on a line", "ab\x04c\r", "abc\n", "abc\r\n", ""},
		{"interrupt", "ab\x03c\r", "c\n", "ab^Cc\r\n", "\x03"},
		{"interrupt of lines that nobody has read", "ls\r\x03id\r", "id\n", "ls\r\n^Cid\r\n", "\x03"},
		{"quit", "\x1c", "", "^\\", "\x1c"},
		{"left and insert", "ac\x1b[Db\r", "abc\n", "ac\bbc\b\r\n", ""},
		{"home, delete, end", "xab\x01\x1b[3~\x05c\r", "abc\n", "xab\b\b\bab \b\b\babc\r\n", ""},
		{"history", "one\rtwo\r\x1b[A\x1b[A\r", "one\ntwo\none\n", "one\r\ntwo\r\ntwo\b\b\b   \b\b\bone\r\n", ""},
		{"history and back", "one\r\x1bOA\x1bOB\r", "one\n\n", "one\r\none\b\b\b   \b\b\b\r\n", ""},
		{"cut", "abcd\x02\x02\x0b\r", "ab\n", "abcd\b\b  \b\b\r\n", ""},
		{"a sequence that is no key", "a\x1b[5;3Rb\r", "ab\n", "ab\r\n", ""},
		{"an escape alone", "a\x1b\rb\r", "a\nb\n", "a\r\nb\r\n", ""},
		{"other controls", "a\x1a\x00\x13b\r", "ab\n", "ab\r\n", ""},
	} {
		lines, screen, signals := typeInto(row.typed)
		if lines != row.lines || signals != row.signals {
			t.Errorf("%s: lines %q, signals %q; want %q, %q", row.show, lines, signals, row.lines, row.signals)
		}
		if screen != row.screen {
			t.Errorf("%s: the screen shows %q; want %q", row.show, screen, row.screen)
		}
	}
}

// Whatever is typed, nothing panics, a line has its newline and is no longer than it may be.
func FuzzTerminal(f *testing.F) {
	f.Add("ls\x7f\x1b[A\x1b[3~\r\x04\x03")
	f.Add("é\x1b[D\x7f\x1b[3~\x17\x15\x0b\x01\x05\xff\xfe\r")
	f.Fuzz(func(t *testing.T, typed string) {
		lines, _, _ := typeInto(typed)
		for line := range strings.Lines(lines) {
			if len(line) > lineLimit+1 && !strings.Contains(line, "\x04") && !strings.Contains(typed, "\x04") {
				t.Errorf("a line of %d bytes", len(line))
			}
		}
	})
}

func TestDetachReader(t *testing.T) {
	for _, row := range []struct {
		keys, typed, got string
		detached         bool
	}{
		{"", "abc", "abc", false},
		{"", "abc\x10\x11def", "abc", true},
		{"", "a\x10b\x10", "a\x10b\x10", false},
		{"", "\x10\x10\x11", "\x10", true},
		{"ctrl-a,x", "\x01y\x01x", "\x01y", true},
		{"ctrl-@", "a\x00", "a", true},
	} {
		keys, err := ParseDetachKeys(row.keys)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range []io.Reader{strings.NewReader(row.typed), iotest.OneByteReader(strings.NewReader(row.typed))} {
			got, err := io.ReadAll(NewDetachReader(r, keys))
			if string(got) != row.got || errors.Is(err, ErrDetach) != row.detached {
				t.Errorf("%q typed, keys %q: %q, %v; want %q, %v", row.typed, row.keys, got, err, row.got, row.detached)
			}
		}
	}
	for _, bad := range []string{"ctrl-", "ctrl-1", "ab", ",", "ctrl-ab"} {
		if _, err := ParseDetachKeys(bad); !errors.Is(err, ErrInvalid) {
			t.Errorf("ParseDetachKeys(%q): %v", bad, err)
		}
	}
}

func TestRestartDelay(t *testing.T) {
	for n, want := range map[int]string{1: "100ms", 2: "200ms", 5: "1.6s", 10: "51.2s", 11: "1m0s", 1000: "1m0s"} {
		if got := restartDelay(n).String(); got != want {
			t.Errorf("restartDelay(%d) = %s; want %s", n, got, want)
		}
	}
}
