package netns

import (
	"errors"
	"net/netip"
	"syscall"
	"testing"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/wire"
)

// ESP goes its way by routes and hooks like any packet, as trains; a namespace that does not speak it refuses it.
func TestESPCarrier(t *testing.T) {
	l := newLab(t)
	a, b := l.add(Config{Name: "a"}), l.add(Config{Name: "b"})
	l.veth(a, "eth0", "192.168.1.2/24", b, "eth0", "192.168.1.3/24")
	from, err := a.ListenESP()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.ListenESP(); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("a second one: %v; want %v", err, syscall.EADDRINUSE)
	}
	train := func() []*fabric.Frame {
		f := fabric.New()
		f.SetPayloadBytes(make([]byte, 3000))
		f.Segs, f.MSS = 3, 1400
		return []*fabric.Frame{f}
	}
	from.Send(netip.MustParseAddr("192.168.1.3"), train())
	eth0, _ := b.Interface("eth0")
	if n := eth0.Dropped(fabric.DropUnknownProto); n != 3 {
		t.Errorf("dropped %d wire frames as of an unknown protocol; want 3", n)
	}
	to, err := b.ListenESP()
	if err != nil {
		t.Fatal(err)
	}
	got := 0
	to.SetReceiver(func(batch []*fabric.Frame) {
		for _, f := range batch {
			ip := f.IPv4()
			if ip.Src().String() != "192.168.1.2" || ip.Proto() != wire.ProtoESP || len(f.AppendSegment(nil, 2)) != ip.HeaderLen()+200 {
				t.Errorf("%s, protocol %d, last of %d bytes", ip.Src(), ip.Proto(), len(f.AppendSegment(nil, 2)))
			}
			got += int(f.Segs)
		}
		fabric.FreeAll(batch)
	})
	from.Send(netip.MustParseAddr("192.168.1.3"), train())
	if got != 3 {
		t.Errorf("%d wire frames arrived; want 3", got)
	}
	from.Send(netip.MustParseAddr("10.9.9.9"), train())
	if n := a.Dropped(fabric.DropNoRoute); n != 3 {
		t.Errorf("dropped %d for want of a route; want 3", n)
	}
	to.SetReceiver(nil)
	from.Send(netip.MustParseAddr("192.168.1.3"), train())
	if n := b.Dropped(fabric.DropNoReceiver); n != 3 {
		t.Errorf("dropped %d for want of a receiver; want 3", n)
	}
	if err := to.Close(); err != nil || b.ESP() != nil {
		t.Errorf("Close = %v, ESP = %v", err, b.ESP())
	}
}
