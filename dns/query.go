package dns

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	mdns "github.com/miekg/dns"
)

// Type is a record type, such as A or PTR.
type Type uint16

// The record types that have a meaning here; ParseType knows all others.
const (
	TypeA     = Type(mdns.TypeA)
	TypeAAAA  = Type(mdns.TypeAAAA)
	TypeANY   = Type(mdns.TypeANY)
	TypeCNAME = Type(mdns.TypeCNAME)
	TypeMX    = Type(mdns.TypeMX)
	TypeNS    = Type(mdns.TypeNS)
	TypePTR   = Type(mdns.TypePTR)
	TypeSOA   = Type(mdns.TypeSOA)
	TypeSRV   = Type(mdns.TypeSRV)
	TypeTXT   = Type(mdns.TypeTXT)
)

// ParseType returns the type of that name, in any case: "A", "ptr", "TYPE65".
func ParseType(name string) (Type, error) {
	upper := strings.ToUpper(name)
	if t, ok := mdns.StringToType[upper]; ok && upper != "" {
		return Type(t), nil
	}
	if digits, ok := strings.CutPrefix(upper, "TYPE"); ok {
		if n, err := strconv.ParseUint(digits, 10, 16); err == nil {
			return Type(n), nil
		}
	}
	return 0, fmt.Errorf("unknown dns record type %q: try A, AAAA, PTR, MX, TXT, SRV or ANY", name)
}

// String returns the name of the type.
func (t Type) String() string { return mdns.Type(t).String() }

// Question is what to ask, and how.
type Question struct {
	Name      string        // with or without its final dot
	Type      Type          // zero: A
	TCP       bool          // false: UDP, and TCP when the reply was truncated
	NoRecurse bool          // true: RD is not set
	UDPSize   uint16        // the EDNS size to announce; zero: no EDNS record, 512 bytes
	Timeout   time.Duration // for each try by UDP or TCP; zero: 5 seconds
	ID        uint16        // zero: random
}

const defaultQueryTimeout = 5 * time.Second

// Record is one resource record in text form.
type Record struct {
	Name  string // with its final dot
	TTL   uint32 // seconds
	Class string
	Type  Type
	Data  string
}

// Reply is what a server answered.
type Reply struct {
	Server    netip.AddrPort
	RoundTrip time.Duration // of the last try
	Size      int           // bytes on the wire
	TCP       bool          // how it came

	msg *mdns.Msg
}

// Query asks server once over connections from dial. A reply is no error, whatever its status. The wait ends with ctx
// or the question's timeout.
func Query(ctx context.Context, dial DialFunc, server netip.AddrPort, q Question) (*Reply, error) {
	t := transport(q.TCP)
	reply, err := queryBy(ctx, dial, server, q, t)
	if err == nil && reply.msg.Truncated && t == overUDP {
		return queryBy(ctx, dial, server, q, overTCP)
	}
	return reply, err
}

// queryBy is Query over one transport.
func queryBy(ctx context.Context, dial DialFunc, server netip.AddrPort, q Question, t transport) (*Reply, error) {
	if dial == nil {
		return nil, errNoDial
	}
	timeout := q.Timeout
	if timeout <= 0 {
		timeout = defaultQueryTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	start := time.Now()
	msg, size, err := exchange(ctx, dial, server, q.message(), t)
	if err != nil {
		return nil, err
	}
	return &Reply{Server: server, RoundTrip: time.Since(start), Size: size, TCP: t == overTCP, msg: msg}, nil
}

// message returns the question as a message.
func (q Question) message() *mdns.Msg {
	if q.Type == 0 {
		q.Type = TypeA
	}
	msg := new(mdns.Msg).SetQuestion(mdns.Fqdn(q.Name), uint16(q.Type))
	msg.RecursionDesired = !q.NoRecurse
	if q.ID != 0 {
		msg.Id = q.ID
	}
	if q.UDPSize != 0 {
		msg.SetEdns0(q.UDPSize, false)
	}
	return msg
}

// Status returns the reply's code by name: "NOERROR", "NXDOMAIN", "SERVFAIL".
func (r *Reply) Status() string {
	if name, ok := mdns.RcodeToString[r.msg.Rcode]; ok {
		return name
	}
	return fmt.Sprintf("RESERVED%d", r.msg.Rcode)
}

// OK reports whether the status is NOERROR.
func (r *Reply) OK() bool { return r.msg.Rcode == mdns.RcodeSuccess }

// NotFound reports whether the status is NXDOMAIN.
func (r *Reply) NotFound() bool { return r.msg.Rcode == mdns.RcodeNameError }

// Authoritative reports whether the server has authority over the name.
func (r *Reply) Authoritative() bool { return r.msg.Authoritative }

// Records returns the answer section.
func (r *Reply) Records() []Record {
	records := make([]Record, 0, len(r.msg.Answer))
	for _, rr := range r.msg.Answer {
		h := rr.Header()
		records = append(records, Record{
			Name: h.Name, TTL: h.Ttl, Class: mdns.Class(h.Class).String(), Type: Type(h.Rrtype), Data: rdataText(rr),
		})
	}
	return records
}

// Addrs returns the addresses in the answer section.
func (r *Reply) Addrs() []netip.Addr {
	var addrs []netip.Addr
	for _, rr := range r.msg.Answer {
		var raw []byte
		switch rr := rr.(type) {
		case *mdns.A:
			raw = rr.A
		case *mdns.AAAA:
			raw = rr.AAAA
		}
		if addr, ok := netip.AddrFromSlice(raw); ok {
			addrs = append(addrs, addr.Unmap())
		}
	}
	return addrs
}

// Pointers returns the names in the answer section's PTR records, with their final dots.
func (r *Reply) Pointers() []string {
	var names []string
	for _, rr := range r.msg.Answer {
		if ptr, ok := rr.(*mdns.PTR); ok {
			names = append(names, ptr.Ptr)
		}
	}
	return names
}

// ReverseName returns the name whose PTR record names addr.
func ReverseName(addr netip.Addr) string {
	name, err := mdns.ReverseAddr(plainAddr(addr).String())
	if err != nil {
		return "."
	}
	return name
}

// The kinds of failed lookups, for errors.Is. The error itself is a *net.DNSError.
var (
	ErrNotFound  = errors.New("no such host")      // the name does not exist or has no such record
	ErrTemporary = errors.New("dns unavailable")   // no server gave an answer
	errLame      = errors.New("server misbehaves") // a server gave an answer of no use
)

// Lookup asks server for the records of that name and type. An error is a *net.DNSError that wraps ErrNotFound or
// ErrTemporary.
func Lookup(ctx context.Context, dial DialFunc, server netip.AddrPort, name string, t Type) ([]Record, error) {
	reply, err := Query(ctx, dial, server, Question{Name: name, Type: t})
	switch {
	case err != nil:
		return nil, lookupError(name, server, err)
	case reply.NotFound() || reply.OK() && len(reply.msg.Answer) == 0:
		return nil, lookupError(name, server, ErrNotFound)
	case !reply.OK():
		return nil, lookupError(name, server, fmt.Errorf("%w: %s", errLame, reply.Status()))
	}
	return reply.Records(), nil
}

// rdataText is the data of a record in text form.
func rdataText(rr mdns.RR) string { return strings.TrimPrefix(rr.String(), rr.Header().String()) }
