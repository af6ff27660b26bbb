package fabric

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/netsim-lab/netsim/fabric/wire"
)

// Bounds of a Recorder: what one command causes may be a download.
const (
	// MaxPackets is how many packets a Recorder keeps: the first half of them, and the latest half.
	MaxPackets = 1024
	// MaxFlows is how many flows it follows.
	MaxFlows = 1024
	// packetEvents bounds the events of one packet, all its copies together.
	packetEvents = 512
	// headMax is how much of a packet's payload is kept, to say what it is about.
	headMax = 96
)

// Flow is a conversation that a Recorder follows: the packets between two sockets, both ways, as the one that began it
// sees its ends.
type Flow struct {
	ID       int
	Proto    byte           // wire.ProtoTCP and so on
	Src, Dst netip.AddrPort // an ICMP echo has its identifier for ports
	Place    string         // the namespace that it began in
	Cause    *Flow          // the flow that its program opened it because of; nil: the command itself

	rec *Recorder
}

// Origin is why a socket is opened, where that is followed: because of a command, or of another flow. It travels in a
// context. A nil Origin follows nothing.
type Origin struct {
	rec   *Recorder
	cause *Flow
}

type originKey struct{}

// Follow returns a context whose sockets r follows.
func Follow(ctx context.Context, r *Recorder) context.Context {
	return withOrigin(ctx, &Origin{rec: r})
}

func withOrigin(ctx context.Context, o *Origin) context.Context {
	return context.WithValue(ctx, originKey{}, o)
}

// OriginOf returns what ctx is followed for; nil: it is not.
func OriginOf(ctx context.Context) *Origin {
	o, _ := ctx.Value(originKey{}).(*Origin)
	if o == nil || !o.rec.On() {
		return nil
	}
	return o
}

// Because returns a context whose sockets are followed because of fl; ctx itself if that is nil.
func (fl *Flow) Because(ctx context.Context) context.Context {
	if fl == nil {
		return ctx
	}
	return withOrigin(ctx, &Origin{rec: fl.rec, cause: fl})
}

// Ends names a flow as a namespace sees it.
type Ends struct {
	Proto         byte
	Local, Remote netip.AddrPort
}

// flowKey is a flow at a place.
type flowKey struct {
	at any // whatever names the place
	Ends
}

// side is a direction of a flow.
type side struct {
	flow *Flow
	back bool
}

// Recorder follows all packets that a command causes: those of its own sockets, the answers to them, and those of
// sockets that others open because of them. Packets carry their mark (Frame.Trace) through copies, translations and
// tunnels; where one is delivered the Recorder learns which packets will be answers to it. All methods may be called at once.
type Recorder struct {
	off atomic.Bool

	mu      sync.Mutex
	flows   []*Flow          // guarded by mu
	keys    map[flowKey]side // guarded by mu
	ends    []func()         // guarded by mu
	first   []*Trace         // guarded by mu
	latest  []*Trace         // guarded by mu; a ring
	packets int              // guarded by mu; that there were
}

// NewRecorder returns a Recorder that is on, until Stop.
func NewRecorder() *Recorder { return &Recorder{keys: make(map[flowKey]side)} }

// On tells whether packets are recorded.
func (r *Recorder) On() bool { return !r.off.Load() }

// Stop ends the recording: no packet is marked any more, and who was told by AtEnd is called.
func (r *Recorder) Stop() {
	r.off.Store(true)
	r.mu.Lock()
	ends := r.ends
	r.ends = nil
	r.mu.Unlock()
	for _, end := range ends {
		end()
	}
}

// AtEnd has end called by Stop; at once if that was already.
func (r *Recorder) AtEnd(end func()) {
	r.mu.Lock()
	if r.On() {
		r.ends = append(r.ends, end)
		end = nil
	}
	r.mu.Unlock()
	if end != nil {
		end()
	}
}

// Open begins to follow the flow that a socket at a place has; place is its name. What is known of it stays. It returns nil
// if there are too many.
func (o *Origin) Open(at any, place string, e Ends) *Flow {
	r := o.rec
	r.mu.Lock()
	defer r.mu.Unlock()
	k := flowKey{at, e}
	if w, ok := r.keys[k]; ok {
		return w.flow
	}
	if r.off.Load() || len(r.flows) >= MaxFlows {
		return nil
	}
	fl := &Flow{ID: len(r.flows) + 1, Proto: e.Proto, Src: e.Local, Dst: e.Remote, Place: place, Cause: o.cause, rec: r}
	r.flows = append(r.flows, fl)
	r.keys[k] = side{flow: fl}
	return fl
}

// Recorder returns who follows.
func (o *Origin) Recorder() *Recorder { return o.rec }

// FlowAt returns the flow that packets at a place belong to; nil if they are not followed. A local address that is
// unspecified, as that of a socket for all, is any.
func (r *Recorder) FlowAt(at any, e Ends) *Flow {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !e.Local.Addr().IsUnspecified() {
		return r.keys[flowKey{at, e}].flow
	}
	for k, s := range r.keys {
		if k.at == at && k.Proto == e.Proto && k.Local.Port() == e.Local.Port() && k.Remote == e.Remote {
			return s.flow
		}
	}
	return nil
}

// Mark marks a packet that a place is about to send if it belongs to a flow that is followed, and tells whether it did.
func (r *Recorder) Mark(f *Frame, at any, place string, e Ends) bool {
	r.mu.Lock()
	w := r.keys[flowKey{at, e}]
	r.mu.Unlock()
	if w.flow == nil {
		return false
	}
	r.begin(f, w, place)
	return true
}

// begin gives f a trace of its own, unless it is off.
func (r *Recorder) begin(f *Frame, w side, place string) {
	if r.off.Load() {
		return
	}
	t := &Trace{flow: w.flow, back: w.back, place: place, at: now(), packet: infoOf(f), most: packetEvents}
	f.Trace = t
	r.mu.Lock()
	defer r.mu.Unlock()
	t.id = r.packets
	r.packets++
	const half = MaxPackets / 2
	switch {
	case len(r.first) < half:
		r.first = append(r.first, t)
	case len(r.latest) < half:
		r.latest = append(r.latest, t)
	default:
		r.latest[t.id%half] = t
	}
}

// Delivered notes that a marked packet was handed to the sockets of a place: what goes the other way there answers it. It
// returns the Recorder; nil if the packet is marked for itself alone.
func (t *Trace) Delivered(at any, e Ends) *Recorder {
	if t.flow == nil {
		return nil
	}
	r := t.flow.rec
	r.mu.Lock()
	defer r.mu.Unlock()
	if k := (flowKey{at, e}); len(r.keys) < 4*MaxFlows && !r.off.Load() && r.keys[k].flow == nil {
		r.keys[k] = side{t.flow, !t.back}
	}
	return r
}

// Answer marks f, which place made because of the packet of t: the reply to an echo request or an ARP request, an ICMP error, a
// reset. A nil t marks nothing.
func (t *Trace) Answer(f *Frame, place string) { t.derive(f, place, true) }

// Ask marks f, which place has to send before the packet of t can go on: an ARP request.
func (t *Trace) Ask(f *Frame, place string) { t.derive(f, place, false) }

func (t *Trace) derive(f *Frame, place string, turn bool) {
	switch {
	case t == nil:
	case t.flow == nil:
		f.Trace = t
	default:
		t.flow.rec.begin(f, side{t.flow, t.back != turn}, place)
	}
}

// PacketInfo is what the headers of a packet said when it was sent first.
type PacketInfo struct {
	EtherType uint16
	Proto     byte
	Src, Dst  netip.AddrPort
	Flags     byte   // of TCP
	Type      byte   // of ICMP
	Code      byte   // of ICMP
	Seq       uint16 // of an ICMP echo
	Size      int    // bytes behind the transport header
	Segs      int    // wire frames
	Head      []byte // the first of those bytes
}

// infoOf reads what there is to say of a packet that has been parsed.
func infoOf(f *Frame) PacketInfo {
	p := PacketInfo{EtherType: f.EtherType, Proto: f.Proto, Src: f.Src(), Dst: f.Dst(), Segs: int(f.Segs)}
	if f.EtherType == wire.TypeARP {
		if a, err := wire.ParseARP(f.Linear()[f.Eth().Len():]); err == nil {
			p.Src, p.Dst = netip.AddrPortFrom(a.SenderIP(), 0), netip.AddrPortFrom(a.TargetIP(), 0)
			p.Code = byte(a.Op())
		}
		return p
	}
	off := 0
	switch l4 := f.L4(); {
	case f.TCP() != nil:
		p.Flags, off = f.TCP().Flags(), f.TCP().HeaderLen()
	case f.UDP() != nil:
		off = wire.UDPLen
	case f.ICMP() != nil:
		m := f.ICMP()
		p.Type, p.Code, off = m.Type(), m.Code(), wire.ICMPLen
		if f.isEcho() {
			p.Seq = be16(l4[6:])
		}
	default:
		return p
	}
	l4 := f.L4()
	rest := l4[min(off, len(l4)):]
	p.Size = len(rest) + int(f.payload.Size())
	p.Head = append(p.Head, rest[:min(headMax, len(rest))]...)
	p.Head = f.appendPayload(p.Head, 0, min(headMax-len(p.Head), int(f.payload.Size())))
	return p
}

// RecordedPacket is the way of one packet.
type RecordedPacket struct {
	PacketInfo
	ID     int
	Flow   *Flow
	Back   bool   // it goes from Flow.Dst to Flow.Src
	Place  string // the namespace that sent it
	At     int64  // when, in nanoseconds of Unix time
	Events []Event
	Lost   int // events that were not kept
}

// Packets returns the packets so far in the order in which they were sent, and how many more there were: those are
// neither of the first nor of the latest.
func (r *Recorder) Packets() (packets []RecordedPacket, left int) {
	r.mu.Lock()
	all := slices.Concat(r.first, r.latest)
	left = r.packets - len(all)
	r.mu.Unlock()
	slices.SortFunc(all, func(a, b *Trace) int { return a.id - b.id })
	for _, t := range all {
		p := RecordedPacket{PacketInfo: t.packet, ID: t.id, Flow: t.flow, Back: t.back, Place: t.place, At: t.at}
		p.Events, p.Lost = t.Events()
		packets = append(packets, p)
	}
	return packets, left
}
