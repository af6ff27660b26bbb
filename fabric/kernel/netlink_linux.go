package kernel

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

// Configure changes a device in the network namespace of the calling thread, as ip link and ip addr do. What is as it shall
// be is left alone, so that a user without rights may use a device that root has set up.
func Configure(device string, s Settings) error {
	i, err := net.InterfaceByName(device)
	if err != nil {
		return fmt.Errorf("configure %s: %w", device, err)
	}
	if err := configureLink(i, s); err != nil {
		return fmt.Errorf("configure %s: %w", device, explain(err))
	}
	if !s.Addr.IsValid() || has(i, s.Addr) {
		return nil
	}
	if !s.Addr.Addr().Is4() {
		return fmt.Errorf("add address %s to %s: it is not IPv4", s.Addr, device)
	}
	a := s.Addr.Addr().As4()
	m := newMessage(unix.RTM_NEWADDR, unix.NLM_F_CREATE|unix.NLM_F_EXCL)
	m.put(unix.AF_INET, byte(s.Addr.Bits()), 0, 0)
	m.put32(uint32(i.Index))
	m.attr(unix.IFA_LOCAL, a[:])
	m.attr(unix.IFA_ADDRESS, a[:])
	if s.Addr.Bits() < 31 {
		b := a
		for bit := s.Addr.Bits(); bit < 32; bit++ {
			b[bit/8] |= 0x80 >> (bit % 8)
		}
		m.attr(unix.IFA_BROADCAST, b[:])
	}
	if err := m.send(); err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("add address %s to %s: %w", s.Addr, device, explain(err))
	}
	return nil
}

func configureLink(i *net.Interface, s Settings) error {
	up := s.Up && i.Flags&net.FlagUp == 0
	if !up && (s.MTU == 0 || s.MTU == i.MTU) && s.TxQueue == 0 {
		return nil
	}
	m := newMessage(unix.RTM_NEWLINK, 0)
	m.put(unix.AF_UNSPEC, 0, 0, 0)
	m.put32(uint32(i.Index))
	flags := uint32(0)
	if up {
		flags = unix.IFF_UP
	}
	m.put32(flags)
	m.put32(flags) // which of them to change
	for kind, v := range map[uint16]int{unix.IFLA_MTU: s.MTU, unix.IFLA_TXQLEN: s.TxQueue} {
		if v > 0 {
			m.attr(kind, binary.NativeEndian.AppendUint32(nil, uint32(v)))
		}
	}
	return m.send()
}

func has(i *net.Interface, p netip.Prefix) bool {
	addrs, err := i.Addrs()
	if err != nil {
		return false
	}
	for _, a := range addrs {
		if a.String() == p.String() {
			return true
		}
	}
	return false
}

// AddRoute adds a route in the network namespace of the calling thread, as ip route add TO via VIA does.
func AddRoute(r Route) error {
	m := newMessage(unix.RTM_NEWROUTE, unix.NLM_F_CREATE|unix.NLM_F_EXCL)
	m.put(unix.AF_INET, byte(r.To.Bits()), 0, 0, unix.RT_TABLE_MAIN, unix.RTPROT_BOOT, unix.RT_SCOPE_UNIVERSE, unix.RTN_UNICAST)
	m.put32(0)
	if r.To.Bits() > 0 {
		m.attr(unix.RTA_DST, r.To.Addr().AsSlice())
	}
	if r.Metric > 0 {
		m.attr(unix.RTA_PRIORITY, binary.NativeEndian.AppendUint32(nil, uint32(r.Metric)))
	}
	if len(r.Via) == 1 {
		m.attr(unix.RTA_GATEWAY, r.Via[0].AsSlice())
	} else {
		m.attr(unix.RTA_MULTIPATH, nextHops(r.Via))
	}
	if err := m.send(); err != nil {
		return fmt.Errorf("add route to %s by %v: %w", r.To, r.Via, explain(err))
	}
	return nil
}

// nextHops returns a struct rtnexthop and its gateway for each of several next hops.
func nextHops(all []netip.Addr) []byte {
	m := &message{}
	for _, via := range all {
		m.b = binary.NativeEndian.AppendUint16(m.b, unix.SizeofRtNexthop+unix.SizeofRtAttr+4)
		m.put(0, 0)
		m.put32(0) // the kernel finds the device
		m.attr(unix.RTA_GATEWAY, via.AsSlice())
	}
	return m.b
}

// explain says what would help.
func explain(err error) error {
	if errors.Is(err, unix.EPERM) {
		return fmt.Errorf("%w: this user may not change devices; run netsim with sudo, give the program the right with "+
			"\"sudo setcap cap_net_admin+ep\", or have root do it first with ip addr and ip link set up", ErrUnable)
	}
	return err
}

// message is a request to the kernel (rtnetlink(7)).
type message struct{ b []byte }

func newMessage(kind, flags uint16) *message {
	m := &message{make([]byte, unix.NLMSG_HDRLEN, 128)}
	binary.NativeEndian.PutUint16(m.b[4:], kind)
	binary.NativeEndian.PutUint16(m.b[6:], flags|unix.NLM_F_REQUEST|unix.NLM_F_ACK)
	return m
}

func (m *message) put(b ...byte)  { m.b = append(m.b, b...) }
func (m *message) put32(v uint32) { m.b = binary.NativeEndian.AppendUint32(m.b, v) }

// attr appends an attribute, padded to four bytes.
func (m *message) attr(kind uint16, value []byte) {
	m.b = binary.NativeEndian.AppendUint16(m.b, uint16(unix.SizeofRtAttr+len(value)))
	m.b = binary.NativeEndian.AppendUint16(m.b, kind)
	m.b = append(m.b, value...)
	for len(m.b)%unix.RTA_ALIGNTO != 0 {
		m.b = append(m.b, 0)
	}
}

// send sends the message and returns what the kernel says of it.
func (m *message) send() error {
	binary.NativeEndian.PutUint32(m.b, uint32(len(m.b)))
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd) //nolint:errcheck // all is said
	if err := unix.Sendto(fd, m.b, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return os.NewSyscallError("sendto", err)
	}
	var in [4096]byte
	n, _, err := unix.Recvfrom(fd, in[:], 0)
	if err != nil {
		return os.NewSyscallError("recvfrom", err)
	}
	if n < unix.NLMSG_HDRLEN+4 || binary.NativeEndian.Uint16(in[4:]) != unix.NLMSG_ERROR {
		return errors.New("the kernel's answer cannot be read")
	}
	if no := int32(binary.NativeEndian.Uint32(in[unix.NLMSG_HDRLEN:])); no != 0 {
		return unix.Errno(-no)
	}
	return nil
}
