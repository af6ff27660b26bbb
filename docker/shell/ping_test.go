package shell

import (
	"testing"

	"github.com/netsim-lab/netsim/dns"
)

// The lines of ping (16.5), its texts for what does not work (L9, L14, L15), and names in them (D24).
func TestPing(t *testing.T) {
	b := newBench(t)
	b.serveDNS(dns.NewStatic(dns.StaticConfig{})) // which knows nobody
	busy, deaf := &System{NS: b.c1.NS, Flavour: Busybox, Files: b.c1.Files}, &System{NS: b.c1.NS, Files: b.c1.Files}
	for _, tt := range []struct {
		name   string
		on     *System
		line   string
		want   string
		status int
	}{
		{"an address", b.c1, "ping -c 2 -i 0.2 172.17.0.3", `
PING 172.17.0.3 (172.17.0.3) 56(84) bytes of data.
64 bytes from 172.17.0.3: icmp_seq=1 ttl=64 time=# ms
64 bytes from 172.17.0.3: icmp_seq=2 ttl=64 time=# ms

--- 172.17.0.3 ping statistics ---
2 packets transmitted, 2 received, 0% packet loss, time #ms
rtt min/avg/max/mdev = #/#/#/# ms`, 0},
		{"a name is shown with its address", b.c1, "ping -c1 c2", "***\n64 bytes from c2 (172.17.0.3): icmp_seq=1 ttl=64 time=# ms\n***", 0},
		{"-n", b.c1, "ping -n -c1 c2", "***\n64 bytes from 172.17.0.3: icmp_seq=1 ttl=64 time=# ms\n***", 0},
		{"through a router", b.c1, "ping -c1 192.168.56.1", "***\n64 bytes from 192.168.56.1: icmp_seq=1 ttl=63 time=# ms\n***", 0},
		{"-q -s", b.c1, "ping -q -s 100 -c 1 c2", "PING c2 (172.17.0.3) 100(128) bytes of data.\n\n--- c2 ping statistics ---\n***", 0},
		{"-I", b.c1, "ping -I eth0 -c1 172.17.0.3", "PING 172.17.0.3 (172.17.0.3) from 172.17.0.2 eth0: 56(84) bytes of data.\n64 bytes from 172.17.0.3: ***", 0},
		{"-t", b.c1, "ping -t 1 -c1 192.168.56.1", "***\nFrom 172.17.0.1 icmp_seq=1 Time to live exceeded\n***", 1},
		// The last request may be without an answer when time is over, on a busy machine even all of them.
		{"-w", b.c1, "ping -w 0.2 -i 0.05 -q 172.17.0.3 | grep transmitted", "# packets transmitted, # received, *% packet loss, time #ms", 0},
		{"L9: nobody there", b.c1, "ping -c1 172.17.0.9", `
PING 172.17.0.9 (172.17.0.9) 56(84) bytes of data.
From 172.17.0.2 icmp_seq=1 Destination Host Unreachable

--- 172.17.0.9 ping statistics ---
1 packets transmitted, 0 received, +1 errors, 100% packet loss, time #ms

`, 1},
		{"L14: too large for the interface", b.c1, "ping -M do -s 1473 -c1 172.17.0.3", "***ping: local error: Message too long, mtu=1500\n", 1},
		{"a name that is not known", b.c1, "ping foo", "ping: foo: Name or service not known", 2},
		{"no name server", deaf, "echo nameserver 172.17.0.2 > /etc/resolv.conf; ping slow", "ping: slow: Temporary failure in name resolution", 2},
		{"no route", b.outside, "ping 9.9.9.9", "connect: Network is unreachable", 2},
		{"bad usage", b.c1, "ping -c x c2", "ping: invalid argument: 'x'", 1},
		{"busybox", busy, "ping -c 1 c2", `
PING c2 (172.17.0.3): 56 data bytes
64 bytes from 172.17.0.3: seq=0 ttl=64 time=# ms

--- c2 ping statistics ---
1 packets transmitted, 1 packets received, 0% packet loss
round-trip min/avg/max = #/#/# ms`, 0},
		{"busybox: bad name", busy, "ping foo", "ping: bad address 'foo'", 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := *b
			b.TB = t
			b.expect(tt.on, tt.line, tt.want, tt.status)
		})
	}
}

// A smaller MTU on the way is told of by the router (L14).
func TestPingFragNeeded(t *testing.T) {
	b := newBench(t)
	b.expect(b.host, "ip link set eth0 mtu 1400", "", 0)
	b.expect(b.c1, "ping -M do -s 1450 -c1 192.168.56.1", "***\nFrom 172.17.0.1 icmp_seq=1 Frag needed and DF set (mtu = 1400)\n***", 1)
	b.expect(b.c1, "ping -c1 -s 1450 192.168.56.1", "***\n1458 bytes from 192.168.56.1: ***", 0)
}

// traceroute names each router by the address that the packet came in on (L12, 16.6).
func TestTraceroute(t *testing.T) {
	b := newBench(t)
	b.expect(b.c1, "traceroute -n 192.168.56.1", `
traceroute to 192.168.56.1 (192.168.56.1), 30 hops max, 60 byte packets
 1  172.17.0.1  # ms  # ms  # ms
 2  192.168.56.1  # ms  # ms  # ms`, 0)
	b.expect(b.c1, "traceroute -I -q 1 c2", "traceroute to c2 (172.17.0.3), 30 hops max, 60 byte packets\n 1  c2 (172.17.0.3)  # ms", 0)
	b.expect(b.host, "iptables -A FORWARD -p udp -j DROP", "", 0)
	b.expect(b.c1, "traceroute -n -w 0.2 -q 1 -m 3 192.168.56.1", "***\n 1  172.17.0.1  # ms\n 2  *\n 3  *", 0)
	b.expect(b.outside, "traceroute 9.9.9.9", "traceroute to 9.9.9.9 (9.9.9.9), 30 hops max, 60 byte packets\nconnect: Network is unreachable", 1)
	b.expect(&System{NS: b.c1.NS, Flavour: Busybox}, "traceroute -n 172.17.0.1", "*46 byte packets\n 1  172.17.0.1  # ms  # ms  # ms", 0)
}
