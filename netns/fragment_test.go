package netns

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/wire"
)

// A ping of 64 KB crosses links of MTU 1500 and 576 in fragments, and comes back (L14).
func TestPingLarge(t *testing.T) {
	l := newLab(t)
	client, server, routers := l.routed(1)
	for _, mtu := range []int{1500, 576} {
		for _, i := range []*Interface{must2(routers[0].Interface("down")), must2(server.Interface("eth0"))} {
			if err := i.SetMTU(mtu); err != nil {
				t.Fatal(err)
			}
		}
		p := must(client.NewPinger())
		for _, size := range []int{0, 56, 1472, 1473, 4000, 65507} {
			if err := p.Send(addr("10.9.0.2"), PingOptions{Seq: 3, Size: size}); err != nil {
				t.Fatal(err)
			}
			if r, err := p.Receive(l.within(patience)); err != nil || r.Size != size+wire.ICMPLen || r.Seq != 3 {
				t.Errorf("ping -s %d over mtu %d: %+v, %v", size, mtu, r, err)
			}
		}
		if err := p.Send(addr("10.9.0.2"), PingOptions{Size: 65508}); err == nil {
			t.Error("a ping of 65508 bytes was sent")
		}
		p.Close()
	}
}

// piece returns a fragment of an IP packet.
func piece(id uint16, off int, more bool, body []byte) *fabric.Frame {
	b := make([]byte, wire.IPv4Len, wire.IPv4Len+len(body))
	flags := uint16(0)
	if more {
		flags = wire.MoreFragments
	}
	wire.PutIPv4(b, wire.IPv4Fields{TotalLen: len(b) + len(body), TTL: 9, Proto: 99, ID: id, Src: addr("10.0.0.1"), Dst: addr("10.0.0.2")})
	wire.IPv4(b).SetFrag(flags, off)
	wire.IPv4(b).FillChecksum()
	f := fabric.New()
	b = append(b, body...)
	copy(f.Extend(min(len(b), 100)), b)
	if len(b) > 100 {
		f.SetPayloadBytes(b[100:])
	}
	f.Parse3(wire.TypeIPv4, 0)
	return f
}

func TestReassembler(t *testing.T) {
	body := make([]byte, 3000)
	for i := range body {
		body[i] = byte(i / 7)
	}
	type frag struct {
		from, to int
		at       time.Duration
	}
	for _, c := range []struct {
		name   string
		frags  []frag
		whole  bool
		drops  uint64
		reason fabric.DropReason
	}{
		{"in order", []frag{{0, 1480, 0}, {1480, 2960, 0}, {2960, 3000, 0}}, true, 0, 0},
		{"backwards", []frag{{2960, 3000, 0}, {1480, 2960, 0}, {0, 1480, 0}}, true, 0, 0},
		{"with a copy", []frag{{0, 1480, 0}, {0, 1480, 0}, {1480, 3000, 0}}, true, 0, 0},
		{"a part is missing", []frag{{0, 1480, 0}, {2960, 3000, 0}}, false, 0, 0},
		{"overlap", []frag{{0, 1480, 0}, {1472, 3000, 0}}, false, 2, fabric.DropReassembly},
		{"overlap before", []frag{{1480, 2960, 0}, {0, 1488, 0}}, false, 2, fabric.DropReassembly},
		{"two ends", []frag{{1480, 3000, 0}, {2960, 3000, 0}}, false, 2, fabric.DropReassembly},
		{"29 s later", []frag{{0, 1480, 0}, {1480, 3000, 29 * time.Second}}, true, 0, 0},
		{"31 s later", []frag{{0, 1480, 0}, {1480, 3000, 31 * time.Second}}, false, 1, fabric.DropReassembly},
		{"not a multiple of 8", []frag{{0, 1481, 0}}, false, 1, fabric.DropMalformed},
	} {
		t.Run(c.name, func(t *testing.T) {
			var r reassembler
			var count fabric.Counters
			var whole *fabric.Frame
			for _, x := range c.frags {
				if f := r.add(piece(1, x.from, x.to < 3000, body[x.from:x.to]), int64(x.at)+int64(time.Hour), &count, "h"); f != nil {
					whole = f
				}
			}
			if (whole != nil) != c.whole {
				t.Fatalf("whole = %v", whole)
			}
			if whole != nil {
				if got := whole.AppendTo(nil)[wire.IPv4Len:]; !bytes.Equal(got, body) || whole.IPv4().IsFragment() || !whole.IPv4().Valid() {
					t.Errorf("the packet is another: %d bytes", len(got))
				}
				if r.bytes != 0 || len(r.m) != 0 {
					t.Errorf("it holds %d bytes of %d packets", r.bytes, len(r.m))
				}
			}
			if c.reason != 0 && count.Dropped(c.reason) != c.drops {
				t.Errorf("drops %v; want %d", count.Read().Drops, c.drops)
			}
		})
	}
}

// Fragments that never become whole take no more than 4 MB, and packets of others still come through after 30 s.
func TestReassemblerMemory(t *testing.T) {
	var r reassembler
	var count fabric.Counters
	at := int64(time.Hour)
	for i := range 100_000 {
		r.add(piece(uint16(i), i>>16*8, true, make([]byte, 8)), at, &count, "h")
	}
	if r.bytes > reassemblyBytes || len(r.m) > reassemblyBytes/partCost {
		t.Errorf("%d bytes, %d packets", r.bytes, len(r.m))
	}
	if count.Dropped(fabric.DropReassembly) == 0 {
		t.Error("nothing was dropped")
	}
	at += int64(reassemblyTime) + int64(time.Second)
	r.add(piece(1, 0, true, make([]byte, 800)), at, &count, "h")
	if f := r.add(piece(1, 800, false, make([]byte, 100)), at, &count, "h"); f == nil || r.bytes != 0 || len(r.m) != 0 {
		t.Errorf("%v, %d bytes, %d packets", f, r.bytes, len(r.m))
	}
	for range 1000 { // copies cost nothing for long
		r.add(piece(1, 0, true, make([]byte, 800)), at, &count, "h")
	}
	if r.bytes != 800+partCost {
		t.Errorf("%d bytes; want %d", r.bytes, 800+partCost)
	}
}

// A part may be forwarded and cut again: offsets and the more-fragments flag add up.
func TestFragmentAgain(t *testing.T) {
	ns, eth0, p := node(t, Config{})
	eth0.AddNeighbour(addr("10.0.0.9"), wire.MAC{2, 9})
	if err := eth0.SetMTU(100); err != nil {
		t.Fatal(err)
	}
	out := ns.newEmitter()
	r := must2(ns.conf.Load().fib.Lookup(addr("10.0.0.9")))
	ns.fragment(piece(7, 800, true, make([]byte, 200)), r, addr("10.0.0.9"), out)
	out.release()
	got := ""
	for _, f := range p.frames {
		h := wire.IPv4(f.Linear()[wire.EthernetLen:])
		got += fmt.Sprint(h.FragOffset(), "+", f.Len()-wire.EthernetLen-wire.IPv4Len, h.MF(), h.Valid(), " ")
	}
	if want := "800+80 true true 880+80 true true 960+40 true true "; got != want {
		t.Errorf("fragments %s; want %s", got, want)
	}
}

// FuzzReassembly puts a packet together from the pieces that the input describes, in any order, with copies, overlaps
// and gaps: what comes out has the bytes that went in.
func FuzzReassembly(f *testing.F) {
	f.Add([]byte{0, 0, 0, 10, 1, 0, 10, 0, 10, 0})
	f.Add([]byte{0, 10, 0, 10, 0, 0, 0, 0, 10, 1})
	f.Fuzz(func(t *testing.T, in []byte) {
		var r reassembler
		var count fabric.Counters
		for at := int64(1); len(in) >= 5; in, at = in[5:], at+1 {
			off := int(binary.BigEndian.Uint16(in)) % 8192 * 8
			body := make([]byte, int(binary.BigEndian.Uint16(in[2:])%2000))
			for i := range body {
				body[i] = byte((off + i) * 31)
			}
			if off+len(body)+wire.IPv4Len > 65535 {
				continue
			}
			whole := r.add(piece(uint16(in[4]>>1), off, in[4]&1 == 1, body), at*int64(time.Second), &count, "h")
			if whole == nil {
				continue
			}
			for i, b := range whole.AppendTo(nil)[wire.IPv4Len:] {
				if b != byte(i*31) {
					t.Fatalf("byte %d is %d", i, b)
				}
			}
			whole.Free()
		}
		if r.bytes < 0 || r.bytes > reassemblyBytes {
			t.Fatalf("%d bytes", r.bytes)
		}
	})
}
