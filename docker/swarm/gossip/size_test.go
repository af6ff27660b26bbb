package gossip

import (
	"bytes"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"
)

// filler always has something to say, and leaves no byte of a packet free: two messages, so that they travel as a compound.
type filler struct{ *delegate }

// GetBroadcasts implements memberlist.Delegate.
func (filler) GetBroadcasts(overhead, limit int) [][]byte {
	const first = 100
	rest := limit - 2*overhead - first
	if rest <= 0 {
		return nil
	}
	return [][]byte{make([]byte, first), make([]byte, rest)}
}

// scales notes how large the rounds of gossip are that memberlist sends, which begin with a checksum, once they are sealed.
type scales struct {
	*transport
	most atomic.Int64
}

// WriteToAddress implements memberlist.NodeAwareTransport.
func (s *scales) WriteToAddress(b []byte, to memberlist.Address) (time.Time, error) {
	if b[0] == mlChecksum {
		size := int64(len(s.node.ring.seal(b)))
		for old := s.most.Load(); size > old && !s.most.CompareAndSwap(old, size); old = s.most.Load() {
		}
	}
	return s.transport.WriteToAddress(b, to)
}

// A packet with as much news as memberlist finds room for, its checksum and its seal is as large as a packet may be, and not a
// byte larger: another node takes it.
func TestFullPacketsFit(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	sealed := func(c *Config) { c.Keys = [][]byte{key(1)} }
	peer := r.node(sealed)
	<-peer.Ready()
	ns, addr := r.host()
	n, err := New(Config{NS: ns, Name: ns.Name(), Addr: addr, Keys: [][]byte{key(1)}})
	if err != nil {
		t.Fatal(err)
	}
	tr, err := newTransport(r.ctx, n)
	if err != nil {
		t.Fatal(err)
	}
	tr.serve()
	c, weighed := n.memberlistConfig(tr), &scales{transport: tr}
	c.Transport, c.Delegate = weighed, filler{(*delegate)(n)}
	list, err := memberlist.Create(c)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := list.Shutdown(); err != nil {
			t.Error(err)
		}
		tr.users.Wait()
	}()
	r.eventually("it has joined", func() bool {
		_, err := list.Join([]string{fmt.Sprintf("%s:%d", peer.cfg.Addr, Port)})
		return err == nil
	})
	r.eventually("there was a round", func() bool { return weighed.most.Load() > 0 })
	r.eventually("the peer gets what is said", func() bool { return peer.Refused()[Malformed] > 1 || peer.Refused()[Oversized] > 0 })
	if got := weighed.most.Load(); got != packetSize {
		t.Errorf("the largest packet has %d bytes; want %d", got, packetSize)
	}
	if got := peer.Refused()[Oversized]; got != 0 {
		t.Errorf("the peer refused %d packets as oversized", got)
	}
}

// Messages of records that are full are as large as a packet may be, with all that memberlist and the seal put around them.
func TestFullRecordsFit(t *testing.T) {
	const name = "net"
	room := roomFor(name)
	for _, sizes := range [][]int{{room}, {room, room}, {room - 1, 1}, {room - 1, 2, room - 2}, {10, room - 10, room}} {
		var records [][]byte
		for _, n := range sizes {
			records = append(records, bytes.Repeat([]byte{1}, n))
		}
		most := 0
		for _, body := range pack(name, records, room) {
			most = max(most, sealOverhead+crcOverhead+1+len(body)) // 1: memberlist's kind, of a user's message
		}
		if most != packetSize {
			t.Errorf("records of %v bytes travel in %d bytes; want %d", sizes, most, packetSize)
		}
	}
}
