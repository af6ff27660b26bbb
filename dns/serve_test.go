package dns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	mdns "github.com/miekg/dns"
)

// dialer is the real network, of which only loopback is used.
func dialer(ctx context.Context, network, addr string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, network, addr)
}

// listen opens a UDP and a TCP socket on one loopback port.
func listen(tb testing.TB) (net.PacketConn, net.Listener, netip.AddrPort) {
	tb.Helper()
	for range 20 {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			tb.Fatal(err)
		}
		pc, err := net.ListenPacket("udp", ln.Addr().String())
		if err == nil {
			return pc, ln, ln.Addr().(*net.TCPAddr).AddrPort()
		}
		_ = ln.Close()
	}
	tb.Fatal("no port is free for both UDP and TCP")
	return nil, nil, netip.AddrPort{}
}

// server is what has Serve.
type server interface {
	Serve(ctx context.Context, pc net.PacketConn, ln net.Listener) error
}

// start serves on loopback until the test ends, and checks that it ends well.
func start(tb testing.TB, s server) netip.AddrPort {
	tb.Helper()
	pc, ln, addr := listen(tb)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, pc, ln) }()
	tb.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			tb.Errorf("Serve = %v; want nil", err)
		}
		if _, err := pc.WriteTo([]byte{0}, net.UDPAddrFromAddrPort(addr)); err == nil {
			tb.Error("Serve left the packet socket open")
		}
		if _, err := ln.Accept(); err == nil {
			tb.Error("Serve left the listener open")
		}
	})
	return addr
}

func TestServe(t *testing.T) {
	outside := NewStatic(StaticConfig{Names: map[string][]netip.Addr{"www.example.com": ips("198.51.100.7")}})
	upstream := start(t, outside)
	zone := NewSharedZone("big")
	var all []netip.Addr
	for i := range 100 {
		all = append(all, netip.AddrFrom4([4]byte{10, 9, 0, byte(i)}))
		zone.Add(fmt.Sprint(i), "big", all[i])
	}
	networks := append(lab(), NetworkZone{Zone: zone})
	r := New(Config{
		Networks:  func() []NetworkZone { return networks },
		Upstreams: []netip.AddrPort{upstream}, Dial: dialer,
	})
	addr := start(t, r)
	tests := []struct {
		name, ask string
		tcp       bool
		size      uint16
		want      []netip.Addr
		byTCP     bool
	}{
		{"known by UDP", "c1", false, 0, ips("172.18.0.2"), false},
		{"known by TCP", "c1", true, 0, ips("172.18.0.2"), true},
		{"D20 forwarded by UDP", "www.example.com", false, 0, ips("198.51.100.7"), false},
		{"D20 forwarded by TCP", "www.example.com", true, 0, ips("198.51.100.7"), true},
		{"D23 truncated, then TCP", "big", false, 0, all, true},
		{"D23 fits EDNS size", "big", false, 4096, all, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			reply, err := Query(t.Context(), dialer, addr, Question{Name: tt.ask, TCP: tt.tcp, UDPSize: tt.size})
			if err != nil {
				t.Fatal(err)
			}
			got := reply.Addrs()
			slices.SortFunc(got, netip.Addr.Compare)
			if !slices.Equal(got, tt.want) || reply.TCP != tt.byTCP {
				t.Errorf("Query = %v, TCP %v; want %v, %v", got, reply.TCP, tt.want, tt.byTCP)
			}
		})
	}
	t.Run("many at once", func(t *testing.T) { askAtOnce(t, addr) })
}

// askAtOnce sends queries from several clients.
func askAtOnce(t *testing.T, addr netip.AddrPort) {
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			name := []string{"c1", "www.example.com", "tasks.web", "unknown.example.com"}[i%4]
			if _, err := Query(t.Context(), dialer, addr, Question{Name: name, TCP: i%8 > 3}); err != nil {
				t.Errorf("Query(%s) = %v", name, err)
			}
		})
	}
	wg.Wait()
}

// Serve ends, with all that waits for an upstream, when its context does.
func TestServeEndsWhileForwarding(t *testing.T) {
	asked := make(chan struct{}, 2)
	servers := fakeNet{upstreamAt(1): func(*mdns.Msg, string) *mdns.Msg { asked <- struct{}{}; return nil }}
	r := New(Config{Upstreams: []netip.AddrPort{upstreamAt(1)}, Dial: servers.dial, Timeout: time.Hour})
	pc, ln, addr := listen(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Serve(ctx, pc, ln) }()
	for _, by := range []transport{overUDP, overTCP} {
		conn, err := dialer(ctx, by.String(), addr.String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		wire := packed(t, ask("x", mdns.TypeA))
		_ = writeMessage(conn, wire, by)
		<-asked
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Serve = %v; want nil", err)
	}
}

func TestServeSocketFails(t *testing.T) {
	pc, ln, _ := listen(t)
	_ = pc.Close()
	err := New(Config{}).Serve(t.Context(), pc, ln)
	if !errors.Is(err, net.ErrClosed) || !strings.Contains(err.Error(), "read dns queries on 127.0.0.1:") {
		t.Errorf("Serve = %v; want a read error", err)
	}
	if _, err := ln.Accept(); err == nil {
		t.Error("Serve left the listener open")
	}
}

func TestStatic(t *testing.T) {
	s := NewStatic(StaticConfig{
		Names:       map[string][]netip.Addr{"www.dockercon.com": ips("104.239.220.248"), "Two.example.": ips("192.0.2.1", "2001:db8::1", "10.0.0.9")},
		CloudDomain: "eu-west-1.compute.internal.",
	})
	s.Set("gone", ip("192.0.2.9"))
	s.Set("gone")
	const a, ptr = mdns.TypeA, mdns.TypePTR
	tests := []struct {
		name, ask string
		qtype     uint16
		want      string
	}{
		{"name", "WWW.dockercon.com", a, "NOERROR 104.239.220.248"},
		{"v6", "two.example", mdns.TypeAAAA, "NOERROR 2001:db8::1"},
		{"ANY", "two.example", mdns.TypeANY, "NOERROR 10.0.0.9 192.0.2.1 2001:db8::1"},
		{"no such record", "two.example", mdns.TypeTXT, "NOERROR"},
		{"no such name", "gone", a, "NXDOMAIN"},
		{"reverse of a record", ReverseName(ip("104.239.220.248")), ptr, "NOERROR www.dockercon.com."},
		{"D18 made-up reverse", ReverseName(ip("10.0.0.2")), ptr, "NOERROR ip-10-0-0-2.eu-west-1.compute.internal."},
		{"a record before a made-up one", ReverseName(ip("10.0.0.9")), ptr, "NOERROR Two.example."},
		{"made-up name", "ip-10-0-0-2.eu-west-1.compute.internal", a, "NOERROR 10.0.0.2"},
		{"made-up name of a public address", "ip-8-8-8-8.eu-west-1.compute.internal", a, "NXDOMAIN"},
		{"not quite a made-up name", "ip-10-0-0-x.eu-west-1.compute.internal", a, "NXDOMAIN"},
		{"reverse of a public address", ReverseName(ip("8.8.8.8")), ptr, "NXDOMAIN"},
		{"reverse v6", ReverseName(ip("fd00::1")), ptr, "NXDOMAIN"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := unpacked(t, s.HandlePacket(t.Context(), packed(t, ask(tt.ask, tt.qtype))))
			if got := brief(m); got != tt.want || m.Authoritative || !m.RecursionAvailable {
				t.Errorf("HandlePacket = %s, %+v; want %s", got, m.MsgHdr, tt.want)
			}
		})
	}
	auth := NewStatic(StaticConfig{Authoritative: true, Names: map[string][]netip.Addr{"x": ips("192.0.2.1")}})
	for _, name := range []string{"x", "y"} {
		if m := unpacked(t, auth.HandlePacket(t.Context(), packed(t, ask(name, a)))); !m.Authoritative {
			t.Errorf("reply for %s has no AA", name)
		}
	}
	if got := s.HandlePacket(t.Context(), []byte("short")); got != nil {
		t.Errorf("HandlePacket(short) = %x; want nil", got)
	}
}
