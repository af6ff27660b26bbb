package esp

// WindowSize is how many sequence numbers a Window looks back. Linux's default is none at all, which is what libnetwork
// leaves its associations with (X11), and 4096 the most that it allows (XFRMA_REPLAY_ESN_MAX). This is so many because whole
// trains of several flows overtake each other on their way to the wire.
const WindowSize = 4096

const (
	wordBits = 64
	words    = 2 * WindowSize / wordBits // twice as many, so that words are cleared as a whole (RFC 6479)
)

// Window tells packets that were there already from new ones (RFC 4303 section 3.4.3), with a ring of bits as in RFC 6479. It
// takes no lock. The zero Window has seen nothing.
type Window struct {
	top  uint32 // the highest number seen
	bits [words]uint64
}

// Check tells whether seq may be new. Only Mark, once the packet has proven right, makes it seen.
func (w *Window) Check(seq uint32) bool {
	switch {
	case seq == 0: // the first packet has number 1
		return false
	case seq > w.top:
		return true
	case w.top-seq >= WindowSize:
		return false
	}
	return w.bits[seq/wordBits%words]&(1<<(seq%wordBits)) == 0
}

// Mark notes that seq was seen; false if it was there already or is too old.
func (w *Window) Mark(seq uint32) bool {
	if !w.Check(seq) {
		return false
	}
	if seq > w.top {
		was, is := w.top/wordBits, seq/wordBits
		for i := range min(is-was, words) {
			w.bits[(is-i)%words] = 0
		}
		w.top = seq
	}
	w.bits[seq/wordBits%words] |= 1 << (seq % wordBits)
	return true
}

// Top returns the highest number seen.
func (w *Window) Top() uint32 { return w.top }
