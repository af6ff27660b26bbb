package node

import (
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	swarmapi "github.com/moby/swarmkit/v2/api"

	"github.com/netsim-lab/netsim/docker/cnm"
	"github.com/netsim-lab/netsim/lb"
	"github.com/netsim-lab/netsim/vxlan"
)

// TestCheckerTells breaks what TestChaosWhole checks, one thing after the other, and expects it to tell of each, and of nothing before and after.
func TestCheckerTells(t *testing.T) {
	if !virtual {
		virtually(t)
		return
	}
	for seed, mode := range []string{"2017", "modern"} {
		t.Run(mode, func(t *testing.T) {
			c := newWhole(t, uint64(seed))
			c.serve("web", nil)
			c.serve("names", &swarmapi.EndpointSpec{Mode: swarmapi.ResolutionModeDNSRoundRobin})
			c.settles()
			c.check()
			if t.Failed() {
				t.Fatal("it tells of faults before anything is broken")
			}
			c.breakTables()
			c.breakStore()
		})
	}
}

// serve makes a service with a task on each host.
func (c *wholeChaos) serve(name string, e *swarmapi.EndpointSpec) {
	c.Helper()
	answer, err := c.lab.hosts[0].Control().CreateService(c.within(patience), &swarmapi.CreateServiceRequest{Spec: &swarmapi.ServiceSpec{
		Annotations: swarmapi.Annotations{Name: name},
		Task: swarmapi.TaskSpec{
			Runtime:  &swarmapi.TaskSpec_Container{Container: &swarmapi.ContainerSpec{Image: "busybox", Args: []string{"sleep", "infinity"}}},
			Networks: []*swarmapi.NetworkAttachmentConfig{{Target: c.networks[0]}},
		},
		Mode: &swarmapi.ServiceSpec_Global{Global: &swarmapi.GlobalService{}}, Endpoint: e,
	}})
	if err != nil {
		c.Fatal(err)
	}
	c.acked[answer.Service.ID] = name
	c.names = append(c.names, name)
}

// witness is a test that keeps what it is told of.
type witness struct {
	testing.TB
	mu   sync.Mutex
	said []string // guarded by mu
}

// Helper, Logf, Error and Errorf are testing.TB's.
func (w *witness) Helper()             {}
func (w *witness) Logf(string, ...any) {}
func (w *witness) Error(args ...any)   { w.Errorf("%s", fmt.Sprint(args...)) }
func (w *witness) Errorf(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.said = append(w.said, fmt.Sprintf(format, args...))
}

// tells wants a check to tell of what was broken, all of which contains each of want.
func (c *wholeChaos) tells(what string, check func(), want ...string) {
	c.Helper()
	was, w := c.lab.TB, &witness{TB: c.lab.TB}
	c.lab.TB = w
	check()
	c.lab.TB = was
	said := strings.Join(w.said, "\n")
	for _, text := range want {
		if !strings.Contains(said, text) {
			c.Errorf("%s: it tells %q; want %q", what, said, text)
		}
	}
	if len(want) == 0 && said != "" {
		c.Errorf("%s: it tells %q; want nothing", what, said)
	}
}

// look compares all tables once.
func (c *wholeChaos) look() {
	t, ok := c.truth()
	if !ok {
		c.Error("there is no leader")
		return
	}
	for _, h := range c.lab.hosts {
		for _, d := range t.differences(h, c.names) {
			c.Errorf("%s", d)
		}
	}
}

// wreck is something that is broken, and mended, and what is to be told of it.
type wreck struct {
	what        string
	wreck, mend func()
	want        string
}

// breakTables makes one table of one host wrong after the other.
func (c *wholeChaos) breakTables() {
	c.Helper()
	h, other := c.lab.hosts[4], c.lab.hosts[3]
	all := slices.Concat(c.forwardingWrecks(h, other), c.balancingWrecks(h, other), c.namingWrecks(h, other))
	for _, b := range all {
		b.wreck()
		c.tells(b.what, c.look, b.want)
		b.mend()
		c.tells(b.what+", mended", c.look)
	}
	c.back = *settled + 5*time.Second
	all[0].wreck()
	c.tells("what stays away", c.settles, fmt.Sprintf("wrong for more than %v: %s", *settled, all[0].want), "tables are still wrong")
	all[0].mend()
	c.tells("what is back", c.settles)
	h.cable.SetUp(false)
	c.pause(30 * time.Second) // for the leader to see it
	c.tells("a node that is cut off", c.settles, "not all nodes have a session")
	c.back = time.Minute
	h.cable.SetUp(true)
	c.tells("a node that is back", c.settles)
}

func (c *wholeChaos) forwardingWrecks(h, other *host) []wreck {
	c.Helper()
	n, far := c.front(h), c.task(other)
	tunnel, _ := n.Sandbox().Interface("vxlan0")
	device := tunnel.Device().(*vxlan.Device)
	first := c.lab.hosts[0].addr
	return []wreck{
		{"an FDB entry is dropped",
			func() { device.Update(func(t *vxlan.Table) { t.RemoveRemote(far.ID(), far.MAC()) }) },
			func() { device.Update(func(t *vxlan.Table) { t.AddRemote(far.ID(), far.MAC(), other.addr) }) },
			fmt.Sprintf("node5: FDB of front: no %s behind %s", far.MAC(), other.addr)},
		{"an FDB entry leads elsewhere",
			func() { device.Update(func(t *vxlan.Table) { t.AddRemote("forged", far.MAC(), first) }) },
			func() { device.Update(func(t *vxlan.Table) { t.RemoveRemote("forged", far.MAC()) }) },
			fmt.Sprintf("node5: FDB of front: unwanted %s behind %s", far.MAC(), first)},
		{"a neighbour is dropped",
			func() { tunnel.RemoveNeighbour(far.IP()) }, func() { tunnel.AddNeighbour(far.IP(), far.MAC()) },
			fmt.Sprintf("node5: ip neigh of front: no %s at %s", far.IP(), far.MAC())},
	}
}

// stranger is an address that nobody has.
var stranger = netip.MustParseAddrPort("10.20.0.99:0")

func (c *wholeChaos) balancingWrecks(h, other *host) []wreck {
	c.Helper()
	ipvs, to := c.balancer(h).NS().IPVS(), netip.AddrPortFrom(c.task(other).IP(), 0)
	key, nobodys := ipvs.Services()[0].Key, lb.Mark(9999)
	do := func(err error) {
		c.Helper()
		if err != nil {
			c.Fatal(err)
		}
	}
	return []wreck{
		{"a backend too many",
			func() { do(ipvs.AddDestination(key, stranger, 1)) }, func() { do(ipvs.DelDestination(key, stranger)) }, "unwanted 10.20.0.99 weight 1"},
		{"a backend is dropped",
			func() { do(ipvs.DelDestination(key, to)) }, func() { do(ipvs.AddDestination(key, to, 1)) }, fmt.Sprintf("no %s weight 1", to.Addr())},
		{"a backend gets nothing",
			func() { do(ipvs.EditDestination(key, to, 0)) }, func() { do(ipvs.EditDestination(key, to, 1)) }, fmt.Sprintf("unwanted %s weight 0", to.Addr())},
		{"a service for which no packets are marked",
			func() { do(ipvs.AddService(nobodys, lb.RoundRobin)); do(ipvs.AddDestination(nobodys, stranger, 1)) },
			func() { do(ipvs.DelService(nobodys)) }, "no rule"},
	}
}

func (c *wholeChaos) namingWrecks(h, other *host) []wreck {
	c.Helper()
	zone, task := h.whole.engine.Controller().Zone(c.front(h)), c.task(other)
	owner := "record " + task.ID() // as cnm has it
	c.names = append(c.names, "old")
	return []wreck{
		{"a name lacks one of its addresses",
			func() { zone.Remove(owner, "tasks.web", task.IP()) }, func() { zone.Add(owner, "tasks.web", task.IP()) },
			fmt.Sprintf("tasks.web: no %s", task.IP())},
		{"a name has an address too many",
			func() { zone.Add("forged", "web", stranger.Addr()) }, func() { zone.Remove("forged", "web", stranger.Addr()) },
			fmt.Sprintf("web: unwanted %s", stranger.Addr())},
		{"a service is gone and has a name",
			func() { zone.Add("forged", "old", stranger.Addr()) }, func() { zone.Remove("forged", "old", stranger.Addr()) },
			fmt.Sprintf("old: unwanted %s", stranger.Addr())},
	}
}

// task is the place of a task of web on a host.
func (c *wholeChaos) task(h *host) *cnm.Endpoint {
	c.Helper()
	all := c.front(h).Endpoints()
	i := slices.IndexFunc(all, func(ep *cnm.Endpoint) bool { return ep.Service() != nil && ep.Service().ServiceName == "web" })
	if i < 0 {
		c.Fatalf("no task of web is on %s", h.name)
	}
	return all[i]
}

// front is the network on a host.
func (c *wholeChaos) front(h *host) *cnm.Network {
	c.Helper()
	n, ok := h.whole.engine.Controller().Network("front")
	if !ok {
		c.Fatalf("%s is not on front", h.name)
	}
	return n
}

// balancer is a sandbox of a host that balances.
func (c *wholeChaos) balancer(h *host) *cnm.Sandbox {
	c.Helper()
	all := h.whole.engine.Controller().Sandboxes()
	i := slices.IndexFunc(all, func(s *cnm.Sandbox) bool { return s.Name() != "ingress-sbox" && len(s.NS().IPVS().Services()) > 0 })
	if i < 0 {
		c.Fatalf("nothing balances on %s", h.name)
	}
	return all[i]
}

// breakStore shows the checker what managers must never say.
func (c *wholeChaos) breakStore() {
	c.Helper()
	m := c.leader(c.lab.hosts[:3]...)
	answer, err := m.Control().ListServices(c.within(patience), &swarmapi.ListServicesRequest{})
	if err != nil {
		c.Fatal(err)
	}
	services, tasks, nodes := answer.Services, c.all(m), m.nodes()
	check := func() {
		c.lost(services)
		c.addresses(services, tasks, nodes)
		c.leaders()
	}
	c.tells("what is there", check)
	running := slices.DeleteFunc(slices.Clone(tasks), func(t *swarmapi.Task) bool { return t.Status.State != swarmapi.TaskStateRunning })
	twin := running[0].Copy()
	twin.ID = "twin"
	addr := twin.Networks[0].Addresses[0]
	c.tells("two tasks of one address", func() { c.addresses(services, append(slices.Clone(tasks), twin), nodes) }, addr+" is the address of task ", "and of task twin")
	twin.Status.State = swarmapi.TaskStateShutdown
	c.tells("a task that has ended", func() { c.addresses(services, append(slices.Clone(tasks), twin), nodes) })
	squatter := nodes[0].Copy()
	squatter.ID, squatter.Attachments = "squatter", []*swarmapi.NetworkAttachment{{Addresses: []string{addr}}}
	c.tells("a node at a task's address", func() { c.addresses(services, tasks, append(slices.Clone(nodes), squatter)) }, "and of node squatter")
	c.acked["lost"] = "gone"
	c.tells("a service is lost", check, "service gone was acknowledged, and is lost")
	delete(c.acked, "lost")
	log := slog.New(c.r)
	log.Info("leader", "node", "node2", "term", uint64(1<<40))
	c.tells("a leader", check)
	log.Info("leader", "node", "node3", "term", uint64(1<<40))
	c.tells("two leaders", check, fmt.Sprintf("two leaders: [term %d: node2 and node3]", 1<<40))
}
