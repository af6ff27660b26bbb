package lb

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strconv"

	"github.com/netsim-lab/netsim/fabric/wire"
)

// Key names a virtual service: a firewall mark, or a protocol (wire.ProtoTCP, wire.ProtoUDP) and an IPv4 address with
// port. A Mark other than 0 makes the rest meaningless.
type Key struct {
	Mark  uint32
	Proto byte
	Addr  netip.AddrPort
}

// Mark returns the key of the service for packets that bear firewall mark m, of any protocol, address and port.
func Mark(m uint32) Key { return Key{Mark: m} }

// TCP returns the key of the TCP service at addr.
func TCP(addr netip.AddrPort) Key { return Key{Proto: wire.ProtoTCP, Addr: addr} }

// UDP returns the key of the UDP service at addr.
func UDP(addr netip.AddrPort) Key { return Key{Proto: wire.ProtoUDP, Addr: addr} }

// String prints k as "FWM 256" or "TCP 10.0.0.5:80".
func (k Key) String() string {
	kind, name := k.words()
	return kind + " " + name
}

// words returns what stands in the first two columns of a listing.
func (k Key) words() (kind, name string) {
	if k.Mark != 0 {
		return "FWM", strconv.FormatUint(uint64(k.Mark), 10)
	}
	return protoName(k.Proto), k.Addr.String()
}

// check tells why k cannot be a service; nil if it can. Port 0 would need persistence, which only a mark replaces.
func (k Key) check() error {
	switch {
	case k.Mark != 0:
		return nil
	case k.Proto != wire.ProtoTCP && k.Proto != wire.ProtoUDP:
		return fmt.Errorf("%w: protocol %d; a service needs a firewall mark, or TCP or UDP with an address", ErrInvalid, k.Proto)
	case !k.Addr.Addr().Is4():
		return fmt.Errorf("%w: %q is no IPv4 address and port", ErrInvalid, k.Addr.String())
	case k.Addr.Port() == 0:
		return fmt.Errorf("%w: %s has no port; only a firewall mark serves all ports", ErrInvalid, k.Addr.Addr())
	}
	return nil
}

// less orders keys as ipvsadm lists them: addresses by protocol, address, port, then marks.
func (k Key) less(o Key) bool {
	switch {
	case k.Mark != o.Mark:
		return k.Mark < o.Mark
	case k.Proto != o.Proto:
		return k.Proto < o.Proto
	}
	return k.Addr.Compare(o.Addr) < 0
}

func protoName(p byte) string {
	switch p {
	case wire.ProtoTCP:
		return "TCP"
	case wire.ProtoUDP:
		return "UDP"
	}
	return "IP"
}

// endpoint is an IPv4 address and port in 48 bits.
type endpoint uint64

func pack(a netip.AddrPort) endpoint {
	b := a.Addr().As4()
	return endpoint(binary.BigEndian.Uint32(b[:]))<<16 | endpoint(a.Port())
}

func (e endpoint) addr() uint32 { return uint32(e >> 16) }

func (e endpoint) port() uint16 { return uint16(e) }

// orPort returns e with port p, or with the port it has if p is 0.
func (e endpoint) orPort(p uint16) endpoint {
	if e.port() == 0 {
		return e | endpoint(p)
	}
	return e
}

func (e endpoint) unpack() netip.AddrPort {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], e.addr())
	return netip.AddrPortFrom(netip.AddrFrom4(b), e.port())
}

// tuple is one direction of a connection: the protocol in the top byte of from.
type tuple struct{ from, to endpoint }

func makeTuple(proto byte, from, to endpoint) tuple { return tuple{endpoint(proto)<<48 | from, to} }
