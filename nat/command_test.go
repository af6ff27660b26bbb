package nat

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/netsim-lab/netsim/fabric/wire"
)

// trimRight takes off the blanks at line ends, which iptables prints and the goldens of this file leave out.
func trimRight(s string) string {
	lines := strings.Split(s, "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return strings.Join(lines, "\n")
}

func TestListingOfAPublishedPort(t *testing.T) { // B13-B16, 16.11
	n := newHost(t, "-P FORWARD DROP", "-N DOCKER", "-N DOCKER-ISOLATION", "-A FORWARD -j DOCKER-ISOLATION -c 14 1176",
		"-A FORWARD -o docker0 -j DOCKER -c 7 588", "-A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT -c 7 588",
		"-A FORWARD -i docker0 ! -o docker0 -j ACCEPT -c 7 588", "-A FORWARD -i docker0 -o docker0 -j ACCEPT",
		"-A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT", "-A DOCKER-ISOLATION -j RETURN -c 14 1176")
	want := `Chain INPUT (policy ACCEPT 0 packets, 0 bytes)
 pkts bytes target     prot opt in     out     source               destination

Chain FORWARD (policy DROP 0 packets, 0 bytes)
 pkts bytes target     prot opt in     out     source               destination
   14  1176 DOCKER-ISOLATION  all  --  *      *       0.0.0.0/0            0.0.0.0/0
    7   588 DOCKER     all  --  *      docker0  0.0.0.0/0            0.0.0.0/0
    7   588 ACCEPT     all  --  *      docker0  0.0.0.0/0            0.0.0.0/0            ctstate RELATED,ESTABLISHED
    7   588 ACCEPT     all  --  docker0 !docker0  0.0.0.0/0            0.0.0.0/0
    0     0 ACCEPT     all  --  docker0 docker0  0.0.0.0/0            0.0.0.0/0

Chain OUTPUT (policy ACCEPT 0 packets, 0 bytes)
 pkts bytes target     prot opt in     out     source               destination

Chain DOCKER (1 references)
 pkts bytes target     prot opt in     out     source               destination
    0     0 ACCEPT     tcp  --  !docker0 docker0  0.0.0.0/0            172.17.0.2           tcp dpt:80

Chain DOCKER-ISOLATION (1 references)
 pkts bytes target     prot opt in     out     source               destination
   14  1176 RETURN     all  --  *      *       0.0.0.0/0            0.0.0.0/0
`
	if got := trimRight(command(t, n, "-L -n -v")); got != want {
		t.Errorf("iptables -L -n -v =\n%swant\n%s", got, want)
	}
	rules(t, n, "-t nat -N DOCKER", "-t nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER",
		"-t nat -A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER", "-t nat -A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE -c 2 168",
		"-t nat -A POSTROUTING -s 172.17.0.2 -d 172.17.0.2 -p tcp --dport 80 -j MASQUERADE", "-t nat -A DOCKER -i docker0 -j RETURN",
		"-t nat -A DOCKER ! -i docker0 -p tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80")
	p := &Packet{Frame: tcpFrame("192.168.56.1:5000", "192.168.56.11:8080", wire.SYN), In: "eth0"}
	n.Run(Prerouting, p, sec(0))
	n.Run(Prerouting, p, sec(0)) // the rules are asked once only
	want = `Chain PREROUTING (policy ACCEPT 0 packets, 0 bytes)
 pkts bytes target     prot opt in     out     source               destination
    1    40 DOCKER     all  --  *      *       0.0.0.0/0            0.0.0.0/0            ADDRTYPE match dst-type LOCAL

Chain INPUT (policy ACCEPT 0 packets, 0 bytes)
 pkts bytes target     prot opt in     out     source               destination

Chain OUTPUT (policy ACCEPT 0 packets, 0 bytes)
 pkts bytes target     prot opt in     out     source               destination
    0     0 DOCKER     all  --  *      *       0.0.0.0/0           !127.0.0.0/8          ADDRTYPE match dst-type LOCAL

Chain POSTROUTING (policy ACCEPT 0 packets, 0 bytes)
 pkts bytes target     prot opt in     out     source               destination
    2   168 MASQUERADE  all  --  *      !docker0  172.17.0.0/16        0.0.0.0/0
    0     0 MASQUERADE  tcp  --  *      *       172.17.0.2           172.17.0.2           tcp dpt:80

Chain DOCKER (2 references)
 pkts bytes target     prot opt in     out     source               destination
    0     0 RETURN     all  --  docker0 *       0.0.0.0/0            0.0.0.0/0
    1    40 DNAT       tcp  --  !docker0 *       0.0.0.0/0            0.0.0.0/0            tcp dpt:8080 to:172.17.0.2:80
`
	if got := trimRight(command(t, n, "-t nat -nvL")); got != want {
		t.Errorf("iptables -t nat -nvL =\n%swant\n%s", got, want)
	}
	want = "num  target     prot opt source               destination\n1    DOCKER     all  --  anywhere             anywhere             ADDRTYPE match dst-type LOCAL\n"
	if got := trimRight(command(t, n, "-t nat -L PREROUTING --line-numbers")); !strings.HasSuffix(got, want) {
		t.Errorf("iptables -L --line-numbers =\n%swant\n%s", got, want)
	}
}

func TestListingOfCounters(t *testing.T) {
	for _, row := range []struct{ packets, short, exact string }{
		{"99999", "99999 ", "   99999 "}, {"100000", " 100K ", "  100000 "}, {"9999499", "9999K ", " 9999499 "},
		{"9999500", "  10M ", " 9999500 "}, {"123456789012", " 123G ", "123456789012 "}, {"9999999999999999", "10000T ", "9999999999999999 "},
	} {
		n := newHost(t, "-A FORWARD -j ACCEPT -c "+row.packets+" 1")
		if got := command(t, n, "-nvL FORWARD"); !strings.Contains(got, "\n"+row.short+"    1 ACCEPT") {
			t.Errorf("-v with %s packets =\n%s", row.packets, got)
		}
		if got := command(t, n, "-nvxL FORWARD"); !strings.Contains(got, "\n"+row.exact+"       1 ACCEPT") {
			t.Errorf("-v -x with %s packets =\n%s", row.packets, got)
		}
	}
}

func TestSaveIsReadAgain(t *testing.T) {
	lines := append(append([]string(nil), guideEra...),
		`-A INPUT -p tcp -m multiport --dports 80,443,1000:2000 -m comment --comment "it's a \"test" -j LOG --log-prefix "x y" --log-level debug`,
		"-A INPUT -p tcp --syn ! --dport 1:5 -m mark ! --mark 0x1/0xff -m addrtype ! --src-type LOCAL,BROADCAST -j REJECT",
		"-A INPUT -p icmp --icmp-type echo-request -m ipvs --ipvs -j MARK --set-mark 5", "-A INPUT -s 10.0.0.0/255.0.255.0 ! -f -g DOCKER",
		"-t nat -A POSTROUTING -p tcp -s 10.0.0.0/8 -j SNAT --to-source 1.2.3.4-1.2.3.9:100-200 --random --persistent",
		"-t nat -A OUTPUT -p tcp -j REDIRECT --to-ports 80", "-t raw -A PREROUTING -j NOTRACK", "-t raw -A PREROUTING -j CT --notrack")
	n := newHost(t, lines...)
	again := New(Config{})
	for _, table := range []string{"raw", "nat", "filter"} {
		for _, line := range strings.Split(strings.TrimSpace(command(t, n, "-t "+table+" -S")), "\n") {
			if _, err := again.Command(append([]string{"-t", table}, splitWords(line)...)); err != nil {
				t.Fatalf("%s: %v", line, err)
			}
		}
	}
	if a, b := n.Save(false), again.Save(false); a != b {
		t.Errorf("saved and read again:\n%s\nwant\n%s", b, a)
	}
	if !strings.Contains(n.Save(true), "[0:0] -A FORWARD -j DOCKER-ISOLATION\n") {
		t.Errorf("Save(true) has no counters:\n%s", n.Save(true))
	}
}

func TestChangingRules(t *testing.T) {
	n := newHost(t, "-A FORWARD -s 1.1.1.1 -j ACCEPT", "-I FORWARD -s 2.2.2.2 -j ACCEPT", "-I FORWARD 2 -s 3.3.3.3 -j ACCEPT", "-R FORWARD 1 -s 4.4.4.4 -j DROP",
		"-A FORWARD -s 5.5.5.5,6.6.6.6 -j ACCEPT", "-D FORWARD -s 1.1.1.1/32 -j ACCEPT", "-D FORWARD 4", "-C FORWARD -s 3.3.3.3 -j ACCEPT",
		"-N OLD", "-A OLD -j RETURN", "-A FORWARD -j OLD", "-E OLD NEWER", "--table filter --append FORWARD --protocol tcp --jump DROP --wait")
	want := "-P FORWARD ACCEPT\n-A FORWARD -s 4.4.4.4/32 -j DROP\n-A FORWARD -s 3.3.3.3/32 -j ACCEPT\n-A FORWARD -s 5.5.5.5/32 -j ACCEPT\n-A FORWARD -j NEWER\n-A FORWARD -p tcp -j DROP\n"
	if got := command(t, n, "-S FORWARD"); got != want {
		t.Errorf("-S FORWARD =\n%swant\n%s", got, want)
	}
	rules(t, n, "-F FORWARD", "-F NEWER", "-X", "-Z")
	if got, want := command(t, n, "-S"), "-P INPUT ACCEPT\n-P FORWARD ACCEPT\n-P OUTPUT ACCEPT\n"; got != want {
		t.Errorf("-S after -F, -X =\n%swant\n%s", got, want)
	}
	for _, f := range []func(string, string, string) error{n.Append, n.Insert, n.Delete} {
		if err := f("nat", "PREROUTING", `-p tcp --dport 80 -m comment --comment "a b" -j DNAT --to-destination 1.2.3.4:80`); err != nil {
			t.Error(err)
		}
	}
	if err := n.NewChain("nat", "DOCKER"); err != nil {
		t.Error(err)
	}
}

func TestErrors(t *testing.T) {
	const help = "\nTry `iptables -h' or 'iptables --help' for more information."
	n := newHost(t, "-N FOO", "-A FOO -p tcp --dport 80 -j ACCEPT", "-A FORWARD -j FOO", "-N BAR", "-A FOO -j BAR", "-N FULL", "-A FULL -j DROP",
		"-t nat -N SRC", "-t nat -A POSTROUTING -j SRC")
	for _, row := range []struct {
		line, text string
		status     int
	}{
		{"", "iptables v1.6.0: no command specified" + help, 2},
		{"-N FOO", "iptables: Chain already exists.", 1},
		{"-N ACCEPT", "iptables v1.6.0: chain name may not clash with target name" + help, 2},
		{"-N -foo", "iptables v1.6.0: chain name not allowed to start with `-'" + help, 2},
		{"-N a234567890123456789012345678901", "iptables v1.6.0: chain name `a234567890123456789012345678901' too long (must be under 29 chars)" + help, 2},
		{"-X FOO", "iptables: Too many links.", 1},
		{"-X FULL", "iptables: Directory not empty.", 1},
		{"-X INPUT", "iptables: Invalid argument. Run `dmesg' for more information.", 1},
		{"-X NOPE", "iptables: No chain/target/match by that name.", 1},
		{"-E NOPE X", "iptables: No chain/target/match by that name.", 1},
		{"-E FOO BAR", "iptables: File exists.", 1},
		{"-P FOO DROP", "iptables: Bad built-in chain name.", 1},
		{"-P INPUT BLAH", "iptables: Bad policy name. Run `dmesg' for more information.", 1},
		{"-P INPUT", "iptables v1.6.0: -P requires a chain and a policy" + help, 2},
		{"-D FORWARD 9", "iptables: Index of deletion too big.", 1},
		{"-D NOPE 9", "iptables: No chain/target/match by that name.", 1},
		{"-I FORWARD 9 -j ACCEPT", "iptables: Index of insertion too big.", 1},
		{"-R FORWARD 9 -j ACCEPT", "iptables: Index of replacement too big.", 1},
		{"-R FORWARD -j ACCEPT", "iptables v1.6.0: -R requires a rule number" + help, 2},
		{"-I FORWARD 0 -j ACCEPT", "iptables v1.6.0: Invalid rule number `0'" + help, 2},
		{"-D FORWARD -s 1.2.3.4 -j ACCEPT", "iptables: Bad rule (does a matching rule exist in that chain?).", 1},
		{"-C FORWARD -s 1.2.3.4 -j ACCEPT", "iptables: Bad rule (does a matching rule exist in that chain?).", 1},
		{"-A NOPE -j ACCEPT", "iptables: No chain/target/match by that name.", 1},
		{"-A FORWARD -j NOPE", "iptables v1.6.0: Couldn't load target `NOPE':No such file or directory\n" + help, 2},
		{"-A FORWARD -g NOPE", "iptables: No chain/target/match by that name.", 1},
		{"-A FORWARD -j INPUT", "iptables v1.6.0: Couldn't load target `INPUT':No such file or directory\n" + help, 2},
		{"-A FORWARD --dport 80 -j ACCEPT", "iptables v1.6.0: unknown option \"--dport\"" + help, 2},
		{"-t foo -L", "iptables v1.6.0: can't initialize iptables table `foo': Table does not exist (do you need to insmod?)\nPerhaps iptables or your kernel needs to be upgraded.", 3},
		{"-A FORWARD -p foo", "iptables v1.6.0: unknown protocol `foo' specified" + help, 2},
		{"-A FORWARD -p tcp --dport foo", "iptables v1.6.0: invalid port/service `foo' specified" + help, 2},
		{"-A FORWARD -p tcp --dport 9:1", "iptables v1.6.0: invalid portrange (min > max)" + help, 2},
		{"-A FORWARD -s 1.2.3.4/99", "iptables v1.6.0: invalid mask `99' specified" + help, 2},
		{"-A FORWARD -s host", "iptables v1.6.0: host/network `host' not found" + help, 2},
		{"-A FORWARD ! -s 1.1.1.1,2.2.2.2", "iptables v1.6.0: ! not allowed with multiple source or destination IP addresses" + help, 2},
		{"-A INPUT -o eth0", "iptables v1.6.0: Can't use -o with INPUT\n" + help, 2},
		{"-A OUTPUT -i eth0", "iptables v1.6.0: Can't use -i with OUTPUT\n" + help, 2},
		{"-A FORWARD -i abcdefghijklmnopqrs", "iptables v1.6.0: interface name `abcdefghijklmnopqrs' must be shorter than IFNAMSIZ (15)" + help, 2},
		{"-A FORWARD -j DNAT --to-destination 1.2.3.4", "iptables: Invalid argument. Run `dmesg' for more information.", 1},
		{"-t nat -A PREROUTING -j MASQUERADE", "iptables: Invalid argument. Run `dmesg' for more information.", 1},
		{"-t nat -A SRC -j DNAT --to-destination 1.2.3.4", "iptables: Invalid argument. Run `dmesg' for more information.", 1},
		{"-t nat -A PREROUTING -j DNAT", "iptables v1.6.0: DNAT: option \"--to-destination\" must be specified\n" + help, 2},
		{"-t nat -A PREROUTING -j DNAT --to-destination 1.2.3.4:80", "iptables v1.6.0: Need TCP, UDP, SCTP or DCCP with port specification" + help, 2},
		{"-t nat -A PREROUTING -p tcp -j DNAT --to-destination x", "iptables v1.6.0: Bad IP address \"x\"" + help, 2},
		{"-A FORWARD -j REJECT --reject-with foo", "iptables v1.6.0: unknown reject type \"foo\"" + help, 2},
		{"-A FORWARD -j REJECT --reject-with tcp-reset", "iptables: Invalid argument. Run `dmesg' for more information.", 1},
		{"-A FORWARD -j MARK", "iptables v1.6.0: MARK: One of the --set-xmark, --{and,or,xor,set}-mark options is required" + help, 2},
		{"-A FORWARD -m nosuch", "iptables v1.6.0: Couldn't load match `nosuch':No such file or directory\n" + help, 2},
		{"-A FORWARD -m tcp", "iptables: Invalid argument. Run `dmesg' for more information.", 1},
		{"-A FORWARD -m conntrack --ctstate FOO", "iptables v1.6.0: Bad ctstate \"FOO\"" + help, 2},
		{"-A FORWARD -m addrtype --dst-type FOO", "iptables v1.6.0: addrtype: bad type \"FOO\"" + help, 2},
		{"-A FORWARD -m addrtype", "iptables v1.6.0: addrtype: you must specify --src-type or --dst-type" + help, 2},
		{"-A FORWARD -m mark", "iptables v1.6.0: mark: option \"--mark\" must be specified" + help, 2},
		{"-A FORWARD -p icmp --icmp-type foo", "iptables v1.6.0: Unknown ICMP type `foo'" + help, 2},
		{"-A FOO -j FOO", "iptables: Too many levels of symbolic links.", 1},
		{"-A BAR -j FOO", "iptables: Too many levels of symbolic links.", 1},
		{"-A FORWARD bogus", "Bad argument `bogus'" + help, 2},
		{"-A FORWARD -L", "iptables v1.6.0: Cannot use -L with -A" + help, 2},
		{"-A FORWARD ! -j ACCEPT", "iptables v1.6.0: unexpected ! flag before -j" + help, 2},
		{"-L NOPE", "iptables: No chain/target/match by that name.", 1},
		{"-A", "iptables v1.6.0: option \"-A\" requires an argument" + help, 2},
		{"--bogus", "iptables v1.6.0: unknown option \"--bogus\"" + help, 2},
	} {
		before := n.Save(true)
		_, err := n.Command(splitWords(row.line))
		var refused *CommandError
		if !errors.As(err, &refused) || refused.Text != row.text || refused.Status != row.status {
			t.Errorf("iptables %s: %#v; want status %d\n%s", row.line, err, row.status, row.text)
		}
		if n.Save(true) != before {
			t.Errorf("iptables %s was refused and yet changed the rules", row.line)
		}
	}
}

func TestManyPathsToOneChain(t *testing.T) {
	n := newHost(t, "-N C0")
	for i := 1; i < 60; i++ { // 2^59 ways lead to C0: none of the checks may walk each
		from, to := fmt.Sprintf("C%d", i), fmt.Sprintf("C%d", i-1)
		rules(t, n, "-N "+from, "-A "+from+" -j "+to, "-A "+from+" -j "+to)
	}
	rules(t, n, "-A FORWARD -s 1.2.3.4 -j C59", "-A C0 -j REJECT")
	if _, err := n.Command(splitWords("-A C0 -j C59")); err == nil {
		t.Error("a loop of 60 chains is taken")
	}
}

func FuzzCommand(f *testing.F) {
	for _, line := range append(append(guideEra, today...), "-nvL", "-t nat -S", "-A FORWARD ! -p udp -m multiport --ports 1:2", "-E A B", "-Z X 1") {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		n := newHost(t, "-N DOCKER", "-A FORWARD -j DOCKER", "-t nat -N DOCKER")
		if _, err := n.Command(splitWords(line)); err != nil {
			var refused *CommandError
			if !errors.As(err, &refused) || refused.Status < 1 || refused.Status > 3 {
				t.Errorf("%q: %#v is no CommandError", line, err)
			}
			return
		}
		{
			again := New(Config{Env: dockerHost})
			for _, id := range []string{"raw", "mangle", "nat", "filter"} {
				for _, saving := range strings.Split(strings.TrimSpace(command(t, n, "-t "+id+" -S")), "\n") {
					if _, err := again.Command(append([]string{"-t", id}, splitWords(saving)...)); err != nil {
						t.Fatalf("%q makes %q, which is refused: %v", line, saving, err)
					}
				}
			}
			command(t, again, "-t raw -L")
			command(t, n, "-t raw -L")
			if a, b := n.Save(false), again.Save(false); a != b && !strings.Contains(a, " DROP [") {
				t.Errorf("%q: saved and read again\n%s\nwant\n%s", line, b, a)
			}
		}
		forward(n, tcpFrame("192.168.56.1:5000", "192.168.56.11:8080", wire.SYN), "eth0", "docker0", sec(0))
		command(t, n, "-nvL")
	})
}
