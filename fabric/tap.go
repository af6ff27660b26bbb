package fabric

// Direction is the way a frame passes an interface.
type Direction uint8

// The directions, as the interface's owner sees them.
const (
	In  Direction = iota // it was received
	Out                  // it is being sent
)

// String returns "in" or "out".
func (d Direction) String() string {
	if d == Out {
		return "out"
	}
	return "in"
}

// Tap looks at the frames that pass an interface.
type Tap interface {
	// Tap is called on the data path, from several goroutines at once. It must neither block nor change f, and must
	// not keep it after it returned; a Clone it may keep.
	Tap(dir Direction, f *Frame)
}

// batchTap is a Tap that is better off with a whole batch; it keeps to the same contract.
type batchTap interface {
	tapAll(dir Direction, batch []*Frame)
}

// TapFunc makes a function a Tap.
type TapFunc func(dir Direction, f *Frame)

// Tap calls t.
func (t TapFunc) Tap(dir Direction, f *Frame) { t(dir, f) }

// Taps are the taps of one interface. The zero value has none and costs one atomic load per batch. All methods may be
// called at once from several goroutines.
type Taps struct{ watchers[Tap] }

// See shows a batch to all taps. The frames stay the caller's.
func (t *Taps) See(dir Direction, batch []*Frame) {
	if l := t.list.Load(); l != nil {
		show(*l, dir, batch)
	}
}

func show(taps []*Tap, dir Direction, batch []*Frame) {
	for _, tap := range taps {
		if b, ok := (*tap).(batchTap); ok {
			b.tapAll(dir, batch)
			continue
		}
		for _, f := range batch {
			(*tap).Tap(dir, f)
		}
	}
}
