package fabric_test

import (
	"bytes"
	"fmt"
	"net/netip"
	"testing"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/fabrictest"
	"github.com/netsim-lab/netsim/fabric/wire"
)

// espTrain returns a train of ESP packets whose sealed parts are size bytes long but the last, and its wire frames.
func espTrain(segs, size, last int, options bool) (*fabric.Frame, [][]byte) {
	hdr := wire.IPv4Len
	if options {
		hdr += 8
	}
	head := func(total, id int) []byte {
		b := make([]byte, wire.EthernetLen+hdr)
		wire.PutEthernet(b, fabrictest.DstMAC, fabrictest.SrcMAC, wire.TypeIPv4)
		ip := wire.IPv4(b[wire.EthernetLen:])
		wire.PutIPv4(ip, wire.IPv4Fields{TotalLen: total, ID: uint16(id), TTL: 64, Proto: wire.ProtoESP,
			Src: netip.MustParseAddr("192.168.1.2"), Dst: netip.MustParseAddr("192.168.1.3")})
		if options {
			copy(ip[20:], bytes.Repeat([]byte{1}, 8))
			ip[0] = 4<<4 | byte(hdr/4)
		}
		ip.FillChecksum()
		return b
	}
	data := fabrictest.Pattern(9, (segs-1)*size+last)
	var frames [][]byte
	for i := range segs {
		d := data[i*size : min((i+1)*size, len(data))]
		frames = append(frames, append(head(hdr+len(d), 7+i), d...))
	}
	f := fabric.New()
	b := head(hdr+len(data), 7)
	copy(f.Extend(len(b)), b)
	f.SetPayloadBytes(data)
	f.SetOuter(wire.TypeIPv4, wire.ProtoESP, wire.EthernetLen, wire.EthernetLen+hdr)
	if segs > 1 {
		f.Segs, f.MSS = uint16(segs), uint16(size)
	}
	return f, frames
}

// However a train of ESP packets is cut, its wire frames are the packets that it is made of.
func TestESPTrainIsCut(t *testing.T) {
	for _, c := range []struct {
		segs, size, last int
		options          bool
	}{{1, 100, 100, false}, {1, 1480, 1480, true}, {2, 1480, 1480, false}, {5, 1480, 40, false}, {9, 44, 36, true}, {43, 1480, 888, false}} {
		t.Run(fmt.Sprintf("%+v", c), func(t *testing.T) {
			f, want := espTrain(c.segs, c.size, c.last, c.options)
			total := 0
			for i, w := range want {
				equal(t, "appended", f.AppendSegment(nil, i), w)
				total += len(w)
			}
			if f.WireLen() != total || f.PacketLen() != len(want[0])-wire.EthernetLen {
				t.Errorf("WireLen = %d, PacketLen = %d; want %d, %d", f.WireLen(), f.PacketLen(), total, len(want[0])-wire.EthernetLen)
			}
			sub := f.SubTrain(c.segs/2, c.segs-c.segs/2)
			for i, w := range want[c.segs/2:] {
				equal(t, "of a part", sub.AppendSegment(nil, i), w)
			}
			sub.Free()
			for i, g := range f.Split(nil) {
				equal(t, "split", g.AppendTo(nil), want[i])
				if r := g.ParseEthernet(); r != 0 || g.Proto != wire.ProtoESP {
					t.Errorf("parsed %v, protocol %d", r, g.Proto)
				}
				equal(t, "parsed", g.AppendSegment(nil, 0), want[i])
				g.Free()
			}
		})
	}
}

// What comes in as bytes may end anywhere behind the IP header: whoever has the keys judges it.
func TestESPOfAnyLengthIsParsed(t *testing.T) {
	for n := range 12 {
		_, frames := espTrain(1, 12, n, false)
		f := fabric.FromBytes(frames[0])
		if r := f.ParseEthernet(); r != 0 || f.Proto != wire.ProtoESP || len(f.L4()) != n {
			t.Errorf("%d bytes: %v, protocol %d, %d bytes behind the IP header", n, r, f.Proto, len(f.L4()))
		}
		if f.FillChecksum(); !f.ChecksumValid() || f.FlowHash() == 0 {
			t.Errorf("%d bytes: an ESP packet has no checksum to be wrong", n)
		}
		f.Free()
	}
}
