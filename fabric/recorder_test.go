package fabric_test

import (
	"context"
	"net/netip"
	"testing"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/fabrictest"
	"github.com/netsim-lab/netsim/fabric/wire"
)

var (
	endA = netip.MustParseAddrPort("10.0.0.1:40000")
	endB = netip.MustParseAddrPort("10.0.0.2:80")
)

func followed(t *testing.T) (*fabric.Recorder, *fabric.Origin) {
	t.Helper()
	r := fabric.NewRecorder()
	o := fabric.OriginOf(fabric.Follow(context.Background(), r))
	if o == nil {
		t.Fatal("a context that is followed has no origin")
	}
	return r, o
}

func syn(t *testing.T) *fabric.Frame {
	t.Helper()
	f := fabrictest.Packet{Src: endA, Dst: endB, Flags: wire.SYN, Data: []byte("hello")}.TCP()
	if reason := f.ParseEthernet(); reason != 0 {
		t.Fatal(reason)
	}
	return f
}

func TestRecorderFollowsAnswers(t *testing.T) {
	r, o := followed(t)
	there := fabric.Ends{Proto: wire.ProtoTCP, Local: endA, Remote: endB}
	back := fabric.Ends{Proto: wire.ProtoTCP, Local: endB, Remote: endA}
	fl := o.Open("here", "a", there)
	f := syn(t)
	if !r.Mark(f, "here", "a", there) || f.Trace == nil {
		t.Fatal("a packet of a flow that is followed is not marked")
	}
	if g := syn(t); r.Mark(g, "there", "b", back) {
		t.Error("an answer is marked before there was a packet to answer")
	}
	if got := f.Trace.Delivered("there", back); got != r {
		t.Errorf("Delivered = %v, want the recorder", got)
	}
	g := syn(t)
	if !r.Mark(g, "there", "b", back) {
		t.Error("an answer is not marked")
	}
	e := syn(t)
	g.Trace.Answer(e, "b")
	packets, left := r.Packets()
	if len(packets) != 3 || left != 0 || packets[0].Back || !packets[1].Back || packets[2].Back || packets[1].Flow != fl || packets[0].Place != "a" {
		t.Errorf("packets %+v, %d left", packets, left)
	}
	if p := packets[0]; p.Src != endA || p.Dst != endB || p.Flags != wire.SYN || p.Size != 5 || string(p.Head) != "hello" {
		t.Errorf("packet %+v", p)
	}
	if r.FlowAt("there", back) != fl || r.FlowAt("elsewhere", back) != nil {
		t.Error("FlowAt finds another flow than what was delivered")
	}
	back.Local = netip.AddrPortFrom(netip.IPv4Unspecified(), back.Local.Port())
	if r.FlowAt("there", back) != fl {
		t.Error("FlowAt does not find the flow of a socket for all addresses")
	}
}

func TestRecorderStops(t *testing.T) {
	r, o := followed(t)
	ends := fabric.Ends{Proto: wire.ProtoTCP, Local: endA, Remote: endB}
	o.Open("here", "a", ends)
	ended := 0
	r.AtEnd(func() { ended++ })
	r.Stop()
	r.AtEnd(func() { ended++ })
	if f := syn(t); ended != 2 || r.Mark(f, "here", "a", ends) && f.Trace != nil {
		t.Errorf("%d told of the end; trace %v", ended, f.Trace)
	}
	if fabric.OriginOf(fabric.Follow(context.Background(), r)) != nil {
		t.Error("a recorder that is off follows")
	}
}

func TestCausesTravelInContexts(t *testing.T) {
	_, o := followed(t)
	first := o.Open("here", "a", fabric.Ends{Proto: wire.ProtoTCP, Local: endA, Remote: endB})
	second := fabric.OriginOf(first.Because(context.Background())).Open("there", "b", fabric.Ends{Proto: wire.ProtoUDP, Local: endB, Remote: endA})
	if first.Cause != nil || second.Cause != first || second.ID != 2 {
		t.Errorf("flows %+v and %+v", first, second)
	}
	var none *fabric.Flow
	if ctx := context.Background(); none.Because(ctx) != ctx {
		t.Error("no flow is a cause")
	}
}

// What one command causes may be a download: the first and the latest packets are kept.
func TestRecorderIsBounded(t *testing.T) {
	r, o := followed(t)
	ends := fabric.Ends{Proto: wire.ProtoTCP, Local: endA, Remote: endB}
	o.Open("here", "a", ends)
	const n = 2*fabric.MaxPackets + 10
	for range n {
		f := syn(t)
		r.Mark(f, "here", "a", ends)
		f.Free()
	}
	packets, left := r.Packets()
	if len(packets) != fabric.MaxPackets || left != n-fabric.MaxPackets {
		t.Fatalf("%d packets, %d left; want %d, %d", len(packets), left, fabric.MaxPackets, n-fabric.MaxPackets)
	}
	for i, p := range packets {
		want := i
		if i >= fabric.MaxPackets/2 {
			want = n - fabric.MaxPackets + i
		}
		if p.ID != want {
			t.Fatalf("packet %d is number %d, want %d", i, p.ID, want)
		}
	}
	for i := range 2 * fabric.MaxFlows {
		ends.Local = netip.AddrPortFrom(endA.Addr(), uint16(i))
		if fl := o.Open("here", "a", ends); (fl == nil) != (i >= fabric.MaxFlows-1) {
			t.Fatalf("flow %d: %v", i, fl)
		}
	}
}

func TestNamesOfEventsSurviveText(t *testing.T) {
	for k := fabric.EventLink; k.String() != "unknown"; k++ {
		b, err := k.MarshalText()
		var back fabric.EventKind
		if err != nil || back.UnmarshalText(b) != nil || back != k {
			t.Errorf("%s becomes %s", k, back)
		}
	}
	for r := fabric.DropTruncated; r.String() != "none"; r++ {
		b, err := r.MarshalText()
		var back fabric.DropReason
		if err != nil || back.UnmarshalText(b) != nil || back != r {
			t.Errorf("%s becomes %s", r, back)
		}
	}
	var k fabric.EventKind
	var r fabric.DropReason
	if k.UnmarshalText([]byte("nothing")) == nil || r.UnmarshalText([]byte("")) == nil {
		t.Error("a name that is none is taken")
	}
}

func BenchmarkMark(b *testing.B) {
	r := fabric.NewRecorder()
	o := fabric.OriginOf(fabric.Follow(context.Background(), r))
	ends := fabric.Ends{Proto: wire.ProtoTCP, Local: endA, Remote: endB}
	o.Open("here", "a", ends)
	f := fabrictest.Packet{Src: endA, Dst: endB}.TCP()
	f.ParseEthernet()
	b.ReportAllocs()
	for b.Loop() {
		r.Mark(f, "here", "a", ends)
	}
}
