package cnm

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"syscall"
)

// Host ports that are chosen come from the kernel's range for ports of clients (B26).
const (
	firstPort = 32768
	lastPort  = 60999
	portTries = 10 // how many ports are tried that others listen on
)

// portKey is a published port of the host.
type portKey struct {
	proto string
	ip    netip.Addr
	port  uint16
}

// portTable knows which ports of the host are published. Its zero value is empty.
type portTable struct {
	mu   sync.Mutex
	used map[portKey]bool   // guarded by mu
	last map[portKey]uint16 // the last one chosen, by protocol and address, guarded by mu
}

// take takes a port, or for port 0 the next free one after the last chosen.
func (t *portTable) take(k portKey) (portKey, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.used == nil {
		t.used, t.last = make(map[portKey]bool), make(map[portKey]uint16)
	}
	if k.port != 0 {
		if t.used[k] {
			return k, fail(ErrSystem, "Bind for %s failed: port is already allocated", netip.AddrPortFrom(k.ip, k.port))
		}
		if t.overlaps(k) {
			return k, syscall.EADDRINUSE
		}
		t.used[k] = true
		return k, nil
	}
	port, ok := t.last[k]
	if !ok {
		port = lastPort
	}
	class := k
	for range lastPort - firstPort + 1 {
		if port++; port > lastPort {
			port = firstPort
		}
		if k.port = port; !t.used[k] && !t.overlaps(k) {
			t.used[k], t.last[class] = true, port
			return k, nil
		}
	}
	return k, fail(ErrSystem, "all ports are allocated")
}

// takeRange takes the first port that is free from k's up to last (B27).
func (t *portTable) takeRange(k portKey, last uint16) (portKey, error) {
	for port := k.port; port <= last && port >= k.port; port++ {
		try := k
		try.port = port
		if got, err := t.take(try); err == nil {
			return got, nil
		}
	}
	return k, fail(ErrSystem, "all ports are allocated")
}

// overlaps tells whether the port is published on all addresses, or k is for all and it is on one. The caller holds mu.
func (t *portTable) overlaps(k portKey) bool {
	if !k.ip.IsUnspecified() {
		return t.used[portKey{k.proto, netip.IPv4Unspecified(), k.port}]
	}
	for o := range t.used {
		if o.proto == k.proto && o.port == k.port {
			return true
		}
	}
	return false
}

func (t *portTable) release(k portKey) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.used, k)
}

// publication is what publishes the ports of a sandbox by one endpoint.
type publication struct {
	ep     *Endpoint
	wanted []PortBinding
	ports  []*mapping
}

// mapping is one published port of a publication.
type mapping struct {
	key     portKey
	binding PortBinding
	proxy   *proxy
	rules   []rule
}

func (p *publication) bindings() []PortBinding {
	var all []PortBinding
	for _, port := range p.ports {
		all = append(all, port.binding)
	}
	return all
}

// publish publishes the wanted ports by the endpoint that leads out; without one, or on an internal network, there are none (B7).
func (s *Sandbox) publish(gw *Endpoint) error {
	s.mu.Lock()
	now := s.published
	s.mu.Unlock()
	if now != nil {
		if now.ep == gw && slices.Equal(now.wanted, s.wanted) {
			return nil
		}
		if err := s.unpublishBy(now.ep); err != nil {
			return err
		}
	}
	if gw == nil || len(s.wanted) == 0 {
		return nil
	}
	b, ok := gw.network.state().(*bridge)
	if !ok {
		return nil
	}
	p := &publication{ep: gw, wanted: slices.Clone(s.wanted)}
	for _, w := range s.wanted {
		port, err := s.c.bridges.publishPort(gw, b, w)
		if err != nil {
			err = errors.Join(fail(kindOf(err), "driver failed programming external connectivity on endpoint %s (%s): %v", gw.EndpointName(), gw.id, err), s.c.bridges.revoke(p))
			return err
		}
		p.ports = append(p.ports, port)
	}
	s.mu.Lock()
	s.published = p
	s.mu.Unlock()
	return nil
}

// kindOf returns the kind of an error of Docker's.
func kindOf(err error) error {
	for _, kind := range []error{ErrNotFound, ErrConflict, ErrInvalid, ErrForbidden} {
		if errors.Is(err, kind) {
			return kind
		}
	}
	return ErrSystem
}

// unpublishBy takes back what is published by an endpoint.
func (s *Sandbox) unpublishBy(ep *Endpoint) error {
	s.mu.Lock()
	p := s.published
	if p == nil || p.ep != ep {
		s.mu.Unlock()
		return nil
	}
	s.published = nil
	s.mu.Unlock()
	return s.c.bridges.revoke(p)
}

// publishPort publishes one port. One that may be chosen is another one if somebody listens there.
func (d *bridgeDriver) publishPort(ep *Endpoint, b *bridge, w PortBinding) (*mapping, error) {
	if w.Proto == "" {
		w.Proto = "tcp"
	}
	if w.Proto != "tcp" && w.Proto != "udp" || w.ContainerPort == 0 {
		return nil, fail(ErrInvalid, "invalid port binding %d/%s: it takes a port and tcp or udp", w.ContainerPort, w.Proto)
	}
	if !w.HostIP.IsValid() {
		w.HostIP = b.opts.hostBinding
	}
	if w.HostPortEnd != 0 && (w.HostPort == 0 || w.HostPortEnd < w.HostPort) {
		return nil, fail(ErrInvalid, "invalid range of host ports %d-%d", w.HostPort, w.HostPortEnd)
	}
	if b.opts.mode == gatewayRouted { // who has a route gets to the container's own address; the host has no part in it
		w.HostPort, w.HostPortEnd = 0, 0
		p := &mapping{binding: w, rules: mappingRules(ep, b, w)}
		return p, addRules(d.nf, p.rules)
	}
	var err error
	for range portTries {
		var p *mapping
		if p, err = d.tryPort(ep, b, w); err == nil || !errors.Is(err, syscall.EADDRINUSE) {
			return p, err
		}
		var used *portInUse
		switch {
		case w.HostPort == 0:
		case !errors.As(err, &used) || used.port >= w.HostPortEnd:
			return nil, err
		default:
			w.HostPort = used.port + 1
		}
	}
	return nil, err
}

func (d *bridgeDriver) tryPort(ep *Endpoint, b *bridge, w PortBinding) (*mapping, error) {
	target := netip.AddrPortFrom(ep.IP(), w.ContainerPort)
	want := portKey{w.Proto, w.HostIP, w.HostPort}
	key, err := want, error(nil)
	if w.HostPortEnd > w.HostPort {
		key, err = d.c.ports.takeRange(want, w.HostPortEnd)
	} else {
		key, err = d.c.ports.take(want)
	}
	if errors.Is(err, syscall.EADDRINUSE) {
		err = d.c.errPortInUse(w.Proto, netip.AddrPortFrom(w.HostIP, w.HostPort), target)
	}
	if err != nil {
		return nil, err
	}
	w.HostPort, w.HostPortEnd = key.port, 0
	p := &mapping{key: key, binding: w, rules: mappingRules(ep, b, w)}
	if p.proxy, err = d.c.newProxy(w.Proto, netip.AddrPortFrom(w.HostIP, w.HostPort), target); err != nil {
		d.c.ports.release(key)
		return nil, err
	}
	if err := addRules(d.nf, p.rules); err != nil {
		p.proxy.close()
		d.c.ports.release(key)
		return nil, err
	}
	return p, nil
}

func (d *bridgeDriver) revoke(p *publication) error {
	var errs []error
	for _, port := range slices.Backward(p.ports) {
		errs = append(errs, deleteRules(d.nf, port.rules))
		if port.proxy != nil {
			port.proxy.close()
			d.c.ports.release(port.key)
		}
	}
	p.ports = nil
	return errors.Join(errs...)
}

// mappingRules are the rules of a published port (B14, B16).
func mappingRules(ep *Endpoint, b *bridge, w PortBinding) []rule {
	open := rule{table: "filter", chain: chainDocker, spec: fmt.Sprintf("-d %s ! -i %s -o %s -p %s --dport %d -j ACCEPT",
		ep.IP(), b.name, b.name, w.Proto, w.ContainerPort), insert: ep.network.c.cfg.Modern}
	if b.opts.mode == gatewayRouted {
		return []rule{open}
	}
	ip, in, dst := ep.IP(), "! -i "+b.name+" ", ""
	if ep.network.c.cfg.NoUserlandProxy {
		in = "" // a container gets to its own port, too
	}
	if !w.HostIP.IsUnspecified() {
		dst = fmt.Sprintf("-d %s ", w.HostIP)
	}
	rules := []rule{
		{table: "nat", chain: chainDocker, spec: fmt.Sprintf("%s%s-p %s --dport %d -j DNAT --to-destination %s:%d",
			dst, in, w.Proto, w.HostPort, ip, w.ContainerPort)},
		open,
		{table: "nat", chain: "POSTROUTING", spec: fmt.Sprintf("-s %s -d %s -p %s --dport %d -j MASQUERADE",
			ip, ip, w.Proto, w.ContainerPort)},
	}
	if w.HostIP.IsLoopback() && ep.network.c.cfg.Modern { // B20
		rules = append(rules, rule{table: "raw", chain: "PREROUTING", spec: fmt.Sprintf("-d %s ! -i lo -p %s --dport %d -j DROP", w.HostIP, w.Proto, w.HostPort)})
	}
	return rules
}
