package nat

import (
	"slices"
	"testing"
)

// Rules read as nft 1.0.6 lists those of iptables-nft 1.8.9.
func TestNFTables(t *testing.T) {
	const zero = "counter packets 0 bytes 0"
	for _, row := range []struct{ rule, want string }{
		{"-t nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER", "fib daddr type local " + zero + " jump DOCKER"},
		{"-t nat -A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER", "ip daddr != 127.0.0.0/8 fib daddr type local " + zero + " jump DOCKER"},
		{"-t nat -A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE", `oifname != "docker0" ip saddr 172.17.0.0/16 ` + zero + " masquerade"},
		{"-t nat -A POSTROUTING -s 172.17.0.2/32 -d 172.17.0.2/32 -p tcp -m tcp --dport 80 -j MASQUERADE", "ip saddr 172.17.0.2 ip daddr 172.17.0.2 tcp dport 80 " + zero + " masquerade"},
		{"-t nat -A POSTROUTING -m addrtype --src-type LOCAL -o docker_gwbridge -j MASQUERADE", `oifname "docker_gwbridge" fib saddr type local ` + zero + " masquerade"},
		{"-t nat -A POSTROUTING -s 127.0.0.11/32 -p udp --sport 4444 -j SNAT --to-source :53", "ip saddr 127.0.0.11 udp sport 4444 " + zero + " snat to :53"},
		{"-t nat -A POSTROUTING -m ipvs --ipvs -j SNAT --to-source 10.0.0.2", `xt match "ipvs" ` + zero + " snat to 10.0.0.2"},
		{"-t nat -A DOCKER -i docker0 -j RETURN", `iifname "docker0" ` + zero + " return"},
		{"-t nat -A DOCKER ! -i docker0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80", `iifname != "docker0" tcp dport 8080 ` + zero + " dnat to 172.17.0.2:80"},
		{"-t nat -A DOCKER -p udp -m udp --dport 53 -j REDIRECT --to-ports 5353", "udp dport 53 " + zero + " redirect to :5353"},
		{"-A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT", `oifname "docker0" ct state related,established ` + zero + " accept"},
		{"-A FORWARD -i docker0 -o br+ -j DROP", `iifname "docker0" oifname "br*" ` + zero + " drop"},
		{"-A FORWARD -i docker0 ! -o docker0 -g DOCKER", `iifname "docker0" oifname != "docker0" ` + zero + " goto DOCKER"},
		{"-A DOCKER -p tcp -m multiport --dports 80,443,1000:2000 -j REJECT", "meta l4proto tcp tcp dport { 80, 443, 1000-2000 } " + zero + " reject"},
		{"-A DOCKER -p tcp -j REJECT --reject-with tcp-reset", "meta l4proto tcp " + zero + " reject with tcp reset"},
		{"-A DOCKER -p icmp -m icmp --icmp-type 8 -j DROP", "meta l4proto icmp icmp type echo-request " + zero + " drop"},
		{"-A DOCKER -p tcp --sport 1:10 ! --dport 1:10 --syn -j LOG --log-prefix x", "tcp flags syn / fin,syn,rst,ack tcp sport 1-10 tcp dport != 1-10 " + zero + ` log prefix "x"`},
		{"-A DOCKER -p tcp ! --tcp-flags SYN,RST SYN,RST -j RETURN", "tcp flags != syn,rst / syn,rst " + zero + " return"},
		{"-A DOCKER -m mark --mark 0x5 -j ACCEPT", "meta mark 0x00000005 " + zero + " accept"},
		{"-A DOCKER -m mark ! --mark 0x5/0xff -j ACCEPT", "meta mark & 0x000000ff != 0x00000005 " + zero + " accept"},
		{"-A DOCKER ! -p tcp ! -s 10.1.0.0/16 -f -j ACCEPT", "meta l4proto != tcp ip saddr != 10.1.0.0/16 ip frag-off & 8191 != 0 " + zero + " accept"},
		{"-A DOCKER -m conntrack ! --ctstate NEW -j ACCEPT", "ct state ! new " + zero + " accept"},
		{"-A DOCKER -p 89 -s 10.1.0.0/255.0.255.0", "meta l4proto ospf ip saddr & 255.0.255.0 == 10.0.0.0 " + zero},
		{"-A DOCKER -j REJECT --reject-with icmp-host-prohibited", zero + " reject with icmp type host-prohibited"},
		{"-A DOCKER -m comment --comment why -j DROP", zero + ` drop comment "why"`},
		{"-t mangle -A PREROUTING -p tcp --dport 80 -j MARK --set-mark 0x100", "tcp dport 80 " + zero + " meta mark set 0x100"},
		{"-t mangle -A PREROUTING -p tcp --dport 80 -j MARK --set-xmark 0x100/0xff0", "tcp dport 80 " + zero + " meta mark set mark and 0xfffff00f xor 0x100"},
		{"-t raw -A OUTPUT -j CT --notrack", zero + " notrack"},
	} {
		n := newHost(t, "-t nat -N DOCKER", "-N DOCKER", row.rule)
		var got []string
		for _, nt := range n.NFTables() {
			for _, c := range nt.Chains {
				got = append(got, c.Rules...)
			}
		}
		if !slices.Equal(got, []string{row.want}) {
			t.Errorf("iptables %s\nis  %q\nnot %q", row.rule, got, row.want)
		}
	}
}

// Chains have the hooks, priorities and policies that iptables-nft gives them, and are there once they are used.
func TestNFTablesChains(t *testing.T) {
	n := newHost(t, "-t raw -A OUTPUT", "-t mangle -A OUTPUT", "-t nat -A PREROUTING", "-t nat -A INPUT", "-t nat -A OUTPUT", "-t nat -A POSTROUTING", "-P FORWARD DROP", "-N mine")
	var got []string
	for _, nt := range n.NFTables() {
		for _, c := range nt.Chains {
			got = append(got, nt.Name+" "+c.Name+": "+c.Base)
		}
	}
	want := []string{
		"nat PREROUTING: type nat hook prerouting priority dstnat; policy accept;",
		"nat INPUT: type nat hook input priority 100; policy accept;",
		"nat OUTPUT: type nat hook output priority -100; policy accept;",
		"nat POSTROUTING: type nat hook postrouting priority srcnat; policy accept;",
		"filter FORWARD: type filter hook forward priority filter; policy drop;",
		"filter mine: ",
		"mangle OUTPUT: type route hook output priority mangle; policy accept;",
		"raw OUTPUT: type filter hook output priority raw; policy accept;",
	}
	if !slices.Equal(got, want) {
		t.Errorf("NFTables =\n%q\nwant\n%q", got, want)
	}
}
