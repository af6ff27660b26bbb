package gossip

import (
	"context"
	"net/netip"
	"time"

	"github.com/hashicorp/memberlist"
)

const (
	fanOut       = 3               // members that hear of something in a round (C5)
	roundPackets = 8               // to each of them at most; Docker sends one, and takes a minute for a thousand changes
	knockTimeout = 2 * time.Second // for a failed node to take a call
	rejoinPeriod = 10 * time.Second
)

// roomFor returns how many bytes of records go into a packet about a network: beside the seal, memberlist's kind and checksum.
func roomFor(network string) int {
	head := message{kind: kindRecords, network: network}
	return packetSize - sealOverhead - 1 - crcOverhead - len(head.append(nil))
}

// parcel is what goes to one member in a round.
type parcel struct {
	to   memberlist.Address
	body []byte
}

// hasten wants a round now. It comes now if the last one was an interval ago: news after quiet does not wait, and rounds come no
// more often than they would (C5).
func (n *Node) hasten() {
	select {
	case n.news <- struct{}{}:
	default:
	}
}

// rounds sends what is new every so often, until ctx ends.
func (n *Node) rounds(ctx context.Context) {
	timer := time.NewTimer(n.times.Gossip)
	defer timer.Stop()
	var last time.Time
	for {
		select {
		case <-timer.C:
		case <-n.news:
			if wait := n.times.Gossip - time.Since(last); wait > 0 {
				timer.Reset(wait)
				continue
			}
		case <-ctx.Done():
			return
		}
		n.round()
		last = time.Now()
		timer.Reset(n.times.Gossip)
	}
}

// round sends what is new in each network to some of its members, and to nobody else (C4); and who is on which network now to some
// nodes, beside what memberlist takes along.
func (n *Node) round() {
	for _, p := range n.parcels() {
		if err := n.list.SendToAddress(p.to, p.body); err != nil {
			n.log.Debug("gossip round", "node", n.cfg.Name, "to", p.to.Name, "error", err)
		}
	}
}

func (n *Node) parcels() []parcel {
	n.mu.Lock()
	defer n.mu.Unlock()
	out := n.tidings()
	for name, net := range n.state.nets {
		if net.queue.NumQueued() == 0 {
			continue
		}
		members := n.state.members(name)
		if len(members) == 0 {
			net.queue.Reset() // who comes later learns it by bulk sync
			continue
		}
		room := roomFor(name)
		for _, to := range n.pick(members, fanOut) {
			addr := n.state.address(to)
			for _, body := range pack(name, net.queue.GetBroadcasts(0, roundPackets*room), room) {
				out = append(out, parcel{addr, body})
			}
		}
	}
	return out
}

// tidings are the parcels of who is on which network: each attachment is a message of its own, as memberlist takes it along.
// The caller holds mu.
func (n *Node) tidings() []parcel {
	if n.state.news.NumQueued() == 0 {
		return nil
	}
	var out []parcel
	for _, to := range n.pick(n.state.livePeers(), fanOut) {
		for _, body := range n.state.news.GetBroadcasts(0, packetSize-sealOverhead) {
			out = append(out, parcel{n.state.address(to), body})
		}
	}
	return out
}

// pack makes messages of records, each with as many as there is room for.
func pack(network string, records [][]byte, room int) (bodies [][]byte) {
	left := 0
	for _, r := range records {
		if last := len(bodies) - 1; last >= 0 && len(r) <= left {
			bodies[last], left = append(bodies[last], r...), left-len(r)
			continue
		}
		head := message{kind: kindRecords, network: network}
		bodies = append(bodies, append(head.append(make([]byte, 0, packetSize)), r...))
		left = room - len(r)
	}
	return bodies
}

func (s *state) address(node string) memberlist.Address {
	return memberlist.Address{Name: node, Addr: s.peers[node].addr.String()}
}

// pick returns up to k of some names. The caller holds mu.
func (n *Node) pick(from []string, k int) []string {
	all := make([]string, 0, k)
	for i, j := range n.luck.Perm(len(from)) {
		if i == k {
			break
		}
		all = append(all, from[j])
	}
	return all
}

// reconnect calls one of the nodes that have failed (C10). Each side learns from the first exchange that the other takes it
// for dead, and says otherwise in the second.
func (n *Node) reconnect(ctx context.Context) {
	n.mu.Lock()
	var failed []netip.AddrPort
	for name, p := range n.state.peers {
		if m := n.state.on[""][name]; !p.alive && (m == nil || !m.gone) {
			failed = append(failed, p.addr)
		}
	}
	if len(failed) == 0 || n.left {
		n.mu.Unlock()
		return
	}
	at := failed[n.luck.IntN(len(failed))]
	n.mu.Unlock()
	if n.knock(ctx, at) {
		_ = n.call(ctx, []netip.Addr{at.Addr(), at.Addr()}) // if not now, then in the next round
	}
}

// knock tells whether somebody takes a call there. Memberlist's own calls would wait for 10 s.
func (n *Node) knock(ctx context.Context, at netip.AddrPort) bool {
	s, err := n.transport.dial(ctx, at.String(), knockTimeout)
	if err != nil {
		return false
	}
	return s.Close() == nil
}

// rejoin calls the peers of Join if none of them is there (C10).
func (n *Node) rejoin(ctx context.Context) {
	n.mu.Lock()
	boot, met := append([]netip.Addr(nil), n.boot...), n.left || len(n.boot) == 0
	for _, p := range n.state.peers {
		for _, b := range boot {
			met = met || p.alive && p.addr.Addr() == b
		}
	}
	n.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, rejoinPeriod)
	defer cancel()
	for _, b := range boot {
		if !met && n.knock(ctx, netip.AddrPortFrom(b, Port)) {
			_ = n.call(ctx, []netip.Addr{b}) // if not now, then in the next round
		}
	}
}

// settleAfter are the times, in rounds, after which a node that has joined something looks again.
var settleAfter = []int{5, 10, 20}

// unsettle says that the node has joined a cluster or a network.
func (n *Node) unsettle() {
	select {
	case n.fresh <- struct{}{}:
	default:
	}
}

// settle exchanges members and tables with somebody soon after the node has joined something, and not only when it is time: news of
// those who join at the same time is sent a few times only, and on a busy wire some of it is lost.
func (n *Node) settle(ctx context.Context) {
	for {
		select {
		case <-n.fresh:
		case <-ctx.Done():
			return
		}
		for _, rounds := range settleAfter {
			timer := time.NewTimer(time.Duration(rounds) * n.times.Gossip)
			select {
			case <-timer.C:
			case <-ctx.Done():
				timer.Stop()
				return
			}
			n.lookAgain(ctx)
		}
	}
}

// lookAgain exchanges what there is with somebody.
func (n *Node) lookAgain(ctx context.Context) {
	n.mu.Lock()
	left := n.left
	var at []netip.Addr
	for _, name := range n.pick(n.state.livePeers(), 1) {
		at = append(at, n.state.peers[name].addr.Addr())
	}
	n.mu.Unlock()
	if left || len(at) == 0 || !n.knock(ctx, netip.AddrPortFrom(at[0], Port)) {
		return
	}
	_ = n.call(ctx, at) // if not now, then when it is time
	n.syncSome(ctx)
}
