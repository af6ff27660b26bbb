package lb

import (
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/fabrictest"
	"github.com/netsim-lab/netsim/fabric/wire"
)

// A train that is balanced, and one that answers, is on the wire what its frames are one by one, and counted the same.
func TestTrainEqualsItsFrames(t *testing.T) {
	const flows = 20
	fabrictest.TestTrains(t, 1500, func(t *testing.T, _ bool) fabrictest.Path {
		b := balancer(t, ap("10.0.0.6:8080"), ap("10.0.0.7:8080"), ap("10.0.0.8:0"))
		backends := map[byte][]netip.AddrPort{}
		for _, proto := range []byte{wire.ProtoTCP, wire.ProtoUDP} {
			for n := range flows {
				to, _ := b.Request(packet(t, proto, wire.SYN, port(1000+n), vip, ""), 256, start)
				b.Reply(packet(t, proto, wire.SYN|wire.ACK, to, port(1000+n), ""), start)
				backends[proto] = append(backends[proto], to)
			}
		}
		out := &fabrictest.Collector{}
		through := func(step func(f *fabric.Frame)) func(batch []*fabric.Frame) {
			return func(batch []*fabric.Frame) {
				for _, f := range batch {
					f.ParseEthernet()
					step(f)
				}
				out.Receive(batch)
			}
		}
		flow := func(r *rand.Rand, c *fabrictest.Train) (client, real netip.AddrPort) {
			n, proto := r.IntN(flows), byte(wire.ProtoTCP)
			if c.IsUDP {
				proto = wire.ProtoUDP
			}
			return port(1000 + n), backends[proto][n]
		}
		return fabrictest.Path{
			Outs: map[string]*fabrictest.Collector{"out": out},
			Text: func() string { s, _ := b.Command([]string{"-ln", "--stats"}); return s },
			Ways: []fabrictest.Way{
				{Name: "request", In: through(func(f *fabric.Frame) { b.Request(f, 256, start) }),
					Fit: func(r *rand.Rand, c *fabrictest.Train) { c.Src, _ = flow(r, c); c.Dst = vip }},
				{Name: "reply", In: through(func(f *fabric.Frame) { b.Reply(f, start) }),
					Fit: func(r *rand.Rand, c *fabrictest.Train) { c.Dst, c.Src = flow(r, c) }},
			},
		}
	})
}
