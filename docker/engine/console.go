package engine

import (
	"io"
	"sync"

	"github.com/netsim-lab/netsim/docker/shell"
)

// Terminal is a terminal in memory for a session on a host or in a container that somebody sits at: what they type goes to
// Write, and what they see comes out on the screen. It echoes and edits lines, keeps those that were typed, and interrupts
// what runs, as long as no command has it raw. All methods may be called at once from several goroutines.
type Terminal struct {
	term   *terminal
	screen io.Writer

	mu        sync.Mutex
	raw       int               // guarded by mu; how many have it raw
	interrupt func()            // guarded by mu; nil: nothing
	watchers  map[*watcher]bool // guarded by mu
}

type watcher struct{ changed func() }

// NewTerminal returns a terminal of that size.
func NewTerminal(screen io.Writer, size Size) *Terminal {
	t := &Terminal{screen: screen, watchers: map[*watcher]bool{}}
	t.term = newTerminal(screen, size, func(byte) { t.pressed() })
	return t
}

var _ shell.Terminal = (*Terminal)(nil)

// Stdio returns the terminal as the standard files of a session.
func (t *Terminal) Stdio() shell.Stdio {
	out := terminalOutput{t}
	return shell.Stdio{In: t.term, Out: out, Err: out, TTY: true, OnInterrupt: t.onInterrupt, Size: t.term.dimensions, Terminal: t}
}

// Write takes what was typed. It never fails, and waits for the screen alone.
func (t *Terminal) Write(b []byte) (int, error) {
	if t.isRaw() {
		t.term.deliver(b)
		return len(b), nil
	}
	return t.term.Write(b)
}

// Close ends all Reads: nobody sits there any more.
func (t *Terminal) Close() { t.term.close() }

// Resize changes the size, and tells those that watch.
func (t *Terminal) Resize(size Size) {
	t.term.resize(size)
	t.mu.Lock()
	var all []*watcher
	for w := range t.watchers {
		all = append(all, w)
	}
	t.mu.Unlock()
	for _, w := range all {
		w.changed()
	}
}

// Size implements shell.Terminal.
func (t *Terminal) Size() (rows, cols int) {
	r, c := t.term.dimensions()
	return int(r), int(c)
}

// Watch implements shell.Terminal.
func (t *Terminal) Watch(changed func()) (stop func()) {
	w := &watcher{changed}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.watchers[w] = true
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		delete(t.watchers, w)
	}
}

// Raw implements shell.Terminal. What was typed of a line so far is read as it is, too.
func (t *Terminal) Raw() (restore func()) {
	t.term.flush()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.raw++
	return sync.OnceFunc(func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.raw--
	})
}

func (t *Terminal) isRaw() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.raw > 0
}

// onInterrupt makes f what Ctrl-C calls; see shell.Stdio.
func (t *Terminal) onInterrupt(f func()) (restore func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	before := t.interrupt
	t.interrupt = f
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.interrupt = before
	}
}

func (t *Terminal) pressed() {
	t.mu.Lock()
	f := t.interrupt
	t.mu.Unlock()
	if f != nil {
		f()
	}
}

// flush hands over what was typed of a line.
func (t *terminal) flush() {
	t.inMu.Lock()
	defer t.inMu.Unlock()
	if len(t.line) > 0 {
		t.deliver(t.line)
		t.forget()
	}
}

// terminalOutput is where commands write to.
type terminalOutput struct{ *Terminal }

// Write implements io.Writer.
func (o terminalOutput) Write(b []byte) (int, error) {
	if o.isRaw() {
		return o.screen.Write(b)
	}
	return onlcr{o.screen}.Write(b)
}
