package cnm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/l2switch"
	"github.com/netsim-lab/netsim/netns"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is a small lab: hosts on one switch.
type rig struct {
	t      testing.TB
	tor    *l2switch.Switch
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
	serial int
}

func newRig(t testing.TB) *rig {
	r := &rig{t: t, tor: l2switch.New(l2switch.Config{Name: "tor"})}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	t.Cleanup(func() {
		r.cancel()
		r.wg.Wait()
	})
	return r
}

func (r *rig) spawn(run func(ctx context.Context) error) {
	r.wg.Go(func() {
		if err := run(r.ctx); err != nil {
			r.t.Error(err)
		}
	})
}

// machine adds a machine with an address on the switch.
func (r *rig) machine(name, addr string) *netns.Namespace {
	r.t.Helper()
	r.serial++
	ns := netns.New(netns.Config{Name: name, Seed: uint64(r.serial)})
	inner, outer := fabric.NewVeth(name+"/eth0", "tor/"+name)
	if _, err := r.tor.AddPort(name, outer, l2switch.PortConfig{}); err != nil {
		r.t.Fatal(err)
	}
	if _, err := ns.AddInterface(netns.InterfaceConfig{Name: "eth0", Port: inner, Addr: netip.MustParsePrefix(addr)}); err != nil {
		r.t.Fatal(err)
	}
	r.spawn(ns.Run)
	return ns
}

// host adds a machine with a controller. edit may be nil.
func (r *rig) host(name, addr string, edit func(*Config)) *Controller {
	r.t.Helper()
	cfg := Config{Name: name, Host: r.machine(name, addr), Spawn: r.spawn, Seed: uint64(r.serial)}
	if edit != nil {
		edit(&cfg)
	}
	c, err := New(cfg)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() {
		if err := c.Close(); err != nil {
			r.t.Errorf("close %s: %v", name, err)
		}
	})
	return c
}

func (r *rig) network(c *Controller, cfg NetworkConfig) *Network {
	r.t.Helper()
	n, err := c.CreateNetwork(cfg)
	if err != nil {
		r.t.Fatal(err)
	}
	return n
}

// sandbox makes a container that is on no network.
func (r *rig) sandbox(c *Controller, name string) *Sandbox {
	r.t.Helper()
	r.serial++
	ns := netns.New(netns.Config{Name: c.Name() + "/" + name, Seed: uint64(r.serial)})
	r.spawn(ns.Run)
	s, err := c.NewSandbox(SandboxConfig{ID: fmt.Sprintf("%012x%052x", 0xabc000000000+r.serial, 0), Name: name, NS: ns})
	if err != nil {
		r.t.Fatal(err)
	}
	return s
}

// container makes a container on networks.
func (r *rig) container(c *Controller, name string, eps ...EndpointConfig) *Sandbox {
	r.t.Helper()
	s := r.sandbox(c, name)
	if err := s.Join(r.ctx, eps); err != nil {
		r.t.Fatal(err)
	}
	return s
}

func on(network string) EndpointConfig { return EndpointConfig{Network: network} }

// serve answers every TCP connection to a port with "name client-address".
func (r *rig) serve(ns *netns.Namespace, name string, port int) {
	r.t.Helper()
	ln, err := ns.Listen("tcp", fmt.Sprintf(":%d", port))
	if err != nil {
		r.t.Fatal(err)
	}
	r.wg.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			from, _, _ := net.SplitHostPort(conn.RemoteAddr().String())
			_, _ = fmt.Fprintf(conn, "%s %s", name, from)
			_ = conn.Close()
		}
	})
	context.AfterFunc(r.ctx, func() { _ = ln.Close() })
}

// ask connects and returns what the server says.
func ask(ns *netns.Namespace, address string, patience time.Duration) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := ns.Dial(ctx, "tcp", address)
	if err != nil {
		return "", err
	}
	defer conn.Close() //nolint:errcheck // all was read
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return "", err
	}
	said, err := io.ReadAll(conn)
	return string(said), err
}

const (
	soon  = time.Minute
	never = 250 * time.Millisecond // long enough for an answer that must not come
)

func (r *rig) says(ns *netns.Namespace, address, want string) {
	r.t.Helper()
	if got, err := ask(ns, address, soon); err != nil || got != want {
		r.t.Errorf("%s: connect to %s = %q, %v; want %q", ns.Name(), address, got, err, want)
	}
}

// silent checks that a connection is neither made nor refused.
func (r *rig) silent(ns *netns.Namespace, address string) {
	r.t.Helper()
	got, err := ask(ns, address, never)
	var timeout net.Error
	if err == nil || !(errors.As(err, &timeout) && timeout.Timeout() || strings.Contains(err.Error(), "deadline")) {
		r.t.Errorf("%s: connect to %s = %q, %v; want a timeout", ns.Name(), address, got, err)
	}
}

func (r *rig) pings(ns *netns.Namespace, to string) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.ctx, soon)
	defer cancel()
	if _, err := ns.Ping(ctx, netip.MustParseAddr(to)); err != nil {
		r.t.Errorf("%s: ping %s: %v", ns.Name(), to, err)
	}
}

func (r *rig) lost(ns *netns.Namespace, to string) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.ctx, never)
	defer cancel()
	if d, err := ns.Ping(ctx, netip.MustParseAddr(to)); err == nil {
		r.t.Errorf("%s: ping %s answered in %v; want no answer", ns.Name(), to, d)
	}
}

func (r *rig) finds(s *Sandbox, name, want string) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.ctx, soon)
	defer cancel()
	addrs, err := s.LookupHost(ctx, name)
	if want == "" {
		if err == nil {
			r.t.Errorf("%s: lookup %s = %v; want an error", s.Name(), name, addrs)
		}
		return
	}
	if err != nil || len(addrs) != 1 || addrs[0].String() != want {
		r.t.Errorf("%s: lookup %s = %v, %v; want %s", s.Name(), name, addrs, err, want)
	}
}
