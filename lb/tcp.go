package lb

import (
	"time"

	"github.com/netsim-lab/netsim/fabric/wire"
)

// State is what the balancer knows of a connection. Its names are those that ipvsadm -c prints.
type State uint8

// The states of a TCP connection, and the one of a UDP flow.
const (
	StateNone State = iota
	StateEstablished
	StateSynSent
	StateSynRecv
	StateFinWait
	StateTimeWait
	StateClose
	StateCloseWait
	StateLastAck
	StateUDP

	states
	tcpStates = StateUDP
)

var stateNames = [states]string{"NONE", "ESTABLISHED", "SYN_SENT", "SYN_RECV", "FIN_WAIT", "TIME_WAIT", "CLOSE",
	"CLOSE_WAIT", "LAST_ACK", "UDP"}

// String returns the state's name.
func (s State) String() string {
	if s < states {
		return stateNames[s]
	}
	return "ERR!"
}

// defaultTimeouts is how long a connection lives after its last packet, by state: Linux's.
var defaultTimeouts = [states]time.Duration{
	StateNone:        2 * time.Second,
	StateEstablished: 15 * time.Minute,
	StateSynSent:     2 * time.Minute,
	StateSynRecv:     time.Minute,
	StateFinWait:     2 * time.Minute,
	StateTimeWait:    2 * time.Minute,
	StateClose:       10 * time.Second,
	StateCloseWait:   time.Minute,
	StateLastAck:     30 * time.Second,
	StateUDP:         5 * time.Minute,
}

// direction is that of a packet: from the client, or from the real server.
type direction uint8

const (
	fromClient direction = iota
	fromServer
)

// next returns the state after a segment with these TCP flags, of which RST counts before SYN, FIN and ACK. The balancer
// does not look at sequence numbers, hence it is simpler than TCP's own machine. A segment without any of them closes.
func (s State) next(d direction, flags byte) State {
	switch {
	case s >= tcpStates:
		return s
	case flags&wire.RST != 0:
		return s.afterRST(d)
	case flags&wire.SYN != 0:
		return s.afterSYN(d)
	case flags&wire.FIN != 0:
		return s.afterFIN(d)
	case flags&wire.ACK != 0:
		return s.afterACK(d)
	}
	return StateClose
}

func (s State) afterSYN(d direction) State {
	switch {
	case s == StateEstablished:
		return s
	case d == fromServer && s == StateSynRecv: // it answers
		return s
	case d == fromServer:
		return StateSynSent
	case s == StateSynSent:
		return StateEstablished
	}
	return StateSynRecv
}

func (s State) afterACK(d direction) State {
	switch {
	case s == StateNone || s == StateSynRecv:
		return StateEstablished
	case d == fromClient && s == StateLastAck:
		return StateClose
	}
	return s
}

// afterFIN tells which side closed first: the client leaves CLOSE_WAIT behind, the server FIN_WAIT.
func (s State) afterFIN(d direction) State {
	switch s {
	case StateSynSent, StateClose, StateLastAck:
		return s
	case StateEstablished:
		if d == fromClient {
			return StateCloseWait
		}
		return StateFinWait
	case StateNone:
		if d == fromClient {
			return StateClose
		}
	case StateCloseWait: // a FIN sent again changes nothing
		if d == fromClient {
			return s
		}
	case StateFinWait:
		if d == fromServer {
			return s
		}
	}
	return StateTimeWait
}

// afterRST keeps what the reset of one side cannot end.
func (s State) afterRST(d direction) State {
	keeps := s == StateSynSent || s == StateTimeWait
	if d == fromClient {
		keeps = s == StateSynRecv || s == StateLastAck
	}
	if keeps {
		return s
	}
	return StateClose
}
