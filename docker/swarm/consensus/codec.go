package consensus

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"

	pb "go.etcd.io/etcd/raft/v3/raftpb"
)

var errMalformed = errors.New("malformed message of a manager")

// envelope is what a snapshot holds: who is a member, who was, and the machine's state.
type envelope struct {
	Members []Member
	Removed []uint64
	State   []byte `json:"-"`
}

// encode writes four bytes of length, JSON, and the state.
func (e envelope) encode() ([]byte, error) {
	b, err := headed(e)
	return append(b, e.State...), err
}

func decodeEnvelope(b []byte) (e envelope, err error) {
	e.State, err = unhead(b, &e)
	return e, err
}

// letter is what one member sends another: who it is, and messages of raft.
type letter struct {
	From     Member
	messages []pb.Message
}

func (l letter) encode() ([]byte, error) {
	b, err := headed(l)
	for _, m := range l.messages {
		if err != nil {
			break
		}
		var text []byte
		text, err = m.Marshal()
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(text))), text...)
	}
	return b, err
}

func decodeLetter(b []byte) (letter, error) {
	var l letter
	b, err := unhead(b, &l)
	for err == nil && len(b) > 0 {
		var text []byte
		if text, b, err = cut(b); err != nil {
			break
		}
		var m pb.Message
		if err := m.Unmarshal(text); err != nil {
			return letter{}, fmt.Errorf("%w: %w", errMalformed, err)
		}
		l.messages = append(l.messages, m)
	}
	return l, err
}

func headed(v any) ([]byte, error) {
	text, err := json.Marshal(v)
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(text))), text...), err
}

func unhead(b []byte, v any) (rest []byte, err error) {
	text, rest, err := cut(b)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(text, v); err != nil {
		return nil, fmt.Errorf("%w: %w", errMalformed, err)
	}
	return rest, nil
}

// cut takes a piece with its length in front from bytes.
func cut(b []byte) (piece, rest []byte, err error) {
	if len(b) < 4 {
		return nil, nil, errMalformed
	}
	n := binary.BigEndian.Uint32(b)
	if b = b[4:]; uint64(n) > uint64(len(b)) {
		return nil, nil, errMalformed
	}
	return b[:n], b[n:], nil
}

// ticket names a proposal: who made it, and the how-manieth of its it is.
type ticket struct{ member, seq uint64 }

const ticketSize = 16

func (t ticket) before(command []byte) []byte {
	b := make([]byte, 0, ticketSize+len(command))
	b = binary.BigEndian.AppendUint64(b, t.member)
	b = binary.BigEndian.AppendUint64(b, t.seq)
	return append(b, command...)
}

func splitTicket(b []byte) (t ticket, command []byte, ok bool) {
	if len(b) < ticketSize {
		return t, nil, false
	}
	return ticket{binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])}, b[ticketSize:], true
}

// change is the context of a configuration change.
type change struct {
	Member   Member
	Proposer uint64
}

// accepted answers a proposal that a follower handed on: where it is in the log, and what the machine said.
func encodeAccepted(index uint64, result []byte) []byte {
	return append(binary.BigEndian.AppendUint64(nil, index), result...)
}

func decodeAccepted(b []byte) (index uint64, result []byte, err error) {
	if len(b) < 8 {
		return 0, nil, errMalformed
	}
	return binary.BigEndian.Uint64(b), b[8:], nil
}
