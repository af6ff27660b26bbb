package gossip

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"
)

// A bulk sync is one stream: the caller's frames, and then those of who was called. A frame has its length in four bytes in front;
// one of no length ends a side. Each is a message of kindSync about one network; each
// network that both are on has one at least. Records come after who is on the network, so that their owners are known.
const (
	syncMagic   = 0xd8 // no kind of memberlist's messages
	syncTimeout = 30 * time.Second
	syncWorkers = 2
	syncTries   = 5
	syncRelay   = 32 // records of a frame that are passed on by gossip, if they were news
	firstSyncs  = 8  // members that a node exchanges its tables with when it joins a network; Docker does with all (C6)
)

// todo is a set of peers to sync with.
type todo struct {
	mu    sync.Mutex
	order []string
	more  chan struct{}
}

func newTodo() *todo { return &todo{more: make(chan struct{}, 1)} }

func (t *todo) wake() {
	select {
	case t.more <- struct{}{}:
	default:
	}
}

func (t *todo) add(names ...string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, name := range names {
		if !slices.Contains(t.order, name) {
			t.order = append(t.order, name)
		}
	}
	t.wake()
}

// next waits for a peer.
func (t *todo) next(ctx context.Context) (string, bool) {
	for {
		t.mu.Lock()
		if len(t.order) > 0 {
			name := t.order[0]
			t.order = t.order[1:]
			if len(t.order) > 0 {
				t.wake()
			}
			t.mu.Unlock()
			return name, true
		}
		t.mu.Unlock()
		select {
		case <-t.more:
		case <-ctx.Done():
			return "", false
		}
	}
}

// syncQueued syncs with those that have been named. A peer that does not know this node yet gives it nothing, and is asked again.
func (n *Node) syncQueued(ctx context.Context) {
	for {
		name, ok := n.syncs.next(ctx)
		if !ok {
			return
		}
		for try := range syncTries {
			if !n.owes(name) || n.sync(ctx, name) == nil || ctx.Err() != nil {
				break
			}
			wait := time.NewTimer(n.times.Gossip << try)
			select {
			case <-wait.C:
			case <-ctx.Done():
				wait.Stop()
				return
			}
		}
	}
}

func (n *Node) owes(peer string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.state.owed(peer)
}

// syncSome syncs each network with one of its members, or another if that fails (C6).
func (n *Node) syncSome(ctx context.Context) {
	done := make(map[string]bool)
	n.mu.Lock()
	picked := make(map[string][]string)
	for network := range n.state.nets {
		picked[network] = n.pick(n.state.members(network), 2)
	}
	n.mu.Unlock()
	for network, peers := range picked {
		for _, peer := range peers {
			if done[network] {
				break
			}
			n.mu.Lock()
			common := n.state.common(peer)
			n.mu.Unlock()
			if n.sync(ctx, peer) == nil {
				for _, c := range common {
					done[c] = true
				}
			}
		}
	}
}

// sync exchanges the tables of all networks that this node shares with a peer.
func (n *Node) sync(ctx context.Context, peer string) error {
	n.mu.Lock()
	networks := n.state.common(peer)
	if len(networks) == 0 {
		n.mu.Unlock()
		return nil
	}
	addr := n.state.address(peer).Addr
	mine := sides.Get().(*[]byte)
	defer sides.Put(mine)
	*mine = n.framesOf(append((*mine)[:0], syncMagic), networks)
	n.mu.Unlock()
	s, err := n.transport.dial(ctx, addr, tcpTimeout)
	if err != nil {
		return err
	}
	defer s.Close()
	if err := s.SetDeadline(time.Now().Add(syncTimeout)); err != nil {
		return err
	}
	if _, err := s.Write(*mine); err != nil {
		return err
	}
	got, err := n.readSync(bufio.NewReader(s))
	if err != nil {
		return err
	}
	for _, network := range networks {
		if !slices.Contains(got, network) {
			return fmt.Errorf("sync with %s: nothing came of network %s", peer, network)
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, network := range networks {
		if net := n.state.nets[network]; net != nil {
			net.syncs++
		}
	}
	return nil
}

// answerSync serves a sync that another node has begun.
func (n *Node) answerSync(s *stream, r *bufio.Reader) {
	defer s.Close()
	if err := s.SetDeadline(time.Now().Add(syncTimeout)); err != nil {
		return
	}
	if _, err := r.Discard(1); err != nil {
		return
	}
	networks, err := n.readSync(r)
	if err != nil {
		return
	}
	n.mu.Lock()
	mine := sides.Get().(*[]byte)
	defer sides.Put(mine)
	*mine = n.framesOf((*mine)[:0], networks)
	n.mu.Unlock()
	_, _ = s.Write(*mine) // who asked sees that nothing came
}

// sides are buffers of whole sides of syncs, and of frames that are read.
var sides = sync.Pool{New: func() any { return new([]byte) }}

// framesOf appends one side of a sync. The caller holds mu.
func (n *Node) framesOf(b []byte, networks []string) []byte {
	now := time.Now()
	for _, network := range networks {
		if n.state.nets[network] == nil {
			continue
		}
		on, records := n.state.attachments(network), n.state.records(network, now)
		b = slices.Grow(b, (&message{attachments: on, records: records}).room())
		for first := true; first || len(on)+len(records) > 0; first = false {
			m := message{kind: kindSync, from: n.cfg.Name, network: network, attachments: on[:min(len(on), 100)]}
			on = on[len(m.attachments):]
			head := len(b)
			b = m.append(append(b, 0, 0, 0, 0))
			for len(on) == 0 && len(records) > 0 && len(b)-head < maxFrame-2*packetSize {
				b = appendRecord(b, records[0])
				records = records[1:]
			}
			binary.BigEndian.PutUint32(b[head:], uint32(len(b)-head-4))
		}
	}
	return append(b, 0, 0, 0, 0)
}

// readSync reads one side of a sync and takes it in. It returns the networks that it was about.
func (n *Node) readSync(r io.Reader) ([]string, error) {
	var networks []string
	room := sides.Get().(*[]byte)
	defer sides.Put(room)
	for range maxFrames {
		var head [4]byte
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return nil, err
		}
		size := binary.BigEndian.Uint32(head[:])
		if size == 0 {
			return networks, nil
		}
		if size > maxFrame {
			n.refuse(Oversized, "sync")
			return nil, errOversized
		}
		*room = slices.Grow((*room)[:0], int(size))
		b := (*room)[:size]
		if _, err := io.ReadFull(r, b); err != nil {
			return nil, err
		}
		m, err := parse(b)
		if err != nil || m.kind != kindSync {
			n.refuse(Malformed, "sync")
			return nil, errMalformed
		}
		if n.takeSync(m) && !slices.Contains(networks, m.network) {
			networks = append(networks, m.network)
		}
	}
	n.refuse(Oversized, "sync")
	return nil, errors.New("a sync of too many frames")
}

// takeSync takes a frame in. It tells whether its sender and this node are both on its network.
func (n *Node) takeSync(m message) bool {
	now := time.Now()
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, a := range m.attachments {
		if a.network != m.network {
			n.refuse(Foreign, m.from)
			continue
		}
		n.judge(n.state.attach(a, now), m.from)
	}
	if n.state.nets[m.network] == nil || m.from == n.cfg.Name || !n.state.member(m.network, m.from) {
		n.refuse(Foreign, m.from)
		return false
	}
	n.state.on[m.network][m.from].synced = true
	var news []record
	for _, r := range m.records {
		if n.judge(n.state.learn(m.network, r, now), m.from) == fresh {
			news = append(news, r)
		}
	}
	// What gossip is spreading at this moment, or has missed here, goes on from here, and what its own owner brings; whole
	// tables do not, unless this node was here before: then they come from a cluster that was another.
	all := len(news) <= syncRelay || n.state.nets[m.network].syncs >= firstSyncs
	for _, r := range news {
		if all || r.owner == m.from {
			n.state.publish(m.network, r)
			n.hasten()
		}
	}
	return true
}
