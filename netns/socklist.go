package netns

import (
	"net/netip"
	"slices"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
)

// Socket is a line of a listing of sockets, as netstat and ss print it.
type Socket struct {
	Proto  string         // "tcp" or "udp"
	Local  netip.AddrPort // the address is 0.0.0.0 if the socket takes packets to any
	Remote netip.AddrPort // 0.0.0.0:0 if the socket is not connected
	State  string         // as netstat prints it: LISTEN, ESTABLISHED, SYN_SENT, ...; "" for a UDP socket that is not connected
	// RecvQ and SendQ are the bytes that wait to be read, and to be acknowledged.
	RecvQ, SendQ int
}

// tcpStates are netstat's names.
var tcpStates = map[tcp.EndpointState]string{
	tcp.StateListen: "LISTEN", tcp.StateSynSent: "SYN_SENT", tcp.StateSynRecv: "SYN_RECV", tcp.StateEstablished: "ESTABLISHED",
	tcp.StateFinWait1: "FIN_WAIT1", tcp.StateFinWait2: "FIN_WAIT2", tcp.StateTimeWait: "TIME_WAIT",
	tcp.StateCloseWait: "CLOSE_WAIT", tcp.StateLastAck: "LAST_ACK", tcp.StateClosing: "CLOSING",
}

// Sockets returns all TCP and UDP sockets that listen, are connected or wait for the end of their connection, by
// protocol and addresses, tunnels among them.
func (ns *Namespace) Sockets() []Socket {
	var all []Socket
	unspecified := netip.AddrPortFrom(netip.IPv4Unspecified(), 0)
	for port := range ns.conf.Load().tunnels {
		all = append(all, Socket{Proto: "udp", Local: netip.AddrPortFrom(netip.IPv4Unspecified(), port), Remote: unspecified})
	}
	if s := ns.stack.s.Load(); s != nil {
		for _, e := range s.RegisteredEndpoints() {
			if line, ok := socketOf(e); ok {
				all = append(all, line)
			}
		}
	}
	slices.SortFunc(all, func(a, b Socket) int {
		switch {
		case a.Proto != b.Proto && a.Proto < b.Proto:
			return -1
		case a.Proto != b.Proto:
			return 1
		case a.Local != b.Local:
			return a.Local.Compare(b.Local)
		}
		return a.Remote.Compare(b.Remote)
	})
	return all
}

// socketOf lists an endpoint of the netstack; false if it is no socket of a user.
func socketOf(e any) (Socket, bool) {
	ep, ok := e.(tcpip.Endpoint)
	if !ok {
		return Socket{}, false
	}
	var s Socket
	switch ep.Info().(*stack.TransportEndpointInfo).TransProto {
	case tcp.ProtocolNumber:
		s.Proto, s.State = "tcp", tcpStates[tcp.EndpointState(ep.State())]
		if s.State == "" {
			return Socket{}, false
		}
	case udp.ProtocolNumber:
		s.Proto = "udp"
	default:
		return Socket{}, false
	}
	local, _ := ep.GetLocalAddress() // the zero address if it has none
	remote, err := ep.GetRemoteAddress()
	s.Local, s.Remote = addrPortOf(local), addrPortOf(remote)
	if s.Proto == "udp" && err == nil {
		s.State = "ESTABLISHED"
	}
	s.RecvQ, s.SendQ = waiting(ep, tcpip.ReceiveQueueSizeOption), waiting(ep, tcpip.SendQueueSizeOption)
	return s, true
}

func waiting(ep tcpip.Endpoint, queue tcpip.SockOptInt) int {
	n, err := ep.GetSockOptInt(queue)
	if err != nil {
		return 0 // it has no such queue
	}
	return n
}

func addrPortOf(a tcpip.FullAddress) netip.AddrPort {
	ip, ok := netip.AddrFromSlice(a.Addr.AsSlice())
	if !ok {
		ip = netip.IPv4Unspecified()
	}
	return netip.AddrPortFrom(ip, a.Port)
}

// udpBound tells whether a UDP socket has taken the port.
func (ns *Namespace) udpBound(port uint16) bool {
	return slices.ContainsFunc(ns.Sockets(), func(s Socket) bool {
		return s.Proto == "udp" && s.Local.Port() == port
	})
}

// listens tells whether a TCP listener has the port on that address, or one of the two is for all addresses.
func (ns *Namespace) listens(at netip.AddrPort) bool {
	return at.Port() != 0 && slices.ContainsFunc(ns.Sockets(), func(s Socket) bool {
		return s.Proto == "tcp" && s.State == "LISTEN" && s.Local.Port() == at.Port() &&
			(s.Local.Addr() == at.Addr() || s.Local.Addr().IsUnspecified() || at.Addr().IsUnspecified())
	})
}
