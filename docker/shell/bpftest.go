package shell

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/netsim-lab/netsim/fabric/wire"
)

// both applies a test to source, destination or either.
func both[T any](dir string, src, dst T, test func(T) bool) bool {
	switch dir {
	case "src":
		return test(src)
	case "dst":
		return test(dst)
	case "and":
		return test(src) && test(dst)
	}
	return test(src) || test(dst)
}

// id makes the test for an id with its qualifiers.
func (p *filterParser) id(q qualifiers, id string) (predicate, error) {
	if id == "" {
		return nil, errFilter
	}
	under := protocols[q.proto]
	if under == nil {
		under = func(*packet) bool { return true }
	}
	var test predicate
	var err error
	switch {
	case q.kind == "proto":
		return protoTest(q.proto, id)
	case q.kind == "port", q.kind == "portrange":
		test, err = portTest(q.dir, id, q.kind == "portrange")
	case q.proto == "ether":
		mac, err := wire.ParseMAC(id)
		if err != nil {
			return nil, fmt.Errorf("%w: %s is no Ethernet address", errFilter, id)
		}
		return func(k *packet) bool {
			return k.eth != nil && both(q.dir, k.eth.Src(), k.eth.Dst(), func(m wire.MAC) bool { return m == mac })
		}, nil
	case q.kind == "net":
		test, err = netTest(q.dir, id, p)
	default:
		test, err = p.hostTest(q.dir, id)
	}
	if err != nil {
		return nil, err
	}
	return func(k *packet) bool { return under(k) && test(k) }, nil
}

// addresses returns the source and destination of an IP or ARP packet.
func (p *packet) addresses() (src, dst netip.Addr, ok bool) {
	switch {
	case p.ip != nil:
		return p.ip.Src(), p.ip.Dst(), true
	case p.arp != nil:
		return p.arp.SenderIP(), p.arp.TargetIP(), true
	}
	return src, dst, false
}

func addressTest(dir string, test func(netip.Addr) bool) predicate {
	return func(k *packet) bool {
		src, dst, ok := k.addresses()
		return ok && both(dir, src, dst, test)
	}
}

func (p *filterParser) hostTest(dir, id string) (predicate, error) {
	var addrs []netip.Addr
	if a, err := netip.ParseAddr(id); err == nil {
		addrs = append(addrs, a)
	} else if strings.Contains(id, "/") {
		return netTest(dir, id, p)
	} else if p.resolve == nil {
		return nil, fmt.Errorf("unknown host '%s'", id)
	} else if addrs, err = p.resolve(id); err != nil {
		return nil, fmt.Errorf("unknown host '%s'", id)
	}
	return addressTest(dir, func(a netip.Addr) bool {
		for _, w := range addrs {
			if a == w {
				return true
			}
		}
		return false
	}), nil
}

// netTest reads 10.0.0.0/8, 10.1 and NET mask MASK.
func netTest(dir, id string, p *filterParser) (predicate, error) {
	prefix, err := netip.ParsePrefix(id)
	if err != nil {
		parts := strings.Split(id, ".")
		if len(parts) > 4 {
			return nil, fmt.Errorf("%w: %s is no network", errFilter, id)
		}
		a, err := netip.ParseAddr(id + strings.Repeat(".0", 4-len(parts)))
		if err != nil || !a.Is4() {
			return nil, fmt.Errorf("%w: %s is no network", errFilter, id)
		}
		prefix = netip.PrefixFrom(a, 8*len(parts))
		if p.take("mask") {
			m, err := netip.ParseAddr(p.next())
			if err != nil || !m.Is4() {
				return nil, fmt.Errorf("%w: bad mask", errFilter)
			}
			prefix = netip.PrefixFrom(a, maskBits(m))
		}
	}
	prefix = prefix.Masked()
	return addressTest(dir, prefix.Contains), nil
}

func portTest(dir, id string, isRange bool) (predicate, error) {
	r, err := portRange(id)
	if !isRange || err != nil {
		r[0], err = strconv.Atoi(id)
		for port, name := range services {
			if name == id {
				r[0], err = port, nil
			}
		}
		r[1] = r[0]
	}
	if err != nil || r[0] < 0 || r[1] > 65535 {
		return nil, fmt.Errorf("%w: illegal port %s", errFilter, id)
	}
	return func(k *packet) bool {
		src, dst, ok := k.ports()
		return ok && both(dir, int(src), int(dst), func(n int) bool { return n >= r[0] && n <= r[1] })
	}, nil
}

// protoTest is ip proto X and ether proto X.
func protoTest(proto, id string) (predicate, error) {
	if f := protocols[id]; f != nil {
		return f, nil
	}
	n, err := strconv.ParseUint(id, 0, 16)
	if err != nil {
		return nil, fmt.Errorf("%w: unknown protocol %s", errFilter, id)
	}
	if proto == "ether" {
		return func(k *packet) bool { return k.typ == uint16(n) }, nil
	}
	return func(k *packet) bool { return k.ip != nil && uint64(k.ip.Proto()) == n }, nil
}

// tagTest is vlan [ID] and vxlan [VNI].
func (p *filterParser) tagTest(word string) (predicate, error) {
	want, any := uint64(0), true
	if n, err := strconv.ParseUint(p.peek(), 10, 24); err == nil {
		want, any = n, false
		p.next()
	}
	if word == "vlan" {
		return func(k *packet) bool { return k.tagged && (any || uint64(k.vlan) == want) }, nil
	}
	return func(k *packet) bool {
		vni, _, ok := k.tunnelled()
		return ok && (any || uint64(vni) == want)
	}, nil
}
