package gossip

import (
	"context"
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/hashicorp/memberlist"
)

// With each answer to a probe a node says what it holds: a digest of each network that it is on, for as long as nothing has
// changed there for digestQuiet rounds, which is time enough for what is being spread. Who has asked compares, and exchanges tables with the
// other at once if theirs differ while both rest. So what was lost in a partition too short for anybody to be thought dead is
// there some seconds after it; NetworkDB finds it with the next bulk sync (C6), up to a minute later.
//
// A digest is the sum of the weights of the live entries and members of a network. Tombstones do not count, for nodes forget
// them at different times.
const (
	digestVersion = 1
	digestSize    = 16
	maxDigests    = 32 // of an answer; a node on more networks tells of others each time
	digestQuiet   = 5  // rounds
	digestTimeout = 10 * time.Second
)

// digest is what a network's tables are like, named by its weight.
type digest struct{ network, sum uint64 }

// weigh makes a number of some texts and a time: FNV-1a, 64 bits.
func weigh(ltime uint64, texts ...string) uint64 {
	const basis, prime = 0xcbf29ce484222325, 0x100000001b3
	h := uint64(basis)
	for _, text := range texts {
		for i := range len(text) {
			h = (h ^ uint64(text[i])) * prime
		}
		h *= prime // as after a zero byte, which ends each
	}
	for ; ltime > 0; ltime >>= 8 {
		h = (h ^ ltime&0xff) * prime
	}
	return h
}

// count takes an entry into the digest of its network, or out of it.
func (n *network) count(table, key string, e *entry, in bool, now time.Time) {
	if e == nil || e.gone {
		return
	}
	w := weigh(e.ltime, table, key, e.owner)
	if !in {
		w = -w
	}
	n.sum += w
	n.changed = now
}

// digest returns what a network is like, and whether it has been so for a while.
func (s *state) digest(name string, quiet time.Duration, now time.Time) (d digest, rests bool) {
	net := s.nets[name]
	if net.whoOf != s.view {
		net.whoOf = s.view
		members := weigh(0, s.me)
		for _, m := range s.members(name) {
			members += weigh(0, m)
		}
		if members != net.who {
			net.who, net.changed = members, now
		}
	}
	return digest{weigh(0, name), net.sum + net.who}, now.Sub(net.changed) >= quiet
}

// digests returns what the networks are like that rest, maxDigests of them at most.
func (s *state) digests(quiet time.Duration, now time.Time) []digest {
	var all []digest
	for name := range s.nets { // in another order each time
		if d, rests := s.digest(name, quiet, now); rests && len(all) < maxDigests {
			all = append(all, d)
		}
	}
	return all
}

// differs compares what a peer has said with what there is here. It tells whether to exchange tables with that one: not if an exchange
// between the same two has changed neither, as it is where they do not agree on who lives. Memberlist settles that.
func (s *state) differs(theirs []digest, quiet, patience time.Duration, now time.Time) (differ bool) {
	said := make(map[uint64]uint64, len(theirs))
	for _, d := range theirs {
		said[d.network] = d.sum
	}
	for name, net := range s.nets {
		mine, rests := s.digest(name, quiet, now)
		sum, ok := said[mine.network]
		if !ok || !rests || sum == mine.sum {
			continue
		}
		if pair := [2]uint64{mine.sum, sum}; pair != net.differed || now.Sub(net.compared) >= patience {
			net.differed, net.compared = pair, now
			differ = true
		}
	}
	return differ
}

// appendDigests writes what parseDigests reads.
func appendDigests(b []byte, all []digest) []byte {
	b = append(b, digestVersion)
	for _, d := range all {
		b = binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(b, d.network), d.sum)
	}
	return b
}

func parseDigests(b []byte) (all []digest, ok bool) {
	if len(b) < 1 || b[0] != digestVersion || (len(b)-1)%digestSize != 0 || len(b) > 1+maxDigests*digestSize {
		return nil, false
	}
	for b = b[1:]; len(b) > 0; b = b[digestSize:] {
		all = append(all, digest{binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])})
	}
	return all, true
}

// AckPayload implements memberlist.PingDelegate.
func (d *delegate) AckPayload() []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	return appendDigests(nil, d.state.digests(digestQuiet*d.times.Gossip, time.Now()))
}

// NotifyPingComplete implements memberlist.PingDelegate.
func (d *delegate) NotifyPingComplete(from *memberlist.Node, _ time.Duration, payload []byte) {
	n := (*Node)(d)
	if len(payload) == 0 {
		return // the farewell's, which is nobody's word
	}
	theirs, ok := parseDigests(payload)
	if !ok {
		n.refuse(Malformed, from.Name)
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.state.differs(theirs, digestQuiet*n.times.Gossip, n.times.Sync, time.Now()) {
		n.unlike.add(from.Name)
	}
}

// compare exchanges all that there is with those that have something else.
func (n *Node) compare(ctx context.Context) {
	for {
		name, ok := n.unlike.next(ctx)
		if !ok {
			return
		}
		if n.level(ctx, name) {
			continue
		}
		n.mu.Lock()
		for _, net := range n.state.nets {
			net.compared = time.Time{} // the next probe that tells of a difference has it tried again
		}
		n.mu.Unlock()
	}
}

// level exchanges members and tables with a peer.
func (n *Node) level(ctx context.Context, name string) bool {
	ctx, cancel := context.WithTimeout(ctx, digestTimeout)
	defer cancel()
	n.mu.Lock()
	var at netip.AddrPort
	if p := n.state.peers[name]; p != nil && p.alive && !n.left {
		at = p.addr
	}
	n.mu.Unlock()
	if !at.IsValid() || !n.knock(ctx, at) {
		return false
	}
	// First who is on which network, without which there may be nothing to exchange.
	return n.call(ctx, []netip.Addr{at.Addr()}) == nil && n.sync(ctx, name) == nil
}
