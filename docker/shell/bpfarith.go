package shell

import (
	"fmt"
	"strconv"

	"github.com/netsim-lab/netsim/fabric/wire"
)

// number32 is a number that a filter computes of a packet, as BPF does: of 32 bits, without a sign.
type number32 struct {
	of    func(k *packet) uint32
	needs []predicate // the protocols that the packet must have; if not, what compares the number does not hold
}

func constant(n uint32) number32 { return number32{of: func(*packet) uint32 { return n }} }

// filterNames are the numbers that have a name in comparisons.
var filterNames = map[string]uint32{"tcpflags": 13, "icmptype": 0, "icmpcode": 1, "tcp-fin": 1, "tcp-syn": 2, "tcp-rst": 4, "tcp-push": 8, "tcp-ack": 16,
	"tcp-urg": 32, "tcp-ece": 64, "tcp-cwr": 128, "icmp-echoreply": 0, "icmp-unreach": 3, "icmp-sourcequench": 4, "icmp-redirect": 5, "icmp-echo": 8,
	"icmp-timxceed": 11, "icmp-paramprob": 12, "icmp-tstamp": 13, "icmp-tstampreply": 14}

// filterOperators are the binary operators by how they bind, the loosest first. BPF ends with a packet that it would divide
// by zero for.
var filterOperators = []map[string]func(k *packet, a, b uint32) uint32{
	{"|": func(_ *packet, a, b uint32) uint32 { return a | b }},
	{"^": func(_ *packet, a, b uint32) uint32 { return a ^ b }},
	{"&": func(_ *packet, a, b uint32) uint32 { return a & b }},
	{"<<": func(_ *packet, a, b uint32) uint32 { return a << b }, ">>": func(_ *packet, a, b uint32) uint32 { return a >> b }},
	{"+": func(_ *packet, a, b uint32) uint32 { return a + b }, "-": func(_ *packet, a, b uint32) uint32 { return a - b }},
	{"*": func(_ *packet, a, b uint32) uint32 { return a * b },
		"/": func(k *packet, a, b uint32) uint32 {
			if b == 0 {
				k.ends = true
				return 0
			}
			return a / b
		},
		"%": func(k *packet, a, b uint32) uint32 {
			if b == 0 {
				k.ends = true
				return 0
			}
			return a % b
		}},
}

// relation reads a comparison of two numbers, if there is one: of bytes of headers, len and constants. If there is none,
// no token is taken.
func (p *filterParser) relation() (f predicate, ok bool) {
	before := p.tokens
	a, err := p.arithmetic(0)
	if err == nil {
		how := p.next()
		compare := filterRelations[how]
		if b, err := p.arithmetic(0); compare != nil && err == nil {
			needs := append(append([]predicate{}, a.needs...), b.needs...)
			return func(k *packet) bool {
				for _, need := range needs {
					if !need(k) {
						return false
					}
				}
				x := a.of(k)
				return compare(x, b.of(k)) && !k.ends
			}, true
		}
	}
	p.tokens = before
	return nil, false
}

var filterRelations = map[string]func(a, b uint32) bool{
	"=": func(a, b uint32) bool { return a == b }, "!=": func(a, b uint32) bool { return a != b },
	">": func(a, b uint32) bool { return a > b }, "<": func(a, b uint32) bool { return a < b },
	">=": func(a, b uint32) bool { return a >= b }, "<=": func(a, b uint32) bool { return a <= b },
}

// arithmetic reads a number with operators of a level, or of one that binds closer.
func (p *filterParser) arithmetic(level int) (number32, error) {
	if level == len(filterOperators) {
		return p.operand()
	}
	left, err := p.arithmetic(level + 1)
	for err == nil {
		op := filterOperators[level][p.peek()]
		if op == nil {
			return left, nil
		}
		p.next()
		var right number32
		if right, err = p.arithmetic(level + 1); err == nil {
			a, b := left.of, right.of
			// As in libpcap only the left one's protocols are asked for: tcpdump takes a UDP packet for ip[0] - tcp[0] = 1.
			left.of = func(k *packet) uint32 { x := a(k); return op(k, x, b(k)) }
		}
	}
	return left, err
}

// operand reads a number: a constant, len, bytes of a header, or arithmetic in parentheses.
func (p *filterParser) operand() (number32, error) {
	if p.depth++; p.depth > maxFilterDepth {
		p.depth--
		return number32{}, fmt.Errorf("%w: nested too deep", errFilter)
	}
	defer func() { p.depth-- }()
	word := p.next()
	switch {
	case word == "(":
		n, err := p.arithmetic(0)
		if err == nil && !p.take(")") {
			err = errFilter
		}
		return n, err
	case word == "-":
		n, err := p.operand()
		return number32{func(k *packet) uint32 { return -n.of(k) }, n.needs}, err
	case word == "len":
		return number32{of: func(k *packet) uint32 { return uint32(len(k.raw)) }}, nil
	case p.peek() == "[" && (protocols[word] != nil || word == "ether"):
		p.next()
		return p.bytes(word)
	}
	if n, ok := filterNames[word]; ok {
		return constant(n), nil
	}
	n, err := strconv.ParseUint(word, 0, 32)
	if err != nil {
		return number32{}, errFilter
	}
	return constant(uint32(n)), nil
}

// bytes reads OFFSET:SIZE ], behind a protocol and a bracket.
func (p *filterParser) bytes(proto string) (number32, error) {
	offset, err := p.arithmetic(0)
	if err != nil {
		return number32{}, err
	}
	size := uint64(1)
	if p.take(":") {
		size, err = strconv.ParseUint(p.next(), 0, 8)
	}
	if err != nil || size != 1 && size != 2 && size != 4 || !p.take("]") {
		return number32{}, errFilter
	}
	return number32{
		func(k *packet) uint32 {
			begin, ok := k.headerAt(proto)
			at := uint64(begin) + uint64(offset.of(k))
			if !ok || at+size > uint64(len(k.raw)) {
				k.ends = true // as BPF ends with a packet that is too short
				return 0
			}
			v := uint32(0)
			for _, x := range k.raw[at : at+size] {
				v = v<<8 | uint32(x)
			}
			return v
		},
		append(offset.needs, func(k *packet) bool { return k.hasHeader(proto) }),
	}, nil
}

// hasHeader tells whether the packet begins with, or carries, a header of a protocol.
func (p *packet) hasHeader(proto string) bool {
	switch {
	case proto == "ether":
		return true
	case !protocols[proto](p):
		return false
	}
	return p.ip == nil || proto == "ip" || p.ip.FragOffset() == 0
}

// headerAt returns where a header of a protocol would begin in the packet; false if it is too short to tell.
func (p *packet) headerAt(proto string) (at int, ok bool) {
	switch {
	case proto == "ether":
		return 0, true
	case p.eth == nil:
		return 0, false
	case proto == "ip" || proto == "arp" || proto == "ip6":
		return p.eth.Len(), true
	case len(p.raw) <= p.eth.Len():
		return 0, false
	}
	return p.eth.Len() + int(p.raw[p.eth.Len()]&0xf)*4, true
}

// groupTest is broadcast and multicast: of frames, or with ip of the addresses in packets.
func groupTest(word string) predicate {
	return func(k *packet) bool {
		if k.eth == nil {
			return false
		}
		dst := k.eth.Dst()
		return word == "broadcast" && dst == wire.Broadcast || word == "multicast" && dst.IsMulticast()
	}
}

// ipMulticast is ip multicast: the first byte of the destination is 224 or more.
func ipMulticast(k *packet) bool { return k.ip != nil && k.ip.Dst().As4()[0] >= 224 }
