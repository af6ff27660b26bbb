package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/netsim-lab/netsim/dns"
	"github.com/netsim-lab/netsim/netns"
	"github.com/netsim-lab/netsim/vxlan"
)

// netsim's side of the rows.

// measure is what rows call: one figure, and further ones.
type measure func(ctx context.Context, cfg Config) (float64, map[string]float64, error)

// overTCP measures one stream to an address between two namespaces of a rig.
func overTCP(addr netip.Addr, build func(r *rig) (from, to *netns.Namespace)) measure {
	return func(ctx context.Context, cfg Config) (v float64, _ map[string]float64, err error) {
		r := newRig(ctx)
		from, to := build(r)
		err = r.use(func() (err error) {
			v, err = stream(r.ctx, from, to, addr, 1, cfg.Duration)
			return err
		})
		return v, nil, err
	}
}

// bridging measures an exchange between two containers on a bridge.
func bridging(x exchange) measure {
	return x.measure(net.JoinHostPort(containerAddr(1).String(), datagramPort), (*rig).pair)
}

// measure measures the exchange between two namespaces of a rig.
func (x exchange) measure(addr string, build func(r *rig) (from, to *netns.Namespace)) measure {
	return func(ctx context.Context, cfg Config) (float64, map[string]float64, error) {
		var f figures
		r := newRig(ctx)
		from, to := build(r)
		err := r.use(func() (err error) {
			f, err = x.run(r.ctx, from, to, addr, cfg.Duration)
			return err
		})
		return f.Value, f.Extra, err
	}
}

// answers measures the embedded resolver of a container, which asks it at 127.0.0.11 as programs do.
func answers(ctx context.Context, cfg Config) (float64, map[string]float64, error) {
	var f figures
	r := newRig(ctx)
	c := r.onBridge(1)[0]
	err := r.use(func() (err error) {
		if err = r.resolver(c); err == nil {
			f, err = ask(r.ctx, c, netip.AddrPortFrom(dns.Embedded, 53).String(), cfg.Duration)
		}
		return err
	})
	return f.Value, f.Extra, err
}

// resolver runs an embedded resolver that knows all names in a container, behind the rules of Docker (D1).
func (r *rig) resolver(c *netns.Namespace) error {
	pc, err := c.ListenPacket("udp", dns.Embedded.String()+":0")
	if err != nil {
		return err
	}
	local, err := netip.ParseAddrPort(pc.LocalAddr().String())
	if err != nil {
		return errors.Join(err, pc.Close())
	}
	r.rule(c, fmt.Sprintf("nat OUTPUT -d 127.0.0.11 -p udp --dport 53 -j DNAT --to-destination %s", local),
		fmt.Sprintf("nat POSTROUTING -s 127.0.0.11 -p udp --sport %d -j SNAT --to-source :53", local.Port()))
	zone := dns.NewSharedZone("net")
	for i := range names {
		zone.Add("bench", hostName(i), hostAddr(i))
	}
	networks := []dns.NetworkZone{{Zone: zone, Scope: dns.ScopeSwarm}}
	res := dns.New(dns.Config{Networks: func() []dns.NetworkZone { return networks }, Rand: rand.New(rand.NewPCG(1, 1))})
	r.run(func(ctx context.Context) error { return res.Serve(ctx, pc, nil) })
	return r.err
}

// starting returns a measurement of how long n containers on one bridge take to make, each with a listening socket, in
// milliseconds each, and what each keeps resident.
func starting(n int) measure {
	return func(ctx context.Context, _ Config) (float64, map[string]float64, error) {
		before := resident()
		start := time.Now()
		r := newRig(ctx)
		all := r.onBridge(n)
		var took time.Duration
		extra := make(map[string]float64)
		err := r.use(func() error {
			for i, c := range all {
				if _, err := c.Listen("tcp", ":80"); err != nil {
					return fmt.Errorf("container %d: %w", i, errors.Join(r.ctx.Err(), err))
				}
			}
			took = time.Since(start)
			extra[residentEach] = float64(resident()-before) / float64(n) / 1000
			extra["ms in all"] = float64(took.Milliseconds())
			return nil
		})
		return took.Seconds() * 1e3 / float64(n), extra, err
	}
}

// residentEach names the figure of a container's memory.
const residentEach = "KB resident each"

// resident returns the process's resident memory in bytes; where the system does not tell, what Go's runtime obtained.
func resident() int64 {
	if b, err := os.ReadFile("/proc/self/statm"); err == nil {
		if f := strings.Fields(string(b)); len(f) > 1 {
			if pages, err := strconv.ParseInt(f[1], 10, 64); err == nil {
				return pages * int64(os.Getpagesize())
			}
		}
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.Sys)
}

// The loopback addresses of the two processes of tcp-vxlan-udp.
var (
	vtepHere  = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	vtepThere = netip.AddrFrom4([4]byte{127, 0, 0, 2})
)

// vxlanUDP measures a stream to a container of another process, which sends what it read back as a figure.
func vxlanUDP(ctx context.Context, cfg Config) (v float64, _ map[string]float64, err error) {
	u, err := vxlan.ListenUDP(vxlan.UDPConfig{Listen: netip.AddrPortFrom(vtepHere, 0)})
	if err != nil {
		return 0, nil, fmt.Errorf("%w: %w", errSkip, err)
	}
	p, m, err := serve(ctx, "", task{Role: "vxlan-receiver", Remote: u.LocalAddr()})
	if err != nil {
		return 0, nil, errors.Join(err, u.Close())
	}
	defer p.stop()
	r := newRig(ctx)
	r.run(u.Run)
	c := r.overlayHost("h0", 0, vxlan.Config{Local: vtepHere, Port: m.Addr.Port(), Transport: u}, vtepThere)
	err = r.use(func() error {
		conn, err := c.Dial(r.ctx, "tcp", netip.AddrPortFrom(containerAddr(1), 5201).String())
		if err != nil {
			return err
		}
		if err := send(r.ctx, conn, cfg.Duration); err != nil {
			return err
		}
		m, err := p.message()
		if err == nil && m.Figures == nil {
			err = errors.New("the second process measured nothing")
		}
		if err == nil {
			v = m.Figures.Value
		}
		return err
	})
	return v, nil, err
}

// vxlanReceiver is the second process: one stream arrives at its container.
func vxlanReceiver(ctx context.Context, t task, ready func(netip.AddrPort)) (*figures, error) {
	u, err := vxlan.ListenUDP(vxlan.UDPConfig{Listen: netip.AddrPortFrom(vtepThere, 0)})
	if err != nil {
		return nil, err
	}
	r := newRig(ctx)
	r.run(u.Run)
	c := r.overlayHost("h1", 1, vxlan.Config{Local: vtepThere, Port: t.Remote.Port(), Transport: u}, vtepHere)
	f := &figures{}
	return f, r.use(func() error {
		l, err := c.Listen("tcp", ":"+streamPort)
		if err != nil {
			return err
		}
		defer closeWith(r.ctx, l)()
		ready(u.LocalAddr())
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		var s sum
		if err := s.read(r.ctx, conn); err != nil {
			return err
		}
		f.Value = rate([]sum{s})
		return nil
	})
}
