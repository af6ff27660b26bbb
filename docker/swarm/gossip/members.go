package gossip

import (
	"net/netip"
	"slices"
	"time"
)

// up notes that a peer is alive.
func (s *state) up(name string, addr netip.AddrPort, now time.Time) {
	old := s.peers[name]
	s.peers[name] = &peer{addr: addr, alive: true, since: now, returned: old != nil}
	s.viewed()
	for network := range s.nets {
		s.wake(network, name, now)
	}
}

// owed tells whether this node is to exchange the tables of a network with a peer: with all of those that it shares one with in small
// clusters, and with some in large ones, where the rest is what gossip brings; and with whoever was away.
func (s *state) owed(peer string) bool {
	for name, net := range s.nets {
		if peer == s.me || !s.member(name, peer) || s.on[name][peer].synced {
			continue
		}
		if p := s.peers[peer]; net.syncs < firstSyncs || p != nil && p.returned {
			return true
		}
	}
	return false
}

// down notes that a peer has failed or left: all that it owns is gone (C9). What networks it is on is remembered.
func (s *state) down(name string, now time.Time) {
	p := s.peers[name]
	if p == nil || !p.alive {
		return
	}
	p.alive, p.since = false, now
	s.viewed()
	for network, nodes := range s.on {
		if m := nodes[name]; m != nil {
			m.synced = false
		}
		s.drop(network, name, now)
	}
}

func (s *state) viewed() {
	s.view++
	live := int64(1)
	for _, p := range s.peers {
		if p.alive {
			live++
		}
	}
	s.live.Store(live)
}

// member tells whether a node is a live member of a network. This node is one as soon as it has joined.
func (s *state) member(network, node string) bool {
	if m := s.on[network][node]; m == nil || m.gone {
		return false
	}
	p := s.peers[node]
	return node == s.me || p != nil && p.alive
}

// members returns the live members of a network that this node is on, without this node.
func (s *state) members(name string) []string {
	net := s.nets[name]
	if net == nil {
		return nil
	}
	if net.view != s.view {
		net.view, net.members = s.view, nil
		for node := range s.on[name] {
			if node != s.me && s.member(name, node) {
				net.members = append(net.members, node)
			}
		}
		slices.Sort(net.members) // for the luck to be the same in each run
		net.size.Store(int64(len(net.members)) + 1)
	}
	return net.members
}

// livePeers returns the other nodes that live, by name.
func (s *state) livePeers() []string {
	var all []string
	for name, p := range s.peers {
		if p.alive {
			all = append(all, name)
		}
	}
	slices.Sort(all)
	return all
}

// common returns the networks that both this node and a peer are on.
func (s *state) common(node string) []string {
	var all []string
	for network := range s.nets {
		if s.member(network, node) {
			all = append(all, network)
		}
	}
	slices.Sort(all)
	return all
}
