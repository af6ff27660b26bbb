package dns

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"testing"

	mdns "github.com/miekg/dns"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// ip is netip.MustParseAddr.
func ip(s string) netip.Addr { return netip.MustParseAddr(s) }

// ips parses many addresses.
func ips(list ...string) []netip.Addr {
	var addrs []netip.Addr
	for _, s := range list {
		addrs = append(addrs, ip(s))
	}
	return addrs
}

// upstreamAt is the address of an upstream server that answers in the tests; n tells them apart.
func upstreamAt(n int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(n)}), 53)
}

// fakeNet is a network of servers, each a function from query to reply; a nil reply is silence. What is not in it is
// unreachable.
type fakeNet map[netip.AddrPort]func(req *mdns.Msg, network string) *mdns.Msg

// dial connects to one of the servers by a pipe.
func (f fakeNet) dial(_ context.Context, network, addr string) (net.Conn, error) {
	server, ok := f[netip.MustParseAddrPort(addr)]
	if !ok {
		return nil, errors.New("network is unreachable")
	}
	near, far := net.Pipe()
	go func() {
		defer far.Close()
		buf := make([]byte, maxMessage)
		t := transport(network == "tcp")
		for {
			n, err := readMessage(far, buf, t)
			if err != nil {
				return
			}
			req := new(mdns.Msg)
			if req.Unpack(buf[:n]) != nil {
				return
			}
			if resp := server(req, network); resp != nil {
				wire, err := resp.Pack()
				if err != nil || writeMessage(far, wire, t) != nil {
					return
				}
			}
		}
	}()
	return near, nil
}

// says is a server that answers every query with that code, and an address if it is NOERROR.
func says(rcode int) func(*mdns.Msg, string) *mdns.Msg {
	return func(req *mdns.Msg, _ string) *mdns.Msg {
		resp := newFailure(req, rcode)
		if rcode == mdns.RcodeSuccess {
			resp.Answer = addrRecords(req.Question[0], ips("198.51.100.7"), 30, 0)
		}
		return resp
	}
}

// silent is a server that never answers.
func silent(*mdns.Msg, string) *mdns.Msg { return nil }

// ask is a query message.
func ask(name string, qtype uint16) *mdns.Msg {
	return new(mdns.Msg).SetQuestion(mdns.Fqdn(name), qtype)
}

// packed is a message on the wire.
func packed(tb testing.TB, m *mdns.Msg) []byte {
	tb.Helper()
	wire, err := m.Pack()
	if err != nil {
		tb.Fatalf("pack %v: %v", m, err)
	}
	return wire
}

// unpacked is the message that was on the wire.
func unpacked(tb testing.TB, wire []byte) *mdns.Msg {
	tb.Helper()
	m := new(mdns.Msg)
	if err := m.Unpack(wire); err != nil {
		tb.Fatalf("unpack %x: %v", wire, err)
	}
	return m
}

// lab is the networks of a container on shopnet (overlay) and mybridge, next to ingress: a service web with two tasks,
// one of dnsrr mode, containers c1 and c2.
func lab() []NetworkZone {
	shop, ingress, local := NewSharedZone("shopnet"), NewSharedZone("ingress"), NewSharedZone("my.bridge")
	for i, addr := range ips("10.0.0.3", "10.0.0.4") {
		task := []string{"web.1.0f5d1r2aw3bqmx9ktjx6zp8ce", "web.2.q1w2e3r4t5y6u7i8o9p0asdfg"}[i]
		shop.Add(task, "web", ip("10.0.0.2"))
		shop.Add(task, "tasks.web", addr)
		shop.Add(task, task, addr)
		shop.AddReverse(task, addr, task)
		shop.Add(task+"/rr", "rr", addr)
	}
	ingress.Add("x", "hidden", ip("10.255.0.3"))
	ingress.AddReverse("x", ip("10.255.0.3"), "hidden")
	for i, addr := range ips("172.18.0.2", "172.18.0.3") {
		owner := []string{"c1", "c2"}[i]
		local.Add(owner, owner, addr)
		local.Add(owner, "alias", addr)
		local.AddReverse(owner, addr, owner)
	}
	local.Add("c1", "053abaac4f93", ip("172.18.0.2"))
	local.Add("c2", "web", ip("172.18.0.3"))
	local.Add("six", "six", ip("fd00::6"))
	local.AddReverse("six", ip("fd00::6"), "six")
	networks := []NetworkZone{{local, ScopeLocal}, {ingress, ScopeIngress}, {shop, ScopeSwarm}}
	SortNetworks(networks)
	return networks
}

// labResolver is a resolver for lab.
func labResolver(cfg Config) *Resolver {
	networks := lab()
	cfg.Networks = func() []NetworkZone { return networks }
	if cfg.Rand == nil {
		cfg.Rand = rand.New(rand.NewPCG(1, 2))
	}
	return New(cfg)
}
