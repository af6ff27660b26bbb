package shell

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/netsim-lab/netsim/netns"
)

// kernel is the release that uname and /proc/version tell.
const kernel = "4.4.0-45-generic"

// generated are the files that tell what the namespace is like, by path.
var generated map[string]func(s *System) string

// settings are the files of /proc that may be written.
var settings = map[string]func(s *System, text string) error{"/proc/sys/net/ipv4/ip_forward": func(s *System, text string) error {
	s.NS.SetForward(text != "0")
	return nil
}}

func init() {
	generated = map[string]func(s *System) string{
		"/etc/hostname":   func(s *System) string { return s.hostname() + "\n" },
		"/etc/os-release": osRelease,
		"/proc/net/route": procRoute, "/proc/net/arp": procARP, "/proc/net/dev": procDev,
		"/proc/net/tcp": func(s *System) string { return procSockets(s, "tcp") }, "/proc/net/udp": func(s *System) string { return procSockets(s, "udp") },
		"/proc/version":                                        func(*System) string { return "Linux version " + kernel + " (netsim)\n" },
		"/proc/uptime":                                         func(s *System) string { return fmt.Sprintf("%.2f 0.00\n", time.Since(s.st().files.booted).Seconds()) },
		"/proc/sys/kernel/hostname":                            func(s *System) string { return s.hostname() + "\n" },
		"/proc/sys/net/ipv4/ip_forward":                        func(s *System) string { return flag(s.NS.Forwarding()) + "\n" },
		"/proc/sys/net/ipv4/ip_default_ttl":                    func(*System) string { return "64\n" },
		"/proc/sys/net/ipv4/ip_local_port_range":               func(*System) string { return "32768\t60999\n" },
		"/proc/sys/net/ipv4/icmp_echo_ignore_broadcasts":       func(*System) string { return "1\n" },
		"/proc/sys/net/ipv4/conf/all/rp_filter":                func(*System) string { return "0\n" },
		"/proc/sys/net/core/somaxconn":                         func(*System) string { return "128\n" },
		"/proc/sys/net/netfilter/nf_conntrack_count":           func(s *System) string { return fmt.Sprintf("%d\n", s.NS.Netfilter().Count()) },
		"/proc/sys/net/bridge/bridge-nf-call-iptables":         func(*System) string { return "1\n" },
		"/proc/sys/net/ipv4/neigh/default/gc_stale_time":       func(*System) string { return "60\n" },
		"/proc/sys/net/ipv4/neigh/default/base_reachable_time": func(*System) string { return "30\n" },
	}
}

func flag(on bool) string {
	if on {
		return "1"
	}
	return "0"
}

func osRelease(s *System) string {
	switch s.Flavour {
	case Busybox:
		return "NAME=\"Buildroot\"\nID=buildroot\n"
	case Alpine:
		return "NAME=\"Alpine Linux\"\nID=alpine\nVERSION_ID=3.4.4\nPRETTY_NAME=\"Alpine Linux v3.4\"\n"
	}
	return "NAME=\"Ubuntu\"\nVERSION=\"16.04.1 LTS (Xenial Xerus)\"\nID=ubuntu\nVERSION_ID=\"16.04\"\n"
}

// littleEndian prints an address as /proc/net/route does.
func littleEndian(a netip.Addr) string {
	if !a.Is4() {
		return "00000000"
	}
	b := a.As4()
	return fmt.Sprintf("%08X", binary.LittleEndian.Uint32(b[:]))
}

func procRoute(s *System) string {
	var b strings.Builder
	b.WriteString("Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n")
	for _, r := range s.NS.Routes() {
		flags := 1
		if r.Via.IsValid() {
			flags = 3
		}
		fmt.Fprintf(&b, "%s\t%s\t%s\t%04X\t0\t0\t%d\t%s\t0\t0\t0\n", r.Dev.Name(), littleEndian(r.Dst.Addr()), littleEndian(r.Via), flags,
			r.Metric, littleEndian(maskAddr(r.Dst.Bits())))
	}
	return b.String()
}

func procARP(s *System) string {
	var b strings.Builder
	b.WriteString("IP address       HW type     Flags       HW address            Mask     Device\n")
	for _, n := range s.NS.Neighbours() {
		flags := 0
		switch n.State {
		case netns.NeighPermanent:
			flags = 6
		case netns.NeighIncomplete, netns.NeighFailed, netns.NeighNone:
		default:
			flags = 2
		}
		fmt.Fprintf(&b, "%-16s 0x1         0x%x         %s     *        %s\n", n.Addr, flags, n.MAC, n.Dev.Name())
	}
	return b.String()
}

func procDev(s *System) string {
	var b strings.Builder
	b.WriteString("Inter-|   Receive                                                |  Transmit\n")
	b.WriteString(" face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n")
	for _, i := range s.NS.Interfaces() {
		st := i.Read()
		fmt.Fprintf(&b, "%6s: %7d %7d    0 %4d    0     0          0         0 %8d %7d    0    0    0     0       0          0\n",
			i.Name(), st.RxBytes, st.RxFrames, st.Dropped(), st.TxBytes, st.TxFrames)
	}
	return b.String()
}

// socketStates are the kernel's numbers of the states of sockets (include/net/tcp_states.h).
var socketStates = map[string]int{"ESTABLISHED": 1, "SYN_SENT": 2, "SYN_RECV": 3, "FIN_WAIT1": 4, "FIN_WAIT2": 5, "TIME_WAIT": 6, "CLOSE": 7, "CLOSE_WAIT": 8,
	"LAST_ACK": 9, "LISTEN": 10, "CLOSING": 11}

// procSockets is /proc/net/tcp and /proc/net/udp.
func procSockets(s *System, proto string) string {
	var b strings.Builder
	b.WriteString("  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n")
	n := 0
	for _, k := range s.NS.Sockets() {
		if k.Proto != proto {
			continue
		}
		fmt.Fprintf(&b, "%4d: %s:%04X %s:%04X %02X %08X:%08X 00:00000000 00000000     0        0 %d\n", n, littleEndian(k.Local.Addr()), k.Local.Port(),
			littleEndian(k.Remote.Addr()), k.Remote.Port(), cmp.Or(socketStates[k.State], 7), k.SendQ, k.RecvQ, 10000+n)
		n++
	}
	return b.String()
}

// maskAddr returns the network mask of a prefix length.
func maskAddr(bits int) netip.Addr {
	var m [4]byte
	binary.BigEndian.PutUint32(m[:], uint32(uint64(0xffffffff)<<(32-bits)))
	return netip.AddrFrom4(m)
}

// broadcastAddr returns the last address of a prefix.
func broadcastAddr(p netip.Prefix) netip.Addr {
	a, m := p.Addr().As4(), maskAddr(p.Bits()).As4()
	for i := range a {
		a[i] |= ^m[i]
	}
	return netip.AddrFrom4(a)
}
