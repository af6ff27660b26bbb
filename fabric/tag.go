package fabric

import (
	"encoding/binary"

	"github.com/netsim-lab/netsim/fabric/wire"
)

// PushTag puts an 802.1Q tag behind the addresses of a frame whose linear part begins with an Ethernet header; what was
// parsed stays known. It is false, and the frame as it was, if there is no room.
func (f *Frame) PushTag(vlan uint16) bool {
	if f.end-f.start < wire.EthernetLen || f.Prepend(wire.VLANLen) == nil {
		return false
	}
	b := f.Linear()
	copy(b[:12], b[wire.VLANLen:])
	binary.BigEndian.PutUint16(b[12:], wire.TypeVLAN)
	binary.BigEndian.PutUint16(b[14:], vlan)
	return true
}

// PopTag takes the outer 802.1Q tag off a frame that has one, as wire.ParseEthernet tells; what was parsed stays known.
func (f *Frame) PopTag() bool {
	b := f.Linear()
	if len(b) < wire.EthernetLen+wire.VLANLen {
		return false
	}
	copy(b[wire.VLANLen:], b[:12])
	return f.TrimFront(wire.VLANLen)
}
