package vxlan

import (
	"net/netip"

	"github.com/netsim-lab/netsim/fabric"
)

const (
	maxDatagram = 65507     // the largest UDP payload over IPv4
	maxMessages = 32        // how many messages one system call takes
	outboxBytes = 256 << 10 // what an outbox holds
)

// message is one or more datagrams for one address that lie back to back in an outbox: all are size bytes long but the
// last, which may be shorter. It is what one send with segmentation offload takes.
type message struct {
	to             netip.AddrPort
	off, end, size int
}

// segs returns the number of datagrams.
func (m message) segs() int { return (m.end - m.off + m.size - 1) / m.size }

// outbox collects wire frames, in order, as messages.
type outbox struct {
	join bool // several datagrams may share a message
	buf  []byte
	msgs []message
}

func newOutbox(join bool) *outbox {
	return &outbox{join: join, buf: make([]byte, 0, outboxBytes), msgs: make([]message, 0, maxMessages)}
}

// full tells whether there may be no room for another wire frame.
func (o *outbox) full() bool {
	return len(o.msgs) == maxMessages || len(o.buf)+maxDatagram > outboxBytes
}

// add appends wire frame i of a train, finished, checksums filled. It returns false if that is too long for a datagram.
func (o *outbox) add(to netip.AddrPort, train fabric.Cut, i int) bool {
	off := len(o.buf)
	o.buf = train.Append(o.buf, i)
	n := len(o.buf) - off
	if n == 0 || n > maxDatagram {
		o.buf = o.buf[:off]
		return false
	}
	if k := len(o.msgs) - 1; o.join && k >= 0 && o.msgs[k].takes(to, n) {
		o.msgs[k].end += n
		return true
	}
	o.msgs = append(o.msgs, message{to, off, off + n, n})
	return true
}

// takes tells whether a datagram of n bytes may follow: none of those before is short, and the limits of one send hold.
func (m message) takes(to netip.AddrPort, n int) bool {
	whole := m.end - m.off
	return m.to == to && n <= m.size && whole%m.size == 0 && whole/m.size < fabric.MaxSegs && whole+n <= maxDatagram
}

// reset empties the outbox.
func (o *outbox) reset() { o.buf, o.msgs = o.buf[:0], o.msgs[:0] }
