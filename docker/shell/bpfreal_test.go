package shell

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/netsim-lab/netsim/fabric/wire"
)

// The pools that packets and expressions are drawn from, so that many of the first fit many of the second.
var (
	poolAddrs = strings.Fields("10.0.0.3 10.0.0.4 10.1.0.4 192.168.56.11 224.0.0.1 255.255.255.255")
	poolPorts = []uint16{22, 53, 80, 443, 4789, 40001}
	poolMACs  = []wire.MAC{{2, 0, 0, 0, 0, 1}, {2, 0, 0, 0, 0, 2}, wire.Broadcast, {1, 0, 0x5e, 0, 0, 1}}
)

func pick[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }

// anyPacket draws a frame: TCP, UDP, ICMP, others, fragments of them, ARP.
func anyPacket(r *rand.Rand) []byte {
	src, dst := pick(r, poolAddrs[:4]), pick(r, poolAddrs)
	if r.IntN(8) == 0 {
		b := make([]byte, wire.EthernetLen+wire.ARPLen)
		wire.PutEthernet(b, pick(r, poolMACs), pick(r, poolMACs[:2]), wire.TypeARP)
		wire.PutARP(b[wire.EthernetLen:], uint16(1+r.IntN(2)), poolMACs[0], netip.MustParseAddr(src), poolMACs[1], netip.MustParseAddr(dst))
		return b
	}
	proto, body := byte(pick(r, []int{1, 1, 2, 6, 6, 6, 17, 17, 17, 50})), make([]byte, 20+r.IntN(60))
	switch proto {
	case wire.ProtoTCP:
		body = append(segment(pick(r, poolPorts), pick(r, poolPorts), byte(r.IntN(64)), r.Uint32(), r.Uint32(), 0), body...)
		copy(body[20:], pick(r, []string{"GET / HTTP/1.1", "POST /", ""}))
	case wire.ProtoUDP:
		body = datagram(pick(r, poolPorts), pick(r, poolPorts), body)
	case wire.ProtoICMP:
		body[0], body[1] = byte(pick(r, []int{0, 3, 8, 11})), byte(r.IntN(4))
	}
	b := frame(proto, src, dst, body)
	to, from := pick(r, poolMACs), pick(r, poolMACs[:2])
	copy(b[0:], to[:])
	copy(b[6:], from[:])
	b[wire.EthernetLen+8] = byte(r.IntN(256)) // the TTL
	if r.IntN(6) == 0 {
		binary.BigEndian.PutUint16(b[wire.EthernetLen+6:], uint16(r.IntN(2)<<13|r.IntN(3)*100)) // a fragment
	}
	return b
}

// anyFilter draws an expression.
func anyFilter(r *rand.Rand, depth int) string {
	if depth > 0 && r.IntN(2) == 0 {
		left, right := anyFilter(r, depth-1), anyFilter(r, depth-1)
		return pick(r, []string{left + " and " + right, left + " or " + right, "not " + left, "(" + left + ") and not (" + right + ")", "!(" + left + ") || " + right})
	}
	dir, proto := pick(r, []string{"", "", "src ", "dst ", "src or dst ", "src and dst "}), pick(r, []string{"", "tcp ", "udp "})
	port, relation := pick(r, poolPorts), pick(r, []string{"=", "!=", ">", "<", ">=", "<="})
	return pick(r, []string{
		pick(r, strings.Fields("ip arp tcp udp icmp igmp esp broadcast multicast")), "ip multicast",
		pick(r, []string{"", "ip ", "arp "}) + dir + "host " + pick(r, poolAddrs),
		dir + "net " + pick(r, []string{"10.0.0.0/8", "10.1", "10.0.0.0/24", "10.0.0.0 mask 255.255.255.0", "192.168"}),
		fmt.Sprintf("%s%sport %d", proto, dir, port), fmt.Sprintf("%s%sportrange %d-%d", proto, dir, port, int(port)+400),
		fmt.Sprintf("ip proto %d", pick(r, []int{1, 2, 6, 17, 50})), "ip proto \\" + pick(r, strings.Fields("tcp udp icmp")), "ether proto 0x0806", "ether proto \\ip",
		"ether " + pick(r, []string{"src ", "dst ", "host "}) + pick(r, poolMACs[:2]).String(), "ether " + pick(r, []string{"broadcast", "multicast"}),
		fmt.Sprintf("less %d", 40+r.IntN(100)), fmt.Sprintf("greater %d", 40+r.IntN(100)), fmt.Sprintf("len %s %d", relation, 40+r.IntN(100)),
		fmt.Sprintf("ip[8] %s %d", relation, r.IntN(256)), fmt.Sprintf("ip[2:2] %s %d", relation, 40+r.IntN(60)),
		fmt.Sprintf("tcp[tcpflags] & %s %s 0", pick(r, []string{"tcp-syn", "(tcp-syn|tcp-ack)", "tcp-fin", "0x12"}), relation),
		fmt.Sprintf("tcp[tcpflags] == %s", pick(r, []string{"tcp-syn", "tcp-syn|tcp-ack", "tcp-ack"})),
		fmt.Sprintf("icmp[icmptype] %s %s", relation, pick(r, []string{"icmp-echo", "icmp-echoreply", "icmp-unreach", "8"})),
		fmt.Sprintf("udp[4:2] %s %d", relation, 20+r.IntN(60)), fmt.Sprintf("ether[%d] %s %d", r.IntN(20), relation, r.IntN(16)),
		"tcp[((tcp[12:1] & 0xf0) >> 2):4] = 0x47455420", "(((ip[2:2] - ((ip[0]&0xf)<<2)) - ((tcp[12]&0xf0)>>2)) != 0)",
		fmt.Sprintf("ip[0] & 0xf %s 5", relation), fmt.Sprintf("ip[2:2] * 2 + 1 %s 121", relation), fmt.Sprintf("tcp[0:2] %s tcp[2:2]", relation),
		fmt.Sprintf("udp[0:2] ^ 1 %s 52", relation), fmt.Sprintf("ip[9] / 2 %s ip[8] %% 16", relation), fmt.Sprintf("ip[6:2] & 0x1fff %s 0", relation),
	})
}

// The packets that expressions take are those that the real tcpdump takes, where there is one.
func TestFilterAsTcpdump(t *testing.T) {
	tcpdump, err := exec.LookPath("tcpdump")
	if err != nil {
		t.Skip("tcpdump is not installed")
	}
	r := rand.New(rand.NewPCG(7, 9))
	var plain, tagged [][]byte
	for range 300 {
		p := anyPacket(r)
		plain = append(plain, p)
		tag := append(append(append([]byte{}, p[:12]...), 0x81, 0, 0, byte(10+r.IntN(2))), p[12:]...)
		tagged = append(tagged, tag)
	}
	dir := t.TempDir()
	file := func(name string, frames [][]byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, pcapFile(frames), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	plainFile, taggedFile := file("plain.pcap", plain), file("tagged.pcap", tagged)
	for n := range 250 {
		text, frames, path := anyFilter(r, n%3), plain, plainFile
		if n%10 == 9 { // a VLAN's, whose rest is about what is behind the tag
			text, frames, path = pick(r, []string{"vlan", "vlan 10", "vlan 11"})+" and ("+text+")", tagged, taggedFile
			if strings.Contains(text, "ether[") || strings.Contains(text, "ether proto") {
				continue // which look at the tag itself in a file
			}
		}
		args := []string{"-n", "-r", path, "-w", "-"}
		if os.Geteuid() == 0 { // or it becomes a user that there may not be
			args = append(args, "-Z", "root")
		}
		cmd := exec.Command(tcpdump, append(args, text)...)
		var errOut bytes.Buffer
		cmd.Stderr = &errOut
		out, err := cmd.Output()
		rejects := strings.Contains(errOut.String(), "rejects all packets")
		if err != nil && !rejects {
			t.Errorf("tcpdump %q: %v: %s", text, err, errOut.String())
			continue
		}
		filter, err := compileFilter(text, nil)
		if err != nil {
			t.Errorf("compileFilter(%q): %v", text, err)
			continue
		}
		var mine [][]byte
		for _, f := range frames {
			if filter(decode(f)) {
				mine = append(mine, f)
			}
		}
		if want := out; rejects && len(mine) > 0 || !rejects && !bytes.Equal(pcapFile(mine), want) {
			t.Errorf("%q takes %d packets; tcpdump takes others", text, len(mine))
		}
	}
}

// pcapFile is a capture of frames, all at the same time.
func pcapFile(frames [][]byte) []byte {
	b := binary.LittleEndian.AppendUint32(nil, 0xa1b2c3d4)
	b = append(b, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	b = binary.LittleEndian.AppendUint32(b, 262144)
	b = binary.LittleEndian.AppendUint32(b, 1)
	for _, f := range frames {
		b = append(b, make([]byte, 8)...)
		b = binary.LittleEndian.AppendUint32(b, uint32(len(f)))
		b = append(binary.LittleEndian.AppendUint32(b, uint32(len(f))), f...)
	}
	return b
}
