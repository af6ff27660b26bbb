package executor

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	swarmapi "github.com/moby/swarmkit/v2/api"
	"golang.org/x/sync/errgroup"

	"github.com/netsim-lab/netsim/docker/cnm"
	"github.com/netsim-lab/netsim/docker/engine"
	"github.com/netsim-lab/netsim/docker/swarm/gossip"
)

// gossipSubsystem is the part of the network keys that gossip is sealed with (C12).
const gossipSubsystem = "networking:gossip"

// undoneRoom is how many attachments may wait for a manager to forget them.
const undoneRoom = 1024

// enter makes the host a node of a swarm, if it is none: overlays can be made from then on, and docker_gwbridge is there. It waits
// for Run, so that a host that has left does not enter again before its next membership.
func (x *Executor) enter(ctx context.Context) error {
	x.mu.Lock()
	lives := x.lives
	x.mu.Unlock()
	select {
	case <-lives:
	case <-ctx.Done():
		return ctx.Err()
	}
	x.leaving.Lock()
	defer x.leaving.Unlock()
	ctl := x.cfg.Engine.Controller()
	if ctl.Directory() != nil {
		return nil
	}
	_, vtep := x.addresses()
	if err := ctl.JoinCluster(x.dir, vtep); err != nil {
		return err
	}
	return x.seal()
}

// live lets the host enter a swarm.
func (x *Executor) live() {
	x.mu.Lock()
	defer x.mu.Unlock()
	select {
	case <-x.lives:
	default:
		close(x.lives)
	}
}

// SetNetworkBootstrapKeys implements exec.Executor: gossip and encrypted overlays get the keys that are theirs.
func (x *Executor) SetNetworkBootstrapKeys(keys []*swarmapi.EncryptionKey) error {
	var ring [][]byte
	for _, k := range keysOf(keys, gossipSubsystem) {
		ring = append(ring, slices.Clone(k.Key))
	}
	sealing, err := sealKeys(keys)
	if err != nil {
		return err
	}
	x.mu.Lock()
	x.keys, x.sealing = ring, sealing
	g := x.gossip
	x.mu.Unlock()
	if err := x.seal(); err != nil {
		return err
	}
	if g != nil {
		return g.SetKeys(ring...)
	}
	select {
	case x.rekeyed <- struct{}{}:
	default:
	}
	return nil
}

// Run gossips with the other nodes until ctx ends, as long as the host is a member of a swarm: from the first keys on. It leaves
// containers and networks as they are; see Leave.
func (x *Executor) Run(ctx context.Context) error {
	x.live()
	if err := x.enter(ctx); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	g, own := errgroup.WithContext(ctx)
	g.Go(func() error { return x.chat(own) })
	x.detach(own)
	err := g.Wait()
	select {
	case <-x.cfg.NS.Done(): // the host has ended, and ctx ends with it
		return nil
	case <-ctx.Done():
		return nil
	default:
		return err
	}
}

// chat is the gossip of a membership.
func (x *Executor) chat(ctx context.Context) error {
	keys := x.awaitKeys(ctx)
	if keys == nil {
		return nil
	}
	addr, _ := x.addresses()
	node, err := gossip.New(gossip.Config{
		NS: x.cfg.NS, Name: x.cfg.Name, Addr: addr, Keys: keys, Log: x.log, Times: x.cfg.Gossip, SuspicionMult: x.cfg.SuspicionMult,
	})
	if err != nil {
		return err
	}
	x.mu.Lock()
	x.gossip = node
	keys = x.keys
	x.mu.Unlock()
	defer func() {
		x.mu.Lock()
		defer x.mu.Unlock()
		x.gossip = nil
	}()
	if err := node.SetKeys(keys...); err != nil { // they may have changed meanwhile
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return node.Run(ctx) })
	g.Go(func() error { return x.dir.Run(ctx, node) })
	g.Go(func() error { x.meet(ctx, node); return nil })
	return g.Wait()
}

// awaitKeys waits for the first keys; nil: ctx ended.
func (x *Executor) awaitKeys(ctx context.Context) [][]byte {
	for {
		x.mu.Lock()
		keys := x.keys
		x.mu.Unlock()
		if len(keys) > 0 {
			return keys
		}
		select {
		case <-x.rekeyed:
		case <-ctx.Done():
			return nil
		}
	}
}

// meetPause is the time between calls on managers none of which answers.
const meetPause = time.Second

// meet calls on the managers until one answers.
func (x *Executor) meet(ctx context.Context, node *gossip.Node) {
	own, _ := x.addresses()
	for ctx.Err() == nil {
		var others []netip.Addr
		if x.cfg.Managers != nil {
			others = slices.DeleteFunc(x.cfg.Managers(), func(a netip.Addr) bool { return a == own })
		}
		if len(others) == 0 {
			return
		}
		err := node.Join(ctx, others...)
		if err == nil {
			return
		}
		x.log.Debug("no manager gossips", "node", x.cfg.Name, "error", err)
		select {
		case <-time.After(meetPause):
		case <-ctx.Done():
		}
	}
}

// View returns what the node knows by gossip; false: it does not gossip.
func (x *Executor) View() (gossip.View, bool) {
	x.mu.Lock()
	g := x.gossip
	x.mu.Unlock()
	if g == nil {
		return gossip.View{}, false
	}
	return g.Snapshot(), true
}

// Leave takes all of the swarm off the host: containers of tasks, the routing mesh, overlays, and the host's part in gossip.
// docker_gwbridge stays (W7). It is called before Run ends, so that gossip can say goodbye (C3), or after. Containers that are no tasks
// are taken off the swarm's networks and go on.
func (x *Executor) Leave(ctx context.Context) error {
	x.mu.Lock()
	x.lives = make(chan struct{})
	x.mu.Unlock()
	var errs []error
	for _, c := range x.cfg.Engine.Containers() {
		if _, isTask := c.Config().Labels[taskLabel]; isTask {
			errs = append(errs, ignore(c.Remove(ctx, engine.RemoveOptions{Force: true, Volumes: true}), engine.ErrNotFound))
		}
	}
	errs = append(errs, x.leaveIngress())
	ctl := x.cfg.Engine.Controller()
	for _, n := range ctl.Networks() {
		if n.Driver() != cnm.DriverOverlay {
			continue
		}
		for _, ep := range n.Endpoints() {
			if ep.Balances() {
				continue // it goes with the network
			}
			errs = append(errs, x.cfg.Engine.DisconnectNetwork(ctx, n.ID(), ep.Sandbox().ContainerID(), true))
		}
		errs = append(errs, ignore(ctl.RemoveNetwork(n.ID()), cnm.ErrNotFound))
	}
	x.networks.clear()
	x.mu.Lock()
	g := x.gossip
	x.keys, x.places = nil, nil
	x.mu.Unlock()
	if g != nil {
		if err := g.Leave(ctx); err != nil { // the others find out
			x.log.Debug("gossip was not left", "node", x.cfg.Name, "error", err)
		}
	}
	x.leaving.Lock()
	defer x.leaving.Unlock()
	if ctl.Directory() != nil {
		errs = append(errs, ctl.LeaveCluster())
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("leave the swarm on %s: %w", x.cfg.Name, err)
	}
	return nil
}

// ignore is nil for an error of that kind.
func ignore(err, kind error) error {
	if errors.Is(err, kind) {
		return nil
	}
	return err
}
