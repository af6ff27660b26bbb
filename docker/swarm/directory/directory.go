// Package directory tells the nodes of a swarm where each endpoint is: it is a cnm.Directory over the tables of gossip.
//
// Each endpoint is one entry in two tables of its network, as in Docker: endpoint_table has its names and its service,
// for DNS and the load balancers (C7), overlay_peer_table its addresses and its tunnel, for forwarding (O8). A node takes part
// in a network from its first endpoint there to the last, and hears of no other (C4, O4). Who owns an entry is what gossip
// says, not what the entry does. A record is made known to a network's watchers once both of its entries are there, and taken
// back when the first of them goes.
//
// Endpoints of the node itself do not wait for gossip. A Directory that is not connected keeps them, and tells the others
// once Run connects it.
package directory

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"sync"

	"github.com/netsim-lab/netsim/docker/cnm"
	"github.com/netsim-lab/netsim/docker/swarm/gossip"
)

// Config says what a directory is. Node must be the name of the gossip node that Run is given.
type Config struct {
	Node string
	VTEP netip.Addr   // of records that name none
	Log  *slog.Logger // nil: silent
}

// Directory is one node's. It implements cnm.Directory. All methods may be called at once, but Run only once at a time.
type Directory struct {
	cfg  Config
	log  *slog.Logger
	wake chan struct{} // holds a token if a network may want a pump

	mu     sync.Mutex
	topics map[string]*topic // by network, guarded by mu
	gossip *gossip.Node      // guarded by mu; nil: not connected
	change chan struct{}     // guarded by mu; closed and replaced when a record comes or goes
}

// topic is a network that the node takes part in.
type topic struct {
	network  string
	records  records // that watchers know
	watchers []*subscription
	own      map[string]bool // keys that this node published
	halves   map[string]*half

	// Of the connection with gossip; nil: none.
	endpoints, peers *gossip.Watcher
	pumped           bool          // somebody carries its events
	left             chan struct{} // closed when the network is left
}

// half is what has come of a record of another node.
type half struct {
	owner          string
	record         cnm.Record
	endpoint, peer bool
}

// New returns a directory that is not connected.
func New(cfg Config) *Directory {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Directory{cfg: cfg, log: cfg.Log, wake: make(chan struct{}, 1), topics: make(map[string]*topic), change: make(chan struct{})}
}

// Join implements cnm.Directory.
func (d *Directory) Join(network string, w cnm.Watcher) (leave func()) {
	s := &subscription{watcher: w}
	d.mu.Lock()
	t := d.topic(network)
	for _, r := range t.records.list(nil) {
		s.push(event{record: r})
	}
	t.watchers = append(t.watchers, s)
	d.mu.Unlock()
	s.drain()
	return func() {
		s.end()
		d.mu.Lock()
		defer d.mu.Unlock()
		t.watchers = slices.DeleteFunc(t.watchers, func(o *subscription) bool { return o == s })
		d.tidy(t)
	}
}

// Publish implements cnm.Directory.
func (d *Directory) Publish(network string, r cnm.Record) {
	r.Node = d.cfg.Node
	if !r.VTEP.IsValid() {
		r.VTEP = d.cfg.VTEP
	}
	d.mu.Lock()
	t := d.topic(network)
	t.own[r.Key] = true
	subs := d.put(t, r)
	d.spread(t, r)
	d.mu.Unlock()
	drainAll(subs)
}

// Withdraw implements cnm.Directory.
func (d *Directory) Withdraw(network, key string) {
	d.mu.Lock()
	t := d.topics[network]
	if t == nil || !t.own[key] {
		d.mu.Unlock()
		return
	}
	delete(t.own, key)
	subs := d.drop(t, key)
	if d.gossip != nil {
		for _, table := range []string{gossip.EndpointTable, gossip.PeerTable} {
			if err := d.gossip.Delete(network, table, key); err != nil {
				d.log.Debug("record not withdrawn", "node", d.cfg.Node, "network", network, "error", err)
			}
		}
	}
	d.tidy(t)
	d.mu.Unlock()
	drainAll(subs)
}

// Records returns what the node knows of a network's endpoints, its own included, in the order in which they came, and a channel
// that is closed when that has changed.
func (d *Directory) Records(network string) ([]cnm.Record, <-chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if t := d.topics[network]; t != nil {
		return t.records.list(nil), d.change
	}
	return nil, d.change
}

// Own returns what the node tells the others of its endpoints on a network.
func (d *Directory) Own(network string) []cnm.Record {
	d.mu.Lock()
	defer d.mu.Unlock()
	t := d.topics[network]
	if t == nil {
		return nil
	}
	return t.records.list(func(key string) bool { return t.own[key] })
}

// Knows tells whether Records has all these endpoints of a network, by key, each Disabled or not as here.
func (d *Directory) Knows(network string, endpoints map[string]bool) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	same := 0
	if t := d.topics[network]; t != nil {
		for key, disabled := range endpoints {
			if r := t.records.byKey[key]; r != nil && disabled == r.Disabled {
				same++
			}
		}
	}
	return same >= len(endpoints)
}

// Busy tells whether a watcher has yet to see something that Records has already.
func (d *Directory) Busy() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, t := range d.topics {
		if slices.ContainsFunc(t.watchers, (*subscription).waits) {
			return true
		}
	}
	return false
}

// topic returns a network, which the node takes part in from now on. The caller holds mu.
func (d *Directory) topic(network string) *topic {
	t := d.topics[network]
	if t == nil {
		t = &topic{network: network, own: make(map[string]bool), halves: make(map[string]*half)}
		d.topics[network] = t
		d.connect(t)
	}
	return t
}

// tidy leaves a network that nobody watches and in which the node has nothing. The caller holds mu.
func (d *Directory) tidy(t *topic) {
	if len(t.watchers) > 0 || len(t.own) > 0 || d.topics[t.network] != t {
		return
	}
	delete(d.topics, t.network)
	if d.gossip != nil {
		d.gossip.LeaveNetwork(t.network)
	}
	t.disconnect()
}

// put makes a record known to the watchers, which are to be drained. The caller holds mu.
func (d *Directory) put(t *topic, r cnm.Record) []*subscription {
	t.records.put(r)
	return d.tell(t, event{record: r})
}

// drop takes a record back. The caller holds mu.
func (d *Directory) drop(t *topic, key string) []*subscription {
	r, ok := t.records.drop(key)
	if !ok {
		return nil
	}
	return d.tell(t, event{record: r, gone: true})
}

// tell queues an event for all watchers of a network. The caller holds mu, so that all get events in one order.
func (d *Directory) tell(t *topic, e event) []*subscription {
	for _, s := range t.watchers {
		s.push(e)
	}
	close(d.change)
	d.change = make(chan struct{})
	return slices.Clone(t.watchers)
}

// spread puts a record into the tables. The caller holds mu.
func (d *Directory) spread(t *topic, r cnm.Record) {
	if d.gossip == nil {
		return
	}
	e, p, err := encode(r)
	if err == nil {
		err = errors.Join(d.gossip.Put(t.network, gossip.EndpointTable, r.Key, e), d.gossip.Put(t.network, gossip.PeerTable, r.Key, p))
	}
	if err != nil {
		d.log.Warn("the other nodes do not hear of an endpoint", "node", d.cfg.Node, "network", t.network, "endpoint", r.Name, "error", err)
	}
}

// Run connects the directory with a gossip node until ctx ends. What the other nodes told before, in an earlier Run, is
// forgotten first.
func (d *Directory) Run(ctx context.Context, g *gossip.Node) error {
	d.mu.Lock()
	var subs []*subscription
	for _, t := range d.topics {
		subs = append(subs, d.forget(t)...)
	}
	d.gossip = g
	for _, t := range d.topics {
		d.connect(t)
	}
	d.mu.Unlock()
	drainAll(subs)
	var pumps sync.WaitGroup
	for ctx.Err() == nil {
		for _, t := range d.unpumped() {
			pumps.Go(func() { d.pump(ctx, t) })
		}
		select {
		case <-d.wake:
		case <-ctx.Done():
		}
	}
	pumps.Wait()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.gossip = nil
	for _, t := range d.topics {
		t.disconnect()
	}
	return nil
}
