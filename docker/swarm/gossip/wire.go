package gossip

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"strings"
	"time"
)

// What travels between nodes is one message: a version, a kind, who sends it, the network it is about, attachments with
// their number in front, and records up to its end. Strings and values have their length in front; numbers are varints. A
// record of the overlay's peer table takes about 130 bytes, ten to a packet; msgpack or JSON would repeat the field names in
// each, gob describes its types in each packet, and none of them bounds what it allocates for a stranger.

const wireVersion = 1

type kind byte

const (
	kindAttachments kind = iota + 1 // gossip to all: who is on which network
	kindRecords                     // gossip within a network
	kindSync                        // part of a bulk sync
)

// attachment says that a node is on a network, or no longer is. The network "" is the cluster: a node that is no longer on
// that has left and has not failed.
type attachment struct {
	node, network string
	ltime         uint64
	gone          bool
}

// record is one entry of a network's tables on its way.
type record struct {
	table, key, owner string
	value             []byte
	ltime             uint64
	gone              bool          // deleted: a tombstone
	left              time.Duration // of a tombstone: how long it is still to be remembered; whole seconds
}

type message struct {
	kind        kind
	from        string // kindSync: the sender
	network     string // of the records
	attachments []attachment
	records     []record
}

var errMalformed = errors.New("malformed message")

const (
	flagGone  = 1
	flagsKnow = flagGone
)

// append writes the message without its records, which follow by appendRecord.
func (m *message) append(b []byte) []byte {
	b = append(b, wireVersion, byte(m.kind))
	b = appendString(b, m.from)
	b = appendString(b, m.network)
	b = binary.AppendUvarint(b, uint64(len(m.attachments)))
	for _, a := range m.attachments {
		b = append(b, flags(a.gone))
		b = appendString(b, a.node)
		b = appendString(b, a.network)
		b = binary.AppendUvarint(b, a.ltime)
	}
	return b
}

// appendAll writes the message whole.
func (m *message) appendAll(b []byte) []byte {
	b = m.append(b)
	for _, r := range m.records {
		b = appendRecord(b, r)
	}
	return b
}

func appendRecord(b []byte, r record) []byte {
	b = append(b, flags(r.gone))
	b = appendString(b, r.table)
	b = appendString(b, r.key)
	b = appendString(b, r.owner)
	b = binary.AppendUvarint(b, r.ltime)
	if r.gone {
		return binary.AppendUvarint(b, uint64(r.left/time.Second))
	}
	return append(binary.AppendUvarint(b, uint64(len(r.value))), r.value...)
}

// own returns a record that may be kept: all of it is its own.
func (r record) own() record {
	switch r.table {
	case EndpointTable:
		r.table = EndpointTable
	case PeerTable:
		r.table = PeerTable
	default:
		r.table = strings.Clone(r.table)
	}
	r.key, r.owner, r.value = strings.Clone(r.key), strings.Clone(r.owner), bytes.Clone(r.value)
	return r
}

// room is about how many bytes append writes, or some more.
func (m *message) room() int {
	n := numberRoom + len(m.from) + len(m.network)
	for i := range m.attachments {
		n += numberRoom + len(m.attachments[i].node) + len(m.attachments[i].network)
	}
	for i := range m.records {
		r := &m.records[i]
		n += 2*numberRoom + len(r.table) + len(r.key) + len(r.owner) + len(r.value)
	}
	return n
}

const (
	numberRoom = 16 // bytes for what is beside the strings of an attachment

	// What is taken for the least size of what comes, when room is made for it.
	attachmentSize = 16
	entrySize      = 96
)

func flags(gone bool) byte {
	if gone {
		return flagGone
	}
	return 0
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// parse reads a message. Its values are in b, and its strings in one copy of b: whoever keeps some of it keeps a copy of that.
// Whatever is not exactly what append writes in its ranges is refused whole.
func parse(b []byte) (message, error) {
	d := decoder{rest: b, text: string(b)}
	if d.byte() != wireVersion {
		return message{}, errMalformed
	}
	m := message{kind: kind(d.byte()), from: d.name(), network: d.name()}
	if m.kind < kindAttachments || m.kind > kindSync {
		return message{}, errMalformed
	}
	n := d.number(maxAttachments)
	if n > 0 {
		m.attachments = make([]attachment, 0, min(n, uint64(1+len(d.rest)/attachmentSize)))
	}
	for ; n > 0 && !d.bad; n-- {
		gone := d.gone()
		m.attachments = append(m.attachments, attachment{gone: gone, node: d.named(), network: d.name(), ltime: d.number(maxLtime - 1)})
	}
	if len(d.rest) > 0 {
		m.records = make([]record, 0, 1+len(d.rest)/entrySize)
	}
	for len(d.rest) > 0 && !d.bad {
		m.records = append(m.records, d.record())
	}
	if d.bad {
		return message{}, errMalformed
	}
	return m, nil
}

// decoder takes values from the front of rest. Once it is bad, all that it returns is zero.
type decoder struct {
	rest []byte
	text string // all of it
	bad  bool
}

func (d *decoder) record() record {
	r := record{gone: d.gone(), table: d.named(), key: d.named(), owner: d.named(), ltime: d.number(maxLtime - 1)}
	if r.gone {
		r.left = time.Duration(d.number(math.MaxInt32)) * time.Second
	} else {
		r.value = d.bytes(packetSize)
	}
	return r
}

func (d *decoder) fail() { d.rest, d.bad = nil, true }

func (d *decoder) byte() byte {
	if len(d.rest) == 0 {
		d.fail()
		return 0
	}
	c := d.rest[0]
	d.rest = d.rest[1:]
	return c
}

func (d *decoder) gone() bool {
	f := d.byte()
	if f&^flagsKnow != 0 {
		d.fail()
	}
	return f&flagGone != 0
}

func (d *decoder) number(limit uint64) uint64 {
	v, n := binary.Uvarint(d.rest)
	if n <= 0 || v > limit || n > 1 && d.rest[n-1] == 0 { // or longer than need be
		d.fail()
		return 0
	}
	d.rest = d.rest[n:]
	return v
}

func (d *decoder) bytes(limit uint64) []byte {
	n := d.number(limit)
	if n > uint64(len(d.rest)) {
		d.fail()
		return nil
	}
	b := d.rest[:n:n]
	d.rest = d.rest[n:]
	return b
}

func (d *decoder) string(limit uint64) string {
	n := len(d.bytes(limit))
	end := len(d.text) - len(d.rest)
	return d.text[end-n : end]
}

// name is a name, or "".
func (d *decoder) name() string { return d.string(MaxName) }

// named is a name that must be there.
func (d *decoder) named() string {
	s := d.name()
	if s == "" {
		d.fail()
	}
	return s
}
