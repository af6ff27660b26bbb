package cnm

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/netsim-lab/netsim/dns"
	"github.com/netsim-lab/netsim/netns"
)

// SandboxConfig says for which container a sandbox is.
type SandboxConfig struct {
	ID         string           // the container's, 64 hex digits
	Name       string           // of the container or task
	Hostname   string           // empty: the first 12 digits of the id, with UseHost the host's name
	NS         *netns.Namespace // made, run and ended by the caller; nil with UseHost: the host's
	Domainname string           // empty: none
	DNS        []netip.Addr     // the name servers that the user chose; empty: the host's
	DNSSearch  []string         // nil: the host's; "." alone: none
	DNSOptions []string         // nil: the host's
	ExtraHosts []dns.HostsLine  // at the end of /etc/hosts
	// Links returns the lines of /etc/hosts for the containers that this one is linked with, each time it is read; nil:
	// there are none.
	Links   func() []dns.HostsLine
	Ports   []PortBinding // published by the endpoint that leads out
	UseHost bool          // the container shares the host's namespace
	None    bool          // the container is to have no network, until it is taken off none

	balances bool // it is no container's but the host's balancer of a network (S9)
}

// Sandbox is the network of one container. Its accessors are safe to call at once, and while it changes.
type Sandbox struct {
	c      *Controller
	id     string
	cfg    SandboxConfig
	client *dns.Client
	name   atomic.Pointer[string]
	zones  atomic.Pointer[[]dns.NetworkZone] // for the resolver

	opMu   sync.Mutex    // held by what changes the sandbox, before all other locks
	wanted []PortBinding // the ports to publish, guarded by opMu

	mu        sync.Mutex
	endpoints []*Endpoint  // in the order of their interfaces, guarded by mu
	nextEth   int          // guarded by mu
	gateway   *Endpoint    // that the default route leads by, guarded by mu
	published *publication // guarded by mu; nil: no ports are
	resolver  *embedded    // guarded by mu; nil: there is none
	deleted   bool         // guarded by mu
}

// NewSandbox returns the sandbox of a container, which is on no network yet. Unless it is the host's, the namespace's
// Dial resolves names as the container does from now on.
func (c *Controller) NewSandbox(cfg SandboxConfig) (*Sandbox, error) {
	if cfg.UseHost && cfg.NS == nil {
		cfg.NS = c.cfg.Host
	}
	if cfg.ID == "" || cfg.NS == nil {
		return nil, fmt.Errorf("new sandbox %s on %s: it needs the container's id and a namespace", cfg.Name, c.cfg.Name)
	}
	switch {
	case cfg.Hostname != "":
	case cfg.UseHost:
		cfg.Hostname = c.cfg.Name
	default:
		cfg.Hostname = short(cfg.ID)
	}
	s := &Sandbox{c: c, id: c.newID(), cfg: cfg}
	s.name.Store(&cfg.Name)
	s.wanted = slices.Clone(cfg.Ports)
	s.zones.Store(new([]dns.NetworkZone))
	s.client = dns.NewClient(dns.ClientConfig{Dial: cfg.NS.Dial, Resolv: s.resolv, Hosts: s.hosts})
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sandboxes[cfg.ID] != nil {
		return nil, fail(ErrConflict, "container %s has a sandbox already", cfg.ID)
	}
	c.sandboxes[cfg.ID] = s
	if !cfg.UseHost {
		cfg.NS.SetResolver(s.client.LookupHost)
	}
	return s, nil
}

// ID returns the sandbox's own id.
func (s *Sandbox) ID() string { return s.id }

// ContainerID returns the container's id.
func (s *Sandbox) ContainerID() string { return s.cfg.ID }

// Name returns the container's name.
func (s *Sandbox) Name() string { return *s.name.Load() }

// Rename gives the container another name, on its networks too.
func (s *Sandbox) Rename(name string) {
	s.opMu.Lock()
	defer s.opMu.Unlock()
	s.name.Store(&name)
	for _, ep := range s.Endpoints() {
		s.removeNames(ep)
		s.addNames(ep)
	}
}

// Hostname returns the container's host name.
func (s *Sandbox) Hostname() string { return s.cfg.Hostname }

// NS returns the container's namespace.
func (s *Sandbox) NS() *netns.Namespace { return s.cfg.NS }

// UsesHost tells whether the sandbox is the host's namespace.
func (s *Sandbox) UsesHost() bool { return s.cfg.UseHost }

// Endpoints returns the endpoints in the order of their interfaces.
func (s *Sandbox) Endpoints() []*Endpoint {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.endpoints)
}

// Endpoint returns the endpoint on a network, given by its name or id.
func (s *Sandbox) Endpoint(network string) (*Endpoint, bool) {
	for _, ep := range s.Endpoints() {
		if ep.network.name == network || ep.network.id == network {
			return ep, true
		}
	}
	return nil, false
}

// Ports returns the published ports as they are on the host, in the order in which they were asked for.
func (s *Sandbox) Ports() []PortBinding {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.published == nil {
		return nil
	}
	return s.published.bindings()
}

// Delete takes the container off all networks and gives back its addresses, rules and ports. What fails does not stop
// it. Deleting twice is nothing. The namespace stays the caller's.
func (s *Sandbox) Delete() error {
	s.opMu.Lock()
	defer s.opMu.Unlock()
	s.mu.Lock()
	if s.deleted {
		s.mu.Unlock()
		return nil
	}
	s.deleted = true
	s.mu.Unlock()
	err := s.leaveAll(s.Endpoints())
	if e := s.stopResolver(); err == nil {
		err = e
	}
	s.c.mu.Lock()
	delete(s.c.sandboxes, s.cfg.ID)
	s.c.mu.Unlock()
	return err
}

// LookupHost resolves a name as the container's C library does: /etc/hosts, then the servers of /etc/resolv.conf.
func (s *Sandbox) LookupHost(ctx context.Context, name string) ([]netip.Addr, error) {
	return s.client.LookupHost(ctx, name)
}

// Resolver returns the container's stub resolver, for reverse lookups and single queries.
func (s *Sandbox) Resolver() *dns.Client { return s.client }

// Hosts returns the text of the container's /etc/hosts (D5).
func (s *Sandbox) Hosts() string { return s.hosts().String() }

// ResolvConf returns the text of the container's /etc/resolv.conf (D2, D3).
func (s *Sandbox) ResolvConf() string { return s.resolv().String() }

// hosts makes the /etc/hosts: the host name has the address of each network that is not hidden.
func (s *Sandbox) hosts() *dns.Hosts {
	var addrs []netip.Addr
	for _, ep := range s.Endpoints() {
		if ep.hasInterface() && ep.ip.IsValid() && !ep.isGateway() && !ep.network.cfg.Ingress {
			addrs = append(addrs, ep.IP())
		}
	}
	h := dns.ContainerHosts(s.cfg.Hostname, addrs, nil)
	if domain := s.cfg.Domainname; domain != "" {
		for i := len(h.Lines) - len(addrs); i < len(h.Lines); i++ {
			h.Lines[i].Names = []string{s.cfg.Hostname + "." + domain, s.cfg.Hostname}
		}
	}
	if s.cfg.Links != nil {
		h.Lines = append(h.Lines, s.cfg.Links()...)
	}
	h.Lines = append(h.Lines, s.cfg.ExtraHosts...)
	return h
}

// resolv makes the /etc/resolv.conf: the host's for the host's namespace, with the embedded resolver in place of the
// servers where there is one, else with the servers that the user chose or those of the host that can be reached.
func (s *Sandbox) resolv() dns.ResolvConf {
	conf := s.c.resolv()
	if s.cfg.UseHost {
		return conf
	}
	switch {
	case s.cfg.DNSSearch == nil:
	case slices.Equal(s.cfg.DNSSearch, []string{"."}):
		conf.Search = nil
	default:
		conf.Search = slices.Clone(s.cfg.DNSSearch)
	}
	if s.cfg.DNSOptions != nil {
		conf.Options = slices.Clone(s.cfg.DNSOptions)
	}
	s.mu.Lock()
	embedded := s.resolver != nil
	s.mu.Unlock()
	switch {
	case embedded:
		return conf.ForEmbedded()
	case len(s.cfg.DNS) > 0:
		conf.Nameservers = slices.Clone(s.cfg.DNS)
		return conf
	}
	return conf.ForDefaultBridge()
}

// resolv is the host's /etc/resolv.conf.
func (c *Controller) resolv() dns.ResolvConf {
	conf := dns.ResolvConf{Search: slices.Clone(c.cfg.Search)}
	for _, server := range c.cfg.Nameservers {
		conf.Nameservers = append(conf.Nameservers, server.Addr())
	}
	return conf
}
