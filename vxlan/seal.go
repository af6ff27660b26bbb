package vxlan

import (
	"net/netip"
	"strconv"
	"sync"

	"gvisor.dev/gvisor/pkg/buffer"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/wire"
	"github.com/netsim-lab/netsim/vxlan/esp"
)

const (
	// maxSealed is the longest run of ESP packets that is one train: its length must fit into an IP header.
	maxSealed = 65535 - wire.IPv4Len
	// sealedLinear is the largest ESP packet that lies in the linear part of its frame.
	sealedLinear = 256
)

// SourcePort maps the hash of an inner flow into the local port range (L23).
func SourcePort(hash uint32) uint16 { return uint16(32768 + hash%(61000-32768)) }

// sealer is what one goroutine needs to seal.
type sealer struct {
	scratch esp.Scratch
	out     []*fabric.Frame
}

var sealers = sync.Pool{New: func() any { return new(sealer) }}

// Send implements Transport: each wire frame becomes the UDP datagram that it is for VXLAN, and is sealed. What was a train
// is a train of ESP packets, one after the other in one payload, which is written once.
func (e *ESP) Send(to netip.AddrPort, batch []*fabric.Frame) {
	a := e.sas.Load().out[to.Addr()]
	s := sealers.Get().(*sealer)
	for _, f := range batch {
		switch {
		case e.carrier == nil:
			e.Drop(f, fabric.DropTransport, e.name)
		case a == nil:
			e.Drop(f, fabric.DropESPNoKey, e.name)
		default:
			e.seal(a, f, to.Port(), s)
		}
	}
	if len(s.out) > 0 {
		e.Tx(s.out)
		e.carrier.Send(to.Addr(), s.out)
	}
	clear(s.out)
	s.out = s.out[:0]
	sealers.Put(s)
}

// seal seals f, as several trains if one would be too long, and uses it up.
func (e *ESP) seal(a *association, f *fabric.Frame, port uint16, s *sealer) {
	j := sealJob{a: a, f: f, cut: f.Cut(), ports: [2]uint16{SourcePort(f.FlowHash()), port}}
	n := max(1, int(f.Segs))
	longest := f.Len()
	if n > 1 {
		longest = (f.WireLen()-f.Len())/(n-1) + int(f.MSS)
	}
	j.size = esp.SealedLen(wire.UDPLen + longest)
	most := maxSealed / j.size
	if most == 0 {
		e.Drop(f, fabric.DropMalformed, e.name)
		return
	}
	seq, ok := a.take(n)
	if !ok {
		e.Drop(f, fabric.DropESPSequence, e.name)
		return
	}
	parts := (n + most - 1) / most
	each := (n + parts - 1) / parts
	for i := 0; i < n; i += each {
		sealed := j.part(i, min(each, n-i), seq+uint32(i), s)
		if sealed == nil {
			e.Drop(f, fabric.DropMalformed, e.name)
			return
		}
		s.out = append(s.out, sealed)
	}
	a.packets.Add(uint64(n))
	a.bytes.Add(uint64(f.WireLen() + n*wire.UDPLen))
	if f.Trace != nil {
		f.Trace.Add(fabric.Event{Kind: fabric.EventESP, Place: e.name, Before: "vxlan", After: espText(a.sa.SPI), By: seqText(seq)})
	}
	f.Free()
}

// sealJob is a frame to be sealed.
type sealJob struct {
	a     *association
	f     *fabric.Frame
	cut   fabric.Cut
	ports [2]uint16 // source and destination of the datagrams
	size  int       // of the longest of the sealed packets
}

// part returns n wire frames of the frame, from number i on, sealed; nil if they are longer than they should be.
func (j *sealJob) part(i, n int, seq uint32, s *sealer) *fabric.Frame {
	t := fabric.New()
	t.Hops, t.At, t.Trace = j.f.Hops, j.f.At, j.f.Trace
	if n == 1 && j.size <= sealedLinear {
		room := t.Extend(j.size + esp.Spare)
		b := j.one(room[:0], i, seq, s)
		if b == nil {
			t.Free()
			return nil
		}
		t.CapLen(len(b))
		return t
	}
	v := buffer.NewViewSize(n*j.size + esp.Spare)
	b := v.AsSlice()[:0]
	for k := range n {
		at := len(b)
		if b = j.one(b, i+k, seq+uint32(k), s); b == nil || k < n-1 && len(b)-at != j.size {
			v.Release()
			t.Free()
			return nil
		}
	}
	v.CapLength(len(b))
	t.SetPayload(buffer.MakeWithView(v))
	if n > 1 {
		t.Segs, t.MSS = uint16(n), uint16(j.size)
	}
	return t
}

// one appends wire frame i, sealed, to b, which has room for one of the size that is known; nil if it is longer: then the
// frame is not what its fields say.
func (j *sealJob) one(b []byte, i int, seq uint32, s *sealer) []byte {
	at := len(b)
	b = j.cut.Append(b[:at+esp.Front+wire.UDPLen], i)
	packet := b[at:]
	wire.PutUDP(packet[esp.Front:], j.ports[0], j.ports[1], len(packet)-esp.Front)
	if esp.SealedLen(len(packet)-esp.Front) > j.size {
		return nil
	}
	sealed := j.a.sa.Seal(packet, seq, j.a.firstIV+uint64(seq), wire.ProtoUDP, &s.scratch)
	return b[:at+len(sealed)]
}

func espText(spi uint32) string { return "esp spi 0x" + hex8(spi) }

func seqText(seq uint32) string { return "seq 0x" + strconv.FormatUint(uint64(seq), 16) }

// hex8 prints v as eight hexadecimal digits.
func hex8(v uint32) string { return strconv.FormatUint(1<<32|uint64(v), 16)[1:] }
