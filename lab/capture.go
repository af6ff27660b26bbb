package lab

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/wire"
)

// captureLimit is how many packets a PacketCapture keeps.
const captureLimit = 100_000

// Packet is a wire frame that a PacketCapture saw.
type Packet struct {
	At    time.Time
	Iface string // the interface that it passed
	Dir   fabric.Direction
	Data  []byte // Ethernet header first

	// What the headers say; zero where there is no such header.
	EtherType        uint16
	Src, Dst         netip.Addr
	Proto            byte // wire.ProtoTCP and so on
	SrcPort, DstPort uint16
	TCPFlags         byte
}

// String returns the packet in one line, as "out IP 10.0.0.1.40000 > 10.0.0.2.80: tcp S".
func (p Packet) String() string {
	switch {
	case p.EtherType == wire.TypeARP:
		return fmt.Sprintf("%s %s ARP, length %d", p.Iface, p.Dir, len(p.Data))
	case !p.Src.IsValid():
		return fmt.Sprintf("%s %s ethertype 0x%04x, length %d", p.Iface, p.Dir, p.EtherType, len(p.Data))
	case p.Proto == wire.ProtoTCP:
		return fmt.Sprintf("%s %s IP %s.%d > %s.%d: tcp %s", p.Iface, p.Dir, p.Src, p.SrcPort, p.Dst, p.DstPort, flagText(p.TCPFlags))
	case p.Proto == wire.ProtoUDP:
		return fmt.Sprintf("%s %s IP %s.%d > %s.%d: udp", p.Iface, p.Dir, p.Src, p.SrcPort, p.Dst, p.DstPort)
	case p.Proto == wire.ProtoICMP:
		return fmt.Sprintf("%s %s IP %s > %s: icmp", p.Iface, p.Dir, p.Src, p.Dst)
	}
	return fmt.Sprintf("%s %s IP %s > %s: proto %d", p.Iface, p.Dir, p.Src, p.Dst, p.Proto)
}

func flagText(flags byte) string {
	text := ""
	for _, f := range []struct {
		bit  byte
		name string
	}{{wire.SYN, "S"}, {wire.FIN, "F"}, {wire.RST, "R"}, {wire.PSH, "P"}, {wire.ACK, "."}} {
		if flags&f.bit != 0 {
			text += f.name
		}
	}
	return text
}

// parsePacket reads the headers of a wire frame.
func parsePacket(b []byte) Packet {
	p := Packet{Data: b}
	e, err := wire.ParseEthernet(b)
	if err != nil {
		return p
	}
	p.EtherType = e.Type()
	h, ok := ipHeader(b)
	if !ok {
		return p
	}
	p.Src, p.Dst, p.Proto = h.Src(), h.Dst(), h.Proto()
	if h.FragOffset() > 0 {
		return p
	}
	switch l4 := h[h.HeaderLen():]; p.Proto {
	case wire.ProtoTCP:
		if t, err := wire.ParseTCP(l4); err == nil {
			p.SrcPort, p.DstPort, p.TCPFlags = t.SrcPort(), t.DstPort(), t.Flags()
		}
	case wire.ProtoUDP:
		if u, err := wire.ParseUDP(l4); err == nil {
			p.SrcPort, p.DstPort = u.SrcPort(), u.DstPort()
		}
	}
	return p
}

// PacketCapture keeps the wire frames that pass interfaces of a node, for Go code that asserts something of them. All
// methods may be called at once.
type PacketCapture struct {
	remove []func()

	mu      sync.Mutex
	packets []Packet      // guarded by mu
	lost    int           // guarded by mu
	news    chan struct{} // guarded by mu; closed and replaced with each packet
}

// Capture begins to keep what passes an interface of the node; "" stands for all but lo. It ends with Stop.
func (n *Node) Capture(iface string) (*PacketCapture, error) {
	place := n.FullName()
	if iface != "" {
		place += ":" + iface
	}
	ifaces, err := n.lab.interfaces(place)
	if err != nil {
		return nil, fmt.Errorf("capture on %s: %w", n.name, err)
	}
	c := &PacketCapture{news: make(chan struct{})}
	for _, i := range ifaces {
		name := i.Name()
		c.remove = append(c.remove, i.Taps().Add(fabric.TapFunc(func(dir fabric.Direction, f *fabric.Frame) {
			c.add(name, dir, f)
		})))
	}
	return c, nil
}

func (c *PacketCapture) add(iface string, dir fabric.Direction, f *fabric.Frame) {
	at := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range max(1, int(f.Segs)) {
		if len(c.packets) >= captureLimit {
			c.lost++
			continue
		}
		p := parsePacket(f.AppendSegment(nil, i))
		p.At, p.Iface, p.Dir = at, iface, dir
		c.packets = append(c.packets, p)
	}
	close(c.news)
	c.news = make(chan struct{})
}

// Packets returns what was captured so far, the oldest first. The data must not be changed.
func (c *PacketCapture) Packets() []Packet {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]Packet(nil), c.packets...)
}

// Lost returns how many packets were not kept because there were too many.
func (c *PacketCapture) Lost() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lost
}

// Wait returns the first packet that match accepts, of those captured already or the next to come.
func (c *PacketCapture) Wait(ctx context.Context, match func(Packet) bool) (Packet, error) {
	for next := 0; ; {
		c.mu.Lock()
		fresh, news := c.packets[next:], c.news
		next = len(c.packets)
		c.mu.Unlock()
		for _, p := range fresh {
			if match(p) {
				return p, nil
			}
		}
		select {
		case <-news:
		case <-ctx.Done():
			return Packet{}, fmt.Errorf("wait for a packet: none of %d was it: %w", next, ctx.Err())
		}
	}
}

// Stop ends the capture; what it has stays.
func (c *PacketCapture) Stop() {
	for _, remove := range c.remove {
		remove()
	}
}
