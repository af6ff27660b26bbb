package nat

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/wire"
)

func TestTranslate(t *testing.T) {
	for _, row := range []struct {
		name, rule       string
		in, out          string
		before, after    string // source > destination of the first packet
		answer, answered string // of the answer
	}{
		{"published port (B16)", "-t nat -A PREROUTING -p udp --dport 8080 -j DNAT --to-destination 172.17.0.2:80", "eth0", "docker0",
			"192.168.56.1:5000 > 192.168.56.11:8080", "192.168.56.1:5000 > 172.17.0.2:80",
			"172.17.0.2:80 > 192.168.56.1:5000", "192.168.56.11:8080 > 192.168.56.1:5000"},
		{"address only", "-t nat -A PREROUTING -d 192.168.56.11 -j DNAT --to-destination 172.17.0.2", "eth0", "docker0",
			"192.168.56.1:5000 > 192.168.56.11:53", "192.168.56.1:5000 > 172.17.0.2:53",
			"172.17.0.2:53 > 192.168.56.1:5000", "192.168.56.11:53 > 192.168.56.1:5000"},
		{"masquerade (B6)", "-t nat -A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE", "docker0", "eth0",
			"172.17.0.2:5000 > 8.8.8.8:53", "192.168.56.11:5000 > 8.8.8.8:53",
			"8.8.8.8:53 > 192.168.56.11:5000", "8.8.8.8:53 > 172.17.0.2:5000"},
		{"not out of its own bridge", "-t nat -A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE", "docker0", "docker0",
			"172.17.0.2:5000 > 172.17.0.3:53", "172.17.0.2:5000 > 172.17.0.3:53",
			"172.17.0.3:53 > 172.17.0.2:5000", "172.17.0.3:53 > 172.17.0.2:5000"},
		{"source", "-t nat -A POSTROUTING -o eth0 -j SNAT --to-source 192.168.56.99", "docker0", "eth0",
			"172.17.0.2:5000 > 8.8.8.8:53", "192.168.56.99:5000 > 8.8.8.8:53",
			"8.8.8.8:53 > 192.168.56.99:5000", "8.8.8.8:53 > 172.17.0.2:5000"},
		{"redirect (R2)", "-t nat -A PREROUTING -p udp --dport 8000 -j REDIRECT --to-ports 5000", "eth0", "",
			"192.168.56.1:5000 > 192.168.56.11:8000", "192.168.56.1:5000 > 192.168.56.11:5000",
			"192.168.56.11:5000 > 192.168.56.1:5000", "192.168.56.11:8000 > 192.168.56.1:5000"},
		{"source at input", "-t nat -A INPUT -p udp --dport 8000 -j SNAT --to-source 10.9.9.9", "eth0", "",
			"192.168.56.1:5000 > 192.168.56.11:8000", "10.9.9.9:5000 > 192.168.56.11:8000",
			"192.168.56.11:8000 > 10.9.9.9:5000", "192.168.56.11:8000 > 192.168.56.1:5000"},
	} {
		t.Run(row.name, func(t *testing.T) {
			n := newHost(t, row.rule)
			var src, dst string
			fmt.Sscanf(row.before, "%s > %s", &src, &dst)
			f := udpFrame(src, dst)
			if _, v := run(n, row.in, row.out, f); v.Action != Accept || flow(f) != row.after {
				t.Errorf("first packet = %s, %v; want %s", flow(f), v.Reason, row.after)
			}
			valid(t, f)
			fmt.Sscanf(row.answer, "%s > %s", &src, &dst)
			f = udpFrame(src, dst)
			if row.out == "" {
				send(n, f, row.in, sec(0))
			} else {
				forward(n, f, row.out, row.in, sec(0))
			}
			if flow(f) != row.answered {
				t.Errorf("answer = %s; want %s", flow(f), row.answered)
			}
			valid(t, f)
		})
	}
}

// run forwards a frame, or delivers it if there is no way out.
func run(n *Netfilter, in, out string, f *fabric.Frame) (*Packet, Verdict) {
	if out == "" {
		return deliver(n, f, in, sec(0))
	}
	return forward(n, f, in, out, sec(0))
}

func TestLocalRedirect(t *testing.T) { // D1: the embedded resolver's port
	n := newHost(t, "-t nat -N DOCKER_OUTPUT", "-t nat -A OUTPUT -d 127.0.0.11 -j DOCKER_OUTPUT",
		"-t nat -A DOCKER_OUTPUT -d 127.0.0.11 -p udp --dport 53 -j DNAT --to-destination 127.0.0.11:41234",
		"-t nat -N DOCKER_POSTROUTING", "-t nat -A POSTROUTING -d 127.0.0.11 -j DOCKER_POSTROUTING",
		"-t nat -A DOCKER_POSTROUTING -s 127.0.0.11 -p udp --sport 41234 -j SNAT --to-source :53")
	p := &Packet{Frame: udpFrame("127.0.0.1:40001", "127.0.0.11:53"), Out: "lo"}
	n.Run(Output, p, sec(0))
	n.Run(Postrouting, p, sec(0))
	p.In, p.Out = "lo", ""
	for _, h := range []Hook{Prerouting, Input} {
		if v := n.Run(h, p, sec(0)); v.Action != Accept {
			t.Fatalf("%v: %v", h, v.Reason)
		}
	}
	if got, want := flow(p.Frame), "127.0.0.1:40001 > 127.0.0.11:41234"; got != want {
		t.Errorf("query = %s; want %s", got, want)
	}
	valid(t, p.Frame)
	p = &Packet{Frame: udpFrame("127.0.0.11:41234", "127.0.0.1:40001"), Out: "lo"}
	for _, h := range []Hook{Output, Postrouting, Prerouting, Input} {
		n.Run(h, p, sec(0))
	}
	if got, want := flow(p.Frame), "127.0.0.11:53 > 127.0.0.1:40001"; got != want || p.State() != StateEstablished {
		t.Errorf("answer = %s, %v; want %s, ESTABLISHED", got, p.State(), want)
	}
	valid(t, p.Frame)
	if n.Count() != 1 {
		t.Errorf("Count = %d; want 1: loopback packets are tracked once", n.Count())
	}
}

func TestReroute(t *testing.T) {
	for _, row := range []struct {
		rule string
		want bool
	}{
		{"-t nat -A OUTPUT -p udp --dport 53 -j DNAT --to-destination 10.0.0.53", true},
		{"-t nat -A OUTPUT -p udp --dport 53 -j DNAT --to-destination 8.8.8.8:54", false},
		{"-t mangle -A OUTPUT -d 8.8.8.8 -j MARK --set-mark 1", true},
		{"-A OUTPUT -j ACCEPT", false},
	} {
		n := newHost(t, row.rule)
		p := &Packet{Frame: udpFrame("192.168.56.11:5000", "8.8.8.8:53"), Out: "eth0"}
		if v := n.Run(Output, p, sec(0)); v.Reroute != row.want {
			t.Errorf("%s: Reroute = %v; want %v", row.rule, v.Reroute, row.want)
		}
	}
}

func TestSourcePort(t *testing.T) { // B31
	masq := "-t nat -A POSTROUTING -o eth0 -j MASQUERADE"
	n := newHost(t, masq)
	a, b := udpFrame("172.17.0.2:40000", "8.8.8.8:53"), udpFrame("172.17.0.3:40000", "8.8.8.8:53")
	forward(n, a, "docker0", "eth0", sec(0))
	forward(n, b, "docker0", "eth0", sec(0))
	if a.Src().Port() != 40000 {
		t.Errorf("first flow's port = %d; want its own, 40000", a.Src().Port())
	}
	if p := b.Src().Port(); p == 40000 || p < 1024 {
		t.Errorf("second flow's port = %d; want another, 1024 or more", p)
	}
	c := udpFrame("172.17.0.4:40000", "8.8.4.4:53")
	if forward(n, c, "docker0", "eth0", sec(0)); c.Src().Port() != 40000 {
		t.Errorf("port to another server = %d; want 40000, which is free there", c.Src().Port())
	}
	for _, row := range []struct{ port, lo, hi uint16 }{{1, 1, 511}, {511, 1, 511}, {512, 600, 1023}, {1023, 600, 1023}, {1024, 1024, 65535}, {65535, 1024, 65535}} {
		n := newHost(t, masq)
		src := netip.AddrPortFrom(netip.MustParseAddr("172.17.0.2"), row.port).String()
		other := netip.AddrPortFrom(netip.MustParseAddr("172.17.0.3"), row.port).String()
		forward(n, udpFrame(src, "8.8.8.8:53"), "docker0", "eth0", sec(0))
		f := udpFrame(other, "8.8.8.8:53")
		forward(n, f, "docker0", "eth0", sec(0))
		if p := f.Src().Port(); p == row.port || p < row.lo || p > row.hi {
			t.Errorf("port instead of %d = %d; want one of %d to %d", row.port, p, row.lo, row.hi)
		}
	}
}

func TestPortsRunOut(t *testing.T) { // B31
	n := newHost(t, "-t nat -A POSTROUTING -p udp -o eth0 -j MASQUERADE --to-ports 2000-2003")
	seen := map[uint16]bool{}
	for i := range 4 {
		f := udpFrame(fmt.Sprintf("172.17.0.%d:40000", i+2), "8.8.8.8:53")
		if _, v := forward(n, f, "docker0", "eth0", sec(0)); v.Action != Accept {
			t.Fatalf("flow %d: %v", i, v.Reason)
		}
		seen[f.Src().Port()] = true
	}
	if len(seen) != 4 {
		t.Errorf("ports = %v; want four different ones", seen)
	}
	if _, v := forward(n, udpFrame("172.17.0.9:40000", "8.8.8.8:53"), "docker0", "eth0", sec(0)); v.Reason != fabric.DropNATExhausted {
		t.Errorf("fifth flow: %v; want nat-exhausted", v.Reason)
	}
	if _, v := forward(n, udpFrame("172.17.0.9:40000", "8.8.8.8:53"), "docker0", "eth0", sec(30)); v.Action != Accept {
		t.Errorf("fifth flow when the others expired: %v; want accepted", v.Reason)
	}
}

func TestNoRuleButClash(t *testing.T) {
	// Two published ports lead to the same container port; a client that uses one source port for both would get its answers mixed up.
	n := newHost(t, "-t nat -A PREROUTING -p udp --dport 8080 -j DNAT --to-destination 172.17.0.2:80",
		"-t nat -A PREROUTING -p udp --dport 8081 -j DNAT --to-destination 172.17.0.2:80")
	for _, port := range []string{"8080", "8081"} {
		f := udpFrame("192.168.56.1:5000", "192.168.56.11:"+port)
		if _, v := forward(n, f, "eth0", "docker0", sec(0)); v.Action != Accept {
			t.Fatalf("%v", v.Reason)
		}
		r := udpFrame(f.Dst().String(), f.Src().String())
		forward(n, r, "docker0", "eth0", sec(0))
		if got, want := flow(r), "192.168.56.11:"+port+" > 192.168.56.1:5000"; got != want {
			t.Errorf("answer = %s; want %s", got, want)
		}
	}
}

func TestEchoIdentifier(t *testing.T) {
	n := newHost(t, "-t nat -A POSTROUTING -o eth0 -j MASQUERADE")
	for _, id := range []uint16{0, 9} {
		a, b := echoFrame(8, "172.17.0.2", "8.8.8.8", id), echoFrame(8, "172.17.0.3", "8.8.8.8", id)
		forward(n, a, "docker0", "eth0", sec(0))
		forward(n, b, "docker0", "eth0", sec(0))
		if a.ICMP().ID() != id || b.ICMP().ID() == id {
			t.Errorf("identifiers = %d, %d; want %d and another", a.ICMP().ID(), b.ICMP().ID(), id)
		}
		valid(t, b)
		r := echoFrame(0, "8.8.8.8", "192.168.56.11", b.ICMP().ID())
		forward(n, r, "eth0", "docker0", sec(0))
		if flow(r) != "8.8.8.8 > 172.17.0.3" || r.ICMP().ID() != id {
			t.Errorf("answer = %s id %d; want it for 172.17.0.3 id %d", flow(r), r.ICMP().ID(), id)
		}
		valid(t, r)
	}
}

func TestRelatedErrors(t *testing.T) { // L12, L14 through NAT
	type sender func() *fabric.Frame
	udp := func(s, d string) sender { return func() *fabric.Frame { return udpFrame(s, d) } }
	tcp := func(s, d string) sender { return func() *fabric.Frame { return tcpFrame(s, d, syn) } }
	ping := func(s, d string) sender { return func() *fabric.Frame { return echoFrame(8, s, d, 9) } }
	for _, row := range []struct {
		name       string
		make       sender
		in, out    string
		typ, code  byte
		outer      string // the error as its receiver sees it
		fromServer bool   // the answer causes the error, not the request
	}{
		{"traceroute from a container", udp("172.17.0.2:33434", "8.8.8.8:33434"), "docker0", "eth0", 11, 0, "10.1.1.1 > 172.17.0.2", false},
		{"fragmentation needed", tcp("172.17.0.2:40000", "8.8.8.8:80"), "docker0", "eth0", 3, 4, "10.1.1.1 > 172.17.0.2", false},
		{"ping from a container", ping("172.17.0.2", "8.8.8.8"), "docker0", "eth0", 11, 0, "10.1.1.1 > 172.17.0.2", false},
		{"request to a published port", udp("192.168.56.1:5000", "192.168.56.11:8080"), "eth0", "docker0", 3, 3, "192.168.56.11 > 192.168.56.1", false},
		{"answer of a published port", tcp("192.168.56.1:5000", "192.168.56.11:8080"), "eth0", "docker0", 3, 4, "10.1.1.1 > 172.17.0.2", true},
	} {
		for _, quote := range []int{28, 40, 200} {
			t.Run(fmt.Sprintf("%s, %d bytes", row.name, quote), func(t *testing.T) {
				n := newHost(t, "-t nat -A POSTROUTING -s 172.17.0.0/16 -o eth0 -j MASQUERADE",
					"-t nat -A PREROUTING -p udp --dport 8080 -j DNAT --to-destination 172.17.0.2:80",
					"-t nat -A PREROUTING -p tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80")
				sent, f := row.make(), row.make()
				forward(n, f, row.in, row.out, sec(0))
				in, out := row.out, row.in
				if row.fromServer {
					sent = tcpFrame(f.Dst().String(), f.Src().String(), syn|ack)
					f = sent.Clone()
					forward(n, f, row.out, row.in, sec(0))
					in, out = row.in, row.out
				}
				e := errorFrame("10.1.1.1", row.typ, row.code, f, quote)
				p, v := forward(n, e, in, out, sec(0))
				if v.Action != Accept || p.State() != StateRelated {
					t.Fatalf("error is %v, %v; want RELATED", p.State(), v.Reason)
				}
				if flow(e) != row.outer {
					t.Errorf("error = %s; want %s", flow(e), row.outer)
				}
				want := sent.AppendTo(nil)[14:]
				want = want[:min(quote, len(want))]
				if got := e.ICMP()[8:]; !bytes.Equal(got, want) {
					t.Errorf("quoted packet =\n%x; want what was sent:\n%x", got, want)
				}
				valid(t, e)
			})
		}
	}
}

func TestForgedErrorsAreInvalid(t *testing.T) {
	n := newHost(t, "-t nat -A POSTROUTING -o eth0 -j MASQUERADE")
	f := udpFrame("172.17.0.2:5000", "8.8.8.8:53")
	forward(n, f, "docker0", "eth0", sec(0))
	e := errorFrame("10.1.1.1", 3, 3, f, 28)
	e.SetDst(ap("192.168.56.12:0"))
	if p, _ := forward(n, e, "eth0", "docker0", sec(0)); p.State() != StateInvalid {
		t.Errorf("an error to one who did not send the packet is %v; want INVALID", p.State())
	}
	e = errorFrame("10.1.1.1", 3, 3, udpFrame("192.168.56.11:1", "8.8.8.8:53"), 28)
	if p, _ := forward(n, e, "eth0", "docker0", sec(0)); p.State() != StateInvalid {
		t.Errorf("an error about an unknown packet is %v; want INVALID", p.State())
	}
}

func TestAttach(t *testing.T) {
	n := newHost(t, "-t nat -A PREROUTING -p udp --dport 8080 -j DNAT --to-destination 172.17.0.2:80", "-A FORWARD -j REJECT")
	p, v := forward(n, udpFrame("192.168.56.1:5000", "192.168.56.11:8080"), "eth0", "docker0", sec(0))
	if v.Action != RejectIt || v.Reason != fabric.DropReject || v.Reject.Code() != 3 {
		t.Fatalf("verdict = %+v; want a reject", v)
	}
	e := errorFrame("192.168.56.11", 3, 3, p.Frame, 28)
	q := &Packet{Frame: e, Out: "eth0"}
	p.Attach(q)
	n.Run(Output, q, sec(0))
	n.Run(Postrouting, q, sec(0))
	if inner, _, _ := innerTuple(e.ICMP()); inner.destination() != ap("192.168.56.11:8080") {
		t.Errorf("quoted destination = %v; want the published one", inner.destination())
	}
	valid(t, e)
}

func TestIPVSUpdatesTheReply(t *testing.T) { // S10, R2
	n := New(Config{Env: host{"eth0": "10.255.0.2", "eth1": "172.18.0.2"}})
	rules(t, n, "-t mangle -A PREROUTING -p udp --dport 8000 -j MARK --set-mark 0x100",
		"-t nat -A POSTROUTING -d 10.255.0.0/16 -m ipvs --ipvs -j SNAT --to-source 10.255.0.2")
	p := &Packet{Frame: udpFrame("192.168.56.1:5000", "172.18.0.2:8000"), In: "eth1"}
	n.Run(Prerouting, p, sec(0))
	if v := n.Early(Input, p, sec(0)); v.Action != Accept || p.Mark != 0x100 {
		t.Fatalf("Early(Input) = %v, mark %#x; want mark 0x100", v.Reason, p.Mark)
	}
	p.Frame.SetDst(ap("10.255.0.7:8000"))
	p.IPVS, p.Out = true, "eth0"
	if !n.AlterReplySource(p, ap("10.255.0.7:8000"), sec(0)) {
		t.Fatal("AlterReplySource refuses the first packet")
	}
	n.Run(Output, p, sec(0))
	n.Run(Postrouting, p, sec(0))
	if got, want := flow(p.Frame), "10.255.0.2:5000 > 10.255.0.7:8000"; got != want {
		t.Errorf("to the real server: %s; want %s", got, want)
	}
	r := &Packet{Frame: udpFrame("10.255.0.7:8000", "10.255.0.2:5000"), In: "eth0"}
	n.Run(Prerouting, r, sec(0))
	if got, want := flow(r.Frame), "10.255.0.7:8000 > 192.168.56.1:5000"; got != want || r.State() != StateEstablished {
		t.Errorf("answer for the balancer: %s, %v; want %s: its source is the balancer's to change", got, r.State(), want)
	}
	if n.AlterReplySource(r, ap("1.2.3.4:5"), sec(0)) {
		t.Error("AlterReplySource changes a connection for a reply")
	}
}

// A SYN from a port that one to a real server had which is gone: the balancer has chosen another, and the answers of that must
// find their way back (L21, S15).
func TestIPVSChoosesAnew(t *testing.T) {
	n := New(Config{Env: host{"eth0": "10.255.0.2", "eth1": "172.18.0.2"}})
	rules(t, n, "-t nat -A POSTROUTING -d 10.255.0.0/16 -m ipvs --ipvs -j SNAT --to-source 10.255.0.2")
	send := func(at int64, real string) {
		t.Helper()
		p := &Packet{Frame: tcpFrame("192.168.56.1:5000", "172.18.0.2:8000", syn), In: "eth1"}
		n.Run(Prerouting, p, at)
		n.Early(Input, p, at)
		p.Frame.SetDst(ap(real))
		p.IPVS, p.Out = true, "eth0"
		n.AlterReplySource(p, ap(real), at)
		n.Run(Output, p, at)
		n.Run(Postrouting, p, at)
		if got, want := flow(p.Frame), "10.255.0.2:5000 > "+real; got != want {
			t.Errorf("to the real server: %s; want %s", got, want)
		}
	}
	send(sec(0), "10.255.0.7:8000")
	send(sec(1), "10.255.0.7:8000") // again, with no answer
	if c := n.Connections(sec(1)); len(c) != 1 || c[0].Reply.Src != ap("10.255.0.7:8000") {
		t.Fatalf("connections = %+v; want one", c)
	}
	send(sec(3), "10.255.0.8:8000")
	r := &Packet{Frame: tcpFrame("10.255.0.8:8000", "10.255.0.2:5000", syn|ack), In: "eth0"}
	n.Run(Prerouting, r, sec(3))
	if got, want := flow(r.Frame), "10.255.0.8:8000 > 192.168.56.1:5000"; got != want || r.State() != StateEstablished {
		t.Errorf("answer for the balancer: %s, %v; want %s", got, r.State(), want)
	}
	if c := n.Connections(sec(3)); len(c) != 1 || c[0].Reply.Src != ap("10.255.0.8:8000") || c[0].State != "SYN_RECV" {
		t.Errorf("connections = %+v; want the new one alone", c)
	}
}

// TestThereAndBack sends random packets through a host that translates both ends, and an answer for each: the
// sender must see its own addresses, and all checksums must hold.
func TestThereAndBack(t *testing.T) {
	n := newHost(t, "-t nat -A PREROUTING -p tcp -d 192.168.56.11 -j DNAT --to-destination 172.17.0.2-172.17.0.4:80-90",
		"-t nat -A PREROUTING -d 192.168.56.11 -j DNAT --to-destination 172.17.0.2-172.17.0.4",
		"-t nat -A POSTROUTING -o docker0 -j MASQUERADE")
	r := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		src := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(r.IntN(4))}), uint16(r.IntN(1<<16)))
		dst := netip.AddrPortFrom(netip.MustParseAddr("192.168.56.11"), uint16(1+r.IntN(4)))
		var f, back *fabric.Frame
		kind := r.IntN(3)
		switch kind {
		case 0:
			f = udpFrame(src.String(), dst.String())
		case 1:
			f = tcpFrame(src.String(), dst.String(), syn)
		default:
			f = echoFrame(8, src.Addr().String(), dst.Addr().String(), src.Port())
		}
		if _, v := forward(n, f, "eth0", "docker0", sec(0)); v.Action != Accept {
			t.Fatalf("%v > %v: %v", src, dst, v.Reason)
		}
		valid(t, f)
		switch kind {
		case 0:
			back = udpFrame(f.Dst().String(), f.Src().String())
		case 1:
			back = tcpFrame(f.Dst().String(), f.Src().String(), syn|ack)
		default:
			back = echoFrame(0, f.Dst().Addr().String(), f.Src().Addr().String(), f.ICMP().ID())
		}
		forward(n, back, "docker0", "eth0", sec(0))
		valid(t, back)
		if kind == 2 {
			dst = netip.AddrPortFrom(dst.Addr(), src.Port())
		}
		if back.Src() != netip.AddrPortFrom(dst.Addr(), back.Src().Port()) || kind < 2 && back.Src() != dst || back.IPv4().Dst() != src.Addr() {
			t.Fatalf("answer = %s; want %v > %v", flow(back), dst, src)
		}
		if port := be.Uint16(back.L4()[2:]); kind < 2 && port != src.Port() || kind == 2 && back.ICMP().ID() != src.Port() {
			t.Fatalf("answer's port or identifier is not %d", src.Port())
		}
		back.Free()
		f.Free()
	}
}

func TestTraceOfTranslation(t *testing.T) {
	n := newHost(t, "-t nat -A PREROUTING -p tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80", "-t nat -A POSTROUTING -o docker0 -j MASQUERADE",
		"-A FORWARD -o docker0 -j ACCEPT")
	f := tcpFrame("192.168.56.1:5000", "192.168.56.11:8080", wire.SYN)
	f.Trace = new(fabric.Trace)
	forward(n, f, "eth0", "docker0", sec(0))
	got, _ := f.Trace.Events()
	want := []fabric.Event{
		{Kind: fabric.EventDNAT, Place: "host-a", Before: "192.168.56.11:8080", After: "172.17.0.2:80",
			By: "nat PREROUTING rule 1: -p tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80"},
		{Kind: fabric.EventFilter, Place: "host-a", Before: "FORWARD", After: "filter FORWARD rule 1: -o docker0 -j ACCEPT"},
		{Kind: fabric.EventSNAT, Place: "host-a", Before: "192.168.56.1:5000", After: "172.17.0.1:5000",
			By: "nat POSTROUTING rule 1: -o docker0 -j MASQUERADE"},
	}
	for i := range got {
		got[i].At = 0
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("events =\n%v; want\n%v", got, want)
	}
}
