package lb

import (
	"encoding/binary"

	"github.com/netsim-lab/netsim/fabric/wire"
)

// quote is the packet that an ICMP error is about, as far as the error holds it.
type quote struct {
	icmp  wire.ICMP
	l4    int // offset of the quoted ports in icmp
	tuple struct {
		proto    byte
		src, dst endpoint
	}
}

// readQuote returns the TCP or UDP packet that an ICMP error quotes; false if m is no error or quotes something else.
func readQuote(m wire.ICMP) (quote, bool) {
	q := quote{icmp: m}
	if m == nil || !m.IsError() {
		return q, false
	}
	h, err := wire.ParseIPv4(m[wire.ICMPLen:])
	if err != nil || h.FragOffset() > 0 || (h.Proto() != wire.ProtoTCP && h.Proto() != wire.ProtoUDP) {
		return q, false
	}
	q.l4 = wire.ICMPLen + h.HeaderLen()
	if len(m) < q.l4+4 {
		return q, false
	}
	q.tuple.proto = h.Proto()
	q.tuple.src = endpoint(binary.BigEndian.Uint32(h[12:]))<<16 | endpoint(binary.BigEndian.Uint16(m[q.l4:]))
	q.tuple.dst = endpoint(binary.BigEndian.Uint32(h[16:]))<<16 | endpoint(binary.BigEndian.Uint16(m[q.l4+2:]))
	return q, true
}

func (q *quote) setSrc(to endpoint) { q.set(12, 0, to) }

func (q *quote) setDst(to endpoint) { q.set(16, 2, to) }

// set rewrites an address and port of the quoted packet, mends the quoted IP checksum and that of the message. The
// quoted TCP or UDP checksum stays as it was, which is what Linux does: what it covers is not all there.
func (q *quote) set(addr, port int, to endpoint) {
	const ip = wire.ICMPLen
	sum := binary.BigEndian.Uint16(q.icmp[ip+10:])
	for i, word := range [2]uint16{uint16(to >> 32), uint16(to >> 16)} {
		at := ip + addr + 2*i
		sum = wire.Adjust16(sum, binary.BigEndian.Uint16(q.icmp[at:]), word)
		q.put(at, word)
	}
	q.put(ip+10, sum)
	q.put(q.l4+port, to.port())
}

// put writes one word and mends the message's checksum for it.
func (q *quote) put(at int, word uint16) {
	old := binary.BigEndian.Uint16(q.icmp[at:])
	binary.BigEndian.PutUint16(q.icmp[at:], word)
	sum := wire.Adjust16(binary.BigEndian.Uint16(q.icmp[2:]), old, word)
	binary.BigEndian.PutUint16(q.icmp[2:], sum)
}

// relatedRequest finds the connection of an error that a client sent about a packet from the virtual address.
func (t *Table) relatedRequest(q quote, at int64) (real endpoint, ok bool) {
	c := t.lookup(t.requests, makeTuple(q.tuple.proto, q.tuple.dst, q.tuple.src), at)
	if c == nil {
		return 0, false
	}
	return c.real, true
}

// relatedReply finds the connection of an error about a packet that went to a real server.
func (t *Table) relatedReply(q quote, at int64) (virtual endpoint, ok bool) {
	c := t.lookup(t.replies, makeTuple(q.tuple.proto, q.tuple.dst, q.tuple.src), at)
	if c == nil {
		return 0, false
	}
	return c.virtual, true
}
