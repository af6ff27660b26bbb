package engine

import (
	"bytes"
	"slices"
	"strings"
)

// edit does what a key does to the line that is typed; false: it is no such key. The caller holds inMu.
func (t *terminal) edit(x byte) bool {
	switch x {
	case keyErase, keyBackspace:
		t.remove(t.cursor-1, t.cursor)
	case keyKill:
		t.remove(0, t.cursor)
	case keyWord:
		t.remove(t.wordStart(), t.cursor)
	case keyCut:
		t.remove(t.cursor, len(t.line))
	case keyStart:
		t.move(0)
	case keyLast:
		t.move(len(t.line))
	case keyLeft:
		t.move(t.cursor - 1)
	case keyRight:
		t.move(t.cursor + 1)
	case keyUp:
		t.recall(t.at - 1)
	case keyDown:
		t.recall(t.at + 1)
	case keyRedraw:
		t.echo("\x1b[H\x1b[2J" + string(t.line))
		t.back(len(t.line) - t.cursor)
	default:
		return false
	}
	return true
}

// wordStart returns where the word before the cursor begins.
func (t *terminal) wordStart() int {
	left := bytes.TrimRight(t.line[:t.cursor], " ")
	return bytes.LastIndexByte(left, ' ') + 1
}

func (t *terminal) insert(x byte) {
	if len(t.line) >= lineLimit-1 {
		t.echo("\a")
		return
	}
	t.line = slices.Insert(t.line, t.cursor, x)
	t.cursor++
	t.echo(string(t.line[t.cursor-1:]))
	t.back(len(t.line) - t.cursor)
}

// back moves the screen's cursor to the left, by the characters that n bytes at the end of the line are.
func (t *terminal) back(n int) {
	if n > 0 {
		t.echo(strings.Repeat("\b", width(t.line[len(t.line)-n:])))
	}
}

// width is how many places bytes of UTF-8 take; all but those that continue a character count.
func width(b []byte) int {
	n := 0
	for _, x := range b {
		if x&0xc0 != 0x80 {
			n++
		}
	}
	return n
}

// remove takes a part out of the line and leaves the cursor there. It never cuts a character.
func (t *terminal) remove(from, to int) {
	from, to = max(from, 0), min(to, len(t.line))
	for from > 0 && from < len(t.line) && t.line[from]&0xc0 == 0x80 {
		from--
	}
	if from >= to {
		return
	}
	t.move(from)
	gone := width(t.line[from:to])
	t.line = slices.Delete(t.line, from, to)
	t.echo(string(t.line[from:]) + strings.Repeat(" ", gone) + strings.Repeat("\b", gone))
	t.back(len(t.line) - from)
}

// move puts the cursor at a byte of the line, or at the start of the character that it is in.
func (t *terminal) move(to int) {
	if to < 0 || to > len(t.line) {
		return
	}
	for to > 0 && to < len(t.line) && t.line[to]&0xc0 == 0x80 {
		if to > t.cursor {
			to++
		} else {
			to--
		}
	}
	if to < t.cursor {
		t.echo(strings.Repeat("\b", width(t.line[to:t.cursor])))
	} else {
		t.echo(string(t.line[t.cursor:to]))
	}
	t.cursor = to
}

// recall puts a line of the past in place of the one that is typed; the one behind the last is blank.
func (t *terminal) recall(at int) {
	if at < 0 || at > len(t.past) {
		return
	}
	t.move(0)
	t.remove(0, len(t.line))
	t.at = at
	if at < len(t.past) {
		t.line = slices.Clone(t.past[at])
	}
	t.cursor = len(t.line)
	t.echo(string(t.line))
}

// escapeLimit is how long an escape sequence may be.
const escapeLimit = 16

// keys are what terminals send for keys, without the escape character.
var keys = map[string]byte{
	"[A": keyUp, "[B": keyDown, "[C": keyRight, "[D": keyLeft, "[H": keyStart, "[F": keyLast,
	"OA": keyUp, "OB": keyDown, "OC": keyRight, "OD": keyLeft, "OH": keyStart, "OF": keyLast,
	"[1~": keyStart, "[4~": keyLast, "[7~": keyStart, "[8~": keyLast,
}

// takeEscape takes a byte of an escape sequence. Those that are no key of an editor are passed over.
func (t *terminal) takeEscape(x byte) {
	if t.escape == nil {
		t.escape = make([]byte, 0, 4)
		return
	}
	t.escape = append(t.escape, x)
	started := len(t.escape) > 1 || x != '[' && x != 'O'
	if started && (x >= '@' && x <= '~') || len(t.escape) >= escapeLimit {
		text := string(t.escape)
		t.escape = nil
		if text == "[3~" {
			end := t.cursor + 1
			for end < len(t.line) && t.line[end]&0xc0 == 0x80 {
				end++
			}
			t.remove(t.cursor, end)
			return
		}
		if key, ok := keys[text]; ok {
			t.edit(key)
		}
	}
}
