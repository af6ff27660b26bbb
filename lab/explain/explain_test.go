package explain

import (
	"encoding/json"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/wire"
)

func ap(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

// packet is a TCP packet of a flow with its events.
func packet(id int, fl *fabric.Flow, back bool, place string, flags byte, events ...fabric.Event) fabric.RecordedPacket {
	p := fabric.RecordedPacket{ID: id, Flow: fl, Back: back, Place: place, At: int64(id) * 1e6, Events: events}
	p.EtherType, p.Proto, p.Src, p.Dst, p.Flags, p.Segs = wire.TypeIPv4, fl.Proto, fl.Src, fl.Dst, flags, 1
	if back {
		p.Src, p.Dst = fl.Dst, fl.Src
	}
	return p
}

func event(k fabric.EventKind, place, before, after string) fabric.Event {
	return fabric.Event{Kind: k, Place: place, Before: before, After: after}
}

func arp(id int, fl *fabric.Flow, place string, op byte, src, dst string, events ...fabric.Event) fabric.RecordedPacket {
	p := fabric.RecordedPacket{ID: id, Flow: fl, Place: place, Events: events}
	p.EtherType, p.Code = wire.TypeARP, op
	p.Src, p.Dst = netip.AddrPortFrom(netip.MustParseAddr(src), 0), netip.AddrPortFrom(netip.MustParseAddr(dst), 0)
	return p
}

// visit is a connection through a published port: two packets there and one back.
func visit() []fabric.RecordedPacket {
	fl := &fabric.Flow{ID: 1, Proto: wire.ProtoTCP, Src: ap("10.0.0.1:40000"), Dst: ap("10.0.0.2:80"), Place: "client"}
	there := func(by string) []fabric.Event {
		dnat := event(fabric.EventDNAT, "host", "10.0.0.2:80", "172.17.0.2:8080")
		dnat.By = by
		return []fabric.Event{
			event(fabric.EventRoute, "client", "10.0.0.2", "10.0.0.0/24 dev eth0  proto kernel  scope link  src 10.0.0.1"),
			event(fabric.EventNeigh, "client/eth0", "10.0.0.2", "02:00:00:00:00:02"),
			event(fabric.EventLink, "host/eth0", "client/eth0", "host/eth0"),
			dnat,
			event(fabric.EventRoute, "host", "172.17.0.2", "172.17.0.0/16 dev docker0"),
			event(fabric.EventNeigh, "host/docker0", "172.17.0.2", "02:42:ac:11:00:02"),
			event(fabric.EventFDB, "host/docker0", "02:42:ac:11:00:02", "veth1"),
			event(fabric.EventDeliver, "host/web", "", "172.17.0.2:8080"),
		}
	}
	snat := event(fabric.EventSNAT, "host", "172.17.0.2:8080", "10.0.0.2:80")
	snat.By = "conntrack, reply"
	return []fabric.RecordedPacket{
		packet(0, fl, false, "client", wire.SYN, there("nat DOCKER rule 1: -p tcp --dport 80 -j DNAT")...),
		arp(1, fl, "client", wire.ARPRequest, "10.0.0.1", "10.0.0.2", event(fabric.EventFlood, "tor", "ff:ff:ff:ff:ff:ff", "host,other")),
		arp(2, fl, "host", wire.ARPReply, "10.0.0.2", "10.0.0.1"),
		packet(3, fl, true, "host/web", wire.SYN|wire.ACK, snat, event(fabric.EventDeliver, "client", "", "10.0.0.1:40000")),
		packet(4, fl, false, "client", wire.ACK, there("conntrack")...),
		packet(5, fl, false, "client", wire.FIN|wire.ACK, there("conntrack")...),
	}
}

func text(t *testing.T, s *Story, all bool) string {
	t.Helper()
	var b strings.Builder
	if err := s.Text(&b, TextOptions{All: all}); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestStoryOfAConnection(t *testing.T) {
	s := Tell(Config{Node: "client", Command: "curl"}, visit(), 0)
	want := `TCP 10.0.0.1:40000 -> 10.0.0.2:80, from client

  client sends SYN
    client        route        10.0.0.2 goes out eth0
                  arp          who has 10.0.0.2? tor asks host, other; host answers: 02:00:00:00:00:02
    host          dnat         10.0.0.2:80 becomes 172.17.0.2:8080 (nat DOCKER rule 1)
                  route        172.17.0.2 goes out docker0, at 02:42:ac:11:00:02
    host/docker0  fdb-hit      02:42:ac:11:00:02 is behind veth1
    host/web      deliver      arrived for 172.17.0.2:8080
  and 2 more packets the same way: FIN ACK; 1 ACK

  host/web sends SYN ACK
    host    snat         172.17.0.2:8080 becomes 10.0.0.2:80 again
    client  deliver      arrived for 10.0.0.1:40000
`
	if got := text(t, s, false); got != want {
		t.Errorf("story =\n%s; want\n%s", got, want)
	}
}

func TestAllTellsEverything(t *testing.T) {
	got := text(t, Tell(Config{}, visit(), 0), true)
	for _, want := range []string{
		"client/eth0 to host/eth0", "by 10.0.0.0/24 dev eth0 proto kernel scope link src 10.0.0.1", "--dport 80 -j DNAT)", "client sends ACK", "client sends FIN ACK",
		"client sends ARP: who has 10.0.0.2?", "host sends ARP: 10.0.0.2 is here",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if strings.Contains(got, "the same way") {
		t.Errorf("folded:\n%s", got)
	}
}

func TestDropsTellWhatWouldHelp(t *testing.T) {
	fl := &fabric.Flow{ID: 1, Proto: wire.ProtoTCP, Src: ap("10.0.0.1:40000"), Dst: ap("10.0.0.9:80"), Place: "client"}
	refused := event(fabric.EventFilter, "host", "FORWARD", "filter FORWARD rule 2: -i br-1 -o br-2 -j DROP")
	refused.Reason = fabric.DropFilter
	s := Tell(Config{}, []fabric.RecordedPacket{packet(0, fl, false, "client", wire.SYN, refused,
		fabric.Event{Kind: fabric.EventDrop, Place: "host/br-1", Before: "10.0.0.1 > 10.0.0.9", Reason: fabric.DropFilter})}, 7)
	got := text(t, s, false)
	for _, want := range []string{
		"FORWARD does not let it pass: filter FORWARD rule 2: -i br-1 -o br-2 -j DROP", "filter: a rule drops it (10.0.0.1 > 10.0.0.9)",
		"what would help: see iptables", "7 packets between the first and the last are left out",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}

func TestNobodyAnswersARP(t *testing.T) {
	fl := &fabric.Flow{ID: 1, Proto: wire.ProtoTCP, Src: ap("10.0.0.1:40000"), Dst: ap("10.0.0.9:80"), Place: "client"}
	ps := []fabric.RecordedPacket{packet(0, fl, false, "client", wire.SYN, fabric.Event{Kind: fabric.EventDrop, Place: "client/eth0", Reason: fabric.DropNeighFailed})}
	for i := range 3 {
		ps = append(ps, arp(i+1, fl, "client", wire.ARPRequest, "10.0.0.1", "10.0.0.9"))
	}
	if got := text(t, Tell(Config{}, ps, 0), false); !strings.Contains(got, "who has 10.0.0.9?; nobody answers, asked 3 times") {
		t.Errorf("story =\n%s", got)
	}
}

func TestEveryReasonHasWords(t *testing.T) {
	for r := fabric.DropReason(1); r.String() != "none"; r++ {
		if Means(r) == "" || Hint(r) == "" {
			t.Errorf("%s has no words or no hint", r)
		}
	}
}

func TestFlowsFold(t *testing.T) {
	var ps []fabric.RecordedPacket
	for i, port := range []string{"10.0.0.1:40000", "10.0.0.1:40001", "10.0.0.1:40002"} {
		fl := &fabric.Flow{ID: i + 1, Proto: wire.ProtoTCP, Src: ap(port), Dst: ap("10.0.0.2:80"), Place: "client"}
		ps = append(ps, packet(i, fl, false, "client", wire.SYN, event(fabric.EventSNAT, "host", port, "10.9.0.1:"+portText(port)[1:]),
			event(fabric.EventDeliver, "web", "", "10.0.0.2:80")))
	}
	if got := text(t, Tell(Config{}, ps, 0), false); !strings.Contains(got, "and 2 more flows the same way: 10.0.0.1:40001 -> 10.0.0.2:80, 10.0.0.1:40002") {
		t.Errorf("story =\n%s", got)
	}
	ps[2].Events[1].Place = "web2" // another backend is another way
	if got := text(t, Tell(Config{}, ps, 0), false); !strings.Contains(got, "and 1 more flow the same way") || strings.Count(got, "sends SYN") != 2 {
		t.Errorf("story =\n%s", got)
	}
}

func TestCausedFlowsAreToldBriefly(t *testing.T) {
	ps := visit()
	fl := &fabric.Flow{ID: 2, Proto: wire.ProtoTCP, Src: ap("172.17.0.2:50000"), Dst: ap("10.1.0.2:6379"), Place: "host/web", Cause: ps[0].Flow}
	p := packet(6, fl, false, "host/web", wire.ACK, event(fabric.EventIPVS, "host/web", "10.1.0.2:6379", "10.1.0.3:6379"),
		event(fabric.EventEncap, "host/net/vxlan0", "vni 257", "vtep 10.0.0.3"), event(fabric.EventDeliver, "host2", "", "10.0.0.3:4789"),
		event(fabric.EventDeliver, "host2/db", "", "10.1.0.3:6379"))
	p.Size, p.Head = 20, []byte("*1\r\n$4\r\nPING\r\n")
	s := Tell(Config{}, append(ps, p), 0)
	want := `
Because of that, host/web asks 10.1.0.2:6379 (TCP, from 172.17.0.2:50000)
  20 bytes, "PING": host/web > ipvs to 10.1.0.3:6379 > vxlan vni 257 to vtep 10.0.0.3 > host2/db
`
	if got := text(t, s, false); !strings.HasSuffix(got, want) {
		t.Errorf("story =\n%s", got)
	}
	if !s.Passes([]string{"client", "host", "web", "host2", "db"}) {
		t.Errorf("the way of what was caused does not begin with its cause: %q", s.Ways())
	}
}

func TestPasses(t *testing.T) {
	s := Tell(Config{}, visit(), 0)
	for _, row := range []struct {
		places string
		want   bool
	}{
		{"client host web", true},
		{"host/docker0 host/web", true},
		{"docker0", true},
		{"web client", true}, // the answer's way
		{"host client", true},
		{"web host web", false},
		{"host hos", false},
		{"other", false},
		{"", true},
	} {
		if got := s.Passes(strings.Fields(row.places)); got != row.want {
			t.Errorf("Passes(%s) = %v, want %v; ways %q", row.places, got, row.want, s.Ways())
		}
	}
}

func TestNoPacket(t *testing.T) {
	s := Tell(Config{Node: "a", Command: "true"}, nil, 0)
	if got := text(t, s, false); !strings.HasPrefix(got, "true on a caused no packet") {
		t.Errorf("story = %q", got)
	}
}

func TestNamesOfPlaces(t *testing.T) {
	s := Tell(Config{Name: func(p string) string { return strings.Replace(p, "host/web", "host/web.1", 1) }}, visit(), 0)
	if !slices.Contains(s.Ways()[0], "host/web.1") || slices.Contains(s.Ways()[0], "host/web") {
		t.Errorf("ways = %q", s.Ways())
	}
}

func TestStorySurvivesJSON(t *testing.T) {
	s := Tell(Config{Node: "client", Command: "curl", Exit: 7}, visit(), 3)
	b, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var back Story
	if err := json.Unmarshal(b, &back); err != nil {
		t.Fatal(err)
	}
	if got, want := text(t, &back, false), text(t, s, false); got != want || back.Exit != 7 {
		t.Errorf("after JSON the story is\n%s; before\n%s", got, want)
	}
	for _, want := range []string{`"kind":"dnat"`, `"left_out":3`, `"by":"nat DOCKER rule 1`} {
		if !strings.Contains(string(b), want) {
			t.Errorf("no %s in %s", want, b)
		}
	}
}

func TestDescribe(t *testing.T) {
	query := append([]byte{0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 3}, "db1\x00\x00\x01\x00\x01"...)
	reply := slices.Clone(query)
	reply[2], reply[7] = 0x81, 1
	none := slices.Clone(query)
	none[2], none[3] = 0x81, 0x83
	for _, row := range []struct {
		p    fabric.PacketInfo
		want string
	}{
		{fabric.PacketInfo{Proto: wire.ProtoTCP, Flags: wire.SYN | wire.ACK}, "SYN ACK"},
		{fabric.PacketInfo{Proto: wire.ProtoTCP, Flags: wire.ACK, Size: 1, Head: []byte{1}}, "1 byte"},
		{fabric.PacketInfo{Proto: wire.ProtoTCP, Flags: wire.ACK, Size: 16, Head: []byte("GET / HTTP/1.1\r\n")}, `16 bytes, "GET / HTTP/1.1"`},
		{fabric.PacketInfo{Proto: wire.ProtoUDP, Size: len(query), Head: query}, "DNS query, address of db1"},
		{fabric.PacketInfo{Proto: wire.ProtoUDP, Size: len(query), Head: reply}, "DNS reply, address of db1"},
		{fabric.PacketInfo{Proto: wire.ProtoUDP, Size: len(query), Head: none}, "DNS reply, there is no db1"},
		{fabric.PacketInfo{Proto: wire.ProtoUDP, Size: 3, Head: []byte("abc")}, "UDP, 3 bytes"},
		{fabric.PacketInfo{Proto: wire.ProtoICMP, Type: wire.ICMPEcho, Seq: 4}, "echo request 4"},
		{fabric.PacketInfo{Proto: wire.ProtoICMP, Type: wire.ICMPUnreachable, Code: 3}, "ICMP error: Destination Port Unreachable"},
		{fabric.PacketInfo{Proto: 47}, "IP protocol 47"},
	} {
		if got := describe(&row.p, true); got != row.want {
			t.Errorf("describe = %q, want %q", got, row.want)
		}
	}
}

func FuzzDescribe(f *testing.F) {
	f.Add([]byte("GET / HTTP/1.1\r\n"), byte(6))
	f.Add([]byte{0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 3, 'a', 'b', 'c', 0, 0, 1, 0, 1}, byte(17))
	f.Fuzz(func(t *testing.T, head []byte, proto byte) {
		p := fabric.PacketInfo{Proto: proto, Size: len(head), Head: head}
		if got := describe(&p, true); strings.ContainsAny(got, "\x00\n") && proto == wire.ProtoTCP {
			t.Errorf("describe = %q", got)
		}
	})
}
