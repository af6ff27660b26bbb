package lb

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/wire"
)

// Balancer balances frames with a Table. All methods may be called at once from several goroutines; none blocks for
// longer than a table look-up of another. New makes one.
type Balancer struct {
	place string
	clock func() int64
	on    atomic.Bool // there are services or connections

	mu    sync.Mutex
	table *Table // guarded by mu
}

// New returns a balancer without services.
func New(cfg Config) *Balancer {
	if cfg.Now == nil {
		cfg.Now = func() int64 { return time.Now().UnixNano() }
	}
	return &Balancer{place: cfg.Place, clock: cfg.Now, table: NewTable(cfg)}
}

// Enabled tells whether there is any service or connection. It costs one atomic load: a data path asks it before
// anything else.
func (b *Balancer) Enabled() bool { return b.on.Load() }

// do runs fn on the table and keeps Enabled up to date.
func (b *Balancer) do(fn func(*Table)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	fn(b.table)
	b.update()
}

// update sets what Enabled returns. The caller holds mu.
func (b *Balancer) update() {
	t := b.table
	if on := len(t.byMark)+len(t.byAddr)+len(t.conns) > 0; on != b.on.Load() {
		b.on.Store(on)
	}
}

// Request takes a frame on its way to a virtual address. If it belongs to a connection, or opens one of the service of
// mark (0: none) or else of its destination, the frame's destination becomes the real server, once for a whole train,
// and Request returns that and Handled. The frame stays the caller's whatever the verdict; the caller drops it on
// NoDestination, Drop and Full. ICMP errors about a connection follow it, other ICMP and fragments are NotMine:
// fragments must be put together before.
func (b *Balancer) Request(f *fabric.Frame, mark uint32, now int64) (netip.AddrPort, Verdict) {
	if !b.on.Load() {
		return netip.AddrPort{}, NotMine
	}
	if f.Proto == wire.ProtoICMP {
		return b.requestError(f, now)
	}
	flow, ok := flowOf(f)
	if !ok {
		return netip.AddrPort{}, NotMine
	}
	flow.Mark = mark
	b.mu.Lock()
	to, v := b.table.Pick(flow, now)
	b.update()
	by := ""
	if f.Trace != nil {
		by = b.table.describe(flow)
	}
	b.mu.Unlock()
	if v == Handled {
		f.SetDst(to)
	}
	if v != NotMine && f.Trace != nil {
		e := b.event(flow.Dst.String(), v.String(), now)
		if e.By = by; v == Handled {
			e.After = to.String()
		}
		f.Trace.Add(e)
	}
	return to, v
}

// Reply takes a frame that may come from a real server. If it answers a connection, its source becomes the virtual
// address, once for a whole train. It is false, and the frame as it was, if not.
func (b *Balancer) Reply(f *fabric.Frame, now int64) bool {
	if !b.on.Load() {
		return false
	}
	if f.Proto == wire.ProtoICMP {
		return b.replyError(f, now)
	}
	flow, ok := flowOf(f)
	if !ok {
		return false
	}
	b.mu.Lock()
	from, ok := b.table.Reply(flow, now)
	b.update()
	b.mu.Unlock()
	if ok {
		f.SetSrc(from)
		b.trace(f, flow.Src, from, now)
	}
	return ok
}

// requestError sends an ICMP error about a reply on to the real server that sent that.
func (b *Balancer) requestError(f *fabric.Frame, now int64) (netip.AddrPort, Verdict) {
	q, ok := errorOf(f)
	if !ok {
		return netip.AddrPort{}, NotMine
	}
	b.mu.Lock()
	real, ok := b.table.relatedRequest(q, now)
	b.update()
	b.mu.Unlock()
	if !ok {
		return netip.AddrPort{}, NotMine
	}
	before, to := f.Dst(), netip.AddrPortFrom(real.unpack().Addr(), 0)
	q.setSrc(real)
	f.SetDst(to)
	b.trace(f, before, to, now)
	return to, Handled
}

// replyError makes an ICMP error about a request look as if the virtual address had sent it.
func (b *Balancer) replyError(f *fabric.Frame, now int64) bool {
	q, ok := errorOf(f)
	if !ok {
		return false
	}
	b.mu.Lock()
	virtual, ok := b.table.relatedReply(q, now)
	b.update()
	b.mu.Unlock()
	if !ok {
		return false
	}
	before, from := f.Src(), netip.AddrPortFrom(virtual.unpack().Addr(), 0)
	q.setDst(virtual)
	f.SetSrc(from)
	b.trace(f, before, from, now)
	return true
}

// trace tells a marked frame's trace of a rewrite. Nothing is put into words for others.
func (b *Balancer) trace(f *fabric.Frame, before, after netip.AddrPort, now int64) {
	if f.Trace == nil {
		return
	}
	if f.Proto == wire.ProtoICMP { // whose ports mean nothing
		f.Trace.Add(b.event(before.Addr().String(), after.Addr().String(), now))
		return
	}
	f.Trace.Add(b.event(before.String(), after.String(), now))
}

func (b *Balancer) event(before, after string, now int64) fabric.Event {
	return fabric.Event{Kind: fabric.EventIPVS, Place: b.place, Before: before, After: after, At: now}
}

// flowOf reads a whole TCP or UDP packet over IPv4; false if the frame is something else.
func flowOf(f *fabric.Frame) (Flow, bool) {
	h := f.IPv4()
	if h == nil || h.IsFragment() {
		return Flow{}, false
	}
	flow := Flow{Proto: f.Proto}
	switch f.Proto {
	case wire.ProtoTCP:
		tcp := f.TCP()
		if tcp == nil {
			return Flow{}, false
		}
		flow.Flags = tcp.Flags()
	case wire.ProtoUDP:
		if f.UDP() == nil {
			return Flow{}, false
		}
	default:
		return Flow{}, false
	}
	link := len(f.Linear()) - len(h) // what lies in front of the IP header, in every wire frame
	flow.Src, flow.Dst = f.Src(), f.Dst()
	flow.Packets = uint64(f.Segs)
	flow.Bytes = uint64(max(f.WireLen()-link*int(f.Segs), 0))
	return flow, true
}

// errorOf reads what an ICMP error quotes; false if the frame is no whole error.
func errorOf(f *fabric.Frame) (quote, bool) {
	if h := f.IPv4(); h == nil || h.IsFragment() {
		return quote{}, false
	}
	return readQuote(f.ICMP())
}
