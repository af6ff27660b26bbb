package dns

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"testing"
)

// Go's own resolver, an independent client, gets from the embedded one what a container's programs are to get: by UDP,
// by TCP where the answer is too long for UDP, the way back from an address, and that there is no such name.
func TestGoResolverAsks(t *testing.T) {
	zone := NewSharedZone("big")
	var all []netip.Addr
	for i := range 100 {
		all = append(all, netip.AddrFrom4([4]byte{10, 9, 0, byte(i)}))
		zone.Add(string(rune('a'+i%26))+string(rune('a'+i/26)), "big", all[i])
	}
	networks := append(lab(), NetworkZone{Zone: zone})
	upstream := start(t, NewStatic(StaticConfig{Names: map[string][]netip.Addr{"www.example.com": ips("198.51.100.7")}}))
	addr := start(t, New(Config{
		Networks:  func() []NetworkZone { return networks },
		Upstreams: []netip.AddrPort{upstream}, Dial: dialer,
	}))
	r := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return dialer(ctx, network, addr.String())
	}}
	for _, tt := range []struct {
		ask  string
		want []netip.Addr
	}{
		{"c1.", ips("172.18.0.2")}, {"C1.", ips("172.18.0.2")}, {"www.example.com.", ips("198.51.100.7")}, {"big.", all},
	} {
		got, err := r.LookupNetIP(t.Context(), "ip4", tt.ask)
		slices.SortFunc(got, netip.Addr.Compare)
		if err != nil || !slices.EqualFunc(got, tt.want, func(a, b netip.Addr) bool { return a.Unmap() == b }) {
			t.Errorf("LookupNetIP(%s) = %v, %v; want %v", tt.ask, got, err, tt.want)
		}
	}
	names, err := r.LookupAddr(t.Context(), "172.18.0.2")
	if err != nil || len(names) != 1 {
		t.Errorf("LookupAddr = %v, %v; want one name", names, err)
	}
	var none *net.DNSError
	if _, err := r.LookupHost(t.Context(), "nobody.example.com."); !errors.As(err, &none) || !none.IsNotFound {
		t.Errorf("LookupHost of an unknown name: %v; want not found", err)
	}
}
