package netns

import (
	"net/netip"
	"sync"
	"sync/atomic"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/wire"
)

// sink is a port behind which every address answers ARP, and nothing else.
type sink struct {
	r  atomic.Pointer[fabric.Receiver]
	mu sync.Mutex
}

func (s *sink) SetReceiver(r fabric.Receiver) { s.r.Store(&r) }

func (s *sink) Send(batch []*fabric.Frame) {
	for _, f := range batch {
		if f.EtherType == wire.TypeARP {
			a := wire.ARP(f.Linear()[wire.EthernetLen:])
			s.answer(a)
		}
		f.Free()
	}
}

func (s *sink) answer(a wire.ARP) {
	mac := wire.MAC{2, 0, 0, 0, 0, 9}
	f := fabric.New()
	b := f.Extend(wire.EthernetLen + wire.ARPLen)
	wire.PutEthernet(b, a.SenderMAC(), mac, wire.TypeARP)
	wire.PutARP(b[wire.EthernetLen:], wire.ARPReply, mac, a.TargetIP(), a.SenderMAC(), a.SenderIP())
	f.EtherType = wire.TypeARP
	(*s.r.Load()).Receive([]*fabric.Frame{f})
}

// prefixAddr returns address number i of 10.0.0.0/8.
func prefixAddr(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
}

func netipPrefix(i int) netip.Prefix { return netip.PrefixFrom(prefixAddr(i+2), 16) }
