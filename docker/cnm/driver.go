package cnm

import (
	"net/netip"

	"github.com/netsim-lab/netsim/netns"
)

// driver builds networks of one kind. The controller makes one call per network or sandbox at a time; calls for different
// sandboxes may come at once, without any lock held that the accessors of networks, endpoints and sandboxes take.
type driver interface {
	createNetwork(n *Network) error
	deleteNetwork(n *Network) error
	// join connects ep with its sandbox: the interface is called ep.Name() and has ep.MAC(), ep.Prefix().
	join(ep *Endpoint, s *Sandbox) (joinInfo, error)
	// leave undoes join.
	leave(ep *Endpoint, s *Sandbox) error
}

// joinInfo is what a driver tells of an endpoint that it connected.
type joinInfo struct {
	hostIfName string        // the other end of the container's interface
	gateway    netip.Addr    // the way out; zero: none
	routes     []staticRoute // further routes of the container
}

// staticRoute is a route of a container by a gateway on its endpoint's network.
type staticRoute struct {
	dst netip.Prefix
	via netip.Addr // zero: on link
}

// serviceBinder does what services need beside the network itself: load balancing and names. Its calls come after an
// endpoint has joined and before it leaves, with no lock held that accessors take.
type serviceBinder interface {
	bind(ep *Endpoint, s *Sandbox) error
	unbind(ep *Endpoint, s *Sandbox)
}

// nothingDriver is that of the networks host and none: there is nothing to build.
type nothingDriver struct{}

func (nothingDriver) createNetwork(*Network) error { return nil }

func (nothingDriver) deleteNetwork(*Network) error { return nil }

func (nothingDriver) join(*Endpoint, *Sandbox) (joinInfo, error) { return joinInfo{}, nil }

func (nothingDriver) leave(*Endpoint, *Sandbox) error { return nil }

// newVeth makes a veth pair whose inner end, in a sandbox, gets an index and whose outer end gets the one after it, both
// unique on the host.
func (c *Controller) newVeth(inner *netns.Namespace, ic netns.InterfaceConfig, outer *netns.Namespace, oc netns.InterfaceConfig) (in, out *netns.Interface, err error) {
	c.indexMu.Lock()
	defer c.indexMu.Unlock()
	next := c.freeIndex()
	inner.SetNextIndex(next)
	outer.SetNextIndex(next + 1)
	if in, out, err = netns.NewVethPair(inner, ic, outer, oc); err == nil {
		c.nextIndex = max(next+2, out.Index()+1)
	}
	return in, out, err
}

// newIndex takes an interface index that is unique on the host, and makes it the next one of ns.
func (c *Controller) newIndex(ns *netns.Namespace) {
	c.indexMu.Lock()
	defer c.indexMu.Unlock()
	next := c.freeIndex()
	ns.SetNextIndex(next)
	c.nextIndex = next + 1
}

// freeIndex returns an index that no interface has. The caller holds indexMu.
func (c *Controller) freeIndex() int {
	next := c.nextIndex
	for _, i := range c.cfg.Host.Interfaces() {
		next = max(next, i.Index()+1)
	}
	return next
}

// removeVeth removes both ends of a pair; what is gone already is no error.
func removeVeth(inner *netns.Namespace, innerName string, outer *netns.Namespace, outerName string) error {
	var first error
	for _, end := range []struct {
		ns   *netns.Namespace
		name string
	}{{inner, innerName}, {outer, outerName}} {
		if _, ok := end.ns.Interface(end.name); !ok {
			continue
		}
		if err := end.ns.RemoveInterface(end.name); err != nil && first == nil {
			first = err
		}
	}
	return first
}
