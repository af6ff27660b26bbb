package nat

import (
	"testing"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/wire"
)

// guideEra are the rules of a host in the guide's time with docker0, one user bridge br-1 and one published port (B13-B16).
var guideEra = []string{
	"-P FORWARD DROP", "-N DOCKER", "-N DOCKER-ISOLATION",
	"-A FORWARD -j DOCKER-ISOLATION",
	"-A FORWARD -o br-1 -j DOCKER", "-A FORWARD -o br-1 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
	"-A FORWARD -i br-1 ! -o br-1 -j ACCEPT", "-A FORWARD -i br-1 -o br-1 -j ACCEPT",
	"-A FORWARD -o docker0 -j DOCKER", "-A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
	"-A FORWARD -i docker0 ! -o docker0 -j ACCEPT", "-A FORWARD -i docker0 -o docker0 -j ACCEPT",
	"-A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT",
	"-A DOCKER-ISOLATION -i docker0 -o br-1 -j DROP", "-A DOCKER-ISOLATION -i br-1 -o docker0 -j DROP", "-A DOCKER-ISOLATION -j RETURN",
	"-t nat -N DOCKER", "-t nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER",
	"-t nat -A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER",
	"-t nat -A POSTROUTING -s 172.18.0.0/16 ! -o br-1 -j MASQUERADE", "-t nat -A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE",
	"-t nat -A POSTROUTING -s 172.17.0.2/32 -d 172.17.0.2/32 -p tcp -m tcp --dport 80 -j MASQUERADE",
	"-t nat -A DOCKER -i br-1 -j RETURN", "-t nat -A DOCKER -i docker0 -j RETURN",
	"-t nat -A DOCKER ! -i docker0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80",
}

// today are the same host's rules of the 28.x kind (B17-B20).
var today = []string{
	"-P FORWARD DROP", "-N DOCKER-USER", "-N DOCKER-FORWARD", "-N DOCKER-CT", "-N DOCKER-ISOLATION-STAGE-1", "-N DOCKER-ISOLATION-STAGE-2",
	"-N DOCKER-BRIDGE", "-N DOCKER", "-A FORWARD -j DOCKER-USER", "-A FORWARD -j DOCKER-FORWARD", "-A DOCKER-USER -j RETURN",
	"-A DOCKER-FORWARD -j DOCKER-CT", "-A DOCKER-FORWARD -j DOCKER-ISOLATION-STAGE-1", "-A DOCKER-FORWARD -j DOCKER-BRIDGE",
	"-A DOCKER-FORWARD -i docker0 -j ACCEPT", "-A DOCKER-FORWARD -i br-1 -j ACCEPT",
	"-A DOCKER-CT -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
	"-A DOCKER-CT -o br-1 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
	"-A DOCKER-BRIDGE -o docker0 -j DOCKER", "-A DOCKER-BRIDGE -o br-1 -j DOCKER",
	"-A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT",
	"-A DOCKER ! -i docker0 -o docker0 -j DROP", "-A DOCKER ! -i br-1 -o br-1 -j DROP",
	"-A DOCKER-ISOLATION-STAGE-1 -i docker0 ! -o docker0 -j DOCKER-ISOLATION-STAGE-2",
	"-A DOCKER-ISOLATION-STAGE-1 -i br-1 ! -o br-1 -j DOCKER-ISOLATION-STAGE-2",
	"-A DOCKER-ISOLATION-STAGE-2 -o docker0 -j DROP", "-A DOCKER-ISOLATION-STAGE-2 -o br-1 -j DROP",
	"-t nat -N DOCKER", "-t nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER",
	"-t nat -A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE",
	"-t nat -A DOCKER -i docker0 -j RETURN",
	"-t nat -A DOCKER ! -i docker0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80",
}

func TestForwardingVerdicts(t *testing.T) { // B1, B3, B6, B8; E11: both eras agree
	for era, lines := range map[string][]string{"guide": guideEra, "today": today} {
		for _, row := range []struct {
			name, src, dst, in, out string
			want                    Action
		}{
			{"same bridge (B1)", "172.17.0.2:1", "172.17.0.3:80", "docker0", "docker0", Accept},
			{"other bridge (B3)", "172.17.0.2:1", "172.18.0.2:80", "docker0", "br-1", Drop},
			{"other bridge, back (B3)", "172.18.0.2:1", "172.17.0.2:80", "br-1", "docker0", Drop},
			{"to the outside (B6)", "172.17.0.2:1", "8.8.8.8:80", "docker0", "eth0", Accept},
			{"published port (B14)", "192.168.56.1:1", "192.168.56.11:8080", "eth0", "docker0", Accept},
			{"port that is not published (B8)", "192.168.56.1:1", "172.17.0.2:81", "eth0", "docker0", Drop},
		} {
			n := newHost(t, lines...)
			p, v := forward(n, tcpFrame(row.src, row.dst, wire.SYN), row.in, row.out, sec(0))
			if v.Action != row.want {
				t.Errorf("%s, %s: %v by %q; want %v", era, row.name, v.Action, v.Where(), row.want)
			}
			if v.Action == Drop && (v.Reason != fabric.DropFilter || v.Where() == "") {
				t.Errorf("%s, %s: dropped for %v by %q; want a rule of the filter", era, row.name, v.Reason, v.Where())
			}
			if row.want == Accept {
				back, v := forward(n, tcpFrame(p.Frame.Dst().String(), p.Frame.Src().String(), wire.SYN|wire.ACK), row.out, row.in, sec(0))
				if v.Action != Accept || back.State() != StateEstablished {
					t.Errorf("%s, %s: answer %v, %v; want it accepted", era, row.name, back.State(), v.Where())
				}
			}
		}
	}
}

func TestGatewayOfTheOtherBridge(t *testing.T) { // B3, B5
	n := newHost(t, guideEra...)
	if _, v := deliver(n, echoFrame(8, "172.17.0.2", "172.18.0.1", 1), "docker0", sec(0)); v.Action != Accept {
		t.Errorf("ping of the other bridge's gateway: dropped by %s", v.Where())
	}
}

func TestWhere(t *testing.T) {
	n := newHost(t, guideEra...)
	_, v := forward(n, tcpFrame("172.17.0.2:1", "172.18.0.2:80", wire.SYN), "docker0", "br-1", sec(0))
	if want := "filter DOCKER-ISOLATION rule 1: -i docker0 -o br-1 -j DROP"; v.Where() != want {
		t.Errorf("Where = %q; want %q", v.Where(), want)
	}
	_, v = forward(n, tcpFrame("1.2.3.4:1", "172.17.0.9:80", wire.SYN), "eth0", "docker0", sec(0))
	if want := "filter FORWARD policy DROP"; v.Where() != want {
		t.Errorf("Where = %q; want %q", v.Where(), want)
	}
}

func TestMatches(t *testing.T) {
	udp := func() *fabric.Frame { return udpFrame("172.17.0.2:5000", "172.18.0.2:53") }
	tcp := func() *fabric.Frame { return tcpFrame("172.17.0.2:5000", "192.168.56.11:443", wire.SYN) }
	ping := func() *fabric.Frame { return echoFrame(8, "172.17.0.2", "224.0.0.1", 1) }
	for _, row := range []struct {
		rule string
		make func() *fabric.Frame
		want bool
	}{
		{"", udp, true},
		{"-p udp", udp, true},
		{"-p 17", udp, true},
		{"-p tcp", udp, false},
		{"! -p tcp", udp, true},
		{"-s 172.17.0.0/16", udp, true},
		{"! -s 172.17.0.0/16", udp, false},
		{"-d 172.18.0.2", udp, true},
		{"-d 172.18.0.3,172.18.0.2", udp, true},
		{"-i docker0", udp, true},
		{"-i docker+", udp, true},
		{"! -i docker+", udp, false},
		{"-i dock", udp, false},
		{"-o br-1", udp, true},
		{"! -o br-1", udp, false},
		{"-i +", udp, true},
		{"-p udp --sport 5000", udp, true},
		{"-p udp --sport 5000:5001 --dport :100", udp, true},
		{"-p udp --dport domain", udp, true},
		{"-p udp ! --dport 53", udp, false},
		{"-p udp --dport 54:", udp, false},
		{"-p udp -m multiport --dports 1,50:60", udp, true},
		{"-p udp -m multiport ! --ports 1,53", udp, false},
		{"-p udp -m multiport --sports 53", udp, false},
		{"-m conntrack --ctstate NEW", udp, true},
		{"-m conntrack ! --ctstate NEW", udp, false},
		{"-m state --state ESTABLISHED,RELATED", udp, false},
		{"-m mark --mark 0x5", udp, true},
		{"-m mark --mark 1/1", udp, true},
		{"-m mark ! --mark 0x5", udp, false},
		{"-m ipvs --ipvs", udp, false},
		{"-m ipvs ! --ipvs", udp, true},
		{"-m addrtype --dst-type LOCAL", udp, false},
		{"-m addrtype --dst-type LOCAL", tcp, true},
		{"-m addrtype ! --dst-type LOCAL", tcp, false},
		{"-m addrtype --src-type UNICAST --dst-type LOCAL,BROADCAST", tcp, true},
		{"-m addrtype --dst-type MULTICAST", ping, true},
		{"-p tcp --syn", tcp, true},
		{"-p tcp ! --syn", tcp, false},
		{"-p tcp --tcp-flags ALL SYN", tcp, true},
		{"-p icmp", ping, true},
		{"-p icmp --icmp-type echo-request", ping, true},
		{"-p icmp --icmp-type 8/1", ping, false},
		{"-p icmp ! --icmp-type 8", ping, false},
		{"-p icmp --icmp-type any", ping, true},
		{"-m comment --comment \"what for\"", ping, true},
		{"-f", udp, false},
		{"! -f", udp, true},
	} {
		n := newHost(t, "-t mangle -A PREROUTING -j MARK --set-mark 5", "-A FORWARD "+row.rule+" -j DROP")
		_, v := forward(n, row.make(), "docker0", "br-1", sec(0))
		if got := v.Action == Drop; got != row.want {
			t.Errorf("%s matches = %v; want %v", row.rule, got, row.want)
		}
	}
}

func TestTargets(t *testing.T) {
	for _, row := range []struct {
		name  string
		rules []string
		want  Action
		mark  uint32
	}{
		{"return from a chain goes on behind the jump", []string{"-N A", "-A FORWARD -j A", "-A FORWARD -j DROP", "-A A -j RETURN", "-A A -j ACCEPT"}, Drop, 0},
		{"the end of a chain does so too", []string{"-N A", "-A FORWARD -j A", "-A FORWARD -j DROP", "-A A -j LOG --log-prefix x"}, Drop, 0},
		{"goto does not come back", []string{"-N A", "-A FORWARD -g A", "-A FORWARD -j DROP", "-A A -j RETURN"}, Accept, 0},
		{"return from a built-in chain is its policy", []string{"-P FORWARD DROP", "-A FORWARD -j RETURN", "-A FORWARD -j ACCEPT"}, Drop, 0},
		{"marks", []string{"-t mangle -A PREROUTING -j MARK --set-mark 0xff", "-t mangle -A FORWARD -j MARK --and-mark 0x0f",
			"-t mangle -A POSTROUTING -j MARK --or-mark 0x100", "-t mangle -A POSTROUTING -j MARK --xor-mark 1", "-t mangle -A POSTROUTING -j MARK --set-xmark 0x2/0x2"}, Accept, 0x10e},
		{"reject", []string{"-A FORWARD -p udp -j REJECT --reject-with icmp-admin-prohibited"}, RejectIt, 0},
		{"drop in raw", []string{"-t raw -A PREROUTING -d 172.18.0.2/32 ! -i br-1 -j DROP"}, Drop, 0}, // B20
		{"drop in mangle", []string{"-t mangle -P POSTROUTING DROP"}, Drop, 0},
		{"drop in nat", []string{"-t nat -A POSTROUTING -j DROP"}, Drop, 0},
	} {
		n := newHost(t, row.rules...)
		p, v := forward(n, udpFrame("172.17.0.2:5000", "172.18.0.2:53"), "docker0", "br-1", sec(0))
		if v.Action != row.want || p.Mark != row.mark {
			t.Errorf("%s: %v, mark %#x; want %v, %#x", row.name, v.Action, p.Mark, row.want, row.mark)
		}
	}
}

func TestTaskFilter(t *testing.T) { // R8
	n := New(Config{Env: host{"eth0": "10.255.0.7", "eth2": "10.0.0.7"}})
	rules(t, n, "-t nat -A PREROUTING -d 10.255.0.7/32 -p tcp --dport 8000 -j REDIRECT --to-ports 5000",
		"-A INPUT -d 10.255.0.7/32 -p tcp --dport 5000 -m conntrack --ctstate NEW,ESTABLISHED -j ACCEPT", "-A INPUT -d 10.255.0.7/32 -p tcp -j DROP",
		"-A OUTPUT -s 10.255.0.7/32 -p tcp --sport 5000 -m conntrack --ctstate ESTABLISHED -j ACCEPT", "-A OUTPUT -s 10.255.0.7/32 -p tcp -j DROP")
	if _, v := deliver(n, tcpFrame("10.255.0.2:1", "10.255.0.7:8000", wire.SYN), "eth0", sec(0)); v.Action != Accept {
		t.Errorf("published port: dropped by %s", v.Where())
	}
	f := tcpFrame("10.255.0.7:5000", "10.255.0.2:1", wire.SYN|wire.ACK)
	if _, v := send(n, f, "eth0", sec(0)); v.Action != Accept || f.Src().Port() != 8000 {
		t.Errorf("answer = %s, %s; want it from port 8000", flow(f), v.Where())
	}
	if _, v := deliver(n, tcpFrame("10.255.0.2:1", "10.255.0.7:22", wire.SYN), "eth0", sec(0)); v.Action != Drop {
		t.Error("another port of the ingress address is open")
	}
	if _, v := deliver(n, tcpFrame("10.0.0.2:1", "10.0.0.7:22", wire.SYN), "eth2", sec(0)); v.Action != Accept {
		t.Errorf("a port on another network: dropped by %s", v.Where())
	}
}

func TestEnabled(t *testing.T) {
	n := New(Config{})
	command(t, n, "-L")
	command(t, n, "-t nat -N DOCKER")
	if n.Enabled() {
		t.Error("Enabled = true without a rule")
	}
	rules(t, n, "-t nat -A DOCKER -j RETURN")
	if !n.Enabled() {
		t.Error("Enabled = false with a rule")
	}
	if n = New(Config{}); n.Enabled() {
		t.Error("Enabled = true for a new one")
	}
	if rules(t, n, "-P FORWARD DROP"); !n.Enabled() {
		t.Error("Enabled = false with a policy that drops")
	}
}

func TestCountersCountWireFrames(t *testing.T) {
	n := newHost(t, "-A FORWARD -j ACCEPT")
	f := tcpFrame("172.17.0.2:5000", "8.8.8.8:80", wire.ACK)
	f.Segs, f.MSS = 4, 1 // four bytes of data as four frames
	forward(n, f, "docker0", "eth0", sec(0))
	if got, want := command(t, n, "-S FORWARD -v"), "-P FORWARD ACCEPT -c 0 0\n-A FORWARD -c 4 164 -j ACCEPT\n"; got != want {
		t.Errorf("-S -v = %q; want %q", got, want)
	}
}
