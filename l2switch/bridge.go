package l2switch

import (
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/wire"
)

// pass is one batch on its way through the switch.
type pass struct {
	sw    *Switch
	in    *Port
	rules *rules // of in
	hook  Hook
	at    time.Duration
}

// route says where a frame goes. Consecutive frames whose routes are equal go there together.
type route struct {
	kind routeKind
	vlan uint16
	out  *Port // of toPort
}

type routeKind uint8

const (
	nowhere  routeKind = iota // dropped and freed
	toPort                    // ready for it, tag and all
	toMany                    // broadcast or multicast
	toUnsure                  // unicast to an unknown address
)

// bridge takes a batch that came in on a port to where its frames go.
func (s *Switch) bridge(in *Port, batch []*fabric.Frame) {
	p := pass{sw: s, in: in, rules: in.rules.Load(), at: s.now()}
	if h := s.hook.Load(); h != nil {
		p.hook = *h
	}
	var run route
	from := 0
	for i, f := range batch {
		if r := p.route(f); r != run {
			p.emit(run, batch[from:i])
			run, from = r, i
		}
	}
	p.emit(run, batch[from:])
}

const (
	macBits       = 48
	groupBit      = 1 << 40          // in a packed address
	reservedGroup = 0x01_80c2_000000 // IEEE 802.1D 7.12.6: 01:80:c2:00:00:00 to 0f
)

// route checks f, learns its source and returns where it goes.
func (p *pass) route(f *fabric.Frame) route {
	b := f.Linear()
	if len(b) < wire.EthernetLen {
		return p.drop(f, fabric.DropTruncated)
	}
	dst, src := be.Uint64(b)>>16, be.Uint64(b[6:])>>16
	if src&groupBit != 0 || src == 0 {
		return p.drop(f, fabric.DropMalformed)
	}
	if dst == reservedGroup && p.sw.tree != nil {
		p.sw.tree.arrived(p.in, f)
		return route{}
	}
	if p.rules.hold == holdAll {
		return p.drop(f, fabric.DropSTP)
	}
	var vlan uint16
	if p.rules.member != nil {
		var reason fabric.DropReason
		if vlan, reason = p.rules.classify(f); reason != 0 {
			return p.drop(f, reason)
		}
	}
	if !p.rules.NoLearning {
		p.learn(f, src|uint64(vlan)<<macBits)
	}
	if p.rules.hold != holdNothing {
		return p.drop(f, fabric.DropSTP)
	}
	if dst&groupBit != 0 {
		if dst&^0xf == reservedGroup && dst != reservedGroup {
			return p.drop(f, fabric.DropReservedGroup)
		}
		return route{kind: toMany, vlan: vlan}
	}
	e := p.sw.fdb.find(dst|uint64(vlan)<<macBits, p.at)
	if e == nil {
		return route{kind: toUnsure, vlan: vlan}
	}
	return p.unicast(f, e, vlan)
}

func (p *pass) drop(f *fabric.Frame, reason fabric.DropReason) route {
	p.in.Drop(f, reason, p.in.place)
	return route{}
}

// learn notes where the source of f is. All but the first frame of a source end at the refresh, which takes no lock.
func (p *pass) learn(f *fabric.Frame, key uint64) {
	if p.sw.fdb.refresh(key, p.in, p.at) {
		return
	}
	was, changed := p.sw.learn(key, p.in, p.at)
	if changed && f.Trace != nil {
		e := fabric.Event{Kind: fabric.EventLearn, Place: p.sw.cfg.Name, After: address(key) + " on " + p.in.name}
		if was != nil {
			e.Before = address(key) + " on " + was.name
		}
		f.Trace.Add(e)
	}
}

// unicast makes f ready for the port of its destination's entry.
func (p *pass) unicast(f *fabric.Frame, e *entry, vlan uint16) route {
	out := e.port
	if e.local {
		if self := p.sw.self.Load(); self != nil {
			out = self
		}
	}
	if f.Trace != nil {
		f.Trace.Add(fabric.Event{Kind: fabric.EventFDB, Place: p.sw.cfg.Name, Before: address(e.key), After: out.name})
	}
	r := out.rules.Load()
	reason := p.refuses(out, r, vlan)
	if reason == 0 {
		reason = p.ready(f, out, r, vlan)
	}
	if reason != 0 {
		return p.drop(f, reason)
	}
	return route{kind: toPort, out: out}
}

// refuses tells why frames of that VLAN may not go from where they came in to out; 0 if they may.
func (p *pass) refuses(out *Port, r *rules, vlan uint16) fabric.DropReason {
	switch {
	case out == p.in && !p.rules.Hairpin:
		return fabric.DropHairpin
	case r.hold != holdNothing:
		return fabric.DropSTP
	case !r.allows(vlan):
		return fabric.DropVLAN
	case p.rules.Isolated && r.Isolated && out != p.in:
		return fabric.DropFilter
	}
	return 0
}

// ready asks the hook and gives f the tag it leaves with; it returns why f must not leave.
func (p *pass) ready(f *fabric.Frame, out *Port, r *rules, vlan uint16) fabric.DropReason {
	if p.hook != nil && !r.Self && !p.rules.Self {
		if reason := p.hook(p.in, out, f); reason != 0 {
			return reason
		}
	}
	if r.member != nil && !r.retag(f, vlan) {
		return fabric.DropVLAN
	}
	return 0
}

// emit sends a run of frames that have one route.
func (p *pass) emit(r route, run []*fabric.Frame) {
	switch {
	case len(run) == 0 || r.kind == nowhere:
	case r.kind == toPort:
		r.out.send(run)
	default:
		p.flood(r, run)
	}
}

// flood sends copies of the run to all ports that may have it; the last of them gets the frames themselves.
func (p *pass) flood(r route, run []*fabric.Frame) {
	ports := *p.sw.ports.Load()
	p.traceFlood(r, run, ports)
	p.age(r, run, ports)
	var last *Port
	for _, out := range ports {
		if !p.floods(r, out) {
			continue
		}
		if last != nil {
			p.copies(last, r.vlan, run)
		}
		last = out
	}
	switch {
	case last == nil:
		for _, f := range run {
			p.drop(f, fabric.DropNoReceiver)
		}
	case p.hook == nil && p.rules.member == nil:
		last.send(run)
	default:
		p.deliver(last, r.vlan, run, false)
	}
}

// floods tells whether a flooded run goes to out.
func (p *pass) floods(r route, out *Port) bool {
	to := out.rules.Load()
	if r.kind == toUnsure && (to.NoFlood || to.Self) {
		return false
	}
	return p.refuses(out, to, r.vlan) == 0
}

func (p *pass) copies(out *Port, vlan uint16, run []*fabric.Frame) { p.deliver(out, vlan, run, true) }

// scratch is where a run is put together that is not a part of the batch that came in.
type scratch [64]*fabric.Frame

var scratches = sync.Pool{New: func() any { return new(scratch) }}

// deliver makes the frames of the run, or copies of them, ready for out and sends them.
func (p *pass) deliver(out *Port, vlan uint16, run []*fabric.Frame, clone bool) {
	r := out.rules.Load()
	s := scratches.Get().(*scratch)
	for len(run) > 0 {
		n := 0
		part := run[:min(len(run), len(s))]
		run = run[len(part):]
		for _, f := range part {
			if clone {
				f = f.Clone()
			}
			if reason := p.ready(f, out, r, vlan); reason != 0 {
				p.drop(f, reason)
				continue
			}
			s[n] = f
			n++
		}
		if n > 0 {
			out.send(s[:n])
		}
		clear(s[:n])
	}
	scratches.Put(s)
}

// traceFlood tells the marked frames of the run where copies of them go.
func (p *pass) traceFlood(r route, run []*fabric.Frame, ports []*Port) {
	for _, f := range run {
		if f.Trace == nil {
			continue
		}
		var names []string
		for _, out := range ports {
			if p.floods(r, out) {
				names = append(names, out.name)
			}
		}
		f.Trace.Add(fabric.Event{Kind: fabric.EventFlood, Place: p.sw.cfg.Name,
			Before: address(key(f.Eth().Dst(), r.vlan)), After: strings.Join(names, ",")})
	}
}

// address prints a packed address and its VLAN as traces show them.
func address(key uint64) string {
	mac, vlan := unkey(key)
	if vlan == 0 {
		return mac.String()
	}
	return mac.String() + " vlan " + strconv.Itoa(int(vlan))
}
