package nat

import (
	"strings"
	"testing"
	"time"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/wire"
)

const (
	syn, ack, fin, rst = wire.SYN, wire.ACK, wire.FIN, wire.RST
	client, server     = "10.0.0.1:40000", "10.0.0.2:80"
)

// step is one segment: flags, and whether it comes from the server.
type step struct {
	flags byte
	reply bool
}

func TestTCPStates(t *testing.T) { // L18
	open := []step{{syn, false}, {syn | ack, true}, {ack, false}}
	with := func(more ...step) []step { return append(append([]step(nil), open...), more...) }
	for _, row := range []struct {
		name    string
		steps   []step
		state   string // empty: no entry
		timeout time.Duration
		assured bool
		last    State
	}{
		{"a SYN", open[:1], "SYN_SENT", 120, false, StateNew},
		{"a SYN answered", open[:2], "SYN_RECV", 60, false, StateEstablished},
		{"a handshake", open, "ESTABLISHED", 432000, true, StateEstablished},
		{"data both ways", with(step{ack, true}, step{ack, false}), "ESTABLISHED", 432000, true, StateEstablished},
		{"a FIN", with(step{fin | ack, false}), "FIN_WAIT", 120, true, StateEstablished},
		{"a FIN acknowledged", with(step{fin | ack, false}, step{ack, true}), "CLOSE_WAIT", 60, true, StateEstablished},
		{"both FINs", with(step{fin | ack, false}, step{ack, true}, step{fin | ack, true}), "LAST_ACK", 30, true, StateEstablished},
		{"an orderly end", with(step{fin | ack, false}, step{ack, true}, step{fin | ack, true}, step{ack, false}), "TIME_WAIT", 120, true, StateEstablished},
		{"a reset", with(step{rst, true}), "CLOSE", 10, true, StateEstablished},
		{"refused: the entry goes at once", []step{{syn, false}, {rst | ack, true}}, "", 0, false, StateEstablished},
		{"simultaneous open", []step{{syn, false}, {syn, true}}, "SYN_SENT2", 120, false, StateEstablished},
		{"a connection joined in its middle", []step{{ack, false}}, "ESTABLISHED", 300, false, StateNew},
		{"a joined connection answered", []step{{ack, false}, {ack, true}, {ack, false}}, "ESTABLISHED", 432000, true, StateEstablished},
		{"a FIN of nothing", []step{{fin | ack, false}}, "", 0, false, StateInvalid},
		{"a RST of nothing", []step{{rst, false}}, "", 0, false, StateInvalid},
		{"no flags", []step{{0, false}}, "", 0, false, StateInvalid},
		{"an ACK before the answer", []step{{syn, false}, {ack, false}}, "SYN_SENT", 120, false, StateInvalid},
		{"a SYN into a connection is ignored", with(step{syn, false}), "ESTABLISHED", 432000, true, StateEstablished},
		{"the same ports again after the end", with(step{fin | ack, false}, step{fin | ack, true}, step{ack, false}, step{syn, false}), "SYN_SENT", 120, false, StateNew},
		{"the same ports again after a reset", with(step{rst, false}, step{syn, false}), "SYN_SENT", 120, false, StateNew},
	} {
		t.Run(row.name, func(t *testing.T) {
			n := New(Config{})
			var last State
			for _, s := range row.steps {
				src, dst := client, server
				if s.reply {
					src, dst = dst, src
				}
				p, _ := forward(n, tcpFrame(src, dst, s.flags), "a", "b", sec(0))
				last = p.State()
			}
			if last != row.last {
				t.Errorf("last packet is %v; want %v", last, row.last)
			}
			got := n.Connections(sec(0))
			if row.state == "" {
				if len(got) != 0 {
					t.Errorf("entries = %+v; want none", got)
				}
				return
			}
			if len(got) != 1 || got[0].State != row.state || got[0].Expires != row.timeout*time.Second || got[0].Assured != row.assured {
				t.Errorf("entries = %+v; want %s, %d s, assured %v", got, row.state, row.timeout, row.assured)
			}
		})
	}
}

func TestSynAckToAnIgnoredSynResynchronises(t *testing.T) {
	n := New(Config{})
	for _, s := range []step{{syn, false}, {syn | ack, true}, {ack, false}, {syn, false}} {
		src, dst := client, server
		if s.reply {
			src, dst = dst, src
		}
		forward(n, tcpFrame(src, dst, s.flags), "a", "b", sec(0))
	}
	f := tcpFrame(server, client, syn|ack)
	f.TCP().SetAck(1001)
	forward(n, f, "b", "a", sec(0))
	if c := n.Connections(sec(0)); len(c) != 1 || c[0].State != "SYN_RECV" {
		t.Errorf("entries = %+v; want one in SYN_RECV", c)
	}
}

func TestTimeouts(t *testing.T) { // L19
	for _, row := range []struct {
		name  string
		run   func(n *Netfilter)
		alive int64
	}{
		{"udp, no answer", func(n *Netfilter) { forward(n, udpFrame(client, server), "a", "b", sec(0)) }, 30},
		{"udp stream", func(n *Netfilter) {
			forward(n, udpFrame(client, server), "a", "b", sec(0))
			forward(n, udpFrame(server, client), "b", "a", sec(0))
			forward(n, udpFrame(client, server), "a", "b", sec(0))
		}, 180},
		{"icmp", func(n *Netfilter) { forward(n, echoFrame(8, "10.0.0.1", "10.0.0.2", 9), "a", "b", sec(0)) }, 30},
		{"other", func(n *Netfilter) {
			a := ap(client).Addr()
			forward(n, build(50, a, ap(server).Addr(), make([]byte, 20)), "a", "b", sec(0))
		}, 600},
		{"tcp", func(n *Netfilter) { forward(n, tcpFrame(client, server, syn), "a", "b", sec(0)) }, 120},
	} {
		t.Run(row.name, func(t *testing.T) {
			n := New(Config{})
			row.run(n)
			if got := len(n.Connections(sec(row.alive) - 1)); got != 1 {
				t.Errorf("entries a moment before %d s = %d; want 1", row.alive, got)
			}
			if got := len(n.Connections(sec(row.alive))); got != 0 {
				t.Errorf("entries after %d s = %d; want none", row.alive, got)
			}
			n.Expire(sec(row.alive))
			if got := n.Count(); got != 0 {
				t.Errorf("Count after Expire = %d; want 0", got)
			}
		})
	}
}

func TestStates(t *testing.T) {
	n := New(Config{})
	p, _ := forward(n, echoFrame(0, "10.0.0.2", "10.0.0.1", 9), "a", "b", sec(0))
	if p.State() != StateInvalid {
		t.Errorf("an echo reply to nothing is %v; want INVALID", p.State())
	}
	f := udpFrame(client, server)
	f.IPv4().SetFrag(wire.MoreFragments, 0)
	if p, _ = forward(n, f, "a", "b", sec(0)); p.State() != StateUntracked {
		t.Errorf("a fragment is %v; want UNTRACKED", p.State())
	}
	rules(t, n, "-t raw -A PREROUTING -p udp -j CT --notrack")
	if p, _ = forward(n, udpFrame(client, server), "a", "b", sec(0)); p.State() != StateUntracked || n.Count() != 0 {
		t.Errorf("a packet with --notrack is %v; want UNTRACKED", p.State())
	}
	arp := fabric.FromBytes(make([]byte, 60))
	arp.ParseEthernet()
	if _, v := forward(n, arp, "a", "b", sec(0)); v.Action != Accept {
		t.Errorf("a frame that is no IPv4: %v; want it to pass", v)
	}
}

func TestFullTable(t *testing.T) {
	n := New(Config{MaxConns: 2})
	for _, src := range []string{"10.0.0.1:1", "10.0.0.1:2", "10.0.0.1:3"} {
		if _, v := forward(n, udpFrame(src, server), "a", "b", sec(0)); v.Action != Accept {
			t.Fatalf("new flow in a table of unanswered ones: %v; want an old one dropped for it", v.Reason)
		}
	}
	n = New(Config{MaxConns: 2})
	for _, src := range []string{"10.0.0.1:1", "10.0.0.1:2"} {
		forward(n, udpFrame(src, server), "a", "b", sec(0))
		forward(n, udpFrame(server, src), "b", "a", sec(0))
		forward(n, udpFrame(src, server), "a", "b", sec(0))
	}
	if _, v := forward(n, udpFrame("10.0.0.1:3", server), "a", "b", sec(1)); v.Reason != fabric.DropConntrackFull {
		t.Errorf("new flow in a table of assured ones: %v; want conntrack-full", v.Reason)
	}
	if _, v := forward(n, udpFrame("10.0.0.1:3", server), "a", "b", sec(181)); v.Action != Accept {
		t.Errorf("new flow in a table of expired ones: %v; want it accepted", v.Reason)
	}
}

func TestSweepIsIncremental(t *testing.T) {
	n := New(Config{})
	for i := range 100 {
		f := udpFrame(client, server)
		f.SetSrc(ap("10.1.0.1:0"))
		be.PutUint16(f.L4(), uint16(i+1))
		forward(n, f, "a", "b", sec(0))
	}
	for i := range 40 {
		f := udpFrame(client, server)
		be.PutUint16(f.L4(), uint16(i+1))
		forward(n, f, "a", "b", sec(31))
	}
	if n.Count() != 40 {
		t.Errorf("Count = %d; want the 40 that live", n.Count())
	}
}

func TestSimultaneousFirstPackets(t *testing.T) {
	n := New(Config{})
	var ps [2]Packet
	for i := range ps {
		ps[i] = Packet{Frame: udpFrame(client, server), In: "a"}
		n.Run(Prerouting, &ps[i], sec(0))
	}
	for i := range ps {
		if v := n.Run(Postrouting, &ps[i], sec(0)); v.Action != Accept {
			t.Errorf("packet %d: %v; want both accepted", i, v.Reason)
		}
	}
	if n.Count() != 1 || ps[0].conn != ps[1].conn {
		t.Errorf("Count = %d; want one connection for both", n.Count())
	}
}

func TestForget(t *testing.T) {
	n := New(Config{})
	forward(n, udpFrame(client, server), "a", "b", sec(0))
	forward(n, tcpFrame(client, server, syn), "a", "b", sec(0))
	if got := n.Forget(sec(0), func(c Connection) bool { return c.Proto == wire.ProtoUDP }); got != 1 || n.Count() != 1 {
		t.Errorf("Forget = %d and leaves %d; want 1 and 1", got, n.Count())
	}
	if got := n.Forget(sec(0), nil); got != 1 || n.Count() != 0 {
		t.Errorf("Forget of all = %d and leaves %d; want 1 and 0", got, n.Count())
	}
}

func TestFormatConntrack(t *testing.T) { // 16.14
	n := newHost(t, "-t nat -A PREROUTING -p tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80",
		"-t nat -A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE")
	forward(n, tcpFrame("192.168.56.1:51514", "192.168.56.11:8080", syn), "eth0", "docker0", sec(0))
	forward(n, tcpFrame("172.17.0.2:80", "192.168.56.1:51514", syn|ack), "docker0", "eth0", sec(0))
	forward(n, tcpFrame("192.168.56.1:51514", "192.168.56.11:8080", ack), "eth0", "docker0", sec(0))
	forward(n, udpFrame("172.17.0.2:40112", "8.8.8.8:53"), "docker0", "eth0", sec(0))
	forward(n, echoFrame(8, "172.17.0.2", "192.168.56.1", 9), "docker0", "docker0", sec(3))
	forward(n, echoFrame(0, "192.168.56.1", "172.17.0.2", 9), "docker0", "docker0", sec(3))
	want := strings.TrimLeft(`
tcp      6 431996 ESTABLISHED src=192.168.56.1 dst=192.168.56.11 sport=51514 dport=8080 src=172.17.0.2 dst=192.168.56.1 sport=80 dport=51514 [ASSURED] mark=0 use=1
udp      17 26 src=172.17.0.2 dst=8.8.8.8 sport=40112 dport=53 [UNREPLIED] src=8.8.8.8 dst=192.168.56.11 sport=53 dport=40112 mark=0 use=1
icmp     1 29 src=172.17.0.2 dst=192.168.56.1 type=8 code=0 id=9 src=192.168.56.1 dst=172.17.0.2 type=0 code=0 id=9 mark=0 use=1
conntrack v1.4.3 (conntrack-tools): 3 flow entries have been shown.
`, "\n")
	if got := n.FormatConntrack(sec(4)); got != want {
		t.Errorf("FormatConntrack =\n%swant\n%s", got, want)
	}
}
