package gossip

import "time"

// Records may come before their owners are known, as news takes one way and memberlist's another, and tables come from whoever is
// asked first. They wait, unseen, until the owner is a live member of the network.

const (
	maxLimbo  = 4096 // records of one network
	limboLife = 30 * time.Second
)

// limboOf is what waits for one node.
type limboOf struct {
	records map[string]record // the latest of each, by table and key
	since   time.Time
}

// shelve keeps a record of a node that is not known yet. One of a node that is known to be gone is refused.
func (s *state) shelve(name string, r record, now time.Time) verdict {
	if p := s.peers[r.owner]; p != nil && !p.alive {
		return unknown
	}
	if m := s.on[name][r.owner]; m != nil && m.gone {
		return unknown
	}
	net := s.nets[name]
	count := 0
	for _, l := range net.limbo {
		count += len(l.records)
	}
	if count >= maxLimbo {
		return crowded
	}
	s.witness(r.ltime)
	r = r.own()
	l := net.limbo[r.owner]
	if l == nil {
		if net.limbo == nil {
			net.limbo = make(map[string]*limboOf)
		}
		l = &limboOf{records: make(map[string]record), since: now}
		net.limbo[r.owner] = l
	}
	key := r.table + "\x00" + r.key
	if old, ok := l.records[key]; ok && old.ltime >= r.ltime {
		return stale
	}
	l.records[key] = r
	return shelved
}

// wake takes in what waits for a node, if that is a live member of the network now, and passes it on.
func (s *state) wake(name, owner string, now time.Time) {
	net := s.nets[name]
	if net == nil || net.limbo[owner] == nil || !s.member(name, owner) {
		return
	}
	waiting := net.limbo[owner].records
	delete(net.limbo, owner)
	for _, r := range waiting {
		if s.learn(name, r, now) == fresh {
			s.publish(name, r)
		}
	}
}

// reapLimbo forgets what has waited for long.
func (n *network) reapLimbo(now time.Time) {
	for owner, l := range n.limbo {
		if now.Sub(l.since) >= limboLife {
			delete(n.limbo, owner)
		}
	}
}
