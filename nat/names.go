package nat

import (
	"strconv"
	"strings"
)

// protocols are the protocols that listings print by name.
var protocols = []struct {
	name string
	num  uint8
}{{"all", 0}, {"icmp", 1}, {"tcp", 6}, {"udp", 17}, {"esp", 50}, {"ah", 51}, {"sctp", 132}, {"udplite", 136}, {"igmp", 2}, {"gre", 47}}

func protoName(num uint8) string {
	for _, p := range protocols {
		if p.num == num {
			return p.name
		}
	}
	return strconv.Itoa(int(num))
}

func parseProto(s string) (uint8, bool) {
	for _, p := range protocols {
		if strings.EqualFold(p.name, s) {
			return p.num, true
		}
	}
	v, err := strconv.ParseUint(s, 0, 8)
	return uint8(v), err == nil
}

// services are the port names that people meet most in listings without -n.
var services = []struct {
	name string
	num  uint16
}{
	{"ftp", 21}, {"ssh", 22}, {"telnet", 23}, {"smtp", 25}, {"domain", 53}, {"bootps", 67}, {"bootpc", 68}, {"tftp", 69}, {"http", 80},
	{"kerberos", 88}, {"pop3", 110}, {"sunrpc", 111}, {"ntp", 123}, {"imap2", 143}, {"snmp", 161}, {"bgp", 179}, {"ldap", 389}, {"https", 443},
	{"isakmp", 500}, {"syslog", 514}, {"ldaps", 636}, {"domain-s", 853}, {"imaps", 993}, {"pop3s", 995}, {"nfs", 2049}, {"mysql", 3306},
	{"ipsec-nat-t", 4500}, {"postgresql", 5432}, {"amqp", 5672}, {"http-alt", 8080},
}

func portName(p uint16, numeric bool) string {
	if !numeric {
		for _, s := range services {
			if s.num == p {
				return s.name
			}
		}
	}
	return strconv.Itoa(int(p))
}

func parsePort(s string) (uint16, bool) {
	v, err := strconv.ParseUint(s, 10, 16)
	if err == nil {
		return uint16(v), true
	}
	for _, x := range services {
		if x.name == s {
			return x.num, true
		}
	}
	return 0, false
}

// icmpTypes are the names of ICMP messages; the first of two for the same message is the one that is printed.
var icmpTypes = []struct {
	name   string
	typ    uint8
	lo, hi uint8 // codes
}{
	{"any", anyICMP, 0, 255}, {"echo-reply", 0, 0, 255}, {"pong", 0, 0, 255}, {"destination-unreachable", 3, 0, 255},
	{"network-unreachable", 3, 0, 0}, {"host-unreachable", 3, 1, 1}, {"protocol-unreachable", 3, 2, 2}, {"port-unreachable", 3, 3, 3},
	{"fragmentation-needed", 3, 4, 4}, {"source-route-failed", 3, 5, 5}, {"network-unknown", 3, 6, 6}, {"host-unknown", 3, 7, 7},
	{"network-prohibited", 3, 9, 9}, {"host-prohibited", 3, 10, 10}, {"communication-prohibited", 3, 13, 13}, {"source-quench", 4, 0, 255},
	{"redirect", 5, 0, 255}, {"network-redirect", 5, 0, 0}, {"host-redirect", 5, 1, 1}, {"echo-request", 8, 0, 255}, {"ping", 8, 0, 255},
	{"router-advertisement", 9, 0, 255}, {"router-solicitation", 10, 0, 255}, {"time-exceeded", 11, 0, 255}, {"ttl-exceeded", 11, 0, 255},
	{"ttl-zero-during-transit", 11, 0, 0}, {"ttl-zero-during-reassembly", 11, 1, 1}, {"parameter-problem", 12, 0, 255},
	{"timestamp-request", 13, 0, 255}, {"timestamp-reply", 14, 0, 255}, {"address-mask-request", 17, 0, 255}, {"address-mask-reply", 18, 0, 255},
}

// parseICMPType reads a name, a type, or type/code.
func parseICMPType(s string) (typ, lo, hi uint8, ok bool) {
	for _, t := range icmpTypes {
		if strings.EqualFold(t.name, s) {
			return t.typ, t.lo, t.hi, true
		}
	}
	num, code, both := strings.Cut(s, "/")
	v, err := strconv.ParseUint(num, 10, 8)
	if err != nil {
		return 0, 0, 0, false
	}
	if !both {
		return uint8(v), 0, 255, true
	}
	c, err := strconv.ParseUint(code, 10, 8)
	return uint8(v), uint8(c), uint8(c), err == nil
}

// tcpFlags are the names of TCP flags in the order of their bits.
var tcpFlags = []string{"FIN", "SYN", "RST", "PSH", "ACK", "URG"}

func parseTCPFlags(s string) (uint32, bool) {
	var bits uint32
	for _, name := range strings.Split(s, ",") {
		switch i := indexFold(tcpFlags, name); {
		case i >= 0:
			bits |= 1 << i
		case strings.EqualFold(name, "ALL"):
			bits |= 1<<len(tcpFlags) - 1
		case !strings.EqualFold(name, "NONE"):
			return 0, false
		}
	}
	return bits, true
}

func tcpFlagNames(bits uint32) string {
	if bits == 0 {
		return "NONE"
	}
	return bitNames(tcpFlags, bits)
}

func bitNames(names []string, bits uint32) string {
	var set []string
	for i, name := range names {
		if bits&(1<<i) != 0 {
			set = append(set, name)
		}
	}
	return strings.Join(set, ",")
}

func indexFold(names []string, s string) int {
	for i, name := range names {
		if strings.EqualFold(name, s) {
			return i
		}
	}
	return -1
}

// ctStates are the words of --ctstate in the order in which they are printed, with their bits in match.states.
var ctStates = []struct {
	name string
	bit  uint8
}{
	{"INVALID", 1 << StateInvalid}, {"NEW", 1 << StateNew}, {"RELATED", 1 << StateRelated}, {"ESTABLISHED", 1 << StateEstablished},
	{"UNTRACKED", 1 << StateUntracked}, {"SNAT", stateSNAT}, {"DNAT", stateDNAT},
}

func ctStateNames(bits uint8) string {
	var set []string
	for _, s := range ctStates {
		if bits&s.bit != 0 {
			set = append(set, s.name)
		}
	}
	return strings.Join(set, ",")
}

// logLevels are the names of --log-level by number.
var logLevels = []string{"emerg", "alert", "crit", "error", "warn", "notice", "info", "debug"}
