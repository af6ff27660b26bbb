package engine

import (
	"bytes"
	"context"
	"sync"
	"time"
)

// logLimit is how many bytes of a container's output are kept. The oldest go first.
const logLimit = 1 << 20

// logEntries is how many of them are kept, for short lines cost more than their bytes.
const logEntries = 64 << 10

// logLine is how long an entry of the log gets at most, as those of Docker's json-file: longer lines are several.
const logLine = 16 << 10

// LogEntry is a line of a container's output, with its newline, or a part of one.
type LogEntry struct {
	At     time.Time
	Stderr bool
	Text   []byte // the holder's to read only
}

// LogOptions says which part of a container's output is wanted.
type LogOptions struct {
	Stdout, Stderr bool
	Since, Until   time.Time // zero: from the start, without an end
	Tail           int       // the last lines; negative: all
	Follow         bool      // and what comes from now on
}

// logRing keeps the last bytes of a container's output, by lines.
type logRing struct {
	mu      sync.Mutex
	entries []LogEntry    // guarded by mu
	size    int           // guarded by mu; bytes of all entries
	first   uint64        // guarded by mu; the number of entries[0], counted from 0
	partial [2][]byte     // guarded by mu; lines that are not complete, of standard output and error
	changed chan struct{} // guarded by mu; nil, or closed at the next change
}

// write adds what was written to one of the streams.
func (l *logRing) write(stderr bool, b []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := 0
	if stderr {
		at = 1
	}
	now := time.Now()
	for len(b) > 0 {
		n := bytes.IndexByte(b, '\n') + 1
		if n == 0 {
			n = len(b)
		}
		n = min(n, logLine-len(l.partial[at]))
		line := append(l.partial[at], b[:n]...)
		b = b[n:]
		if line[len(line)-1] == '\n' || len(line) == logLine {
			l.add(LogEntry{At: now, Stderr: stderr, Text: line})
			line = nil
		}
		l.partial[at] = line
	}
}

// flush makes lines that are not complete entries: nothing more comes.
func (l *logRing) flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for at, line := range l.partial {
		if len(line) > 0 {
			l.add(LogEntry{At: time.Now(), Stderr: at == 1, Text: line})
		}
		l.partial[at] = nil
	}
}

// add appends an entry; the caller holds mu.
func (l *logRing) add(e LogEntry) {
	l.entries = append(l.entries, e)
	l.size += len(e.Text)
	for l.size > logLimit || len(l.entries) > logEntries {
		l.size -= len(l.entries[0].Text)
		l.entries[0] = LogEntry{} // its text may go now; append moves the rest to the front at times
		l.entries = l.entries[1:]
		l.first++
	}
	if l.changed != nil {
		close(l.changed)
		l.changed = nil
	}
}

// all returns the entries and the lines that are not complete.
func (l *logRing) all() []LogEntry {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := append([]LogEntry(nil), l.entries...)
	for at, line := range l.partial {
		if len(line) > 0 {
			all = append(all, LogEntry{At: time.Now(), Stderr: at == 1, Text: bytes.Clone(line)})
		}
	}
	return all
}

// from returns the entries from a number on, the number behind the last, and what is closed at the next change.
func (l *logRing) from(number uint64) (entries []LogEntry, next uint64, changed <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	next = l.first + uint64(len(l.entries))
	if number < next {
		entries = append(entries, l.entries[max(number, l.first)-l.first:]...)
	}
	if l.changed == nil {
		l.changed = make(chan struct{})
	}
	return entries, next, l.changed
}

// wants tells whether an entry is of the part that is wanted.
func (o LogOptions) wants(e LogEntry) bool {
	return (e.Stderr && o.Stderr || !e.Stderr && o.Stdout) && !e.At.Before(o.Since) && (o.Until.IsZero() || !e.At.After(o.Until))
}

// ReadLogs calls emit with the lines of the container's output, the oldest first, as far as they are kept: the last
// 1 MiB, and 65536 lines. With Follow it goes on until the container's run has ended, Until has come or ctx ends, which is no error. An
// error of emit ends it.
func (c *Container) ReadLogs(ctx context.Context, opts LogOptions, emit func(LogEntry) error) error {
	if !opts.Until.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, opts.Until)
		defer cancel()
	}
	ended := c.logEnd()
	entries, next, changed := c.log.from(0)
	var wanted []LogEntry
	for _, e := range entries {
		if opts.wants(e) {
			wanted = append(wanted, e)
		}
	}
	if opts.Tail >= 0 {
		wanted = wanted[max(0, len(wanted)-opts.Tail):]
	}
	for last := false; ; {
		for _, e := range wanted {
			if err := emit(e); err != nil {
				return err
			}
		}
		if !opts.Follow || last {
			return nil
		}
		select {
		case <-changed:
		case <-ended:
			last = true
		case <-ctx.Done():
			return nil
		}
		entries, next, changed = c.log.from(next)
		wanted = wanted[:0]
		for _, e := range entries {
			if opts.wants(e) {
				wanted = append(wanted, e)
			}
		}
	}
}

// logEnd returns what is closed when nothing more comes: the container's current run has ended, if there is one.
func (c *Container) logEnd() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.run == nil {
		return closedChannel
	}
	return c.exited
}

// closedChannel is closed.
var closedChannel = func() chan struct{} { c := make(chan struct{}); close(c); return c }()

// bytes returns how many bytes of entries there are.
func (l *logRing) bytes() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return int64(l.size)
}
