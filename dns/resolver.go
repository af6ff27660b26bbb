package dns

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	mdns "github.com/miekg/dns"
)

const (
	localTTL           = 600                           // seconds, of every answer from a zone
	usualAnswer        = 3 * (rrFixedLen + rdataLenV4) // bytes of records that most replies have room in
	maxUpstreams       = 3
	defaultMaxForwards = 1024
	defaultTimeout     = 4 * time.Second
)

// DialFunc opens a connection from where the asker stands, as net.Dialer.DialContext does. The network is "udp" or "tcp".
type DialFunc func(ctx context.Context, network, addr string) (net.Conn, error)

// Config describes an embedded resolver. Its zero value knows no names and answers SERVFAIL.
type Config struct {
	// Networks returns the networks that the asker is on, in the order of SortNetworks. It is called for every query,
	// possibly at once, and the result is only read. Nil: none.
	Networks func() []NetworkZone
	// Upstreams are the servers for all other names; the first three are asked, in order. Empty: none.
	Upstreams []netip.AddrPort
	// Dial reaches the upstreams. Nil: they are not reached.
	Dial DialFunc
	// Rand decides the order of addresses. Only the resolver may use it. Nil: a random seed.
	Rand *rand.Rand
	// Timeout bounds the wait for one upstream. Zero: 4 seconds.
	Timeout time.Duration
	// MaxForwards is how many queries may wait for upstreams at once; more are refused. Zero: 1024.
	MaxForwards int
	// NdotsSet says that the user has set ndots above 0: unknown names without a dot are then answered with nothing
	// instead of being forwarded, so that the client tries its search list.
	NdotsSet bool
	// Log hears of upstreams that fail and queries that are refused. Nil: silent.
	Log *slog.Logger
}

// Stats counts what became of the queries.
type Stats struct {
	Local     uint64 // answered from the zones
	Forwarded uint64 // answered by an upstream
	Failed    uint64 // answered SERVFAIL: no upstream, or none with an answer
	Refused   uint64 // answered REFUSED: too many were waiting for upstreams
	Malformed uint64 // not a query, or one that cannot be read
	Unsent    uint64 // replies that the socket did not take
}

// counters are Stats as they are counted.
type counters struct {
	local, forwarded, failed, refused, malformed, unsent atomic.Uint64
}

// snapshot returns the counts at this moment.
func (c *counters) snapshot() Stats {
	return Stats{
		Local:     c.local.Load(),
		Forwarded: c.forwarded.Load(),
		Failed:    c.failed.Load(),
		Refused:   c.refused.Load(),
		Malformed: c.malformed.Load(),
		Unsent:    c.unsent.Load(),
	}
}

// Resolver is the embedded resolver of one container or sandbox: it answers for the networks that the asker is on, and
// forwards what they do not know. All methods are safe to call at once.
type Resolver struct {
	cfg       Config
	upstreams atomic.Pointer[[]netip.AddrPort]
	waiting   chan struct{} // one element for each query that waits for upstreams
	count     counters

	mu   sync.Mutex
	rand *rand.Rand
}

// New returns a resolver. It starts nothing and opens nothing.
func New(cfg Config) *Resolver {
	if cfg.Timeout <= 0 {
		cfg.Timeout = defaultTimeout
	}
	if cfg.MaxForwards <= 0 {
		cfg.MaxForwards = defaultMaxForwards
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	r := &Resolver{cfg: cfg, waiting: make(chan struct{}, cfg.MaxForwards), rand: cfg.Rand}
	if r.rand == nil {
		r.rand = rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
	}
	r.SetUpstreams(cfg.Upstreams)
	return r
}

// SetUpstreams changes the upstream servers; queries that are waiting go on with the old ones.
func (r *Resolver) SetUpstreams(servers []netip.AddrPort) {
	servers = append([]netip.AddrPort(nil), servers[:min(len(servers), maxUpstreams)]...)
	r.upstreams.Store(&servers)
}

// Stats returns the counts so far.
func (r *Resolver) Stats() Stats { return r.count.snapshot() }

// Serve answers the queries that arrive at pc and at ln, either of which may be nil, until ctx ends or a socket fails.
// It returns after all it started has ended, with both sockets closed; nil when ctx ended or there is no socket.
func (r *Resolver) Serve(ctx context.Context, pc net.PacketConn, ln net.Listener) error {
	return serve(ctx, r, pc, ln)
}

// HandlePacket answers one UDP message, waiting for upstreams if need be. It returns nil for what must not be answered:
// replies, and messages too short to tell.
func (r *Resolver) HandlePacket(ctx context.Context, msg []byte) []byte {
	if reply, ok := r.answerNow(make([]byte, 0, len(msg)+usualAnswer), msg, overUDP); ok {
		return reply
	}
	return r.answerLater(ctx, msg, overUDP)
}

// Answer answers one query, waiting for upstreams if need be. The reply is whole, whatever its size; it is nil if the
// message is itself a reply.
func (r *Resolver) Answer(ctx context.Context, req *mdns.Msg) *mdns.Msg {
	return r.answer(ctx, req, overUDP)
}

// networks returns the networks that the asker is on.
func (r *Resolver) networks() []NetworkZone {
	if r.cfg.Networks == nil {
		return nil
	}
	return r.cfg.Networks()
}

// seed draws the luck for the order of one answer with that many addresses.
func (r *Resolver) seed(addrs int) uint64 {
	if addrs < 2 {
		return 0
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.rand.Uint64()
}

// answerNow is the short way for plain queries of known names; it neither waits nor allocates beyond dst.
func (r *Resolver) answerNow(dst, msg []byte, t transport) (reply []byte, ok bool) {
	var buf [maxName]byte
	q, ok := parsePlain(msg, &buf)
	if !ok || !isNameQuery(q.qtype) {
		return dst, false
	}
	addrs, ok := findName(r.networks(), q.name)
	if !ok {
		return dst, false
	}
	r.count.local.Add(1)
	return appendPlainReply(dst, msg, &q, plainReply{
		addrs: addrs, flags: flagRA, ttl: localTTL, seed: r.seed(len(addrs)), transport: t,
	}), true
}

// answerLater is the general way, for any message; it may wait for upstreams.
func (r *Resolver) answerLater(ctx context.Context, msg []byte, t transport) []byte {
	req := new(mdns.Msg)
	if err := req.Unpack(msg); err != nil {
		r.count.malformed.Add(1)
		return malformedReply(msg)
	}
	return packReply(r.answer(ctx, req, t), req, t)
}

// counts returns the counters, for the server loops.
func (r *Resolver) counts() *counters { return &r.count }

// answer is Answer for a query that came by t.
func (r *Resolver) answer(ctx context.Context, req *mdns.Msg, t transport) *mdns.Msg {
	if req == nil || req.Response {
		r.count.malformed.Add(1)
		return nil
	}
	if resp := refuseOdd(req); resp != nil {
		r.count.malformed.Add(1)
		return resp
	}
	if resp := r.answerLocal(req); resp != nil {
		r.count.local.Add(1)
		return resp
	}
	if q := req.Question[0]; r.cfg.NdotsSet && isAddrQuery(q.Qtype) && !strings.Contains(lowerName(q.Name), ".") {
		r.count.local.Add(1)
		return newReply(req)
	}
	return r.forward(ctx, req, t)
}

// answerLocal answers from the zones, nil if they do not know.
func (r *Resolver) answerLocal(req *mdns.Msg) *mdns.Msg {
	q := req.Question[0]
	switch {
	case q.Qclass != mdns.ClassINET:
		return nil
	case isNameQuery(q.Qtype):
		var buf [maxName]byte
		addrs, ok := findName(r.networks(), appendLower(buf[:0], q.Name))
		if !ok {
			return nil
		}
		resp := newReply(req)
		resp.Answer = addrRecords(q, addrs, localTTL, r.seed(len(addrs)))
		return resp
	case q.Qtype == mdns.TypePTR:
		addr, ok := addrFromArpa(q.Name)
		if !ok {
			return nil
		}
		name, ok := findAddr(r.networks(), addr)
		if !ok {
			return nil
		}
		resp := newReply(req)
		resp.Answer = []mdns.RR{ptrRecord(q, name, localTTL)}
		return resp
	}
	return nil
}

// isAddrQuery reports whether a query of that type asks for addresses.
func isAddrQuery(qtype uint16) bool { return rdataLen(qtype) != 0 }

// isNameQuery reports whether a query of that type is answered here, if with nothing, when the name is known.
func isNameQuery(qtype uint16) bool { return isAddrQuery(qtype) || qtype == mdns.TypeMX }
