package dns

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	mdns "github.com/miekg/dns"
)

// StaticConfig describes a plain name server. Its zero value answers NXDOMAIN to every query.
type StaticConfig struct {
	// Names are the records to begin with; see Static.Set. Nil: none.
	Names map[string][]netip.Addr
	// CloudDomain gives every IPv4 address of CloudPrefixes a made-up name, as cloud providers do: with the domain
	// "eu-west-1.compute.internal", 10.0.0.2 is ip-10-0-0-2.eu-west-1.compute.internal, both ways. Empty: no such names.
	CloudDomain string
	// CloudPrefixes are the addresses that have such names. Empty: the private ones of RFC 1918.
	CloudPrefixes []netip.Prefix
	// Authoritative sets AA in replies, as a server for its own zones does. False: it poses as a recursive server.
	Authoritative bool
	// TTL is the life of its records in seconds. Zero: 60.
	TTL uint32
}

const defaultStaticTTL = 60

// private are the address blocks of RFC 1918.
var private = []netip.Prefix{
	netip.MustParsePrefix("10.0.0.0/8"),
	netip.MustParsePrefix("172.16.0.0/12"),
	netip.MustParsePrefix("192.168.0.0/16"),
}

// Static is a plain name server with fixed records, such as a lab's internet or its hosts' network has. All methods are
// safe to call at once.
type Static struct {
	cfg   StaticConfig
	flags uint16
	zone  *SharedZone
	count counters
}

// NewStatic returns a server. It starts nothing and opens nothing.
func NewStatic(cfg StaticConfig) *Static {
	if cfg.TTL == 0 {
		cfg.TTL = defaultStaticTTL
	}
	if len(cfg.CloudPrefixes) == 0 {
		cfg.CloudPrefixes = private
	}
	cfg.CloudDomain = strings.Trim(lowerName(cfg.CloudDomain), ".")
	s := &Static{cfg: cfg, flags: flagRA, zone: NewSharedZone("")}
	if cfg.Authoritative {
		s.flags |= flagAA
	}
	for name, addrs := range cfg.Names {
		s.Set(name, addrs...)
	}
	return s
}

// Set makes name stand for exactly these addresses, and each of them for name unless another name has it. Without
// addresses the name is removed.
func (s *Static) Set(name string, addrs ...netip.Addr) {
	owner := lowerName(name)
	s.zone.Update(func(z *Zone) {
		z.RemoveOwner(owner)
		for _, addr := range addrs {
			z.Add(owner, name, addr)
			z.AddReverse(owner, addr, name)
		}
	})
}

// Stats returns the counts so far.
func (s *Static) Stats() Stats { return s.count.snapshot() }

// Serve is Resolver.Serve.
func (s *Static) Serve(ctx context.Context, pc net.PacketConn, ln net.Listener) error {
	return serve(ctx, s, pc, ln)
}

// HandlePacket answers one UDP message at once. It returns nil for what must not be answered.
func (s *Static) HandlePacket(ctx context.Context, msg []byte) []byte {
	if reply, ok := s.answerNow(make([]byte, 0, len(msg)+usualAnswer), msg, overUDP); ok {
		return reply
	}
	return s.answerLater(ctx, msg, overUDP)
}

// answerNow is the short way for plain queries of known names.
func (s *Static) answerNow(dst, msg []byte, t transport) (reply []byte, ok bool) {
	var buf [maxName]byte
	q, ok := parsePlain(msg, &buf)
	if !ok || !isNameQuery(q.qtype) {
		return dst, false
	}
	addrs, ok := s.zone.lookup(q.name)
	if !ok {
		return dst, false
	}
	s.count.local.Add(1)
	return appendPlainReply(dst, msg, &q, plainReply{addrs: addrs, flags: s.flags, ttl: s.cfg.TTL, transport: t}), true
}

// answerLater is the general way, for any message; it never waits.
func (s *Static) answerLater(_ context.Context, msg []byte, t transport) []byte {
	req := new(mdns.Msg)
	if err := req.Unpack(msg); err != nil || req.Response {
		s.count.malformed.Add(1)
		return malformedReply(msg)
	}
	if resp := refuseOdd(req); resp != nil {
		s.count.malformed.Add(1)
		return packReply(resp, req, t)
	}
	s.count.local.Add(1)
	return packReply(s.answer(req), req, t)
}

// counts returns the counters, for the server loops.
func (s *Static) counts() *counters { return &s.count }

// answer answers one ordinary query.
func (s *Static) answer(req *mdns.Msg) *mdns.Msg {
	q := req.Question[0]
	resp := newReply(req)
	resp.Authoritative = s.cfg.Authoritative
	if q.Qtype == mdns.TypePTR {
		if addr, ok := addrFromArpa(q.Name); ok {
			if name, ok := s.reverse(addr); ok {
				resp.Answer = []mdns.RR{ptrRecord(q, name, s.cfg.TTL)}
				return resp
			}
		}
	}
	addrs, ok := s.forwardName(lowerName(q.Name))
	switch {
	case !ok || q.Qclass != mdns.ClassINET && q.Qclass != mdns.ClassANY:
		resp.Rcode = mdns.RcodeNameError
	case q.Qtype == mdns.TypeANY:
		for _, qtype := range []uint16{mdns.TypeA, mdns.TypeAAAA} {
			each := mdns.Question{Name: q.Name, Qtype: qtype}
			resp.Answer = append(resp.Answer, addrRecords(each, addrs, s.cfg.TTL, 0)...)
		}
	default:
		resp.Answer = addrRecords(q, addrs, s.cfg.TTL, 0)
	}
	return resp
}

// reverse returns the name of addr: its record's, or else a made-up one.
func (s *Static) reverse(addr netip.Addr) (name string, ok bool) {
	if name, ok = s.zone.Reverse(addr); ok {
		return name, true
	}
	if !s.isCloud(addr) {
		return "", false
	}
	raw := addr.As4()
	return fmt.Sprintf("ip-%d-%d-%d-%d.%s.", raw[0], raw[1], raw[2], raw[3], s.cfg.CloudDomain), true
}

// forwardName returns the addresses of name: its records', or else that of a made-up name.
func (s *Static) forwardName(name string) ([]netip.Addr, bool) {
	if addrs, ok := s.zone.Lookup(name); ok {
		return addrs, true
	}
	numbers, found := strings.CutPrefix(name, "ip-")
	numbers, inDomain := strings.CutSuffix(numbers, "."+s.cfg.CloudDomain)
	labels := strings.Split(numbers, "-")
	if !found || !inDomain || len(labels) != 4 {
		return nil, false
	}
	var raw [4]byte
	for i, label := range labels {
		n, err := strconv.ParseUint(label, 10, 8)
		if err != nil {
			return nil, false
		}
		raw[i] = byte(n)
	}
	addr := netip.AddrFrom4(raw)
	return []netip.Addr{addr}, s.isCloud(addr)
}

// isCloud reports whether addr has a made-up name.
func (s *Static) isCloud(addr netip.Addr) bool {
	if s.cfg.CloudDomain == "" || !addr.Is4() {
		return false
	}
	for _, prefix := range s.cfg.CloudPrefixes {
		if prefix.Contains(addr) {
			return true
		}
	}
	return false
}
