package virtual

import (
	"context"
	"encoding/binary"
	"io"
	"time"
)

// watch ends a process when it is told to, and gives it up when its clock stands still.
type watch struct {
	p       *process
	stall   time.Duration
	virtual time.Time // the process's time when it answered last
	moved   time.Time // when that was a new one, in real time
	gaveUp  bool
}

func newWatch(p *process, stall time.Duration) *watch {
	return &watch{p: p, stall: stall, moved: time.Now()}
}

// until returns what ended does. Meanwhile it asks the process for its time, again and again: it answers whenever its clock
// can jump.
func (w *watch) until(ctx context.Context, kill <-chan struct{}, ended <-chan error) error {
	times := make(chan time.Time)
	done := make(chan struct{})
	defer close(done)
	go readTimes(w.p.times, times, done)
	tick := time.NewTicker(max(w.stall/20, time.Millisecond))
	defer tick.Stop()
	stop := ctx.Done()
	var late <-chan time.Time
	for {
		select {
		case err := <-ended:
			return err
		case <-stop:
			_ = w.p.ask.Close() // the process ends
			grace := time.NewTimer(defaultGrace)
			defer grace.Stop()
			stop, late = nil, grace.C
		case <-late:
			w.kill()
		case <-kill:
			kill = nil
			w.kill()
		case t := <-times:
			if !t.Equal(w.virtual) {
				w.virtual, w.moved = t, time.Now()
			}
		case <-tick.C:
			if stop == nil || w.gaveUp {
				continue
			}
			if time.Since(w.moved) > w.stall {
				w.gaveUp = true
				w.kill()
				continue
			}
			w.askTime()
		}
	}
}

// askTime asks for the time; a process that has not read the last questions is not asked another.
func (w *watch) askTime() {
	_ = w.p.ask.SetWriteDeadline(time.Now().Add(time.Millisecond))
	_, _ = w.p.ask.Write([]byte{0}) // one that has ended is seen by its end
}

func (w *watch) kill() { _ = w.p.cmd.Process.Kill() } // or it has ended

// readTimes passes on what the process answers.
func readTimes(r io.Reader, times chan<- time.Time, done <-chan struct{}) {
	var b [8]byte
	for {
		if _, err := io.ReadFull(r, b[:]); err != nil {
			return
		}
		select {
		case times <- time.Unix(0, int64(binary.BigEndian.Uint64(b[:]))):
		case <-done:
			return
		}
	}
}
