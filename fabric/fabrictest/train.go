package fabrictest

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/wire"
)

// Train is TCP or UDP data of one flow, sent as a train or as the wire frames that the train stands for.
type Train struct {
	Packet // MSS says how the data is cut
	IsUDP  bool
}

// String names what is special about the train.
func (c Train) String() string {
	return fmt.Sprintf("udp=%v size=%d mss=%d vlan=%d ip options=%d tcp options=%d partial=%v flags=%#02x %v > %v", c.IsUDP, c.Size, c.MSS,
		c.VLAN, len(c.IPOptions), len(c.TCPOptions), c.Partial, c.Flags, c.Src, c.Dst)
}

// Frame returns the train.
func (c Train) Frame() *fabric.Frame {
	if c.IsUDP {
		return c.UDP()
	}
	return c.TCP()
}

// Singles returns the wire frames of the train, each built as a packet of its own, with right checksums. What ends the
// data (PSH, FIN) is in the last one only, CWR in the first, and the identification counts up (RFC 793, RFC 3168
// section 6.1.2; Linux's segmentation offload).
func (c Train) Singles() []*fabric.Frame {
	var out []*fabric.Frame
	from := c.Seq
	if c.IsUDP {
		from = 0
	}
	data := c.data(from)
	if c.MSS <= 0 {
		c.MSS = max(len(data), 1)
	}
	n := max(1, (len(data)+c.MSS-1)/c.MSS)
	for i := range n {
		one := c
		one.Data = data[i*c.MSS : min((i+1)*c.MSS, len(data))]
		one.Seq += uint32(i * c.MSS)
		one.ID += uint16(i)
		one.MSS, one.Partial = 0, false
		if i < n-1 {
			one.Flags &^= wire.FIN | wire.PSH
		}
		if i > 0 {
			one.Flags &^= wire.CWR
		}
		out = append(out, one.Frame())
	}
	return out
}

// RandomTrain draws a train of 1 to fabric.MaxSegs wire frames of up to mtu bytes: any flags that data may have, options,
// odd sizes, a last wire frame of any size. Addresses, ports and tags are the caller's to choose.
func RandomTrain(r *rand.Rand, mtu int) Train {
	c := Train{IsUDP: r.IntN(3) == 0}
	c.Packet = Packet{ID: uint16(r.Uint32()), Seq: r.Uint32(), Ack: r.Uint32(), TOS: byte(r.UintN(256)), TTL: byte(2 + r.IntN(254)),
		Partial: r.IntN(3) > 0, Flags: wire.ACK | byte(r.UintN(256))&^(wire.SYN|wire.RST)}
	if r.IntN(4) == 0 {
		c.Frag = wire.DontFragment
	}
	if r.IntN(4) == 0 {
		c.IPOptions = bytes.Repeat([]byte{1}, 4*r.IntN(11))
	}
	if !c.IsUDP {
		c.TCPOptions = bytes.Repeat([]byte{1}, 4*r.IntN(11))
	}
	most := mtu - wire.IPv4Len - len(c.IPOptions) - wire.TCPLen - len(c.TCPOptions)
	c.MSS = most
	if r.IntN(3) > 0 {
		c.MSS = 1 + r.IntN(most)
	}
	c.Size = 1 + r.IntN(min(c.MSS*fabric.MaxSegs, 65000-20-60-60))
	return c
}

// Way is one way into what trains are sent through.
type Way struct {
	Name string
	In   func(batch []*fabric.Frame)
	// Fit gives a random train what it needs to get through: addresses, ports, a tag. Nil: it has them.
	Fit func(r *rand.Rand, c *Train)
}

// Path is what trains are sent through.
type Path struct {
	Ways []Way
	Outs map[string]*Collector       // where they come out
	Ends map[string]*fabric.Counters // whose readings must be the same however the frames came; may be nil
	Skip func(wireFrame []byte) bool // wire frames that are not compared; nil: all are
	Text func() string               // must be the same in the end, as a listing of rules with their counts; may be nil
}

// trainRounds is how many random trains TestTrains sends; a short round sends a fifth.
const trainRounds = 250

// TestTrains sends random trains through what newPath makes, and the same wire frames one by one through another such:
// both must give the same wire frames, byte for byte and with right checksums, and count the same. newPath must make the
// same each time; lone tells that it is for single wire frames, which an OnWire may hand on as bytes.
func TestTrains(t *testing.T, mtu int, newPath func(t *testing.T, lone bool) Path) {
	r := rand.New(rand.NewPCG(5, 6))
	whole, lone := newPath(t, false), newPath(t, true)
	passed := 0
	rounds := trainRounds
	if testing.Short() {
		rounds /= 5
	}
	for round := range rounds {
		c, n := RandomTrain(r, mtu), r.IntN(len(whole.Ways))
		way := whole.Ways[n]
		if way.Fit != nil {
			way.Fit(r, &c)
		}
		way.In([]*fabric.Frame{c.Frame()})
		sendSingly(r, lone.Ways[n].In, c.Singles())
		passed += comparePaths(t, &whole, &lone)
		if t.Failed() {
			t.Fatalf("round %d, %s: %v", round, way.Name, c)
		}
	}
	if passed < rounds {
		t.Errorf("%d wire frames came through in %d rounds", passed, rounds)
	}
	for name, c := range whole.Ends {
		if got, want := fmt.Sprintf("%+v", c.Read()), fmt.Sprintf("%+v", lone.Ends[name].Read()); got != want {
			t.Errorf("%s counted %s; of single wire frames %s", name, got, want)
		}
	}
	if whole.Text != nil {
		if got, want := whole.Text(), lone.Text(); got != want {
			t.Errorf("in the end there is\n%s\nand after single wire frames\n%s", got, want)
		}
	}
}

// sendSingly sends frames in batches of any length, some as nothing but bytes.
func sendSingly(r *rand.Rand, in func(batch []*fabric.Frame), frames []*fabric.Frame) {
	if r.IntN(2) == 0 {
		frames = Bytes(frames)
	}
	for len(frames) > 0 {
		n := 1 + r.IntN(len(frames))
		if r.IntN(2) == 0 {
			n = 1
		}
		in(frames[:n:n])
		frames = frames[n:]
	}
}

// comparePaths takes what came out of both and returns how many wire frames that was.
func comparePaths(t *testing.T, whole, lone *Path) (n int) {
	t.Helper()
	for name := range whole.Outs {
		got, want := takeWire(whole.Outs[name], whole.Skip), takeWire(lone.Outs[name], lone.Skip)
		if len(got) != len(want) {
			t.Errorf("%s: %d wire frames came out; of single ones %d", name, len(got), len(want))
		}
		for i := range min(len(got), len(want)) {
			if !bytes.Equal(got[i], want[i]) {
				t.Errorf("%s: wire frame %d of %d is\n% x\nand of single ones\n% x", name, i+1, len(got), clip(got[i]), clip(want[i]))
				break
			}
			if err := CheckWire(got[i]); err != nil {
				t.Errorf("%s: wire frame %d of %d: %v", name, i+1, len(got), err)
				break
			}
		}
		n += len(got)
	}
	return n
}

func clip(b []byte) []byte { return b[:min(len(b), 160)] }

func takeWire(c *Collector, skip func([]byte) bool) (out [][]byte) {
	for _, f := range c.Take() {
		for _, b := range Wire(f) {
			if skip == nil || !skip(b) {
				out = append(out, b)
			}
		}
		f.Free()
	}
	return out
}

// Bytes uses frames up and returns each of their wire frames as one that was read off a wire: nothing but bytes.
func Bytes(frames []*fabric.Frame) []*fabric.Frame {
	var out []*fabric.Frame
	for _, f := range frames {
		for _, b := range Wire(f) {
			out = append(out, fabric.FromBytes(b))
		}
		f.Free()
	}
	return out
}

// OnWire is a port that sends every wire frame alone and as nothing but bytes, as a real wire does.
type OnWire struct{ fabric.Port }

// Send implements fabric.Port.
func (p OnWire) Send(batch []*fabric.Frame) { p.Port.Send(Bytes(batch)) }

// Plug is a port in memory: what is sent by it is collected, and Arrive is what comes in.
type Plug struct {
	Collector
	r atomic.Pointer[fabric.Receiver]
}

// Send implements fabric.Port.
func (p *Plug) Send(batch []*fabric.Frame) { p.Receive(batch) }

// SetReceiver implements fabric.Port.
func (p *Plug) SetReceiver(r fabric.Receiver) { p.r.Store(&r) }

// Arrive hands frames to the port's receiver; without one it frees them.
func (p *Plug) Arrive(batch []*fabric.Frame) {
	if r := p.r.Load(); r != nil && *r != nil {
		(*r).Receive(batch)
		return
	}
	fabric.FreeAll(batch)
}
