package gossip

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"log"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/hashicorp/go-msgpack/v2/codec"
	"github.com/hashicorp/memberlist"
)

// Memberlist's own messages, as far as they concern us (its net.go: "ONLY APPEND TO THIS LIST").
const (
	mlPing     = 0
	mlAck      = 2
	mlPushPull = 6
	mlCompound = 7
	mlNack     = 11
	mlChecksum = 12

	maxCompound = 255
	tcpTimeout  = 10 * time.Second // of memberlist's streams
)

// mlSeq is what a ping, an ack and a nack have in common.
type mlSeq struct{ SeqNo uint32 }

func encodeMsg(kind byte, v any) []byte {
	b := []byte{kind}
	var body []byte
	if err := codec.NewEncoderBytes(&body, &codec.MsgpackHandle{}).Encode(v); err != nil {
		return nil // a struct of numbers always can be
	}
	return append(b, body...)
}

// compound joins up to maxCompound messages in memberlist's way.
func compound(parts [][]byte) []byte {
	b := []byte{mlCompound, byte(len(parts))}
	for _, p := range parts {
		b = binary.BigEndian.AppendUint16(b, uint16(len(p)))
	}
	return append(b, bytes.Join(parts, nil)...)
}

// notePings looks for pings in a packet that memberlist sends, and keeps the highest of their sequence numbers.
func (t *transport) notePings(b []byte) {
	if len(b) > 5 && b[0] == mlChecksum {
		b = b[5:]
	}
	if len(b) > 2 && b[0] == mlCompound {
		// A ping stands first, with what is on the way anyway behind it.
		if skip := 2 + 2*int(b[1]); skip < len(b) {
			b = b[skip:]
		}
	}
	if len(b) < 2 || b[0] != mlPing {
		return
	}
	var p mlSeq
	if err := codec.NewDecoderBytes(b[1:], &codec.MsgpackHandle{}).Decode(&p); err != nil {
		return
	}
	for old := t.pings.Load(); p.SeqNo > old && !t.pings.CompareAndSwap(old, p.SeqNo); old = t.pings.Load() {
	}
}

// farewell answers the latest pings of this node in the name of their targets. Memberlist's Shutdown waits for nothing: a probe, or a
// ping for somebody else, goes on until it is answered or its time is up, up to 8 s. So they all end at once. It may only be called
// while memberlist takes packets.
func (t *transport) farewell() {
	last := t.pings.Load()
	var acks [][]byte
	for n := range uint32(maxCompound) {
		if n < last {
			acks = append(acks, encodeMsg(mlAck, mlSeq{last - n}))
		}
	}
	from := net.UDPAddrFromAddrPort(netip.AddrPortFrom(t.node.cfg.Addr, Port))
	nothing := encodeMsg(mlNack, mlSeq{})
	for _, b := range [][]byte{compound(acks), nothing} { // the second is taken after the first has been seen to
		t.packets <- &memberlist.Packet{Buf: b, From: from, Timestamp: time.Now()}
	}
}

// mirrorAddr is no node's: a stream to it shows memberlist's own state.
const mirrorAddr = "0.0.0.0:0"

// mirror is a connection that keeps what is written to it and ends when read. Memberlist tells which members are suspect,
// and the incarnation of each, only in the first message of a push/pull; so it is made to begin one with a mirror.
type mirror struct {
	net.Conn // nil: only what is below is called
	buf      bytes.Buffer
}

func (m *mirror) Write(b []byte) (int, error) { return m.buf.Write(b) }
func (m *mirror) Read([]byte) (int, error)    { return 0, io.EOF }
func (m *mirror) Close() error                { return nil }
func (m *mirror) SetDeadline(time.Time) error { return nil }
func (m *mirror) LocalAddr() net.Addr         { return &net.TCPAddr{} }
func (m *mirror) RemoteAddr() net.Addr        { return &net.TCPAddr{} }

func (t *transport) takeMirror() (net.Conn, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	m := t.mirror
	if m == nil {
		return nil, errors.New("nobody looks")
	}
	t.mirror = nil
	return m, nil
}

// mlHeader and mlNode are what a push/pull begins with.
type mlHeader struct{ Nodes int }

type mlNode struct {
	Name        string
	Addr        []byte
	Port        uint16
	Incarnation uint32
	State       memberlist.NodeStateType
}

// look returns memberlist's state.
func (t *transport) look(m *memberlist.Memberlist) ([]mlNode, error) {
	mine := &mirror{}
	t.mu.Lock()
	t.mirror = mine
	t.mu.Unlock()
	_, _ = m.Join([]string{mirrorAddr}) // fails, once it has written
	return parsePushPull(mine.buf.Bytes())
}

func parsePushPull(b []byte) ([]mlNode, error) {
	if len(b) == 0 || b[0] != mlPushPull {
		return nil, errDown
	}
	dec := codec.NewDecoderBytes(b[1:], &codec.MsgpackHandle{})
	var h mlHeader
	if err := dec.Decode(&h); err != nil {
		return nil, err
	}
	var nodes []mlNode
	for range h.Nodes {
		var n mlNode
		if err := dec.Decode(&n); err != nil {
			return nil, err
		}
		nodes = append(nodes, n)
	}
	return nodes, nil
}

// crcOverhead is what memberlist puts in front of a packet beyond its UDPBufferSize: a type and a checksum.
const crcOverhead = 5

// memberlistConfig is Docker's: memberlist's defaults for a LAN, but for compression, which costs 64 KB of garbage for each
// packet that it is tried on, and encryption, which the transport has.
func (n *Node) memberlistConfig(t *transport) *memberlist.Config {
	c := memberlist.DefaultLANConfig()
	c.Name, c.BindAddr, c.AdvertiseAddr = n.cfg.Name, n.cfg.Addr.String(), n.cfg.Addr.String()
	c.Transport, c.Delegate, c.Events, c.Ping = t, (*delegate)(n), (*delegate)(n), (*delegate)(n)
	c.EnableCompression = false
	c.UDPBufferSize = packetSize - sealOverhead - crcOverhead
	c.TCPTimeout = tcpTimeout
	c.GossipInterval, c.ProbeInterval, c.ProbeTimeout = n.times.Gossip, n.times.Probe, n.times.Probe/2
	c.PushPullInterval = n.times.PushPull
	if n.cfg.SuspicionMult > 0 {
		c.SuspicionMult = n.cfg.SuspicionMult
	}
	c.Logger = log.New(logWriter{n.log, n.cfg.Name}, "", 0)
	c.DNSConfigPath = "" // peers are addresses
	return c
}

// logWriter passes memberlist's own lines on, for those who look closely.
type logWriter struct {
	log  *slog.Logger
	node string
}

// Write implements io.Writer.
func (w logWriter) Write(line []byte) (int, error) {
	w.log.Debug(strings.TrimSpace(string(line)), "node", w.node)
	return len(line), nil
}
