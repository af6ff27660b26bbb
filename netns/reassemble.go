package netns

import (
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/wire"
)

// Bounds of reassembly (Linux's net.ipv4.ipfrag_time and ipfrag_high_thresh).
const (
	reassemblyTime  = 30 * time.Second
	reassemblyBytes = 4 << 20
	// partCost is what a part takes besides its bytes, so that many small ones are bounded too.
	partCost = 128
	// expireEvery is how often expired packets are looked for.
	expireEvery = time.Second
)

// fragKey is what the fragments of one packet share (RFC 791 section 3.2).
type fragKey struct {
	src, dst netip.Addr
	id       uint16
	proto    byte
}

// partial is a packet of which some fragments have come.
type partial struct {
	born  int64
	parts []part // by offset, without overlap
	size  int    // bytes of the body that came
	total int    // of the whole body; -1 until the last fragment came
	head  []byte // the header of the first fragment
}

type part struct {
	off  int
	body []byte
}

// cost is the memory that a partial packet holds.
func (p *partial) cost() int { return p.size + len(p.parts)*partCost }

// reassembler puts fragments together. Its zero value is ready.
type reassembler struct {
	mu      sync.Mutex
	m       map[fragKey]*partial // guarded by mu
	bytes   int                  // guarded by mu: the cost of all
	expired int64                // guarded by mu: when expire last ran
}

// add takes a fragment and returns the whole packet, parsed, once it is complete; else nil. Time is Unix nanoseconds.
func (r *reassembler) add(f *fabric.Frame, at int64, c *fabric.Counters, place string) *fabric.Frame {
	packet := f.AppendTo(nil)
	h := wire.IPv4(packet)
	hdr := h.HeaderLen()
	body, off, more := packet[hdr:], h.FragOffset(), h.MF()
	if len(body) == 0 || more && len(body)%8 != 0 || hdr+off+len(body) > 65535 {
		c.Drop(f, fabric.DropMalformed, place)
		return nil
	}
	key := fragKey{h.Src(), h.Dst(), h.ID(), h.Proto()}
	r.mu.Lock()
	expired := r.expire(at)
	p, dropped, ok := r.insert(key, packet[:hdr], part{off, body}, more, at)
	r.mu.Unlock()
	if expired+dropped > 0 {
		c.CountDrop(fabric.DropReassembly, uint64(expired+dropped))
	}
	if !ok {
		c.Drop(f, fabric.DropReassembly, place)
		return nil
	}
	trace, hops := f.Trace, f.Hops
	f.Free()
	if p == nil {
		return nil
	}
	if len(p.head)+p.total > 65535 { // the first fragment has the longest header
		c.CountDrop(fabric.DropMalformed, uint64(len(p.parts)))
		return nil
	}
	whole := p.packet()
	whole.Trace, whole.Hops = trace, hops
	if reason := whole.Parse3(wire.TypeIPv4, 0); reason != 0 {
		c.Drop(whole, reason, place)
		return nil
	}
	return whole
}

// insert notes a part. It returns the packet if that is complete now, and how many parts that came before are given up
// because this one contradicts them. False: the part is given up.
func (r *reassembler) insert(key fragKey, head []byte, q part, more bool, at int64) (whole *partial, dropped int, ok bool) {
	p := r.m[key]
	if r.bytes+len(q.body)+partCost > reassemblyBytes {
		return nil, 0, false
	}
	if p == nil {
		if r.m == nil {
			r.m = make(map[fragKey]*partial)
		}
		p = &partial{born: at, total: -1}
		r.m[key] = p
	}
	r.bytes -= p.cost()
	if !p.insert(q, more) {
		delete(r.m, key)
		return nil, len(p.parts), false
	}
	if q.off == 0 {
		p.head = head
	}
	if p.size == p.total && p.head != nil {
		delete(r.m, key)
		return p, 0, true
	}
	r.bytes += p.cost()
	return nil, 0, true
}

// insert adds a part. False: it contradicts or overlaps what came before; such a packet is dropped whole, as RFC 5722
// demands of IPv6 and Linux does for both.
func (p *partial) insert(q part, more bool) bool {
	end := q.off + len(q.body)
	if !more {
		if p.total >= 0 && p.total != end {
			return false
		}
		if n := len(p.parts); n > 0 && p.parts[n-1].off+len(p.parts[n-1].body) > end {
			return false
		}
		p.total = end
	}
	if p.total >= 0 && end > p.total {
		return false
	}
	n, found := slices.BinarySearchFunc(p.parts, q.off, func(a part, off int) int { return a.off - off })
	if found {
		return len(p.parts[n].body) == len(q.body) // a copy
	}
	if n > 0 && p.parts[n-1].off+len(p.parts[n-1].body) > q.off || n < len(p.parts) && p.parts[n].off < end {
		return false
	}
	p.parts = slices.Insert(p.parts, n, q)
	p.size += len(q.body)
	return true
}

func (p *partial) packet() *fabric.Frame {
	body := make([]byte, 0, p.total)
	for _, q := range p.parts {
		body = append(body, q.body...)
	}
	return fragmentOf(p.head, body, 0, false)
}

// expire gives up what has waited too long and returns how many parts that was.
func (r *reassembler) expire(at int64) (dropped int) {
	if at-r.expired < int64(expireEvery) {
		return 0
	}
	r.expired = at
	for key, p := range r.m {
		if at-p.born > int64(reassemblyTime) {
			delete(r.m, key)
			r.bytes -= p.cost()
			dropped += len(p.parts)
		}
	}
	return dropped
}

func (r *reassembler) flush() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.m, r.bytes = nil, 0
}
