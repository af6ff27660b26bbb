package l2switch

import (
	"math"
	"math/bits"
	"sync/atomic"
	"time"

	"github.com/netsim-lab/netsim/fabric/wire"
)

const (
	// DefaultAgeing is how long a learned address is kept after it was last seen.
	DefaultAgeing = 300 * time.Second
	// DefaultMaxLearned bounds the learned addresses: a sender that makes up addresses cannot fill the memory.
	DefaultMaxLearned = 1 << 20

	firstSlots = 16 // of a table's first array; a power of two
	// sweepEvery is how often a table that is full is searched for expired entries, as Linux's bridge does every 10 s.
	sweepEvery = 10 * time.Second
	// seenTick, or 1/256 of a short ageing time, is how exactly it is known when an address was seen.
	seenTick = time.Second
)

// FDB is a forwarding database: which port an address, in a VLAN, is behind. Time is an argument to all that needs it,
// counted from any moment that the caller chooses.
//
// Lookup and Refresh may be called at any time from any goroutine, and never wait. The methods that change the table
// must be called one at a time.
//
// It is a hash table with linear probing whose slots are atomic pointers to entries that do not change but for the time
// they were seen: a reader sees an entry from before or after a change, a change costs one store, and growing copies
// pointers.
type FDB struct {
	table  atomic.Pointer[table]
	ageing atomic.Int64

	// The writer's.
	used    int // slots that are not nil, removed entries included
	learned int
	max     int           // of learned
	swept   time.Duration // when a full table was last searched for expired entries
}

// entry is what the FDB knows of an address. Only seen changes after it was put into the table.
type entry struct {
	key    uint64
	port   *Port
	static bool
	local  bool
	seen   atomic.Int64 // of a learned one, exact to seenTick
}

// permanent tells whether the entry stays where it is: it does not age, and no frame moves it.
func (e *entry) permanent() bool { return e.static || e.local }

// removed stands in the slot of an entry that was removed, for those that were put behind it. No key is like its.
var removed = &entry{key: ^uint64(0)}

type table struct {
	slots []atomic.Pointer[entry] // a power of two of them, at most half of them used
	shift uint8
}

func newTable(slots int) *table {
	return &table{slots: make([]atomic.Pointer[entry], slots), shift: uint8(64 - bits.TrailingZeros(uint(slots)))}
}

// slot returns where the entry of key is, or the nil where it would be.
func (t *table) slot(key uint64) (*atomic.Pointer[entry], *entry) {
	mask := uint64(len(t.slots) - 1)
	for i := key * 0x9e3779b97f4a7c15 >> t.shift; ; i++ {
		s := &t.slots[i&mask]
		if e := s.Load(); e == nil || e.key == key {
			return s, e
		}
	}
}

// NewFDB returns an empty table. Ageing 0 is DefaultAgeing, maxLearned 0 is DefaultMaxLearned.
func NewFDB(ageing time.Duration, maxLearned int) *FDB {
	if ageing == 0 {
		ageing = DefaultAgeing
	}
	if maxLearned == 0 {
		maxLearned = DefaultMaxLearned
	}
	d := &FDB{max: maxLearned}
	d.SetAgeing(ageing)
	d.table.Store(newTable(firstSlots))
	return d
}

// key packs an address and a VLAN id into one word.
func key(mac wire.MAC, vlan uint16) uint64 { return mac.Uint64() | uint64(vlan)<<48 }

// unkey is the reverse of key.
func unkey(k uint64) (mac wire.MAC, vlan uint16) {
	for i := range mac {
		mac[i] = byte(k >> (40 - 8*i))
	}
	return mac, uint16(k >> 48)
}

// SetAgeing changes the ageing time, of all entries and at once. With 0 nothing is known for long enough to be used: all
// is flooded. Negative: learned entries are kept for good.
func (d *FDB) SetAgeing(ageing time.Duration) {
	if ageing < 0 {
		ageing = math.MaxInt64
	}
	d.ageing.Store(int64(ageing))
}

// Lookup returns the port that mac is behind at that time. An address that was not seen for the ageing time is unknown.
func (d *FDB) Lookup(mac wire.MAC, vlan uint16, at time.Duration) (*Port, bool) {
	if e := d.find(key(mac, vlan), at); e != nil {
		return e.port, true
	}
	return nil, false
}

func (d *FDB) find(key uint64, at time.Duration) *entry {
	_, e := d.table.Load().slot(key)
	if e == nil || d.expired(e, at) {
		return nil
	}
	return e
}

func (d *FDB) expired(e *entry, at time.Duration) bool {
	return !e.permanent() && int64(at)-e.seen.Load() >= d.ageing.Load()
}

// Refresh notes that mac was seen on port. It is false if that must be learned: the address is new or was elsewhere.
func (d *FDB) Refresh(mac wire.MAC, vlan uint16, port *Port, at time.Duration) bool {
	return d.refresh(key(mac, vlan), port, at)
}

func (d *FDB) refresh(key uint64, port *Port, at time.Duration) bool {
	_, e := d.table.Load().slot(key)
	switch {
	case e == nil:
		return false
	case e.permanent():
		return true
	case e.port != port:
		return false
	}
	// Readers share the entry's cache line: it is written a few times in an ageing time, not for every frame.
	if int64(at)-e.seen.Load() > min(d.ageing.Load()>>8, int64(seenTick)) {
		e.seen.Store(int64(at))
	}
	return true
}

// Learn notes that mac was seen on port. An address that was on another port moves at once; a static or local entry
// stays as it is. It tells whether the table changed, and which port the address was on before (nil: none).
func (d *FDB) Learn(mac wire.MAC, vlan uint16, port *Port, at time.Duration) (was *Port, changed bool) {
	return d.learn(key(mac, vlan), port, at)
}

func (d *FDB) learn(key uint64, port *Port, at time.Duration) (was *Port, changed bool) {
	if d.refresh(key, port, at) {
		return nil, false
	}
	_, old := d.table.Load().slot(key)
	if old != nil {
		was = old.port
	} else if d.learned >= d.max && !d.makeRoom(at) {
		return nil, false
	}
	e := &entry{key: key, port: port}
	e.seen.Store(int64(at))
	d.put(e, at)
	return was, true
}

// makeRoom removes expired entries from a full table, at most every sweepEvery.
func (d *FDB) makeRoom(at time.Duration) bool {
	if d.swept != 0 && at-d.swept < sweepEvery {
		return false
	}
	d.swept = at
	return d.Age(at) > 0
}

// AddStatic puts mac behind port until it is removed. It replaces what was there, a local entry excepted.
func (d *FDB) AddStatic(mac wire.MAC, vlan uint16, port *Port, at time.Duration) {
	if k := key(mac, vlan); !d.isLocal(k) {
		d.put(&entry{key: k, port: port, static: true}, at)
	}
}

// AddLocal notes that mac is an address of the bridge itself, or of its port. If several ports have the same address,
// the first stands.
func (d *FDB) AddLocal(mac wire.MAC, vlan uint16, port *Port, at time.Duration) {
	if k := key(mac, vlan); !d.isLocal(k) {
		d.put(&entry{key: k, port: port, local: true}, at)
	}
}

func (d *FDB) isLocal(key uint64) bool {
	_, e := d.table.Load().slot(key)
	return e != nil && e.local
}

// put stores e in the slot of its key.
func (d *FDB) put(e *entry, at time.Duration) {
	s, old := d.table.Load().slot(e.key)
	if old == nil {
		if 2*(d.used+1) > len(d.table.Load().slots) {
			d.rebuild(at)
			s, _ = d.table.Load().slot(e.key)
		}
		d.used++
	} else if !old.permanent() {
		d.learned--
	}
	if !e.permanent() {
		d.learned++
	}
	s.Store(e)
}

// rebuild moves the entries that are neither removed nor expired to a table that they fill to a quarter or less.
func (d *FDB) rebuild(at time.Duration) {
	d.Age(at)
	var live []*entry
	d.each(func(_ *atomic.Pointer[entry], e *entry) { live = append(live, e) })
	slots := firstSlots
	for slots < 4*len(live) {
		slots *= 2
	}
	t := newTable(slots)
	for _, e := range live {
		s, _ := t.slot(e.key)
		s.Store(e)
	}
	d.used = len(live)
	d.table.Store(t)
}

// each calls f for every entry and its slot.
func (d *FDB) each(f func(*atomic.Pointer[entry], *entry)) {
	t := d.table.Load()
	for i := range t.slots {
		if e := t.slots[i].Load(); e != nil && e != removed {
			f(&t.slots[i], e)
		}
	}
}

// remove removes the entries for which gone is true, and returns how many that were.
func (d *FDB) remove(gone func(*entry) bool) int {
	n := 0
	d.each(func(s *atomic.Pointer[entry], e *entry) {
		if gone(e) {
			d.clear(s, e)
			n++
		}
	})
	return n
}

func (d *FDB) clear(s *atomic.Pointer[entry], e *entry) {
	s.Store(removed)
	if !e.permanent() {
		d.learned--
	}
}

// Remove forgets what is known of mac, unless it is a local entry. It tells whether there was an entry.
func (d *FDB) Remove(mac wire.MAC, vlan uint16) bool {
	s, e := d.table.Load().slot(key(mac, vlan))
	if e == nil || e.local {
		return false
	}
	d.clear(s, e)
	return true
}

// DeletePort removes all entries of a port, and returns how many there were.
func (d *FDB) DeletePort(port *Port) int {
	return d.remove(func(e *entry) bool { return e.port == port })
}

// Age removes the learned entries that have expired, and returns how many there were.
func (d *FDB) Age(at time.Duration) int {
	return d.remove(func(e *entry) bool { return d.expired(e, at) })
}
