package vxlan

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"unsafe"

	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"
)

const (
	controlLen = 64   // room for the control messages of a read
	maxAddrs   = 1024 // destinations whose form for the system call is kept
)

// offload asks the kernel to cut and join datagrams (UDP_SEGMENT, Linux 4.18; UDP_GRO, 5.0) and to leave DF clear, as Linux's
// vxlan does. What it does not know is done without.
func (u *UDP) offload() {
	u.out = newBatchSender(u.conn)
	raw, err := u.conn.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		_, err := unix.GetsockoptInt(int(fd), unix.SOL_UDP, unix.UDP_SEGMENT)
		u.join = err == nil
		u.group = unix.SetsockoptInt(int(fd), unix.SOL_UDP, unix.UDP_GRO, 1) == nil
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_DONT)
	})
}

// datagramSize returns the length of each datagram of a read that returned several; 0 if it returned one.
func datagramSize(oob []byte) int {
	for len(oob) >= unix.SizeofCmsghdr {
		h, data, rest, err := unix.ParseOneSocketControlMessage(oob)
		if err != nil {
			return 0
		}
		if h.Level == unix.SOL_UDP && h.Type == unix.UDP_GRO && len(data) >= 4 {
			return int(binary.NativeEndian.Uint32(data))
		}
		oob = rest
	}
	return 0
}

// batchSender sends many messages in one system call (sendmmsg), each cut by the kernel.
type batchSender struct {
	plain plainSender
	pc    *ipv4.PacketConn
	msgs  [maxMessages]ipv4.Message
	bufs  [maxMessages][1][]byte
	oob   [maxMessages][]byte
	addrs map[netip.AddrPort]*net.UDPAddr
}

func newBatchSender(conn *net.UDPConn) *batchSender {
	s := &batchSender{plain: plainSender{conn}, pc: ipv4.NewPacketConn(conn), addrs: make(map[netip.AddrPort]*net.UDPAddr)}
	for i := range s.oob {
		s.oob[i] = make([]byte, unix.CmsgSpace(2))
		h := (*unix.Cmsghdr)(unsafe.Pointer(&s.oob[i][0]))
		h.Level, h.Type = unix.SOL_UDP, unix.UDP_SEGMENT
		h.SetLen(unix.CmsgLen(2))
	}
	return s
}

func (s *batchSender) send(buf []byte, msgs []message) (lost int, err error) {
	for i, m := range msgs {
		s.bufs[i][0] = buf[m.off:m.end]
		s.msgs[i] = ipv4.Message{Buffers: s.bufs[i][:], Addr: s.addr(m.to)}
		if m.end-m.off > m.size {
			binary.NativeEndian.PutUint16(s.oob[i][unix.CmsgLen(0):], uint16(m.size))
			s.msgs[i].OOB = s.oob[i]
		}
	}
	for i := 0; i < len(msgs); {
		n, err := s.pc.WriteBatch(s.msgs[i:len(msgs)], 0)
		if err == nil && n > 0 {
			i += n
			continue
		}
		if errors.Is(err, net.ErrClosed) {
			return lost, err
		}
		// The kernel refuses to cut some messages: datagrams larger than the MTU, a device that cannot sum. One by one
		// they go out, in fragments if need be.
		n, err = s.plain.sendMessage(buf, msgs[i])
		if lost += n; err != nil {
			return lost, err
		}
		i++
	}
	return lost, nil
}

// addr returns a in the form that the system call takes.
func (s *batchSender) addr(a netip.AddrPort) *net.UDPAddr {
	u := s.addrs[a]
	if u == nil {
		if len(s.addrs) >= maxAddrs {
			clear(s.addrs)
		}
		u = net.UDPAddrFromAddrPort(a)
		s.addrs[a] = u
	}
	return u
}
