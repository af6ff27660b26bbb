package netns

import (
	"net/netip"
	"runtime"
	"sync"
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
)

// RACK and its tail loss probes are for paths that lose frames; a namespace that is told so has its netstack follow.
func TestRecoveryFollowsSegmentation(t *testing.T) {
	l := newLab(t)
	early, late := l.add(Config{Name: "early"}), l.add(Config{Name: "late"})
	late.SetSegmentation(false) // before there is a netstack
	recovery := func(ns *Namespace) (r tcpip.TCPRecovery) {
		t.Helper()
		s, err := ns.netstack()
		if err != nil {
			t.Fatal(err)
		}
		if err := s.TransportProtocolOption(tcp.ProtocolNumber, &r); err != nil {
			t.Fatal(err)
		}
		return r
	}
	check := func(ns *Namespace, want tcpip.TCPRecovery) {
		t.Helper()
		if got := recovery(ns); got != want {
			t.Errorf("%s recovers with %v; want %v", ns.Name(), got, want)
		}
	}
	check(early, 0)
	check(late, tcpip.TCPRACKLossDetection)
	early.SetSegmentation(false)
	check(early, tcpip.TCPRACKLossDetection)
	early.SetSegmentation(true)
	check(early, 0)
}

// Whoever finds the netstack that another has just made finds its routes, too.
func TestFirstSocketsAtOnce(t *testing.T) {
	l := newLab(t)
	for range 20 {
		ns := l.add(Config{Name: "c"})
		lo := must2(ns.Interface("lo"))
		for i := range 200 {
			if err := lo.AddAddr(netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 7, byte(i), 1}), 24)); err != nil {
				t.Fatal(err)
			}
		}
		var both sync.WaitGroup
		dial := func() {
			c, err := ns.Dial(t.Context(), "udp", "10.7.199.1:53")
			if err != nil {
				t.Error(err)
				return
			}
			c.Close()
		}
		both.Go(dial)
		both.Go(func() {
			for !ns.stack.attached() {
				runtime.Gosched()
			}
			dial()
		})
		both.Wait()
	}
}
