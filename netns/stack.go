package netns

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"gvisor.dev/gvisor/pkg/log"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/ports"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
)

const (
	nicID = 1
	// gsoMax is the largest train that TCP hands over: 64 wire frames at most over a real UDP socket, and room for
	// the outer headers below the 65,535 bytes of an IP packet.
	gsoMax = 60000
	// TCP's buffers begin as tcpBuffer and grow with the flow: Linux's tcp_rmem begins at 128 KiB, its tcp_wmem ends at
	// 4 MiB, and about half of its 6 MiB of tcp_rmem is window. Windows of a MiB from the start overflow the queue of a
	// namespace with hundreds of flows, and those over 4 MiB do not stay in the processor's cache.
	tcpBuffer    = 128 << 10
	tcpBufferMax = 4 << 20
)

// stackHolder holds the netstack of a namespace, which is attached when the first socket is opened.
type stackHolder struct {
	s     atomic.Pointer[netstack]
	ended atomic.Bool // the namespace ends: no more sockets
	mu    sync.Mutex  // held while a netstack is made or closed; taken before Namespace.mu
}

// netstack is a gVisor stack attached to a namespace as a device that carries IP only.
type netstack struct {
	*stack.Stack
	ns       *Namespace
	dispatch atomic.Pointer[stack.NetworkDispatcher]
	mu       sync.Mutex
	addrs    map[netip.Addr]bool // guarded by mu: what the device has
	extra    map[netip.Addr]bool // guarded by mu: those of 127.0.0.0/8 that were used
	ports    map[uint16]bool     // guarded by mu: the ports of tunnels, which no UDP socket may take
	noProbes bool                // guarded by mu: RACK is off, which it is not at first
	closing  closing
}

// attached tells whether there is a netstack.
func (h *stackHolder) attached() bool { return h.s.Load() != nil }

// netstack returns the namespace's netstack, which the first call makes.
func (ns *Namespace) netstack() (*netstack, error) {
	h := &ns.stack
	if h.ended.Load() {
		return nil, errEnded
	}
	if s := h.s.Load(); s != nil {
		return s, nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.ended.Load() {
		return nil, errEnded
	}
	if s := h.s.Load(); s != nil {
		return s, nil
	}
	s, err := newNetstack(ns)
	if err != nil {
		return nil, fmt.Errorf("open a socket in %s: %w", ns.cfg.Name, err)
	}
	s.configure() // who finds it below may use it at once
	h.s.Store(s)
	s.configure() // for changes that did not find it yet
	return s, nil
}

// begin refuses sockets from now on, and has the netstack end those there are.
func (h *stackHolder) begin() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ended.Store(true)
	if s := h.s.Load(); s != nil {
		s.closing.on.Store(true)
	}
}

func (h *stackHolder) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if s := h.s.Load(); s != nil {
		s.Stack.Close()
		s.Stack.Wait()
	}
}

// sync gives the netstack the addresses and routes of the present configuration.
func (h *stackHolder) sync() {
	if s := h.s.Load(); s != nil {
		s.configure()
	}
}

// silence keeps the netstack's own log off standard error, where it would stand amid a lab's output: what goes wrong is
// said by the errors of calls and by counters.
var silence = sync.OnceFunc(func() { log.SetTarget(silent{}) })

// silent is a log that nobody reads.
type silent struct{}

// Emit implements log.Emitter.
func (silent) Emit(int, log.Level, time.Time, string, ...any) {}

func newNetstack(ns *Namespace) (*netstack, error) {
	silence()
	ns.mu.Lock()
	seed := ns.luck.Uint64()
	ns.mu.Unlock()
	s := &netstack{ns: ns, addrs: map[netip.Addr]bool{}, extra: map[netip.Addr]bool{}, ports: map[uint16]bool{}}
	s.Stack = stack.New(stack.Options{
		NetworkProtocols: []stack.NetworkProtocolFactory{
			ipv4.NewProtocolWithOptions(ipv4.Options{AllowExternalLoopbackTraffic: true}),
		},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol, udp.NewProtocol},
		// Packets to the namespace itself leave the stack like all others: netfilter and lo have to see them.
		HandleLocal: false,
		RandSource:  &randSource{r: rand.New(rand.NewPCG(seed, 1))},
		SecureRNG:   secureLuck(seed),
	})
	err := s.tune()
	if err == nil {
		if terr := s.CreateNIC(nicID, s); terr != nil {
			err = errnoOf(terr)
		}
	}
	if err != nil {
		s.Stack.Close()
		s.Stack.Wait()
		return nil, err
	}
	return s, nil
}

// tune sets what Linux has by default.
func (s *netstack) tune() error {
	sack := tcpip.TCPSACKEnabled(true)
	moderate := tcpip.TCPModerateReceiveBufferOption(true)
	cubic := tcpip.CongestionControlOption("cubic")
	rcv := tcpip.TCPReceiveBufferSizeRangeOption{Min: 4096, Default: tcpBuffer, Max: tcpBufferMax}
	snd := tcpip.TCPSendBufferSizeRangeOption{Min: 4096, Default: tcpBuffer, Max: tcpBufferMax}
	for _, o := range []tcpip.SettableTransportProtocolOption{&sack, &moderate, &cubic, &rcv, &snd} {
		if err := s.SetTransportProtocolOption(tcp.ProtocolNumber, o); err != nil {
			return errnoOf(err)
		}
	}
	// ip_local_port_range of Linux.
	if err := s.SetPortRange(32768, 60999); err != nil {
		return errnoOf(err)
	}
	return nil
}

// setRecoveryLocked chooses how new connections find losses. Where a path loses frames, and TCP therefore sends no trains, RACK
// (RFC 8985) is what keeps recovery out of time-outs. On a clean path its tail loss probes do harm: a receiver whose
// goroutine waits for a processor answers later than two round trips of some microseconds, and the netstack takes the
// probe that was sent then for a loss, cutting the congestion window by a third. Drops of a full queue are found by
// duplicate acknowledgements (RFC 6675) then.
func (s *netstack) setRecoveryLocked() {
	clean := s.ns.Segmentation()
	if s.noProbes == clean {
		return
	}
	recovery := tcpip.TCPRACKLossDetection
	if clean {
		recovery = 0
	}
	if s.SetTransportProtocolOption(tcp.ProtocolNumber, &recovery) == nil {
		s.noProbes = clean
	}
}

// configure makes the stack's addresses, ports and routes those of the namespace: one device, a route per line of the
// table with its source and MTU, and one per address of its own.
func (s *netstack) configure() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.setRecoveryLocked()
	c := s.ns.conf.Load()
	want := maps.Clone(s.extra)
	for a := range c.local {
		want[a] = true
	}
	for a := range c.bcast {
		want[a] = true
	}
	for a := range s.addrs {
		if !want[a] {
			s.RemoveAddress(nicID, tcpipAddr(a)) //nolint:errcheck // it may be gone
			delete(s.addrs, a)
		}
	}
	for a := range want {
		if !s.addrs[a] {
			s.addAddrLocked(a, c.bcast[a] != nil && c.local[a] == nil)
		}
	}
	s.reserveLocked(c)
	s.SetRouteTable(s.routes(c))
}

// addAddrLocked gives the device an address; packets come to a broadcast address, but never from one.
func (s *netstack) addAddrLocked(a netip.Addr, broadcast bool) {
	p := tcpip.ProtocolAddress{Protocol: ipv4.ProtocolNumber, AddressWithPrefix: tcpipAddr(a).WithPrefix()}
	props := stack.AddressProperties{}
	if broadcast {
		props.PEB = stack.NeverPrimaryEndpoint
	}
	if err := s.AddProtocolAddress(nicID, p, props); err == nil {
		s.addrs[a] = true
	}
}

// reserveLocked keeps the ports of tunnels from UDP sockets. A port that a socket had before is the tunnel's all the
// same, for packets ask tunnels first.
func (s *netstack) reserveLocked(c *config) {
	for port := range s.ports {
		if c.tunnels[port] == nil {
			s.ReleasePort(tunnelPort(port))
			delete(s.ports, port)
		}
	}
	for port := range c.tunnels {
		if s.ports[port] {
			continue
		}
		if _, err := s.ReservePort(s.SecureRNG(), tunnelPort(port), nil); err == nil {
			s.ports[port] = true
		}
	}
}

func tunnelPort(port uint16) ports.Reservation {
	return ports.Reservation{Networks: []tcpip.NetworkProtocolNumber{ipv4.ProtocolNumber}, Transport: udp.ProtocolNumber, Port: port}
}

func (s *netstack) routes(c *config) []tcpip.Route {
	var rs []tcpip.Route
	add := func(p netip.Prefix, src netip.Addr, mtu int) {
		sub, err := tcpip.NewSubnet(tcpipAddr(p.Masked().Addr()), tcpip.MaskFromBytes(maskOf(p.Bits())))
		if err != nil {
			return
		}
		r := tcpip.Route{Destination: sub, NIC: nicID, MTU: uint32(mtu)}
		if src.IsValid() {
			r.SourceHint = tcpipAddr(src)
		}
		rs = append(rs, r)
	}
	for a := range c.local {
		add(netip.PrefixFrom(a, 32), s.ns.localSource(c, a), LoopbackMTU-1)
	}
	for i := range c.fib.routes {
		r := &c.fib.routes[i]
		add(r.Dst, s.ns.sourceFor(r, r.Dst.Addr()), r.mtu())
	}
	add(netip.PrefixFrom(localhost, 8), localhost, LoopbackMTU-1)
	return rs
}

func maskOf(bits int) []byte {
	var m [4]byte
	for b := range bits {
		m[b/8] |= 0x80 >> (b % 8)
	}
	return m[:]
}

// bindable makes sure that the device has an address of the namespace that a socket is to be bound to: not all of
// 127.0.0.0/8 is there from the beginning. Addresses of others are an error.
func (s *netstack) bindable(a netip.Addr) error {
	switch {
	case !a.IsValid() || a.IsUnspecified():
		return nil
	case !s.ns.deliverable(s.ns.conf.Load(), a):
		return os.NewSyscallError("bind", syscall.EADDRNOTAVAIL)
	case a.IsLoopback():
		s.useLoopback(a)
	}
	return nil
}

// useLoopback gives the device an address of 127.0.0.0/8.
func (s *netstack) useLoopback(a netip.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.addrs[a] {
		s.extra[a] = true
		s.addAddrLocked(a, false)
	}
}

func tcpipAddr(a netip.Addr) tcpip.Address { return tcpip.AddrFromSlice(a.AsSlice()) }

// randSource makes a seeded generator the math/rand source that gVisor asks for.
type randSource struct {
	mu sync.Mutex
	r  *rand.Rand
}

func (r *randSource) Int63() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.r.Int64()
}

func (r *randSource) Seed(int64) {}
