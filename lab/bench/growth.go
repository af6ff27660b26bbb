package bench

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/netsim-lab/netsim/netns"
)

// acrossSwitches measures a stream across n switches.
func acrossSwitches(ctx context.Context, cfg Config, n int) (float64, error) {
	v, _, err := overTCP(containerAddr(1), func(r *rig) (from, to *netns.Namespace) { return r.switches(n) })(ctx, cfg)
	return v, err
}

// acrossRouters measures a stream across n routers.
func acrossRouters(ctx context.Context, cfg Config, n int) (float64, error) {
	v, _, err := overTCP(netip.AddrFrom4([4]byte{10, 1, byte(n), 2}), func(r *rig) (from, to *netns.Namespace) { return r.routers(n) })(ctx, cfg)
	return v, err
}

// withFlows measures n streams at once between two containers.
func withFlows(ctx context.Context, cfg Config, n int) (v float64, err error) {
	r := newRig(ctx)
	c := r.onBridge(2)
	err = r.use(func() (err error) {
		v, err = stream(r.ctx, c[0], c[1], containerAddr(1), n, cfg.Duration)
		return err
	})
	return v, err
}

// amongContainers measures a stream between two of n containers, each of which has an open socket.
func amongContainers(ctx context.Context, cfg Config, n int) (v float64, err error) {
	r := newRig(ctx)
	c := r.onBridge(n)
	err = r.use(func() (err error) {
		for i := range c {
			if _, err := c[i].Listen("tcp", ":80"); err != nil {
				return fmt.Errorf("container %d: %w", i, err)
			}
		}
		v, err = stream(r.ctx, c[0], c[n-1], containerAddr(n-1), 1, cfg.Duration)
		return err
	})
	return v, err
}
