package nat

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/fabrictest"
	"github.com/netsim-lab/netsim/fabric/wire"
)

// trainFlows is how many flows of each protocol trains belong to.
const trainFlows = 20

// trainWay is a way of trains through a router's hooks, and back.
type trainWay struct {
	name, in, out string
	src, dst      netip.AddrPort // the port of src is that of the first flow
	n             *Netfilter
	got           *fabrictest.Collector
	first         map[bool][]*fabric.Frame // the first packet of each flow as it left: what replies answer
}

// begin sends the first packet of each flow, and its answer.
func (w *trainWay) begin(t *testing.T) {
	w.first = map[bool][]*fabric.Frame{}
	for _, isUDP := range []bool{false, true} {
		for k := range trainFlows {
			c := fabrictest.Train{IsUDP: isUDP, Packet: fabrictest.Packet{Src: w.source(k), Dst: w.dst, Flags: wire.SYN}}
			f := c.Frame()
			if _, v := forward(w.n, f, w.in, w.out, sec(0)); v.Action != Accept {
				t.Fatalf("%s: dropped by %s", w.name, v.Where())
			}
			w.first[isUDP] = append(w.first[isUDP], f)
			c.Src, c.Dst, c.Flags = f.Dst(), f.Src(), wire.SYN|wire.ACK
			forward(w.n, c.Frame(), w.out, w.in, sec(0))
		}
	}
}

func (w *trainWay) source(k int) netip.AddrPort {
	return netip.AddrPortFrom(w.src.Addr(), w.src.Port()+uint16(k))
}

// through returns what takes frames through the hooks.
func (w *trainWay) through(in, out string) func(batch []*fabric.Frame) {
	return func(batch []*fabric.Frame) {
		for _, f := range batch {
			if f.L3() == nil {
				f.ParseEthernet()
			}
			if _, v := forward(w.n, f, in, out, sec(0)); v.Action != Accept {
				f.Free()
				continue
			}
			w.got.Receive([]*fabric.Frame{f})
		}
	}
}

func (w *trainWay) ways() []fabrictest.Way {
	return []fabrictest.Way{
		{Name: w.name, In: w.through(w.in, w.out), Fit: func(r *rand.Rand, c *fabrictest.Train) {
			c.Src, c.Dst = w.source(r.IntN(trainFlows)), w.dst
		}},
		{Name: w.name + " back", In: w.through(w.out, w.in), Fit: func(r *rand.Rand, c *fabrictest.Train) {
			first := w.first[c.IsUDP][r.IntN(trainFlows)]
			c.Src, c.Dst = first.Dst(), first.Src()
		}},
	}
}

// A train whose source or destination is translated, in either direction, is on the wire what its frames are one by one,
// and the rules count it the same.
func TestTrainEqualsItsFrames(t *testing.T) {
	lines := append(slices.Clone(guideEra), "-t nat -A DOCKER ! -i docker0 -p udp -m udp --dport 8080 -j DNAT --to-destination 172.17.0.2:80",
		"-I DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p udp -m udp --dport 80 -j ACCEPT",
		"-t nat -I POSTROUTING -s 172.17.0.3/32 -o eth0 -p udp -j SNAT --to-source 192.168.56.11:30000-40000")
	fabrictest.TestTrains(t, 1500, func(t *testing.T, _ bool) fabrictest.Path {
		n, out := newHost(t, lines...), &fabrictest.Collector{}
		path := fabrictest.Path{Outs: map[string]*fabrictest.Collector{"out": out}, Text: func() string {
			return command(t, n, "-t nat -L -n -v -x") + command(t, n, "-L -n -v -x")
		}}
		for _, w := range []*trainWay{
			{name: "published", in: "eth0", out: "docker0", src: ap("192.168.56.1:20000"), dst: ap("192.168.56.11:8080"), n: n, got: out},
			{name: "masqueraded", in: "docker0", out: "eth0", src: ap("172.17.0.3:20000"), dst: ap("8.8.8.8:443"), n: n, got: out},
		} {
			w.begin(t)
			path.Ways = append(path.Ways, w.ways()...)
		}
		return path
	})
}
