package cnm_test

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/netsim-lab/netsim/docker/cnm"
	"github.com/netsim-lab/netsim/docker/ipam"
)

// cluster is what a test needs of a swarm of 2017: it gives networks their subnets and numbers, services and tasks their addresses,
// and spreads tasks over the hosts, all of it at once. It is used by one goroutine, but for the directory.
type cluster struct {
	records  bulletin
	pools    *ipam.Allocator
	networks []*clusterNetwork
	hosts    []*swarmHost
	services []*clusterService
	ids      int
}

type clusterNetwork struct {
	cnm.NetworkConfig
	pool *ipam.Pool
	on   map[*swarmHost]int // users
}

type networkSpec struct {
	Name       string
	Attachable bool
	Options    map[string]string
}

type serviceSpec struct {
	Name, Host string // Host: where all tasks go; empty: by turns
	Networks   []networkTarget
	Replicas   *int // nil: 1
	DNSRR      bool
	Ports      []portSpec
	Listen     []string // ports that tasks answer on, beside 80
}

type networkTarget struct {
	Network string
	Aliases []string
}

type portSpec struct {
	Proto             string
	Published, Target uint16
	Host              bool
}

type clusterService struct {
	serviceSpec
	id    string
	nets  []serviceNetwork
	tasks []*clusterTask // by slot
}

type serviceNetwork struct {
	*clusterNetwork
	aliases []string
	vip     netip.Addr
}

type clusterTask struct {
	name, key string // web.1.id, web.1
	host      *swarmHost
	listen    []string
	places    []place
	end       func() error
}

// place is an address on a network.
type place struct {
	network *clusterNetwork
	ip      netip.Addr
	ep      cnm.EndpointConfig
}

func newCluster() *cluster {
	c := &cluster{pools: ipam.New(ipam.Global()...)}
	if _, err := c.create(networkSpec{Name: cnm.NetworkIngress}, netip.MustParsePrefix("10.255.0.0/16")); err != nil {
		panic(err) // in a test, and never
	}
	return c
}

func (c *cluster) newID(what string) string {
	c.ids++
	return fmt.Sprintf("%s%022d", what, c.ids)
}

// create makes a network; a zero subnet is the next free one.
func (c *cluster) create(spec networkSpec, subnet netip.Prefix) (*clusterNetwork, error) {
	pool, err := c.pools.RequestPool(subnet, nil)
	if err != nil {
		return nil, err
	}
	n := &clusterNetwork{pool: pool, on: map[*swarmHost]int{}}
	n.NetworkConfig = cnm.NetworkConfig{
		Name: spec.Name, Driver: cnm.DriverOverlay, Subnet: pool.Subnet(), Attachable: spec.Attachable, Ingress: spec.Name == cnm.NetworkIngress,
		Options: maps.Clone(spec.Options), ID: c.newID("net"), VNI: uint32(256 + len(c.networks)), // O1
	}
	if n.Gateway, err = pool.Request(netip.Addr{}); err != nil {
		return nil, err
	}
	c.networks = append(c.networks, n)
	return n, nil
}

func (c *cluster) find(name string) *clusterNetwork {
	i := slices.IndexFunc(c.networks, func(n *clusterNetwork) bool { return n.Name == name })
	if i < 0 {
		panic("no network " + name)
	}
	return c.networks[i]
}

// enter counts a user of a network on a host; the first makes it known there (O4).
func (n *clusterNetwork) enter(h *swarmHost) error {
	if n.on[h]++; n.on[h] > 1 || n.Ingress {
		return nil
	}
	_, err := h.ctl.CreateNetwork(n.NetworkConfig)
	return err
}

func (n *clusterNetwork) exit(h *swarmHost) error {
	if n.on[h]--; n.on[h] > 0 || n.Ingress {
		return nil
	}
	return h.ctl.RemoveNetwork(n.ID)
}

// place takes an address.
func (n *clusterNetwork) place() (place, error) {
	ip, err := n.pool.Request(netip.Addr{})
	return place{n, ip, cnm.EndpointConfig{Network: n.ID, IP: ip}}, err
}

// add makes a host a node, with an address on ingress.
func (c *cluster) add(ctx context.Context, h *swarmHost) error {
	p, err := c.find(cnm.NetworkIngress).place()
	if err != nil {
		return err
	}
	c.hosts = append(c.hosts, h)
	return h.ctl.JoinIngress(ctx, p.network.NetworkConfig, p.ip)
}

// start makes a service with its tasks.
func (c *cluster) start(ctx context.Context, spec serviceSpec) (*clusterService, error) {
	s := &clusterService{serviceSpec: spec, id: c.newID("svc")}
	if slices.ContainsFunc(spec.Ports, func(p portSpec) bool { return !p.Host }) {
		s.nets = append(s.nets, serviceNetwork{clusterNetwork: c.find(cnm.NetworkIngress)})
	}
	for _, t := range spec.Networks {
		s.nets = append(s.nets, serviceNetwork{clusterNetwork: c.find(t.Network), aliases: t.Aliases})
	}
	for i := range s.nets {
		if spec.DNSRR {
			break
		}
		p, err := s.nets[i].place()
		if err != nil {
			return nil, err
		}
		s.nets[i].vip = p.ip // S1
	}
	c.services = append(c.services, s)
	want := 1
	if spec.Replicas != nil {
		want = *spec.Replicas
	}
	return s, c.scale(ctx, s, want)
}

// scale starts tasks that are missing and ends those that are too many.
func (c *cluster) scale(ctx context.Context, s *clusterService, want int) error {
	var fresh []*clusterTask
	for slot := len(s.tasks) + 1; slot <= want; slot++ {
		t, err := c.newTask(s, slot)
		if err != nil {
			return err
		}
		fresh = append(fresh, t)
	}
	s.tasks = append(s.tasks, fresh...)
	for _, t := range fresh {
		if err := t.run(ctx); err != nil {
			return err
		}
	}
	for len(s.tasks) > want {
		t := s.tasks[len(s.tasks)-1]
		s.tasks = s.tasks[:len(s.tasks)-1]
		if err := t.stop(); err != nil {
			return err
		}
	}
	return nil
}

func (c *cluster) newTask(s *clusterService, slot int) (*clusterTask, error) {
	t := &clusterTask{key: fmt.Sprintf("%s.%d", s.Name, slot), host: c.hosts[(slot-1)%len(c.hosts)], listen: append([]string{"80"}, s.Listen...)}
	for _, h := range c.hosts {
		if h.name == s.Host {
			t.host = h
		}
	}
	t.name = t.key + "." + c.newID("tsk")
	for _, n := range s.nets {
		p, err := n.place()
		if err != nil {
			return nil, err
		}
		p.ep.Service = &cnm.ServiceBinding{ServiceID: s.id, ServiceName: s.Name, VIP: n.vip, Aliases: n.aliases, TaskName: t.name}
		for _, port := range s.Ports {
			proto := port.Proto
			if proto == "" {
				proto = "tcp"
			}
			if !port.Host && n.Ingress {
				p.ep.Service.IngressPorts = append(p.ep.Service.IngressPorts, cnm.PortConfig{Proto: proto, Published: port.Published, Target: port.Target})
			} else if port.Host && len(t.places) == 0 {
				p.ep.Ports = append(p.ep.Ports, cnm.PortBinding{Proto: proto, HostPort: port.Published, ContainerPort: port.Target})
			}
		}
		t.places = append(t.places, p)
	}
	return t, nil
}

// run starts the container of a task: a web server on port 80, and on others.
func (t *clusterTask) run(ctx context.Context) error {
	var eps []cnm.EndpointConfig
	for _, p := range t.places {
		if err := p.network.enter(t.host); err != nil {
			return err
		}
		eps = append(eps, p.ep)
	}
	s, end, err := t.host.container(ctx, t.name, eps...)
	if err != nil {
		return err
	}
	t.end = end
	for _, port := range t.listen {
		if err := t.host.serve(s.NS(), port, t.key); err != nil {
			return err
		}
	}
	t.host.tasks[t.key] = s
	return nil
}

func (t *clusterTask) stop() error {
	delete(t.host.tasks, t.key)
	if err := t.end(); err != nil {
		return err
	}
	for _, p := range t.places {
		p.network.pool.Release(p.ip)
		if err := p.network.exit(t.host); err != nil {
			return err
		}
	}
	return nil
}

// bulletin carries records between the hosts, in one order for all.
type bulletin struct {
	mu     sync.Mutex
	topics map[string]*topic // by network, guarded by mu
}

type topic struct {
	records  []cnm.Record
	watchers []*cnm.Watcher
}

func (b *bulletin) change(network string, f func(t *topic)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.topics == nil {
		b.topics = map[string]*topic{}
	}
	if b.topics[network] == nil {
		b.topics[network] = &topic{}
	}
	f(b.topics[network])
}

// board is the bulletin as one host sees it. It implements cnm.Directory.
type board struct {
	*bulletin
	host string
}

// Join implements cnm.Directory.
func (d board) Join(network string, w cnm.Watcher) func() {
	d.change(network, func(t *topic) {
		for _, r := range t.records {
			w.Put(r)
		}
		t.watchers = append(t.watchers, &w)
	})
	return func() {
		d.change(network, func(t *topic) {
			t.watchers = slices.DeleteFunc(t.watchers, func(o *cnm.Watcher) bool { return o == &w })
		})
	}
}

// Publish implements cnm.Directory.
func (d board) Publish(network string, r cnm.Record) {
	r.Node = d.host
	d.change(network, func(t *topic) {
		if i := slices.IndexFunc(t.records, func(o cnm.Record) bool { return o.Key == r.Key }); i >= 0 {
			t.records[i] = r
		} else {
			t.records = append(t.records, r)
		}
		for _, w := range t.watchers {
			(*w).Put(r)
		}
	})
}

// Withdraw implements cnm.Directory.
func (d board) Withdraw(network, key string) {
	d.change(network, func(t *topic) {
		i := slices.IndexFunc(t.records, func(o cnm.Record) bool { return o.Key == key })
		if i < 0 {
			return
		}
		r := t.records[i]
		t.records = slices.Delete(t.records, i, i+1)
		for _, w := range t.watchers {
			(*w).Delete(r)
		}
	})
}

// taskName returns the name of a service's first task.
func (c *cluster) taskName(service string) string {
	for _, s := range c.services {
		if strings.EqualFold(s.Name, service) {
			return s.tasks[0].name
		}
	}
	return ""
}
