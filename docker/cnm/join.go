package cnm

import (
	"cmp"
	"container/heap"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
)

// Join puts a container that starts on all its networks at once: interfaces are numbered by Docker's rule (I34),
// docker_gwbridge comes in where nothing else leads out, then come the default route, the resolver, published ports and
// services. If anything fails, all that was done is undone.
func (s *Sandbox) Join(ctx context.Context, cfgs []EndpointConfig) error {
	s.opMu.Lock()
	defer s.opMu.Unlock()
	plan, err := s.plan(cfgs)
	if err != nil {
		return err
	}
	return s.joinAll(ctx, plan)
}

// Connect puts a running container on one more network.
func (s *Sandbox) Connect(ctx context.Context, cfg EndpointConfig) error {
	s.opMu.Lock()
	defer s.opMu.Unlock()
	n, ok := s.c.Network(cfg.Network)
	if !ok {
		return s.c.errNoNetwork(cfg.Network)
	}
	if err := s.mixes(n); err != nil {
		return err
	}
	plan, err := s.plan([]EndpointConfig{cfg})
	if err != nil {
		return err
	}
	return s.joinAll(ctx, plan)
}

// mixes tells whether the container may be on n beside what it is on (H5, H6, H7).
func (s *Sandbox) mixes(n *Network) error {
	private := s.cfg.None
	for _, ep := range s.Endpoints() {
		private = private || ep.network.cfg.Driver == DriverNull
	}
	switch {
	case s.cfg.UseHost:
		return s.c.errSharing()
	case n.cfg.Driver == DriverHost:
		return s.c.errHostConnect()
	case private || n.cfg.Driver == DriverNull && len(s.Endpoints()) > 0:
		return s.c.errPrivate()
	}
	return nil
}

// Disconnect takes a running container off a network.
func (s *Sandbox) Disconnect(network string) error {
	s.opMu.Lock()
	defer s.opMu.Unlock()
	n, ok := s.c.Network(network)
	if !ok {
		return s.c.errNoNetwork(network)
	}
	if s.cfg.UseHost {
		return s.c.errHostDisconnect()
	}
	ep, ok := s.Endpoint(n.id)
	if !ok {
		return s.c.errNotConnected(s.cfg.ID, n.name)
	}
	if n.cfg.Driver == DriverNull {
		s.cfg.None = false // from now on it may be on others
	}
	err := s.leaveAll([]*Endpoint{ep})
	if gw, ok := s.Endpoint(NetworkGateway); ok && !needsGateway(s.Endpoints()) {
		err = errors.Join(err, s.leaveAll([]*Endpoint{gw}))
	}
	if _, ok := s.Endpoint(NetworkGateway); !ok && needsGateway(s.Endpoints()) {
		err = errors.Join(err, s.joinGateway())
	}
	return errors.Join(err, s.settle())
}

// step is one network to join.
type step struct {
	cfg     EndpointConfig
	network *Network
}

// plan checks all that is asked for and puts it in the order of the interfaces.
func (s *Sandbox) plan(cfgs []EndpointConfig) ([]step, error) {
	s.mu.Lock()
	gone := s.deleted
	s.mu.Unlock()
	if gone {
		return nil, fail(ErrConflict, "sandbox of container %s is deleted", s.Name())
	}
	var steps []step
	for _, cfg := range cfgs {
		n, ok := s.c.Network(cfg.Network)
		if !ok {
			return nil, s.c.errNoNetwork(cfg.Network)
		}
		if err := s.c.checkEndpoint(cfg, n); err != nil {
			return nil, err
		}
		if s.cfg.UseHost && n.cfg.Driver != DriverHost {
			return nil, s.c.errSharing()
		}
		if (n.cfg.Driver == DriverNull || s.cfg.None) && len(cfgs) > 1 {
			return nil, s.c.errPrivate()
		}
		steps = append(steps, step{cfg, n})
	}
	slices.SortStableFunc(steps, func(a, b step) int { return cmp.Compare(a.network.name, b.network.name) })
	return s.order(steps)
}

// order is the order of the interfaces: that of the array of a heap into which the networks are pushed by name, with
// docker_gwbridge pushed behind the first that has no way out (I34).
func (s *Sandbox) order(steps []step) ([]step, error) {
	_, has := s.Endpoint(NetworkGateway)
	need := !has && !s.cfg.balances && !s.leadsOut(steps)
	var h stepHeap
	for _, st := range steps {
		heap.Push(&h, st)
		if need && st.network.lacksGateway() {
			gw, err := s.c.gatewayNetwork()
			if err != nil {
				return nil, err
			}
			heap.Push(&h, step{EndpointConfig{Network: NetworkGateway}, gw})
			need = false
		}
	}
	return h, nil
}

// leadsOut tells whether one of the networks, or one that the container is on, is a way out.
func (s *Sandbox) leadsOut(steps []step) bool {
	for _, st := range steps {
		if _, plugged := st.network.driver.(pluginDriver); st.network.givesGateway() || plugged && !st.network.cfg.Internal {
			return true
		}
	}
	return slices.ContainsFunc(s.Endpoints(), func(ep *Endpoint) bool { return ep.info.gateway.IsValid() })
}

func (n *Network) givesGateway() bool {
	if u, ok := n.state().(*parentUse); ok {
		return !u.internal
	}
	return n.cfg.Driver == DriverBridge && !n.cfg.Internal
}

func (n *Network) lacksGateway() bool { return n.cfg.Driver == DriverOverlay && !n.cfg.Internal }

// needsGateway tells whether a container on these networks needs docker_gwbridge to get out.
func needsGateway(endpoints []*Endpoint) bool {
	lacks := false
	for _, ep := range endpoints {
		if ep.info.gateway.IsValid() && !ep.isGateway() {
			return false
		}
		lacks = lacks || ep.network.lacksGateway()
	}
	return lacks
}

// stepHeap orders networks as libnetwork does: docker_gwbridge last, internal ones behind others, then by name.
type stepHeap []step

func (h stepHeap) Len() int { return len(h) }

func (h stepHeap) Less(i, j int) bool { return before(h[i].network, h[j].network) }

func (h stepHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

// Push implements heap.Interface.
func (h *stepHeap) Push(x any) { *h = append(*h, x.(step)) }

// Pop implements heap.Interface.
func (h *stepHeap) Pop() any {
	last := len(*h) - 1
	x := (*h)[last]
	*h = (*h)[:last]
	return x
}

func before(a, b *Network) bool {
	rank := func(n *Network) int {
		switch {
		case n.name == NetworkGateway:
			return 2
		case n.cfg.Internal:
			return 1
		}
		return 0
	}
	return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a.name, b.name)) < 0
}

// joinAll joins networks in their order, and then does what depends on all of them.
func (s *Sandbox) joinAll(ctx context.Context, steps []step) error {
	var joined []*Endpoint
	wanted := s.wanted
	undo := func(err error) error {
		s.wanted = wanted
		if e := errors.Join(s.leaveAll(joined), s.settle()); e != nil {
			s.c.log.Warn("undo of join failed", "host", s.c.cfg.Name, "container", s.Name(), "err", e)
		}
		return err
	}
	for _, st := range steps {
		if err := ctx.Err(); err != nil {
			return undo(err)
		}
		ep, err := s.join(st)
		if err != nil {
			return undo(err)
		}
		joined = append(joined, ep)
		s.wanted = append(slices.Clip(s.wanted), st.cfg.Ports...)
	}
	if gw, ok := s.Endpoint(NetworkGateway); ok && !needsGateway(s.Endpoints()) {
		if err := s.leaveAll([]*Endpoint{gw}); err != nil {
			return undo(err)
		}
	}
	err := s.settle()
	if err == nil {
		err = s.bind(joined)
	}
	if err != nil {
		return undo(err)
	}
	return nil
}

func (s *Sandbox) joinGateway() error {
	n, err := s.c.gatewayNetwork()
	if err == nil {
		_, err = s.join(step{EndpointConfig{Network: NetworkGateway}, n})
	}
	return err
}

// join joins one network.
func (s *Sandbox) join(st step) (*Endpoint, error) {
	n := st.network
	if err := n.begin(s); err != nil {
		return nil, err
	}
	ep, err := s.newEndpoint(st)
	if err != nil {
		n.cancel(s)
		return nil, err
	}
	if ep.info, err = n.driver.join(ep, s); err == nil {
		err = s.addRoutes(ep)
		if err != nil {
			err = errors.Join(err, n.driver.leave(ep, s))
		}
	}
	if err != nil {
		s.c.releaseAddress(ep)
		n.cancel(s)
		return nil, fmt.Errorf("join network %s: %w", n.name, err)
	}
	s.mu.Lock()
	s.endpoints = append(s.endpoints, ep)
	s.mu.Unlock()
	n.finish(ep)
	if i := ep.Interface(); i != nil {
		i.AnnounceARP(ep.IP()) // I24
	}
	s.addNames(ep)
	return ep, nil
}

// newEndpoint returns an endpoint with its addresses and the name of its interface.
func (s *Sandbox) newEndpoint(st step) (*Endpoint, error) {
	ep := &Endpoint{id: s.c.newID(), network: st.network, sandbox: s, cfg: st.cfg, mac: st.cfg.MAC}
	if !ep.hasInterface() {
		return ep, nil
	}
	if err := s.c.requestAddress(ep, st.cfg.IP); err != nil {
		return nil, err
	}
	if ep.mac.IsZero() {
		ep.mac = s.c.newMAC(st.network, ep.IP())
	}
	ep.device = s.nextDevice(st.network.ifPrefix())
	return ep, nil
}

// nextDevice returns the name of the next interface: numbers go up for good, today the lowest that is free is taken (I36).
func (s *Sandbox) nextDevice(prefix string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.nextEth
	for ; ; n++ {
		name := fmt.Sprintf("%s%d", prefix, n)
		if _, taken := s.cfg.NS.Interface(name); taken {
			continue
		}
		if !s.c.cfg.Modern {
			s.nextEth = n + 1
		}
		return name
	}
}

func (s *Sandbox) addRoutes(ep *Endpoint) error {
	for _, r := range ep.info.routes {
		if err := s.cfg.NS.AddRoute(routeOf(ep, r)); err != nil {
			return err
		}
	}
	return nil
}

// bind has services take up the endpoints that joined.
func (s *Sandbox) bind(endpoints []*Endpoint) error {
	b := s.c.serviceBinder()
	if b == nil {
		return nil
	}
	for i, ep := range endpoints {
		if err := b.bind(ep, s); err != nil {
			for _, done := range endpoints[:i] {
				b.unbind(done, s)
			}
			return err
		}
	}
	return nil
}

// leaveAll takes the container off networks, the last joined first.
func (s *Sandbox) leaveAll(endpoints []*Endpoint) error {
	var errs []error
	b := s.c.serviceBinder()
	for _, ep := range slices.Backward(endpoints) {
		if b != nil {
			b.unbind(ep, s)
		}
		s.removeNames(ep)
		s.mu.Lock()
		at := slices.Index(s.endpoints, ep)
		if at >= 0 {
			s.endpoints = slices.Delete(slices.Clone(s.endpoints), at, at+1)
		}
		s.mu.Unlock()
		if at < 0 {
			continue
		}
		errs = append(errs, s.unpublishBy(ep), ep.network.driver.leave(ep, s))
		s.c.releaseAddress(ep)
		ep.network.drop(ep)
	}
	return errors.Join(errs...)
}

// settle makes what depends on all endpoints fit them: the resolver, the default route and published ports.
func (s *Sandbox) settle() error {
	if s.cfg.UseHost {
		return nil
	}
	s.updateZones()
	if err := s.startResolver(); err != nil {
		return err
	}
	gw := chooseGateway(s.Endpoints())
	s.mu.Lock()
	old := s.gateway
	s.gateway = gw
	s.mu.Unlock()
	if old != gw {
		if err := s.changeGateway(old, gw); err != nil {
			return err
		}
	}
	return s.publish(gw)
}

// chooseGateway returns the endpoint for the default route: the highest priority first, docker_gwbridge last, then by
// name (I37).
func chooseGateway(endpoints []*Endpoint) *Endpoint {
	var best *Endpoint
	for _, ep := range endpoints {
		if ep.info.gateway.IsValid() && (best == nil || preferred(ep, best)) {
			best = ep
		}
	}
	return best
}

func preferred(a, b *Endpoint) bool {
	if a.cfg.GwPriority != b.cfg.GwPriority {
		return a.cfg.GwPriority > b.cfg.GwPriority
	}
	return before(a.network, b.network)
}

// changeGateway moves the default route. That by an interface which is gone went with it.
func (s *Sandbox) changeGateway(old, gw *Endpoint) error {
	ns := s.cfg.NS
	if old != nil {
		if i := old.Interface(); i != nil {
			if err := ns.RemoveRoute(defaultRoute, i); err != nil {
				return err
			}
		}
		if err := s.unpublishBy(old); err != nil {
			return err
		}
	}
	if gw == nil {
		return nil
	}
	return ns.AddRoute(routeOf(gw, staticRoute{dst: defaultRoute, via: gw.info.gateway}))
}

var defaultRoute = netip.PrefixFrom(netip.IPv4Unspecified(), 0)
