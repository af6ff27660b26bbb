package stp

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/netsim-lab/netsim/fabric/wire"
)

// BridgeID identifies a bridge: 4 bits of priority, 12 bits of system id extension, the address (IEEE 802.1D 9.2.5).
// The lower one is the better one.
type BridgeID uint64

// NewBridgeID makes an id. Of the priority the upper 4 bits count.
func NewBridgeID(priority uint16, mac wire.MAC) BridgeID {
	return BridgeID(uint64(priority&0xf000)<<48 | mac.Uint64())
}

// Priority returns the upper 16 bits.
func (b BridgeID) Priority() uint16 { return uint16(b >> 48) }

// String returns the id as brctl prints it: 8000.02420a000001.
func (b BridgeID) String() string {
	return fmt.Sprintf("%04x.%012x", uint16(b>>48), uint64(b)&(1<<48-1))
}

// Vector is a priority vector (17.5): a way to a root, and who offers it. The lower one is the better one.
type Vector struct {
	Root   BridgeID
	Cost   uint32
	Bridge BridgeID
	Port   uint16 // 4 bits of priority, 12 bits of number
}

// Compare is negative if v is better than o.
func (v Vector) Compare(o Vector) int {
	return cmp.Or(cmp.Compare(v.Root, o.Root), cmp.Compare(v.Cost, o.Cost), cmp.Compare(v.Bridge, o.Bridge), cmp.Compare(v.Port, o.Port))
}

// Times are the timer values that a root hands on (17.18.2 and others).
type Times struct{ MessageAge, MaxAge, Hello, Forward time.Duration }

// Kind is the type of a BPDU.
type Kind uint8

// The types of BPDUs (9.3.1 to 9.3.3).
const (
	KindConfig Kind = 0x00
	KindRST    Kind = 0x02
	KindTCN    Kind = 0x80
)

// Role is what a port is in the tree.
type Role uint8

// The roles (17.7).
const (
	RoleDisabled Role = iota
	RoleAlternate
	RoleBackup
	RoleRoot
	RoleDesignated
)

// String returns the role's name.
func (r Role) String() string {
	return [...]string{"disabled", "alternate", "backup", "root", "designated"}[r%5]
}

// BPDU is a bridge protocol data unit. A KindTCN has nothing but its kind.
type BPDU struct {
	Kind  Kind
	TC    bool // topology change
	TCAck bool // topology change acknowledgment, of a KindConfig

	// Of a KindRST only. Role is RoleAlternate for backup ports, too; a KindConfig is from a designated port.
	Role                                      Role
	Proposal, Agreement, Learning, Forwarding bool

	Vector
	Times
}

// The lengths of the BPDUs, and the flags.
const (
	lenTCN    = 4
	lenConfig = 35
	lenRST    = 36

	flagTC         = 0x01
	flagProposal   = 0x02
	flagRoles      = 0x0c
	flagLearning   = 0x10
	flagForwarding = 0x20
	flagAgreement  = 0x40
	flagTCAck      = 0x80

	versionRST = 2
	tick       = time.Second / 256 // the unit of times on the wire (9.2.8)
)

// wireRoles are the roles by their two bits (9.2.9). A port of an unknown role is taken for a designated one (9.3.3).
var wireRoles = [4]Role{RoleDesignated, RoleAlternate, RoleRoot, RoleDesignated}

var (
	errShort   = errors.New("bpdu: too short")
	errUnknown = errors.New("bpdu: unknown protocol, version or type")
	errExpired = errors.New("bpdu: the message age has reached the maximum")
)

// Parse reads a BPDU, which begins behind the LLC header, as 9.3.4 checks them. Padding behind it is left alone.
func Parse(b []byte) (BPDU, error) {
	if len(b) < lenTCN {
		return BPDU{}, errShort
	}
	be := binary.BigEndian
	p := BPDU{Kind: Kind(b[3])}
	want := lenConfig
	switch {
	case be.Uint16(b) != 0:
		return BPDU{}, errUnknown
	case p.Kind == KindTCN:
		return p, nil
	case p.Kind == KindRST && b[2] >= versionRST:
		want = lenRST
	case p.Kind != KindConfig:
		return BPDU{}, errUnknown
	}
	if len(b) < want {
		return BPDU{}, errShort
	}
	p.flags(b[4])
	p.Vector = Vector{Root: BridgeID(be.Uint64(b[5:])), Cost: be.Uint32(b[13:]), Bridge: BridgeID(be.Uint64(b[17:])), Port: be.Uint16(b[25:])}
	for i, t := range []*time.Duration{&p.MessageAge, &p.MaxAge, &p.Hello, &p.Forward} {
		*t = time.Duration(be.Uint16(b[27+2*i:])) * tick
	}
	if p.Kind == KindConfig && p.MessageAge >= p.MaxAge {
		return BPDU{}, errExpired
	}
	return p, nil
}

func (p *BPDU) flags(f byte) {
	p.TC = f&flagTC != 0
	if p.Kind == KindConfig {
		p.Role, p.TCAck = RoleDesignated, f&flagTCAck != 0
		return
	}
	p.Role = wireRoles[f&flagRoles>>2]
	p.Proposal, p.Agreement = f&flagProposal != 0, f&flagAgreement != 0
	p.Learning, p.Forwarding = f&flagLearning != 0, f&flagForwarding != 0
}

// Append appends the BPDU to b. Times that the wire cannot carry are the longest that it can.
func (p BPDU) Append(b []byte) []byte {
	if p.Kind == KindTCN {
		return append(b, 0, 0, 0, byte(KindTCN))
	}
	version := byte(0)
	if p.Kind == KindRST {
		version = versionRST
	}
	b = append(b, 0, 0, version, byte(p.Kind), p.flagByte())
	be := binary.BigEndian
	b = be.AppendUint64(b, uint64(p.Root))
	b = be.AppendUint32(b, p.Cost)
	b = be.AppendUint64(b, uint64(p.Bridge))
	b = be.AppendUint16(b, p.Port)
	for _, t := range []time.Duration{p.MessageAge, p.MaxAge, p.Hello, p.Forward} {
		b = be.AppendUint16(b, uint16(min(max(t/tick, 0), 0xffff)))
	}
	if p.Kind == KindRST {
		b = append(b, 0) // version 1 length
	}
	return b
}

func (p *BPDU) flagByte() byte {
	var f byte
	set := func(is bool, flag byte) {
		if is {
			f |= flag
		}
	}
	set(p.TC, flagTC)
	if p.Kind == KindConfig {
		set(p.TCAck, flagTCAck)
		return f
	}
	switch p.Role {
	case RoleDesignated:
		f |= 3 << 2
	case RoleRoot:
		f |= 2 << 2
	default:
		f |= 1 << 2
	}
	set(p.Proposal, flagProposal)
	set(p.Learning, flagLearning)
	set(p.Forwarding, flagForwarding)
	set(p.Agreement, flagAgreement)
	return f
}
