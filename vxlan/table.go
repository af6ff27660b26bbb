package vxlan

import (
	"bytes"
	"maps"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"github.com/netsim-lab/netsim/fabric/wire"
)

const (
	// LearnedAge is how long a learned remote is used after the last frame from it.
	LearnedAge = 300 * time.Second
	// MaxLearned bounds how many addresses a table learns. Once full, it learns none until some have aged.
	MaxLearned = 4096

	scanEvery  = 10 * time.Second // how often a full table looks for aged entries
	seenCoarse = time.Second      // how exactly the age of an entry is kept
)

// Table is what a device knows of the other hosts of its network. It reads no clock and starts nothing; the zero value
// is an empty table. Several goroutines may read a table that nobody changes; Refresh counts as reading.
//
// A static record has a holder, any name that tells the records of one key apart, such as the id of the endpoint that it
// is about. Where several holders claim one key, the later claim counts; when that goes, the one before counts again.
type Table struct {
	static  claims[uint64, netip.Addr] // by wire.MAC.Uint64, which a map finds in half the time
	learned map[uint64]*learned        // likewise
	neigh   claims[netip.Addr, wire.MAC]
	flood   []netip.Addr
	scanned int64 // when a full table was last searched for aged entries, in nanoseconds of Unix time
}

type learned struct {
	vtep netip.Addr
	seen atomic.Int64 // nanoseconds of Unix time
}

// AddRemote says that mac is behind vtep, for good.
func (t *Table) AddRemote(holder string, mac wire.MAC, vtep netip.Addr) {
	key := mac.Uint64()
	t.static.add(macShard(key), key, claim[netip.Addr]{holder, vtep.Unmap()})
}

// RemoveRemote takes back what holder said of mac.
func (t *Table) RemoveRemote(holder string, mac wire.MAC) {
	key := mac.Uint64()
	t.static.remove(macShard(key), key, holder)
}

// AddNeighbour says that ip has that MAC address.
func (t *Table) AddNeighbour(holder string, ip netip.Addr, mac wire.MAC) {
	t.neigh.add(ipShard(ip), ip, claim[wire.MAC]{holder, mac})
}

// RemoveNeighbour takes back what holder said of ip.
func (t *Table) RemoveNeighbour(holder string, ip netip.Addr) {
	t.neigh.remove(ipShard(ip), ip, holder)
}

// SetFlood says who gets a copy of each frame that has no single known receiver; nobody if it is empty, as with Docker.
func (t *Table) SetFlood(vteps []netip.Addr) {
	t.flood = make([]netip.Addr, 0, len(vteps))
	for _, v := range vteps {
		t.flood = append(t.flood, v.Unmap())
	}
}

// Flood returns who gets a copy of each frame that has no single known receiver.
func (t *Table) Flood() []netip.Addr { return slices.Clone(t.flood) }

// Lookup returns the VTEP that mac is behind. A static record comes before a learned one.
func (t *Table) Lookup(mac wire.MAC, at time.Time) (vtep netip.Addr, ok bool) {
	key := mac.Uint64()
	if vtep, ok := t.static.get(macShard(key), key); ok {
		return vtep, true
	}
	if len(t.learned) == 0 {
		return netip.Addr{}, false
	}
	if l := t.learned[key]; l != nil && !l.aged(at) {
		return l.vtep, true
	}
	return netip.Addr{}, false
}

// Neighbour returns the MAC address of ip.
func (t *Table) Neighbour(ip netip.Addr) (mac wire.MAC, ok bool) {
	return t.neigh.get(ipShard(ip), ip)
}

// Refresh notes that a frame from mac came in from vtep. It returns false if that is news, to be told to Learn.
func (t *Table) Refresh(mac wire.MAC, vtep netip.Addr, at time.Time) bool {
	key := mac.Uint64()
	if mac.IsMulticast() || mac.IsZero() || t.static.has(macShard(key), key) {
		return true
	}
	l := t.learned[key]
	if l == nil {
		return len(t.learned) >= MaxLearned && at.UnixNano()-t.scanned < int64(scanEvery)
	}
	if l.vtep != vtep {
		return false
	}
	if now := at.UnixNano(); now-l.seen.Load() >= int64(seenCoarse) {
		l.seen.Store(now)
	}
	return true
}

// Learn notes that a frame from mac came in from vtep, and tells whether that was news. Static records and group
// addresses stay as they are; an address that shows up behind another VTEP moves there.
func (t *Table) Learn(mac wire.MAC, vtep netip.Addr, at time.Time) bool {
	if t.Refresh(mac, vtep, at) {
		return false
	}
	key := mac.Uint64()
	if len(t.learned) >= MaxLearned && t.learned[key] == nil {
		if t.scanned = at.UnixNano(); t.Expire(at) == 0 {
			return false
		}
	}
	if t.learned == nil {
		t.learned = make(map[uint64]*learned)
	}
	l := &learned{vtep: vtep}
	l.seen.Store(at.UnixNano())
	t.learned[key] = l
	return true
}

// Expire forgets the learned remotes that have aged, and returns how many those were. Lookup does not use them anyway.
func (t *Table) Expire(at time.Time) int {
	n := len(t.learned)
	maps.DeleteFunc(t.learned, func(_ uint64, l *learned) bool { return l.aged(at) })
	return n - len(t.learned)
}

func (l *learned) aged(at time.Time) bool { return at.UnixNano()-l.seen.Load() >= int64(LearnedAge) }

// Clone returns a copy that may be changed on its own. It costs little: the two share their static records until one changes
// some. Clone counts as reading.
func (t *Table) Clone() *Table {
	c := &Table{learned: maps.Clone(t.learned), flood: t.flood, scanned: t.scanned}
	t.static.share(&c.static)
	t.neigh.share(&c.neigh)
	return c
}

// Remote is one line of the forwarding table.
type Remote struct {
	MAC    wire.MAC // zero: the line says who gets what has no single known receiver
	VTEP   netip.Addr
	Static bool
	Seen   time.Time // when a learned remote was last heard of, to a second; zero for a static one
}

// String prints r as `bridge fdb show dev vxlan0` does.
func (r Remote) String() string {
	s := r.MAC.String() + " dst " + r.VTEP.String() + " self"
	if r.Static {
		s += " permanent"
	}
	return s
}

// macOf is the inverse of wire.MAC.Uint64.
func macOf(key uint64) (m wire.MAC) {
	for i := range m {
		m[i] = byte(key >> (40 - 8*i))
	}
	return m
}

// Remotes lists the forwarding table, ordered by MAC address.
func (t *Table) Remotes(at time.Time) []Remote {
	var out []Remote
	for _, vtep := range t.flood {
		out = append(out, Remote{VTEP: vtep, Static: true})
	}
	for key, vtep := range t.static.all() {
		out = append(out, Remote{MAC: macOf(key), VTEP: vtep, Static: true})
	}
	for key, l := range t.learned {
		if !t.static.has(macShard(key), key) && !l.aged(at) {
			out = append(out, Remote{MAC: macOf(key), VTEP: l.vtep, Seen: time.Unix(0, l.seen.Load())})
		}
	}
	slices.SortStableFunc(out, func(a, b Remote) int { return bytes.Compare(a.MAC[:], b.MAC[:]) })
	return out
}

// Neighbour is one line of the neighbour table.
type Neighbour struct {
	IP  netip.Addr
	MAC wire.MAC
}

// Neighbours lists the neighbour table, ordered by IP address.
func (t *Table) Neighbours() []Neighbour {
	out := []Neighbour{}
	for ip, mac := range t.neigh.all() {
		out = append(out, Neighbour{ip, mac})
	}
	slices.SortFunc(out, func(a, b Neighbour) int { return a.IP.Compare(b.IP) })
	return out
}
