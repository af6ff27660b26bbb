package l2switch

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/wire"
)

var be = binary.BigEndian

const (
	defaultVLAN = 1    // the VLAN of a port that names none, as Linux's default_pvid
	maxVLAN     = 4094 // IEEE 802.1Q: 0 is a priority tag, 4095 reserved
)

// rules are a PortConfig as the data path reads it.
type rules struct {
	PortConfig
	hold   holding     // what the spanning tree keeps the port from
	pvid   uint16      // of what comes in untagged; 0: none
	tagged bool        // whether VLANs but the pvid leave with a tag
	member *[64]uint64 // one bit a VLAN; nil: the switch does not filter, tags are carried as they are
}

// compile checks c and makes the rules of it.
func (c PortConfig) compile(sw Config) (*rules, error) {
	r := &rules{PortConfig: c}
	r.Trunk = append([]uint16(nil), c.Trunk...)
	if err := c.check(sw.VLANFiltering); err != nil {
		return nil, err
	}
	switch {
	case len(c.Trunk) > 0:
		r.pvid, r.tagged = c.Native, true
	case c.VLAN != 0:
		r.pvid = c.VLAN
	case !sw.NoDefaultVLAN:
		r.pvid = defaultVLAN
	}
	if sw.VLANFiltering {
		r.member = new([64]uint64)
		for _, id := range append(r.Trunk, r.pvid) {
			r.member[id/64] |= 1 << (id % 64)
		}
		r.member[0] &^= 1
	}
	return r, nil
}

func (c PortConfig) check(filtering bool) error {
	switch {
	case !filtering && (c.VLAN != 0 || c.Native != 0 || len(c.Trunk) > 0):
		return errors.New("the port has VLANs but the switch does not filter them: set VLANFiltering")
	case c.VLAN != 0 && len(c.Trunk) > 0:
		return fmt.Errorf("a port is an access port (VLAN %d) or a trunk, not both: name the VLAN of untagged frames with Native", c.VLAN)
	case c.Native != 0 && len(c.Trunk) == 0:
		return fmt.Errorf("native VLAN %d on a port that is no trunk: list the trunk's VLANs, or make it the access VLAN", c.Native)
	}
	for _, id := range append([]uint16{max(c.VLAN, 1), max(c.Native, 1)}, c.Trunk...) {
		if id < 1 || id > maxVLAN {
			return fmt.Errorf("VLAN %d is out of range: use 1 to %d", id, maxVLAN)
		}
	}
	return nil
}

// allows tells whether the port is a member of the VLAN.
func (r *rules) allows(vlan uint16) bool {
	return r.member == nil || r.member[vlan/64&63]&(1<<(vlan%64)) != 0
}

// vlans returns the VLANs that the port's own addresses are listed in, 0 (no VLAN) first.
func (r *rules) vlans() []uint16 {
	v := append([]uint16{0}, r.Trunk...)
	if r.pvid == 0 {
		return v
	}
	for _, id := range v {
		if id == r.pvid {
			return v
		}
	}
	return append(v, r.pvid)
}

// classify returns the VLAN that f, which holds an Ethernet header, came in on, or why it may not. A priority tag gets
// the id of the port's own VLAN and keeps its priority.
func (r *rules) classify(f *fabric.Frame) (vlan uint16, reason fabric.DropReason) {
	e, err := wire.ParseEthernet(f.Linear())
	if err != nil {
		return 0, fabric.DropTruncated
	}
	vlan, tagged := e.VLAN()
	if vlan == 0 {
		vlan = r.pvid
	}
	if !r.allows(vlan) {
		return 0, fabric.DropVLAN
	}
	if tagged {
		be.PutUint16(e[14:], be.Uint16(e[14:])&0xf000|vlan)
	}
	return vlan, 0
}

// retag gives f, of that VLAN, the tag it leaves the port with, or takes it off. It is false, and f as it was, if there
// is no room for a tag.
func (r *rules) retag(f *fabric.Frame, vlan uint16) bool {
	tagged := f.Eth().Tagged()
	want := r.tagged && vlan != r.pvid
	switch {
	case tagged && !want:
		return f.PopTag()
	case want && !tagged:
		return f.PushTag(vlan)
	}
	return true
}
