package netns

import (
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"testing"

	"github.com/netsim-lab/netsim/fabric"
)

// places returns the namespaces that packets of each flow were sent from, in their order, each once in a row.
func places(r *fabric.Recorder) map[int][]string {
	out := map[int][]string{}
	packets, _ := r.Packets()
	for _, p := range packets {
		if list := out[p.Flow.ID]; len(list) == 0 || list[len(list)-1] != p.Place {
			out[p.Flow.ID] = append(list, p.Place)
		}
	}
	return out
}

func TestFollowedConnection(t *testing.T) {
	l := newLab(t)
	_, cs := l.bridged(2)
	l.echo(cs[1], ":80")
	r := fabric.NewRecorder()
	ctx := fabric.Follow(l.within(patience), r)
	other := must(cs[0].Dial(l.ctx, "tcp", "10.0.0.3:80"))
	defer other.Close()
	c := must(cs[0].Dial(ctx, "tcp", "10.0.0.3:80"))
	if err := exchange(c, 100_000); err != nil {
		t.Fatal(err)
	}
	if err := exchange(other, 10); err != nil {
		t.Fatal(err)
	}
	c.Close()
	l.eventually("the FIN of the server", func() bool {
		packets, _ := r.Packets()
		fins := map[bool]bool{}
		for _, p := range packets {
			if p.Flags&1 != 0 {
				fins[p.Back] = true
			}
		}
		return fins[true] && fins[false]
	})
	packets, left := r.Packets()
	size := map[bool]int{}
	for _, p := range packets {
		if p.EtherType == 0x0800 {
			size[p.Back] += p.Size
		}
		if p.Flow.Src.String() != c.LocalAddr().String() || p.Flow.Dst.String() != "10.0.0.3:80" || p.Back != (p.Place == "c2") {
			t.Errorf("packet %+v of flow %+v", p, p.Flow)
		}
	}
	if left != 0 || size[false] != 100_000 || size[true] != 100_000 {
		t.Errorf("%v bytes were seen, %d packets left; want 100000 each way", size, left)
	}
	if cs[0].recorders.Load() == nil || cs[1].recorders.Load() == nil {
		t.Error("no namespace looks")
	}
	r.Stop()
	if cs[0].recorders.Load() != nil || cs[1].recorders.Load() != nil {
		t.Error("namespaces look after the end")
	}
}

func TestFollowedPingAndDatagrams(t *testing.T) {
	l := newLab(t)
	_, cs := l.bridged(2)
	r := fabric.NewRecorder()
	defer r.Stop()
	ctx := fabric.Follow(l.within(patience), r)
	if _, err := cs[0].Ping(ctx, addr("10.0.0.3")); err != nil {
		t.Fatal(err)
	}
	c := must(cs[0].Dial(ctx, "udp", "10.0.0.3:53")) // where nobody listens
	defer c.Close()
	if _, err := c.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("somebody answers")
	}
	got := places(r)
	if fmt.Sprint(got[1]) != "[c1 c2 c1 c2]" && fmt.Sprint(got[1]) != "[c1 c2]" { // the request, the question for the address, and the answers to both
		t.Errorf("the ping was sent from %v", got[1])
	}
	if fmt.Sprint(got[2]) != "[c1 c2]" { // the answer is an ICMP error
		t.Errorf("the datagrams were sent from %v", got[2])
	}
}

// A proxy, and a connection that was opened before, are followed where their programs say what they do it for.
func TestBecause(t *testing.T) {
	l := newLab(t)
	_, cs := l.bridged(3)
	l.echo(cs[2], ":80")
	ln := must(cs[1].Listen("tcp", ":8080"))
	pc := must(cs[1].ListenPacket("udp", ":8080"))
	old := must(cs[1].Dial(l.ctx, "tcp", "10.0.0.4:80"))
	defer old.Close()
	r := fabric.NewRecorder()
	defer r.Stop()
	ctx := fabric.Follow(l.within(patience), r)
	client := must(cs[0].Dial(ctx, "tcp", "10.0.0.3:8080"))
	defer client.Close()
	accepted := must(ln.Accept())
	defer accepted.Close()
	why := accepted.(interface {
		Because(context.Context) context.Context
	}).Because(l.within(patience))
	server := must(cs[1].Dial(why, "tcp", "10.0.0.4:80"))
	defer server.Close()
	old.(interface{ Follow(context.Context) }).Follow(why)
	if err := exchange(old, 10); err != nil {
		t.Fatal(err)
	}
	datagram := must(cs[0].Dial(ctx, "udp", "10.0.0.3:8080"))
	defer datagram.Close()
	datagram.Write([]byte("hello"))
	_, from, err := pc.ReadFrom(make([]byte, 10))
	if err != nil {
		t.Fatal(err)
	}
	asked := must(cs[1].Dial(pc.(interface {
		BecauseOf(context.Context, net.Addr) context.Context
	}).BecauseOf(l.within(patience), from), "udp", "10.0.0.4:53"))
	defer asked.Close()
	asked.Write([]byte("hello"))
	packets, _ := r.Packets()
	causes := map[string]int{}
	for _, p := range packets {
		if p.Flow.Cause != nil {
			causes[p.Flow.Src.String()] = p.Flow.Cause.ID
		}
	}
	want := map[string]int{server.LocalAddr().String(): 1, old.LocalAddr().String(): 1, asked.LocalAddr().String(): 4}
	if fmt.Sprint(causes) != fmt.Sprint(want) {
		t.Errorf("causes %v, want %v", causes, want)
	}
}

// A connection that was opened for one who followed is as good as any for the next.
func TestFollowAgain(t *testing.T) {
	l := newLab(t)
	_, cs := l.bridged(2)
	l.echo(cs[1], ":80")
	first, second := fabric.NewRecorder(), fabric.NewRecorder()
	defer second.Stop()
	pooled := must(cs[0].Dial(fabric.Follow(l.within(patience), first), "tcp", "10.0.0.3:80"))
	defer pooled.Close()
	ask := func() {
		must(pooled.Write(make([]byte, 10)))
		must(io.ReadFull(pooled, make([]byte, 10)))
	}
	ask()
	first.Stop()
	pooled.(interface{ Follow(context.Context) }).Follow(fabric.Follow(l.within(patience), second))
	ask()
	packets, _ := second.Packets()
	if !slices.ContainsFunc(packets, func(p fabric.RecordedPacket) bool { return !p.Back && p.Size == 10 }) {
		t.Errorf("%d packets are known; want those of the second exchange", len(packets))
	}
}

// BenchmarkExplain is BenchmarkTCPBridge without anybody who follows, and with one who follows another flow of the same
// namespaces, or this one.
func BenchmarkExplain(b *testing.B) {
	for _, who := range []string{"off", "another", "this"} {
		b.Run(who, func(b *testing.B) {
			l := newLab(b)
			_, cs := l.bridged(2)
			if who != "off" {
				r := fabric.NewRecorder()
				b.Cleanup(r.Stop)
				ctx := fabric.Follow(l.ctx, r)
				l.echo(cs[1], ":80")
				must(cs[0].Dial(ctx, "tcp", "10.0.0.3:80"))
				if who == "this" {
					l.ctx = ctx
				}
			}
			stream(b, l, cs[0], cs[1], "10.0.0.3")
		})
	}
}

// BenchmarkFollowOff is what a packet costs more that nobody follows.
func BenchmarkFollowOff(b *testing.B) {
	ns := New(Config{})
	b.Cleanup(func() { ns.Close() })
	n := 0
	b.ReportAllocs()
	for b.Loop() {
		if ns.recorders.Load() != nil {
			n++
		}
	}
	if n > 0 {
		b.Error("somebody follows")
	}
}
