package engine

import (
	"context"
	"net/netip"
	"slices"
	"strings"

	"github.com/netsim-lab/netsim/dns"
	"github.com/netsim-lab/netsim/docker/cnm"
)

// attachment is what the swarm gave a container for one of its networks.
type attachment struct {
	network string
	release func()
}

// endpointsFor returns what the container joins, with what the swarm gives for its networks.
func (c *Container) endpointsFor(ctx context.Context, r *run) ([]cnm.EndpointConfig, error) {
	c.mu.Lock()
	eps := slices.Clone(c.endpoints)
	c.mu.Unlock()
	for i, ep := range eps {
		var err error
		// Who runs a task with an early health check has it serve once that succeeds; another would leave it held.
		ep.Held = ep.Held || c.health != nil && c.health.early && ep.Service != nil
		if eps[i], err = c.fromSwarm(ctx, r, ep); err != nil {
			return nil, err
		}
	}
	return eps, nil
}

// fromSwarm has the swarm give an endpoint on one of its networks, unless it is that of a task, which has all it needs.
func (c *Container) fromSwarm(ctx context.Context, r *run, ep cnm.EndpointConfig) (cnm.EndpointConfig, error) {
	attach := c.engine.cfg.Attach
	n, known := c.engine.Controller().Network(ep.Network)
	if attach == nil || ep.Service != nil || known && n.Driver() != cnm.DriverOverlay {
		return ep, nil
	}
	given, release, err := attach(ctx, c.id, ep)
	if err != nil || release == nil {
		return ep, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.release = append(r.release, attachment{given.Network, release})
	return given, nil
}

// giveBack gives back what the swarm gave for one network, or for all of them where the name is empty.
func (r *run) giveBack(network string) {
	var given, kept []attachment
	r.mu.Lock()
	for _, a := range r.release {
		if network == "" || a.network == network {
			given = append(given, a)
		} else {
			kept = append(kept, a)
		}
	}
	r.release = kept
	r.mu.Unlock()
	for _, a := range slices.Backward(given) {
		a.release()
	}
}

// ports returns what the container publishes (B26).
func (c *Container) ports() []cnm.PortBinding {
	ports := slices.Clone(c.cfg.Ports)
	if !c.cfg.PublishAll {
		return ports
	}
	for _, p := range c.exposed() {
		number, proto, err := ParsePort(p)
		bound := slices.ContainsFunc(ports, func(b cnm.PortBinding) bool {
			return b.ContainerPort == number && portText(number, b.Proto) == p
		})
		if err == nil && !bound {
			ports = append(ports, cnm.PortBinding{Proto: proto, ContainerPort: number})
		}
	}
	return ports
}

// exposed returns the ports that the image and the user expose, and those that are published, in their order: 80/tcp.
func (c *Container) exposed() []string {
	var all []string
	add := func(number uint16, proto string) {
		if p := portText(number, proto); !slices.Contains(all, p) {
			all = append(all, p)
		}
	}
	for _, p := range slices.Concat(c.image.ExposedPorts, c.cfg.ExposedPorts) {
		if number, proto, err := ParsePort(p); err == nil {
			add(number, proto)
		}
	}
	for _, b := range c.cfg.Ports {
		add(b.ContainerPort, b.Proto)
	}
	slices.SortFunc(all, comparePorts)
	return all
}

func comparePorts(a, b string) int {
	an, ap, _ := ParsePort(a)
	bn, bp, _ := ParsePort(b)
	if an != bn {
		return int(an) - int(bn)
	}
	return strings.Compare(ap, bp)
}

// extraHosts returns the lines of /etc/hosts that the user asked for.
func (c *Container) extraHosts() []dns.HostsLine {
	var lines []dns.HostsLine
	for _, h := range c.cfg.ExtraHosts {
		name, addr, err := parseExtraHost(h)
		if err != nil {
			continue // Create refused it
		}
		if !addr.IsValid() {
			if n, ok := c.engine.Controller().Network(cnm.NetworkBridge); ok {
				addr = n.Gateway()
			}
		}
		lines = append(lines, dns.HostsLine{Addr: addr, Names: []string{name}})
	}
	return lines
}

// link is another container under a name of its own.
type link struct {
	other *Container
	alias string
}

// parseLink reads CONTAINER:ALIAS or CONTAINER.
func parseLink(text string) (ref, alias string) {
	ref, alias, ok := strings.Cut(text, ":")
	if !ok {
		alias = ref[strings.LastIndexByte(ref, '/')+1:]
	}
	return ref, alias
}

// links resolves the container's links: those on the default bridge put variables into the environment, and all of them
// lines into /etc/hosts (D2).
func (c *Container) links(r *run) (func() []dns.HostsLine, error) {
	texts := slices.Clone(c.cfg.Links)
	c.mu.Lock()
	for _, ep := range c.endpoints {
		texts = append(texts, ep.Links...)
	}
	c.mu.Unlock()
	var all []link
	for _, text := range texts {
		ref, alias := parseLink(text)
		other, err := c.engine.Container(ref)
		if err != nil {
			return nil, fail(ErrInvalid, "could not get container for %s: %v", ref, err)
		}
		or := other.current()
		if or == nil {
			return nil, fail(ErrConflict, "Cannot link to a non running container: /%s AS /%s/%s", other.Name(), c.Name(), alias)
		}
		if c.cfg.NetworkMode == cnm.NetworkBridge {
			if ep, ok := or.sandbox.Endpoint(cnm.NetworkBridge); ok {
				r.linkEnv = append(r.linkEnv, c.linkEnv(other, alias, ep.IP())...)
			}
		}
		all = append(all, link{other, alias})
	}
	if len(all) == 0 {
		return nil, nil
	}
	return func() []dns.HostsLine { return c.linkHosts(all) }, nil
}

// linkHosts returns the lines of /etc/hosts for links with containers that run at the moment.
func (c *Container) linkHosts(all []link) []dns.HostsLine {
	r := c.current()
	var lines []dns.HostsLine
	for _, l := range all {
		or := l.other.current()
		if or == nil || r == nil {
			continue
		}
		for _, ep := range or.sandbox.Endpoints() {
			if _, shared := r.sandbox.Endpoint(ep.Network().ID()); shared && ep.IP().IsValid() {
				names := []string{l.alias}
				for _, name := range []string{l.other.id[:12], l.other.Name()} {
					if name != l.alias {
						names = append(names, name)
					}
				}
				lines = append(lines, dns.HostsLine{Addr: ep.IP(), Names: names})
			}
		}
	}
	return lines
}

// linkEnv returns the variables that a link makes: DB_PORT_6379_TCP_ADDR and the like.
func (c *Container) linkEnv(other *Container, alias string, ip netip.Addr) []string {
	prefix := strings.ToUpper(strings.ReplaceAll(alias, "-", "_"))
	var env []string
	for i, p := range other.exposed() {
		number, proto, _ := strings.Cut(p, "/")
		url := proto + "://" + ip.String() + ":" + number
		if i == 0 {
			env = append(env, prefix+"_PORT="+url)
		}
		key := prefix + "_PORT_" + number + "_" + strings.ToUpper(proto)
		env = append(env, key+"="+url, key+"_ADDR="+ip.String(), key+"_PORT="+number, key+"_PROTO="+proto)
	}
	env = append(env, prefix+"_NAME=/"+c.Name()+"/"+alias)
	for _, kv := range override(slices.Clone(other.image.Env), other.cfg.Env) {
		if !strings.HasPrefix(kv, "PATH=") && !strings.HasPrefix(kv, "HOME=") {
			env = append(env, prefix+"_ENV_"+kv)
		}
	}
	return env
}

// Network returns the network of that name or id, or whose id begins so. The error wraps ErrNotFound.
func (e *Engine) Network(ref string) (*cnm.Network, error) {
	n, ok := e.cfg.Controller.Network(ref)
	if !ok {
		return nil, fail(ErrNotFound, "network %s not found", ref)
	}
	return n, nil
}

// Networks returns the host's networks by name.
func (e *Engine) Networks() []*cnm.Network { return e.cfg.Controller.Networks() }

// CreateNetwork makes a network of this host.
func (e *Engine) CreateNetwork(cfg cnm.NetworkConfig) (*cnm.Network, error) {
	n, err := e.cfg.Controller.CreateNetwork(cfg)
	if err == nil {
		e.networkEvent("create", n, nil)
	}
	return n, err
}

// RemoveNetwork removes a network that no running container is on.
func (e *Engine) RemoveNetwork(ref string) error {
	n, err := e.Network(ref)
	if err != nil {
		return err
	}
	if err := e.cfg.Controller.RemoveNetwork(n.ID()); err != nil {
		return err
	}
	e.networkEvent("destroy", n, nil)
	return nil
}

// PruneNetworks removes the local networks that no running container is on, but those that keep holds for; nil keeps none.
// It returns the names of those that went.
func (e *Engine) PruneNetworks(keep func(*cnm.Network) bool) []string {
	var gone []string
	for _, n := range e.Networks() {
		if n.Predefined() || n.Scope() != "local" || n.Name() == cnm.NetworkGateway || keep != nil && keep(n) {
			continue
		}
		if e.RemoveNetwork(n.ID()) == nil { // one that is in use stays
			gone = append(gone, n.Name())
		}
	}
	e.publish(Event{Type: "network", Action: "prune", Attributes: map[string]string{"reclaimed": "0"}})
	return gone
}

// ConnectNetwork puts a container on one more network: at once if it runs, else when it starts.
func (e *Engine) ConnectNetwork(ctx context.Context, network, container string, ep cnm.EndpointConfig) error {
	c, err := e.Container(container)
	if err != nil {
		return err
	}
	ep.Network = network
	c.life.Lock()
	defer c.life.Unlock()
	c.mu.Lock()
	r, removed, on := c.run, c.removed, slices.Clone(c.endpoints)
	c.mu.Unlock()
	switch {
	case removed:
		return errNoContainer(container)
	case c.cfg.shares() != "":
		return e.cfg.Controller.ErrSharing()
	}
	if r == nil {
		var names []string
		for _, other := range on {
			names = append(names, other.Network)
		}
		if err := e.checkConnect(names, ep); err != nil {
			return err
		}
		c.setEndpoint(ep)
		return nil
	}
	given, err := c.fromSwarm(ctx, r, ep)
	if err != nil {
		return err
	}
	if err := r.sandbox.Connect(ctx, given); err != nil {
		if given.Network != ep.Network { // the swarm gave it
			r.giveBack(given.Network)
		}
		if r.life.Err() != nil {
			return c.errNotRunning() // it ended meanwhile
		}
		return err
	}
	c.setEndpoint(ep)
	if n, err := e.Network(given.Network); err == nil {
		c.networkEvent("connect", n)
	}
	return nil
}

// checkConnect is the controller's, for networks of the swarm that are not here yet too.
func (e *Engine) checkConnect(on []string, ep cnm.EndpointConfig) error {
	if _, err := e.Network(ep.Network); err != nil && e.cfg.Attach != nil {
		return nil // the swarm may know it when the container starts
	}
	return e.cfg.Controller.CheckConnect(on, ep)
}

// sameNetwork tells whether two names or ids are of one network.
func (e *Engine) sameNetwork(a, b string) bool {
	if a == b {
		return true
	}
	n, err := e.Network(a)
	m, err2 := e.Network(b)
	return err == nil && err2 == nil && n == m
}

// setEndpoint notes that the container is to be on a network.
func (c *Container) setEndpoint(ep cnm.EndpointConfig) {
	c.dropEndpoint(ep.Network)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.endpoints = append(c.endpoints, ep)
}

// dropEndpoint forgets that the container is to be on a network; false: it was not.
func (c *Container) dropEndpoint(network string) bool {
	c.mu.Lock()
	eps := slices.Clone(c.endpoints)
	c.mu.Unlock()
	rest := slices.DeleteFunc(slices.Clone(eps), func(ep cnm.EndpointConfig) bool { return c.engine.sameNetwork(ep.Network, network) })
	c.mu.Lock()
	defer c.mu.Unlock()
	c.endpoints = rest
	return len(rest) < len(eps)
}

// DisconnectNetwork takes a container off a network; one that does not run will not be on it when it starts. force also
// lets go of one whose endpoint cannot be taken apart.
func (e *Engine) DisconnectNetwork(_ context.Context, network, container string, force bool) error {
	n, err := e.Network(network)
	if err != nil {
		return err
	}
	c, err := e.Container(container)
	if err != nil {
		return err
	}
	c.life.Lock()
	defer c.life.Unlock()
	r := c.current()
	switch {
	case c.cfg.shares() != "":
		return e.cfg.Controller.ErrSharing()
	case r == nil:
		if !c.dropEndpoint(n.ID()) {
			return e.cfg.Controller.ErrNotConnected(c.id, n.Name())
		}
		return nil
	}
	if err := r.sandbox.Disconnect(n.ID()); err != nil {
		if _, still := r.sandbox.Endpoint(n.ID()); still || !force {
			return err
		}
	}
	c.dropEndpoint(n.ID())
	r.giveBack(n.ID())
	r.giveBack(n.Name())
	c.networkEvent("disconnect", n)
	return nil
}
