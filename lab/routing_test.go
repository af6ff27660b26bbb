package lab

import (
	"fmt"
	"testing"
	"time"
)

// twoSpines is two leaf routers with a client behind one and a server behind the other, and two spines between them,
// which have a cable to each other for when one of them has lost a leaf.
const twoSpines = `
netsim: 1
name: two-spines
fabric:
  routers:
    spine1: {links: {leaf1: 10.0.11.1/30, leaf2: 10.0.12.1/30, spine2: 10.0.0.1/30}, routes: [
      {to: 10.1.1.0/24, via: 10.0.11.2}, {to: 10.1.2.0/24, via: 10.0.12.2}, {to: 10.1.0.0/16, via: 10.0.0.2}]}
    spine2: {links: {leaf1: 10.0.21.1/30, leaf2: 10.0.22.1/30, spine1: 10.0.0.2/30}, routes: [
      {to: 10.1.1.0/24, via: 10.0.21.2}, {to: 10.1.2.0/24, via: 10.0.22.2}, {to: 10.1.0.0/16, via: 10.0.0.1}]}
    leaf1: {links: {client: 10.1.1.1/24, spine1: 10.0.11.2/30, spine2: 10.0.21.2/30}, routes: [{to: default, via: [10.0.11.1, 10.0.21.1]}]}
    leaf2: {links: {server: 10.1.2.1/24, spine1: 10.0.12.2/30, spine2: 10.0.22.2/30}, routes: [{to: default, via: [10.0.12.1, 10.0.22.1]}]}
  hosts:
    client: {links: {leaf1: 10.1.1.10/24}, gateway: 10.1.1.1}
    server: {links: {leaf2: 10.1.2.10/24}, gateway: 10.1.2.1}
`

// forwarded returns how many frames a machine's interface has received.
func forwarded(t *testing.T, l *Lab, node, iface string) uint64 {
	t.Helper()
	i, ok := l.MustNode(node).NS().Interface(iface)
	if !ok {
		t.Fatalf("%s has no %s", node, iface)
	}
	return i.Read().RxFrames
}

// The connections between two leaves are shared between the spines; any one cable may be cut, and each connection goes on.
func TestRoutedFabricShrugsOffACutCable(t *testing.T) {
	l := start(t, twoSpines, Config{})
	client, server := l.MustNode("client"), l.MustNode("server")
	serveEcho(t, server, ":7")
	open := func() *probeConn { return dialEcho(t, client, "10.1.2.10:7") }
	var conns []*probeConn
	for range 24 {
		conns = append(conns, open())
	}
	for _, spine := range []string{"spine1", "spine2"} {
		if n := forwarded(t, l, spine, "eth0"); n < 3*6 {
			t.Errorf("%s got %d frames of the client; want a share of 24 connections", spine, n)
		}
	}
	for _, cut := range [][2]string{{"leaf1", "spine1"}, {"spine2", "leaf2"}, {"leaf1", "spine2"}, {"spine1", "leaf2"}} {
		down, up := true, false
		setLink(t, l, cut, &down)
		begun := time.Now()
		for i, c := range conns {
			if err := c.ask(); err != nil {
				t.Fatalf("connection %d without %v: %v", i, cut, err)
			}
		}
		if took := time.Since(begun); took > 30*time.Second {
			t.Errorf("it took %v until all connections went on without %v", took, cut)
		}
		setLink(t, l, cut, &up)
	}
	if r := l.MustNode("leaf1").NS().Routes()[0]; len(r.Hops) != 2 || r.Hops[0].Via == r.Hops[1].Via {
		t.Errorf("the default route of leaf1 = %v", r)
	}
}

// A route by a cable that is out from the beginning is there once the cable is in.
func TestRouteByACableThatIsOut(t *testing.T) {
	l := start(t, twoSpines+`  links: [{between: [leaf1, spine1], down: true}, {between: [leaf1, spine2], down: true}]
`, Config{})
	client := l.MustNode("client")
	if _, err := client.Ping(soon(t), "10.1.2.10"); err == nil {
		t.Error("a ping passed cables that are out")
	}
	up := false
	setLink(t, l, [2]string{"leaf1", "spine2"}, &up)
	if _, err := client.Ping(soon(t), "10.1.2.10"); err != nil {
		t.Error(err)
	}
}

func setLink(t *testing.T, l *Lab, ends [2]string, down *bool) {
	t.Helper()
	if _, err := l.Link(LinkRequest{From: ends[0], To: ends[1], Both: true, Change: LinkChange{Down: down}}); err != nil {
		t.Fatal(err)
	}
}

// serveEcho gives TCP connections back what they send.
func serveEcho(t *testing.T, n *Node, address string) {
	t.Helper()
	ln, err := n.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close() //nolint:errcheck // its end
				b := make([]byte, 64)
				for {
					n, err := c.Read(b)
					if err != nil {
						return
					}
					if _, err := c.Write(b[:n]); err != nil {
						return
					}
				}
			}()
		}
	}()
}

// probeConn is a connection to an echo server.
type probeConn struct {
	c interface {
		Read([]byte) (int, error)
		Write([]byte) (int, error)
		SetDeadline(time.Time) error
	}
}

func dialEcho(t *testing.T, n *Node, address string) *probeConn {
	t.Helper()
	c, err := n.Dial(soon(t), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	p := &probeConn{c}
	if err := p.ask(); err != nil {
		t.Fatal(err)
	}
	return p
}

// ask sends a byte and waits for it to come back.
func (p *probeConn) ask() error {
	if err := p.c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		return err
	}
	if _, err := p.c.Write([]byte("x")); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	_, err := p.c.Read(make([]byte, 1))
	return err
}
