package gossip

import (
	"net/netip"
	"time"

	"github.com/hashicorp/memberlist"
)

// delegate is a Node as memberlist sees it: memberlist.Delegate, memberlist.EventDelegate and memberlist.PingDelegate. Events come with memberlist's
// lock held, so nothing here may call memberlist.
type delegate Node

// NodeMeta implements memberlist.Delegate.
func (d *delegate) NodeMeta(int) []byte { return nil }

// NotifyMsg implements memberlist.Delegate: it takes what came by gossip.
func (d *delegate) NotifyMsg(b []byte) {
	n := (*Node)(d)
	m, err := parse(b)
	if err != nil || m.kind == kindSync {
		n.refuse(Malformed, "gossip")
		return
	}
	now := time.Now()
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, a := range m.attachments {
		if n.judge(n.state.attach(a, now), a.node) == fresh {
			n.state.spread(a)
			n.owe(a.node)
			n.hasten()
		}
	}
	for _, r := range m.records {
		if n.judge(n.state.learn(m.network, r, now), r.owner) == fresh {
			n.state.publish(m.network, r)
			n.hasten()
		}
	}
}

// judge counts a refusal.
func (n *Node) judge(v verdict, from string) verdict {
	if why, refused := v.reason(); refused {
		n.refuse(why, from)
	}
	return v
}

// GetBroadcasts implements memberlist.Delegate: what goes to all.
func (d *delegate) GetBroadcasts(overhead, limit int) [][]byte {
	return d.state.news.GetBroadcasts(overhead, limit)
}

// LocalState implements memberlist.Delegate: who is on which network.
func (d *delegate) LocalState(bool) []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	m := message{kind: kindAttachments}
	for network := range d.state.on {
		m.attachments = append(m.attachments, d.state.attachments(network)...)
	}
	return m.append(make([]byte, 0, m.room()))
}

// MergeRemoteState implements memberlist.Delegate.
func (d *delegate) MergeRemoteState(b []byte, _ bool) {
	n := (*Node)(d)
	m, err := parse(b)
	if err != nil || m.kind != kindAttachments {
		n.refuse(Malformed, "push/pull")
		return
	}
	now := time.Now()
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, a := range m.attachments {
		if n.judge(n.state.attach(a, now), a.node) == fresh {
			n.owe(a.node)
		}
	}
}

// owe has tables exchanged with a peer if that is due. The caller holds mu.
func (n *Node) owe(peer string) {
	if n.state.owed(peer) {
		n.syncs.add(peer)
	}
}

// NotifyJoin implements memberlist.EventDelegate.
func (d *delegate) NotifyJoin(m *memberlist.Node) {
	n := (*Node)(d)
	a, ok := netip.AddrFromSlice(m.Addr)
	if !ok || m.Name == n.cfg.Name {
		return
	}
	n.log.Info("gossip member up", "node", n.cfg.Name, "member", m.Name, "addr", a)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.state.up(m.Name, netip.AddrPortFrom(a.Unmap(), m.Port), time.Now())
	n.owe(m.Name)
}

// NotifyLeave implements memberlist.EventDelegate.
func (d *delegate) NotifyLeave(m *memberlist.Node) {
	n := (*Node)(d)
	n.log.Info("gossip member gone", "node", n.cfg.Name, "member", m.Name)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.state.down(m.Name, time.Now())
}

// NotifyUpdate implements memberlist.EventDelegate.
func (d *delegate) NotifyUpdate(*memberlist.Node) {}
