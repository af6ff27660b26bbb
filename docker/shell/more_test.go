package shell

import "testing"

// route changes the table as ip route does, in its own words.
func TestRouteChanges(t *testing.T) {
	b := newBench(t)
	b.expect(b.c1, "route add -net 10.0.0.0 netmask 255.0.0.0 gw 172.17.0.3 && ip route show 10.0.0.0/8", "10.0.0.0/8 via 172.17.0.3 dev eth0", 0)
	b.expect(b.c1, "route add -net 10.0.0.0/8 gw 172.17.0.3", "SIOCADDRT: File exists", 7)
	b.expect(b.c1, "route del -net 10.0.0.0/8; route del -net 10.0.0.0/8", "SIOCDELRT: No such process", 7)
	b.expect(b.c1, "route del default && route add default gw 172.17.0.1 && route -n | grep UG", "0.0.0.0         172.17.0.1      0.0.0.0         UG    0      0        0 eth0", 0)
	b.expect(b.c1, "route frob", "Usage: route [-nNvee] ***", 3)
	b.expect(b.c1, "netstat -i | sed -n 2,3p", "Iface   MTU Met   RX-OK RX-ERR RX-DRP RX-OVR    TX-OK TX-ERR TX-DRP TX-OVR Flg\nlo    65536 0  *LRU", 0)
}

// The files that tell of sockets and interfaces.
func TestProcAndSys(t *testing.T) {
	b := newBench(t)
	b.serve(b.c1, ":80", replyWith(page))
	b.expect(b.c1, "sed -n 2p /proc/net/tcp", "   0: 00000000:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 *", 0)
	b.expect(b.c1, "cd /sys/class/net/eth0; cat address mtu operstate iflink statistics/tx_dropped; ls /sys/class/net; ls statistics | head -1", "02:42:ac:11:00:02\n1500\nup\n4\n0\neth0\nlo\ncollisions", 0)
	b.expect(b.c1, "cat /etc/hostname > /tmp/h; echo x >> /tmp/h; cat /tmp/h", "c1\nx", 0)
}
