package fabric

// line is a transmitter of a certain rate and the queue in front of it, as a calculation: it tells when a frame will
// have left. It reads no clock; times are nanoseconds of any one.
type line struct {
	free    int64  // when all that waits has left
	rest    uint64 // what the division left over, in billionths of a bit
	waiting []departure
	first   int // the first of waiting that has not left
	bytes   int
}

// departure is a frame that waits or is being sent.
type departure struct {
	at   int64
	size int
}

// send takes a frame of so many bytes at that time, and returns when it begins to leave and when it has left; false if
// there is no room. Times must not go back.
func (l *line) send(i *Impairment, size int, at int64) (begins, left int64, ok bool) {
	if i.Rate == 0 {
		return at, at, true
	}
	l.leave(at)
	room := i.QueueFrames
	if room == 0 {
		room = defaultQueue
	}
	if len(l.waiting)-l.first >= room || i.QueueBytes > 0 && l.bytes+size > i.QueueBytes {
		return 0, 0, false
	}
	if l.free < at {
		l.free, l.rest = at, 0
	}
	begins = l.free
	work := uint64(size)*8_000_000_000 + l.rest
	l.free += int64(work / i.Rate)
	l.rest = work % i.Rate
	l.waiting = append(l.waiting, departure{l.free, size})
	l.bytes += size
	return begins, l.free, true
}

// leave forgets what has left by then.
func (l *line) leave(at int64) {
	for l.first < len(l.waiting) && l.waiting[l.first].at <= at {
		l.bytes -= l.waiting[l.first].size
		l.first++
	}
	if l.first > len(l.waiting)/2 {
		l.waiting = l.waiting[:copy(l.waiting, l.waiting[l.first:])]
		l.first = 0
	}
}
