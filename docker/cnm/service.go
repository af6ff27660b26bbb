package cnm

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync/atomic"

	"github.com/netsim-lab/netsim/lb"
	"github.com/netsim-lab/netsim/netns"
)

// firstMark is the firewall mark of the first service of a host (S2).
const firstMark = 256

// markCounter counts marks up, one for each service and network.
type markCounter struct{ given atomic.Uint32 }

func (m *markCounter) next() uint32 { return firstMark - 1 + m.given.Add(1) }

// balancedPool is a service on one network as this host balances it: its virtual address and who stands behind that.
type balancedPool struct {
	vip      netip.Addr
	mark     uint32
	ports    []PortConfig // published through the routing mesh
	backends []backend    // in the order in which they came
}

type backend struct {
	key    string
	ip     netip.Addr
	weight int // 0: no new connections (S14)
}

// poolKey is what a pool is kept by. A service whose published ports have changed has one for its old tasks and one for its new
// ones, as in libnetwork (serviceKey).
type poolKey struct {
	service, ports string
	vip            netip.Addr
}

func keyOf(s *ServiceBinding) poolKey {
	return poolKey{s.ServiceID, fmt.Sprint(s.IngressPorts), s.VIP}
}

// weight is the weight of an address: that of the latest who is there. Two may be for a while, if one who is gone without a
// goodbye had the address before. false: nobody has it.
func (p *balancedPool) weight(ip netip.Addr) (weight int, ok bool) {
	for _, b := range slices.Backward(p.backends) {
		if b.ip == ip {
			return b.weight, true
		}
	}
	return 0, false
}

func (p *balancedPool) find(key string) int {
	return slices.IndexFunc(p.backends, func(b backend) bool { return b.key == key })
}

// balanced is an endpoint of this host with what is set up for services in its sandbox. Guarded by overlay.mu.
type balanced struct {
	ep    *Endpoint
	ns    *netns.Namespace
	pools map[*balancedPool]bool // that are set up
	own   []rule                 // rules that are not of one service
	snat  bool                   // the one that all services share is among them
	vip   netip.Addr             // the address that is an alias of the interface (S8)
	mesh  *ingress               // of the sandbox of the routing mesh; nil: another
}

// balances tells whether the sandbox balances: on the network ingress only that of the routing mesh does, and today on others
// only that which is there for it.
func (b *balanced) balances() bool {
	switch n := b.ep.network; {
	case n.cfg.Ingress:
		return b.mesh != nil
	case n.balanced():
		return b.ep.Balances()
	}
	return true
}

// holds tells whether the sandbox has the virtual addresses of all services, and marks what comes in for them (S9): the containers
// have no alias then, and mark nothing.
func (b *balanced) holds() bool { return b.ep.network.balanced() && b.balances() }

// serviceDriver implements serviceBinder: it sets up the load balancing in the sandboxes and tells the other hosts of them.
type serviceDriver struct{ c *Controller }

// bind implements serviceBinder.
func (d serviceDriver) bind(ep *Endpoint, s *Sandbox) error {
	o, ok := ep.network.state().(*overlay)
	if !ok {
		return nil
	}
	b := &balanced{ep: ep, ns: s.cfg.NS, pools: make(map[*balancedPool]bool)}
	if in := o.d.mesh.Load(); in != nil && in.sandbox == s {
		b.mesh = in
	}
	if err := o.admit(b); err != nil {
		o.dismiss(ep)
		return fmt.Errorf("services of %s on network %s: %w", s.Name(), ep.network.name, err)
	}
	d.publish(ep, s, ep.cfg.Held)
	return nil
}

func (d serviceDriver) publish(ep *Endpoint, s *Sandbox, disabled bool) {
	dir := d.c.Directory()
	if dir == nil {
		return
	}
	r := Record{
		Key: ep.id, Node: d.c.cfg.Name, VTEP: d.c.VTEP(), IP: ep.ip, MAC: ep.mac, Service: ep.cfg.Service, Disabled: disabled,
	}
	if ep.named() {
		names := ep.Names()
		r.Name, r.Aliases = names[0], names[1:]
	}
	dir.Publish(ep.network.id, r)
}

// unbind implements serviceBinder.
func (d serviceDriver) unbind(ep *Endpoint, _ *Sandbox) {
	o, ok := ep.network.state().(*overlay)
	if !ok {
		return
	}
	if dir := d.c.Directory(); dir != nil {
		dir.Withdraw(ep.network.id, ep.id)
	}
	o.dismiss(ep)
}

// SetServing takes the container, if it is a task, into the load balancing and the names of its service, as it is after
// Join, or out of them. Connections that it has go on.
func (s *Sandbox) SetServing(on bool) {
	s.opMu.Lock()
	defer s.opMu.Unlock()
	for _, ep := range s.Endpoints() {
		if ep.cfg.Service != nil && ep.network.cfg.Driver == DriverOverlay {
			serviceDriver{s.c}.publish(ep, s, !on)
		}
	}
}

// admit sets up an endpoint for the services of its network.
func (o *overlay) admit(b *balanced) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.local[b.ep.id] = b
	if err := b.prepare(); err != nil {
		return err
	}
	if !b.balances() {
		return nil
	}
	var errs []error
	for _, p := range o.pools() {
		errs = append(errs, b.add(p))
	}
	return errors.Join(errs...)
}

// dismiss undoes admit.
func (o *overlay) dismiss(ep *Endpoint) {
	o.mu.Lock()
	defer o.mu.Unlock()
	b := o.local[ep.id]
	if b == nil {
		return
	}
	delete(o.local, ep.id)
	for p := range b.pools {
		o.warn("unbind", b.remove(p))
	}
	o.warn("unbind", b.clear())
}

// pools returns the services that are balanced by mark.
func (o *overlay) pools() []*balancedPool {
	var all []*balancedPool
	for _, p := range o.services {
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b *balancedPool) int { return int(a.mark) - int(b.mark) })
	return all
}

func (o *overlay) warn(what string, err error) {
	if err != nil {
		o.d.c.log.Warn("load balancing", "host", o.d.c.cfg.Name, "network", o.n.name, "what", what, "err", err)
	}
}

// balance makes the endpoint of a record stand behind its service as r says, instead of as old did. One that is about to
// go gets no new connections, today with those that it has going on (S14). The caller holds mu.
func (o *overlay) balance(old, r Record) {
	was, is := o.stands(old), backs(r)
	if was && r.Disabled && sameBackend(old, r) && o.d.c.cfg.Modern {
		o.setWeight(r, 0)
		return
	}
	if was && is && sameBackend(old, r) {
		o.setWeight(r, 1)
		return
	}
	if was {
		o.removeBackend(old)
	}
	if is {
		o.addBackend(r)
	}
}

// backs tells whether the endpoint of a record is to stand behind a virtual address.
func backs(r Record) bool {
	return r.Key != "" && !r.Disabled && r.Service != nil && r.Service.VIP.IsValid() && r.IP.IsValid()
}

func sameBackend(a, b Record) bool {
	return a.Service != nil && b.Service != nil && keyOf(a.Service) == keyOf(b.Service) && a.IP == b.IP
}

// stands tells whether the endpoint of a record stands behind a virtual address, with whatever weight.
func (o *overlay) stands(r Record) bool {
	if r.Service == nil {
		return false
	}
	p := o.services[keyOf(r.Service)]
	return p != nil && p.find(r.Key) >= 0
}

// setWeight changes the weight of a backend that is there.
func (o *overlay) setWeight(r Record, weight int) {
	p := o.services[keyOf(r.Service)]
	o.alter(p, r.IP.Addr(), func() { p.backends[p.find(r.Key)].weight = weight })
}

func (o *overlay) addBackend(r Record) {
	b := backend{r.Key, r.IP.Addr(), 1}
	key := keyOf(r.Service)
	if p := o.services[key]; p != nil {
		o.alter(p, b.ip, func() { p.backends = append(p.backends, b) })
		return
	}
	p := &balancedPool{vip: r.Service.VIP, mark: o.d.marks.next(), ports: r.Service.IngressPorts, backends: []backend{b}}
	o.services[key] = p
	for _, l := range o.local {
		if l.balances() {
			o.warn("add service", l.add(p))
		}
	}
}

// removeBackend takes an endpoint out. With the last one all that the service had goes (S5).
func (o *overlay) removeBackend(r Record) {
	key := keyOf(r.Service)
	p := o.services[key]
	if i := p.find(r.Key); len(p.backends) > 1 {
		o.alter(p, r.IP.Addr(), func() { p.backends = slices.Delete(p.backends, i, i+1) })
		return
	}
	delete(o.services, key)
	for _, l := range o.local {
		if l.pools[p] {
			o.warn("remove service", l.remove(p))
		}
	}
}

// alter changes who stands behind a service with an address, and has the sandboxes follow.
func (o *overlay) alter(p *balancedPool, ip netip.Addr, change func()) {
	was, had := p.weight(ip)
	change()
	is, has := p.weight(ip)
	if had == has && was == is {
		return
	}
	key, to := lb.Mark(p.mark), netip.AddrPortFrom(ip, 0)
	for _, l := range o.local {
		if !l.pools[p] {
			continue
		}
		switch ipvs := l.ns.IPVS(); {
		case !has:
			o.warn("remove backend", ipvs.DelDestination(key, to))
		case !had:
			o.warn("add backend", ipvs.AddDestination(key, to, is))
		default:
			o.warn("weigh backend", ipvs.EditDestination(key, to, is))
		}
	}
}
