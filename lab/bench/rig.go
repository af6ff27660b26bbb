package bench

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"

	"golang.org/x/sync/errgroup"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/l2switch"
	"github.com/netsim-lab/netsim/netns"
)

// rig is a network of namespaces that run. It remembers its first error, after which it builds nothing more.
type rig struct {
	ctx    context.Context
	cancel context.CancelFunc
	g      errgroup.Group
	err    error
	seed   uint64
	all    []*netns.Namespace
}

func newRig(ctx context.Context) *rig {
	r := &rig{}
	r.ctx, r.cancel = context.WithCancel(ctx)
	return r
}

// stop ends everything, and returns what went wrong while building or running.
func (r *rig) stop() error {
	r.cancel()
	return errors.Join(r.err, r.g.Wait())
}

// use does the work unless building failed, and stops the rig.
func (r *rig) use(work func() error) error {
	if r.err == nil {
		r.err = work()
	}
	return r.stop()
}

func (r *rig) fail(err error) {
	if r.err == nil {
		r.err = errors.Join(r.ctx.Err(), err)
	}
}

func (r *rig) run(f func(ctx context.Context) error) {
	r.g.Go(func() error { return f(r.ctx) })
}

// namespace makes a namespace that runs.
func (r *rig) namespace(name string, forward bool) *netns.Namespace {
	r.seed++
	ns := netns.New(netns.Config{Name: name, Forward: forward, Seed: r.seed})
	r.run(ns.Run)
	r.all = append(r.all, ns)
	return ns
}

// bridge makes a bridge; its interface has addr unless that is zero.
func (r *rig) bridge(host *netns.Namespace, addr netip.Prefix) *netns.Interface {
	br, err := host.AddBridge(netns.InterfaceConfig{Name: "br0", Addr: addr})
	r.fail(err)
	return br
}

// plug joins a container to a bridge.
func (r *rig) plug(br *netns.Interface, c *netns.Namespace, addr netip.Prefix) {
	if r.err != nil {
		return
	}
	host := br.Namespace()
	out, _, err := netns.NewVethPair(host, netns.InterfaceConfig{Name: "v" + c.Name()}, c, netns.InterfaceConfig{Name: "eth0", Addr: addr})
	if err == nil {
		err = out.SetMaster(br)
	}
	r.fail(err)
}

// container makes container number i of a bridge, whose address is containerAddr(i).
func (r *rig) container(br *netns.Interface, i int) *netns.Namespace {
	c := r.namespace("c"+strconv.Itoa(i), false)
	r.plug(br, c, netip.PrefixFrom(containerAddr(i), 16))
	return c
}

// containerAddr is 10.0.0.2 and what follows.
func containerAddr(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, 0, byte((i + 2) >> 8), byte(i + 2)})
}

// onBridge makes a host with n containers on one bridge.
func (r *rig) onBridge(n int) []*netns.Namespace {
	br := r.bridge(r.namespace("h", true), netip.MustParsePrefix("10.0.0.1/16"))
	all := make([]*netns.Namespace, n)
	for i := range all {
		if r.err != nil {
			break
		}
		all[i] = r.container(br, i)
	}
	return all
}

// wire is a cable that runs.
func (r *rig) wire(name string) *fabric.Link {
	l := fabric.NewLink(name+"/a", name+"/b")
	r.run(l.Run)
	return l
}

// end gives a namespace an interface at the end of a cable.
func (r *rig) end(ns *netns.Namespace, name, addr string, port fabric.Port) *netns.Interface {
	i, err := ns.AddInterface(netns.InterfaceConfig{Name: name, Port: port, Addr: netip.MustParsePrefix(addr)})
	r.fail(err)
	return i
}

// cable joins two namespaces by a cable.
func (r *rig) cable(a *netns.Namespace, addrA string, b *netns.Namespace, addrB string) {
	l := r.wire(a.Name() + "-" + b.Name())
	r.end(a, "e0", addrA, l.A())
	r.end(b, "e0", addrB, l.B())
}

// port plugs the end of a cable into a switch.
func (r *rig) port(sw *l2switch.Switch, p *fabric.LinkEnd) {
	_, err := sw.AddPort(p.Name(), p, l2switch.PortConfig{})
	r.fail(err)
}

// rule adds rules, each a table, a chain and the rest, as "nat POSTROUTING -j MASQUERADE".
func (r *rig) rule(ns *netns.Namespace, rules ...string) {
	for _, text := range rules {
		var table, chain string
		if _, err := fmt.Sscan(text, &table, &chain); err != nil {
			r.fail(fmt.Errorf("rule %q: %w", text, err))
			return
		}
		spec := text[len(table)+len(chain)+2:]
		r.fail(ns.Netfilter().Append(table, chain, spec))
	}
}
