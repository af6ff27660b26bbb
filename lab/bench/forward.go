package bench

import (
	"context"
	"net/netip"
	"runtime"
	"time"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/wire"
	"github.com/netsim-lab/netsim/l2switch"
	"github.com/netsim-lab/netsim/netns"
)

const (
	frameLen = 60 // the smallest Ethernet frame, without its checksum
	burst    = 32 // frames at a time
)

// sink is a port in memory: frames are handed to its receiver by the measurement, and what it is sent is counted and freed.
type sink struct {
	rx fabric.Receiver
	n  int
}

// Send implements fabric.Port.
func (s *sink) Send(batch []*fabric.Frame) {
	s.n += len(batch)
	fabric.FreeAll(batch)
}

// SetReceiver implements fabric.Port.
func (s *sink) SetReceiver(r fabric.Receiver) { s.rx = r }

// forwarder sends copies of one frame into one port and counts what comes out of the other.
type forwarder struct {
	in, out *sink
	frame   []byte
	batch   [burst]*fabric.Frame
}

// push forwards one burst: frames are taken off the free list, filled, forwarded and freed.
func (w *forwarder) push() {
	fabric.NewBatch(w.batch[:])
	for _, f := range w.batch {
		f.Fill(w.frame)
	}
	w.in.rx.Receive(w.batch[:])
}

var macs = [2]wire.MAC{{2, 0, 0, 0, 0, 1}, {2, 0, 0, 0, 0, 2}}

// frameTo returns a frame from the first MAC address to dst.
func frameTo(dst wire.MAC) []byte {
	b := make([]byte, frameLen)
	wire.PutEthernet(b, dst, macs[0], wire.TypeIPv4)
	ip := b[wire.EthernetLen:]
	wire.PutIPv4(ip, wire.IPv4Fields{TotalLen: len(ip), TTL: 64, Proto: wire.ProtoUDP, Src: netip.MustParseAddr("10.1.0.2"), Dst: netip.MustParseAddr("10.2.0.2")})
	wire.PutUDP(ip[wire.IPv4Len:], 1000, 2000, len(ip)-wire.IPv4Len)
	return b
}

// bridged is a forwarder through a learning switch that knows both addresses.
func bridged() (*forwarder, error) {
	w := &forwarder{in: &sink{}, out: &sink{}, frame: frameTo(macs[1])}
	sw := l2switch.New(l2switch.Config{Name: "sw"})
	for i, p := range []*sink{w.in, w.out} {
		name := []string{"in", "out"}[i]
		if _, err := sw.AddPort(name, p, l2switch.PortConfig{}); err != nil {
			return nil, err
		}
		if err := sw.AddStatic(name, macs[i], 0); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// routed is a forwarder through a namespace that routes.
func routed() (*forwarder, *netns.Namespace, error) {
	ns := netns.New(netns.Config{Name: "router", Forward: true})
	w := &forwarder{in: &sink{}, out: &sink{}}
	in, err := ns.AddInterface(netns.InterfaceConfig{Name: "in", Port: w.in, Addr: netip.MustParsePrefix("10.1.0.1/24")})
	if err != nil {
		return nil, ns, err
	}
	out, err := ns.AddInterface(netns.InterfaceConfig{Name: "out", Port: w.out, Addr: netip.MustParsePrefix("10.2.0.1/24")})
	if err != nil {
		return nil, ns, err
	}
	out.AddNeighbour(netip.MustParseAddr("10.2.0.2"), macs[1])
	w.frame = frameTo(in.MAC())
	return w, ns, nil
}

// l2Forward returns how many small frames a switch forwards in a second, in millions.
func l2Forward(ctx context.Context, cfg Config) (float64, map[string]float64, error) {
	w, err := bridged()
	if err != nil {
		return 0, nil, err
	}
	v, err := w.pace(ctx, cfg.Duration)
	return v, nil, err
}

// pace forwards for d and returns the millions of frames that came out in a second.
func (w *forwarder) pace(ctx context.Context, d time.Duration) (float64, error) {
	const between = 1000 // bursts for each look at the clock
	begin, from := time.Now(), w.out.n
	for time.Since(begin) < d {
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
		for range between {
			w.push()
		}
	}
	return float64(w.out.n-from) / time.Since(begin).Seconds() / 1e6, nil
}

// allocations returns the heap allocations for each frame, bridged and routed, whichever is more.
func allocations(ctx context.Context, cfg Config) (float64, map[string]float64, error) {
	l2, err := bridged()
	if err != nil {
		return 0, nil, err
	}
	l3, ns, err := routed()
	if err != nil {
		return 0, nil, err
	}
	a, b := l2.allocs(), l3.allocs()
	pps, err := l3.pace(ctx, cfg.Duration/10)
	if err == nil {
		err = ns.Close()
	}
	return max(a, b), map[string]float64{"allocs bridged": a, "allocs routed": b, "Mpps routed": pps}, err
}

// allocs returns the allocations for each frame once all that is kept has been made. Of several runs the least counts,
// for the runtime allocates too.
func (w *forwarder) allocs() float64 {
	const bursts = 2000
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	least := 0.0
	for run := range 6 {
		before, from := mallocs(), w.out.n
		for range bursts {
			w.push()
		}
		n := float64(mallocs()-before) / float64(max(w.out.n-from, 1))
		if run == 1 || run > 1 && n < least { // the first one warms up
			least = n
		}
	}
	return least
}

func mallocs() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.Mallocs
}
