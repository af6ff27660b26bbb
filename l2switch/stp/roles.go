package stp

import (
	"math"
	"time"
)

// information is the Port Information machine (figure 17-18).
func (p *port) information() bool {
	switch {
	case !p.enabled:
		if p.info == infoDisabled {
			p.rcvdMsg = false
			return false
		}
		p.rcvdMsg, p.proposing, p.proposed, p.agree, p.agreed = false, false, false, false, false
		p.age(infoDisabled)
	case p.info == infoDisabled:
		p.age(infoAged)
	case p.selected && p.updtInfo: // UPDATE
		p.proposing, p.proposed = false, false
		p.agreed = p.agreed && p.info == infoMine && p.designated.Compare(p.priority) <= 0
		p.synced = p.synced && p.agreed
		p.priority, p.times = p.designated, p.desTimes
		p.updtInfo, p.info, p.newInfo = false, infoMine, true
	case p.rcvdMsg && !p.updtInfo:
		p.rcvdMsg = false
		p.heard(&p.msg)
	case p.info == infoReceived && p.over(p.rcvdInfoTill) && !p.updtInfo:
		p.age(infoAged)
	default:
		return false
	}
	return true
}

// age forgets what was received, and has the roles chosen anew.
func (p *port) age(to infoIs) {
	p.info, p.rcvdInfoTill = to, 0
	p.reselect, p.selected = true, false
}

// heard takes a BPDU as rcvInfo (17.21.8) and the states behind RECEIVE do.
func (p *port) heard(m *BPDU) {
	if m.Kind == KindTCN {
		p.rcvdTcn = true
		return
	}
	c := m.Vector.Compare(p.priority)
	if m.Role != RoleDesignated {
		if c >= 0 { // InferiorRootAlternateInfo
			p.recordAgreement(m)
			p.setTcFlags(m)
		}
		return
	}
	same := m.Bridge == p.priority.Bridge && m.Port == p.priority.Port
	switch {
	case c == 0 && m.Times == p.times: // RepeatedDesignatedInfo
		p.recordProposal(m)
		p.setTcFlags(m)
		p.updtRcvdInfoWhile()
	case c <= 0 || same: // SuperiorDesignatedInfo
		p.agreed, p.proposing = false, false
		p.recordProposal(m)
		p.setTcFlags(m)
		p.agree = p.agree && p.info == infoReceived && c <= 0
		p.priority, p.times = m.Vector, m.Times
		p.times.Hello = max(p.times.Hello, time.Second) // recordTimes (17.21.13)
		p.updtRcvdInfoWhile()
		p.info = infoReceived
		p.reselect, p.selected = true, false
	default: // InferiorDesignatedInfo
		if m.Kind == KindRST && m.Learning { // recordDispute: the neighbour does not hear this bridge
			p.disputed, p.agreed = true, false
		}
	}
}

func (p *port) recordProposal(m *BPDU) { p.proposed = p.proposed || m.Kind == KindRST && m.Proposal }

// recordAgreement is 17.21.9.
func (p *port) recordAgreement(m *BPDU) {
	if !p.b.cfg.Legacy && !p.cfg.Shared && m.Kind == KindRST && m.Agreement {
		p.agreed, p.proposing = true, false
	} else {
		p.agreed = false
	}
}

func (p *port) setTcFlags(m *BPDU) {
	p.rcvdTc = p.rcvdTc || m.TC
	p.rcvdTcAck = p.rcvdTcAck || m.TCAck
}

// updtRcvdInfoWhile is 17.21.23: information that has come too far is not kept.
func (p *port) updtRcvdInfoWhile() {
	p.rcvdInfoTill = 0
	if p.times.MessageAge+time.Second <= p.times.MaxAge {
		p.rcvdInfoTill = p.b.after(3 * p.times.Hello)
	}
}

// selection is the Port Role Selection machine (figure 17-19).
func (b *Bridge) selection() bool {
	again := false
	for _, p := range b.ports {
		again = again || p.reselect
		p.reselect = false
	}
	if !again {
		return false
	}
	b.chooseRoot()
	for _, p := range b.ports {
		p.choose()
		p.selected = true
	}
	return true
}

// chooseRoot is updtRolesTree (17.21.25), a) to e).
func (b *Bridge) chooseRoot() {
	b.root = Vector{Root: b.cfg.ID, Bridge: b.cfg.ID}
	b.times = Times{MaxAge: b.cfg.MaxAge, Hello: b.cfg.Hello, Forward: b.cfg.Forward}
	b.rootVia = 0
	for _, p := range b.ports {
		if p.info != infoReceived || p.priority.Bridge == b.cfg.ID {
			continue
		}
		v := p.priority
		v.Cost = uint32(min(uint64(v.Cost)+uint64(p.cfg.Cost), math.MaxUint32))
		if c := v.Compare(b.root); c < 0 || c == 0 && b.rootVia != 0 && p.id < b.rootVia {
			b.root, b.times, b.rootVia = v, p.times, p.id
			b.times.MessageAge = (b.times.MessageAge + time.Second).Truncate(time.Second)
		}
	}
}

// choose is updtRolesTree, f) to l), for one port.
func (p *port) choose() {
	b := p.b
	p.designated = Vector{Root: b.root.Root, Cost: b.root.Cost, Bridge: b.cfg.ID, Port: p.id}
	p.desTimes = b.times
	p.desTimes.Hello = b.cfg.Hello
	p.updtInfo = false
	switch p.info {
	case infoDisabled:
		p.selectedRole = RoleDisabled
	case infoAged:
		p.selectedRole, p.updtInfo = RoleDesignated, true
	case infoMine:
		p.selectedRole = RoleDesignated
		p.updtInfo = p.priority != p.designated || p.times != p.desTimes
	case infoReceived:
		switch {
		case p.id == b.rootVia:
			p.selectedRole = RoleRoot
		case p.designated.Compare(p.priority) < 0:
			p.selectedRole, p.updtInfo = RoleDesignated, true
		case p.priority.Bridge == b.cfg.ID:
			p.selectedRole = RoleBackup
		default:
			p.selectedRole = RoleAlternate
		}
	}
}

// transitions is the Port Role Transitions machine (figures 17-20).
func (p *port) transitions() bool {
	if !p.selected || p.updtInfo {
		return false
	}
	if p.role != p.selectedRole {
		p.role = p.selectedRole
		if p.role != RoleRoot && p.role != RoleDesignated {
			p.learn, p.forward = false, false
		}
		p.hold()
		return true
	}
	switch p.role {
	case RoleRoot:
		return p.rootStep()
	case RoleDesignated:
		return p.designatedStep()
	case RoleAlternate, RoleBackup:
		return p.alternateStep()
	}
	return p.rest()
}

// rest is what a port that does not forward is always in: DISABLED_PORT and ALTERNATE_PORT.
func (p *port) rest() bool {
	if p.learning || p.forwarding || !p.sync && !p.reRoot && p.synced && p.over(p.rrWhile) {
		return false
	}
	p.synced, p.sync, p.reRoot, p.rrWhile = true, false, false, 0
	return true
}

func (p *port) alternateStep() bool { return p.rest() || p.answer() }

// answer is PROPOSED and AGREED of root and alternate ports: once all other ports are in step the proposal is agreed to.
func (p *port) answer() bool {
	switch {
	case p.proposed && !p.agree && !p.b.allSynced(p):
		for _, q := range p.b.ports { // setSyncTree
			q.sync = true
		}
		p.proposed = false
	case p.proposed && p.agree, p.b.allSynced(p) && !p.agree:
		p.proposed, p.sync, p.agree, p.newInfo = false, false, true, true
	default:
		return false
	}
	return true
}

// allSynced is 17.20.3, as a port looks at the others.
func (b *Bridge) allSynced(p *port) bool {
	for _, q := range b.ports {
		if q != p && (!q.selected || q.role != q.selectedRole || q.updtInfo || q.role != RoleRoot && !q.synced) {
			return false
		}
	}
	return true
}

// reRooted is 17.20.10: no other port was the root port a short while ago.
func (p *port) reRooted() bool {
	for _, q := range p.b.ports {
		if q != p && !q.over(q.rrWhile) {
			return false
		}
	}
	return true
}

func (p *port) rootStep() bool {
	if p.answer() {
		return true
	}
	ready := p.over(p.fdWhile) || p.reRooted() && p.over(p.rbWhile) && !p.b.cfg.Legacy
	switch {
	case !p.forward && !p.reRoot: // REROOT
		for _, q := range p.b.ports {
			q.reRoot = true
		}
	case ready && !p.learn:
		p.fdWhile, p.learn = p.b.after(p.forwardDelay()), true
	case ready && !p.forward:
		p.fdWhile, p.forward = 0, true
	case p.reRoot && p.forward:
		p.reRoot = false
	default:
		return false
	}
	return true
}

func (p *port) designatedStep() bool {
	retired := p.over(p.rrWhile)
	ready := (p.over(p.fdWhile) || p.agreed || p.operEdge) && (retired || !p.reRoot) && !p.sync
	switch {
	case !p.forward && !p.agreed && !p.proposing && !p.operEdge: // DESIGNATED_PROPOSE
		p.proposing, p.newInfo = true, true
		p.edgeDelay = p.b.after(migrateTime)
		if p.cfg.Shared {
			p.edgeDelay = p.b.after(p.b.times.MaxAge)
		}
	case !p.synced && (!p.learning && !p.forwarding || p.agreed || p.operEdge), p.sync && p.synced: // DESIGNATED_SYNCED
		p.rrWhile, p.synced, p.sync = 0, true, false
	case retired && p.reRoot: // DESIGNATED_RETIRED
		p.reRoot = false
	case (p.sync && !p.synced || p.reRoot && !retired || p.disputed) && !p.operEdge && (p.learn || p.forward): // DESIGNATED_DISCARD
		p.learn, p.forward, p.disputed = false, false, false
		p.fdWhile = p.b.after(p.forwardDelay())
	case ready && !p.learn:
		p.learn, p.fdWhile = true, p.b.after(p.forwardDelay())
	case ready && !p.forward:
		p.forward, p.fdWhile, p.agreed = true, 0, p.sendRSTP
	default:
		return false
	}
	return true
}
