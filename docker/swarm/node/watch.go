package node

import (
	"context"
	"sync"

	swarmapi "github.com/moby/swarmkit/v2/api"
)

// Watch hands out what changes in the swarm, whenever this node is one of its managers, until ctx ends (nil) or each returns
// an error. each must not block for long.
func (n *Node) Watch(ctx context.Context, r *swarmapi.WatchRequest, each func(*swarmapi.WatchMessage) error) error {
	for ctx.Err() == nil {
		m, turned := n.membership()
		if m == nil {
			waitFor(ctx, turned)
			continue
		}
		_, swapped := m.observe()
		if err := m.watch(ctx, turned, swapped, r, each); err != nil {
			return err
		}
	}
	return nil
}

// watch is Watch until one of the channels closes.
func (m *membership) watch(ctx context.Context, turned, swapped <-chan struct{}, r *swarmapi.WatchRequest, each func(*swarmapi.WatchMessage) error) error {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() {
		select {
		case <-turned:
		case <-swapped:
		case <-ctx.Done():
		}
		cancel()
	})
	man := m.running()
	if man == nil {
		<-ctx.Done()
		return nil
	}
	return man.Watch(ctx, r, each)
}

// membership returns the membership, and a channel that closes when there is another one, or none any more.
func (n *Node) membership() (*membership, <-chan struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.member, n.turned
}

// turn puts another membership in the place of the last. The caller holds mu.
func (n *Node) turn(m *membership) {
	n.member = m
	close(n.turned)
	n.turned = make(chan struct{})
}
