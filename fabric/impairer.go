package fabric

import "math/rand/v2"

// impairer applies an Impairment to the frames of one direction of a link. It reads no clock and starts nothing; times
// are nanoseconds of any one clock. It belongs to one goroutine.
type impairer struct {
	rng   *rand.Rand
	drops *Counters
	place string

	line line
	bad  bool  // the burst's state
	last int64 // when the last frame that keeps its place arrives
}

// passage is a frame and when it arrives.
type passage struct {
	at int64
	f  *Frame
}

// linkTime is how much time on a link with a rate the wire frames that go on as one train may take.
const linkTime = 1_000_000

// verdict is what becomes of one wire frame.
type verdict struct {
	dropped               DropReason // 0: it is not
	begins, at            int64      // when it begins to leave, and arrives
	corrupt, twice, moved bool
	luck                  luck
}

// alone tells whether the wire frame goes on by itself.
func (v *verdict) alone() bool { return v.corrupt || v.twice || v.moved }

// pass decides what becomes of a frame that is sent at that time, and appends what arrives to out. It uses the frame up.
func (m *impairer) pass(i *Impairment, f *Frame, at int64, out []passage) []passage {
	if i.MTU > 0 && !f.Fits(i.MTU) {
		large, rest := f.CutToFit(i.MTU)
		m.drops.Drop(large, DropMTU, m.place)
		if rest == nil {
			return out
		}
		f = rest
	}
	r := stretch{f: f, out: out}
	for n, size := range f.wireSizes {
		v := m.decide(i, size, at)
		switch {
		case v.dropped != 0:
			r.end()
			m.drops.lose(f, n, v.dropped, m.place)
		case v.alone():
			r.end()
			r.single(n, &v)
		default:
			r.add(n, &v, i)
		}
	}
	r.end()
	if !r.whole {
		f.Free()
	}
	return r.out
}

// lose counts wire frame n of f as dropped and shows it to those who watch, and leaves f to the caller.
func (c *Counters) lose(f *Frame, n int, reason DropReason, place string) {
	c.CountDrop(reason, 1)
	for _, tap := range c.dropTaps.all() {
		lost := f.SubTrain(n, 1)
		(*tap).Dropped(lost, reason, place)
		lost.Free()
	}
	if f.Trace != nil {
		f.Trace.dropped(f, place, reason)
	}
}

// wireSizes yields the length of each wire frame.
func (f *Frame) wireSizes(yield func(n, size int) bool) {
	if f.Segs <= 1 || f.MSS == 0 {
		yield(0, f.Len())
		return
	}
	hdr := f.headerLen(f.transport())
	data, mss := f.Len()-hdr, int(f.MSS)
	for n := range int(f.Segs) {
		if !yield(n, hdr+max(0, min(mss, data-n*mss))) {
			return
		}
	}
}

// decide draws the lot of one wire frame: one number, from which all that is random about it follows. So what is lost
// depends neither on the trains nor on what else is set.
func (m *impairer) decide(i *Impairment, size int, at int64) verdict {
	var v verdict
	if i.random() {
		v.luck = luck(m.rng.Uint64())
	}
	lost := v.luck.hits(lotLoss, i.Loss)
	if m.burst(&i.Burst, v.luck) {
		lost = true
	}
	begins, left, ok := m.line.send(i, size, at)
	switch {
	case !ok:
		v.dropped = DropRate
		return v
	case lost:
		v.dropped = DropLoss
		return v
	}
	v.begins = begins
	v.corrupt = v.luck.hits(lotCorrupt, i.Corrupt)
	v.twice = v.luck.hits(lotDuplicate, i.Duplicate)
	v.moved = v.luck.hits(lotReorder, i.Reorder)
	v.at = m.arrival(i, left, &v)
	return v
}

// burst tells whether the burst loses a wire frame, which may also change the state.
func (m *impairer) burst(b *Burst, l luck) bool {
	if b.P == 0 && b.Good == 0 {
		m.bad = false
		return false
	}
	if m.bad {
		m.bad = !l.hits(lotState, b.R)
	} else {
		m.bad = l.hits(lotState, b.P)
	}
	switch {
	case !m.bad:
		return l.hits(lotBurst, b.Good)
	case b.Bad == 0:
		return true
	}
	return l.hits(lotBurst, b.Bad)
}

// arrival returns when a wire frame arrives that has left then.
func (m *impairer) arrival(i *Impairment, left int64, v *verdict) int64 {
	if v.moved {
		if i.Delay > 0 {
			return left
		}
		return left + int64(ReorderHold)
	}
	at := left + int64(i.Delay)
	if i.Jitter > 0 {
		at = max(left, at+int64((2*v.luck.share(lotJitter)-1)*float64(i.Jitter)))
	}
	if !i.Overtake {
		at = max(at, m.last)
	}
	m.last = max(at, m.last)
	return at
}

// stretch collects wire frames of one train that go on together.
type stretch struct {
	f     *Frame
	out   []passage
	whole bool // the frame itself went on

	from, n    int
	begins, at int64
}

// add adds a wire frame to the stretch, or begins another.
func (r *stretch) add(n int, v *verdict, i *Impairment) {
	together := r.n > 0 && (v.at == r.at || i.Rate > 0 && i.Jitter == 0 && v.at-int64(i.Delay)-r.begins <= linkTime)
	if !together {
		r.end()
		r.from, r.begins = n, v.begins
	}
	r.n++
	r.at = v.at
}

// end lets the stretch go.
func (r *stretch) end() {
	if r.n == 0 {
		return
	}
	g := r.f
	if r.whole = r.n == int(r.f.Segs); !r.whole {
		g = r.f.SubTrain(r.from, r.n)
	}
	r.out = append(r.out, passage{r.at, g})
	r.n = 0
}

// single lets a wire frame go alone.
func (r *stretch) single(n int, v *verdict) {
	copies := 1
	if v.twice {
		copies = 2
	}
	for range copies {
		var g *Frame
		if v.corrupt {
			g = r.f.corrupted(n, v.luck.lot(lotBit))
		} else {
			g = r.f.SubTrain(n, 1)
		}
		r.out = append(r.out, passage{v.at, g})
	}
}

// corrupted returns a copy of a wire frame of which one bit is turned. Its checksum is that of what it was.
func (f *Frame) corrupted(n int, bit uint64) *Frame {
	b := f.AppendSegment(nil, n)
	if len(b) > 0 {
		bit %= uint64(len(b)) * 8
		b[bit/8] ^= 1 << (bit % 8)
	}
	g := FromBytes(b)
	g.Hops, g.At, g.Trace = f.Hops, f.At, f.Trace
	g.ParseEthernet() // what is wrong with it now the receiver finds out
	return g
}

// luck is the number drawn for one wire frame.
type luck uint64

// The lots: what is decided by the number, independently of each other.
const (
	lotLoss = iota
	lotState
	lotBurst
	lotCorrupt
	lotDuplicate
	lotReorder
	lotJitter
	lotBit
)

// lot returns the number of one lot; the first is the number itself, the others are mixed as in SplitMix64.
func (l luck) lot(n uint64) uint64 {
	if n == 0 {
		return uint64(l)
	}
	z := uint64(l) + n*0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// share returns a lot as a number from 0 to below 1.
func (l luck) share(n uint64) float64 { return float64(l.lot(n)>>11) / (1 << 53) }

// hits tells whether a lot is among that share.
func (l luck) hits(n uint64, share float64) bool { return share > 0 && l.share(n) < share }
