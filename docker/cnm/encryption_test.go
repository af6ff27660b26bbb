package cnm_test

import (
	"net/netip"
	"strings"
	"sync"
	"testing"

	"github.com/netsim-lab/netsim/docker/cnm"
	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/wire"
)

// keyRing returns keys of those tags, the first the primary one.
func keyRing(tags ...uint32) []cnm.EncryptionKey {
	var keys []cnm.EncryptionKey
	for _, tag := range tags {
		k := cnm.EncryptionKey{Tag: tag}
		k.Value[0] = byte(tag)
		keys = append(keys, k)
	}
	return keys
}

// secured makes an encrypted network and one that is not, with a container on each of two hosts.
func secured(t *testing.T, keys ...uint32) (l *swarmLab) {
	t.Helper()
	l = newSwarmLab(t, 2)
	for _, h := range l.hosts {
		l.must(h.ctl.SetEncryptionKeys(keyRing(keys...)))
	}
	for name, options := range map[string]map[string]string{"ovsec": {"encrypted": ""}, "plain": {}} {
		if _, err := l.create(networkSpec{Name: name, Attachable: true, Options: options}, netip.Prefix{}); err != nil {
			t.Fatal(err)
		}
	}
	return l
}

// protocols counts the packets that leave or reach a host's eth0, by protocol.
type protocols struct {
	mu    sync.Mutex
	count map[byte]int
	large int
}

func watchProtocols(t *testing.T, h *swarmHost) *protocols {
	p := &protocols{count: map[byte]int{}}
	eth0, _ := h.ns.Interface("eth0")
	t.Cleanup(eth0.Taps().Add(fabric.TapFunc(func(_ fabric.Direction, f *fabric.Frame) {
		p.mu.Lock()
		defer p.mu.Unlock()
		if ip := f.IPv4(); ip != nil {
			p.count[ip.Proto()] += int(f.Segs)
			p.large = max(p.large, f.PacketLen())
		}
	})))
	return p
}

func (p *protocols) take() map[byte]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.count
	p.count = map[byte]int{}
	return c
}

// largest is the length of the largest packet, its IP header included.
func (p *protocols) largest() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.large
}

// X1, X4, X5, X9: what an encrypted overlay sends to another host is ESP, and what others send is as it was.
func TestEncryptedOverlay(t *testing.T) {
	l := secured(t, 2, 1, 3)
	a, b := l.hosts[0], l.hosts[1]
	s1, s2 := l.attach(a, "s1", "ovsec"), l.attach(b, "s2", "ovsec")
	p1, p2 := l.attach(a, "p1", "plain"), l.attach(b, "p2", "plain")
	seen := watchProtocols(t, a)
	ip := func(s *cnm.Sandbox, network string) netip.Addr {
		ep, ok := s.Endpoint(network)
		if !ok {
			t.Fatalf("%s is not on %s", s.Name(), network)
		}
		return ep.IP()
	}
	if _, err := s1.NS().Ping(l.ctx, ip(s2, "ovsec")); err != nil {
		t.Fatal(err)
	}
	if c := seen.take(); c[wire.ProtoESP] < 2 || c[wire.ProtoUDP] != 0 {
		t.Errorf("the encrypted overlay's packets by protocol: %v; want only 50", c)
	}
	if _, err := p1.NS().Ping(l.ctx, ip(p2, "plain")); err != nil {
		t.Fatal(err)
	}
	if c := seen.take(); c[wire.ProtoUDP] < 2 || c[wire.ProtoESP] != 0 {
		t.Errorf("the plain overlay's packets by protocol: %v; want only 17", c)
	}
	ep, _ := s1.Endpoint("ovsec")
	if mtu := ep.Interface().MTU(); mtu != 1424 {
		t.Errorf("MTU %d; want 1424", mtu)
	}
	l.must(b.serve(s2.NS(), "80", strings.Repeat("x", 100_000)))
	if got := l.ask(s1.NS(), "s2:80"); len(got) < 100_000 {
		t.Errorf("got %d bytes", len(got))
	}
	if c, large := seen.take(), seen.largest(); c[wire.ProtoESP] < 70 || c[wire.ProtoUDP] != 0 || large < 1400 || large > 1500 {
		t.Errorf("100 kB travelled as %v, packets of up to %d bytes; want ESP only, up to 1500", c, large)
	}
	if n := len(a.ctl.ESP().States()); n != 4 {
		t.Errorf("%d associations; want three for what comes and one for what goes", n)
	}
	if d := b.ctl.ESP().Read().Drops; d != nil {
		t.Errorf("dropped %v", d)
	}
}

// X7: the associations with a host go with the last network that needs them.
func TestEncryptionLeavesWithTheNetwork(t *testing.T) {
	l := secured(t, 2, 1, 3)
	l.attach(l.hosts[0], "s1", "ovsec")
	if n := len(l.hosts[0].ctl.ESP().States()); n != 0 {
		t.Errorf("%d associations with nobody", n)
	}
	l.attach(l.hosts[1], "s2", "ovsec")
	if n := len(l.hosts[0].ctl.ESP().States()); n != 4 {
		t.Errorf("%d associations; want 4", n)
	}
	for _, h := range l.hosts {
		for _, s := range h.ctl.Sandboxes() {
			if strings.HasPrefix(s.Name(), "s") {
				l.must(s.Delete())
			}
		}
		if n := len(h.ctl.ESP().States()); n != 0 {
			t.Errorf("%s: %d associations are left", h.name, n)
		}
	}
}

// X4: a host that leaves, and comes back with another address for its tunnels, is understood there.
func TestEncryptionAtAnotherAddress(t *testing.T) {
	l := secured(t, 2, 1, 3)
	a, b := l.hosts[0], l.hosts[1]
	s2 := l.attach(b, "s2", "ovsec")
	ep, _ := s2.Endpoint("ovsec")
	eth0, _ := a.ns.Interface("eth0")
	l.must(a.ctl.LeaveIngress())
	was := a.ctl.VTEP()
	for _, addr := range []netip.Addr{netip.MustParseAddr("192.168.1.102"), was} {
		l.must(eth0.AddAddr(netip.PrefixFrom(addr, 24)))
		l.must(eth0.RemoveAddr(netip.PrefixFrom(was, 24)))
		was = addr
		l.must(a.ctl.LeaveCluster())
		l.must(a.ctl.JoinCluster(board{&l.records, a.name}, addr))
		s1 := l.attach(a, "s1", "ovsec")
		for _, s := range a.ctl.ESP().States() {
			if own := map[bool]netip.Addr{true: s.Dst, false: s.Src}[s.Incoming]; own != addr {
				t.Fatalf("tunnels at %s have an association of %s with %s", addr, s.Src, s.Dst)
			}
		}
		if _, err := s1.NS().Ping(l.ctx, ep.IP()); err != nil {
			t.Fatalf("from tunnels at %s: %v", addr, err)
		}
		l.must(s1.Delete())
		l.must(l.find("ovsec").exit(a))
	}
	if d := b.ctl.ESP().Read().Drops; d != nil {
		t.Errorf("dropped %v", d)
	}
}

// X10: without keys nobody joins an encrypted network, and other networks are as ever.
func TestEncryptedOverlayNeedsKeys(t *testing.T) {
	l := secured(t)
	sandbox, end, err := l.hosts[0].container(l.ctx, "s1")
	if err != nil {
		t.Fatal(err)
	}
	defer end() //nolint:errcheck // it joins nothing
	join := func(network string) error {
		a, err := l.reserve(l.hosts[0], network)
		if err != nil {
			t.Fatal(err)
		}
		return sandbox.Join(l.ctx, []cnm.EndpointConfig{a.ep})
	}
	if err := join("ovsec"); err == nil || !strings.Contains(err.Error(), "cannot join secure network: encryption keys not present") {
		t.Errorf("join without keys: %v", err)
	}
	if err := join("plain"); err != nil {
		t.Errorf("join another network: %v", err)
	}
}

// X1: the option's presence counts, not its value; X9: the MTU of the underlay may be another.
func TestEncryptedOptions(t *testing.T) {
	l := secured(t, 2, 1, 3)
	const mtu = "com.docker.network.driver.mtu"
	for i, c := range []struct {
		options   map[string]string
		encrypted bool
		mtu       int
	}{
		{map[string]string{"encrypted": "false"}, true, 1424},
		{map[string]string{"encrypted": "true"}, true, 1424},
		{map[string]string{"encrypted": "", mtu: "9000"}, true, 8924},
		{nil, false, 1450},
	} {
		n, err := l.hosts[0].ctl.CreateNetwork(cnm.NetworkConfig{Name: "n" + string(rune('0'+i)), Driver: cnm.DriverOverlay, VNI: uint32(9000 + i),
			Subnet: netip.MustParsePrefix("10.77.0.0/24"), Options: c.options})
		if err != nil {
			t.Fatal(err)
		}
		if n.Encrypted() != c.encrypted || n.MTU() != c.mtu {
			t.Errorf("%v: encrypted %v, MTU %d; want %v, %d", c.options, n.Encrypted(), n.MTU(), c.encrypted, c.mtu)
		}
	}
}
