package nat

import "github.com/netsim-lab/netsim/fabric/wire"

// tcpState is the state of a TCP connection as a machine in its middle sees it.
type tcpState uint8

const (
	tcpNone tcpState = iota
	tcpSynSent
	tcpSynRecv
	tcpEstablished
	tcpFinWait
	tcpCloseWait
	tcpLastAck
	tcpTimeWait
	tcpClose
	tcpSynSent2

	tcpStates
	tcpInvalid = tcpStates     // the packet has no place in the connection
	tcpIgnore  = tcpStates + 1 // it may be right or wrong: let it pass, and change nothing
)

var tcpNames = [tcpStates]string{"NONE", "SYN_SENT", "SYN_RECV", "ESTABLISHED", "FIN_WAIT", "CLOSE_WAIT", "LAST_ACK",
	"TIME_WAIT", "CLOSE", "SYN_SENT2"}

// flagIndex is which of the flags that matter a segment has.
type flagIndex uint8

const (
	isSyn flagIndex = iota
	isSynAck
	isFin
	isAck
	isRst
	isNone

	flagIndexes
)

func indexFlags(f byte) flagIndex {
	switch {
	case f&wire.RST != 0:
		return isRst
	case f&(wire.SYN|wire.ACK) == wire.SYN|wire.ACK:
		return isSynAck
	case f&wire.SYN != 0:
		return isSyn
	case f&wire.FIN != 0:
		return isFin
	case f&wire.ACK != 0:
		return isAck
	}
	return isNone
}

// Short names, so that the table below can be read beside the states' order.
const (
	sSS = tcpSynSent
	sSR = tcpSynRecv
	sES = tcpEstablished
	sFW = tcpFinWait
	sCW = tcpCloseWait
	sLA = tcpLastAck
	sTW = tcpTimeWait
	sCL = tcpClose
	sS2 = tcpSynSent2
	sIV = tcpInvalid
	sIG = tcpIgnore
)

// tcpNext gives the next state by direction (0: original), flags and state, as the connection tracking of Linux 3 and 4 has it.
var tcpNext = [2][flagIndexes][tcpStates]tcpState{
	{ //           NO   SS   SR   ES   FW   CW   LA   TW   CL   S2
		isSyn:    {sSS, sSS, sIG, sIG, sIG, sIG, sIG, sSS, sSS, sS2},
		isSynAck: {sIV, sIV, sIG, sIG, sIG, sIG, sIG, sIG, sIG, sSR},
		isFin:    {sIV, sIV, sFW, sFW, sLA, sLA, sLA, sTW, sCL, sIV},
		isAck:    {sES, sIV, sES, sES, sCW, sCW, sTW, sTW, sCL, sIV},
		isRst:    {sIV, sCL, sCL, sCL, sCL, sCL, sCL, sCL, sCL, sCL},
		isNone:   {sIV, sIV, sIV, sIV, sIV, sIV, sIV, sIV, sIV, sIV},
	},
	{ //           NO   SS   SR   ES   FW   CW   LA   TW   CL   S2
		isSyn:    {sIV, sS2, sIV, sIV, sIV, sIV, sIV, sIV, sIV, sS2},
		isSynAck: {sIV, sSR, sIG, sIG, sIG, sIG, sIG, sIG, sIG, sSR},
		isFin:    {sIV, sIV, sFW, sFW, sLA, sLA, sLA, sTW, sCL, sIV},
		isAck:    {sIV, sIG, sSR, sES, sCW, sCW, sTW, sTW, sCL, sIG},
		isRst:    {sIV, sCL, sCL, sCL, sCL, sCL, sCL, sCL, sCL, sCL},
		isNone:   {sIV, sIV, sIV, sIV, sIV, sIV, sIV, sIV, sIV, sIV},
	},
}

const second = int64(1e9)

// Timeouts in nanoseconds (L18, L19); that of UDP streams is in Config.
const (
	timeoutUDP     = 30 * second
	timeoutICMP    = 30 * second
	timeoutGeneric = 600 * second
	timeoutPickup  = 300 * second // a connection joined in its middle, of which one side was seen only
)

var tcpTimeouts = [tcpStates]int64{
	tcpSynSent: 120 * second, tcpSynRecv: 60 * second, tcpEstablished: 432000 * second, tcpFinWait: 120 * second,
	tcpCloseWait: 60 * second, tcpLastAck: 30 * second, tcpTimeWait: 120 * second, tcpClose: 10 * second, tcpSynSent2: 120 * second,
}

// tcpInfo is what is remembered of a TCP connection.
type tcpInfo struct {
	state    tcpState
	last     flagIndex // of the last packet that counted
	lastBack bool      // it was a reply
	lastEnd  uint32    // its end, if it was ignored
}

// outcome says what an update of a connection came to.
type outcome uint8

const (
	updated  outcome = iota
	invalid          // the packet is not part of the connection
	reopened         // the connection is over and the packet begins a new one
	killed           // the packet ends the connection at once
)

// updateTCP advances the state for a segment. Sequence numbers are not held against windows: a lab's
// impairments reorder and repeat, and nothing here forges segments.
func (c *conn) updateTCP(reply bool, s segment, at int64) outcome {
	dir := 0
	if reply {
		dir = 1
	}
	old := c.tcp.state
	next := tcpNext[dir][s.flags][old]
	switch {
	case next == tcpInvalid:
		return invalid
	case next == tcpSynSent && old >= tcpTimeWait:
		return reopened
	case next == tcpIgnore:
		if s.flags != isSynAck || c.tcp.last != isSyn || c.tcp.lastBack == reply || s.ack != c.tcp.lastEnd {
			c.tcp.last, c.tcp.lastBack, c.tcp.lastEnd = s.flags, reply, s.end
			return updated
		}
		// It acknowledges a SYN that was ignored: both ends are in step and it is the table that is not.
		old, next = tcpSynSent, tcpSynRecv
	}
	c.tcp.last, c.tcp.lastBack, c.tcp.state = s.flags, reply, next
	timeout := tcpTimeouts[next]
	switch {
	case !c.seenReply && s.flags == isRst:
		return killed
	case !c.seenReply && next == tcpEstablished:
		timeout = timeoutPickup
	case c.seenReply && next == tcpEstablished && (old == tcpSynRecv || old == tcpEstablished):
		c.assured = true
	}
	c.expires = at + timeout
	return updated
}
