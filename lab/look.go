package lab

import (
	"sync/atomic"
	"time"
)

// After a look that said no there is a pause of lookShare times as long as it took, within these bounds.
const (
	lookShare    = 9
	lookPause    = 5 * time.Millisecond
	lookPauseMax = 100 * time.Millisecond
)

func pauseAfter(took time.Duration) time.Duration {
	return min(max(lookShare*took, lookPause), lookPauseMax)
}

// look answers a question for all who ask at the same time with one look, and spends a tenth of one processor on it at most: a
// lab of a hundred hosts has a hundred tasks that want to know, time and again, what takes milliseconds to find out.
type look struct {
	ask   func() bool
	begun atomic.Uint64 // looks

	turn   chan struct{} // has room for who looks; the others wait
	number uint64        // of the last look; as what follows, of who has the turn
	answer bool
	took   time.Duration
	ended  time.Time
}

func newLook(ask func() bool) *look { return &look{ask: ask, turn: make(chan struct{}, 1)} }

// now tells whether the answer is yes, as it was found after now was called; a no may be a little older.
func (k *look) now() bool {
	asked := k.begun.Load()
	k.turn <- struct{}{}
	defer func() { <-k.turn }()
	if k.number > asked || k.number > 0 && !k.answer && time.Since(k.ended) < pauseAfter(k.took) {
		return k.answer
	}
	began := time.Now()
	k.number = k.begun.Add(1)
	k.answer = k.ask()
	k.ended = time.Now()
	k.took = k.ended.Sub(began)
	return k.answer
}
