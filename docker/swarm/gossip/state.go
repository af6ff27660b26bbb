package gossip

import (
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"
)

// state is what a node knows: its peers, who is on which network, and the tables of the networks that it is on itself. It
// reads no clock and starts nothing; whoever calls it holds the node's lock.
type state struct {
	me       string
	clock    uint64 // Lamport: the latest time heard of, or given
	keep     time.Duration
	peers    map[string]*peer
	on       map[string]map[string]*membership // by network and node, this one included
	known    int                               // memberships in on
	nets     map[string]*network               // those that this node is on
	watchers map[place][]*Watcher
	view     int // counts changes of peers and memberships
	live     atomic.Int64

	news *memberlist.TransmitLimitedQueue // of attachments, to all
}

// peer is another node.
type peer struct {
	addr     netip.AddrPort
	alive    bool
	returned bool      // it was away before
	since    time.Time // it is so
}

type membership struct {
	ltime uint64
	gone  bool
	since time.Time

	synced bool // the tables have been exchanged with that node since it came, and since this one did
}

type network struct {
	name    string
	tables  map[string]map[string]*entry
	entries int
	syncs   int                              // that this node began and that were done
	limbo   map[string]*limboOf              // by owner
	queue   *memberlist.TransmitLimitedQueue // of records, to its members
	size    atomic.Int64                     // members, this node included
	members []string                         // that live, without this node; as of view
	view    int

	sum, who uint64    // the digest: of the entries, and of the members
	whoOf    int       // the view that who is of
	changed  time.Time // the digest did
	differed [2]uint64 // this node's digest and a peer's, when that was last the reason to exchange tables
	compared time.Time // when that was
}

type entry struct {
	owner string
	value []byte // never changed
	ltime uint64
	gone  bool
	until time.Time // of a tombstone
}

func newState(me string, keep time.Duration) *state {
	s := &state{
		me: me, keep: keep, peers: make(map[string]*peer), on: make(map[string]map[string]*membership),
		nets: make(map[string]*network), watchers: make(map[place][]*Watcher), view: 1,
	}
	s.live.Store(1)
	s.news = newQueue(s.live.Load)
	return s
}

func newQueue(size func() int64) *memberlist.TransmitLimitedQueue {
	return &memberlist.TransmitLimitedQueue{RetransmitMult: 4, NumNodes: func() int { return int(size()) }}
}

// broadcast is something in a queue. A later one of the same name takes its place.
type broadcast struct {
	name string
	body []byte
}

// Name, Invalidates, Message and Finished implement memberlist.NamedBroadcast.
func (b *broadcast) Name() string    { return b.name }
func (b *broadcast) Message() []byte { return b.body }
func (b *broadcast) Finished()       {}
func (b *broadcast) Invalidates(o memberlist.Broadcast) bool {
	other, ok := o.(*broadcast)
	return ok && other.name == b.name
}

func (s *state) tick() uint64 {
	s.clock++
	return s.clock
}

func (s *state) witness(ltime uint64) { s.clock = max(s.clock, ltime) }

// drop takes away what a node owns in a network.
func (s *state) drop(name, owner string, now time.Time) {
	net := s.nets[name]
	if net == nil {
		return
	}
	for table, entries := range net.tables {
		for key, e := range entries {
			if e.owner == owner {
				delete(entries, key)
				net.entries--
				net.count(table, key, e, false, now)
				s.tell(net.name, table, key, e, true)
			}
		}
	}
}

// tell tells the watchers that an entry that was, or is now, live has changed.
func (s *state) tell(network, table, key string, e *entry, gone bool) {
	if gone && e.gone {
		return
	}
	ev := Event{Network: network, Table: table, Key: key, Owner: e.owner, Gone: gone}
	if !gone {
		ev.Value = e.value
	}
	for _, w := range s.watchers[place{network, table}] {
		w.push(ev)
	}
}

// attachSelf puts this node on a network, or takes it off, and says so to all.
func (s *state) attachSelf(name string, gone bool, now time.Time) {
	a := attachment{node: s.me, network: name, ltime: s.tick(), gone: gone}
	s.set(a, now)
	s.spread(a)
	switch {
	case name == "":
	case gone:
		s.leave(name)
	case s.nets[name] == nil:
		net := &network{name: name, tables: make(map[string]map[string]*entry)}
		net.size.Store(1)
		net.queue = newQueue(net.size.Load)
		s.nets[name] = net
		for _, m := range s.on[name] {
			m.synced = false
		}
	}
}

// leave forgets a network's tables.
func (s *state) leave(name string) {
	net := s.nets[name]
	if net == nil {
		return
	}
	for table, entries := range net.tables {
		for key, e := range entries {
			s.tell(name, table, key, e, true)
		}
	}
	delete(s.nets, name)
}

func (s *state) set(a attachment, now time.Time) {
	nodes := s.on[a.network]
	if nodes == nil {
		nodes = make(map[string]*membership)
		s.on[strings.Clone(a.network)] = nodes
	}
	m := nodes[a.node]
	if m == nil {
		m = new(membership)
		nodes[strings.Clone(a.node)] = m
		s.known++
	}
	*m = membership{ltime: a.ltime, gone: a.gone, since: now}
	s.view++
}

func (s *state) spread(a attachment) {
	m := message{kind: kindAttachments, attachments: []attachment{a}}
	s.news.QueueBroadcast(&broadcast{name: a.network + "\x00" + a.node, body: m.append(nil)})
}

// verdict is what became of something heard.
type verdict uint8

const (
	stale    verdict = iota // known, or overtaken
	fresh                   // news
	disputed                // about this node and not true: it has said so
	shelved                 // kept until its owner is known
	foreign
	unknown
	crowded
)

// reason returns why a verdict is a refusal.
func (v verdict) reason() (Reason, bool) {
	switch v {
	case foreign:
		return Foreign, true
	case unknown:
		return UnknownOwner, true
	case crowded:
		return TooMany, true
	}
	return 0, false
}

// attach takes in who is on a network. A node alone knows where it is itself: if others have it wrong, from a life before or
// from a forger, it answers with a later time.
func (s *state) attach(a attachment, now time.Time) verdict {
	old := s.on[a.network][a.node]
	if old != nil && a.ltime <= old.ltime {
		return stale
	}
	if old == nil && s.known >= maxAttachments {
		return crowded
	}
	s.witness(a.ltime)
	if a.node == s.me {
		here := old != nil && !old.gone
		if !here && a.gone {
			return stale
		}
		mine := attachment{node: s.me, network: a.network, ltime: s.tick(), gone: !here}
		s.set(mine, now)
		s.spread(mine)
		return disputed
	}
	s.set(a, now)
	if a.gone {
		s.drop(a.network, a.node, now)
	} else {
		s.wake(a.network, a.node, now)
	}
	return fresh
}

// learn takes in a record of a network.
func (s *state) learn(name string, r record, now time.Time) verdict {
	net := s.nets[name]
	switch {
	case net == nil:
		return foreign
	case r.owner == s.me:
		s.witness(r.ltime)
		return s.dispute(name, r, now)
	case !s.member(name, r.owner):
		return s.shelve(name, r, now)
	}
	s.witness(r.ltime)
	e := net.tables[r.table][r.key]
	if e == nil && r.gone && r.left <= 0 || e != nil && !r.later(e) {
		return stale
	}
	if e == nil && net.entries >= maxEntries {
		return crowded
	}
	s.put(name, r, now)
	return fresh
}

// later tells whether a record is to replace an entry (C8). Of two of the same time, all nodes take the same.
func (r record) later(e *entry) bool {
	return r.ltime > e.ltime || r.ltime == e.ltime && r.owner > e.owner
}

// put stores a copy of a record.
func (s *state) put(name string, r record, now time.Time) {
	r = r.own()
	net := s.nets[name]
	entries := net.tables[r.table]
	if entries == nil {
		entries = make(map[string]*entry)
		net.tables[r.table] = entries
	}
	e := &entry{owner: r.owner, value: r.value, ltime: r.ltime, gone: r.gone}
	if r.gone {
		e.until = now.Add(min(r.left, s.keep))
	}
	old := entries[r.key]
	entries[r.key] = e
	net.count(r.table, r.key, old, false, now)
	net.count(r.table, r.key, e, true, now)
	if old == nil {
		net.entries++
	}
	if !r.gone {
		s.tell(net.name, r.table, r.key, e, false)
	} else if old != nil {
		s.tell(net.name, r.table, r.key, old, true)
	}
}

// dispute judges what others say about an entry of this node. What it does not hold, or holds otherwise, comes from a life
// before, or was recorded and played again: it says what is true, with a later time.
func (s *state) dispute(name string, r record, now time.Time) verdict {
	e := s.nets[name].tables[r.table][r.key]
	switch {
	case e != nil && !r.later(e), e == nil && r.gone:
		return stale
	case r.gone && (e.owner != s.me || e.gone):
		s.put(name, r, now)
		return fresh
	}
	mine := record{table: r.table, key: r.key, owner: s.me, ltime: s.tick(), gone: true, left: s.keep}
	if e != nil && e.owner == s.me && !e.gone {
		mine.gone, mine.value = false, e.value
	}
	s.put(name, mine, now)
	s.publish(name, mine)
	return disputed
}

// publish queues a record for the members of its network.
func (s *state) publish(name string, r record) {
	s.members(name) // counts them for the queue
	s.nets[name].queue.QueueBroadcast(&broadcast{name: r.table + "\x00" + r.key, body: appendRecord(nil, r)})
}

// reap forgets tombstones whose time is up, memberships that ended as long ago, peers that have been dead for long, and what waits
// for a node that does not come.
func (s *state) reap(now time.Time, forget time.Duration) {
	for _, net := range s.nets {
		net.reapLimbo(now)
		for _, entries := range net.tables {
			for key, e := range entries {
				if e.gone && !now.Before(e.until) {
					delete(entries, key)
					net.entries--
				}
			}
		}
	}
	for name, p := range s.peers {
		if !p.alive && now.Sub(p.since) >= forget {
			delete(s.peers, name)
			s.view++
		}
	}
	for network, nodes := range s.on {
		for node, m := range nodes {
			if node != s.me && (m.gone && now.Sub(m.since) >= s.keep || s.peers[node] == nil && now.Sub(m.since) >= forget) {
				delete(nodes, node)
				s.known--
				s.view++
			}
		}
		if len(nodes) == 0 {
			delete(s.on, network)
		}
	}
}

// records returns the entries of a network as they travel.
func (s *state) records(name string, now time.Time) []record {
	all := make([]record, 0, s.nets[name].entries)
	for table, entries := range s.nets[name].tables {
		for key, e := range entries {
			r := record{table: table, key: key, owner: e.owner, value: e.value, ltime: e.ltime, gone: e.gone}
			if e.gone {
				r.left = e.until.Sub(now)
			}
			all = append(all, r)
		}
	}
	return all
}

// attachments returns who is on a network, and who was.
func (s *state) attachments(name string) []attachment {
	all := make([]attachment, 0, len(s.on[name]))
	for node, m := range s.on[name] {
		all = append(all, attachment{node: node, network: name, ltime: m.ltime, gone: m.gone})
	}
	return all
}
