package cnm

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/netsim-lab/netsim/dns"
	"github.com/netsim-lab/netsim/netns"
	"github.com/netsim-lab/netsim/vxlan"
)

// overlayDriver makes networks that span hosts: on each host that takes part a namespace with a bridge, a VXLAN tunnel to
// the other hosts and a veth pair for each endpoint (O5).
type overlayDriver struct {
	c     *Controller
	marks markCounter
	mesh  atomic.Pointer[ingress] // nil: the host takes no part in the routing mesh

	mu     sync.Mutex
	vtep   *vxlan.VTEP   // guarded by mu; nil while no network needs it
	tunnel *netns.Tunnel // guarded by mu
	users  int           // guarded by mu; networks that use the tunnel
}

// overlay is what the driver keeps with a network. It is built with the first endpoint on this host and taken down with
// the last (O4).
type overlay struct {
	d    *overlayDriver
	n    *Network
	zone *dns.SharedZone

	life     sync.Mutex // held while it is built or taken down and while endpoints join or leave, before mu
	users    int        // guarded by life
	nextVeth int        // guarded by life
	running  *task      // guarded by life
	bridge   *netns.Interface
	leave    func() // guarded by life; ends what Directory.Join began

	mu       sync.Mutex
	watcher  *overlayWatcher           // guarded by mu; nil: the overlay is not built
	tunnel   *netns.Interface          // vxlan0, guarded by mu
	device   *vxlan.Device             // behind it, guarded by mu
	records  map[string]Record         // by key, guarded by mu
	secured  map[string]netip.Addr     // where the records of an encrypted network lead, by key, guarded by mu
	local    map[string]*balanced      // endpoints of this host by id, guarded by mu
	services map[poolKey]*balancedPool // guarded by mu
}

// createNetwork implements driver. Nothing is built yet.
func (d *overlayDriver) createNetwork(n *Network) error {
	if n.cfg.VNI == 0 || n.cfg.VNI > vxlan.MaxVNI {
		return fail(ErrInvalid, "network %s: the swarm gave the overlay no usable VXLAN id (%d)", n.name, n.cfg.VNI)
	}
	n.setState(&overlay{
		d: d, n: n, zone: d.c.Zone(n),
		records: make(map[string]Record), secured: make(map[string]netip.Addr), local: make(map[string]*balanced), services: make(map[poolKey]*balancedPool),
	})
	return nil
}

// deleteNetwork implements driver. The last endpoint took all there was with it.
func (d *overlayDriver) deleteNetwork(*Network) error { return nil }

// join implements driver.
func (d *overlayDriver) join(ep *Endpoint, s *Sandbox) (joinInfo, error) {
	o, ok := ep.network.state().(*overlay)
	if !ok {
		return joinInfo{}, d.c.errNoNetwork(ep.network.name)
	}
	o.life.Lock()
	defer o.life.Unlock()
	if o.n.Encrypted() && !d.c.hasKeys() {
		return joinInfo{}, errNoKeys()
	}
	if o.users == 0 {
		if err := o.build(); err != nil {
			return joinInfo{}, err
		}
	}
	o.users++
	info := joinInfo{hostIfName: "veth" + strconv.Itoa(o.nextVeth)}
	o.nextVeth++
	if err := o.plug(ep, s, info.hostIfName); err != nil {
		return joinInfo{}, errors.Join(err, o.release())
	}
	return info, nil
}

// plug connects a sandbox with the bridge.
func (o *overlay) plug(ep *Endpoint, s *Sandbox, name string) error {
	mtu := o.n.MTU()
	_, out, err := o.d.c.newVeth(s.cfg.NS, netns.InterfaceConfig{Name: ep.device, MAC: ep.mac, MTU: mtu, Addr: ep.ip},
		o.bridge.Namespace(), netns.InterfaceConfig{Name: name, MTU: mtu})
	if err != nil {
		return err
	}
	if err := out.SetMaster(o.bridge); err != nil {
		return errors.Join(err, removeVeth(s.cfg.NS, ep.device, o.bridge.Namespace(), name))
	}
	return nil
}

// leave implements driver.
func (d *overlayDriver) leave(ep *Endpoint, s *Sandbox) error {
	o, ok := ep.network.state().(*overlay)
	if !ok {
		return nil
	}
	o.life.Lock()
	defer o.life.Unlock()
	if o.users == 0 {
		return nil
	}
	return errors.Join(removeVeth(s.cfg.NS, ep.device, o.bridge.Namespace(), ep.info.hostIfName), o.release())
}

// build makes the namespace with its bridge and tunnel, and has the network's records come in. The caller holds life.
func (o *overlay) build() error {
	c, n := o.d.c, o.n
	ns := netns.New(netns.Config{Name: c.cfg.Name + "/1-" + n.id[:min(len(n.id), 10)], Seed: c.cfg.Seed, Log: c.cfg.Log}) // I28
	br, err := ns.AddBridge(netns.InterfaceConfig{Name: "br0", MTU: n.MTU(), Addr: netip.PrefixFrom(n.gateway, n.subnet.Bits())})
	if err != nil {
		return errors.Join(err, ns.Close())
	}
	device, err := o.d.addDevice(n, ns.Name()+"/vxlan0")
	if err != nil {
		return errors.Join(err, ns.Close())
	}
	tunnel, err := ns.AddInterface(netns.InterfaceConfig{Name: "vxlan0", Kind: netns.KindVXLAN, MTU: n.MTU(), Port: device, Device: device})
	if err == nil {
		err = tunnel.SetMaster(br)
	}
	if err != nil {
		return errors.Join(err, ns.Close(), o.d.removeDevice(n.cfg.VNI))
	}
	o.running = c.start("overlay "+ns.Name(), ns.Run)
	o.bridge, o.nextVeth = br, 0
	w := &overlayWatcher{o}
	o.mu.Lock()
	o.watcher, o.tunnel, o.device = w, tunnel, device
	o.mu.Unlock()
	n.setSandbox(ns)
	o.leave = c.Directory().Join(n.id, w)
	return nil
}

// release counts an endpoint out; the last takes the overlay down. The caller holds life.
func (o *overlay) release() error {
	o.users--
	if o.users > 0 {
		return nil
	}
	o.leave()
	o.forgetAll()
	o.n.setSandbox(nil)
	o.running.stop()
	return o.d.removeDevice(o.n.cfg.VNI)
}

// forgetAll forgets what the other hosts told, and lets in no more.
func (o *overlay) forgetAll() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, r := range o.records {
		o.zone.RemoveOwner(ownerOf(r))
		o.leaveHost(r)
	}
	o.watcher, o.tunnel, o.device = nil, nil, nil
	clear(o.records)
	clear(o.services)
}

// addDevice adds the tunnel of a network to the host's VTEP, which the first one makes.
func (d *overlayDriver) addDevice(n *Network, name string) (*vxlan.Device, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.vtep == nil {
		t, err := d.c.cfg.Host.ListenTunnel(vxlan.Port)
		if err != nil {
			return nil, fmt.Errorf("vxlan tunnel of %s: %w", d.c.cfg.Name, err)
		}
		d.tunnel = t
		d.vtep = vxlan.New(vxlan.Config{Name: d.c.cfg.Name + "/vtep", Local: d.c.VTEP(), Transport: t})
	}
	if n.Encrypted() {
		d.vtep.SetESP(d.c.ESP())
	}
	device, err := d.vtep.Add(vxlan.DeviceConfig{VNI: n.cfg.VNI, Name: name, Proxy: true, Learning: true, MTU: n.MTU(), // O6
		Encrypted: n.Encrypted()})
	if err == nil {
		d.users++
		return device, nil
	}
	if d.users == 0 {
		err = errors.Join(err, d.closeTunnel())
	}
	return nil, err
}

// removeDevice undoes addDevice.
func (d *overlayDriver) removeDevice(vni uint32) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.vtep == nil || !d.vtep.Remove(vni) {
		return nil
	}
	if d.users--; d.users > 0 {
		return nil
	}
	return d.closeTunnel()
}

// closeTunnel gives the host's UDP port back. The caller holds mu.
func (d *overlayDriver) closeTunnel() error {
	t := d.tunnel
	d.vtep, d.tunnel = nil, nil
	t.SetReceiver(nil)
	return t.Close()
}
