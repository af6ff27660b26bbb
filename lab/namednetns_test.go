package lab

import (
	"strings"
	"testing"
)

// Namespaces that are made by hand run in the lab, last as long as something uses them, and take what is in them along.
func TestNamedNamespaces(t *testing.T) {
	l := start(t, twoHosts, Config{})
	for _, row := range []struct {
		node, line, want string
		status           int
	}{
		{"a", "ip netns add red && ip netns add red", "File exists", 1},
		{"a", "ip netns exec red ping -c 1 127.0.0.1", "Network is unreachable", 2},
		{"a", "ip link add v0 type veth peer name v1 && ip link set v1 netns red && ip addr add 10.9.0.1/24 dev v0 && ip link set v0 up", "", 0},
		{"a", "ip netns exec red sh -c 'ip link set lo up; ip addr add 10.9.0.2/24 dev v1; ip link set v1 up; ip route add default via 10.9.0.1'", "", 0},
		{"a", "ping -c 1 10.9.0.2", "1 received", 0},
		{"b", "ip route add 10.9.0.0/24 via 10.0.0.1", "", 0},
		{"a", "sysctl -w net.ipv4.ip_forward=1 && ip netns exec red ping -c 1 10.0.0.2", "1 received", 0},
		{"a", "ip netns exec red ping -c 1 localhost", "1 received", 0},
		{"a", "iptables -t nat -A POSTROUTING -s 10.9.0.0/24 -j MASQUERADE && ip netns exec red ping -c 1 www.example.com", "1 received", 0},
		{"b", "ip netns; ip netns exec red true", "Cannot open network namespace", 255},
		{"a", "ip netns exec red nc -l 8000 & sleep 0.2; ip netns del red; ip netns; ip link show v0; echo hi | nc -w 1 10.9.0.2 8000; wait; ip link show v0", `Device "v0" does not exist.`, 1},

		{"a", "ip netns add wan && ip link set eth0 netns wan && ping -c 1 -W 1 10.0.0.2", "Network is unreachable", 2},
		{"a", "ip netns exec wan sh -c 'ip addr add 10.0.0.1/24 dev eth0; ip link set eth0 up; ping -c 1 10.0.0.2'", "1 received", 0},
		{"a", "ip netns del wan && ip addr add 10.0.0.1/24 dev eth0 && ip link set eth0 up && ping -c 1 10.0.0.2", "1 received", 0},
		{"a", "ip netns add left; ip link add v0 type veth peer name v1; ip link set v1 netns left", "", 0},
	} {
		out, status := said(t, l, row.node, row.line)
		if status != row.status || !strings.Contains(out, row.want) {
			t.Errorf("on %s: %s: status %d\n%s", row.node, row.line, status, out)
		}
	}
	if len(l.namespaces()) != len(l.phys.order)+1 {
		t.Errorf("%d namespaces, want one more than the %d machines", len(l.namespaces()), len(l.phys.order))
	}
}

// A container's program is in a namespace that its number on the host leads to.
func TestNamespaceOfProcess(t *testing.T) {
	l := start(t, bridgeLab, Config{})
	for _, row := range [][2]string{
		{"nsenter -t $(pgrep -f redis) -n ip -4 -o addr show eth0", "172.19.0.2/16"},
		{"ip link add v0 type veth peer name v1; ip link set v1 netns $(pgrep -f redis) name eth7; nsenter -t $(pgrep -f redis) -n ip link show eth7", "eth7@if"},
		{"ip netns identify $(pgrep -f redis) | grep -c .", "1"},
		{"ip netns pids $(ip netns identify $(pgrep -f redis)) | grep -c $(pgrep -f redis)", "1"},
	} {
		if out, status := said(t, l, "host-a", row[0]); status != 0 || !strings.Contains(out, row[1]) {
			t.Errorf("%s: status %d\n%s", row[0], status, out)
		}
	}
}

// What is written to /etc/hosts and /etc/resolv.conf of a host or container counts at once, for tools and for programs.
func TestChangedNameFiles(t *testing.T) {
	l := start(t, bridgeLab, Config{})
	eventually(t, "the page", func() bool { // once it has found its database, the server asks for no names any more
		_, status := said(t, l, "client", "curl -s -o /dev/null http://192.168.1.2:8000/")
		return status == 0
	})
	for _, row := range []struct{ node, line, want string }{
		{"client", "echo 192.168.1.2 shop >> /etc/hosts; ping -c 1 shop", "1 received"},
		{"host-a/cat-web", "echo 172.19.0.2 store >> /etc/hosts; ping -c 1 store", "1 received"},
		{"host-a/cat-web", "ping -c 1 cat-db", "1 received"},
		{"host-a/cat-web", "echo nameserver 192.168.1.77 > /etc/resolv.conf; timeout 0.3 ping -c 1 cat-db; [ $? != 0 ] && echo lost", "lost"},
	} {
		if out, status := said(t, l, row.node, row.line); status != 0 || !strings.Contains(out, row.want) {
			t.Errorf("on %s: %s: status %d\n%s", row.node, row.line, status, out)
		}
	}
	eventually(t, "the page of the shop", func() bool {
		out, _ := said(t, l, "client", "curl -s -L http://shop:8000/; wget -qO- http://shop:8000/")
		return strings.Count(out, "</html>") == 2
	})
	web := l.MustNode("client")
	if addrs, err := web.NS().LookupHost(soon(t), "shop"); err != nil || len(addrs) != 1 {
		t.Errorf("a program of the client looks shop up: %v, %v", addrs, err)
	}
}

// kill, pkill and killall on a host end the programs of containers, and say why they cannot end others.
func TestKillOnHost(t *testing.T) {
	l := start(t, bridgeLab, Config{})
	running := func(name string) bool {
		c, err := l.Engine("host-a").Container(name)
		return err == nil && c.PID() != 0
	}
	for _, row := range []struct {
		line, want string
		status     int
		ended      string
	}{
		{"kill -0 $(pgrep -f redis) && kill $(pgrep -f redis)", "", 0, "cat-db"}, // which has a handler for SIGTERM
		{"pkill -f app.py && sleep 0.1 && pgrep -f app.py", "", 0, ""},           // the first of a namespace, without one
		{"pkill -9 -f app.py", "", 0, "cat-web"},
		{"kill 1; pgrep init", "1", 0, ""},
		{"kill $(pgrep dockerd)", "dockerd", 1, ""},
		{"kill 99999", "No such process", 1, ""},
		{"pkill -f redis", "", 1, ""},
	} {
		out, status := said(t, l, "host-a", row.line)
		if status != row.status || !strings.Contains(out, row.want) {
			ps, _ := said(t, l, "host-a", "ps aux")
			t.Errorf("%s: status %d\n%s%s", row.line, status, out, ps)
		}
		if row.ended != "" {
			eventually(t, row.ended+" has ended", func() bool { return !running(row.ended) })
		}
	}
	if out, status := said(t, l, "client", "kill 1; kill 2"); status != 1 || !strings.Contains(out, "No such process") {
		t.Errorf("on a host without an engine: status %d, %s", status, out)
	}
}
