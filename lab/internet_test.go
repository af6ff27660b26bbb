package lab

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/netsim-lab/netsim/docker/shell"
)

const internetLab = `
netsim: 1
name: internet-lab
fabric:
  switches: {left: {}, right: {}}
  hosts:
    a: {links: {left: 192.168.1.2/24}, engine: docker}
    b: {links: {right: 192.168.2.2/24}}
  internet:
    names:
      www.dockercon.com: {address: 104.239.220.248, delay: 20ms}
      docker.com: {address: [52.6.1.1, 52.6.1.2], web: "<h1>Docker</h1>"}
      hub.docker.com: {address: 52.6.1.1, web: The hub}
      quiet.example.com: 93.184.216.34
      red.example.com: 192.168.1.2
containers:
  c1: {host: a, image: busybox, command: [sleep, infinity]}
`

// said runs a line in a node and returns what it prints, both ways, and its status.
func said(t *testing.T, l *Lab, node, line string) (string, int) {
	t.Helper()
	var out strings.Builder
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	exit, err := l.MustNode(node).Run(ctx, line, shell.Stdio{Out: &out, Err: &out})
	if err != nil {
		t.Fatalf("%s on %s: %v", line, node, err)
	}
	return out.String(), exit
}

func TestInternetAnswersBeyondTheGateway(t *testing.T) {
	l := start(t, internetLab, Config{})
	for _, row := range []struct {
		name, node, line string
		status           int
		want             []string
	}{
		{"a name with a delay, from a host", "a", "ping -c 1 www.dockercon.com", 0, []string{"(104.239.220.248)", "ttl=63", "1 received"}},
		{"from a container, translated twice", "a/c1", "ping -c 1 www.dockercon.com", 0, []string{"(104.239.220.248)", "ttl=62", "1 packets received"}},
		{"another segment has its own gateway", "b", "ping -c 1 www.dockercon.com", 0, []string{"ttl=63"}},
		{"two hops", "a", "traceroute -n www.dockercon.com", 0, []string{" 1  192.168.1.254 ", " 2  104.239.220.248 "}},
		{"three from a container", "a/c1", "traceroute -n 93.184.216.34", 0, []string{"172.17.0.1", "192.168.1.254", "93.184.216.34"}},
		{"a web server", "a", "curl -s docker.com", 0, []string{"<h1>Docker</h1>\n"}},
		{"from a container", "a/c1", "wget -q -O - http://docker.com/any/path", 0, []string{"<h1>Docker</h1>\n"}},
		{"two names of one address", "b", "curl -s http://hub.docker.com/", 0, []string{"The hub"}},
		{"it says what it sends", "a", "curl -s -I docker.com", 0, []string{"200 OK", "Content-Type: text/html"}},
		{"and what it does not take", "a", "curl -s -d x docker.com", 0, []string{"405"}},
		{"a name without a web server refuses", "a", "curl quiet.example.com", 7, []string{"efused"}},
		{"an address that nobody has", "a", "ping -c 1 -W 2 8.8.8.8", 1, []string{"Unreachable"}},
		{"the gateway is no way between segments", "a", "ping -c 1 -W 2 192.168.2.2", 1, []string{"Unreachable"}},
		{"a name of a machine of the lab", "a", "ping -c 1 red.example.com", 0, []string{"(192.168.1.2)", "ttl=64"}},
		{"what is unknown stays so", "a", "ping -c 1 nobody.example.com", 2, []string{"nobody.example.com"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			out, status := said(t, l, row.node, row.line)
			if status != row.status {
				t.Errorf("%s: status %d; want %d\n%s", row.line, status, row.status, out)
			}
			for _, w := range row.want {
				if !strings.Contains(out, w) {
					t.Errorf("%s printed\n%s\nwant %q in it", row.line, out, w)
				}
			}
		})
	}
	if out, _ := said(t, l, "dns", "ip neigh"); strings.Count(out, "dev wan") != 2 || strings.Count(out, "PERMANENT") != 2 {
		t.Errorf("the gateway's neighbours are\n%s\nwant those beyond it without a question", out)
	}
	rtt, err := l.MustNode("a").Ping(soon(t), "www.dockercon.com")
	if err != nil || rtt < 40*time.Millisecond {
		t.Errorf("Ping = %v, %v; want at least 40ms, the delay both ways", rtt, err)
	}
	if kind := l.MustNode("internet-2").Kind(); kind != KindInternet {
		t.Errorf("internet-2 is a %s; want a node of the internet: docker.com has no delay, www.dockercon.com has one", kind)
	}
}

func TestInternetIsWhereItsGatewayIs(t *testing.T) {
	l := start(t, strings.Replace(internetLab, "  internet:\n", "  internet:\n    gateway: {left: 192.168.1.1/24}\n", 1), Config{})
	if out, _ := said(t, l, "a", "ip route; cat /etc/resolv.conf"); !strings.Contains(out, "default via 192.168.1.1 dev eth0") || !strings.Contains(out, "nameserver 192.168.1.1\n") {
		t.Errorf("a has\n%s\nwant the gateway as its default route and name server", out)
	}
	if out, status := said(t, l, "a", "curl -s docker.com"); status != 0 {
		t.Errorf("curl on a: status %d, %s", status, out)
	}
	out, status := said(t, l, "b", "ip route; ping -c 1 -W 1 52.6.1.1")
	if status == 0 || strings.Contains(out, "default") {
		t.Errorf("b has\n%s\nwant no way out", out)
	}
	if out, _ := said(t, l, "b", "ip route add default via 192.168.2.254; ping -c 1 -W 2 52.6.1.1"); !strings.Contains(out, "Unreachable") {
		t.Errorf("by the name server b has\n%s\nwant that the internet is unreachable", out)
	}
}

func TestTransitNetsAreFree(t *testing.T) {
	spec := parse(t, `netsim: 1
fabric:
  switches: {s: {}}
  hosts: {a: {links: {s: 100.64.0.2/29}}}
  internet: {names: {one.example.com: 100.64.0.9, two.example.com: {address: 1.2.3.4, delay: 1ms}}}
`)
	pool := newTransits(spec)
	for n, want := range []string{"100.64.0.12/30", "100.64.0.16/30"} {
		if got := pool.take(); got.String() != want {
			t.Errorf("take %d = %v; want %s", n, got, want)
		}
	}
	spec.Fabric.Hosts[0].Links[0].Addr = netip.MustParsePrefix("100.64.0.2/10") // all of the block
	if got := newTransits(spec).take(); !transitBlock.Contains(got.Addr()) {
		t.Errorf("take = %v where nothing is free; want some of the block", got)
	}
}
