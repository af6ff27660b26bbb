// Package explain makes of what a fabric.Recorder recorded a story that a person reads: what happened to every packet that
// a command caused, step by step, packets that went the same way told once. It starts nothing and asks nothing.
package explain

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/wire"
)

// Story is what came of a command's packets.
type Story struct {
	Node    string `json:"node"`
	Command string `json:"command"`
	Exit    int    `json:"exit"`
	Flows   []Flow `json:"flows"`
	// LeftOut is how many packets are not told of because there were too many: neither the first nor the latest.
	LeftOut int `json:"left_out,omitempty"`
}

// Flow is a conversation between two sockets.
type Flow struct {
	ID      int      `json:"id"`
	Proto   string   `json:"proto"` // tcp, udp, icmp, or a number
	Src     string   `json:"src"`   // as its opener sees it
	Dst     string   `json:"dst"`
	Place   string   `json:"opened_by"`
	Cause   int      `json:"because_of,omitempty"` // the flow that it was opened because of; 0: the command itself
	Packets []Packet `json:"packets"`
}

// Packet is one packet, from where it was sent to where it ended, copies and all.
type Packet struct {
	Number int    `json:"number"`
	Micros int64  `json:"micros"` // when it was sent, in microseconds after the first
	From   string `json:"from"`
	Src    string `json:"src"` // as it was sent
	Dst    string `json:"dst"`
	Back   bool   `json:"back,omitempty"` // towards the flow's opener
	ARP    bool   `json:"arp,omitempty"`  // sent because the flow's packet needs to know an address
	What   string `json:"what"`
	Steps  []Step `json:"steps"`
	Lost   int    `json:"steps_left_out,omitempty"`
}

// Step is one thing that happened to a packet.
type Step struct {
	Kind   fabric.EventKind  `json:"kind"`
	Place  string            `json:"place"`
	Before string            `json:"before,omitempty"` // what was looked up or changed
	After  string            `json:"after,omitempty"`  // what came of it
	By     string            `json:"by,omitempty"`     // the rule or service that decided
	Reason fabric.DropReason `json:"reason,omitempty"` // of a drop, or of what led to one
	Hint   string            `json:"hint,omitempty"`   // what would help
	Micros int64             `json:"micros"`           // after the story's first packet was sent
}

// Config says whose story it is.
type Config struct {
	Node, Command string
	Exit          int
	// Name gives a place the name that people know it by; nil: its own.
	Name func(place string) string
}

// Tell makes a story of what was recorded; left is how many packets were not kept.
func Tell(c Config, packets []fabric.RecordedPacket, left int) *Story {
	if c.Name == nil {
		c.Name = func(place string) string { return place }
	}
	s := &Story{Node: c.Node, Command: c.Command, Exit: c.Exit, Flows: []Flow{}, LeftOut: left}
	at := map[*fabric.Flow]int{}
	for _, p := range packets {
		i, ok := at[p.Flow]
		if !ok {
			i = len(s.Flows)
			at[p.Flow] = i
			s.Flows = append(s.Flows, flowOf(p.Flow, c.Name))
		}
		s.Flows[i].Packets = append(s.Flows[i].Packets, packetOf(p, packets[0].At, c.Name))
	}
	return s
}

func flowOf(f *fabric.Flow, name func(string) string) Flow {
	out := Flow{ID: f.ID, Proto: protoName(f.Proto), Src: endText(f.Proto, f.Src), Dst: endText(f.Proto, f.Dst), Place: name(f.Place)}
	if f.Cause != nil {
		out.Cause = f.Cause.ID
	}
	return out
}

// dnsPort is where name servers listen.
const dnsPort = 53

func packetOf(p fabric.RecordedPacket, start int64, name func(string) string) Packet {
	out := Packet{
		Number: p.ID + 1, Micros: (p.At - start) / 1000, From: name(p.Place), Src: endText(p.Proto, p.Src), Dst: endText(p.Proto, p.Dst), Back: p.Back,
		ARP: p.EtherType == wire.TypeARP, What: describe(&p.PacketInfo, p.Flow.Dst.Port() == dnsPort), Steps: []Step{}, Lost: p.Lost,
	}
	for _, e := range p.Events {
		s := Step{
			Kind: e.Kind, Place: name(e.Place), Before: e.Before, After: e.After, By: e.By, Reason: e.Reason, Micros: (e.At - start) / 1000,
		}
		if e.Kind == fabric.EventLink {
			s.Before, s.After = name(e.Before), name(e.After)
		}
		if e.Kind == fabric.EventDrop {
			s.Hint = Hint(e.Reason)
		}
		out.Steps = append(out.Steps, s)
	}
	return out
}

// endText is an end of a flow: without a port where there is none, and without an identifier.
func endText(proto byte, a netip.AddrPort) string {
	if proto == wire.ProtoTCP || proto == wire.ProtoUDP {
		return a.String()
	}
	return a.Addr().String()
}

// Ways returns the places that each packet passed, in their order, each way once: of packets that programs sent because of
// others, those of these first. Questions for MAC addresses are no packets of their own.
func (s *Story) Ways() [][]string {
	first := map[int][]string{} // the way of the first packet of each flow
	var all [][]string
	for _, f := range s.Flows {
		for _, p := range f.Packets {
			if p.ARP {
				continue
			}
			way := p.places()
			if !p.Back && f.Cause != 0 {
				way = slices.Compact(slices.Concat(first[f.Cause], way))
			}
			if first[f.ID] == nil {
				first[f.ID] = way
			}
			if !slices.ContainsFunc(all, func(o []string) bool { return slices.Equal(o, way) }) {
				all = append(all, way)
			}
		}
	}
	return all
}

// places returns the places that a packet passed.
func (p *Packet) places() []string {
	all := []string{p.From}
	for _, s := range p.Steps {
		if s.Kind == fabric.EventLink {
			all = append(all, s.Before)
		}
		all = append(all, s.Place)
	}
	return slices.Compact(all)
}

// Passes tells whether some packet passed the places in that order. A place stands for all within it: host-a for
// host-a/eth0. What is on a host may go by its own name: dog-web.1 for host-a/dog-web.1.
func (s *Story) Passes(places []string) bool {
	return slices.ContainsFunc(s.Ways(), func(way []string) bool {
		rest := places
		for _, at := range way {
			if len(rest) > 0 && within(at, rest[0]) {
				rest = rest[1:]
			}
		}
		return len(rest) == 0
	})
}

// within tells whether a place is the one that is meant, or a part of it.
func within(place, meant string) bool {
	for rest := place; ; {
		if after, ok := strings.CutPrefix(rest, meant); ok && (after == "" || after[0] == '/' || after[0] == ':') {
			return true
		}
		i := strings.IndexAny(rest, "/")
		if i < 0 {
			return false
		}
		rest = rest[i+1:]
	}
}
