package netns

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"syscall"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/waiter"
)

// errEnded is what a socket call on a namespace that has ended returns.
var errEnded = fmt.Errorf("namespace has ended: %w", net.ErrClosed)

// Dial connects to an address in the namespace: network is tcp, tcp4, udp or udp4, address host:port. A host that is no
// address is looked up with the namespace's resolver. Errors are *net.OpError around the errno that Linux gives
// (syscall.ECONNREFUSED, EHOSTUNREACH, ENETUNREACH, ETIMEDOUT). It blocks until the connection stands or ctx ends.
func (ns *Namespace) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	return ns.DialFrom(ctx, network, netip.AddrPort{}, address)
}

// DialFrom is Dial from a local address and port, each of which may be zero.
func (ns *Namespace) DialFrom(ctx context.Context, network string, local netip.AddrPort, address string) (net.Conn, error) {
	fail := func(to net.Addr, err error) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Net: network, Addr: to, Err: err}
	}
	if err := checkNetwork(network); err != nil {
		return fail(nil, err)
	}
	targets, err := ns.targets(ctx, address)
	if err != nil {
		return fail(nil, err)
	}
	s, err := ns.netstack()
	if err != nil {
		return fail(nil, err)
	}
	var last error
	for _, to := range targets {
		conn, err := s.dial(ctx, network, local, to)
		if err == nil {
			return conn, nil
		}
		last = &net.OpError{Op: "dial", Net: network, Addr: netAddr(network, to), Err: err}
		if ctx.Err() != nil {
			break
		}
	}
	return nil, last
}

// netAddr is to as an address of the network.
func netAddr(network string, to netip.AddrPort) net.Addr {
	if network == "udp" || network == "udp4" {
		return net.UDPAddrFromAddrPort(to)
	}
	return net.TCPAddrFromAddrPort(to)
}

func checkNetwork(network string) error {
	switch network {
	case "tcp", "tcp4", "udp", "udp4":
		return nil
	}
	return net.UnknownNetworkError(network)
}

// targets resolves host:port.
func (ns *Namespace) targets(ctx context.Context, address string) ([]netip.AddrPort, error) {
	host, service, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	port, err := strconv.ParseUint(service, 10, 16)
	if err != nil {
		return nil, &net.AddrError{Err: "invalid port", Addr: address}
	}
	addrs, err := ns.LookupHost(ctx, host)
	if err != nil {
		return nil, err
	}
	out := make([]netip.AddrPort, 0, len(addrs))
	for _, a := range addrs {
		if a.Is4() {
			out = append(out, netip.AddrPortFrom(a, uint16(port)))
		}
	}
	if len(out) == 0 {
		return nil, &net.AddrError{Err: "no IPv4 address", Addr: address}
	}
	return out, nil
}

// LookupHost turns a host name, or an address in text, into addresses.
func (ns *Namespace) LookupHost(ctx context.Context, host string) ([]netip.Addr, error) {
	if host == "" {
		return []netip.Addr{localhost}, nil
	}
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a.Unmap()}, nil
	}
	ns.mu.Lock()
	resolve := ns.cfg.Resolve
	ns.mu.Unlock()
	if resolve == nil && host == "localhost" {
		return []netip.Addr{localhost}, nil
	}
	if resolve == nil {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	return resolve(ctx, host)
}

func (s *netstack) dial(ctx context.Context, network string, local, to netip.AddrPort) (net.Conn, error) {
	if err := s.bindable(local.Addr()); err != nil {
		return nil, err
	}
	if _, err := s.ns.source(s.ns.conf.Load(), to.Addr()); err != nil {
		return nil, os.NewSyscallError("connect", err)
	}
	if network == "udp" || network == "udp4" {
		c, err := s.listenUDP(ctx, local, &to)
		if err != nil {
			return nil, err
		}
		return s.ns.hold(c), nil
	}
	return s.dialTCP(ctx, local, to)
}

// dialTCP connects. It ends with ctx, and with the namespace.
func (s *netstack) dialTCP(ctx context.Context, local, to netip.AddrPort) (net.Conn, error) {
	wq := new(waiter.Queue)
	ep, terr := s.NewEndpoint(tcp.ProtocolNumber, ipv4.ProtocolNumber, wq)
	if terr != nil {
		return nil, os.NewSyscallError("socket", errnoOf(terr))
	}
	own(ctx, ep)
	entry, ready := waiter.NewChannelEntry(waiter.WritableEvents)
	wq.EventRegister(&entry)
	defer wq.EventUnregister(&entry)
	if isBound(local) {
		if terr := ep.Bind(fullAddress(local)); terr != nil {
			ep.Close()
			return nil, os.NewSyscallError("bind", errnoOf(terr))
		}
	}
	terr = ep.Connect(fullAddress(to))
	if _, started := terr.(*tcpip.ErrConnectStarted); started {
		select {
		case <-ready:
			terr = ep.LastError()
		case <-ctx.Done():
			ep.Close()
			return nil, ctx.Err()
		case <-s.ns.done:
			ep.Close()
			return nil, errEnded
		}
	}
	if terr != nil {
		ep.Close()
		return nil, os.NewSyscallError("connect", errnoOf(terr))
	}
	return s.ns.newConn(gonet.NewTCPConn(wq, ep)), nil
}

// isBound tells whether an address or a port is asked for.
func isBound(local netip.AddrPort) bool {
	return local.Port() != 0 || local.Addr().IsValid() && !local.Addr().IsUnspecified()
}

func fullAddress(a netip.AddrPort) tcpip.FullAddress {
	f := tcpip.FullAddress{NIC: 0, Port: a.Port()}
	if a.Addr().IsValid() && !a.Addr().IsUnspecified() {
		f.Addr = tcpipAddr(a.Addr())
	}
	return f
}

// Listen opens a TCP listener: network is tcp or tcp4, address [host]:port with port 0 for any that is free.
func (ns *Namespace) Listen(network, address string) (net.Listener, error) {
	fail := func(err error) (net.Listener, error) {
		return nil, &net.OpError{Op: "listen", Net: network, Err: fmt.Errorf("%s: %w", address, err)}
	}
	if network != "tcp" && network != "tcp4" {
		return fail(net.UnknownNetworkError(network))
	}
	s, at, err := ns.bindAddress(address)
	if err != nil {
		return fail(err)
	}
	if ns.listens(at) {
		return fail(os.NewSyscallError("bind", syscall.EADDRINUSE))
	}
	wq := new(waiter.Queue)
	ep, terr := s.NewEndpoint(tcp.ProtocolNumber, ipv4.ProtocolNumber, wq)
	if terr != nil {
		return fail(os.NewSyscallError("socket", errnoOf(terr)))
	}
	ep.SocketOptions().SetReuseAddress(true) // as Go does everywhere: what waits in TIME_WAIT does not hold the port
	if terr := ep.Bind(fullAddress(at)); terr != nil {
		ep.Close()
		return fail(os.NewSyscallError("bind", errnoOf(terr)))
	}
	if terr := ep.Listen(backlog); terr != nil {
		ep.Close()
		return fail(os.NewSyscallError("listen", errnoOf(terr)))
	}
	l := &listener{TCPListener: gonet.NewTCPListener(s.Stack, wq, ep), socket: socket{ns: ns}}
	ns.holdCloser(l)
	return l, nil
}

// backlog is how many connections wait to be accepted (net.core.somaxconn before Linux 5.4).
const backlog = 128

// ListenPacket opens a UDP socket: network is udp or udp4, address [host]:port with port 0 for any that is free.
func (ns *Namespace) ListenPacket(network, address string) (net.PacketConn, error) {
	fail := func(err error) (net.PacketConn, error) {
		return nil, &net.OpError{Op: "listen", Net: network, Err: fmt.Errorf("%s: %w", address, err)}
	}
	if network != "udp" && network != "udp4" {
		return fail(net.UnknownNetworkError(network))
	}
	s, at, err := ns.bindAddress(address)
	if err != nil {
		return fail(err)
	}
	c, err := s.listenUDP(context.Background(), at, nil)
	if err != nil {
		return fail(err)
	}
	ns.holdCloser(c)
	return c, nil
}

func (ns *Namespace) bindAddress(address string) (*netstack, netip.AddrPort, error) {
	host, service, err := net.SplitHostPort(address)
	if err != nil {
		return nil, netip.AddrPort{}, err
	}
	port, err := strconv.ParseUint(service, 10, 16)
	if err != nil {
		return nil, netip.AddrPort{}, &net.AddrError{Err: "invalid port", Addr: address}
	}
	a := netip.IPv4Unspecified()
	if host == "localhost" {
		a = localhost
	} else if host != "" {
		if a, err = netip.ParseAddr(host); err != nil {
			return nil, netip.AddrPort{}, &net.AddrError{Err: "not an address", Addr: address}
		}
	}
	if a = a.Unmap(); !a.Is4() {
		return nil, netip.AddrPort{}, &net.AddrError{Err: "not an IPv4 address", Addr: address}
	}
	s, err := ns.netstack()
	if err != nil {
		return nil, netip.AddrPort{}, err
	}
	return s, netip.AddrPortFrom(a, uint16(port)), s.bindable(a)
}
