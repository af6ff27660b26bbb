package bench

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"sync"

	"github.com/netsim-lab/netsim/docker/cnm"
	"github.com/netsim-lab/netsim/l2switch"
	"github.com/netsim-lab/netsim/netns"
)

// mesh makes two hosts of a swarm on a switch, a service with its one task on the second, and a machine outside. What that sends to
// the first host's published port goes to the sandbox of the routing mesh there, is balanced by IPVS, crosses VXLAN on the simulated
// underlay, and reaches the task. Docker's own networks are built, by package cnm.
func (r *rig) mesh() (from, to *netns.Namespace) {
	sw := l2switch.New(l2switch.Config{Name: "tor"})
	from = r.onSwitch(sw, "o", outside, false)
	d := &directory{}
	ingress := cnm.NetworkConfig{ID: "ingress", Name: cnm.NetworkIngress, Driver: cnm.DriverOverlay, Ingress: true, VNI: 256,
		Subnet: netip.MustParsePrefix("10.255.0.0/16"), Gateway: netip.MustParseAddr("10.255.0.1")}
	var last *cnm.Controller
	for i := range 2 {
		name, vtep := fmt.Sprintf("h%d", i), netip.AddrFrom4([4]byte{192, 168, 1, byte(2 + i)})
		host := r.onSwitch(sw, name, netip.PrefixFrom(vtep, 24).String(), true)
		if r.err != nil {
			return nil, nil
		}
		ctl, err := cnm.New(cnm.Config{Name: name, Host: host, Spawn: r.run, Seed: r.seed, VTEP: vtep, Directory: d})
		if err == nil {
			err = ctl.JoinIngress(r.ctx, ingress, netip.AddrFrom4([4]byte{10, 255, 0, byte(2 + i)}))
		}
		r.fail(err)
		last = ctl
	}
	if r.err != nil {
		return nil, nil
	}
	return from, r.task(last, ingress.ID)
}

// onSwitch makes a machine on a cable to a switch.
func (r *rig) onSwitch(sw *l2switch.Switch, name, addr string, forward bool) *netns.Namespace {
	ns, l := r.namespace(name, forward), r.wire(name)
	r.end(ns, "e0", addr, l.A())
	r.port(sw, l.B())
	return ns
}

// task makes a service's only task, whose port for streams the swarm publishes on the ingress network of that id.
func (r *rig) task(host *cnm.Controller, ingress string) *netns.Namespace {
	ns := r.namespace("task", false)
	sb, err := host.NewSandbox(cnm.SandboxConfig{ID: "task", Name: "sink.1", NS: ns})
	if r.fail(err); r.err != nil {
		return nil
	}
	port, err := strconv.ParseUint(streamPort, 10, 16)
	r.fail(err)
	r.fail(sb.Join(r.ctx, []cnm.EndpointConfig{{Network: ingress, IP: netip.MustParseAddr("10.255.0.5"), Service: &cnm.ServiceBinding{
		ServiceID: "sink", ServiceName: "sink", VIP: netip.MustParseAddr("10.255.0.4"), TaskName: "sink.1",
		IngressPorts: []cnm.PortConfig{{Proto: "tcp", Published: uint16(port), Target: uint16(port)}},
	}}}))
	return ns
}

// directory is a cnm.Directory of hosts that hear of everything at once. All networks are one to it.
type directory struct {
	mu       sync.Mutex
	records  []cnm.Record   // guarded by mu
	watchers []*cnm.Watcher // guarded by mu
}

// Join implements cnm.Directory.
func (d *directory) Join(_ string, w cnm.Watcher) (leave func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, r := range d.records {
		w.Put(r)
	}
	d.watchers = append(d.watchers, &w)
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.watchers = slices.DeleteFunc(d.watchers, func(o *cnm.Watcher) bool { return o == &w })
	}
}

// Publish implements cnm.Directory.
func (d *directory) Publish(_ string, r cnm.Record) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.records = append(slices.DeleteFunc(d.records, func(o cnm.Record) bool { return o.Key == r.Key }), r)
	for _, w := range d.watchers {
		(*w).Put(r)
	}
}

// Withdraw implements cnm.Directory.
func (d *directory) Withdraw(_, key string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	i := slices.IndexFunc(d.records, func(o cnm.Record) bool { return o.Key == key })
	if i < 0 {
		return
	}
	gone := d.records[i]
	d.records = slices.Delete(d.records, i, i+1)
	for _, w := range d.watchers {
		(*w).Delete(gone)
	}
}
