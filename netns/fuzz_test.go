package netns

import (
	"strings"
	"testing"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/wire"
)

// FuzzInput throws frames at a router with sockets, address translation and virtual services: nothing panics, nothing
// blocks. Each frame of the input is a length byte, a kind byte, and bytes; kinds make it likely that a frame gets far.
func FuzzInput(f *testing.F) {
	mac := wire.MAC{2, 0, 0, 0, 0, 2}
	seed := func(kind byte, b []byte) []byte { return append([]byte{byte(len(b)), kind}, b...) }
	for _, x := range []*fabric.Frame{
		udpFrame(mac, "10.0.0.9", "10.0.0.2", 40), udpFrame(mac, "10.0.0.9", "10.5.0.9", 40), udpFrame(wire.Broadcast, "10.0.0.9", "10.0.0.255", 0),
		arp(1, wire.Broadcast, wire.MAC{2, 9}, "10.0.0.9", wire.MAC{}, "10.0.0.2"),
	} {
		b := x.AppendTo(nil)
		f.Add(seed(0, b))
		f.Add(seed(1, b))
		if len(b) > wire.EthernetLen+wire.IPv4Len {
			f.Add(append(seed(2, b[wire.EthernetLen:]), seed(3, b[wire.EthernetLen+wire.IPv4Len:])...))
		}
	}
	f.Add(seed(3, []byte{wire.ProtoICMP, 2, 8, 0, 0, 0, 1, 1, 1, 1}))
	f.Add(seed(3, []byte{wire.ProtoTCP, 2, 0, 9, 0, 80, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, wire.SYN, 9, 9, 0, 0, 0, 0}))
	f.Add(seed(3, []byte{wire.ProtoICMP, 2, 3, 4, 0, 0, 0, 0, 0, 68, 0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 2, 10, 0, 0, 9, 0, 9, 0, 7, 0, 8, 0, 0}))
	f.Fuzz(func(t *testing.T, in []byte) {
		ns, eth0, p := node(t, Config{Forward: true})
		must(ns.AddInterface(InterfaceConfig{Name: "eth1", Port: &sink{}, Addr: prefix("10.5.0.1/24")}))
		for _, line := range []string{"-t nat -A PREROUTING -p udp --dport 53 -j DNAT --to-destination 10.5.0.9:5353",
			"-t nat -A POSTROUTING -o eth1 -j MASQUERADE", "-A FORWARD -p tcp --dport 99 -j REJECT"} {
			if _, err := ns.Netfilter().Command(strings.Fields(line)); err != nil {
				t.Fatal(err)
			}
		}
		for _, line := range []string{"-A -t 10.0.0.2:8080 -s rr", "-a -t 10.0.0.2:8080 -r 10.5.0.9:80 -m"} {
			if _, err := ns.IPVS().Command(strings.Fields(line)); err != nil {
				t.Fatal(err)
			}
		}
		must(ns.Listen("tcp", ":80"))
		must(ns.ListenPacket("udp", ":9"))
		must(ns.ListenTunnel(4789)).SetReceiver(nil)
		must(ns.ListenRaw(wire.ProtoICMP))
		for len(in) >= 2 {
			n, kind := min(int(in[0]), len(in)-2), in[1]
			if f := fuzzFrame(kind, eth0.mac, in[2:2+n]); f != nil {
				p.arrive(f)
			}
			in = in[2+n:]
			if ns.queue.Len() > 0 { // as Run does
				b, _ := ns.queue.Next(t.Context())
				ns.deliverBatch(b.Frames())
				ns.queue.Done(b)
			}
		}
		p.take()
	})
}

// fuzzFrame makes a frame of b: raw bytes, one with the right address, one with an Ethernet header, one with an IP
// header whose protocol and destination b begins with.
func fuzzFrame(kind byte, mac wire.MAC, b []byte) *fabric.Frame {
	head := make([]byte, wire.EthernetLen)
	wire.PutEthernet(head, mac, wire.MAC{2, 9}, wire.TypeIPv4)
	switch kind % 4 {
	case 1:
		if len(b) >= 6 {
			b = append(mac[:], b[6:]...)
		}
	case 2:
		b = append(head, b...)
		if ip := b[wire.EthernetLen:]; len(ip) >= wire.IPv4Len {
			if h, err := wire.ParseIPv4(ip); err == nil {
				h.FillChecksum()
			}
		}
	case 3:
		if len(b) < 2 {
			return nil
		}
		to := []string{"10.0.0.2", "10.5.0.9", "10.5.0.1", "127.0.0.1", "8.8.8.8", "10.0.0.255", "224.0.0.1"}[int(b[1])%7]
		ip := make([]byte, wire.IPv4Len)
		wire.PutIPv4(ip, wire.IPv4Fields{TotalLen: wire.IPv4Len + len(b) - 2, TTL: b[1]%4 + 1, Proto: b[0], Src: addr("10.0.0.9"), Dst: addr(to), Flags: uint16(b[1]&8) << 11})
		b = append(append(head, ip...), b[2:]...)
	}
	return fabric.FromBytes(b)
}
