package netns

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must happen.
const patience = time.Minute

func addr(s string) netip.Addr     { return netip.MustParseAddr(s) }
func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

// lab runs namespaces for one test.
type lab struct {
	testing.TB
	ctx  context.Context
	stop context.CancelFunc
	wg   sync.WaitGroup
}

func newLab(t testing.TB) *lab {
	t.Helper()
	l := &lab{TB: t}
	l.ctx, l.stop = context.WithCancel(context.Background())
	t.Cleanup(func() {
		l.stop()
		l.wg.Wait()
	})
	return l
}

// add makes a namespace and runs it.
func (l *lab) add(cfg Config) *Namespace {
	ns := New(cfg)
	l.run(l.ctx, ns)
	return ns
}

func (l *lab) run(ctx context.Context, ns *Namespace) {
	l.wg.Add(1)
	go func() {
		defer l.wg.Done()
		if err := ns.Run(ctx); err != nil {
			l.Error(err)
		}
	}()
}

// within returns a context that ends when a test has waited long enough.
func (l *lab) within(d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(l.ctx, d)
	l.Cleanup(cancel)
	return ctx
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// veth connects two namespaces; "" is no address.
func (l *lab) veth(a *Namespace, an, aa string, b *Namespace, bn, ba string) (*Interface, *Interface) {
	l.Helper()
	ac, bc := InterfaceConfig{Name: an}, InterfaceConfig{Name: bn}
	if aa != "" {
		ac.Addr = prefix(aa)
	}
	if ba != "" {
		bc.Addr = prefix(ba)
	}
	ia, ib, err := NewVethPair(a, ac, b, bc)
	if err != nil {
		l.Fatal(err)
	}
	return ia, ib
}

func (l *lab) gateway(ns *Namespace, via string) {
	l.Helper()
	if err := ns.AddDefaultRoute(addr(via)); err != nil {
		l.Fatal(err)
	}
}

// bridged makes a host with a bridge 10.0.0.1/24 and n containers 10.0.0.2 and up on it.
func (l *lab) bridged(n int) (host *Namespace, cs []*Namespace) {
	l.Helper()
	host = l.add(Config{Name: "host", Forward: true})
	br, err := host.AddBridge(InterfaceConfig{Name: "br0", Addr: prefix("10.0.0.1/24")})
	if err != nil {
		l.Fatal(err)
	}
	for i := range n {
		c := l.add(Config{Name: fmt.Sprintf("c%d", i+1), Seed: uint64(i)})
		h, _ := l.veth(host, fmt.Sprintf("veth%d", i+1), "", c, "eth0", fmt.Sprintf("10.0.0.%d/24", i+2))
		if err := h.SetMaster(br); err != nil {
			l.Fatal(err)
		}
		l.gateway(c, "10.0.0.1")
		cs = append(cs, c)
	}
	return host, cs
}

// routed makes a client 10.1.0.2, n routers in a row, and a server 10.9.0.2.
func (l *lab) routed(n int) (client, server *Namespace, routers []*Namespace) {
	l.Helper()
	client = l.add(Config{Name: "client"})
	left, net := client, 1
	for i := range n {
		r := l.add(Config{Name: fmt.Sprintf("r%d", i+1), Forward: true})
		l.veth(left, fmt.Sprintf("down%d", i), fmt.Sprintf("10.%d.0.2/24", net), r, "up", fmt.Sprintf("10.%d.0.1/24", net))
		l.gateway(left, fmt.Sprintf("10.%d.0.1", net))
		routers = append(routers, r)
		left, net = r, net+1
	}
	server = l.add(Config{Name: "server"})
	l.veth(left, "down", "10.9.0.1/24", server, "eth0", "10.9.0.2/24")
	l.gateway(server, "10.9.0.1")
	for i := n - 1; i > 0; i-- { // the way back
		if err := routers[i].AddRoute(Route{Dst: prefix("10.1.0.0/16"), Via: addr(fmt.Sprintf("10.%d.0.2", i+1)), Dev: must2(routers[i].Interface("up"))}); err != nil {
			l.Fatal(err)
		}
	}
	return client, server, routers
}

func must2[T any](v T, ok bool) T {
	if !ok {
		panic("not there")
	}
	return v
}

// echo serves TCP connections that get back what they send.
func (l *lab) echo(ns *Namespace, address string) net.Listener {
	l.Helper()
	ln, err := ns.Listen("tcp", address)
	if err != nil {
		l.Fatal(err)
	}
	l.wg.Add(1)
	go func() {
		defer l.wg.Done()
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			l.wg.Add(1)
			go func() {
				defer l.wg.Done()
				defer c.Close()
				io.Copy(c, c)
			}()
		}
	}()
	return ln
}

// talk sends n bytes over a new connection to an echo server and returns the local and remote address.
func (l *lab) talk(ns *Namespace, address string, n int) (local, remote string, err error) {
	c, err := ns.Dial(l.within(patience), "tcp", address)
	if err != nil {
		return "", "", err
	}
	defer c.Close()
	return c.LocalAddr().String(), c.RemoteAddr().String(), exchange(c, n)
}

// exchange sends n bytes over a connection that gives them back, and reads them.
func exchange(c net.Conn, n int) error {
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	sent := make(chan error, 1)
	go func() {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(i * 7)
		}
		_, err := c.Write(b)
		if err == nil {
			err = c.(interface{ CloseWrite() error }).CloseWrite()
		}
		sent <- err
	}()
	got, err := io.ReadAll(c)
	for i := range got {
		if got[i] != byte(i*7) {
			err = errors.Join(err, fmt.Errorf("byte %d is %d", i, got[i]))
			break
		}
	}
	if len(got) != n {
		err = errors.Join(err, fmt.Errorf("%d bytes came back, want %d", len(got), n))
	}
	return errors.Join(err, <-sent)
}

// eventually waits until ok.
func (l *lab) eventually(what string, ok func() bool) {
	l.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if ok() {
			return
		}
	}
	l.Fatalf("never: %s", what)
}
