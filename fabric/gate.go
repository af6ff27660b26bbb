package fabric

// Gate decides on a frame that arrives at the end of a cable; 0 lets it pass. It runs on the cable's goroutine, must not
// block and must not keep the frame, whose linear part begins with an Ethernet header.
type Gate func(f *Frame) DropReason

// SetGate has g decide on every frame that arrives at this end; nil: all pass.
func (e *LinkEnd) SetGate(g Gate) {
	if g == nil {
		e.gate.Store(nil)
		return
	}
	e.gate.Store(&g)
}

// sift drops the frames that the gate does not let pass, and keeps the slice of the caller as it is.
func (e *LinkEnd) sift(g Gate, batch []*Frame) []*Frame {
	for i, f := range batch {
		reason := g(f)
		if reason == 0 {
			continue
		}
		kept := append(make([]*Frame, 0, len(batch)), batch[:i]...)
		e.Drop(f, reason, e.name)
		for _, f := range batch[i+1:] {
			if reason := g(f); reason != 0 {
				e.Drop(f, reason, e.name)
			} else {
				kept = append(kept, f)
			}
		}
		return kept
	}
	return batch
}
