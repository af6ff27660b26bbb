package fabric

import (
	"encoding/binary"
	"fmt"

	"github.com/netsim-lab/netsim/fabric/wire"
)

// way is the direction of a packet in a pcapng block, the lowest bits of epb_flags.
type way uint8

const (
	wayUnknown way = iota
	wayIn
	wayOut
)

func wayOf(dir Direction) way {
	if dir == Out {
		return wayOut
	}
	return wayIn
}

// Numbers of pcapng's Enhanced Packet Block (draft-ietf-opsawg-pcapng, sections 3.5, 4.3).
const (
	blockPacket     = 6
	blockPacketHead = 28
	optEnd          = 0
	optComment      = 1
	optPacketFlags  = 2
	maxComment      = 1000
)

// packetBlock is what an Enhanced Packet Block says beside the packet. The library that writes the other blocks knows
// neither direction nor comments.
type packetBlock struct {
	intf     uint32
	at       int64
	way      way
	comments []string
}

// begin appends room for the block's head to b, which is empty; the packet is to be appended to what it returns.
func (p *packetBlock) begin(b []byte) []byte { return append(b, make([]byte, blockPacketHead)...) }

// end cuts the packet to snap bytes and completes the block.
func (p *packetBlock) end(b []byte, snap int) []byte {
	whole := len(b) - blockPacketHead
	kept := min(whole, snap)
	b = pad4(b[:blockPacketHead+kept])
	if p.way != wayUnknown {
		b = appendOption(b, optPacketFlags, []byte{byte(p.way), 0, 0, 0})
	}
	for _, c := range p.comments {
		b = appendOption(b, optComment, []byte(c[:min(len(c), maxComment)]))
	}
	if p.way != wayUnknown || len(p.comments) > 0 {
		b = appendOption(b, optEnd, nil)
	}
	total := uint32(len(b) + 4)
	le := binary.LittleEndian
	b = le.AppendUint32(b, total)
	le.PutUint32(b, blockPacket)
	le.PutUint32(b[4:], total)
	le.PutUint32(b[8:], p.intf)
	le.PutUint32(b[12:], uint32(p.at>>32))
	le.PutUint32(b[16:], uint32(p.at))
	le.PutUint32(b[20:], uint32(kept))
	le.PutUint32(b[24:], uint32(whole))
	return b
}

func appendOption(b []byte, code uint16, value []byte) []byte {
	b = binary.LittleEndian.AppendUint16(b, code)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(value)))
	return pad4(append(b, value...))
}

// pad4 appends zeros up to a multiple of four.
func pad4(b []byte) []byte { return append(b, make([]byte, -len(b)&3)...) }

// maxSteps is how many steps of a trace become comments of one packet.
const maxSteps = 32

// comments tells why a frame was dropped, and the way that a traced one came.
func (r *record) comments() []string {
	var all []string
	if r.why != 0 {
		all = append(all, fmt.Sprintf("dropped: %s at %s", r.why, r.place))
	}
	if r.f.Trace == nil {
		return all
	}
	steps, _ := r.f.Trace.Events()
	for i, e := range steps {
		if i == maxSteps || e.At > r.at {
			break
		}
		all = append(all, e.String())
	}
	return all
}

// String returns the step in one line: "host-a/eth0: dnat 192.168.1.2:8000 -> 172.19.0.3:5000".
func (e Event) String() string {
	text := e.Place + ": " + e.Kind.String()
	if e.Kind == EventDrop {
		return text + " " + e.Reason.String()
	}
	switch {
	case e.Before != "" && e.After != "":
		text += " " + e.Before + " -> " + e.After
	case e.Before != "" || e.After != "":
		text += " " + e.Before + e.After
	}
	return text
}

// giveEthernet puts an empty Ethernet header in front of a packet that begins with its network header; false if there
// is no room for it.
func (f *Frame) giveEthernet() bool {
	if f.l3 == 0 || int(f.l3-f.start) >= wire.EthernetLen {
		return true
	}
	if !f.TrimFront(int(f.l3 - f.start)) {
		return false
	}
	b := f.Prepend(wire.EthernetLen)
	if b == nil {
		return false
	}
	clear(b)
	binary.BigEndian.PutUint16(b[12:], f.EtherType)
	return true
}
