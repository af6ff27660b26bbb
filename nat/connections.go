package nat

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/netsim-lab/netsim/fabric/wire"
)

// Flow is one direction of a connection. Ports are 0 where the protocol has none; for ICMP there are ID, Type and Code.
type Flow struct {
	Src, Dst   netip.AddrPort
	ID         uint16
	Type, Code uint8
}

// Connection is a reading of one entry of the connection table.
type Connection struct {
	Proto    uint8
	State    string        // of TCP: "ESTABLISHED" and so on; empty for other protocols
	Expires  time.Duration // from now on
	Original Flow          // of the first packet, before it was translated
	Reply    Flow          // of the packets that answer it, before they are translated back
	Replied  bool          // such a packet was seen
	Assured  bool          // it is not dropped to make room
	SNAT     bool
	DNAT     bool
}

// Connections returns the connections that live at a time, oldest first.
func (n *Netfilter) Connections(at int64) []Connection {
	n.mu.Lock()
	live := make([]conn, 0, len(n.ct.list))
	for _, c := range n.ct.list {
		if c.expires > at {
			live = append(live, *c)
		}
	}
	n.mu.Unlock()
	slices.SortFunc(live, func(a, b conn) int { return cmp.Compare(a.id, b.id) })
	all := make([]Connection, len(live))
	for i := range live {
		all[i] = live[i].read(at)
	}
	return all
}

// Count returns the number of connections in the table, those included that expired and were not yet removed.
func (n *Netfilter) Count() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.ct.list)
}

// Expire removes all connections whose time is over. It is never needed, for packets do it little by little.
func (n *Netfilter) Expire(at int64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.ct.sweep(at, len(n.ct.list))
}

// Forget removes the connections for which match returns true, and returns how many there were, as conntrack -D does.
// A nil match removes all. match is called with no lock held.
func (n *Netfilter) Forget(at int64, match func(Connection) bool) int {
	n.mu.Lock()
	list := slices.Clone(n.ct.list)
	seen := make([]conn, len(list))
	for i, c := range list {
		seen[i] = *c
	}
	n.mu.Unlock()
	var gone []*conn
	for i := range seen {
		if match == nil || match(seen[i].read(at)) {
			gone = append(gone, list[i])
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, c := range gone {
		n.ct.remove(c)
	}
	return len(gone)
}

func (c *conn) read(at int64) Connection {
	r := Connection{Proto: uint8(c.orig.proto), Expires: time.Duration(c.expires - at), Original: c.orig.flow(), Reply: c.reply.flow(),
		Replied: c.seenReply, Assured: c.assured, SNAT: c.nat&natSrc != 0, DNAT: c.nat&natDst != 0}
	if r.Proto == wire.ProtoTCP {
		r.State = tcpNames[c.tcp.state]
	}
	return r
}

func (t tuple) flow() Flow {
	f := Flow{Src: netip.AddrPortFrom(addr4(t.src), 0), Dst: netip.AddrPortFrom(addr4(t.dst), 0)}
	switch {
	case t.hasPorts():
		f.Src, f.Dst = t.source(), t.destination()
	case t.proto == wire.ProtoICMP:
		f.ID, f.Type, f.Code = t.sport, uint8(t.dport>>8), uint8(t.dport)
	}
	return f
}

// FormatConntrack prints the connections that live at a time as conntrack -L does, with the line that counts them at the end.
func (n *Netfilter) FormatConntrack(at int64) string { return FormatConntrack(n.Connections(at)) }

// FormatConntrack prints connections as conntrack -L does, with the line that counts them at the end (which that
// command writes to its standard error).
func FormatConntrack(connections []Connection) string {
	var b strings.Builder
	for i := range connections {
		connections[i].format(&b)
	}
	fmt.Fprintf(&b, "conntrack v1.4.3 (conntrack-tools): %d flow entries have been shown.\n", len(connections))
	return b.String()
}

func (c *Connection) format(b *strings.Builder) {
	name := protoName(c.Proto)
	switch c.Proto {
	case wire.ProtoTCP, wire.ProtoUDP, wire.ProtoICMP:
	default:
		name = "unknown"
	}
	fmt.Fprintf(b, "%-8s %d %d ", name, c.Proto, max(0, int64(c.Expires/time.Second)))
	if c.State != "" {
		b.WriteString(c.State + " ")
	}
	c.Original.format(b, c.Proto)
	if !c.Replied {
		b.WriteString("[UNREPLIED] ")
	}
	c.Reply.format(b, c.Proto)
	if c.Assured {
		b.WriteString("[ASSURED] ")
	}
	b.WriteString("mark=0 use=1\n")
}

func (f Flow) format(b *strings.Builder, proto uint8) {
	fmt.Fprintf(b, "src=%s dst=%s ", f.Src.Addr(), f.Dst.Addr())
	switch proto {
	case wire.ProtoTCP, wire.ProtoUDP:
		fmt.Fprintf(b, "sport=%d dport=%d ", f.Src.Port(), f.Dst.Port())
	case wire.ProtoICMP:
		fmt.Fprintf(b, "type=%d code=%d id=%d ", f.Type, f.Code, f.ID)
	}
}
