package netns

import (
	"errors"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/wire"
	"github.com/netsim-lab/netsim/nat"
)

func (l *lab) iptables(ns *Namespace, lines ...string) {
	l.Helper()
	for _, line := range lines {
		if _, err := ns.Netfilter().Command(strings.Fields(line)); err != nil {
			l.Fatalf("iptables %s: %v", line, err)
		}
	}
}

func (l *lab) ipvsadm(ns *Namespace, lines ...string) {
	l.Helper()
	for _, line := range lines {
		if _, err := ns.IPVS().Command(strings.Fields(line)); err != nil {
			l.Fatalf("ipvsadm %s: %v", line, err)
		}
	}
}

// docker makes the host of a bridge network, two containers on it, and a machine outside that has no route to them.
func (l *lab) docker() (host, outside *Namespace, cs []*Namespace) {
	l.Helper()
	host, cs = l.bridged(2)
	outside = l.add(Config{Name: "outside"})
	l.veth(host, "eth0", "192.168.1.2/24", outside, "eth0", "192.168.1.10/24")
	l.iptables(host,
		"-t nat -A POSTROUTING -s 10.0.0.0/24 ! -o br0 -j MASQUERADE",
		"-t nat -N DOCKER",
		"-t nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER",
		"-t nat -A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER",
		"-t nat -A DOCKER ! -i br0 -p tcp --dport 8000 -j DNAT --to-destination 10.0.0.3:80")
	return host, outside, cs
}

// source serves TCP connections that are told where they come from.
func (l *lab) source(ns *Namespace, address, name string) {
	l.Helper()
	ln, err := ns.Listen("tcp", address)
	if err != nil {
		l.Fatal(err)
	}
	l.wg.Add(1)
	go func() {
		defer l.wg.Done()
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			host, _, _ := net.SplitHostPort(c.RemoteAddr().String())
			c.Write([]byte(name + " sees " + host))
			c.Close()
		}
	}()
}

func (l *lab) ask(ns *Namespace, address string) string {
	c, err := ns.Dial(l.within(patience), "tcp", address)
	if err != nil {
		return err.Error()
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	b := make([]byte, 100)
	n, _ := c.Read(b)
	return string(b[:n])
}

func TestNAT(t *testing.T) {
	l := newLab(t)
	host, outside, cs := l.docker()
	l.source(cs[1], ":80", "web")
	l.source(outside, ":80", "outside")
	l.source(host, ":90", "host")
	for _, c := range []struct {
		name string
		from *Namespace
		to   string
		want string
	}{
		{"DNAT to a container", outside, "192.168.1.2:8000", "web sees 192.168.1.10"},
		{"DNAT of the host's own", host, "192.168.1.2:8000", "web sees 192.168.1.2"},
		{"MASQUERADE", cs[0], "192.168.1.10:80", "outside sees 192.168.1.2"},
		{"to the host itself", cs[0], "192.168.1.2:90", "host sees 10.0.0.2"},
		{"between containers", cs[0], "10.0.0.3:80", "web sees 10.0.0.2"},
	} {
		if got := l.ask(c.from, c.to); got != c.want {
			t.Errorf("%s: %s; want %s", c.name, got, c.want)
		}
	}
	if n := host.Netfilter().Count(); n == 0 {
		t.Error("no connection is tracked")
	}
	// Trains go through whole, and every byte arrives.
	l.echo(outside, ":7")
	if _, _, err := l.talk(cs[0], "192.168.1.10:7", 3_000_000); err != nil {
		t.Error(err)
	}
}

func TestRedirect(t *testing.T) {
	l := newLab(t)
	host, outside, cs := l.docker()
	l.source(host, ":3128", "proxy")
	l.iptables(host, "-t nat -A PREROUTING -i br0 -p tcp --dport 80 -j REDIRECT --to-ports 3128")
	if got, want := l.ask(cs[0], "192.168.1.10:80"), "proxy sees 10.0.0.2"; got != want {
		t.Errorf("%s; want %s", got, want)
	}
	_ = outside
}

// The embedded resolver: 127.0.0.11:53 is a socket on another port of the container's loopback.
func TestLoopbackDNAT(t *testing.T) {
	l := newLab(t)
	_, cs := l.bridged(1)
	c := cs[0]
	l.source(c, "127.0.0.11:40001", "dns")
	u := must(c.ListenPacket("udp", "127.0.0.11:40002"))
	l.iptables(c,
		"-t nat -N DOCKER_OUTPUT", "-t nat -A OUTPUT -d 127.0.0.11/32 -j DOCKER_OUTPUT",
		"-t nat -A DOCKER_OUTPUT -d 127.0.0.11/32 -p tcp -m tcp --dport 53 -j DNAT --to-destination 127.0.0.11:40001",
		"-t nat -A DOCKER_OUTPUT -d 127.0.0.11/32 -p udp -m udp --dport 53 -j DNAT --to-destination 127.0.0.11:40002",
		"-t nat -N DOCKER_POSTROUTING", "-t nat -A POSTROUTING -d 127.0.0.11/32 -j DOCKER_POSTROUTING",
		"-t nat -A DOCKER_POSTROUTING -s 127.0.0.11/32 -p tcp -m tcp --sport 40001 -j SNAT --to-source :53",
		"-t nat -A DOCKER_POSTROUTING -s 127.0.0.11/32 -p udp -m udp --sport 40002 -j SNAT --to-source :53")
	if got, want := l.ask(c, "127.0.0.11:53"), "dns sees 127.0.0.1"; got != want {
		t.Errorf("%s; want %s", got, want)
	}
	q, err := c.Dial(l.ctx, "udp", "127.0.0.11:53")
	if err != nil {
		t.Fatal(err)
	}
	q.Write([]byte("www?"))
	b := make([]byte, 10)
	u.SetDeadline(time.Now().Add(patience))
	n, from, err := u.ReadFrom(b)
	if err != nil || string(b[:n]) != "www?" {
		t.Fatal(err)
	}
	u.WriteTo([]byte("here"), from)
	q.SetDeadline(time.Now().Add(patience))
	if n, err := q.Read(b); err != nil || string(b[:n]) != "here" {
		t.Errorf("answer %q, %v", b[:n], err)
	}
}

// localhost:PORT reaches a container if the bridge has route_localnet (B21, R13).
func TestRouteLocalnet(t *testing.T) {
	l := newLab(t)
	host, _, cs := l.docker()
	l.source(cs[1], ":80", "web")
	l.iptables(host, "-t nat -A OUTPUT -p tcp --dport 8000 -j DNAT --to-destination 10.0.0.3:80",
		"-t nat -A POSTROUTING -o br0 -m addrtype --src-type LOCAL -j MASQUERADE")
	must2(host.Interface("br0")).SetRouteLocalnet(true)
	if got, want := l.ask(host, "127.0.0.1:8000"), "web sees 10.0.0.1"; got != want {
		t.Errorf("%s; want %s", got, want)
	}
}

// ICMP errors about translated packets reach who sent them, about the packet as it was sent.
func TestNATErrors(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	host, outside, cs := l.docker()
	l.gateway(host, "192.168.1.10")
	p := must(cs[0].NewPinger())
	if err := p.Send(addr("192.168.1.10"), PingOptions{Seq: 1}); err != nil {
		t.Fatal(err)
	}
	if r, err := p.Receive(l.within(patience)); err != nil || r.From != addr("192.168.1.10") || r.TTL != 63 {
		t.Errorf("ping by masquerade: %+v, %v", r, err)
	}
	outside.SetForward(true)
	if err := p.Send(addr("203.0.113.1"), PingOptions{Seq: 2}); err != nil {
		t.Fatal(err)
	}
	if r, err := p.Receive(l.within(patience)); err != nil || r.From != addr("192.168.1.10") || r.Seq != 2 || r.Code != wire.CodeNetUnreachable {
		t.Errorf("no route beyond the masquerade: %+v, %v", r, err)
	}
	if err := p.Send(addr("203.0.113.1"), PingOptions{Seq: 3, TTL: 1}); err != nil {
		t.Fatal(err)
	}
	if r, err := p.Receive(l.within(patience)); err != nil || r.From != addr("10.0.0.1") || r.Seq != 3 || r.Type != wire.ICMPTimeExceeded {
		t.Errorf("ttl ends before the masquerade: %+v, %v", r, err)
	}
	c, err := cs[0].Dial(l.ctx, "udp", "192.168.1.10:9")
	if err != nil {
		t.Fatal(err)
	}
	c.Write([]byte("x"))
	c.SetDeadline(time.Now().Add(patience))
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("port unreachable by masquerade: %v", err)
	}
	// Behind the masquerade nobody has the address: three seconds later the container knows.
	if err := p.Send(addr("192.168.1.99"), PingOptions{Seq: 4}); err != nil {
		t.Fatal(err)
	}
	if r, err := p.Receive(l.within(patience)); err != nil || r.Seq != 4 || r.Code != wire.CodeHostUnreachable {
		t.Errorf("host unreachable by masquerade: %+v, %v", r, err)
	}
}

// L15: DROP is silence, REJECT an answer.
func TestFilter(t *testing.T) {
	l := newLab(t)
	host, cs := l.bridged(2)
	client := cs[0]
	l.source(host, ":80", "host")
	for _, c := range []struct {
		rule   string
		want   error
		reason fabric.DropReason
	}{
		{"-A INPUT -p tcp --dport 80 -j DROP", nil, fabric.DropFilter},
		{"-A INPUT -p tcp --dport 80 -j REJECT", syscall.ECONNREFUSED, fabric.DropReject},
		{"-A INPUT -p tcp --dport 80 -j REJECT --reject-with tcp-reset", syscall.ECONNREFUSED, fabric.DropReject},
		{"-A INPUT -p tcp --dport 80 -j REJECT --reject-with icmp-host-prohibited", syscall.EHOSTUNREACH, fabric.DropReject},
	} {
		l.iptables(host, "-F INPUT", c.rule)
		br := must2(host.Interface("br0"))
		before := br.Dropped(c.reason)
		_, err := client.Dial(l.within(200*time.Millisecond), "tcp", "10.0.0.1:80")
		var op *net.OpError
		if c.want != nil && !errors.Is(err, c.want) || c.want == nil && (!errors.As(err, &op) || !op.Timeout()) {
			t.Errorf("%s: %v; want %v", c.rule, err, c.want)
		}
		if n := br.Dropped(c.reason) - before; n != 1 {
			t.Errorf("%s: %d drops; want 1", c.rule, n)
		}
	}
	l.iptables(host, "-F INPUT", "-A OUTPUT -p tcp --dport 81 -j REJECT", "-A OUTPUT -p udp -j DROP")
	if _, err := host.Dial(l.within(patience), "tcp", "10.0.0.2:81"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("REJECT of its own: %v", err)
	}
	if n := host.Dropped(fabric.DropReject); n != 1 {
		t.Errorf("%d of its own were rejected; want 1", n)
	}
}

// A client that balances by itself, as a container does for a service's virtual address: connections, not packets.
func TestIPVSClient(t *testing.T) {
	l := newLab(t)
	_, cs := l.bridged(3)
	client := cs[0]
	l.source(cs[1], ":80", "web1")
	l.source(cs[2], ":80", "web2")
	if err := must2(client.Interface("lo")).AddAddr(prefix("10.0.0.100/32")); err != nil {
		t.Fatal(err)
	}
	l.iptables(client, "-t mangle -A OUTPUT -d 10.0.0.100/32 -j MARK --set-mark 257")
	l.ipvsadm(client, "-A -f 257 -s rr", "-a -f 257 -r 10.0.0.3 -m", "-a -f 257 -r 10.0.0.4 -m")
	got := map[string]int{}
	for range 6 {
		got[l.ask(client, "10.0.0.100:80")]++
	}
	if got["web1 sees 10.0.0.2"] != 3 || got["web2 sees 10.0.0.2"] != 3 {
		t.Errorf("answers %v", got)
	}
	if _, _, err := l.talk(client, "10.0.0.100:81", 1); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("closed port of a real server: %v", err)
	}
	l.ipvsadm(client, "-d -f 257 -r 10.0.0.3", "-d -f 257 -r 10.0.0.4")
	if got := l.ask(client, "10.0.0.100:80"); !strings.Contains(got, "connection refused") || client.Dropped(fabric.DropNoBackend) == 0 {
		t.Errorf("no real server: %s, %v", got, client.Read().Drops)
	}
}

// A director: packets come in for a virtual address that it has, and go on to real servers with its own source
// address, as the ingress sandbox does it.
func TestIPVSDirector(t *testing.T) {
	l := newLab(t)
	director, cs := l.bridged(2)
	outside := l.add(Config{Name: "outside"})
	l.veth(director, "eth0", "192.168.1.2/24", outside, "eth0", "192.168.1.10/24")
	l.source(cs[0], ":5000", "web1")
	l.source(cs[1], ":5000", "web2")
	l.iptables(director,
		"-t mangle -A PREROUTING -p tcp --dport 8000 -j MARK --set-mark 260",
		"-t nat -A PREROUTING -p tcp --dport 8000 -j REDIRECT --to-ports 5000",
		"-t nat -A POSTROUTING -d 10.0.0.0/24 -m ipvs --ipvs -j SNAT --to-source 10.0.0.1")
	l.ipvsadm(director, "-A -f 260 -s rr", "-a -f 260 -r 10.0.0.2 -m", "-a -f 260 -r 10.0.0.3 -m")
	got := map[string]int{}
	for range 6 {
		got[l.ask(outside, "192.168.1.2:8000")]++
	}
	if got["web1 sees 10.0.0.1"] != 3 || got["web2 sees 10.0.0.1"] != 3 {
		t.Errorf("answers %v", got)
	}
	l.echo(cs[0], ":5001")
	l.ipvsadm(director, "-A -t 192.168.1.2:7 -s rr", "-a -t 192.168.1.2:7 -r 10.0.0.2:5001 -m")
	if _, _, err := l.talk(outside, "192.168.1.2:7", 3_000_000); err != nil {
		t.Error(err)
	}
}

// Every hook is run for the packets that pass it.
func TestHooks(t *testing.T) {
	l := newLab(t)
	host, outside, cs := l.docker()
	for h, chain := range []string{"PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"} {
		if nat.Hook(h).String() != chain {
			t.Fatal(chain)
		}
		l.iptables(host, "-t mangle -A "+chain+" -p icmp")
	}
	if _, err := cs[0].Ping(l.within(patience), addr("192.168.1.10")); err != nil {
		t.Fatal(err)
	}
	if _, err := outside.Ping(l.within(patience), addr("192.168.1.2")); err != nil {
		t.Fatal(err)
	}
	out := must(host.Netfilter().Command(strings.Fields("-t mangle -S -v")))
	for chain, want := range map[string]string{"PREROUTING": "3", "INPUT": "1", "FORWARD": "2", "OUTPUT": "1", "POSTROUTING": "3"} {
		if !strings.Contains(out, "-A "+chain+" -p icmp -c "+want+" ") {
			t.Errorf("%s did not see %s packets:\n%s", chain, want, out)
		}
	}
}
