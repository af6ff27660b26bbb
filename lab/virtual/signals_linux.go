//go:build faketime && (amd64 || arm64)

package virtual

import (
	_ "os/signal" // it sets watchSignalLoop before this package is initialized
	"sync/atomic"
	_ "unsafe" // for go:linkname
)

// watchSignalLoop is what the first call of signal.Notify starts: it waits for signals in a system call, for which the clock
// would stand still for ever. Libraries make such calls: Docker's service create has an eye on Ctrl-C while tasks start. The
// linker wants -checklinkname=0 for this.
//
//go:linkname watchSignalLoop os/signal.watchSignalLoop
var watchSignalLoop func()

// queue is the runtime's queue of signals, as runtime/sigqueue.go has it for 65 signals.
//
//go:linkname queue runtime.sig
var queue struct {
	_     uintptr      // note
	_     [4][3]uint32 // mask, wanted, ignored, recv
	state uint32
}

// sigReceiving is the state that signal.Stop waits for: nobody is busy with a signal.
const sigReceiving = 1

// noSignals has nobody wait for signals: signal.Notify and signal.Stop return at once and do nothing. What this leans on
// within Go is held by a test.
func noSignals() {
	watchSignalLoop = func() { atomic.StoreUint32(&queue.state, sigReceiving) }
}
