package shell

import "testing"

// The listings of ip in a host and in containers (16.3).
func TestIP(t *testing.T) {
	b := newBench(t)
	b.expect(b.host, "ip a", `
1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN group default qlen 1
    link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00
    inet 127.0.0.1/8 scope host lo
       valid_lft forever preferred_lft forever
2: eth0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc pfifo_fast state UP group default qlen 1000
    link/ether 08:00:27:3c:91:0e brd ff:ff:ff:ff:ff:ff
    inet 192.168.56.11/24 brd 192.168.56.255 scope global eth0
       valid_lft forever preferred_lft forever
3: docker0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc noqueue state UP group default
    link/ether 02:42:a4:c1:d2:e3 brd ff:ff:ff:ff:ff:ff
    inet 172.17.0.1/16 scope global docker0
       valid_lft forever preferred_lft forever
4: veth1@if2: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc noqueue master docker0 state UP group default
    link/ether 5a:1c:9e:0b:44:00 brd ff:ff:ff:ff:ff:ff link-netnsid 0
5: veth2@if2: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc noqueue master docker0 state UP group default
    link/ether 5a:1c:9e:0b:44:01 brd ff:ff:ff:ff:ff:ff link-netnsid 0`, 0)
	b.expect(&System{NS: b.c1.NS, Flavour: Busybox}, "ip addr show eth0", `
2: eth0@if4: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc noqueue
    link/ether 02:42:ac:11:00:02 brd ff:ff:ff:ff:ff:ff
    inet 172.17.0.2/16 scope global eth0
       valid_lft forever preferred_lft forever`, 0)
	b.expect(b.host, "ip -d link show docker0", `
3: docker0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc noqueue state UP mode DEFAULT group default
    link/ether 02:42:a4:c1:d2:e3 brd ff:ff:ff:ff:ff:ff promiscuity 0
    bridge forward_delay 1500 hello_time 200 max_age 2000 ageing_time 30000 stp_state 0 priority 32768 vlan_filtering 0 *`, 0)
	b.expect(b.host, "ip route", `
172.17.0.0/16 dev docker0  proto kernel  scope link  src 172.17.0.1
192.168.56.0/24 dev eth0  proto kernel  scope link  src 192.168.56.11`, 0)
	b.expect(b.c1, "ip -4 -o addr show dev eth0; ip -br addr show dev eth0", "2: eth0    inet 172.17.0.2/16 scope global eth0\\       valid_lft forever preferred_lft forever\neth0@if4         UP             172.17.0.2/16 ", 0)
	b.expect(b.c1, "ip route get 192.168.56.1; ip route get 172.17.0.2", "192.168.56.1 via 172.17.0.1 dev eth0  src 172.17.0.2 \n    cache \nlocal 172.17.0.2 dev lo  src 172.17.0.2 \n    cache <local>", 0)
	b.expect(b.host, "ls /var/run/docker/netns; ls -d /var/run/docker; ls /var/run/docker/netns/nope 2>/dev/null || echo none", "1-abc\n/var/run/docker\nnone", 0) // I28
	b.expect(b.host, "ip netns; ip netns exec 1-abc hostname -I; nsenter --net=/var/run/docker/netns/1-abc ip -4 route get 172.17.0.3 | head -1",
		"1-abc\n172.17.0.2 \n172.17.0.3 dev eth0  src 172.17.0.2 ", 0)
}

// What ip changes is what packets go by, and its errors are the kernel's.
func TestIPChanges(t *testing.T) {
	b := newBench(t)
	for _, tt := range []struct {
		line, want string
		status     int
	}{
		{"ip addr add 10.9.0.1/24 dev eth0 && ip route show 10.9.0.0/24", "10.9.0.0/24 dev eth0  proto kernel  scope link  src 10.9.0.1", 0},
		{"ip addr add 10.9.0.1/24 dev eth0", "RTNETLINK answers: File exists", 2},
		{"ip addr del 10.9.0.1/24 dev eth0 && ip route show 10.9.0.0/24", "", 0},
		{"ip addr del 10.9.0.1/24 dev eth0", "RTNETLINK answers: Cannot assign requested address", 2},
		{"ip addr add 10.9.0.1/24 dev eth9", "Cannot find device \"eth9\"", 1},
		{"ip route add 10.0.0.0/8 via 172.17.0.3 && ip route show to 10.0.0.0/8", "10.0.0.0/8 via 172.17.0.3 dev eth0", 0},
		{"ip route add 10.0.0.0/8 via 172.17.0.1", "RTNETLINK answers: File exists", 2},
		{"ip route replace 10.0.0.0/8 via 172.17.0.1 && ip route show 10.0.0.0/8", "10.0.0.0/8 via 172.17.0.1 dev eth0", 0},
		{"ip route del 10.0.0.0/8", "", 0},
		{"ip route del 10.0.0.0/8", "RTNETLINK answers: No such process", 2},
		{"ip route add 10.0.0.0/8 dev lo metric 50; ip route add 10.0.0.0/8 dev lo metric 60; ip route del 10.0.0.0/8 metric 60; ip route show 10.0.0.0/8", "10.0.0.0/8 dev lo  scope link  metric 50", 0},
		{"ip route del 10.0.0.0/8 metric 60", "RTNETLINK answers: No such process", 2},
		{"ip route del 10.0.0.0/8", "", 0},
		{"ip route add 10.0.0.0/8 via 10.9.9.9 dev eth0", "RTNETLINK answers: Network is unreachable", 2},
		{"ip route add x via 172.17.0.1", "Error: inet prefix is expected rather than \"x\".", 1},
		{"ip neigh add 172.17.0.50 lladdr 02:42:ac:11:00:32 dev eth0 && ip neigh show 172.17.0.50", "172.17.0.50 dev eth0 lladdr 02:42:ac:11:00:32 PERMANENT", 0},
		{"arp -n 172.17.0.50", "Address                  HWtype  HWaddress           Flags Mask            Iface\n172.17.0.50              ether   02:42:ac:11:00:32   CM                    eth0", 0},
		{"ip neigh del 172.17.0.50 dev eth0", "", 0},
		{"ip neigh del 172.17.0.50 dev eth0", "RTNETLINK answers: No such file or directory", 2},
		{"ip link set eth0 mtu 1400 && cat /sys/class/net/eth0/mtu", "1400", 0},
		{"ip link set eth0 down; ip link show eth0 | head -1", "2: eth0@if4: <BROADCAST,MULTICAST> mtu 1400 qdisc noqueue state DOWN mode DEFAULT group default", 0},
		{"ip link show nope", "Device \"nope\" does not exist.", 1},
		{"ip foo", "Object \"foo\" is unknown, try \"ip help\".", 1},
		{"ip link add br1 type bridge && ip -br link show br1 && ip link del br1", "br1              DOWN           * <BROADCAST,MULTICAST> ", 0},
		{"ip netns exec nope true", "Cannot open network namespace \"nope\": No such file or directory", 255},
	} {
		b.expect(b.c1, tt.line, tt.want, tt.status)
	}
}

// Bridges as brctl and bridge list them (16.1, 16.2).
func TestBridgeTools(t *testing.T) {
	b := newBench(t)
	b.run(b.c1, "ping -c1 172.17.0.3")
	b.expect(b.host, "brctl show", "bridge name\tbridge id\t\tSTP enabled\tinterfaces\ndocker0\t\t8000.0242a4c1d2e3\tno\t\tveth1\n\t\t\t\t\t\t\tveth2", 0)
	b.expect(b.host, "brctl showmacs docker0", "port no\tmac addr\t\tis local?\tageing timer\n  1\t02:42:ac:11:00:02\tno\t\t   #\n"+
		"  2\t02:42:ac:11:00:03\tno\t\t   #\n  1\t5a:1c:9e:0b:44:00\tyes\t\t   0.00\n  2\t5a:1c:9e:0b:44:01\tyes\t\t   0.00", 0)
	b.expect(b.host, "bridge fdb show br docker0 | grep -v vlan", `
33:33:00:00:00:01 dev docker0 self permanent
02:42:a4:c1:d2:e3 dev docker0 master docker0 permanent
02:42:ac:11:00:02 dev veth1 master docker0
02:42:ac:11:00:03 dev veth2 master docker0
5a:1c:9e:0b:44:00 dev veth1 master docker0 permanent
5a:1c:9e:0b:44:01 dev veth2 master docker0 permanent`, 0)
	b.expect(b.host, "bridge fdb show dev veth1 | head -1", "02:42:ac:11:00:02 master docker0", 0)
	b.expect(b.host, "bridge link show dev veth1", "4: veth1 state UP @(null): <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 master docker0 state forwarding priority 32 cost 2 ", 0)
	b.expect(b.host, "brctl delif docker0 veth2; brctl show docker0 | tail -1", "docker0\t\t8000.0242a4c1d2e3\tno\t\tveth1", 0)
	b.expect(b.host, "brctl addif docker0 veth2 && brctl addbr br-0123456789ab && brctl show | sed -n 2p", "br-0123456789ab\t8000.*\tno\t\t", 0)
	b.expect(b.host, "brctl showmacs nope", "bridge nope does not exist!", 1)
}

// ifconfig as busybox prints it (16.4).
func TestIfconfig(t *testing.T) {
	b := newBench(t)
	b.expect(&System{NS: b.c1.NS, Flavour: Busybox}, "ifconfig eth0; ifconfig | grep -c encap", `
eth0      Link encap:Ethernet  HWaddr 02:42:AC:11:00:02
          inet addr:172.17.0.2  Bcast:0.0.0.0  Mask:255.255.0.0
          UP BROADCAST RUNNING MULTICAST  MTU:1500  Metric:1
          RX packets:# errors:0 dropped:0 overruns:0 frame:0
          TX packets:# errors:0 dropped:0 overruns:0 carrier:0
          collisions:0 txqueuelen:0
          RX bytes:# (# B)  TX bytes:# (# B)

2`, 0)
	b.expect(b.host, "ifconfig eth0 | head -2", "eth0      Link encap:Ethernet  HWaddr 08:00:27:3c:91:0e\n          inet addr:192.168.56.11  Bcast:192.168.56.255  Mask:255.255.255.0", 0)
	b.run(b.c1, "ping -c1 172.17.0.1")
	b.expect(&System{NS: b.c1.NS, Flavour: Busybox}, "arp -n", "? (172.17.0.1) at 02:42:a4:c1:d2:e3 [ether]  on eth0", 0)
	b.expect(b.c1, "route -n | tail -1", "172.17.0.0      0.0.0.0         255.255.0.0     U     0      0        0 eth0", 0)
}

// Rules and connections that the tools show are those of the packets (16.11 to 16.14).
func TestNetfilterTools(t *testing.T) {
	b := newBench(t)
	b.expect(b.host, "iptables -t nat -A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE && iptables -t nat -S POSTROUTING",
		"-P POSTROUTING ACCEPT\n-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE", 0)
	b.run(b.c1, "ping -c1 192.168.56.1")
	b.expect(b.host, "conntrack -L -p icmp", `
icmp     1 # src=172.17.0.2 dst=192.168.56.1 type=8 code=0 id=# src=192.168.56.1 dst=192.168.56.11 type=0 code=0 id=# mark=0 use=1
conntrack v1.4.3 (conntrack-tools): 1 flow entries have been shown.`, 0)
	b.expect(b.host, "conntrack -D -s 172.17.0.2 > /dev/null; conntrack -C", "0\nconntrack v1.4.3 (conntrack-tools): 1 flow entries have been deleted.", 0)
	b.expect(b.host, "iptables-save -t nat | grep -- -A", "-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE", 0)
	b.expect(b.host, "iptables -t nope -L", "iptables *: can't initialize iptables table `nope'***", 3)
	b.expect(b.host, "iptables -I FORWARD -d 192.168.56.1 -p tcp --dport 80 -j REJECT --reject-with tcp-reset", "", 0)
	b.expect(b.c1, "curl http://192.168.56.1/", "curl: (7) Failed to connect to 192.168.56.1 port 80: Connection refused", 7)
	b.expect(b.host, "ipvsadm -A -f 256 -s rr && ipvsadm -a -f 256 -r 172.17.0.2 -m && ipvsadm -ln", `
IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn
FWM  256 rr
  -> 172.17.0.2:0                 Masq    1      0          0*`, 0)
}

// Sockets as ss and netstat list them (16.10).
func TestSockets(t *testing.T) {
	b := newBench(t)
	b.serve(b.c2, ":80", replyWith(""))
	b.expect(b.c2, "ss -ltn", "State      Recv-Q Send-Q    Local Address:Port       Peer Address:Port\nLISTEN     0      128                     *:80                     *:*", 0)
	b.expect(b.c2, "netstat -ltn", `
Active Internet connections (only servers)
Proto Recv-Q Send-Q Local Address           Foreign Address         State
tcp        0      0 0.0.0.0:80              0.0.0.0:*               LISTEN`, 0)
}
