package stp

import (
	"math"
	"time"
)

// infoIs tells where what a port knows of its link comes from (17.19.10).
type infoIs uint8

const (
	infoDisabled infoIs = iota
	infoAged
	infoMine
	infoReceived
)

// tcState is the state of the Topology Change machine (figure 17-22), where it rests.
type tcState uint8

const (
	tcInactive tcState = iota
	tcLearning
	tcActive
)

// port is a port's variables (17.19) and timers (17.17), which are the times they end at.
type port struct {
	b       *Bridge
	number  uint16
	id      uint16
	cfg     PortConfig
	enabled bool

	role, selectedRole            Role
	learn, forward                bool // wanted
	learning, forwarding          bool // so it is
	selected, reselect, updtInfo  bool
	agree, agreed                 bool
	proposed, proposing, disputed bool
	sync, synced, reRoot          bool
	newInfo                       bool
	operEdge                      bool

	info       infoIs
	priority   Vector // portPriority
	times      Times  // portTimes
	designated Vector // designatedPriority
	desTimes   Times  // designatedTimes

	msg     BPDU
	rcvdMsg bool

	sendRSTP, rcvdRSTP, rcvdSTP, migrating bool

	tc                                   tcState
	rcvdTc, rcvdTcn, rcvdTcAck           bool
	tcProp, tcAck                        bool
	txCount                              int
	txDecay                              time.Duration // when txCount goes down
	helloWhen, tcWhile, fdWhile          time.Duration
	rrWhile, rbWhile                     time.Duration
	mdelayWhile, edgeDelay, rcvdInfoTill time.Duration
}

// begin sets what the state machines set at BEGIN.
func (p *port) begin() {
	p.sendRSTP, p.operEdge = !p.b.cfg.Legacy, p.cfg.Edge
	p.selected, p.reselect = false, true
	p.info, p.role, p.selectedRole = infoDisabled, RoleDisabled, RoleDisabled
	p.synced = true
	p.designated, p.desTimes = p.b.root, p.b.times
	p.priority, p.times = p.designated, p.desTimes
}

// linkUp starts what begins with a link.
func (p *port) linkUp() {
	p.sendRSTP, p.operEdge = !p.b.cfg.Legacy, p.cfg.Edge
	p.rcvdRSTP, p.rcvdSTP, p.migrating = false, false, true
	p.mdelayWhile, p.edgeDelay = p.b.after(migrateTime), p.b.after(migrateTime)
	p.fdWhile = p.b.after(p.b.cfg.MaxAge)
	p.newInfo, p.txCount, p.txDecay = true, 0, 0
	p.helloWhen = p.b.after(p.b.cfg.Hello)
}

func (b *Bridge) after(d time.Duration) time.Duration { return b.at + d }

// over tells whether a timer has run out.
func (p *port) over(timer time.Duration) bool { return p.b.at >= timer }

// hold starts the timers anew that a port's role keeps from running: they count from when the role ends.
func (p *port) hold() {
	switch p.role {
	case RoleDisabled:
		p.fdWhile = p.b.after(p.b.cfg.MaxAge)
	case RoleRoot:
		p.rrWhile = p.b.after(p.times.Forward)
	case RoleAlternate, RoleBackup:
		p.fdWhile = p.b.after(p.forwardDelay())
		if p.role == RoleBackup {
			p.rbWhile = p.b.after(2 * p.times.Hello)
		}
	}
	for p.txCount > 0 && p.over(p.txDecay) {
		p.txCount--
		p.txDecay += time.Second
	}
}

// next returns when a timer runs out that something waits for.
func (p *port) next() time.Duration {
	next := time.Duration(math.MaxInt64)
	soon := func(timer time.Duration, counts bool) {
		if counts && timer > p.b.at {
			next = min(next, timer)
		}
	}
	forwards := p.role == RoleRoot || p.role == RoleDesignated
	soon(p.helloWhen, true)
	soon(p.fdWhile, forwards && !p.forwarding)
	soon(p.rrWhile, p.role != RoleRoot)
	soon(p.rbWhile, p.role != RoleBackup)
	soon(p.tcWhile, true)
	soon(p.mdelayWhile, p.migrating)
	soon(p.edgeDelay, p.proposing && !p.operEdge)
	soon(p.rcvdInfoTill, p.info == infoReceived)
	soon(p.txDecay, p.newInfo && p.txCount > 0)
	return next
}

func (p *port) state() State {
	switch {
	case p.forwarding:
		return Forwarding
	case p.learning:
		return Learning
	}
	return Discarding
}

// forwardDelay is 17.20.5: a port whose neighbour answers need not wait long.
func (p *port) forwardDelay() time.Duration {
	if p.sendRSTP {
		return p.desTimes.Hello
	}
	return p.desTimes.Forward
}

// receive is the Port Receive machine (figure 17-14) and updtBPDUVersion (17.21.22).
func (p *port) receive(m BPDU) {
	if m.Kind == KindRST {
		p.rcvdRSTP = true
	} else {
		p.rcvdSTP = true
	}
	p.operEdge = false
	p.edgeDelay = p.b.after(migrateTime)
	p.msg, p.rcvdMsg = m, true
}

// migration is the Port Protocol Migration machine (figure 17-15). While it checks, what version arrives does not
// count; after that the port answers in that.
func (p *port) migration() bool {
	if p.migrating {
		if p.enabled && !p.over(p.mdelayWhile) {
			return false
		}
		p.migrating = false // SENSING
		p.rcvdRSTP, p.rcvdSTP = false, false
		return p.enabled
	}
	switch {
	case !p.b.cfg.Legacy && !p.sendRSTP && p.rcvdRSTP:
		p.sendRSTP = true // CHECKING_RSTP
	case p.sendRSTP && p.rcvdSTP:
		p.sendRSTP = false // SELECTING_STP
	default:
		p.rcvdRSTP, p.rcvdSTP = false, false
		return false
	}
	p.migrating, p.mdelayWhile = true, p.b.after(migrateTime)
	return true
}

// edgeDetection is the Bridge Detection machine (figure 17-16), with AutoEdge.
func (p *port) edgeDetection() bool {
	if p.operEdge || !p.enabled || !p.over(p.edgeDelay) || !p.sendRSTP || !p.proposing {
		return false
	}
	p.operEdge = true
	return true
}

// stateTransition is the Port State Transition machine (figure 17-21).
func (p *port) stateTransition() bool {
	was := p.state()
	switch {
	case !p.learn:
		p.learning, p.forwarding = false, false
	case !p.learning:
		p.learning = true
	default:
		p.forwarding = p.forward
	}
	now := p.state()
	if now != was {
		p.b.do(Action{Port: p.number, Do: Change, To: now})
	}
	return now != was
}

// topologyChange is the Topology Change machine (figure 17-22).
func (p *port) topologyChange() bool {
	active := p.role == RoleRoot || p.role == RoleDesignated
	heard := p.rcvdTc || p.rcvdTcn || p.rcvdTcAck || p.tcProp
	switch p.tc {
	case tcInactive:
		if !p.learn {
			p.rcvdTc, p.rcvdTcn, p.rcvdTcAck, p.tcProp = false, false, false, false
			return false
		}
		p.tc = tcLearning
	case tcLearning:
		switch {
		case active && p.forward && !p.operEdge: // DETECTED
			p.newTcWhile()
			p.propagate()
			p.newInfo, p.tc = true, tcActive
			p.b.changes++
		case heard:
		case !active && !p.learn && !p.learning:
			p.tc, p.tcWhile, p.tcAck = tcInactive, 0, false
			p.b.do(Action{Port: p.number, Do: Flush})
			return true
		default:
			return false
		}
	case tcActive:
		return p.topologyActive(active)
	}
	p.rcvdTc, p.rcvdTcn, p.rcvdTcAck, p.tcProp = false, false, false, false
	return true
}

// topologyActive is the Topology Change machine in its state ACTIVE.
func (p *port) topologyActive(active bool) bool {
	switch {
	case !active || p.operEdge:
		p.tc = tcLearning
		p.rcvdTc, p.rcvdTcn, p.rcvdTcAck, p.tcProp = false, false, false, false
	case p.rcvdTcn || p.rcvdTc: // NOTIFIED_TCN, NOTIFIED_TC
		if p.rcvdTcn {
			p.newTcWhile()
		}
		p.tcAck = p.role == RoleDesignated
		p.rcvdTcn, p.rcvdTc = false, false
		p.propagate()
	case p.tcProp: // PROPAGATING
		p.newTcWhile()
		p.tcProp = false
		p.b.changes++
		p.b.do(Action{Port: p.number, Do: Flush})
	case p.rcvdTcAck:
		p.tcWhile, p.rcvdTcAck = 0, false
	default:
		return false
	}
	return true
}

// propagate is setTcPropTree (17.21.18).
func (p *port) propagate() {
	for _, q := range p.b.ports {
		if q != p {
			q.tcProp = true
		}
	}
}

// newTcWhile is 17.21.7.
func (p *port) newTcWhile() {
	if !p.over(p.tcWhile) {
		return
	}
	if p.sendRSTP {
		p.tcWhile, p.newInfo = p.b.after(p.b.cfg.Hello+time.Second), true
	} else {
		p.tcWhile = p.b.after(p.b.times.MaxAge + p.b.times.Forward)
	}
}

// transmit is the Port Transmit machine (figure 17-17) and txRstp, txConfig and txTcn (17.21.19 to 17.21.21).
func (p *port) transmit() {
	if !p.enabled || !p.selected || p.updtInfo {
		return
	}
	changing := !p.over(p.tcWhile)
	if p.over(p.helloWhen) {
		p.newInfo = p.newInfo || p.role == RoleDesignated || p.role == RoleRoot && changing
		p.helloWhen = p.b.after(p.desTimes.Hello)
	}
	if !p.newInfo || p.txCount >= p.b.cfg.TxHoldCount {
		return
	}
	m := BPDU{Kind: KindRST, Role: p.role, TC: changing, Vector: p.designated, Times: p.desTimes,
		Proposal: p.proposing, Agreement: p.agree, Learning: p.learning, Forwarding: p.forwarding}
	switch {
	case p.sendRSTP && p.role == RoleBackup:
		m.Role = RoleAlternate
	case p.sendRSTP:
	case p.role == RoleDesignated:
		m = BPDU{Kind: KindConfig, Role: RoleDesignated, TC: changing, TCAck: p.tcAck, Vector: p.designated, Times: p.desTimes}
	case p.role == RoleRoot && changing:
		m = BPDU{Kind: KindTCN}
	default:
		p.newInfo = false
		return
	}
	if p.txCount == 0 {
		p.txDecay = p.b.after(time.Second)
	}
	p.newInfo, p.tcAck = false, false
	p.txCount++
	p.helloWhen = p.b.after(p.desTimes.Hello)
	p.b.do(Action{Port: p.number, Do: Send, BPDU: m})
}
