package vxlan

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/vxlan/esp"
)

// Carrier carries IP packets of protocol ESP between hosts. Its frames may be trains, and several goroutines may use it at once.
type Carrier interface {
	// Send takes over the frames, not the slice, and never blocks: what cannot be sent is dropped and counted. They begin with
	// the ESP header, which the carrier puts an IP header before.
	Send(to netip.Addr, batch []*fabric.Frame)
	// SetReceiver says who gets what arrives, each frame beginning with its IP header, parsed; nil: it is dropped and counted.
	// The receiver takes over the frames, not the slice, and never blocks.
	SetReceiver(receive func(batch []*fabric.Frame))
}

// ESPConfig describes an ESP.
type ESPConfig struct {
	Name    string     // stands in traces; empty: "esp"
	Local   netip.Addr // this host's address on the underlay
	Seed    uint64     // of where the IVs of each association begin
	Carrier Carrier    // nil: what is sent is dropped
}

// ESP is a host's IPsec, as far as encrypted overlays need it: a Transport that seals what it sends to other hosts, each wire
// frame for itself, and opens what comes. It has an association for each key and direction with every peer: what comes is
// opened with any key, what goes is sealed with the primary one. So keys rotate without a loss, as long as all hosts know
// a key before it becomes the primary one of any (X4, X8). It needs no goroutine. All methods may be called at once.
type ESP struct {
	fabric.Counters // of sealed frames
	receiver

	name    string
	carrier Carrier

	mu    sync.Mutex
	local netip.Addr              // guarded by mu
	luck  *rand.Rand              // guarded by mu
	keys  []esp.Key               // guarded by mu; the first is the primary one
	users map[netip.Addr]int      // of each peer, guarded by mu
	known map[uint32]*association // by SPI, guarded by mu; those of hosts that are no peers now, too, until their key goes
	past  []*esp.SA               // the latest that there were, guarded by mu
	sas   atomic.Pointer[associations]
}

// associations are those in force. They are never changed, but replaced as a whole.
type associations struct {
	in  map[uint32]*association     // by SPI
	out map[netip.Addr]*association // by peer
	all []*association
}

// association is what goes one way between this host and a peer under one key.
type association struct {
	sa       *esp.SA
	incoming bool
	sent     atomic.Uint64 // sequence numbers used
	firstIV  uint64        // IVs count on from there

	mu     sync.Mutex
	window esp.Window // guarded by mu

	packets, bytes, replayed, broken atomic.Uint64
}

// NewESP returns an ESP without keys and peers and makes it the receiver of its carrier.
func NewESP(c ESPConfig) *ESP {
	e := &ESP{name: cmp.Or(c.Name, "esp"), local: c.Local.Unmap(), carrier: c.Carrier, luck: rand.New(rand.NewPCG(c.Seed, 0x455350)),
		users: make(map[netip.Addr]int), known: make(map[uint32]*association)}
	e.sas.Store(new(associations))
	if e.carrier != nil {
		e.carrier.SetReceiver(e.receive)
	}
	return e
}

// LocalPort implements Transport.
func (e *ESP) LocalPort() uint16 { return Port }

// SetKeys says which keys are in use: keys[0] seals, all of them open. Associations of keys that stay go on counting.
func (e *ESP) SetKeys(keys []esp.Key) error {
	for i, k := range keys {
		if slices.ContainsFunc(keys[:i], func(o esp.Key) bool { return o.Tag == k.Tag }) {
			return fmt.Errorf("encryption keys of %s: two keys have the tag %d", e.name, k.Tag)
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.keys = slices.Clone(keys)
	maps.DeleteFunc(e.known, func(_ uint32, a *association) bool { return !slices.Contains(keys, a.sa.Key) })
	return e.update()
}

// SetLocal says that the host's address on the underlay is another one from now on. Associations of the one before count on, should
// it come back before their keys go.
func (e *ESP) SetLocal(a netip.Addr) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.local == a.Unmap() {
		return nil
	}
	e.local = a.Unmap()
	return e.update()
}

// HasKeys tells whether there are keys.
func (e *ESP) HasKeys() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.keys) > 0
}

// AddPeer makes associations with a host, unless there are some. They last until RemovePeer was called as often.
func (e *ESP) AddPeer(peer netip.Addr) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	peer = peer.Unmap()
	if e.users[peer]++; e.users[peer] > 1 {
		return nil
	}
	return e.update()
}

// RemovePeer undoes AddPeer. What was counted of a host is remembered until its keys go: numbers must never begin anew.
func (e *ESP) RemovePeer(peer netip.Addr) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	peer = peer.Unmap()
	if e.users[peer]--; e.users[peer] > 0 {
		return nil
	}
	delete(e.users, peer)
	return e.update()
}

// update makes the associations those of all peers and keys. The caller holds mu.
func (e *ESP) update() error {
	sas := &associations{in: make(map[uint32]*association), out: make(map[netip.Addr]*association)}
	for _, peer := range slices.SortedFunc(maps.Keys(e.users), netip.Addr.Compare) {
		for i, k := range e.keys {
			in, err := e.associate(peer, e.local, k, true)
			if err != nil {
				return err
			}
			sas.in[in.sa.SPI] = in
			sas.all = append(sas.all, in)
			if i > 0 {
				continue
			}
			out, err := e.associate(e.local, peer, k, false)
			if err != nil {
				return err
			}
			sas.out[peer] = out
			sas.all = append(sas.all, out)
		}
	}
	e.sas.Store(sas)
	return nil
}

// associate returns the association of what goes from src to dst, the one that there was if there was one. The caller holds
// mu.
func (e *ESP) associate(src, dst netip.Addr, k esp.Key, incoming bool) (*association, error) {
	spi := esp.SPI(src, dst, k.Tag)
	if a := e.known[spi]; a != nil && a.sa.Src == src && a.sa.Dst == dst {
		return a, nil
	}
	sa, err := esp.NewSA(src, dst, k)
	if err != nil {
		return nil, err
	}
	a := &association{sa: sa, incoming: incoming, firstIV: e.luck.Uint64()}
	e.known[spi] = a
	if len(e.past) >= maxPast {
		e.past = slices.Delete(e.past, 0, maxPast/2)
	}
	e.past = append(e.past, sa)
	return a, nil
}

// maxPast bounds the associations that Past remembers.
const maxPast = 1024

// Past returns the associations that there are and were, the latest last: what whoever captured packets needs to read them.
// Of those of long ago some are forgotten.
func (e *ESP) Past() []*esp.SA {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.past)
}

// take returns the first of n sequence numbers in a row; false if there are no more.
func (a *association) take(n int) (first uint32, ok bool) {
	last := a.sent.Add(uint64(n))
	if last > math.MaxUint32 { // RFC 4303 section 3.3.3: it must not cycle
		return 0, false
	}
	return uint32(last) - uint32(n) + 1, true
}

// State is a reading of an association.
type State struct {
	*esp.SA
	Incoming         bool
	Seq              uint32 // the last number sent, or the highest received
	Packets, Bytes   uint64 // sealed or opened; bytes of what is inside
	Replayed, Broken uint64 // dropped because the number was there already, or the seal was broken
}

// States returns the associations in force, those of each peer together.
func (e *ESP) States() []State {
	var all []State
	for _, a := range e.sas.Load().all {
		s := State{SA: a.sa, Incoming: a.incoming, Packets: a.packets.Load(), Bytes: a.bytes.Load(), Replayed: a.replayed.Load(), Broken: a.broken.Load(),
			Seq: uint32(min(a.sent.Load(), math.MaxUint32))}
		if a.incoming {
			a.mu.Lock()
			s.Seq = a.window.Top()
			a.mu.Unlock()
		}
		all = append(all, s)
	}
	return all
}
