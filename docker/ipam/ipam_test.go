package ipam_test

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/netsim-lab/netsim/docker/ipam"
)

func prefix(s string) netip.Prefix {
	if s == "" {
		return netip.Prefix{}
	}
	return netip.MustParsePrefix(s)
}

func addr(s string) netip.Addr {
	if s == "" {
		return netip.Addr{}
	}
	return netip.MustParseAddr(s)
}

// TestPredefinedPoolsI1I2 checks the order and number of the predefined pools.
func TestPredefinedPoolsI1I2(t *testing.T) {
	var local []string
	for p := range ipam.New(ipam.Local()...).Predefined() {
		local = append(local, p.String())
	}
	if len(local) != 31 {
		t.Fatalf("%d local pools; want 31", len(local))
	}
	for i, want := range map[int]string{0: "172.17.0.0/16", 1: "172.18.0.0/16", 3: "172.20.0.0/16", 14: "172.31.0.0/16", 15: "192.168.0.0/20", 16: "192.168.16.0/20", 30: "192.168.240.0/20"} {
		if local[i] != want {
			t.Errorf("local pool %d = %s; want %s", i, local[i], want)
		}
	}
	global := ipam.New(ipam.Global()...)
	for _, want := range []string{"10.0.0.0/24", "10.0.1.0/24", "10.0.2.0/24"} {
		if p, err := global.RequestPool(netip.Prefix{}, nil); err != nil || p.Subnet().String() != want {
			t.Errorf("global pool = %v, %v; want %s", p.Subnet(), err, want)
		}
	}
}

// TestRequestPool checks which pool a request gets beside those in use and those to avoid.
func TestRequestPool(t *testing.T) {
	for _, tt := range []struct {
		name   string
		in     []string
		avoid  []string
		subnet string
		want   string
		err    error
	}{
		{name: "I3 the first", want: "172.17.0.0/16"},
		{name: "I3 the first that is free", in: []string{"172.17.0.0/16", "172.18.0.0/16"}, want: "172.19.0.0/16"},
		{name: "I3 a hole is filled", in: []string{"172.17.0.0/16", "172.19.0.0/16"}, want: "172.18.0.0/16"},
		{name: "I5 the host is in 172.17", avoid: []string{"172.17.4.0/24"}, want: "172.18.0.0/16"},
		{name: "I4 a large route hides many", avoid: []string{"172.16.0.0/12"}, want: "192.168.0.0/20"},
		{name: "I4 a route inside a range of many pools", avoid: []string{"172.17.0.0/16", "172.18.0.0/15", "172.20.0.0/15"}, want: "172.22.0.0/16"},
		{name: "I3 a small network hides its pool", in: []string{"172.17.9.0/24"}, want: "172.18.0.0/16"},
		{name: "I8 none left", avoid: []string{"172.16.0.0/12", "192.168.0.0/16"}, err: ipam.ErrNoPool},
		{name: "I6 a given one", subnet: "10.1.0.0/24", want: "10.1.0.0/24"},
		{name: "I6 a given one is not held against routes", avoid: []string{"10.1.0.0/16"}, subnet: "10.1.0.0/24", want: "10.1.0.0/24"},
		{name: "I7 overlap with a larger one", in: []string{"10.0.0.0/8"}, subnet: "10.1.0.0/24", err: ipam.ErrPoolOverlap},
		{name: "I7 overlap with a smaller one", in: []string{"10.1.0.0/24"}, subnet: "10.0.0.0/8", err: ipam.ErrPoolOverlap},
		{name: "host bits", subnet: "10.1.0.5/24", err: ipam.ErrInvalidPool},
		{name: "IPv6", subnet: "fd00::/64", err: ipam.ErrInvalidPool},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := ipam.New(ipam.Local()...)
			for _, s := range tt.in {
				if _, err := a.RequestPool(prefix(s), nil); err != nil {
					t.Fatal(err)
				}
			}
			var avoid []netip.Prefix
			for _, s := range tt.avoid {
				avoid = append(avoid, prefix(s))
			}
			p, err := a.RequestPool(prefix(tt.subnet), avoid)
			if !errors.Is(err, tt.err) || err == nil && p.Subnet().String() != tt.want {
				t.Errorf("RequestPool(%q) = %v, %v; want %s, %v", tt.subnet, p, err, tt.want, tt.err)
			}
		})
	}
}

// TestReleasePoolI3 checks that a freed pool is handed out again at once.
func TestReleasePoolI3(t *testing.T) {
	a := ipam.New(ipam.Local()...)
	first, _ := a.RequestPool(netip.Prefix{}, nil)
	second, _ := a.RequestPool(netip.Prefix{}, nil)
	if err := a.ReleasePool(first); err != nil {
		t.Fatal(err)
	}
	if err := a.ReleasePool(first); !errors.Is(err, ipam.ErrUnknownPool) {
		t.Errorf("second ReleasePool = %v; want %v", err, ipam.ErrUnknownPool)
	}
	again, err := a.RequestPool(netip.Prefix{}, nil)
	if err != nil || again.Subnet() != first.Subnet() || len(a.Pools()) != 2 || a.Pools()[1] != second {
		t.Errorf("RequestPool = %v, %v; want %v", again.Subnet(), err, first.Subnet())
	}
}

// TestRequest checks which addresses a pool gives.
func TestRequest(t *testing.T) {
	type ask struct {
		addr, want string
		err        error
	}
	for _, tt := range []struct {
		name, subnet, limit string
		serial              bool
		asks                []ask
	}{
		{name: "I9 lowest first", subnet: "10.0.0.0/29", asks: []ask{{"", "10.0.0.1", nil}, {"", "10.0.0.2", nil}, {"", "10.0.0.3", nil}}},
		{name: "I9 never network nor broadcast", subnet: "10.0.0.0/30", asks: []ask{
			{"10.0.0.0", "", ipam.ErrOutOfRange}, {"10.0.0.3", "", ipam.ErrOutOfRange}, {"", "10.0.0.1", nil}, {"", "10.0.0.2", nil}, {"", "", ipam.ErrNoAddress}}},
		{name: "I9 all of a /31", subnet: "10.0.0.0/31", asks: []ask{{"", "10.0.0.0", nil}, {"", "10.0.0.1", nil}, {"", "", ipam.ErrNoAddress}}},
		{name: "I9 all of a /32", subnet: "10.0.0.7/32", asks: []ask{{"", "10.0.0.7", nil}, {"", "", ipam.ErrNoAddress}}},
		{name: "I10 lowest after a release", subnet: "10.0.0.0/24", asks: []ask{
			{"", "10.0.0.1", nil}, {"", "10.0.0.2", nil}, {"", "10.0.0.3", nil}, {"-10.0.0.2", "", nil}, {"", "10.0.0.2", nil}, {"", "10.0.0.4", nil}}},
		{name: "I11 serial", subnet: "10.0.0.0/29", serial: true, asks: []ask{
			{"", "10.0.0.1", nil}, {"", "10.0.0.2", nil}, {"-10.0.0.1", "", nil}, {"", "10.0.0.3", nil}, {"", "10.0.0.4", nil},
			{"", "10.0.0.5", nil}, {"", "10.0.0.6", nil}, {"", "10.0.0.1", nil}, {"", "", ipam.ErrNoAddress}}},
		{name: "I12 ip-range limits the choice", subnet: "10.0.0.0/24", limit: "10.0.0.128/30", asks: []ask{
			{"", "10.0.0.128", nil}, {"", "10.0.0.129", nil}, {"10.0.0.9", "10.0.0.9", nil}, {"", "10.0.0.130", nil}, {"", "10.0.0.131", nil},
			{"", "", ipam.ErrNoAddress}, {"10.0.0.10", "10.0.0.10", nil}}},
		{name: "I13 taken", subnet: "10.0.0.0/24", asks: []ask{{"10.0.0.9", "10.0.0.9", nil}, {"10.0.0.9", "", ipam.ErrAddressInUse}}},
		{name: "I15 out of range", subnet: "10.0.0.0/24", asks: []ask{{"10.0.1.1", "", ipam.ErrOutOfRange}, {"fd00::1", "", ipam.ErrOutOfRange}}},
		{name: "I17 gateway, VIP, tasks", subnet: "10.0.0.0/24", asks: []ask{{"", "10.0.0.1", nil}, {"", "10.0.0.2", nil}, {"", "10.0.0.3", nil}, {"", "10.0.0.4", nil}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, err := ipam.New().RequestPool(prefix(tt.subnet), nil)
			if err != nil {
				t.Fatal(err)
			}
			if tt.limit != "" {
				if err := p.SetRange(prefix(tt.limit)); err != nil || p.Range() != prefix(tt.limit) {
					t.Fatalf("SetRange = %v", err)
				}
			}
			p.SetSerial(tt.serial)
			for _, ask := range tt.asks {
				if ask.addr != "" && ask.addr[0] == '-' {
					if !p.Release(addr(ask.addr[1:])) || p.Release(addr(ask.addr[1:])) {
						t.Errorf("Release(%s): want true once", ask.addr[1:])
					}
					continue
				}
				got, err := p.Request(addr(ask.addr))
				if got != addr(ask.want) || !errors.Is(err, ask.err) {
					t.Errorf("Request(%q) = %v, %v; want %s, %v", ask.addr, got, err, ask.want, ask.err)
				}
			}
		})
	}
}

// TestSetRangeErrors checks the sub-pools that are refused.
func TestSetRangeErrors(t *testing.T) {
	p, err := ipam.New().RequestPool(prefix("10.0.0.0/24"), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{"", "10.0.0.0/16", "10.0.1.0/25", "fd00::/64"} {
		if err := p.SetRange(prefix(s)); !errors.Is(err, ipam.ErrInvalidRange) {
			t.Errorf("SetRange(%q) = %v; want %v", s, err, ipam.ErrInvalidRange)
		}
	}
}

// FuzzRequestPool checks that no two pools overlap, whatever is asked for.
func FuzzRequestPool(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0, 0, 1, 172, 17, 0, 16, 2, 0, 0, 0, 0})
	f.Add([]byte{1, 10, 0, 0, 8, 1, 10, 1, 0, 24, 0, 0, 0, 0, 0})
	f.Add([]byte{3, 172, 16, 0, 12, 3, 192, 168, 0, 16})
	f.Fuzz(func(t *testing.T, data []byte) {
		a := ipam.New(append(ipam.Local(), ipam.Global()...)...)
		var avoid []netip.Prefix
		for ; len(data) >= 5; data = data[5:] {
			s := netip.PrefixFrom(netip.AddrFrom4([4]byte{data[1], data[2], data[3], 0}), int(data[4]%40))
			switch data[0] % 4 {
			case 0:
				s = netip.Prefix{}
			case 2:
				if pools := a.Pools(); len(pools) > 0 {
					if err := a.ReleasePool(pools[int(data[1])%len(pools)]); err != nil {
						t.Fatal(err)
					}
				}
				continue
			case 3:
				avoid = append(avoid, s)
				continue
			}
			p, err := a.RequestPool(s, avoid)
			if err != nil {
				continue
			}
			checkPools(t, a, p, s, avoid)
		}
	})
}

func checkPools(t *testing.T, a *ipam.Allocator, p *ipam.Pool, asked netip.Prefix, avoid []netip.Prefix) {
	t.Helper()
	if asked.IsValid() && p.Subnet() != asked {
		t.Fatalf("RequestPool(%s) = %s", asked, p.Subnet())
	}
	for _, o := range avoid {
		if !asked.IsValid() && o.IsValid() && o.Overlaps(p.Subnet()) {
			t.Fatalf("pool %s overlaps %s, which is to be avoided", p.Subnet(), o)
		}
	}
	last := netip.Addr{}
	for _, q := range a.Pools() {
		if q != p && q.Subnet().Overlaps(p.Subnet()) {
			t.Fatalf("pools %s and %s overlap", p.Subnet(), q.Subnet())
		}
		if last.IsValid() && q.Subnet().Addr().Less(last) {
			t.Fatalf("pools are not in order")
		}
		last = q.Subnet().Addr()
	}
	for range 3 {
		got, err := p.Request(netip.Addr{})
		if err == nil && !p.Subnet().Contains(got) {
			t.Fatalf("address %s is not of pool %s", got, p.Subnet())
		}
	}
}

func BenchmarkRequest(b *testing.B) {
	b.ReportAllocs()
	p, err := ipam.New().RequestPool(prefix("10.0.0.0/16"), nil)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		got, err := p.Request(netip.Addr{})
		if err != nil {
			b.Fatal(err)
		}
		p.Release(got)
	}
}
