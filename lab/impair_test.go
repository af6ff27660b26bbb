package lab

import (
	"context"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/netsim-lab/netsim/fabric"
)

// impairedLab has a slow and a lossless side, and a machine that is connected to neither.
const impairedLab = `
netsim: 1
name: impaired
fabric:
  switches: {tor: {}, other: {}}
  hosts:
    host-a: {links: {tor: 10.0.0.1/24}, engine: docker}
    host-b: {links: {tor: 10.0.0.2/24}, gso: "on"}
    far: {links: {other: 10.9.0.1/24}}
  links:
    - {between: [host-a, tor], delay: 20ms, reverse: {delay: 10ms, jitter: 1ms}}
    - {between: [tor, host-b], forward: {down: true}}
containers:
  web: {host: host-a, image: nginx}
`

func ms(n int) *time.Duration {
	d := time.Duration(n) * time.Millisecond
	return &d
}

func to[T any](v T) *T { return &v }

func TestLinkStates(t *testing.T) {
	l := start(t, impairedLab, Config{})
	got, err := l.Link(LinkRequest{From: "tor", To: "host-a"})
	want := []LinkState{
		{"tor", "host-a", fabric.Impairment{Delay: 10 * time.Millisecond, Jitter: time.Millisecond}},
		{"host-a", "tor", fabric.Impairment{Delay: 20 * time.Millisecond}},
	}
	if err != nil || len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("Link of what the topology says = %+v, %v; want %+v", got, err, want)
	}
	if s, _ := l.Link(LinkRequest{From: "tor", To: "host-b"}); len(s) != 2 || !s[0].Down || s[1].Down {
		t.Errorf("Link of a link down one way = %+v", s)
	}
	got, err = l.Link(LinkRequest{From: "host-a", To: "tor", Both: true, Change: LinkChange{Loss: to(0.5)}})
	want[0].Loss, want[1].Loss = 0.5, 0.5
	if err != nil || len(got) != 2 || got[0] != want[1] || got[1] != want[0] {
		t.Errorf("Link after a change of both = %+v, %v; want %+v, the other way round", got, err, want)
	}
	got, err = l.Link(LinkRequest{From: "host-a", To: "tor", Change: LinkChange{Reset: true, MTU: to(900)}})
	if err != nil || got[0].Impairment != (fabric.Impairment{MTU: 900}) || got[1] != want[0] {
		t.Errorf("Link after a reset of one = %+v, %v", got, err)
	}
	for _, c := range []struct {
		r    LinkRequest
		want string
	}{
		{LinkRequest{From: "host-a", To: "host-b"}, "there is no link between host-a and host-b; host-a has links to tor"},
		{LinkRequest{From: "hots-a", To: "tor"}, `no such node: "hots-a"; did you mean "host-a"?`},
		{LinkRequest{From: "host-a", To: "host-a"}, "there is no link between host-a and host-a"},
		{LinkRequest{From: "host-a", To: "tor", Change: LinkChange{Loss: to(1.5)}}, "link host-a tor: loss must be a share from 0 to 1"},
		{LinkRequest{From: "host-a", To: "tor", Both: true, Change: LinkChange{Delay: ms(-1)}}, "delay must be"},
	} {
		if _, err := l.Link(c.r); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("Link(%+v): %v; want %q", c.r, err, c.want)
		}
	}
}

func TestLinkDelaysAndCuts(t *testing.T) {
	l := start(t, strings.Replace(impairedLab, "forward: {down: true}", "delay: 0s", 1), Config{})
	for range 2 { // the first asks for the address, too
		rtt, err := l.MustNode("host-a").Ping(soon(t), "10.0.0.2")
		if err != nil || rtt < 29*time.Millisecond {
			t.Errorf("Ping = %v, %v; want 29 ms or more", rtt, err)
		}
	}
	if _, err := l.Link(LinkRequest{From: "tor", To: "host-b", Change: LinkChange{Down: to(true)}}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if rtt, err := l.MustNode("host-a").Ping(ctx, "10.0.0.2"); err == nil {
		t.Errorf("Ping over a link that is down = %v", rtt)
	}
	if _, err := l.Link(LinkRequest{From: "tor", To: "host-b", Change: LinkChange{Down: to(false)}}); err != nil {
		t.Fatal(err)
	}
	if _, err := l.MustNode("host-a").Ping(soon(t), "10.0.0.2"); err != nil {
		t.Errorf("Ping once it is up: %v", err)
	}
}

// Who sends trains follows from the links: the host, its containers and those it reaches, unless the topology says
// otherwise.
func TestLinkDecidesOnTrains(t *testing.T) {
	l := start(t, impairedLab, Config{})
	trains := func() string {
		var all []string
		for _, name := range []string{"host-a", "host-a/web", "host-b", "far"} {
			if l.MustNode(name).NS().Segmentation() {
				all = append(all, name)
			}
		}
		return strings.Join(all, " ")
	}
	for _, c := range []struct {
		change LinkChange
		want   string
	}{
		{LinkChange{}, "host-a host-a/web host-b far"},
		{LinkChange{Loss: to(0.01)}, "host-b far"},
		{LinkChange{Delay: ms(1)}, "host-b far"},
		{LinkChange{Loss: to(0.0)}, "host-a host-a/web host-b far"},
		{LinkChange{Duplicate: to(0.1)}, "host-b far"},
		{LinkChange{Reset: true}, "host-a host-a/web host-b far"},
	} {
		if _, err := l.Link(LinkRequest{From: "tor", To: "host-b", Change: c.change}); err != nil {
			t.Fatal(err)
		}
		if got := trains(); got != c.want {
			t.Errorf("after %+v trains are sent by %q; want %q", c.change, got, c.want)
		}
	}
	lossy := start(t, strings.Replace(impairedLab, "delay: 20ms", "loss: 1%", 1), Config{})
	if lossy.MustNode("web").NS().Segmentation() || lossy.MustNode("host-a").NS().Segmentation() {
		t.Error("a container that starts on a host behind a link with loss sends trains")
	}
}

func TestLinkOverTheControlSocket(t *testing.T) {
	runtimeDir(t)
	start(t, impairedLab, Config{Control: true})
	c, err := Dial("impaired")
	if err != nil {
		t.Fatal(err)
	}
	burst := fabric.Burst{P: 0.1, R: 0.5}
	got, err := c.Link(soon(t), LinkRequest{From: "host-a", To: "tor", Change: LinkChange{Burst: &burst, Rate: to(uint64(1e6)), Jitter: ms(3)}})
	want := fabric.Impairment{Delay: 20 * time.Millisecond, Jitter: 3 * time.Millisecond, Burst: burst, Rate: 1e6}
	if err != nil || len(got) != 2 || got[0].Impairment != want {
		t.Errorf("Link = %+v, %v; want %+v", got, err, want)
	}
	if _, err := c.Link(soon(t), LinkRequest{From: "host-a", To: "troy"}); err == nil || !strings.Contains(err.Error(), `did you mean "tor"?`) {
		t.Errorf("Link to an unknown node: %v", err)
	}
}

func TestBuilderImpairs(t *testing.T) {
	b := NewBuilder()
	s := b.Switch("s")
	b.Link(b.Host("a", "10.0.0.1/24"), s, LinkDelay(5*time.Millisecond), LinkJitter(time.Millisecond), LinkLoss(0.125), LinkRate(1_500_000))
	b.Link(b.Host("b", "10.0.0.2/24"), s, LinkDown())
	spec, err := b.Spec()
	if err != nil {
		t.Fatal(err)
	}
	got := impairment(spec.Fabric.Cables()[0].Forward)
	want := fabric.Impairment{Delay: 5 * time.Millisecond, Jitter: time.Millisecond, Loss: 0.125, Rate: 1_500_000}
	if got != want {
		t.Errorf("the cable has %+v; want %+v", got, want)
	}
	if c := spec.Fabric.Cables()[1]; !c.Forward.Down || !c.Reverse.Down {
		t.Errorf("the cable that is pulled out is %+v", c)
	}
}

// TCP gets through 1 % loss, and all that it carries arrives.
func TestTCPOverLoss(t *testing.T) {
	b := NewBuilder()
	s := b.Switch("s")
	b.Link(b.Host("a", "10.0.0.1/24"), s, LinkLoss(0.01))
	b.Link(b.Host("b", "10.0.0.2/24"), s)
	spec, err := b.Spec()
	if err != nil {
		t.Fatal(err)
	}
	l, err := Start(t.Context(), spec, Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := l.Stop(); err != nil {
			t.Error(err)
		}
	}()
	const size = 2 << 20
	ln, err := l.MustNode("b").Listen("tcp", ":80")
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan int64, 1)
	go func() {
		conn, err := ln.Accept()
		if err != nil {
			got <- -1
			return
		}
		n, _ := io.Copy(io.Discard, conn) // the number tells
		got <- n
	}()
	conn, err := l.MustNode("a").Dial(soon(t), "tcp", "10.0.0.2:80")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write(make([]byte, size)); err != nil {
		t.Error(err)
	}
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
	select {
	case n := <-got:
		if n != size {
			t.Errorf("%d bytes arrived; want %d", n, size)
		}
	case <-time.After(30 * time.Second):
		t.Error("the bytes did not arrive in time")
	}
	lost := uint64(0)
	for _, d := range l.Drops() {
		if d.Reason == fabric.DropLoss.String() {
			lost += d.Frames
		}
	}
	if lost == 0 {
		t.Error("no frame was lost")
	}
	_ = ln.Close()
}

func TestLinkFlaps(t *testing.T) {
	spec := parse(t, strings.Replace(impairedLab, "delay: 20ms", "flap: {down: 1s, every: 10s}", 1))
	synctest.Test(t, func(t *testing.T) {
		c := &cable{link: fabric.NewLink("a", "b"), flap: spec.Fabric.Cables()[0].Flap}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- c.flaps(ctx) }()
		start := time.Now()
		for _, at := range []struct {
			after time.Duration
			up    bool
		}{{0, true}, {8900 * time.Millisecond, true}, {9100 * time.Millisecond, false}, {9900 * time.Millisecond, false},
			{10100 * time.Millisecond, true}, {19500 * time.Millisecond, false}, {20500 * time.Millisecond, true}} {
			time.Sleep(at.after - time.Since(start))
			synctest.Wait()
			if up := c.link.A().Carrier(); up != at.up {
				t.Errorf("after %v it is up: %v; want %v", at.after, up, at.up)
			}
		}
		cancel()
		if err := <-done; err != nil {
			t.Errorf("flaps = %v; want nil", err)
		}
	})
}
