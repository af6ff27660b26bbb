package netns

import (
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
