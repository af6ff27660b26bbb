package fabrictest_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/fabrictest"
	"github.com/netsim-lab/netsim/fabric/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestPacketsAreRight(t *testing.T) {
	p := fabrictest.Packet{SrcMAC: wire.MAC{2, 1}, VLAN: 7, Src: netip.MustParseAddrPort("192.0.2.1:53"), TTL: 9, TOS: 8, ID: 3,
		Frag: wire.DontFragment, IPOptions: []byte{1, 1, 1, 1}, Seq: 1 << 31, Size: 1001}
	for name, f := range map[string]*fabric.Frame{"tcp": p.TCP(), "udp": p.UDP(), "echo": p.Echo(1, 2), "reply": p.EchoReply(1, 2)} {
		h := f.IPv4()
		if vlan, _ := f.Eth().VLAN(); vlan != 7 || f.Eth().Src() != p.SrcMAC || f.Eth().Dst() != fabrictest.DstMAC || h.Src() != p.Src.Addr() ||
			h.Dst() != fabrictest.Dst.Addr() || h.TTL() != 9 || h.TOS() != 8 || h.ID() != 3 || !h.DF() || f.Checksum != fabric.ChecksumComplete {
			t.Errorf("%s: it is not as it was asked for: % x", name, f.Linear())
		}
		if err := fabrictest.CheckFrame(f); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := fabrictest.CheckPattern(f, 0); (err == nil) != (f.TCP() != nil || f.UDP() != nil) {
			t.Errorf("%s: CheckPattern = %v", name, err)
		}
		f.Free()
	}
}

func TestTrains(t *testing.T) {
	for _, partial := range []bool{false, true} {
		p := fabrictest.Packet{Size: 5001, MSS: 1000, Seq: 0xfffffff0, Partial: partial}
		for name, f := range map[string]*fabric.Frame{"tcp": p.TCP(), "udp": p.UDP()} {
			if f.Segs != 6 || f.MSS != 1000 || (f.Checksum == fabric.ChecksumPartial) != partial || len(fabrictest.Wire(f)) != 6 {
				t.Errorf("%s: %d wire frames of %d, state %v; want 6 of 1000", name, f.Segs, f.MSS, f.Checksum)
			}
			if err := fabrictest.CheckPattern(f, 0); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			f.Free()
		}
	}
	f := fabrictest.Packet{Size: 1000, MSS: 1000}.TCP()
	if f.Segs != 1 || f.MSS != 0 {
		t.Errorf("data of one segment is a train of %d", f.Segs)
	}
	f.Free()
}

// What is wrong on a wire is found, wherever it is.
func TestCheckFindsFaults(t *testing.T) {
	for name, f := range map[string]*fabric.Frame{
		"tcp": fabrictest.Packet{Size: 100}.TCP(), "udp": fabrictest.Packet{Size: 100}.UDP(), "echo": fabrictest.Packet{Size: 100}.Echo(1, 1),
	} {
		b := f.AppendTo(nil)
		f.Free()
		if err := fabrictest.CheckWire(b); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for i := wire.EthernetLen; i < len(b); i++ {
			b[i] ^= 0x10
			if fabrictest.CheckWire(b) == nil {
				t.Errorf("%s: a change of byte %d is not found", name, i)
			}
			b[i] ^= 0x10
		}
		if fabrictest.CheckWire(b[:len(b)-1]) == nil || fabrictest.CheckWire(append(b, 0)) == nil {
			t.Errorf("%s: a wrong length is not found", name)
		}
	}
	moved := fabrictest.Packet{Size: 3000, MSS: 1000, Seq: 5, Data: fabrictest.Pattern(4, 3000)}.TCP()
	if err := fabrictest.CheckPattern(moved, 0); err == nil || !strings.Contains(err.Error(), "position 5") {
		t.Errorf("CheckPattern of data that moved = %v", err)
	}
	moved.Free()
}

func TestCollectorWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c fabrictest.Collector
		go func() {
			for range 3 {
				time.Sleep(time.Second)
				c.Receive([]*fabric.Frame{fabrictest.Packet{}.UDP()})
			}
		}()
		got, err := c.Wait(2, 5*time.Second)
		if len(got) != 2 || err != nil {
			t.Errorf("Wait = %d frames, %v; want 2", len(got), err)
		}
		fabric.FreeAll(got)
		if got, err := c.Wait(2, 5*time.Second); got != nil || err == nil || err.Error() != "1 of 2 frames arrived within 5s" {
			t.Errorf("Wait = %d frames, %v; want none and an error", len(got), err)
		}
		if c.Len() != 1 {
			t.Errorf("Len = %d; want 1", c.Len())
		}
		c.Free()
	})
}

func ExamplePacket() {
	syn := fabrictest.Packet{Flags: wire.SYN, TCPOptions: []byte{2, 4, 5, 0xb4}}.TCP()
	mss, _ := syn.TCP().MSS()
	fmt.Println(syn.Src(), "to", syn.Dst(), "mss", mss, fabrictest.CheckFrame(syn))
	train := fabrictest.Packet{Size: 60000, MSS: 1448, Partial: true}.TCP()
	fmt.Println(train.Segs, "wire frames", fabrictest.CheckPattern(train, 0))
	// Output:
	// 10.0.0.1:40000 to 10.0.0.2:80 mss 1460 <nil>
	// 42 wire frames <nil>
}
