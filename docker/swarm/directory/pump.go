package directory

import (
	"context"

	"github.com/netsim-lab/netsim/docker/cnm"
	"github.com/netsim-lab/netsim/docker/swarm/gossip"
)

// connect has the gossip node take part in a network, and tells it of what is there. The caller holds mu.
func (d *Directory) connect(t *topic) {
	if d.gossip == nil {
		return
	}
	if err := d.gossip.JoinNetwork(t.network); err != nil {
		d.log.Warn("network not joined", "node", d.cfg.Node, "network", t.network, "error", err)
		return
	}
	t.endpoints, t.peers = d.gossip.Watch(t.network, gossip.EndpointTable), d.gossip.Watch(t.network, gossip.PeerTable)
	t.left = make(chan struct{})
	for _, r := range t.records.list(func(key string) bool { return t.own[key] }) {
		d.spread(t, r)
	}
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// disconnect ends what connect began, but for what the gossip node has.
func (t *topic) disconnect() {
	if t.endpoints == nil {
		return
	}
	t.endpoints.Close()
	t.peers.Close()
	close(t.left)
	t.endpoints, t.peers, t.pumped = nil, nil, false
}

// forget takes back what others told. The caller holds mu.
func (d *Directory) forget(t *topic) []*subscription {
	var subs []*subscription
	for key, h := range t.halves {
		if h.whole() {
			subs = append(subs, d.drop(t, key)...)
		}
	}
	clear(t.halves)
	return subs
}

// unpumped returns the networks whose events nobody carries; the caller will.
func (d *Directory) unpumped() []*topic {
	d.mu.Lock()
	defer d.mu.Unlock()
	var out []*topic
	for _, t := range d.topics {
		if t.endpoints != nil && !t.pumped {
			t.pumped = true
			out = append(out, t)
		}
	}
	return out
}

// pump carries a network's events to its watchers until it is left.
func (d *Directory) pump(ctx context.Context, t *topic) {
	d.mu.Lock()
	endpoints, peers, left := t.endpoints, t.peers, t.left
	d.mu.Unlock()
	if endpoints == nil {
		return // left meanwhile
	}
	for {
		select {
		case <-peers.Ready():
			d.hear(t, left, peers.Take(), (*half).takePeer)
		case <-endpoints.Ready():
			d.hear(t, left, endpoints.Take(), (*half).takeEndpoint)
		case <-left:
			return
		case <-ctx.Done():
			return
		}
	}
}

// hear takes up what gossip tells of one table.
func (d *Directory) hear(t *topic, left <-chan struct{}, events []gossip.Event, take func(*half, gossip.Event) error) {
	var subs []*subscription
	d.mu.Lock()
	for _, e := range events {
		select {
		case <-left:
			continue
		default:
		}
		if e.Owner == d.cfg.Node || t.own[e.Key] {
			continue // of its own endpoints a node knows best
		}
		subs = append(subs, d.learn(t, e, take)...)
	}
	d.mu.Unlock()
	drainAll(subs)
}

// learn takes up one event. The caller holds mu.
func (d *Directory) learn(t *topic, e gossip.Event, take func(*half, gossip.Event) error) []*subscription {
	h := t.halves[e.Key]
	if h == nil {
		if e.Gone {
			return nil
		}
		h = &half{}
		t.halves[e.Key] = h
	}
	was := h.whole()
	if h.owner != e.Owner {
		*h = half{owner: e.Owner, record: cnm.Record{Key: e.Key, Node: e.Owner}}
	}
	if err := take(h, e); err != nil {
		d.log.Warn("record makes no sense", "node", d.cfg.Node, "from", e.Owner, "network", t.network, "table", e.Table, "error", err)
	}
	switch {
	case h.whole():
		return d.put(t, h.record)
	case !h.endpoint && !h.peer:
		delete(t.halves, e.Key)
	}
	if was {
		return d.drop(t, e.Key)
	}
	return nil
}

func (h *half) whole() bool { return h.endpoint && h.peer }

// takeEndpoint takes up an entry of endpoint_table.
func (h *half) takeEndpoint(e gossip.Event) (err error) {
	h.endpoint = false
	if !e.Gone {
		err = decodeEndpoint(e.Value, &h.record)
		h.endpoint = err == nil
	}
	return err
}

// takePeer takes up an entry of overlay_peer_table.
func (h *half) takePeer(e gossip.Event) (err error) {
	h.peer = false
	if !e.Gone {
		err = decodePeer(e.Value, &h.record)
		h.peer = err == nil
	}
	return err
}
