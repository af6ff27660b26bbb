package shell

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"sync"
	"testing"

	"github.com/netsim-lab/netsim/netns"
)

// spaces makes namespaces for a test.
type spaces struct {
	home *netns.Namespace
	ctx  context.Context

	mu  sync.Mutex
	all map[string]*netns.Namespace // guarded by mu
	wg  sync.WaitGroup
}

func spacesFor(t testing.TB, home *netns.Namespace) *spaces {
	ctx, cancel := context.WithCancel(context.Background())
	s := &spaces{home: home, ctx: ctx, all: map[string]*netns.Namespace{}}
	t.Cleanup(func() { cancel(); s.wg.Wait() })
	return s
}

func (s *spaces) Add(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all[name] != nil {
		return fs.ErrExist
	}
	ns := netns.New(netns.Config{Name: "node1/" + name})
	s.all[name] = ns
	s.wg.Go(func() { _ = ns.Run(s.ctx) })
	return nil
}

func (s *spaces) Delete(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	ns := s.all[name]
	if ns == nil {
		return fmt.Errorf("delete %s: %w", name, fs.ErrNotExist)
	}
	delete(s.all, name)
	return ns.Dissolve(s.home)
}

func (s *spaces) All() map[string]*netns.Namespace {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.all)
}

func (s *spaces) Enter(*netns.Namespace) func() { return func() {} }

// Namespaces by hand: made, wired to a bridge, entered, deleted, and what is said when that cannot be. The texts and
// statuses are those of iproute2.
func TestIPNetns(t *testing.T) {
	b := newBench(t)
	b.host.Namespaces = spacesFor(b, b.host.NS)
	b.host.Processes = func() []Process { return []Process{{PID: 1, Command: "/sbin/init"}, {PID: 77, Command: "web"}} }
	b.host.ProcessNS = func(pid int) (*netns.Namespace, bool) {
		ns, ok := map[int]*netns.Namespace{1: b.host.NS, 77: b.c1.NS}[pid]
		return ns, ok
	}
	b.each(b.host, []says{
		{"ip netns add red", "", 0},
		{"ip netns", "1-abc\nred", 0},
		{"ip -j netns", `[{"name":"1-abc"},{"name":"red"}] `, 0},
		{"ls /var/run/netns /var/run/docker/netns", "***red***1-abc", 0},
		{"ip netns add red", `Cannot create namespace file "/var/run/netns/red": File exists`, 1},
		{"ip netns add 1-abc", `Cannot create namespace file "/var/run/netns/1-abc": File exists`, 1},
		{"ip netns add", "No netns name specified", 1},
		{"ip netns add a/b", `Invalid netns name "a/b"`, 255},
		{"ip netns del nope", `Cannot remove namespace file "/var/run/netns/nope": No such file or directory`, 1},
		{"ip netns del 1-abc", `Cannot remove namespace file "/var/run/netns/1-abc": Permission denied`, 1},
		{"ip netns del", "No netns name specified", 1},
		{"ip netns exec", "No netns name specified", 1},
		{"ip netns exec red", "No command specified", 1},
		{"ip netns exec nope ls", `Cannot open network namespace "nope": No such file or directory`, 255},
		{"ip netns exec red nosuchcmd", `exec of "nosuchcmd" failed: No such file or directory`, 1},
		{"ip netns frob", `Command "frob" is unknown, try "ip netns help".`, 255},
		{"ip netns help 2>&1 | head -1", "Usage:\tip netns list", 0},
		{"ip netns pids nope", "Cannot open network namespace: No such file or directory", 1},

		{"ip link add v0 type veth peer name v1 && ip link show v1", "#: v1@v0: <BROADCAST,MULTICAST> mtu 1500 qdisc noqueue state DOWN mode DEFAULT group default\n    link/ether * brd ff:ff:ff:ff:ff:ff", 0},
		{"ip addr add 10.0.0.9/24 dev v1; ip link set v1 netns red up", "", 0},
		{"ip -n red -br addr show v1", "v1@if*", 0},
		{"ip link show v1", `Device "v1" does not exist.`, 1},
		{"ip link show v0", "#: v0@if*: <*\n    link/ether * link-netnsid 0", 0},
		{"ip link set v0 netns red name lo", "RTNETLINK answers: File exists", 2},
		{"ip link set lo netns red", "RTNETLINK answers: Invalid argument", 2},
		{"ip link set docker0 netns red", "RTNETLINK answers: Invalid argument", 2},
		{"ip link add v0.5 link v0 type vlan id 5 && ip link set v0 netns red", "Error: v0.5 on top of v0 would not follow it here: delete first and add again later.", 2},
		{"ip link set v0 down; ip link set v0 name v9", "Error: v0.5 on top of v0 would not follow it here: delete first and add again later.", 2},
		{"ip link del v0.5", "", 0},
		{"ip link set nope netns red", `Cannot find device "nope"`, 1},
		{"ip link set v0 netns nope", `Error: argument "nope" is wrong: Invalid "netns" value`, 255},
		{"ip link set v0 netns", `Command line is not complete. Try option "help"`, 255},
		{"ip link set v0 name a/b", `Error: argument "a/b" is wrong: "name" not a valid ifname`, 255},
		{"ip link set docker0 name br9", "RTNETLINK answers: Device or resource busy", 2},
		{"ip netns exec red sh -c 'ip addr add 172.17.0.50/16 dev v1; ip link set lo up; ip route add default via 172.17.0.1'", "", 0},
		{"brctl addif docker0 v0; ip link set v0 up; ip netns exec red ping -c 1 192.168.56.1 | grep -o '1 received'", "1 received", 0},
		{"ip netns exec red cat /etc/resolv.conf | head -1", "search lab", 0},
		{"mkdir /etc/netns; mkdir /etc/netns/red; echo '10.9.9.9 odd' > /etc/netns/red/hosts; ip netns exec red getent hosts odd", "10.9.9.9 * odd", 0},
		{"getent hosts odd", "", 2},
		{"ip netns identify; ip netns identify 77; ip netns exec red ip netns identify; ip netns pids 1-abc", "\n\n1-abc\nred\n77", 0},
		{"ip netns identify 99", "Could not stat netns /proc/99/ns/net: No such file or directory", 1},
		{"nsenter -t 77 -n ip -4 -o addr show eth0 | grep -o 172.17.0.2/16", "172.17.0.2/16", 0},
		{"nsenter --net=/run/netns/red ip -br addr show v1 | grep -o 172.17.0.50", "172.17.0.50", 0},
		{"nsenter -t 99 -n ip link", "nsenter: cannot open /proc/99/ns/net: No such file or directory", 1},
		{"nsenter -n ip link", "nsenter: neither filename nor target pid supplied for ns/net", 1},
		{"nsenter -k", "nsenter: invalid option -- 'k'\nTry 'nsenter --help' for more information.", 1},

		{"ip link add p0 type veth peer name p1; ip link set p1 netns 77; nsenter -t 77 -n ip link set p1 name eth5", "", 0},
		{"ip netns exec 1-abc ip -br link show eth5", "eth5@if*", 0},
		{"ip netns exec 1-abc ip link set eth5 netns 1; ip -br link show eth5", "eth5@p0 *", 0},
		{"ip netns add blue; ip -all netns exec sh -c 'ls /sys/class/net | wc -l'", "\n\nnetns: 1-abc\n2\n\nnetns: blue\n1\n\nnetns: red\n2", 0},
		{"ip netns del red; ip link show v0", `Device "v0" does not exist.`, 1},
		{"ip -all netns del; ip netns; ls /var/run/netns", "1-abc\n*/var/run/netns*No such file or directory", 2},
	})
	b.expect(b.c1, "ip netns add red", "mount --make-shared /var/run/netns failed: Operation not permitted", 1)
}
