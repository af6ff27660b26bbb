package node

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"github.com/netsim-lab/netsim/docker/cnm"
	daemon "github.com/netsim-lab/netsim/docker/engine"
	"github.com/netsim-lab/netsim/docker/swarm/executor"
	"github.com/netsim-lab/netsim/fabric/wire"
	"github.com/netsim-lab/netsim/netns"
)

// wholeEngine is a host's Docker engine with all that it does for a swarm: containers, overlays, the routing mesh, gossip. None of it
// outlives the host's power.
type wholeEngine struct {
	modern bool
	mac    wire.MAC
	*executor.Executor
	engine *daemon.Engine
	boots  uint64
	cut    context.CancelFunc
	wg     sync.WaitGroup
}

// plugWhole adds a host with an engine, switched off.
func (l *lab) plugWhole(modern bool) *host {
	l.Helper()
	h := l.wire()
	a := h.addr.As4()
	h.whole = &wholeEngine{modern: modern, mac: wire.MAC{0x52, 0x54, 0, a[1], a[2], a[3]}}
	return h
}

// boot makes the host's namespace and its engine.
func (w *wholeEngine) boot(h *host) Executor {
	h.Helper()
	ctx, cut := context.WithCancel(h.ctx)
	w.cut, w.boots = cut, w.boots+1
	seed := uint64(h.addr.As4()[3])<<32 | w.boots // a machine that was off does not choose the ports again that it had before
	h.ns = netns.New(netns.Config{Name: h.name, Seed: seed})
	must(h.ns.AddInterface(netns.InterfaceConfig{Name: "eth0", Port: h.cable.A(), Addr: netip.PrefixFrom(h.addr, 16), MAC: w.mac}))
	spawn := func(run func(context.Context) error) {
		w.wg.Go(func() {
			if err := run(ctx); err != nil {
				h.Errorf("%s: %v", h.name, err)
			}
		})
	}
	spawn(h.ns.Run)
	ctl := must(cnm.New(cnm.Config{Name: h.name, Host: h.ns, Spawn: spawn, Seed: seed, Modern: w.modern, VTEP: h.addr, Log: h.log}))
	w.engine = daemon.New(daemon.Config{Name: h.name, Controller: ctl, Host: h.ns, Spawn: spawn, Seed: seed, Log: h.log, StopGrace: time.Second})
	x := executor.Config{Engine: w.engine, NS: h.ns, Name: h.name, Addr: h.addr, Log: h.log, Managers: h.managers}
	if !w.modern {
		x.SuspicionMult, x.Gossip.Tombstone = 5, time.Minute
	}
	w.Executor = executor.New(x)
	return w.Executor
}

// managers are those that the node knows.
func (h *host) managers() (all []netip.Addr) {
	for _, p := range h.Info().Managers {
		if a, err := netip.ParseAddrPort(p.Addr); err == nil {
			all = append(all, a.Addr())
		}
	}
	return all
}

// end takes everything away that boot has made.
func (w *wholeEngine) end() {
	w.cut()
	w.wg.Wait()
}
