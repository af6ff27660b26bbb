package l2switch

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/wire"
)

// tap is an in-memory port: it keeps what the switch sends, and sends nothing by itself.
type tap struct {
	mu    sync.Mutex
	got   [][]byte
	sends []int // frames of each Send
	recv  fabric.Receiver
	down  bool
}

func (p *tap) Send(batch []*fabric.Frame) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sends = append(p.sends, len(batch))
	for _, f := range batch {
		for i := range int(f.Segs) {
			p.got = append(p.got, f.AppendSegment(nil, i))
		}
		f.Free()
	}
}

func (p *tap) SetReceiver(r fabric.Receiver) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.recv = r
}

func (p *tap) Carrier() bool { return !p.down }

func (p *tap) take() [][]byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	got := p.got
	p.got, p.sends = nil, nil
	return got
}

// bench is a switch under test, its taps and its clock.
type bench struct {
	t    testing.TB
	sw   *Switch
	now  time.Time
	taps map[string]*tap
}

func newBench(t testing.TB, cfg Config) *bench {
	b := &bench{t: t, now: time.Unix(1700000000, 0), taps: make(map[string]*tap)}
	cfg.Clock = func() time.Time { return b.now }
	if cfg.Name == "" {
		cfg.Name = "br0"
	}
	b.sw = New(cfg)
	return b
}

func (b *bench) port(name string, cfg PortConfig) *Port {
	b.t.Helper()
	p := new(tap)
	port, err := b.sw.AddPort(name, p, cfg)
	if err != nil {
		b.t.Fatal(err)
	}
	b.taps[name] = p
	return port
}

// ports adds ordinary ports.
func (b *bench) ports(names ...string) {
	b.t.Helper()
	for _, n := range names {
		b.port(n, PortConfig{})
	}
}

func (b *bench) send(port string, frames ...[]byte) {
	var batch []*fabric.Frame
	for _, f := range frames {
		batch = append(batch, fabric.FromBytes(f))
	}
	b.sw.Port(port).Receive(batch)
}

// reached returns the names of the ports that frames came out of since the last call, sorted.
func (b *bench) reached() []string {
	names := []string{}
	for n, p := range b.taps {
		if len(p.take()) > 0 {
			names = append(names, n)
		}
	}
	slices.Sort(names)
	return names
}

func (b *bench) wantReached(want ...string) {
	b.t.Helper()
	if got := b.reached(); !slices.Equal(got, want) {
		b.t.Errorf("the frame reached %v; want %v", got, want)
	}
}

func (b *bench) wantDrops(port string, reason fabric.DropReason, want uint64) {
	b.t.Helper()
	if got := b.sw.Port(port).Dropped(reason); got != want {
		b.t.Errorf("port %s dropped %d for %v; want %d", port, got, reason, want)
	}
}

func mac(n int) wire.MAC { return wire.MAC{0x02, 0x42, 0, byte(n >> 16), byte(n >> 8), byte(n)} }

// eth returns an untagged frame of 60 bytes.
func eth(dst, src wire.MAC) []byte {
	b := make([]byte, 60)
	wire.PutEthernet(b, dst, src, 0x88b5)
	b[14] = 0xaa
	return b
}

// tagged returns the frame of eth with a tag of that TCI.
func tagged(dst, src wire.MAC, tci uint16) []byte {
	e := eth(dst, src)
	b := append(append(slices.Clone(e[:12]), 0x81, 0x00, byte(tci>>8), byte(tci)), e[12:]...)
	return b
}

func macBytes(n int) []byte { m := mac(n); return m[:] }
