package netns

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/wire"
)

// L8: the state machine of a neighbour. Each row is an event, and the state and action that must follow.
func TestNeighEntry(t *testing.T) {
	mac, other := wire.MAC{2, 0, 0, 0, 0, 1}, wire.MAC{2, 0, 0, 0, 0, 2}
	const sec = int64(time.Second)
	type step struct {
		at    int64 // seconds
		event string
		state NeighState
		want  neighAction
	}
	use := func(e *neighEntry, at int64) neighAction { return e.use(at) }
	expire := func(e *neighEntry, at int64) neighAction { return e.expire(at) }
	confirm := func(e *neighEntry, at int64) neighAction { e.confirm(mac, at, 30*sec); return neighAction{} }
	hear := func(e *neighEntry, at int64) neighAction { e.hear(mac, at); return neighAction{} }
	moved := func(e *neighEntry, at int64) neighAction { e.hear(other, at); return neighAction{} }
	events := map[string]func(*neighEntry, int64) neighAction{"use": use, "expire": expire, "confirm": confirm, "hear": hear, "moved": moved}
	none := neighAction{}
	ask := neighAction{wait: true, request: true, timer: time.Second}
	again := neighAction{request: true, timer: time.Second}
	probe := neighAction{request: true, unicast: true, timer: time.Second}
	for _, c := range []struct {
		name  string
		steps []step
	}{
		{"nobody answers three requests", []step{
			{0, "use", NeighIncomplete, ask}, {0, "use", NeighIncomplete, neighAction{wait: true}},
			{1, "expire", NeighIncomplete, again}, {2, "expire", NeighIncomplete, again},
			{3, "expire", NeighFailed, neighAction{fail: true}}, {4, "use", NeighIncomplete, ask}}},
		{"an answer", []step{
			{0, "use", NeighIncomplete, ask}, {1, "confirm", NeighReachable, none}, {2, "use", NeighReachable, neighAction{send: true}}}},
		{"reachable, stale, delay, probe, confirmed", []step{
			{0, "confirm", NeighReachable, none}, {31, "use", NeighDelay, neighAction{send: true, timer: 5 * time.Second}},
			{32, "use", NeighDelay, neighAction{send: true}}, {36, "expire", NeighProbe, probe},
			{37, "expire", NeighProbe, probe}, {37, "use", NeighProbe, neighAction{send: true}}, {38, "confirm", NeighReachable, none}}},
		{"probes that nobody answers", []step{
			{0, "hear", NeighStale, none}, {1, "use", NeighDelay, neighAction{send: true, timer: 5 * time.Second}},
			{6, "expire", NeighProbe, probe}, {7, "expire", NeighProbe, probe}, {8, "expire", NeighProbe, probe}, {9, "expire", NeighFailed, neighAction{fail: true}}}},
		{"heard while asked for", []step{{0, "use", NeighIncomplete, ask}, {1, "hear", NeighStale, none}}},
		{"heard while reachable", []step{{0, "confirm", NeighReachable, none}, {1, "hear", NeighReachable, none}, {2, "moved", NeighStale, none}}},
		{"a timer too late", []step{{0, "confirm", NeighReachable, none}, {1, "expire", NeighReachable, none}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var e neighEntry
			for i, s := range c.steps {
				if got := events[s.event](&e, s.at*sec); got != s.want || e.state != s.state {
					t.Fatalf("step %d, %s: %v, %+v; want %v, %+v", i, s.event, e.state, got, s.state, s.want)
				}
			}
		})
	}
	e := neighEntry{state: NeighPermanent, mac: mac, permanent: true}
	e.hear(other, 1)
	e.confirm(other, 1, 1)
	if e.mac != mac || e.state != NeighPermanent {
		t.Errorf("a permanent entry changed: %+v", e)
	}
}

// port is one that keeps what is sent.
type tape struct {
	sink
	frames []*fabric.Frame // guarded by sink.mu
}

func (p *tape) Send(batch []*fabric.Frame) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.frames = append(p.frames, batch...)
}

// take returns what was sent since the last call, as text.
func (p *tape) take() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []string
	for _, f := range p.frames {
		out = append(out, describe(f))
		f.Free()
	}
	p.frames = nil
	return out
}

func (p *tape) arrive(f *fabric.Frame) { (*p.r.Load()).Receive([]*fabric.Frame{f}) }

func describe(f *fabric.Frame) string {
	e := f.Eth()
	if e.Type() == wire.TypeARP {
		a := wire.ARP(f.Linear()[wire.EthernetLen:])
		if a.Op() == wire.ARPRequest {
			return "who has " + a.TargetIP().String() + " tell " + a.SenderIP().String() + " to " + e.Dst().String()
		}
		return a.SenderIP().String() + " is at " + a.SenderMAC().String() + " to " + e.Dst().String()
	}
	h := f.IPv4()
	if h == nil {
		return "frame"
	}
	return h.Src().String() + " > " + h.Dst().String() + " to " + e.Dst().String()
}

func arp(op uint16, dst, sender wire.MAC, senderIP string, target wire.MAC, targetIP string) *fabric.Frame {
	f := fabric.New()
	b := f.Extend(wire.EthernetLen + wire.ARPLen)
	wire.PutEthernet(b, dst, sender, wire.TypeARP)
	wire.PutARP(b[wire.EthernetLen:], op, sender, addr(senderIP), target, addr(targetIP))
	return f
}

// node returns a namespace with one interface eth0 at 10.0.0.2/24 that sends to a tape.
func node(t testing.TB, cfg Config) (*Namespace, *Interface, *tape) {
	cfg.Name = "h"
	ns := New(cfg)
	t.Cleanup(func() { ns.Close() })
	p := &tape{}
	eth0 := must(ns.AddInterface(InterfaceConfig{Name: "eth0", Port: p, MAC: wire.MAC{2, 0, 0, 0, 0, 2}, Addr: prefix("10.0.0.2/24")}))
	return ns, eth0, p
}

func TestARP(t *testing.T) {
	mine, his, any := wire.MAC{2, 0, 0, 0, 0, 2}, wire.MAC{2, 0, 0, 0, 0, 9}, wire.Broadcast
	for _, c := range []struct {
		name  string
		in    *fabric.Frame
		reply string
		neigh string
	}{
		{"a request for our address", arp(1, any, his, "10.0.0.9", wire.MAC{}, "10.0.0.2"), "10.0.0.2 is at 02:00:00:00:00:02 to 02:00:00:00:00:09", "10.0.0.9 STALE"},
		{"a probe for our address", arp(1, any, his, "0.0.0.0", wire.MAC{}, "10.0.0.2"), "10.0.0.2 is at 02:00:00:00:00:02 to 02:00:00:00:00:09", ""},
		{"a request for an address on another interface (L10)", arp(1, any, his, "10.0.0.9", wire.MAC{}, "10.5.0.1"), "10.5.0.1 is at 02:00:00:00:00:02 to 02:00:00:00:00:09", "10.0.0.9 STALE"},
		{"a request for another's", arp(1, any, his, "10.0.0.9", wire.MAC{}, "10.0.0.8"), "", ""},
		{"a request for a proxied address", arp(1, any, his, "10.0.0.9", wire.MAC{}, "10.0.0.50"), "10.0.0.50 is at 02:00:00:00:00:02 to 02:00:00:00:00:09", ""},
		{"a request for 127.0.0.1", arp(1, any, his, "10.0.0.9", wire.MAC{}, "127.0.0.1"), "", ""},
		{"an announcement of an unknown neighbour", arp(1, any, his, "10.0.0.9", wire.MAC{}, "10.0.0.9"), "", ""},
		{"an answer that nobody asked for", arp(2, mine, his, "10.0.0.9", mine, "10.0.0.2"), "", ""},
		{"one who claims our address", arp(1, any, his, "10.0.0.2", wire.MAC{}, "10.0.0.2"), "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			ns, eth0, p := node(t, Config{})
			must(ns.AddInterface(InterfaceConfig{Name: "eth1", Addr: prefix("10.5.0.1/24")}))
			eth0.AddProxy(addr("10.0.0.50"))
			p.arrive(c.in)
			reply, neigh := "", ""
			for _, s := range p.take() {
				reply += s
			}
			for _, n := range ns.Neighbours() {
				neigh += n.Addr.String() + " " + n.State.String()
			}
			if reply != c.reply || neigh != c.neigh {
				t.Errorf("sent %q, knows %q; want %q, %q", reply, neigh, c.reply, c.neigh)
			}
		})
	}
}

func TestARPIgnore(t *testing.T) {
	ns, _, p := node(t, Config{})
	must(ns.AddInterface(InterfaceConfig{Name: "eth1", Addr: prefix("10.5.0.1/24")}))
	ns.SetARPIgnore(true)
	his := wire.MAC{2, 0, 0, 0, 0, 9}
	p.arrive(arp(1, wire.Broadcast, his, "10.0.0.9", wire.MAC{}, "10.5.0.1"))
	if got := p.take(); got != nil {
		t.Errorf("answered %v for the address of another interface", got)
	}
	p.arrive(arp(1, wire.Broadcast, his, "10.0.0.9", wire.MAC{}, "10.0.0.2"))
	if got := p.take(); len(got) != 1 {
		t.Errorf("sent %v for its own address", got)
	}
}

// I24: an announcement makes neighbours forget who had an address before.
func TestAnnounceARP(t *testing.T) {
	l := newLab(t)
	_, cs := l.bridged(2)
	if _, err := cs[0].Ping(l.within(patience), addr("10.0.0.3")); err != nil {
		t.Fatal(err)
	}
	old := cs[0].Neighbours()[0].MAC
	eth0 := must2(cs[1].Interface("eth0"))
	if old != eth0.MAC() {
		t.Fatalf("neighbour %v; want %v", old, eth0.MAC())
	}
	br := eth0.Peer().Master()
	if err := cs[1].RemoveInterface("eth0"); err != nil {
		t.Fatal(err)
	}
	fresh := l.add(Config{Name: "fresh"})
	hv, fi := l.veth(br.ns, "vethX", "", fresh, "eth0", "10.0.0.3/24")
	if err := hv.SetMaster(br); err != nil {
		t.Fatal(err)
	}
	fi.AnnounceARP(addr("10.0.0.3"))
	if n := cs[0].Neighbours()[0]; n.MAC != fi.MAC() || n.State != NeighStale {
		t.Errorf("neighbour %v; want %v stale", n, fi.MAC())
	}
	if _, err := cs[0].Ping(l.within(patience), addr("10.0.0.3")); err != nil {
		t.Error(err)
	}
}

// Frames wait for an address in order; beyond 101 the oldest is dropped and counted.
func TestNeighQueue(t *testing.T) {
	ns, eth0, p := node(t, Config{})
	raw := must(ns.ListenRaw(wire.ProtoUDP))
	for range maxNeighQueue + 7 {
		if err := raw.Send(addr("10.0.0.9"), make([]byte, 8), RawOptions{Proto: 99}); err != nil {
			t.Fatal(err)
		}
	}
	if got := p.take(); len(got) != 1 || got[0] != "who has 10.0.0.9 tell 10.0.0.2 to ff:ff:ff:ff:ff:ff" {
		t.Errorf("sent %v; want one request", got)
	}
	if n := eth0.Dropped(fabric.DropNeighQueue); n != 7 {
		t.Errorf("%d drops; want 7", n)
	}
	p.arrive(arp(2, eth0.mac, wire.MAC{2, 0, 0, 0, 0, 9}, "10.0.0.9", eth0.mac, "10.0.0.2"))
	if got := p.take(); len(got) != maxNeighQueue || got[0] != "10.0.0.2 > 10.0.0.9 to 02:00:00:00:00:09" {
		t.Errorf("%d frames went after the answer; want %d", len(got), maxNeighQueue)
	}
	if n := ns.Neighbours(); len(n) != 1 || n[0].State != NeighReachable {
		t.Errorf("neighbours %v", n)
	}
}

func TestNeighPermanent(t *testing.T) {
	ns, eth0, p := node(t, Config{})
	raw := must(ns.ListenRaw(99))
	raw.Send(addr("10.0.0.9"), nil, RawOptions{})
	p.take()
	eth0.AddNeighbour(addr("10.0.0.9"), wire.MAC{2, 9})
	raw.Send(addr("10.0.0.9"), nil, RawOptions{})
	if got := p.take(); len(got) != 2 || got[1] != "10.0.0.2 > 10.0.0.9 to 02:09:00:00:00:00" {
		t.Errorf("sent %v", got)
	}
	if n := ns.Neighbours(); len(n) != 1 || n[0].State != NeighPermanent {
		t.Errorf("neighbours %v", n)
	}
	eth0.AddProxy(addr("10.0.0.50"))
	if n := ns.ProxyNeighbours(); len(n) != 1 || n[0].Addr != addr("10.0.0.50") || !n[0].Proxy {
		t.Errorf("proxies %v", n)
	}
	eth0.RemoveProxy(addr("10.0.0.50"))
	if !eth0.RemoveNeighbour(addr("10.0.0.9")) || eth0.RemoveNeighbour(addr("10.0.0.9")) || len(ns.Neighbours()) != 0 {
		t.Error("RemoveNeighbour does not remove, or does so twice")
	}
}

// L9: after three requests the sender learns that the host is unreachable: a socket, a ping and one behind a router.
func TestNeighFailed(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	host, cs := l.bridged(1)
	far := l.add(Config{Name: "far"})
	l.veth(host, "down", "10.2.0.1/24", far, "eth0", "10.2.0.2/24")
	l.gateway(far, "10.2.0.1")
	type result struct {
		reply PingReply
		err   error
	}
	ping := func(ns *Namespace, seq uint16) chan result {
		ch := make(chan result, 1)
		p := must(ns.NewPinger())
		if err := p.Send(addr("10.0.0.77"), PingOptions{Seq: seq, Size: 56}); err != nil {
			t.Fatal(err)
		}
		go func() { r, err := p.Receive(l.within(patience)); ch <- result{r, err} }()
		return ch
	}
	var told atomic.Int64 // how many drops were counted when the far one was told
	br := must2(host.Interface("br0"))
	defer must2(host.Interface("down")).Taps().Add(fabric.TapFunc(func(_ fabric.Direction, f *fabric.Frame) {
		if m := f.ICMP(); m != nil && m.IsError() {
			told.Store(int64(br.Dropped(fabric.DropNeighFailed)))
		}
	}))()
	start := time.Now()
	local, remote := ping(cs[0], 1), ping(far, 2)
	for _, c := range []struct {
		from string
		r    result
		seq  uint16
	}{{"10.0.0.2", <-local, 1}, {"10.2.0.1", <-remote, 2}} {
		if c.r.err != nil || c.r.reply.From != addr(c.from) || c.r.reply.Seq != c.seq || c.r.reply.Type != wire.ICMPUnreachable || c.r.reply.Code != wire.CodeHostUnreachable {
			t.Errorf("ping: %+v, %v; want host unreachable from %s", c.r.reply, c.r.err, c.from)
		}
	}
	if d := time.Since(start); d < 2500*time.Millisecond || d > time.Minute {
		t.Errorf("it took %v; want 3 s", d)
	}
	if n := told.Load(); n != 1 {
		t.Errorf("%d drops are counted when the sender is told; want 1", n)
	}
	if n := must2(cs[0].Interface("eth0")).Dropped(fabric.DropNeighFailed); n != 1 {
		t.Errorf("%d drops; want 1", n)
	}
	for _, n := range cs[0].Neighbours() {
		if n.Addr == addr("10.0.0.77") && n.State != NeighFailed {
			t.Errorf("neighbour is %v; want FAILED", n.State)
		}
	}
}

// A scan of a large subnet cannot fill the memory: old failed entries go when room is wanted.
func TestNeighSweep(t *testing.T) {
	var n neighbours
	n.init()
	for i := range 3000 {
		e := n.entryLocked(prefixAddr(i), 0)
		e.set(NeighFailed, 0)
	}
	late := int64(failedLifetime) + 1
	for i := range 3000 {
		n.entryLocked(prefixAddr(10000+i), late).set(NeighFailed, late)
	}
	if len(n.m) > 5000 {
		t.Errorf("%d entries", len(n.m))
	}
}
