package shell

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/netsim-lab/netsim/fabric/wire"
)

// tcpdump prints what passes an interface (16.13).
func TestTcpdump(t *testing.T) {
	b := newBench(t)
	b.serve(b.c2, ":80", replyWith(okReply))
	b.expect(b.c1, "tcpdump -i eth0 -n -c 4 2>/dev/null & sleep 0.1; ping -c1 172.17.0.3 >/dev/null; wait", `
#:#:# ARP, Request who-has 172.17.0.3 tell 172.17.0.2, length 28
#:#:# ARP, Reply 172.17.0.3 is-at 02:42:ac:11:00:03, length 28
#:#:# IP 172.17.0.2 > 172.17.0.3: ICMP echo request, id #, seq 1, length 64
#:#:# IP 172.17.0.3 > 172.17.0.2: ICMP echo reply, id #, seq 1, length 64`, 0)
	b.expect(b.host, "tcpdump -ni veth1 -c 2 tcp port 80 2>/dev/null & sleep 0.1; ip netns exec 1-abc curl -s c2 >/dev/null; wait", `
#:#:# IP 172.17.0.2.# > 172.17.0.3.80: Flags [S], seq #, win #, options [mss 1460,sackOK,TS val # ecr 0,nop,wscale #], length 0
#:#:# IP 172.17.0.3.80 > 172.17.0.2.#: Flags [S.], seq #, ack #, win #, options [mss 1460,sackOK,TS val # ecr #,nop,wscale #], length 0`, 0)
	b.expect(b.c1, "tcpdump -i eth0 -c 1 icmp > /dev/null & sleep 0.1; ping -c1 c2 >/dev/null; wait", `
tcpdump: verbose output suppressed, use -v or -vv for full protocol decode
listening on eth0, link-type EN10MB (Ethernet), capture size 262144 bytes
1 packet captured
# packet* received by filter
0 packets dropped by kernel`, 0)
	b.expect(b.c1, "tcpdump -i eth0 -c 2 -w /tmp/x.pcap icmp 2>/dev/null & sleep 0.1; ping -c1 c2 >/dev/null; wait; test $(wc -c < /tmp/x.pcap) -gt 200; echo $?", "0", 0)
	b.expect(b.c1, "tcpdump -i eth9", "tcpdump: eth9: No such device exists\n(SIOCGIFHWADDR: No such device)", 1)
	b.expect(b.c1, "tcpdump host", "tcpdump: syntax error in filter expression: syntax error", 1)
	b.expect(b.c1, "tcpdump host foo", "tcpdump: unknown host 'foo'", 1)
}

// frame is an Ethernet frame with an IPv4 packet.
func frame(proto byte, src, dst string, body []byte) []byte {
	f := make([]byte, wire.EthernetLen+wire.IPv4Len, 200)
	wire.PutEthernet(f, wire.MAC{2, 0x42, 0xac, 0x11, 0, 3}, wire.MAC{2, 0x42, 0xac, 0x11, 0, 2}, wire.TypeIPv4)
	wire.PutIPv4(f[wire.EthernetLen:], wire.IPv4Fields{TotalLen: wire.IPv4Len + len(body), TTL: 64, Proto: proto, Src: netip.MustParseAddr(src), Dst: netip.MustParseAddr(dst)})
	return append(f, body...)
}

func datagram(src, dst uint16, data []byte) []byte {
	b := make([]byte, wire.UDPLen, wire.UDPLen+len(data))
	wire.PutUDP(b, src, dst, wire.UDPLen+len(data))
	return append(b, data...)
}

func segment(src, dst uint16, flags byte, seq, ack uint32, n int) []byte {
	b := make([]byte, wire.TCPLen+n)
	wire.PutTCP(b, wire.TCPFields{SrcPort: src, DstPort: dst, Seq: seq, Ack: ack, Flags: flags, Window: 229})
	return b
}

func echo(id, seq uint16) []byte {
	b := make([]byte, 64)
	wire.PutICMP(b, wire.ICMPEcho, 0, uint32(id)<<16|uint32(seq))
	return b
}

func vxlanFrame(vni uint32, inner []byte) []byte {
	h := make([]byte, 8, 8+len(inner))
	h[0] = 8
	binary.BigEndian.PutUint32(h[4:], vni<<8)
	return frame(wire.ProtoUDP, "192.168.56.11", "192.168.56.12", datagram(51034, vxlanPort, append(h, inner...)))
}

var webQuestion = append([]byte{0x32, 0x83, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 3}, "web\x00\x00\x01\x00\x01"...)

// Packets in tcpdump's words.
func TestDumpLines(t *testing.T) {
	at := time.Date(2016, 11, 23, 9, 41, 7, 123456000, time.UTC)
	ping := frame(wire.ProtoICMP, "10.0.0.3", "10.0.0.4", echo(9, 1))
	tagged := append(append(append([]byte{}, ping[:12]...), 0x81, 0, 0, 10), ping[12:]...)
	esp := make([]byte, 140)
	binary.BigEndian.PutUint32(esp, 0x5f3a9c11)
	esp[7] = 0x2a
	unreachable := append(make([]byte, 8), frame(wire.ProtoUDP, "10.0.0.3", "10.0.0.4", datagram(1, 99, nil))[wire.EthernetLen:]...)
	wire.PutICMP(unreachable, wire.ICMPUnreachable, wire.CodePortUnreachable, 0)
	answer := append(append([]byte{}, webQuestion...), 0xc0, 12, 0, 1, 0, 1, 0, 0, 2, 0x58, 0, 4, 10, 0, 0, 2)
	answer[2], answer[3], answer[7] = 0x81, 0x80, 1
	d := newDumpPrinter(nil)
	e := newDumpPrinter(options{{name: "e"}})
	for _, tt := range []struct {
		d     *dumpPrinter
		frame []byte
		want  string
	}{
		{d, ping, "IP 10.0.0.3 > 10.0.0.4: ICMP echo request, id 9, seq 1, length 64"},
		{e, ping, "02:42:ac:11:00:02 > 02:42:ac:11:00:03, ethertype IPv4 (0x0800), length 98: IP 10.0.0.3 > 10.0.0.4: ICMP echo request, id 9, seq 1, length 64"},
		{e, tagged, "02:42:ac:11:00:02 > 02:42:ac:11:00:03, ethertype 802.1Q (0x8100), length 102: vlan 10, p 0, ethertype IPv4, IP 10.0.0.3 > 10.0.0.4: ICMP echo request, id 9, seq 1, length 64"},
		{d, vxlanFrame(257, ping), "IP 192.168.56.11.51034 > 192.168.56.12.4789: VXLAN, flags [I] (0x08), vni 257\nIP 10.0.0.3 > 10.0.0.4: ICMP echo request, id 9, seq 1, length 64"},
		{d, frame(wire.ProtoESP, "192.168.56.11", "192.168.56.12", esp), "IP 192.168.56.11 > 192.168.56.12: ESP(spi=0x5f3a9c11,seq=0x2a), length 140"},
		{d, frame(wire.ProtoTCP, "10.0.0.3", "10.0.0.4", segment(49152, 80, wire.SYN, 1000, 0, 0)), "IP 10.0.0.3.49152 > 10.0.0.4.80: Flags [S], seq 1000, win 229, length 0"},
		{d, frame(wire.ProtoTCP, "10.0.0.4", "10.0.0.3", segment(80, 49152, wire.SYN|wire.ACK, 5000, 1001, 0)), "IP 10.0.0.4.80 > 10.0.0.3.49152: Flags [S.], seq 5000, ack 1001, win 229, length 0"},
		{d, frame(wire.ProtoTCP, "10.0.0.3", "10.0.0.4", segment(49152, 80, wire.ACK|wire.PSH, 1001, 5001, 78)), "IP 10.0.0.3.49152 > 10.0.0.4.80: Flags [P.], seq 1:79, ack 1, win 229, length 78"},
		{d, frame(wire.ProtoUDP, "10.0.0.3", "127.0.0.11", datagram(40001, 53, webQuestion)), "IP 10.0.0.3.40001 > 127.0.0.11.53: 12931+ A? web. (21)"},
		{d, frame(wire.ProtoUDP, "127.0.0.11", "10.0.0.3", datagram(53, 40001, answer)), "IP 127.0.0.11.53 > 10.0.0.3.40001: 12931 1/0/0 A 10.0.0.2 (37)"},
		{d, frame(wire.ProtoICMP, "10.0.0.4", "10.0.0.3", unreachable), "IP 10.0.0.4 > 10.0.0.3: ICMP 10.0.0.4 udp port 99 unreachable, length 36"},
		{d, []byte{1, 2}, "[|ether]"},
	} {
		if got, want := tt.d.line(decode(tt.frame), at), "09:41:07.123456 "+tt.want+"\n"; got != want {
			t.Errorf("line =\n%swant\n%s", got, want)
		}
	}
}

// Filters pick the packets that they say.
func TestFilter(t *testing.T) {
	web := frame(wire.ProtoTCP, "10.0.0.3", "10.0.0.4", segment(49152, 80, wire.SYN, 1, 0, 0))
	ack := frame(wire.ProtoTCP, "10.0.0.4", "10.0.0.3", segment(80, 49152, wire.ACK, 1, 1, 0))
	name := frame(wire.ProtoUDP, "10.0.0.3", "8.8.8.8", datagram(40001, 53, webQuestion))
	ping := frame(wire.ProtoICMP, "10.0.0.3", "10.1.0.4", echo(1, 1))
	tunnel := vxlanFrame(257, ping)
	arp := make([]byte, wire.EthernetLen+wire.ARPLen)
	wire.PutEthernet(arp, wire.Broadcast, wire.MAC{2, 0, 0, 0, 0, 1}, wire.TypeARP)
	wire.PutARP(arp[wire.EthernetLen:], wire.ARPRequest, wire.MAC{2, 0, 0, 0, 0, 1}, netip.MustParseAddr("10.0.0.3"), wire.MAC{}, netip.MustParseAddr("10.0.0.9"))
	all := []struct {
		letter string
		frame  []byte
	}{{"w", web}, {"a", ack}, {"n", name}, {"p", ping}, {"t", tunnel}, {"r", arp}}
	for _, tt := range []struct{ filter, want string }{
		{"", "wanptr"}, {"tcp", "wa"}, {"udp", "nt"}, {"icmp", "p"}, {"arp", "r"}, {"ip", "wanpt"}, {"not ip", "r"}, {"! arp", "wanpt"},
		{"port 80", "wa"}, {"tcp port 80", "wa"}, {"udp port 80", ""}, {"dst port 80", "w"}, {"src port 80", "a"}, {"port 80 or 53", "wan"}, {"port domain", "n"},
		{"portrange 50-60", "n"}, {"host 10.0.0.4", "wa"}, {"10.0.0.4", "wa"}, {"src host 10.0.0.4", "a"}, {"src 10.0.0.3", "wnpr"}, {"dst 10.0.0.9", "r"},
		{"src or dst host 10.0.0.4", "wa"}, {"host web", "wa"}, {"net 10.1.0.0/16", "p"}, {"net 10.1", "p"}, {"dst net 8.0.0.0/8", "n"}, {"net 10.1.0.0 mask 255.255.0.0", "p"},
		{"tcp and src 10.0.0.3", "w"}, {"tcp && (src 10.0.0.3 || dst 10.0.0.3)", "wa"}, {"tcp or icmp and src 10.0.0.3", "wp"}, {"not (tcp or udp)", "pr"},
		{"udp port 4789", "t"}, {"vxlan", "t"}, {"vxlan 257", "t"}, {"vxlan 258", ""}, {"broadcast", "r"}, {"ether broadcast", "r"}, {"ether src 02:00:00:00:00:01", "r"},
		{"ip proto 17", "nt"}, {"ip proto icmp", "p"}, {"ether proto 0x0806", "r"}, {"tcp[tcpflags] & tcp-syn != 0", "w"}, {"tcp[13] = 16", "a"},
		{"icmp[icmptype] == icmp-echo", "p"}, {"ip[8] > 63", "wanpt"}, {"less 60", "war"}, {"greater 100", "t"}, {"vlan", ""}, {"arp host 10.0.0.9", "r"},
		{"tcp[2:2]-30 = 50", "w"}, {"len > 60 and not tcp[200] = 1", "npt"}, {"ip[9] / (ip[8] - 64) = 1 or arp", "r"}, {"ip multicast", ""}, {"80 = tcp[2:2]", "w"},
	} {
		f, err := compileFilter(tt.filter, func(string) ([]netip.Addr, error) { return []netip.Addr{netip.MustParseAddr("10.0.0.4")}, nil })
		if err != nil {
			t.Errorf("compileFilter(%q): %v", tt.filter, err)
			continue
		}
		got := ""
		for _, p := range all {
			if f(decode(p.frame)) {
				got += p.letter
			}
		}
		if got != tt.want {
			t.Errorf("%q picks %q; want %q", tt.filter, got, tt.want)
		}
	}
	for _, bad := range []string{"host", "and", "tcp and", "(tcp", "tcp)", "port x", "port 99999", "net 1.2.3.4.5", "ether host x", "tcp[", "tcp[1", "tcp[1]", "tcp[1] = x", "proto x",
		"less x", strings.Repeat("(", 500), strings.Repeat("not ", 500) + "tcp"} {
		if _, err := compileFilter(bad, nil); err == nil {
			t.Errorf("compileFilter(%.20q) = nil; want an error", bad)
		}
	}
}

func FuzzFilter(f *testing.F) {
	for _, s := range []string{"tcp port 80 or (udp and not host 10.0.0.1)", "tcp[tcpflags] & (tcp-syn|tcp-ack) != 0", "src or dst net 10 mask 255.0.0.0", "vlan 1 and vxlan 2"} {
		f.Add(s, vxlanFrame(1, nil))
	}
	f.Fuzz(func(t *testing.T, text string, raw []byte) {
		filter, err := compileFilter(text, func(string) ([]netip.Addr, error) { return nil, fmt.Errorf("no names") })
		if err == nil {
			filter(decode(raw))
		}
	})
}

func FuzzDumpLine(f *testing.F) {
	f.Add(vxlanFrame(257, frame(wire.ProtoICMP, "10.0.0.3", "10.0.0.4", echo(1, 1))))
	f.Add(frame(wire.ProtoUDP, "10.0.0.3", "127.0.0.11", datagram(40001, 53, webQuestion)))
	f.Add(frame(wire.ProtoTCP, "10.0.0.3", "10.0.0.4", segment(1, 2, wire.SYN, 1, 0, 9)))
	d := newDumpPrinter(options{{name: "e"}, {name: "v"}})
	f.Fuzz(func(t *testing.T, raw []byte) {
		if line := d.line(decode(raw), time.Time{}); !strings.HasSuffix(line, "\n") {
			t.Errorf("%q does not end a line", line)
		}
	})
}

func BenchmarkDumpLine(b *testing.B) {
	raw := vxlanFrame(257, frame(wire.ProtoTCP, "10.0.0.3", "10.0.0.4", segment(1, 80, wire.ACK, 1, 1, 9)))
	filter, err := compileFilter("udp port 4789 and host 192.168.56.11", nil)
	if err != nil {
		b.Fatal(err)
	}
	d := newDumpPrinter(nil)
	b.ReportAllocs()
	for b.Loop() {
		if p := decode(raw); filter(p) {
			d.line(p, time.Time{})
		}
	}
}
