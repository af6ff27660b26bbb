package dns

import (
	"encoding/binary"
	"net/netip"

	mdns "github.com/miekg/dns"
)

// newReply returns an empty reply of a server that recurses and has no authority.
func newReply(req *mdns.Msg) *mdns.Msg {
	resp := new(mdns.Msg).SetReply(req)
	resp.RecursionAvailable = true
	return resp
}

// newFailure returns a reply with a code that says why there is no answer.
func newFailure(req *mdns.Msg, rcode int) *mdns.Msg {
	resp := newReply(req)
	resp.Rcode = rcode
	return resp
}

// refuseOdd returns the reply to a message that is no ordinary query, nil if it is one.
func refuseOdd(req *mdns.Msg) *mdns.Msg {
	switch {
	case req.Opcode != mdns.OpcodeQuery:
		return newFailure(req, mdns.RcodeNotImplemented)
	case len(req.Question) != 1:
		return newFailure(req, mdns.RcodeFormatError)
	}
	return nil
}

// addrRecords returns a record for each address of the family asked for, in an order that seed decides.
func addrRecords(q mdns.Question, addrs []netip.Addr, ttl uint32, seed uint64) []mdns.RR {
	header := mdns.RR_Header{Name: q.Name, Rrtype: q.Qtype, Class: mdns.ClassINET, Ttl: ttl}
	want := rdataLen(q.Qtype)
	var records []mdns.RR
	for _, addr := range addrs {
		switch {
		case want == 0 || addr.BitLen() != 8*want:
		case q.Qtype == mdns.TypeA:
			records = append(records, &mdns.A{Hdr: header, A: addr.AsSlice()})
		default:
			records = append(records, &mdns.AAAA{Hdr: header, AAAA: addr.AsSlice()})
		}
	}
	shuffle(seed, len(records), func(i, j int) { records[i], records[j] = records[j], records[i] })
	return records
}

// ptrRecord returns the record that answers a reverse query with name.
func ptrRecord(q mdns.Question, name string, ttl uint32) mdns.RR {
	return &mdns.PTR{
		Hdr: mdns.RR_Header{Name: q.Name, Rrtype: mdns.TypePTR, Class: mdns.ClassINET, Ttl: ttl},
		Ptr: name,
	}
}

// packReply returns resp as it goes on the wire by t, cut to what the asker takes. It returns nil for no reply.
func packReply(resp, req *mdns.Msg, t transport) []byte {
	if resp == nil {
		return nil
	}
	size := minUDPSize
	if opt := req.IsEdns0(); opt != nil {
		size = clampUDPSize(int(opt.UDPSize()))
	}
	limit := t.limit(size)
	resp.Compress = true
	if resp.Len() > limit {
		truncated := resp.Truncated
		resp.Truncate(limit)
		if t == overTCP {
			resp.Truncated = truncated
		}
	}
	if wire, err := resp.Pack(); err == nil {
		return wire
	}
	// A name or record that has no form on the wire: the question, which came off the wire, has one.
	wire, err := newFailure(req, mdns.RcodeServerFailure).Pack()
	if err != nil {
		return nil
	}
	return wire
}

// malformedReply returns the FORMERR that answers a message that cannot be read, nil if it is a reply or too short.
func malformedReply(msg []byte) []byte {
	if len(msg) < headerLen {
		return nil
	}
	flags := binary.BigEndian.Uint16(msg[2:])
	if flags&flagQR != 0 {
		return nil
	}
	reply := make([]byte, headerLen)
	copy(reply, msg[:2])
	flags = flagQR | flags&(opcodeMask|flagRD) | flagRA | mdns.RcodeFormatError
	binary.BigEndian.PutUint16(reply[2:], flags)
	return reply
}
