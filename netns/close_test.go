package netns

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/netsim-lab/netsim/fabric/wire"
)

// When a namespace ends, everything that waits in it does.
func TestCloseWakes(t *testing.T) {
	l := newLab(t)
	ctx, end := context.WithCancel(context.Background())
	defer end()
	ns := New(Config{Name: "c"})
	must(ns.AddInterface(InterfaceConfig{Name: "eth0", Addr: prefix("10.7.0.2/24"), Port: &sink{}}))
	ran := make(chan error)
	go func() { ran <- ns.Run(ctx) }()
	ln := must(ns.Listen("tcp", ":80"))
	u := must(ns.ListenPacket("udp", ":53"))
	raw := must(ns.ListenRaw(wire.ProtoICMP))
	c := must(ns.Dial(l.ctx, "tcp", "127.0.0.1:80"))
	s := must(ln.Accept())
	got := make(chan error)
	for _, wait := range []func() error{
		func() error { _, err := ns.Dial(l.ctx, "tcp", "10.7.0.9:80"); return err }, // nobody answers
		func() error { return second(ln.Accept()) },
		func() error { return second(c.Read(make([]byte, 1))) },
		func() error { return second(raw.Read(l.ctx)) },
		func() error { _, _, err := u.ReadFrom(make([]byte, 1)); return err },
	} {
		go func() { got <- wait() }()
	}
	time.Sleep(20 * time.Millisecond)
	start := time.Now()
	end()
	for range 5 {
		if err := <-got; !errors.Is(err, net.ErrClosed) {
			t.Errorf("%v; want %v", err, net.ErrClosed)
		}
	}
	if err := <-ran; err != nil || time.Since(start) > time.Minute {
		t.Errorf("Run: %v after %v", err, time.Since(start))
	}
	select {
	case <-ns.Done():
	default:
		t.Error("Done is not closed")
	}
	for _, err := range []error{second(ns.Dial(l.ctx, "tcp", "127.0.0.1:80")), second(ns.Listen("tcp", ":81")), second(ns.ListenPacket("udp", ":0")), second(s.Write([]byte{1}))} {
		if !errors.Is(err, net.ErrClosed) {
			t.Errorf("after the end: %v; want %v", err, net.ErrClosed)
		}
	}
	if _, err := ns.AddInterface(InterfaceConfig{Name: "eth1"}); err == nil {
		t.Error("an interface was added after the end")
	}
	if err := ns.Run(l.ctx); err == nil {
		t.Error("a namespace ran twice")
	}
}

// The peer of a namespace that ends reads the end of the connection, as it does when a process exits.
func TestCloseTellsPeers(t *testing.T) {
	l := newLab(t)
	_, cs := l.bridged(1)
	ctx, end := context.WithCancel(context.Background())
	defer end()
	gone := New(Config{Name: "gone"})
	br := must2(cs[0].Interface("eth0")).veth.Load().Master()
	h, _ := l.veth(br.ns, "vethg", "", gone, "eth0", "10.0.0.9/24")
	if err := h.SetMaster(br); err != nil {
		t.Fatal(err)
	}
	l.run(ctx, gone)
	ln := must(gone.Listen("tcp", ":80"))
	c := must(cs[0].Dial(l.within(patience), "tcp", "10.0.0.9:80"))
	s := must(ln.Accept())
	s.Write([]byte("last words"))
	b := make([]byte, 100)
	c.SetDeadline(time.Now().Add(patience))
	if n, err := c.Read(b); n != 10 || err != nil {
		t.Fatal(n, err)
	}
	end()
	<-gone.Done()
	if n, err := c.Read(b); n != 0 || err != io.EOF {
		t.Errorf("Read = %d, %v; want EOF", n, err)
	}
}

// Namespaces may end at any moment, in any order, while others send to them.
func TestCloseAnytime(t *testing.T) {
	for i := range 20 {
		var wg sync.WaitGroup
		l := newLab(t)
		host := l.add(Config{Name: "host", Forward: true})
		br := must(host.AddBridge(InterfaceConfig{Name: "br0", Addr: prefix("10.0.0.1/24")}))
		var ends []context.CancelFunc
		for n := range 3 {
			ctx, end := context.WithCancel(context.Background())
			ends = append(ends, end)
			c := New(Config{Name: "c"})
			h, _ := l.veth(host, "veth"+string(rune('0'+n)), "", c, "eth0", "10.0.0."+string(rune('2'+n))+"/24")
			if err := h.SetMaster(br); err != nil {
				t.Fatal(err)
			}
			l.iptables(c, "-A INPUT -j ACCEPT")
			l.run(ctx, c)
			l.echoQuietly(c)
			wg.Add(2)
			go func() {
				defer wg.Done()
				l.talkUntil(c, "10.0.0.2:80")
			}()
			go func() {
				defer wg.Done()
				for ctx.Err() == nil {
					short, cancel := context.WithTimeout(ctx, time.Millisecond)
					c.Ping(short, addr("10.0.0.77"))
					cancel()
				}
			}()
		}
		time.Sleep(time.Duration(i) * time.Millisecond)
		for _, end := range ends {
			end()
			time.Sleep(time.Duration(i%3) * time.Millisecond)
		}
		wg.Wait()
		l.stop()
		l.wg.Wait()
	}
}

func (l *lab) echoQuietly(ns *Namespace) {
	if ln, err := ns.Listen("tcp", ":80"); err == nil {
		l.wg.Add(1)
		go func() {
			defer l.wg.Done()
			for {
				c, err := ln.Accept()
				if err != nil {
					return
				}
				l.wg.Add(1)
				go func() { defer l.wg.Done(); io.Copy(c, c); c.Close() }()
			}
		}()
	}
}

// talkUntil talks until the namespace or the other end is gone.
func (l *lab) talkUntil(ns *Namespace, address string) {
	for {
		ctx, cancel := context.WithTimeout(l.ctx, 20*time.Millisecond)
		c, err := ns.Dial(ctx, "tcp", address)
		cancel()
		if err == nil {
			c.SetDeadline(time.Now().Add(50 * time.Millisecond))
			c.Write(make([]byte, 300_000))
			io.Copy(io.Discard, io.LimitReader(c, 300_000))
			c.Close()
		}
		select {
		case <-ns.Done():
			return
		default:
		}
	}
}

// Close ends a namespace that never ran, timers and frames that wait for a neighbour included.
func TestCloseWithoutRun(t *testing.T) {
	ns, _, p := node(t, Config{})
	raw := must(ns.ListenRaw(99))
	raw.Send(addr("10.0.0.9"), nil, RawOptions{})
	if err := ns.Close(); err != nil {
		t.Fatal(err)
	}
	p.take()
	p.arrive(udpFrame(wire.MAC{2, 0, 0, 0, 0, 2}, "10.0.0.9", "10.0.0.2", 3))
	p.arrive(arp(1, wire.Broadcast, wire.MAC{2, 9}, "10.0.0.9", wire.MAC{}, "10.0.0.2"))
	if got := p.take(); got != nil {
		t.Errorf("a namespace that has ended sent %v", got)
	}
	if err := ns.Close(); err != nil {
		t.Error(err)
	}
	l := newLab(t)
	running := l.add(Config{})
	l.eventually("Run", func() bool { running.mu.Lock(); defer running.mu.Unlock(); return running.running })
	if err := running.Close(); err == nil {
		t.Error("Close of a namespace that runs")
	}
}
