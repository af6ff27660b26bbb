package nat

import (
	"net/netip"
	"strconv"

	"github.com/netsim-lab/netsim/fabric"
)

// Hook is a place on a packet's way through a namespace.
type Hook uint8

// The hooks.
const (
	Prerouting Hook = iota
	Input
	Forward
	Output
	Postrouting

	numHooks
)

var hookNames = [numHooks]string{"PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"}

// String returns the name of the hook's built-in chains.
func (h Hook) String() string {
	if h < numHooks {
		return hookNames[h]
	}
	return "unknown"
}

// State is what connection tracking says of a packet.
type State uint8

// The states. A packet is StateUnknown until a hook tracked it; rules take that for INVALID.
const (
	StateUnknown State = iota
	StateNew
	StateEstablished
	StateRelated
	StateInvalid
	StateUntracked
)

var stateNames = [...]string{"UNKNOWN", "NEW", "ESTABLISHED", "RELATED", "INVALID", "UNTRACKED"}

// String returns the state as --ctstate names it.
func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return "UNKNOWN"
}

// Packet is a frame on one pass through a namespace, with what the hooks learn about it on the way. A packet that goes
// out on the loopback interface keeps its Packet when it comes back, so that it is not tracked twice.
type Packet struct {
	Frame   *fabric.Frame
	In, Out string // interfaces it came in and goes out by; "": none
	Mark    uint32 // the firewall mark
	IPVS    bool   // handled by the balancer, which -m ipvs --ipvs asks for

	conn    *conn
	state   State
	reply   bool     // goes against the direction of conn's first packet
	related bool     // an ICMP error about a packet of conn
	by      *Verdict // the rule that decided on the translation of a marked packet; nil: one that came before it
}

// State returns what connection tracking found out about the packet.
func (p *Packet) State() State { return p.state }

// Reply tells whether the packet goes against the direction of its connection's first packet.
func (p *Packet) Reply() bool { return p.reply }

// Original returns source and destination of the first packet of p's connection, before any translation; the zero
// values if p belongs to none. The port is the identifier for ICMP, for which the destination has none.
func (p *Packet) Original() (src, dst netip.AddrPort) {
	if p.conn == nil {
		return netip.AddrPort{}, netip.AddrPort{}
	}
	return p.conn.orig.source(), p.conn.orig.destination()
}

// Attach makes reply, which the namespace made because of p (an ICMP error, a reset), part of p's connection, in the
// other direction. So its addresses are translated back even if p never gets as far as to confirm the connection.
func (p *Packet) Attach(reply *Packet) {
	if p.conn == nil {
		return
	}
	reply.conn, reply.reply, reply.state = p.conn, !p.reply, StateRelated
	m := reply.Frame.ICMP()
	reply.related = m != nil && m.IsError()
}

// Env is what netfilter asks its namespace. It is called while a packet is on its way, with no lock held.
type Env interface {
	// IsLocal tells whether a is an address of the namespace, 127.0.0.0/8 included.
	IsLocal(a netip.Addr) bool
	// IsBroadcast tells whether a is the broadcast address of a connected network.
	IsBroadcast(a netip.Addr) bool
	// MasqueradeAddr returns the address that packets to dst leave interface out with.
	MasqueradeAddr(out string, dst netip.Addr) (netip.Addr, bool)
	// IfaceAddr returns the primary address of an interface.
	IfaceAddr(in string) (netip.Addr, bool)
}

// noEnv is a namespace without addresses.
type noEnv struct{}

func (noEnv) IsLocal(a netip.Addr) bool                            { return a.IsLoopback() }
func (noEnv) IsBroadcast(netip.Addr) bool                          { return false }
func (noEnv) MasqueradeAddr(string, netip.Addr) (netip.Addr, bool) { return netip.Addr{}, false }
func (noEnv) IfaceAddr(string) (netip.Addr, bool)                  { return netip.Addr{}, false }

// Action says what is to become of a packet.
type Action uint8

// The actions.
const (
	Accept   Action = iota
	Drop            // silently
	RejectIt        // drop, and answer as Verdict.Reject says

	pass // no rule of a chain decided
)

// Reject is the answer to a rejected packet.
type Reject uint8

// The answers, as --reject-with names them.
const (
	RejectPort Reject = iota
	RejectNet
	RejectHost
	RejectProto
	RejectNetProhibited
	RejectHostProhibited
	RejectAdmin
	RejectTCPReset
)

var rejectKinds = [...]struct {
	name, alias string
	code        byte
}{
	{"icmp-port-unreachable", "port-unreach", 3}, {"icmp-net-unreachable", "net-unreach", 0},
	{"icmp-host-unreachable", "host-unreach", 1}, {"icmp-proto-unreachable", "proto-unreach", 2},
	{"icmp-net-prohibited", "net-prohib", 9}, {"icmp-host-prohibited", "host-prohib", 10},
	{"icmp-admin-prohibited", "admin-prohib", 13}, {"tcp-reset", "tcp-rst", 0},
}

// String returns the name that --reject-with takes.
func (r Reject) String() string { return rejectKinds[r].name }

// Code returns the code of the ICMP destination-unreachable message to answer with; RejectTCPReset has none.
func (r Reject) Code() byte { return rejectKinds[r].code }

// Verdict is what a hook decided.
type Verdict struct {
	Action Action
	Reason fabric.DropReason // why, unless Action is Accept
	Reject Reject            // how to answer, if Action is RejectIt
	// Reroute tells that the destination or the mark of a locally generated packet changed, so that its route must be looked up again.
	Reroute bool

	chain *chain // that decided; nil: none
	rule  *rule  // nil: the chain's policy
}

// Where names what decided, as "filter DOCKER-ISOLATION rule 1: -i br-1 -o docker0 -j DROP". It is empty if no rule
// and no policy did.
func (v Verdict) Where() string {
	if v.chain == nil {
		return ""
	}
	at := v.chain.table.name + " " + v.chain.name
	if v.rule == nil {
		return at + " policy " + v.chain.policyName()
	}
	for i, r := range v.chain.list() {
		if r == v.rule {
			return at + " rule " + strconv.Itoa(i+1) + ": " + v.rule.text
		}
	}
	return at + " rule: " + v.rule.text
}
