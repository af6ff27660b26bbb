package netns

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"github.com/netsim-lab/netsim/fabric/wire"
)

// NeighState is the state of a neighbour, as `ip neigh` prints it.
type NeighState uint8

// The states (RFC 4861 section 7.3.2, and Linux's own).
const (
	NeighNone NeighState = iota
	NeighIncomplete
	NeighReachable
	NeighStale
	NeighDelay
	NeighProbe
	NeighFailed
	NeighPermanent
	NeighNoARP
)

// String returns the state in capitals.
func (s NeighState) String() string {
	return [...]string{"NONE", "INCOMPLETE", "REACHABLE", "STALE", "DELAY", "PROBE", "FAILED", "PERMANENT", "NOARP"}[s]
}

// Linux's neighbour timers (net/ipv4/arp.c, arp_tbl).
const (
	baseReachable  = 30 * time.Second // varied between half and one and a half of it
	delayFirst     = 5 * time.Second
	retransmit     = time.Second
	maxProbes      = 3
	failedLifetime = 60 * time.Second // gc_stale
	maxNeighQueue  = 101              // frames that wait for one address (unres_qlen)
	maxNeighBytes  = 212992           // and their bytes (unres_qlen_bytes)
	maxNeighbours  = 65536            // gc_thresh3 as dockerd raises it
)

// neighEntry is the state machine of one neighbour: a plain value without clock, lock or timer. Times are Unix
// nanoseconds. Each method returns what its driver must do.
type neighEntry struct {
	state     NeighState
	mac       wire.MAC
	since     int64 // of the state
	reachable int64 // how long it stays reachable
	probes    int
	permanent bool
}

// neighAction is what the driver of an entry must do.
type neighAction struct {
	send    bool          // a frame may go to the entry's mac now
	wait    bool          // a frame must wait
	fail    bool          // what waits must be failed
	request bool          // ask for the address
	unicast bool          // ask the mac known so far
	timer   time.Duration // call expire after that; 0: no timer
}

// use is called for each frame to the neighbour.
func (e *neighEntry) use(at int64) neighAction {
	switch e.state {
	case NeighPermanent, NeighNoARP, NeighProbe, NeighDelay:
		return neighAction{send: true}
	case NeighReachable:
		if at-e.since < e.reachable {
			return neighAction{send: true}
		}
		e.set(NeighStale, at)
		fallthrough
	case NeighStale:
		e.set(NeighDelay, at)
		return neighAction{send: true, timer: delayFirst}
	case NeighIncomplete:
		return neighAction{wait: true}
	default:
		e.set(NeighIncomplete, at)
		e.probes = 1
		return neighAction{wait: true, request: true, timer: retransmit}
	}
}

// expire is called when the timer of an entry runs out.
func (e *neighEntry) expire(at int64) neighAction {
	switch e.state {
	case NeighDelay:
		e.set(NeighProbe, at)
		e.probes = 1
		return neighAction{request: true, unicast: true, timer: retransmit}
	case NeighProbe, NeighIncomplete:
		if e.probes < maxProbes {
			e.probes++
			return neighAction{request: true, unicast: e.state == NeighProbe, timer: retransmit}
		}
		e.set(NeighFailed, at)
		return neighAction{fail: true}
	}
	return neighAction{}
}

// confirm is called when the neighbour answered a request; reachable is how long that is good for.
func (e *neighEntry) confirm(mac wire.MAC, at, reachable int64) {
	if e.permanent {
		return
	}
	e.mac, e.reachable = mac, reachable
	e.set(NeighReachable, at)
}

// hear is called when the neighbour was seen without having been asked: it asked us, or announced itself.
func (e *neighEntry) hear(mac wire.MAC, at int64) {
	if e.permanent || (e.mac == mac && e.state != NeighIncomplete && e.state != NeighFailed && e.state != NeighNone) {
		return
	}
	e.mac = mac
	e.set(NeighStale, at)
}

func (e *neighEntry) set(s NeighState, at int64) { e.state, e.since = s, at }

// Neighbour is a line of the neighbour table.
type Neighbour struct {
	Addr  netip.Addr
	Dev   *Interface
	MAC   wire.MAC
	State NeighState
	Proxy bool // not a neighbour, but an address that the interface answers for
}

// Neighbours returns the neighbour table by interface and address. Failed entries are listed for a minute.
func (ns *Namespace) Neighbours() []Neighbour {
	at := unixNano()
	return ns.neighbours(func(i *Interface) []Neighbour { return i.neigh.list(i, at) })
}

// ProxyNeighbours returns the addresses that AddProxy named, as `ip neigh show proxy` lists them.
func (ns *Namespace) ProxyNeighbours() []Neighbour {
	return ns.neighbours(func(i *Interface) []Neighbour { return i.neigh.proxies(i) })
}

func (ns *Namespace) neighbours(of func(*Interface) []Neighbour) []Neighbour {
	var all []Neighbour
	for _, i := range ns.Interfaces() {
		all = append(all, of(i)...)
	}
	slices.SortFunc(all, func(a, b Neighbour) int {
		return cmp.Or(a.Dev.index-b.Dev.index, a.Addr.Compare(b.Addr))
	})
	return all
}

// AddNeighbour makes a permanent entry.
func (i *Interface) AddNeighbour(a netip.Addr, mac wire.MAC) { i.neigh.permanent(i, a, mac) }

// RemoveNeighbour takes an entry out of the table, permanent or not.
func (i *Interface) RemoveNeighbour(a netip.Addr) bool { return i.neigh.remove(i, a) }

// AddProxy makes the interface answer requests for an address that is not the namespace's (proxy ARP).
func (i *Interface) AddProxy(a netip.Addr) { i.neigh.setProxy(a, true) }

// RemoveProxy ends what AddProxy began.
func (i *Interface) RemoveProxy(a netip.Addr) { i.neigh.setProxy(a, false) }
