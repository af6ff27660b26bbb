package netns

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/wire"
)

// neighbours drives the neighbour entries of one interface: it owns their timers and the frames that wait.
type neighbours struct {
	mu      sync.RWMutex
	m       map[netip.Addr]*neighbour // guarded by mu
	proxy   map[netip.Addr]bool       // guarded by mu
	sweepAt int                       // guarded by mu: at how many entries old ones are looked for
	swept   int64                     // guarded by mu: when that was done last
	closed  bool                      // guarded by mu
}

// neighbour is an entry with its timer and what waits for it. Guarded by neighbours.mu.
type neighbour struct {
	neighEntry
	timer *time.Timer
	armed int // counts how often timer was set; one that ran out before it was set anew does nothing
	queue []*fabric.Frame
	bytes int // of queue
}

// wait appends f to what waits, and returns the frames that have to go for it, oldest first. The caller holds
// neighbours.mu.
func (e *neighbour) wait(f *fabric.Frame) (over []*fabric.Frame) {
	e.queue = append(e.queue, f)
	e.bytes += f.WireLen()
	n := 0
	for ; len(e.queue)-n > 1 && (len(e.queue)-n > maxNeighQueue || e.bytes > maxNeighBytes); n++ {
		over = append(over, e.queue[n])
		e.bytes -= e.queue[n].WireLen()
	}
	e.queue = slices.Delete(e.queue, 0, n)
	return over
}

// takeQueue returns what waits, and empties the queue. The caller holds neighbours.mu.
func (e *neighbour) takeQueue() []*fabric.Frame {
	waiting := e.queue
	e.queue, e.bytes = nil, 0
	return waiting
}

// firstSweep is at how many entries a table first looks for old ones.
const firstSweep = 1024

// fullSweepEvery is how often a full table is searched for old entries: not for each packet that finds no room.
const fullSweepEvery = time.Second

func (n *neighbours) init() { n.m, n.sweepAt = make(map[netip.Addr]*neighbour), firstSweep }

// entryLocked returns the entry of addr, made if need be; nil if there is no room for it.
func (n *neighbours) entryLocked(addr netip.Addr, at int64) *neighbour {
	e := n.m[addr]
	if e != nil || n.closed {
		return e
	}
	if full := len(n.m) >= maxNeighbours; len(n.m) >= n.sweepAt && (!full || at-n.swept >= int64(fullSweepEvery)) {
		n.sweepLocked(at)
		n.swept, n.sweepAt = at, min(max(firstSweep, 2*len(n.m)), maxNeighbours)
	}
	if len(n.m) >= maxNeighbours {
		return nil
	}
	e = &neighbour{}
	n.m[addr] = e
	return e
}

// sweepLocked forgets failed entries, and those that nobody used for long.
func (n *neighbours) sweepLocked(at int64) {
	for a, e := range n.m {
		unused := e.since
		switch e.state {
		case NeighReachable: // which nobody looked at since, or it would be stale
			unused += e.reachable
		case NeighFailed, NeighStale:
		default:
			continue
		}
		if at-unused > int64(failedLifetime) {
			delete(n.m, a)
		}
	}
}

// resolve sends f, whose network header begins its linear part, to the neighbour addr, or lets it wait.
func (i *Interface) resolve(f *fabric.Frame, addr netip.Addr, out *emitter) {
	if i.noARP {
		i.emit(f, i.mac, out)
		return
	}
	n := &i.neigh
	at := out.now()
	n.mu.RLock()
	if e := n.m[addr]; e != nil && (e.state == NeighReachable && at-e.since < e.reachable || e.state == NeighPermanent) {
		mac := e.mac
		n.mu.RUnlock()
		i.emit(f, mac, out)
		return
	}
	n.mu.RUnlock()
	i.resolveSlowly(f, addr, at, out)
}

func (i *Interface) resolveSlowly(f *fabric.Frame, addr netip.Addr, at int64, out *emitter) {
	n := &i.neigh
	n.mu.Lock()
	e := n.entryLocked(addr, at)
	if e == nil {
		n.mu.Unlock()
		i.Drop(f, fabric.DropNeighQueue, i.place)
		return
	}
	act := e.use(at)
	mac, trace := e.mac, f.Trace
	var over []*fabric.Frame
	if act.wait {
		over = e.wait(f)
	}
	i.armLocked(e, addr, act.timer)
	n.mu.Unlock()
	for _, f := range over {
		i.Drop(f, fabric.DropNeighQueue, i.place)
	}
	if act.request {
		i.requestARP(addr, wire.MAC{}, trace)
	}
	if act.send {
		i.emit(f, mac, out)
	}
}

// armLocked sets the timer of e. The caller holds neighbours.mu.
func (i *Interface) armLocked(e *neighbour, addr netip.Addr, d time.Duration) {
	if d == 0 || i.neigh.closed {
		return
	}
	e.stop()
	armed := e.armed
	e.timer = time.AfterFunc(d, func() { i.expire(e, addr, armed) })
}

// stop stops the timer. The caller holds neighbours.mu.
func (e *neighbour) stop() {
	e.armed++
	if e.timer != nil {
		e.timer.Stop()
		e.timer = nil
	}
}

// expire is called by the timer of e.
func (i *Interface) expire(e *neighbour, addr netip.Addr, armed int) {
	n := &i.neigh
	n.mu.Lock()
	if n.closed || n.m[addr] != e || e.armed != armed {
		n.mu.Unlock()
		return
	}
	act := e.neighEntry.expire(unixNano())
	mac := e.mac
	var trace *fabric.Trace // of what waits longest
	if len(e.queue) > 0 {
		trace = e.queue[0].Trace
	}
	var failed []*fabric.Frame
	if act.fail {
		failed = e.takeQueue()
	}
	i.armLocked(e, addr, act.timer)
	n.mu.Unlock()
	if act.request {
		to := wire.MAC{}
		if act.unicast {
			to = mac
		}
		i.requestARP(addr, to, trace)
	}
	for _, f := range failed {
		i.ns.neighFailed(i, f)
	}
}

// requestARP asks who has addr: everyone, or only the holder of the address to. The trace is that of the packet that needs
// to know; nil: it has none.
func (i *Interface) requestARP(addr netip.Addr, to wire.MAC, need *fabric.Trace) {
	src := i.sourceTowards(addr)
	if !src.IsValid() {
		src = netip.IPv4Unspecified()
	}
	dst := to
	if to.IsZero() {
		dst = wire.Broadcast
	}
	f := i.newARP(wire.ARPRequest, dst, src, wire.MAC{}, addr)
	need.Ask(f, i.ns.cfg.Name)
	i.transmit([]*fabric.Frame{f})
}

// AnnounceARP sends a gratuitous request for addr, so that neighbours forget who had it before. ARP knows IPv4 only.
func (i *Interface) AnnounceARP(addr netip.Addr) {
	if !addr.Is4() || i.noARP {
		return
	}
	i.transmit([]*fabric.Frame{i.newARP(wire.ARPRequest, wire.Broadcast, addr, wire.MAC{}, addr)})
}

func (i *Interface) newARP(op uint16, dst wire.MAC, src netip.Addr, targetMAC wire.MAC, target netip.Addr) *fabric.Frame {
	f := fabric.New()
	b := f.Extend(wire.EthernetLen + wire.ARPLen)
	wire.PutEthernet(b, dst, i.mac, wire.TypeARP)
	wire.PutARP(b[wire.EthernetLen:], op, i.mac, src, targetMAC, target)
	f.EtherType = wire.TypeARP
	return f
}

// inputARP handles an ARP packet that arrived on i, and frees it.
func (ns *Namespace) inputARP(i *Interface, f *fabric.Frame) {
	a, err := wire.ParseARP(f.Linear()[f.Eth().Len():])
	if err != nil {
		i.Drop(f, fabric.DropMalformed, i.place)
		return
	}
	op, senderMAC, sender, target := a.Op(), a.SenderMAC(), a.SenderIP(), a.TargetIP()
	trace := f.Trace
	f.Free()
	c := ns.conf.Load()
	forUs := ns.answersARP(c, i, target)
	known := sender != netip.IPv4Unspecified() && !sender.IsLoopback() && !senderMAC.IsMulticast() && c.local[sender] == nil
	if trace != nil && (forUs || i.neigh.proxied(target)) {
		trace.Add(fabric.Event{Kind: fabric.EventDeliver, Place: i.place})
	}
	switch {
	case op == wire.ARPReply && known:
		i.learn(sender, senderMAC, true, false)
	case op == wire.ARPRequest && (forUs || i.neigh.proxied(target)):
		if known {
			i.learn(sender, senderMAC, false, forUs)
		}
		if sender != target {
			reply := i.newARP(wire.ARPReply, senderMAC, target, senderMAC, sender)
			trace.Answer(reply, ns.cfg.Name)
			i.transmit([]*fabric.Frame{reply})
		}
	case known:
		i.learn(sender, senderMAC, false, false) // an announcement, or a request for another
	}
}

// answersARP tells whether requests for target that come in on i are answered because it is the namespace's own (L10).
func (ns *Namespace) answersARP(c *config, i *Interface, target netip.Addr) bool {
	owner, ok := c.local[target]
	if !ok || target.IsLoopback() {
		return false
	}
	return owner == i || !ns.arpIgnore.Load() || i.has(target)
}

// SetARPIgnore sets arp_ignore to 1, or back to 0: requests are answered only for addresses of the very interface that
// they come in on, not for all of the namespace's.
func (ns *Namespace) SetARPIgnore(on bool) { ns.arpIgnore.Store(on) }

// learn updates the entry of a neighbour that was heard: it answered, or it asked. Only one that asked for an address
// of the namespace's own makes a new entry.
func (i *Interface) learn(addr netip.Addr, mac wire.MAC, answered, create bool) {
	n := &i.neigh
	at := unixNano()
	n.mu.Lock()
	e := n.m[addr]
	if e == nil && create {
		e = n.entryLocked(addr, at)
	}
	if e == nil {
		n.mu.Unlock()
		return
	}
	if answered {
		e.confirm(mac, at, reachableTime())
	} else {
		e.hear(mac, at)
	}
	if e.state != NeighIncomplete && e.state != NeighDelay && e.state != NeighProbe {
		e.stop()
	}
	var ready []*fabric.Frame
	if e.state != NeighIncomplete && e.state != NeighFailed {
		ready = e.takeQueue()
	}
	to := e.mac
	n.mu.Unlock()
	i.emitAll(ready, to)
}

// emitAll sends frames that waited for the address mac.
func (i *Interface) emitAll(frames []*fabric.Frame, mac wire.MAC) {
	if len(frames) == 0 {
		return
	}
	out := i.ns.newEmitter()
	for _, f := range frames {
		i.emit(f, mac, out)
	}
	out.release()
}

// reachableTime draws how long a confirmed neighbour stays reachable. It is luck that no packet's way depends on.
func reachableTime() int64 {
	return int64(baseReachable/2) + rand.Int64N(int64(baseReachable))
}

func (n *neighbours) proxied(a netip.Addr) bool {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.proxy[a]
}

func (n *neighbours) setProxy(a netip.Addr, on bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.proxy == nil {
		n.proxy = make(map[netip.Addr]bool)
	}
	if on {
		n.proxy[a] = true
	} else {
		delete(n.proxy, a)
	}
}

func (n *neighbours) permanent(i *Interface, a netip.Addr, mac wire.MAC) {
	n.mu.Lock()
	e := n.entryLocked(a, unixNano())
	if e == nil {
		n.mu.Unlock()
		return
	}
	e.stop()
	e.permanent, e.mac = true, mac
	e.set(NeighPermanent, unixNano())
	ready := e.takeQueue()
	n.mu.Unlock()
	i.emitAll(ready, mac)
}

func (n *neighbours) remove(i *Interface, a netip.Addr) bool {
	n.mu.Lock()
	e := n.m[a]
	if e == nil {
		n.mu.Unlock()
		return false
	}
	delete(n.m, a)
	waiting := e.endLocked()
	n.mu.Unlock()
	i.failAll(waiting)
	return true
}

// endLocked stops an entry that is out of the table, and returns what waited for it.
func (e *neighbour) endLocked() []*fabric.Frame {
	e.stop()
	return e.takeQueue()
}

func (i *Interface) failAll(frames []*fabric.Frame) {
	for _, f := range frames {
		i.Drop(f, fabric.DropNeighFailed, i.place)
	}
}

// close forgets every neighbour for good; no timer runs after.
func (n *neighbours) close(i *Interface) {
	n.mu.Lock()
	n.closed = true
	var waiting []*fabric.Frame
	for _, e := range n.m {
		waiting = append(waiting, e.endLocked()...)
	}
	n.m = map[netip.Addr]*neighbour{}
	n.mu.Unlock()
	i.failAll(waiting)
}

func (n *neighbours) list(i *Interface, at int64) []Neighbour {
	n.mu.Lock()
	defer n.mu.Unlock()
	var out []Neighbour
	for a, e := range n.m {
		if e.state == NeighReachable && at-e.since >= e.reachable {
			e.set(NeighStale, at)
		}
		if e.state == NeighFailed && at-e.since > int64(failedLifetime) {
			delete(n.m, a)
			continue
		}
		out = append(out, Neighbour{Addr: a, Dev: i, MAC: e.mac, State: e.state})
	}
	return out
}

func (n *neighbours) proxies(i *Interface) []Neighbour {
	n.mu.RLock()
	defer n.mu.RUnlock()
	var out []Neighbour
	for a := range n.proxy {
		out = append(out, Neighbour{Addr: a, Dev: i, Proxy: true})
	}
	return out
}
