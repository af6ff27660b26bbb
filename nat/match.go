package nat

import (
	"strings"

	"github.com/netsim-lab/netsim/fabric/wire"
)

// view is what rules look at: a packet's headers, read once for each table.
type view struct {
	src, dst       uint32
	sport, dport   uint16
	proto          uint8
	ports          bool // sport and dport are valid
	first, second  byte // ICMP: type and code; TCP: flags
	packets, bytes uint64
	in, out        string
}

// look reads what rules look at from p. Interfaces that a hook cannot know yet are left out, as they are for packets in Linux.
func look(h Hook, p *Packet) (v view) {
	ip := p.Frame.IPv4()
	v = view{src: be.Uint32(ip[12:]), dst: be.Uint32(ip[16:]), proto: ip.Proto(), in: p.In, out: p.Out}
	if h == Prerouting || h == Input {
		v.out = ""
	}
	if h == Output || h == Postrouting {
		v.in = ""
	}
	link := len(p.Frame.Linear()) - len(ip)
	v.packets = uint64(p.Frame.Segs)
	v.bytes = uint64(p.Frame.WireLen() - int(p.Frame.Segs)*link)
	l4 := p.Frame.L4()
	if len(l4) < 8 {
		return v
	}
	switch v.proto {
	case wire.ProtoTCP:
		v.sport, v.dport, v.ports = be.Uint16(l4), be.Uint16(l4[2:]), true
		v.first = wire.TCP(l4).Flags()
	case wire.ProtoUDP:
		v.sport, v.dport, v.ports = be.Uint16(l4), be.Uint16(l4[2:]), true
	case wire.ProtoICMP:
		v.first, v.second, v.ports = l4[0], l4[1], true
	}
	return v
}

// prefix matches an address.
type prefix struct {
	addr, mask uint32
	not        bool
}

func (p prefix) match(a uint32) bool { return (a&p.mask == p.addr) != p.not }

// device matches an interface's name.
type device struct {
	name string
	wild bool // the name goes on
	set  bool
	not  bool
}

func (d *device) match(name string) bool {
	if d.wild {
		return strings.HasPrefix(name, d.name) != d.not
	}
	return (name == d.name) != d.not
}

// portRange matches a port.
type portRange struct {
	lo, hi   uint16
	set, not bool
}

func (r portRange) match(p uint16) bool { return !r.set || (p >= r.lo && p <= r.hi) != r.not }

// rule is one rule in the form that packets meet. It does not change once it is in a chain.
type rule struct {
	src, dst prefix
	in, out  device
	proto    uint8 // 0: any
	notProto bool
	frag     int8 // 1: later fragments only, -1: none of them
	matches  []match
	target   target

	text  string // as -S prints it, without -A and the chain's name
	head  string // the part of text that comes before the target, where -S -v puts counters
	count counter
}

// matches tells whether r is for the packet.
func (n *Netfilter) matches(r *rule, v *view, p *Packet) bool {
	if r.proto != 0 && (r.proto == v.proto) == r.notProto {
		return false
	}
	if !r.dst.match(v.dst) || !r.src.match(v.src) {
		return false
	}
	if r.in.set && !r.in.match(v.in) || r.out.set && !r.out.match(v.out) {
		return false
	}
	if r.frag != 0 && (p.Frame.IPv4().FragOffset() > 0) != (r.frag > 0) {
		return false
	}
	for i := range r.matches {
		if !n.matchOne(&r.matches[i], v, p) {
			return false
		}
	}
	return true
}

// matchKind is what -m names.
type matchKind uint8

const (
	matchTCP matchKind = iota
	matchUDP
	matchICMP
	matchConntrack
	matchState
	matchAddrtype
	matchMark
	matchIPVS
	matchComment
	matchMultiport

	matchKinds
)

var matchNames = [matchKinds]string{"tcp", "udp", "icmp", "conntrack", "state", "addrtype", "mark", "ipvs", "comment", "multiport"}

// match is one -m with its options.
type match struct {
	kind matchKind
	not  bool // of the condition, where there is one

	sport, dport portRange // tcp, udp
	value, mask  uint32    // mark; tcp flags (flags set: value of mask); icmp type and codes
	flags        bool      // tcp: flags are matched
	states       uint8     // conntrack, state
	src, dst     typeSet   // addrtype
	which        byte      // multiport: 's', 'd' or 'b' for both
	list         []portRange
	text         string // comment
}

// typeSet matches the type of an address.
type typeSet struct {
	types uint8 // bits of addrTypes; 0: not matched
	not   bool
}

// addrTypes are the types of addresses in the order of their bits.
var addrTypes = []string{"UNSPEC", "UNICAST", "LOCAL", "BROADCAST", "MULTICAST"}

const (
	typeUnspec = 1 << iota
	typeUnicast
	typeLocal
	typeBroadcast
	typeMulticast
)

// addrType returns the type of an address as the namespace's routes have it.
func (n *Netfilter) addrType(v uint32) uint8 {
	a := addr4(v)
	switch {
	case v == 0:
		return typeBroadcast // the routing code calls 0.0.0.0 broadcast
	case n.env.IsLocal(a):
		return typeLocal
	case a.IsMulticast():
		return typeMulticast
	case v == 0xffffffff || n.env.IsBroadcast(a):
		return typeBroadcast
	}
	return typeUnicast
}

// Extra bits of match.states, beside one for each State.
const (
	stateSNAT = 1 << 6
	stateDNAT = 1 << 7
)

func stateBits(p *Packet) uint8 {
	bits := uint8(1) << p.state
	if p.state == StateUnknown {
		bits = 1 << StateInvalid
	}
	if p.conn != nil {
		if p.conn.nat&natSrc != 0 {
			bits |= stateSNAT
		}
		if p.conn.nat&natDst != 0 {
			bits |= stateDNAT
		}
	}
	return bits
}

func (n *Netfilter) matchOne(m *match, v *view, p *Packet) bool {
	switch m.kind {
	case matchTCP, matchUDP:
		if !v.ports || !m.sport.match(v.sport) || !m.dport.match(v.dport) {
			return false
		}
		return !m.flags || (uint32(v.first)&m.mask == m.value) != m.not
	case matchICMP:
		lo, hi := byte(m.mask>>8), byte(m.mask)
		hit := m.value == anyICMP || uint32(v.first) == m.value && v.second >= lo && v.second <= hi
		return v.ports && hit != m.not
	case matchConntrack, matchState:
		return (m.states&stateBits(p) != 0) != m.not
	case matchAddrtype:
		return (m.src.types == 0 || (n.addrType(v.src)&m.src.types != 0) != m.src.not) &&
			(m.dst.types == 0 || (n.addrType(v.dst)&m.dst.types != 0) != m.dst.not)
	case matchMark:
		return (p.Mark&m.mask == m.value) != m.not
	case matchIPVS:
		return p.IPVS != m.not
	case matchMultiport:
		return v.ports && m.matchList(v) != m.not
	}
	return true
}

// anyICMP is the value of an icmp match for every type.
const anyICMP = 255

func (m *match) matchList(v *view) bool {
	for _, r := range m.list {
		if m.which != 'd' && r.match(v.sport) || m.which != 's' && r.match(v.dport) {
			return true
		}
	}
	return false
}

// targetKind is what -j names.
type targetKind uint8

const (
	targetNone targetKind = iota // counts, and goes on
	targetAccept
	targetDrop
	targetReturn
	targetJump
	targetReject
	targetMark
	targetLog
	targetNotrack
	targetDNAT
	targetSNAT
	targetMasquerade
	targetRedirect
)

// target is what a rule does.
type target struct {
	kind       targetKind
	name       string
	jump       *chain
	goTo       bool // -g: do not come back
	reject     Reject
	mark, mask uint32 // MARK: clear the bits of mask, then flip those of mark
	to         natRange
	persistent bool
	level      uint8  // LOG
	prefix     string // LOG
}

func (t *target) isNAT() bool { return t.kind >= targetDNAT }

// allowedAt tells whether the target can do its work for packets at all of the hooks.
func (t *target) allowedAt(hooks uint8) bool {
	allowed := uint8(1<<numHooks - 1)
	switch t.kind {
	case targetDNAT, targetRedirect:
		allowed = 1<<Prerouting | 1<<Output
	case targetSNAT:
		allowed = 1<<Postrouting | 1<<Input
	case targetMasquerade:
		allowed = 1 << Postrouting
	case targetReject:
		allowed = 1<<Input | 1<<Forward | 1<<Output
	}
	return hooks&^allowed == 0
}

// table returns the only table that the target works in; numTables if it does in all.
func (t *target) table() tableID {
	switch t.kind {
	case targetDNAT, targetSNAT, targetMasquerade, targetRedirect:
		return tableNAT
	case targetReject:
		return tableFilter
	case targetNotrack:
		return tableRaw
	}
	return numTables
}
