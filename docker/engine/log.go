package engine

import (
	"io"
	"sync"
	"time"
)

// logLimit is how many bytes of a container's output are kept. The oldest go first.
const logLimit = 1 << 20

// logChunk is how long a piece of the log gets at most, so that the oldest can go in small steps.
const logChunk = 16 << 10

// LogEntry is a piece of a container's output, as it was written.
type LogEntry struct {
	At     time.Time
	Stderr bool
	Text   []byte // the holder's to read only
}

// logRing keeps the last bytes of a container's output.
type logRing struct {
	mu      sync.Mutex
	entries []LogEntry // guarded by mu
	size    int        // guarded by mu; bytes of all entries
}

// writer returns where one of the streams goes.
func (l *logRing) writer(stderr bool) io.Writer { return logWriter{l, stderr} }

type logWriter struct {
	log    *logRing
	stderr bool
}

// Write implements io.Writer. It never fails.
func (w logWriter) Write(b []byte) (int, error) {
	for rest := b; len(rest) > 0; {
		n := min(len(rest), logChunk)
		w.log.add(w.stderr, rest[:n])
		rest = rest[n:]
	}
	return len(b), nil
}

func (l *logRing) add(stderr bool, b []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entries = append(l.entries, LogEntry{At: time.Now(), Stderr: stderr, Text: append([]byte(nil), b...)})
	l.size += len(b)
	for l.size > logLimit {
		l.size -= len(l.entries[0].Text)
		l.entries[0] = LogEntry{} // its text may go now; append moves the rest to the front at times
		l.entries = l.entries[1:]
	}
}

func (l *logRing) all() []LogEntry {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]LogEntry(nil), l.entries...)
}
