package ipam

import (
	"fmt"
	"net/netip"
)

// Pool is a subnet whose addresses are handed out. The network's own address and the broadcast address never are,
// unless the subnet is a /31 or a /32, which has neither.
type Pool struct {
	subnet       netip.Prefix
	limit        netip.Prefix
	first, last  uint32 // of the subnet's addresses that can be given
	lo, hi       uint32 // of those that are chosen from
	low          uint32 // no address from lo up to here is free
	serial       bool
	after        uint32 // serial: where the search goes on
	taken        map[uint32]struct{}
	takenInRange int
}

func newPool(subnet netip.Prefix) *Pool {
	p := &Pool{subnet: subnet, taken: make(map[uint32]struct{})}
	p.first, p.last = bounds(subnet)
	if subnet.Bits() < 31 {
		p.first++
		p.last--
	}
	p.setRange(subnet)
	return p
}

// bounds returns the first and the last address of a prefix.
func bounds(p netip.Prefix) (first, last uint32) {
	first = number(p.Masked().Addr())
	return first, first + uint32(span(p.Bits())-1)
}

// Subnet returns the pool's prefix.
func (p *Pool) Subnet() netip.Prefix { return p.subnet }

// Range returns the part of the pool that addresses are chosen from, the whole of it unless SetRange said otherwise.
func (p *Pool) Range() netip.Prefix { return p.limit }

// SetRange limits the choice of addresses to a part of the pool. One that is asked for by name may lie anywhere in it.
func (p *Pool) SetRange(r netip.Prefix) error {
	if !r.IsValid() || !r.Addr().Is4() || r.Bits() < p.subnet.Bits() || !p.subnet.Contains(r.Addr()) {
		return fmt.Errorf("%w: %s is not a part of %s", ErrInvalidRange, r, p.subnet)
	}
	p.setRange(r.Masked())
	return nil
}

func (p *Pool) setRange(r netip.Prefix) {
	p.limit = r
	p.lo, p.hi = bounds(r)
	p.lo, p.hi = max(p.lo, p.first), min(p.hi, p.last)
	p.low, p.after = p.lo, p.lo
	p.takenInRange = 0
	for n := range p.taken {
		if p.inRange(n) {
			p.takenInRange++
		}
	}
}

// SetSerial says that an address is chosen after the last one given, and not the lowest that is free.
func (p *Pool) SetSerial(on bool) { p.serial = on }

func (p *Pool) inRange(n uint32) bool { return n >= p.lo && n <= p.hi }

// Request takes an address: addr or, if that is the zero Addr, the next one.
func (p *Pool) Request(addr netip.Addr) (netip.Addr, error) {
	if !addr.IsValid() {
		n, ok := p.choose()
		if !ok {
			return netip.Addr{}, ErrNoAddress
		}
		p.take(n)
		return address(n), nil
	}
	addr = addr.Unmap()
	if !addr.Is4() || !p.subnet.Contains(addr) {
		return netip.Addr{}, ErrOutOfRange
	}
	n := number(addr)
	if n < p.first || n > p.last {
		return netip.Addr{}, ErrOutOfRange
	}
	if _, ok := p.taken[n]; ok {
		return netip.Addr{}, ErrAddressInUse
	}
	p.take(n)
	return addr, nil
}

// Release gives an address back. It reports whether it was in use.
func (p *Pool) Release(addr netip.Addr) bool {
	addr = addr.Unmap()
	if !addr.Is4() {
		return false
	}
	n := number(addr)
	if _, ok := p.taken[n]; !ok {
		return false
	}
	delete(p.taken, n)
	if p.inRange(n) {
		p.takenInRange--
		p.low = min(p.low, n)
	}
	return true
}

// InUse returns how many addresses are taken.
func (p *Pool) InUse() int { return len(p.taken) }

func (p *Pool) take(n uint32) {
	p.taken[n] = struct{}{}
	if p.inRange(n) {
		p.takenInRange++
	}
}

// choose returns the address to give next.
func (p *Pool) choose() (uint32, bool) {
	if p.lo > p.hi || uint64(p.takenInRange) > uint64(p.hi-p.lo) {
		return 0, false
	}
	if p.serial {
		n := p.freeFrom(p.after)
		p.after = n + 1
		return n, true
	}
	p.low = p.freeFrom(p.low)
	return p.low, true
}

// freeFrom returns the first free address from n on, going round at the end of the range. There is one.
func (p *Pool) freeFrom(n uint32) uint32 {
	for {
		if !p.inRange(n) {
			n = p.lo
		}
		if _, ok := p.taken[n]; !ok {
			return n
		}
		n++
	}
}
