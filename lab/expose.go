package lab

import (
	"context"
	"net"
	"net/netip"
	"strconv"

	"github.com/netsim-lab/netsim/lab/topology"
	"github.com/netsim-lab/netsim/netns"
)

// exposeDoor opens the real socket of an exposed port. What comes in to a host or router enters the lab at the name
// server, so that the node sees it come from another machine, over its cable; what comes in to a container enters in the
// container itself, for nobody outside of its networks reaches it but by a published port of its host.
func (l *Lab) exposeDoor(e *topology.Expose) (*door, error) {
	d, err := openDoor(Listening{Kind: KindExpose, Node: e.Node.Text, Port: e.Port}, e.Listen)
	if err != nil {
		return nil, err
	}
	d.serve = func(ctx context.Context, conn *net.TCPConn) {
		if !l.isUp(ctx) {
			reset(conn)
			return
		}
		into, err := l.dialExposed(ctx, e)
		if err != nil {
			l.log.Warn("exposed port refused", "listen", d.Listen, "node", e.Target(), "error", err)
			reset(conn)
			return
		}
		splice(ctx, conn, into)
	}
	return d, nil
}

// dialExposed connects to an exposed port.
func (l *Lab) dialExposed(ctx context.Context, e *topology.Expose) (stream, error) {
	node, err := l.node(e.Node)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	from, host := node.ns, "127.0.0.1"
	if node.machine != nil {
		var addr netip.Addr
		from, addr = l.outside(node.machine)
		host = addr.String()
	}
	return asStream(from.Dial(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(int(e.Port)))))
}

// outside returns where a connection to a machine is dialled from, and to which of its addresses: from the name server,
// to an address in a subnet that it is in or at least has a way to; from the machine itself if there is no way.
func (l *Lab) outside(m *machine) (from *netns.Namespace, to netip.Addr) {
	to = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	if m.addr.IsValid() {
		to = m.addr.Addr()
	}
	for _, i := range m.ns.Interfaces() {
		for _, a := range i.Addrs() {
			if l.names.in(a) {
				return l.names.ns, a.Addr()
			}
		}
	}
	if _, ok := l.names.ns.RouteTo(to); ok && m.addr.IsValid() {
		return l.names.ns, to
	}
	return m.ns, to
}
