package lb

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/netsim-lab/netsim/fabric/wire"
)

// packets of a conversation: C from the client, S from the server.
var conversation = map[string]struct {
	server bool
	flags  byte
}{
	"C syn": {false, wire.SYN}, "S synack": {true, wire.SYN | wire.ACK}, "C ack": {false, wire.ACK}, "S ack": {true, wire.ACK},
	"C fin": {false, wire.FIN | wire.ACK}, "S fin": {true, wire.FIN | wire.ACK}, "C rst": {false, wire.RST}, "S rst": {true, wire.RST},
	"C none": {false, 0},
}

func TestL20TCPStates(t *testing.T) {
	open := []string{"C syn", "S synack", "C ack"}
	for _, tt := range []struct {
		name    string
		packets []string
		state   State
		seconds int
	}{
		{"syn", open[:1], StateSynRecv, 60},
		{"synack", open[:2], StateSynRecv, 60},
		{"established", open, StateEstablished, 900},
		{"client closes", append(open[:3:3], "C fin"), StateCloseWait, 60},
		{"server closes", append(open[:3:3], "S fin"), StateFinWait, 120},
		{"client, then server", append(open[:3:3], "C fin", "S fin"), StateTimeWait, 120},
		{"server, then client", append(open[:3:3], "S fin", "C fin", "S ack"), StateTimeWait, 120},
		{"reset by the server", append(open[:3:3], "S rst"), StateClose, 10},
		{"reset by the client", append(open[:3:3], "C rst"), StateClose, 10},
		{"refused", []string{"C syn", "S rst"}, StateClose, 10},
		{"no flags", append(open[:3:3], "C none"), StateClose, 10},
	} {
		t.Run(tt.name, func(t *testing.T) {
			table := marked(t, Config{}, "rr", realA)
			for i, name := range tt.packets {
				p := conversation[name]
				if p.server {
					f := Flow{Proto: wire.ProtoTCP, Flags: p.flags, Src: ap("10.0.0.6:80"), Dst: client}
					if from, ok := table.Reply(f, after(float64(i))); !ok || from != vip {
						t.Fatalf("Reply(%s) = %v, %v; want %v", name, from, ok, vip)
					}
					continue
				}
				if to, v := table.Pick(segment(client, p.flags), after(float64(i))); v != Handled || to != ap("10.0.0.6:80") {
					t.Fatalf("Pick(%s) = %v, %v", name, to, v)
				}
			}
			at := after(float64(len(tt.packets) - 1))
			conns := table.Connections(at)
			if len(conns) != 1 || conns[0].State != tt.state || conns[0].Expires != time.Duration(tt.seconds)*time.Second {
				t.Errorf("Connections = %+v; want state %v for %d s", conns, tt.state, tt.seconds)
			}
			end := at + int64(tt.seconds)*int64(time.Second)
			if n := len(table.Connections(end - 1)); n != 1 {
				t.Errorf("just before its end there are %d connections", n)
			}
			if n := len(table.Connections(end)); n != 0 {
				t.Errorf("at its end there are %d connections", n)
			}
		})
	}
}

func TestL20IdleConnectionIsLost(t *testing.T) {
	table := marked(t, Config{}, "rr", realA)
	table.Pick(syn(client), after(0))
	table.Pick(segment(client, wire.ACK), after(1))
	if _, v := table.Pick(segment(client, wire.ACK), after(900)); v != Handled {
		t.Errorf("after 899 s idle: %v, want handled", v)
	}
	if _, v := table.Pick(segment(client, wire.ACK), after(1800)); v != NotMine {
		t.Errorf("after 900 s idle: %v, want not-mine", v)
	}
	if _, ok := table.Reply(Flow{Proto: wire.ProtoTCP, Flags: wire.ACK, Src: ap("10.0.0.6:80"), Dst: client}, after(1801)); ok {
		t.Error("a reply is still rewritten")
	}
}

func TestS3UDPSticks(t *testing.T) {
	table := marked(t, Config{}, "rr", realA, realB)
	first, _ := table.Pick(datagram(client), after(0))
	for _, s := range []float64{1, 300, 599.9} {
		if to, v := table.Pick(datagram(client), after(s)); to != first || v != Handled {
			t.Errorf("at %v s: %v, %v; want %v", s, to, v, first)
		}
	}
	if to, _ := table.Pick(datagram(client), after(900)); to == first {
		t.Errorf("after 300 s idle it is still %v", to)
	}
}

func TestS3KeepAliveSticks(t *testing.T) {
	table := marked(t, Config{}, "rr", realA, realB)
	first, _ := table.Pick(syn(client), after(0))
	for i := range 10 {
		table.Pick(syn(port(100+i)), after(0))
		if to, _ := table.Pick(segment(client, wire.ACK|wire.PSH), after(float64(i))); to != first {
			t.Fatalf("packet %d goes to %v, want %v", i, to, first)
		}
	}
}

func TestS6AllPortsOfAMark(t *testing.T) {
	table := marked(t, Config{}, "rr", realA)
	f := syn(client)
	for _, p := range []uint16{80, 6379, 9} {
		f.Dst = netip.AddrPortFrom(vip.Addr(), p)
		if to, v := table.Pick(f, after(0)); v != Handled || to.Port() != p {
			t.Errorf("port %d goes to %v, %v", p, to, v)
		}
	}
}

func TestS14DrainKeepsEstablished(t *testing.T) {
	table := marked(t, Config{}, "rr", realA)
	table.Pick(syn(client), after(0))
	table.Pick(segment(client, wire.ACK), after(0))
	must(t, table.EditDestination(Mark(256), realA, 0))
	if to, v := table.Pick(segment(client, wire.ACK), after(1)); v != Handled || to != ap("10.0.0.6:80") {
		t.Errorf("established: %v, %v; want handled", to, v)
	}
	if _, v := table.Pick(syn(port(1)), after(1)); v != NoDestination { // S5
		t.Errorf("new: %v, want no-destination", v)
	}
	if n := table.Refused(NoDestination); n != 1 {
		t.Errorf("Refused = %d, want 1", n)
	}
}

func TestS15GoneDestination(t *testing.T) {
	for _, tt := range []struct {
		name   string
		cfg    Config
		flags  byte
		remove func(*Table) error
		want   Verdict
	}{
		{"guide era: silence", Config{}, wire.ACK, nil, Drop},
		{"guide era: a new SYN too", Config{}, wire.SYN, nil, Drop},
		{"today: as if unknown, hence a reset", Config{ExpireNoDest: true}, wire.ACK, nil, NotMine},
		{"today: a SYN goes elsewhere", Config{ExpireNoDest: true}, wire.SYN, nil, Handled},
		{"service removed: silence", Config{}, wire.ACK, func(t *Table) error { return t.DelService(Mark(256)) }, Drop},
	} {
		t.Run(tt.name, func(t *testing.T) {
			table := marked(t, tt.cfg, "rr", realA, realB)
			table.Pick(syn(client), after(0)) // to B
			table.Pick(segment(client, wire.ACK), after(0))
			if tt.remove == nil {
				tt.remove = func(t *Table) error { return t.DelDestination(Mark(256), realB) }
			}
			must(t, tt.remove(table))
			if to, v := table.Pick(segment(client, tt.flags), after(1)); v != tt.want || (v == Handled && to != ap("10.0.0.6:80")) {
				t.Errorf("Pick = %v, %v; want %v", to, v, tt.want)
			}
		})
	}
}

// Linux since 5.9: what led to a destination goes with it (expire_nodest_conn), and what led to others stays.
func TestL21RemovedDestinationTakesItsConnections(t *testing.T) {
	table := marked(t, Config{ExpireNoDest: true}, "rr", realA, realB)
	for i := range 10 {
		table.Pick(syn(port(1000+i)), after(0))
	}
	must(t, table.DelDestination(Mark(256), realB))
	for _, c := range table.Connections(after(1)) {
		if c.Real.Addr() != realA.Addr() {
			t.Errorf("%v still leads to %v", c.Client, c.Real)
		}
	}
	d := table.Services(after(1))[0].Destinations
	if len(d) != 1 || d[0].InActConn != 5 || len(table.conns) != 5 || len(table.requests) != 5 || len(table.replies) != 5 || len(table.trash) != 0 {
		t.Errorf("destinations %+v, %d connections, %d and %d in the indexes, %d in the trash; want one with 5", d, len(table.conns),
			len(table.requests), len(table.replies), len(table.trash))
	}
}

func TestReturningDestinationKeepsConnections(t *testing.T) {
	table := marked(t, Config{}, "rr", realA)
	table.Pick(syn(client), after(0))
	must(t, table.DelDestination(Mark(256), realA))
	must(t, table.AddDestination(Mark(256), realA, 1))
	if _, v := table.Pick(segment(client, wire.ACK), after(1)); v != Handled {
		t.Errorf("Pick = %v, want handled", v)
	}
	d := table.Services(after(1))[0].Destinations[0]
	if d.ActiveConn != 1 || d.InActConn != 0 || d.Stats.InPackets != 2 {
		t.Errorf("destination = %+v; want its connection and counters", d)
	}
	must(t, table.DelDestination(Mark(256), realA))
	table.Expire(after(5000))
	if len(table.trash) != 0 {
		t.Errorf("%d removed destinations stay without connections", len(table.trash))
	}
}

func TestL21Reuse(t *testing.T) {
	for _, tt := range []struct {
		cfg  Config
		want string
	}{{Config{}, "10.0.0.7:80"}, {Config{ReuseScheduled: true}, "10.0.0.6:80"}} {
		table := marked(t, tt.cfg, "rr", realA, realB)
		table.Pick(syn(client), after(0))
		table.Pick(segment(client, wire.RST), after(0))
		table.Pick(segment(client, wire.ACK), after(0))
		table.conns[0].state = StateTimeWait
		if to, _ := table.Pick(syn(client), after(1)); to != ap(tt.want) {
			t.Errorf("%+v: a SYN on TIME_WAIT goes to %v, want %s", tt.cfg, to, tt.want)
		}
	}
}

func TestWhoIsServed(t *testing.T) {
	table := marked(t, Config{}, "rr", realA)
	must(t, table.AddService(TCP(vip), "rr"))
	must(t, table.AddDestination(TCP(vip), ap("10.0.0.7:8080"), 1))
	for _, tt := range []struct {
		name string
		flow Flow
		want string // destination, or the verdict
	}{
		{"R2 the mark comes first", Flow{Proto: wire.ProtoTCP, Flags: wire.SYN, Mark: 256, Dst: vip}, "10.0.0.6:80"},
		{"an unknown mark is no mark", Flow{Proto: wire.ProtoTCP, Flags: wire.SYN, Mark: 9, Dst: vip}, "10.0.0.7:8080"},
		{"address", Flow{Proto: wire.ProtoTCP, Flags: wire.SYN, Dst: vip}, "10.0.0.7:8080"},
		{"R14 UDP by mark", Flow{Proto: wire.ProtoUDP, Mark: 256, Dst: vip}, "10.0.0.6:80"},
		{"other protocol", Flow{Proto: wire.ProtoUDP, Dst: vip}, "not-mine"},
		{"other port", Flow{Proto: wire.ProtoTCP, Flags: wire.SYN, Dst: ap("10.0.0.5:81")}, "not-mine"},
		{"no SYN", Flow{Proto: wire.ProtoTCP, Flags: wire.ACK, Dst: vip}, "not-mine"},
		{"ICMP", Flow{Proto: wire.ProtoICMP, Mark: 256, Dst: vip}, "not-mine"},
		{"IPv6", Flow{Proto: wire.ProtoTCP, Flags: wire.SYN, Mark: 256, Dst: ap("[fd00::1]:80")}, "not-mine"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.flow.Src = port(2000 + len(table.conns))
			to, v := table.Pick(tt.flow, after(0))
			got := v.String()
			if v == Handled {
				got = to.String()
			}
			if got != tt.want {
				t.Errorf("Pick = %s, want %s", got, tt.want)
			}
		})
	}
}

func TestTableIsBounded(t *testing.T) {
	table := marked(t, Config{MaxConns: 10}, "rr", realA)
	for i := range 10 {
		table.Pick(syn(port(1000+i)), after(0))
	}
	if _, v := table.Pick(syn(client), after(1)); v != Full {
		t.Errorf("Pick into a full table = %v, want full", v)
	}
	if _, v := table.Pick(syn(client), after(61)); v != Handled {
		t.Errorf("Pick after the others expired = %v, want handled", v)
	}
}

func TestSweepKeepsUp(t *testing.T) {
	table := marked(t, Config{}, "rr", realA)
	for i := range 20000 { // one connection each 100 ms, each living 60 s: 600 alive
		table.Pick(syn(port(1000+i)), after(float64(i)/10))
		if n := len(table.conns); n > 1300 {
			t.Fatalf("%d connections after %d, 600 alive", n, i)
		}
	}
	if len(table.requests) != len(table.conns) || len(table.replies) != len(table.conns) {
		t.Errorf("%d connections, %d and %d in the indexes", len(table.conns), len(table.requests), len(table.replies))
	}
}

func TestManageErrors(t *testing.T) {
	table := marked(t, Config{}, "rr", realA)
	for i, tt := range []struct {
		err  error
		want error
	}{
		{table.AddService(Mark(256), "rr"), ErrServiceExists},
		{table.AddService(Mark(257), "best"), ErrNoScheduler},
		{table.AddService(Key{}, "rr"), ErrInvalid},
		{table.AddService(TCP(ap("[fd00::1]:80")), "rr"), ErrInvalid},
		{table.AddService(TCP(ap("10.0.0.5:0")), "rr"), ErrInvalid},
		{table.EditService(Mark(9), "rr"), ErrNoService},
		{table.EditService(Mark(256), "best"), ErrNoScheduler},
		{table.DelService(UDP(vip)), ErrNoService},
		{table.DelService(Key{}), ErrNoService},
		{table.AddDestination(Mark(9), realA, 1), ErrNoService},
		{table.AddDestination(Mark(256), realA, 1), ErrDestinationExists},
		{table.AddDestination(Mark(256), realB, -1), ErrInvalid},
		{table.AddDestination(Mark(256), netip.AddrPort{}, 1), ErrInvalid},
		{table.EditDestination(Mark(256), realB, 1), ErrNoDestination},
		{table.EditDestination(Mark(256), realA, MaxWeight+1), ErrInvalid},
		{table.DelDestination(Mark(256), realB), ErrNoDestination},
		{table.EditService(Mark(256), "sh"), nil},
	} {
		if !errors.Is(tt.err, tt.want) || (tt.want == nil && tt.err != nil) {
			t.Errorf("case %d: error %v, want %v", i, tt.err, tt.want)
		}
	}
	if got := fmt.Sprint(table.AddService(Mark(256), "rr")); got != "add service FWM 256: service already exists" {
		t.Errorf("error text %q", got)
	}
}

func TestVerdicts(t *testing.T) {
	got := ""
	for v := NotMine; v <= verdicts; v++ {
		got += fmt.Sprintf("%v:%v ", v, v.DropReason())
	}
	want := "not-mine:none handled:none no-destination:no-backend drop:no-backend full:conntrack-full unknown:none "
	if got != want {
		t.Errorf("verdicts are %q, want %q", got, want)
	}
}
