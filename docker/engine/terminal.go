package engine

import (
	"io"
	"slices"
	"sync"
)

// Size is that of a terminal, in characters. The zero Size is not known.
type Size struct{ Rows, Cols uint16 }

// What a terminal's driver acts upon, as Linux sets it (termios c_cc), and the keys that shells edit a line with.
const (
	keyStart     = 0x01 // ^A
	keyLeft      = 0x02 // ^B
	keyInterrupt = 0x03 // VINTR, ^C
	keyEnd       = 0x04 // VEOF, ^D
	keyLast      = 0x05 // ^E
	keyRight     = 0x06 // ^F
	keyBackspace = 0x08 // ^H
	keyTab       = 0x09
	keyCut       = 0x0b // ^K
	keyRedraw    = 0x0c // ^L
	keyDown      = 0x0e // ^N
	keyUp        = 0x10 // ^P
	keyKill      = 0x15 // VKILL, ^U
	keyWord      = 0x17 // VWERASE, ^W
	keySuspend   = 0x1a // VSUSP, ^Z
	keyEscape    = 0x1b
	keyQuit      = 0x1c // VQUIT, ^\
	keyErase     = 0x7f // VERASE
)

// Bounds of what a terminal keeps.
const (
	lineLimit    = 4096    // of a line that is typed, as N_TTY_BUF_SIZE
	aheadLimit   = 1 << 20 // of lines that nobody has read yet
	historyLimit = 200
)

// terminal is a tty between those who are attached and a process: it echoes and edits the line that is typed, hands it
// over when it is complete, and turns keys into signals. What the process writes goes through output.
type terminal struct {
	screen io.Writer      // where echo goes, as it is
	signal func(key byte) // called for keyInterrupt and keyQuit; it must not type

	inMu   sync.Mutex // held while input is taken
	line   []byte     // guarded by inMu, with all to the next blank line
	cursor int
	escape []byte   // an escape sequence that is not complete
	past   [][]byte // lines
	at     int      // in past, while one looks for a line
	wasCR  bool

	mu     sync.Mutex
	change *sync.Cond
	ready  [][]byte // guarded by mu; lines, and a keyEnd alone for the end of the input of one reader
	ahead  int      // guarded by mu; bytes in ready
	closed bool     // guarded by mu
	size   Size     // guarded by mu
}

func newTerminal(screen io.Writer, size Size, signal func(key byte)) *terminal {
	t := &terminal{screen: screen, size: size, signal: signal}
	t.change = sync.NewCond(&t.mu)
	return t
}

// Read implements io.Reader. A Read returns one line at most; a keyEnd alone is the end of the input of one reader.
func (t *terminal) Read(b []byte) (int, error) { return t.ReadTyped(b, func() {}) }

// ReadTyped is Read that calls taken, with a lock held, once it has taken what it returns: a key that signals and is typed
// later has its signal later, too.
func (t *terminal) ReadTyped(b []byte, taken func()) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for len(t.ready) == 0 && !t.closed {
		t.change.Wait()
	}
	if t.closed {
		return 0, io.EOF
	}
	n := copy(b, t.ready[0])
	if t.ready[0] = t.ready[0][n:]; len(t.ready[0]) == 0 {
		t.ready = t.ready[1:]
	}
	t.ahead -= n
	taken()
	return n, nil
}

// cooked returns the terminal for a program that reads it by itself: a keyEnd is a Read of io.EOF.
func (t *terminal) cooked() io.Reader { return cookedReader{t} }

type cookedReader struct{ term *terminal }

// Read implements io.Reader.
func (r cookedReader) Read(b []byte) (int, error) {
	n, err := r.term.Read(b)
	if n == 1 && b[0] == keyEnd {
		return 0, io.EOF
	}
	return n, err
}

// close ends all Reads.
func (t *terminal) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed, t.ready = true, nil
	t.change.Broadcast()
}

func (t *terminal) resize(size Size) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.size = size
}

// dimensions returns the size that whoever looks told last.
func (t *terminal) dimensions() (rows, cols uint16) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.size.Rows, t.size.Cols
}

// deliver hands a line to whoever reads. Where too much waits it is lost, with a bell, as on Linux.
func (t *terminal) deliver(chunk []byte) {
	t.mu.Lock()
	full := t.ahead+len(chunk) > aheadLimit
	if !full && !t.closed {
		t.ready = append(t.ready, slices.Clone(chunk))
		t.ahead += len(chunk)
		t.change.Broadcast()
	}
	t.mu.Unlock()
	if full {
		t.echo("\a")
	}
}

// discard drops the lines that nobody has read yet, as what signals does on Linux.
func (t *terminal) discard() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ready, t.ahead = nil, 0
}

// echo writes to the screen; nobody may be there to see it.
func (t *terminal) echo(s string) { _, _ = io.WriteString(t.screen, s) }

// Write takes what was typed. It never fails.
func (t *terminal) Write(b []byte) (int, error) {
	t.inMu.Lock()
	defer t.inMu.Unlock()
	for _, x := range b {
		if key := t.take(x); key != 0 {
			t.signal(key) // before what is typed behind it
		}
	}
	return len(b), nil
}

// take takes one byte and returns the key if it is one that signals.
func (t *terminal) take(x byte) (signal byte) {
	if x < ' ' && x != keyEscape {
		t.escape = nil // what looked like a sequence was a key alone
	}
	if t.escape != nil || x == keyEscape {
		t.takeEscape(x)
		return 0
	}
	cr := t.wasCR
	t.wasCR = x == '\r'
	switch x {
	case '\n', '\r':
		if x == '\n' && cr {
			return 0 // of a client that sends both
		}
		t.enter()
	case keyInterrupt, keyQuit:
		t.echo(map[byte]string{keyInterrupt: "^C", keyQuit: `^\`}[x]) // no newline: that is for whoever is signalled (ECHOCTL)
		t.forget()
		t.discard()
		return x
	case keySuspend: // there is nobody to continue what would be suspended
	case keyEnd:
		t.takeEnd()
	default:
		if !t.edit(x) && (x >= ' ' || x == keyTab) {
			t.insert(x)
		}
	}
	return 0
}

// takeEnd is ^D: it hands over what there is, and on an empty line it is the end of the input.
func (t *terminal) takeEnd() {
	if len(t.line) == 0 {
		t.deliver([]byte{keyEnd})
		return
	}
	t.deliver(t.line)
	t.forget()
}

// enter ends a line.
func (t *terminal) enter() {
	t.echo("\r\n")
	if len(t.line) > 0 && (len(t.past) == 0 || string(t.past[len(t.past)-1]) != string(t.line)) {
		t.past = append(t.past, slices.Clone(t.line))
		t.past = t.past[max(0, len(t.past)-historyLimit):]
	}
	t.deliver(append(t.line, '\n'))
	t.forget()
}

func (t *terminal) forget() { t.line, t.cursor, t.at = nil, 0, len(t.past) }

// output returns where the process writes to: a newline becomes a carriage return and a newline (ONLCR).
func (t *terminal) output() io.Writer { return onlcr{t.screen} }

type onlcr struct{ w io.Writer }

// Write implements io.Writer.
func (o onlcr) Write(b []byte) (int, error) {
	out := make([]byte, 0, len(b)+16)
	for _, x := range b {
		if x == '\n' {
			out = append(out, '\r')
		}
		out = append(out, x)
	}
	if _, err := o.w.Write(out); err != nil {
		return 0, err
	}
	return len(b), nil
}
