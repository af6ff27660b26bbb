package ipam

import (
	"fmt"
	"iter"
	"net/netip"
	"slices"
)

// Range is a range of addresses that is cut into pools of one size, each with a prefix of Bits bits.
type Range struct {
	Base netip.Prefix
	Bits int
}

// Local returns the ranges of networks of one host: 172.17.0.0/16 to 172.31.0.0/16, then 192.168.0.0/20 to
// 192.168.240.0/20, 31 pools in all.
func Local() []Range {
	return []Range{
		{netip.MustParsePrefix("172.17.0.0/16"), 16},
		{netip.MustParsePrefix("172.18.0.0/16"), 16},
		{netip.MustParsePrefix("172.19.0.0/16"), 16},
		{netip.MustParsePrefix("172.20.0.0/14"), 16},
		{netip.MustParsePrefix("172.24.0.0/14"), 16},
		{netip.MustParsePrefix("172.28.0.0/14"), 16},
		{netip.MustParsePrefix("192.168.0.0/16"), 20},
	}
}

// Global returns the range of networks of a swarm: 10.0.0.0/8 in pools of 256 addresses.
func Global() []Range { return []Range{{netip.MustParsePrefix("10.0.0.0/8"), 24}} }

// Allocator is an address space: it keeps the pools that are in use, so that no two of them overlap.
type Allocator struct {
	ranges []Range
	pools  []*Pool // by address
}

// New returns an address space without pools, whose predefined ones come from ranges in their order. Ranges that make no
// sense (not IPv4, or cut into pools larger than themselves) are left out.
func New(ranges ...Range) *Allocator {
	a := &Allocator{}
	for _, r := range ranges {
		if r.Base.IsValid() && r.Base.Addr().Is4() && r.Bits >= r.Base.Bits() && r.Bits <= 32 {
			a.ranges = append(a.ranges, Range{Base: r.Base.Masked(), Bits: r.Bits})
		}
	}
	return a
}

// RequestPool takes a pool into use: subnet or, if that is the zero Prefix, the first predefined one that overlaps
// neither a pool in use nor one of avoid. A given subnet is not held against avoid.
func (a *Allocator) RequestPool(subnet netip.Prefix, avoid []netip.Prefix) (*Pool, error) {
	if subnet == (netip.Prefix{}) {
		free, ok := a.firstFree(avoid)
		if !ok {
			return nil, ErrNoPool
		}
		return a.insert(free), nil
	}
	if !subnet.IsValid() || !subnet.Addr().Is4() || subnet != subnet.Masked() {
		return nil, fmt.Errorf("%w: %s", ErrInvalidPool, subnet)
	}
	if _, taken := a.overlapping(subnet); taken {
		return nil, ErrPoolOverlap
	}
	return a.insert(subnet), nil
}

// ReleasePool gives a pool back, with all addresses in it. The next request may get it.
func (a *Allocator) ReleasePool(p *Pool) error {
	i := slices.Index(a.pools, p)
	if i < 0 {
		return ErrUnknownPool
	}
	a.pools = slices.Delete(a.pools, i, i+1)
	return nil
}

// Pools returns the pools in use by address.
func (a *Allocator) Pools() []*Pool { return slices.Clone(a.pools) }

func (a *Allocator) insert(subnet netip.Prefix) *Pool {
	p := newPool(subnet)
	i, _ := slices.BinarySearchFunc(a.pools, subnet, func(q *Pool, s netip.Prefix) int { return q.subnet.Addr().Compare(s.Addr()) })
	a.pools = slices.Insert(a.pools, i, p)
	return p
}

// overlapping returns a pool in use that shares addresses with subnet.
func (a *Allocator) overlapping(subnet netip.Prefix) (netip.Prefix, bool) {
	for _, p := range a.pools {
		if p.subnet.Overlaps(subnet) {
			return p.subnet, true
		}
	}
	return netip.Prefix{}, false
}

// firstFree returns the first predefined pool that is free.
func (a *Allocator) firstFree(avoid []netip.Prefix) (netip.Prefix, bool) {
	for _, r := range a.ranges {
		if free, ok := a.freeIn(r, avoid); ok {
			return free, true
		}
	}
	return netip.Prefix{}, false
}

// freeIn returns the first free pool of a range. Behind a pool that is taken it goes on where the larger of the two
// ends, so that a large obstacle is passed in one step.
func (a *Allocator) freeIn(r Range, avoid []netip.Prefix) (netip.Prefix, bool) {
	next := uint64(number(r.Base.Addr()))
	end := next + span(r.Base.Bits())
	for next < end {
		candidate := netip.PrefixFrom(address(uint32(next)), r.Bits)
		obstacle, taken := a.obstacle(candidate, avoid)
		if !taken {
			return candidate, true
		}
		past := uint64(number(obstacle.Masked().Addr())) + span(obstacle.Bits())
		size := span(r.Bits)
		next = max(next+size, (past+size-1)/size*size)
	}
	return netip.Prefix{}, false
}

func (a *Allocator) obstacle(candidate netip.Prefix, avoid []netip.Prefix) (netip.Prefix, bool) {
	if p, taken := a.overlapping(candidate); taken {
		return p, true
	}
	for _, p := range avoid {
		if p.IsValid() && p.Addr().Is4() && p.Overlaps(candidate) {
			return p, true
		}
	}
	return netip.Prefix{}, false
}

// Predefined returns the predefined pools in their order, used or not.
func (a *Allocator) Predefined() iter.Seq[netip.Prefix] {
	return func(yield func(netip.Prefix) bool) {
		for _, r := range a.ranges {
			first := uint64(number(r.Base.Addr()))
			for at := first; at < first+span(r.Base.Bits()); at += span(r.Bits) {
				if !yield(netip.PrefixFrom(address(uint32(at)), r.Bits)) {
					return
				}
			}
		}
	}
}

// span is how many addresses a prefix of that length has.
func span(bits int) uint64 { return 1 << (32 - bits) }

func number(a netip.Addr) uint32 {
	b := a.As4()
	return uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
}

func address(n uint32) netip.Addr {
	return netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
}
