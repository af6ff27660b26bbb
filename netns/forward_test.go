package netns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/wire"
)

// L12: each router on the way answers from the address of the interface that the packet came in by.
func TestTraceroute(t *testing.T) {
	l := newLab(t)
	client, _, routers := l.routed(3)
	p := must(client.NewPinger())
	for ttl, want := range []string{1: "10.1.0.1", 2: "10.2.0.1", 3: "10.3.0.1", 4: "10.9.0.2"} {
		if ttl == 0 {
			continue
		}
		if err := p.Send(addr("10.9.0.2"), PingOptions{Seq: uint16(ttl), TTL: ttl}); err != nil {
			t.Fatal(err)
		}
		r, err := p.Receive(l.within(patience))
		if err != nil || r.From != addr(want) || int(r.Seq) != ttl {
			t.Errorf("ttl %d: %+v, %v; want %s", ttl, r, err, want)
		}
		if last := ttl == 4; last != (r.Type == wire.ICMPEchoReply) || !last && r.Type != wire.ICMPTimeExceeded || last && r.TTL != 61 {
			t.Errorf("ttl %d: type %d, ttl %d", ttl, r.Type, r.TTL) // L11
		}
	}
	if n := must2(routers[2].Interface("up")).Dropped(fabric.DropTTL); n != 1 {
		t.Errorf("router 3 dropped %d; want 1", n)
	}
}

// The probes of traceroute: UDP to ports that nobody has, and answers that quote them.
func TestTracerouteUDP(t *testing.T) {
	l := newLab(t)
	client, _, _ := l.routed(1)
	icmp := must(client.ListenRaw(wire.ProtoICMP))
	send := must(client.ListenRaw(wire.ProtoUDP))
	for ttl, want := range map[int]struct {
		from string
		typ  byte
	}{1: {"10.1.0.1", wire.ICMPTimeExceeded}, 2: {"10.9.0.2", wire.ICMPUnreachable}} {
		b := make([]byte, 32)
		wire.PutUDP(b, 40000, 33434, len(b))
		if err := send.Send(addr("10.9.0.2"), b, RawOptions{TTL: ttl}); err != nil {
			t.Fatal(err)
		}
		r, err := icmp.Read(l.within(patience))
		if err != nil || r.Src != addr(want.from) || r.Body[0] != want.typ || wire.UDP(r.Body[wire.ICMPLen+wire.IPv4Len:]).DstPort() != 33434 {
			t.Errorf("ttl %d: %+v, %v; want %v", ttl, r, err, want)
		}
	}
}

func TestUnreachable(t *testing.T) {
	l := newLab(t)
	client, server, routers := l.routed(1)
	r := routers[0]
	ping := func(to string) (PingReply, error) {
		p := must(client.NewPinger())
		defer p.Close()
		if err := p.Send(addr(to), PingOptions{}); err != nil {
			t.Fatal(err)
		}
		return p.Receive(l.within(300 * time.Millisecond))
	}
	if got, err := ping("192.0.2.1"); err != nil || got.From != addr("10.1.0.1") || got.Code != wire.CodeNetUnreachable { // L15
		t.Errorf("no route: %+v, %v", got, err)
	}
	if _, err := client.Dial(l.within(patience), "tcp", "192.0.2.1:80"); !errors.Is(err, syscall.ENETUNREACH) {
		t.Errorf("no route: %v", err)
	}
	in := must2(r.Interface("up"))
	if n := in.Dropped(fabric.DropNoRoute); n != 2 {
		t.Errorf("%d drops for no route; want 2", n)
	}
	r.SetForward(false)
	if _, err := ping("10.9.0.2"); !errors.Is(err, context.DeadlineExceeded) || in.Dropped(fabric.DropNoForwarding) != 1 {
		t.Errorf("without ip_forward: %v, %d drops; want silence and 1", err, in.Dropped(fabric.DropNoForwarding))
	}
	if r.Forwarding() {
		t.Error("Forwarding is true")
	}
	raw := must(client.ListenRaw(wire.ProtoICMP))
	r.SetForward(true)
	if err := raw.Send(addr("10.9.0.2"), make([]byte, 8), RawOptions{Proto: 132}); err != nil {
		t.Fatal(err)
	}
	if got, err := raw.Read(l.within(patience)); err != nil || got.Body[0] != wire.ICMPUnreachable || got.Body[1] != codeProtoUnreachable {
		t.Errorf("unknown protocol: %+v, %v", got, err)
	}
	if n := must2(server.Interface("eth0")).Dropped(fabric.DropUnknownProto); n != 1 {
		t.Errorf("%d drops for an unknown protocol; want 1", n)
	}
}

// Packets that cannot be from where they came from are dropped.
func TestMartians(t *testing.T) {
	for _, c := range []struct {
		src, dst string
		localnet bool
		want     uint64
	}{
		{"10.0.0.9", "10.0.0.2", false, 0}, {"127.0.0.1", "10.0.0.2", false, 1}, {"10.0.0.9", "127.0.0.1", false, 1}, {"224.0.0.1", "10.0.0.2", false, 1},
		{"10.0.0.2", "10.0.0.2", false, 1}, {"255.255.255.255", "10.0.0.2", false, 1}, {"10.0.0.9", "127.0.0.1", true, 0},
	} {
		_, eth0, p := node(t, Config{})
		eth0.SetRouteLocalnet(c.localnet)
		p.arrive(udpFrame(eth0.mac, c.src, c.dst, 10))
		if n := eth0.Dropped(fabric.DropMartian); n != c.want {
			t.Errorf("%s > %s: %d drops; want %d", c.src, c.dst, n, c.want)
		}
	}
}

// What switches tell each other reaches hosts, too, as BPDUs do: it is no loss worth telling.
func TestInputIgnoresLinkLocal(t *testing.T) {
	_, eth0, p := node(t, Config{})
	for _, typ := range []uint16{38, 0x88cc} { // an LLC length, LLDP
		for _, last := range []byte{0, 0xe, 0x10} {
			b := make([]byte, 60)
			wire.PutEthernet(b, wire.MAC{1, 0x80, 0xc2, 0, 0, last}, wire.MAC{2, 9}, typ)
			p.arrive(fabric.FromBytes(b))
		}
	}
	if s := eth0.Read(); s.Dropped() != 2 || s.Drops["unknown-protocol"] != 2 {
		t.Errorf("dropped %v; want the two that are to 01:80:c2:00:00:10", s.Drops)
	}
}

// Frames that are not for the namespace, or that it does not understand, are dropped for a reason.
func TestInputDrops(t *testing.T) {
	mine, his := wire.MAC{2, 0, 0, 0, 0, 2}, wire.MAC{2, 0, 0, 0, 0, 9}
	eth := func(dst wire.MAC, typ uint16, body ...byte) *fabric.Frame {
		b := make([]byte, wire.EthernetLen)
		wire.PutEthernet(b, dst, his, typ)
		return fabric.FromBytes(append(b, body...))
	}
	badSum := udpFrame(mine, "10.0.0.9", "10.0.0.2", 10)
	badSum.Linear()[wire.EthernetLen+10]++
	badUDP := udpFrame(mine, "10.0.0.9", "10.0.0.2", 10)
	wire.UDP(badUDP.Linear()[wire.EthernetLen+wire.IPv4Len:]).SetChecksum(1)
	down := udpFrame(mine, "10.0.0.9", "10.0.0.2", 10)
	for _, c := range []struct {
		f    *fabric.Frame
		want fabric.DropReason
	}{
		{fabric.FromBytes([]byte{1, 2, 3}), fabric.DropTruncated},
		{eth(his, wire.TypeIPv4, 1), fabric.DropTruncated},
		{eth(mine, 0x88cc), fabric.DropUnknownProto},
		{eth(mine, wire.TypeVLAN, 0, 5, 0x88, 0xcc), fabric.DropVLAN},
		{eth(mine, wire.TypeARP, 1, 2, 3), fabric.DropMalformed},
		{udpFrame(his, "10.0.0.9", "10.0.0.2", 10), fabric.DropNotForUs},
		{udpFrame(wire.Broadcast, "10.0.0.9", "10.0.0.8", 10), fabric.DropNotForUs},
		{badSum, fabric.DropChecksum},
		{badUDP, fabric.DropChecksum},
		{down, fabric.DropLinkDown},
	} {
		t.Run(c.want.String(), func(t *testing.T) {
			_, eth0, p := node(t, Config{})
			eth0.SetUp(c.f != down)
			p.arrive(c.f)
			if n := eth0.Dropped(c.want); n != 1 {
				t.Errorf("dropped %v; want one %v", eth0.Read().Drops, c.want)
			}
		})
	}
}

// udpFrame returns a frame from port 7 to port 9, with checksums.
func udpFrame(dst wire.MAC, src, to string, size int) *fabric.Frame {
	b := make([]byte, wire.EthernetLen+wire.IPv4Len+wire.UDPLen+size)
	wire.PutEthernet(b, dst, wire.MAC{2, 0, 0, 0, 0, 9}, wire.TypeIPv4)
	ip := b[wire.EthernetLen:]
	wire.PutIPv4(ip, wire.IPv4Fields{TotalLen: len(ip), TTL: 64, Proto: wire.ProtoUDP, Src: addr(src), Dst: addr(to)})
	wire.PutUDP(ip[wire.IPv4Len:], 7, 9, wire.UDPLen+size)
	return fabric.FromBytes(b)
}

// TCP finds out that a link in the middle of its way is narrow, and gets through (L14).
func TestPathMTU(t *testing.T) {
	l := newLab(t)
	client, server, routers := l.routed(2)
	for _, i := range []*Interface{must2(routers[0].Interface("down1")), must2(routers[1].Interface("up"))} {
		if err := i.SetMTU(1400); err != nil {
			t.Fatal(err)
		}
	}
	l.echo(server, ":80")
	if _, _, err := l.talk(client, "10.9.0.2:80", 2_000_000); err != nil {
		t.Fatal(err)
	}
	if n := must2(routers[0].Interface("up")).Dropped(fabric.DropMTU); n == 0 {
		t.Error("nothing was too large for the router")
	}
	p := must(client.NewPinger())
	if err := p.Send(addr("10.9.0.2"), PingOptions{Size: 1472, DF: true}); err != nil {
		t.Fatal(err)
	}
	if r, err := p.Receive(l.within(patience)); err != nil || r.MTU != 1400 || r.From != addr("10.1.0.1") {
		t.Errorf("ping -M do: %+v, %v; want frag needed, mtu 1400", r, err)
	}
	var tooLong *MTUError
	if err := p.Send(addr("10.9.0.2"), PingOptions{Size: 1473, DF: true}); !errors.As(err, &tooLong) || tooLong.MTU != 1500 || !errors.Is(err, syscall.EMSGSIZE) {
		t.Errorf("ping -M do -s 1473: %v", err)
	}
}

// Very small segments: a train has 64 at most.
func TestSmallMTU(t *testing.T) {
	l := newLab(t)
	client, server, routers := l.routed(1)
	if err := must2(routers[0].Interface("down")).SetMTU(576); err != nil {
		t.Fatal(err)
	}
	eth0 := must2(server.Interface("eth0"))
	if err := eth0.SetMTU(576); err != nil {
		t.Fatal(err)
	}
	seen := make(chan int, 1)
	defer eth0.Taps().Add(fabric.TapFunc(func(_ fabric.Direction, f *fabric.Frame) {
		if f.Segs > fabric.MaxSegs {
			select {
			case seen <- int(f.Segs):
			default:
			}
		}
	}))()
	l.echo(server, ":80")
	if _, _, err := l.talk(client, "10.9.0.2:80", 2_000_000); err != nil {
		t.Fatal(err)
	}
	if len(seen) > 0 {
		t.Errorf("a train has %d wire frames", <-seen)
	}
}

// Trains cross routers whole.
func TestTrainsForwarded(t *testing.T) {
	l := newLab(t)
	client, server, routers := l.routed(3)
	l.echo(server, ":80")
	var longest [3]int
	for n, r := range routers {
		in := must2(r.Interface("up"))
		defer in.Taps().Add(fabric.TapFunc(func(d fabric.Direction, f *fabric.Frame) {
			if d == fabric.In {
				longest[n] = max(longest[n], int(f.Segs))
			}
		}))()
	}
	if _, _, err := l.talk(client, "10.9.0.2:80", 4_000_000); err != nil {
		t.Fatal(err)
	}
	l.stop()
	l.wg.Wait()
	if longest[0] < 8 || longest[2] != longest[0] {
		t.Errorf("longest trains at each router: %v", longest)
	}
}

func TestSegmentationOff(t *testing.T) {
	l := newLab(t)
	_, cs := l.bridged(2)
	cs[0].SetSegmentation(false)
	l.echo(cs[1], ":80")
	longest := 0
	defer must2(cs[0].Interface("eth0")).Taps().Add(fabric.TapFunc(func(d fabric.Direction, f *fabric.Frame) {
		if d == fabric.Out {
			longest = max(longest, int(f.Segs))
		}
	}))()
	if _, _, err := l.talk(cs[0], "10.0.0.3:80", 1_000_000); err != nil {
		t.Fatal(err)
	}
	l.stop()
	l.wg.Wait()
	if longest != 1 {
		t.Errorf("a train has %d wire frames; want 1", longest)
	}
}

// Traffic goes on while interfaces come and go, bridges change and addresses are added.
func TestChangeUnderTraffic(t *testing.T) {
	l := newLab(t)
	host, cs := l.bridged(2)
	l.echo(cs[1], ":80")
	br := must2(host.Interface("br0"))
	stop := make(chan struct{})
	done := make(chan error, 1)
	go func() {
		var err error
		for err == nil {
			_, _, err = l.talk(cs[0], "10.0.0.3:80", 200_000)
			select {
			case <-stop:
				done <- err
				return
			default:
			}
		}
		done <- err
	}()
	before := len(host.Interfaces())
	for i := range 40 {
		x := New(Config{Name: fmt.Sprint("x", i)})
		h, e := l.veth(host, "vethx", "", x, "eth0", "10.0.0.99/24")
		for _, err := range []error{h.SetMaster(br), e.AddAddr(prefix("10.0.0.98/24")), e.RemoveAddr(prefix("10.0.0.99/24"))} {
			if err != nil {
				t.Error(err)
			}
		}
		e.AnnounceARP(addr("10.0.0.98"))
		host.Neighbours()
		host.Sockets()
		br.Carrier()
		if i%2 == 0 {
			if err := x.RemoveInterface("eth0"); err != nil {
				t.Error(err)
			}
		} else if err := host.RemoveInterface("vethx"); err != nil {
			t.Error(err)
		}
		if left := len(host.Interfaces()) + len(x.Interfaces()); left != before+1 { // x has lo
			t.Errorf("%d interfaces are left, want %d", left, before+1)
		}
		if err := x.Close(); err != nil {
			t.Error(err)
		}
	}
	close(stop)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// An interface that is removed while a connection uses it: the connection waits, and ends with its deadline.
func TestRemoveUnderTraffic(t *testing.T) {
	l := newLab(t)
	c, s := l.pipe()
	go func() {
		b := make([]byte, 1<<16)
		for {
			if _, err := s.Read(b); err != nil {
				return
			}
		}
	}()
	c.SetWriteDeadline(time.Now().Add(200 * time.Millisecond))
	time.AfterFunc(20*time.Millisecond, func() { c.(*conn).ns.RemoveInterface("eth0") })
	var err error
	for err == nil {
		_, err = c.Write(make([]byte, 1<<16))
	}
	var ne net.Error
	if !errors.As(err, &ne) {
		t.Error(err)
	}
}
