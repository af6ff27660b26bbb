package cnm_test

import (
	"context"
	"fmt"
	"hash/fnv"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/netsim-lab/netsim/docker/cnm"
	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/l2switch"
	"github.com/netsim-lab/netsim/netns"
)

// swarmLab is a swarm of hosts on one switch, with a machine outside of it at 192.168.1.10.
type swarmLab struct {
	*cluster
	t      testing.TB
	tor    *l2switch.Switch
	ctx    context.Context
	wg     sync.WaitGroup
	hosts  []*swarmHost
	client *netns.Namespace
}

// swarmHost runs tasks as plain web servers.
type swarmHost struct {
	lab  *swarmLab
	name string
	ns   *netns.Namespace
	ctl  *cnm.Controller

	tasks map[string]*cnm.Sandbox // by service.slot
}

// newSwarmLab brings up a swarm of n hosts, host-a and so on, at 192.168.1.2 and so on.
func newSwarmLab(t testing.TB, n int) *swarmLab {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	l := &swarmLab{cluster: newCluster(), t: t, tor: l2switch.New(l2switch.Config{Name: "tor"}), ctx: ctx}
	t.Cleanup(func() {
		cancel()
		l.wg.Wait()
	})
	l.client = l.machine("client", netip.MustParsePrefix("192.168.1.10/24"))
	for i := range n {
		h := &swarmHost{lab: l, name: "host-" + string(rune('a'+i)), tasks: make(map[string]*cnm.Sandbox)}
		addr := netip.AddrFrom4([4]byte{192, 168, 1, byte(2 + i)})
		h.ns = l.machine(h.name, netip.PrefixFrom(addr, 24))
		ctl, err := cnm.New(cnm.Config{Name: h.name, Host: h.ns, Spawn: l.spawn, Seed: uint64(i), VTEP: addr, Directory: board{&l.records, h.name}})
		if err != nil {
			t.Fatal(err)
		}
		h.ctl = ctl
		l.hosts = append(l.hosts, h)
		l.must(l.add(ctx, h))
	}
	return l
}

func (l *swarmLab) spawn(run func(context.Context) error) {
	l.wg.Go(func() {
		if err := run(l.ctx); err != nil {
			l.t.Error(err)
		}
	})
}

func (l *swarmLab) machine(name string, addr netip.Prefix) *netns.Namespace {
	ns := netns.New(netns.Config{Name: name})
	inner, outer := fabric.NewVeth(name+"/eth0", "tor/"+name)
	if _, err := l.tor.AddPort(name, outer, l2switch.PortConfig{}); err != nil {
		l.t.Fatal(err)
	}
	if _, err := ns.AddInterface(netns.InterfaceConfig{Name: "eth0", Port: inner, Addr: addr}); err != nil {
		l.t.Fatal(err)
	}
	l.spawn(ns.Run)
	return ns
}

// container makes a container on networks.
func (h *swarmHost) container(ctx context.Context, name string, eps ...cnm.EndpointConfig) (*cnm.Sandbox, func() error, error) {
	own, cancel := context.WithCancel(h.lab.ctx)
	ns := netns.New(netns.Config{Name: h.name + "/" + name, Forward: true})
	done := make(chan struct{})
	h.lab.spawn(func(context.Context) error {
		defer close(done)
		return ns.Run(own)
	})
	hash := fnv.New128a()
	hash.Write([]byte(name))
	s, err := h.ctl.NewSandbox(cnm.SandboxConfig{ID: fmt.Sprintf("%064x", hash.Sum(nil)), Name: name, NS: ns})
	if err == nil {
		err = s.Join(ctx, eps)
	}
	end := func() error {
		err := s.Delete()
		cancel()
		<-done
		return err
	}
	if err != nil {
		cancel()
		return nil, nil, err
	}
	return s, end, nil
}

// serve answers HTTP and UDP on a port with the server's name and the client's address.
func (h *swarmHost) serve(ns *netns.Namespace, port, name string) error {
	ln, err := ns.Listen("tcp", ":"+port)
	if err != nil {
		return err
	}
	pc, err := ns.ListenPacket("udp", ":"+port)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		from, _, _ := net.SplitHostPort(r.RemoteAddr)
		fmt.Fprintf(w, "%s %s", name, from)
	})}
	server.SetKeepAlivesEnabled(false)
	h.lab.wg.Go(func() { server.Serve(ln) }) //nolint:errcheck // it ends with its namespace
	h.lab.wg.Go(func() {
		buf := make([]byte, 64)
		for {
			_, from, err := pc.ReadFrom(buf)
			if err != nil {
				return
			}
			host, _, _ := net.SplitHostPort(from.String())
			pc.WriteTo([]byte(name+" "+host), from) //nolint:errcheck // a datagram may be lost
		}
	})
	return nil
}

// must ends the test on an error.
func (l *swarmLab) must(err error) {
	l.t.Helper()
	if err != nil {
		l.t.Fatal(err)
	}
}

func (l *swarmLab) network(name string) *clusterNetwork {
	l.t.Helper()
	n, err := l.create(networkSpec{Name: name, Attachable: true}, netip.Prefix{})
	l.must(err)
	return n
}

// service makes a service of web servers.
func (l *swarmLab) service(spec serviceSpec) *clusterService {
	l.t.Helper()
	s, err := l.start(l.ctx, spec)
	l.must(err)
	return s
}

func (l *swarmLab) task(key string) *cnm.Sandbox {
	l.t.Helper()
	for _, h := range l.hosts {
		if s := h.tasks[key]; s != nil {
			return s
		}
	}
	l.t.Fatalf("there is no task %s", key)
	return nil
}

// reserve gives a container of a host that is no task its place on a network.
func (l *swarmLab) reserve(h *swarmHost, network string) (place, error) {
	n := l.find(network)
	p, err := n.place()
	if err == nil {
		err = n.enter(h)
	}
	return p, err
}

// attach puts a container that is no task on a network of the swarm.
func (l *swarmLab) attach(h *swarmHost, name, network string) *cnm.Sandbox {
	l.t.Helper()
	p, err := l.reserve(h, network)
	l.must(err)
	s, _, err := h.container(l.ctx, name, p.ep)
	l.must(err)
	return s
}

func overlays(names ...string) []networkTarget {
	var out []networkTarget
	for _, n := range names {
		out = append(out, networkTarget{Network: n})
	}
	return out
}

// get asks a web server from inside a namespace, with a new connection.
func get(ctx context.Context, ns *netns.Namespace, address string) (string, error) {
	tr := &http.Transport{DialContext: ns.Dial, DisableKeepAlives: true}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/", nil)
	if err != nil {
		return "", err
	}
	resp, err := tr.RoundTrip(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return string(b), err
}

// shortWait is how long to wait for what must not come.
const shortWait = 50 * time.Millisecond

// ask is get that must succeed.
func (l *swarmLab) ask(ns *netns.Namespace, address string) string {
	l.t.Helper()
	got, err := get(l.ctx, ns, address)
	if err != nil {
		l.t.Fatalf("GET %s from %s: %v", address, ns.Name(), err)
	}
	return got
}

// askUDP sends a datagram and returns the answer.
func (l *swarmLab) askUDP(ns *netns.Namespace, address string) string {
	l.t.Helper()
	c, err := ns.Dial(l.ctx, "udp", address)
	l.must(err)
	defer c.Close()
	deadline, _ := l.ctx.Deadline()
	l.must(c.SetDeadline(deadline))
	_, err = c.Write([]byte("?"))
	l.must(err)
	buf := make([]byte, 64)
	n, err := c.Read(buf)
	l.must(err)
	return string(buf[:n])
}

// lookup returns the addresses of a name in order, or nothing.
func lookup(ctx context.Context, s *cnm.Sandbox, name string) string {
	addrs, err := s.LookupHost(ctx, name)
	if err != nil {
		return ""
	}
	slices.SortFunc(addrs, netip.Addr.Compare)
	var out []string
	for _, a := range addrs {
		out = append(out, a.String())
	}
	return strings.Join(out, " ")
}
