package lab

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	swarmapi "github.com/moby/swarmkit/v2/api"

	"github.com/netsim-lab/netsim/docker/cnm"
	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/lab/explain"
	"github.com/netsim-lab/netsim/netns"
)

// tenantsLab is two tenants with two overlays each over three hosts. One network of red's is internal, one of blue's encrypted;
// each tenant's app is on both of its networks, ops is on one of either tenant's, red-web is published on every host. The client has
// routes to everything by host-a.
const tenantsLab = `
netsim: 1
name: tenants
fabric:
  switches: {tor: {}}
  hosts:
    host-a: {links: {tor: 192.168.1.1/24}, engine: docker}
    host-b: {links: {tor: 192.168.1.2/24}, engine: docker}
    host-c: {links: {tor: 192.168.1.3/24}, engine: docker}
    client:
      links: {tor: 192.168.1.10/24}
      routes: [{to: 10.0.0.0/8, via: 192.168.1.1}, {to: 172.16.0.0/12, via: 192.168.1.1}]
swarm: {managers: [host-a], workers: [host-b, host-c]}
networks:
  red-front: {driver: overlay, subnet: 10.1.1.0/24, attachable: true}
  red-back: {driver: overlay, subnet: 10.1.2.0/24, attachable: true, internal: true}
  blue-front: {driver: overlay, subnet: 10.2.1.0/24, attachable: true}
  blue-back: {driver: overlay, subnet: 10.2.2.0/24, attachable: true, options: {encrypted: ""}}
services:
  red-web: {image: nginx, mode: global, constraints: [node.hostname != host-c], networks: [red-front], ports: ["8000:80"]}
  red-app: {image: nginx, constraints: [node.hostname == host-c], networks: [red-front, red-back]}
  blue-web: {image: nginx, constraints: [node.hostname == host-b], networks: [blue-front]}
  blue-app: {image: nginx, constraints: [node.hostname == host-a], networks: [blue-front, blue-back]}
containers:
  red-db: {host: host-a, image: nginx, networks: [red-back]}
  blue-db: {host: host-b, image: nginx, networks: [blue-back]}
  ops: {host: host-c, image: nginx, networks: [red-front, blue-front]}
  plain-a: {host: host-a, image: nginx, ports: ["8080:80"]}
  plain-b: {host: host-b, image: nginx}
  plain-c: {host: host-c, image: nginx}
`

// tenants says what becomes of a connection from who is named first to an address of that network: a task's, a container's, a
// VIP or the gateway's. docker_gwbridge, its gateway and bridge are those of the asking host, or of host-a; sbox is the address
// of ingress-sbox there.
//
//	o  who has the address answers          s  the mesh answers          m, c  a host or the client answers, with what is published
//	d  dropped by the filter of the asking task itself (R8)              f     by that of the host, but for the mesh's port (O11, R3)
//	p  as f, but for what is published of it, too (B8)
//	n  its host has no route there (O11)                                 N     it has no route there itself
const tenants = `
          red-front red-back blue-front blue-back ingress docker_gwbridge sbox bridge host-a host-b host-c own client
red-web   o         n        n          n         d       f               f    f      m      m      m      m   c
red-app   o         o        n          n         n       f               f    f      m      m      m      m   c
red-db    N         o        N          N         N       N               N    N      N      N      N      N   N
blue-web  n         n        o          n         n       f               f    f      m      m      m      m   c
blue-app  n         n        o          o         n       f               f    f      m      m      m      m   c
blue-db   n         n        n          o         n       f               f    f      m      m      m      m   c
ops       o         n        o          n         n       f               f    f      m      m      m      m   c
plain     n         n        n          n         n       f               f    f      m      m      m      m   c
host      N         N        N          N         N       o               s    o      m      m      m      m   c
client    n         n        n          n         n       f               f    p      m      m      m      m   c
`

// tenantPorts are asked everywhere: machines serve 22, containers 80; 8000 is red-web's in the mesh, 8080 plain-a's on host-a.
var tenantPorts = []uint16{22, 80, 8000, 8080}

// asker is who connects.
type asker struct {
	row  string // of the table
	name string // host-a/red-web
	host string
	via  string // the interface by which the host gets what it forwards for it
	ns   *netns.Namespace
}

// asked is an address.
type asked struct {
	column string
	what   string // for people
	host   string // where it is; empty: everywhere
	addr   netip.Addr
	silent bool // nobody listens there: it is a gateway's, or that of ingress-sbox
}

// TestTenantIsolationMatrix asks every address of two tenants' networks, and of all that a swarm makes itself, on several ports from
// everywhere, and holds verdict, drop reason and place against the table (O5, O11, O13, S6, R1 to R8, R13, B8, X1).
func TestTenantIsolationMatrix(t *testing.T) {
	if testing.Short() {
		t.Skip("it asks 2,000 times, which takes some seconds under the race detector")
	}
	l := start(t, tenantsLab, Config{})
	if err := l.WaitConverged(soon(t)); err != nil {
		t.Fatal(err)
	}
	askers, addresses := tenantPlaces(t, l)
	limit := make(chan struct{}, 16)
	var wg sync.WaitGroup
	asks := 0
	for _, src := range askers {
		for _, dst := range addresses {
			if src.host != dst.host && slices.Contains([]string{"docker_gwbridge", "bridge", "sbox", "own"}, dst.column) {
				continue // every host has such an address of its own
			}
			for _, port := range tenantPorts {
				asks++
				limit <- struct{}{}
				wg.Go(func() {
					defer func() { <-limit }()
					rec := fabric.NewRecorder()
					defer rec.Stop()
					want := tenantsWant(src, dst, port)
					if got := tenantVerdict(rec, src.ns, netip.AddrPortFrom(dst.addr, port)); got != want {
						var story strings.Builder
						_ = l.tell(rec, explain.Config{Node: src.name, Command: "connect"}).Text(&story, explain.TextOptions{All: true})
						t.Errorf("%s to %s, %s, port %d: %s; want %s\n%s", src.name, dst.what, dst.addr, port, got, want, story.String())
					}
				})
			}
		}
	}
	wg.Wait()
	if asks < 1500 {
		t.Errorf("%d asks; want all pairs", asks)
	}
	tenantNames(t, l)
}

// tenantNames asks for every name from every container: who shares no network with a service or container does not know its name (D12).
func tenantNames(t *testing.T, l *Lab) {
	t.Helper()
	on := map[string][]string{ // what the names of a network are known by
		"red-front": {"red-web", "red-app", "ops"}, "red-back": {"red-app", "red-db"},
		"blue-front": {"blue-web", "blue-app", "ops"}, "blue-back": {"blue-app", "blue-db"},
	}
	for _, n := range l.Nodes() {
		if n.Container() == nil {
			continue
		}
		var known []string
		for _, ep := range n.Container().Sandbox().Endpoints() {
			known = append(known, on[ep.Network().Name()]...)
		}
		for _, name := range []string{"red-web", "red-app", "red-db", "blue-web", "blue-app", "blue-db", "ops"} {
			addrs, err := n.Container().Sandbox().LookupHost(soon(t), name)
			if got, want := len(addrs) > 0, slices.Contains(known, name); got != want {
				t.Errorf("%s looks %s up: %v, %v; want an address: %v", n.FullName(), name, addrs, err, want)
			}
		}
	}
}

// tenantPlaces returns who asks, and all addresses.
func tenantPlaces(t *testing.T, l *Lab) (askers []asker, addresses []asked) {
	t.Helper()
	for _, n := range l.Nodes() {
		switch {
		case n.Kind() == KindNameServer:
		case n.Container() == nil:
			serve(n.Listen("tcp", ":22"))
			src := asker{"host", n.Name(), n.Name(), "eth0", n.NS()}
			if n.Name() == "client" {
				src.row, src.host = "client", "host-a" // its way to everything
			}
			askers = append(askers, src)
			addresses = append(addresses, machinePlaces(n)...)
		default:
			name, _, _ := strings.Cut(strings.TrimPrefix(n.Name(), n.Host()+"/"), ".")
			src := asker{name, n.Host() + "/" + name, n.Host(), cnm.NetworkGateway, n.NS()}
			if strings.HasPrefix(name, "plain") {
				src.row, src.via = "plain", "docker0"
			}
			askers = append(askers, src)
			for _, ep := range n.Container().Sandbox().Endpoints() {
				addresses = append(addresses, asked{ep.Network().Name(), src.name, n.Host(), ep.IP(), false})
			}
		}
	}
	return askers, append(addresses, swarmPlaces(t, l)...)
}

// machinePlaces returns the addresses of a machine: the one that others know, and those of its bridges.
func machinePlaces(n *Node) (all []asked) {
	for _, i := range n.NS().Interfaces() {
		for _, p := range i.Addrs() {
			switch {
			case p.Addr().IsLoopback() || !p.Addr().Is4():
			case i.Name() == "eth0":
				all = append(all, asked{n.Name(), n.Name(), n.Name(), p.Addr(), false})
			default:
				all = append(all, asked{"own", n.Name() + "/" + i.Name(), n.Name(), p.Addr(), false})
			}
		}
	}
	return all
}

// swarmPlaces returns the addresses that the swarm gives: gateways, VIPs, and those of each host's ingress-sbox.
func swarmPlaces(t *testing.T, l *Lab) (all []asked) {
	t.Helper()
	control, err := l.control()
	if err != nil {
		t.Fatal(err)
	}
	networks, err := control.ListNetworks(soon(t), &swarmapi.ListNetworksRequest{})
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]string{}
	for _, n := range networks.Networks {
		names[n.ID] = n.Spec.Annotations.Name
		if n.IPAM != nil && names[n.ID] != "bridge" && names[n.ID] != "host" {
			all = append(all, asked{names[n.ID], "gateway", "", netip.MustParseAddr(n.IPAM.Configs[0].Gateway), true})
		}
	}
	services, err := control.ListServices(soon(t), &swarmapi.ListServicesRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range services.Services {
		for _, v := range s.Endpoint.VirtualIPs {
			all = append(all, asked{names[v.NetworkID], "VIP of " + s.Spec.Annotations.Name, "", netip.MustParsePrefix(v.Addr).Addr(), false})
		}
	}
	for _, host := range []string{"host-a", "host-b", "host-c"} {
		for _, ep := range l.Engine(host).Controller().Ingress().Endpoints() {
			place := asked{ep.Network().Name(), "ingress-sbox", host, ep.IP(), true}
			if place.column == cnm.NetworkGateway {
				place.column = "sbox"
			}
			all = append(all, place)
		}
	}
	return all
}

// tenantsCell returns what the table says.
func tenantsCell(row, column string) string {
	lines := strings.Split(strings.TrimSpace(tenants), "\n")
	at := slices.Index(strings.Fields(lines[0]), column)
	for _, line := range lines[1:] {
		if f := strings.Fields(line); f[0] == row && at >= 0 {
			return f[at+1]
		}
	}
	return "nothing"
}

// tenantsWant returns what the table means for a port.
func tenantsWant(src asker, dst asked, port uint16) string {
	cell := tenantsCell(src.row, dst.column)
	if src.name == dst.what && strings.Contains("fp", cell) {
		cell = "o" // itself
	}
	var open []uint16
	switch cell {
	case "N":
		return syscall.ENETUNREACH.Error()
	case "n":
		return fmt.Sprintf("no-route at %s/%s", src.host, src.via)
	case "d":
		return "filter at " + src.name
	case "f", "p":
		if port != 8000 && (cell != "p" || port != 80) {
			return fmt.Sprintf("filter at %s/%s", src.host, src.via)
		}
		fallthrough
	case "o", "s":
		open = []uint16{80}
		if dst.silent {
			open = nil
		}
		if dst.column == "sbox" {
			open = []uint16{8000}
		}
	case "m":
		open = []uint16{22, 8000}
		if dst.host == "host-a" {
			open = append(open, 8080)
		}
	case "c":
		open = []uint16{22}
	default:
		return "in the table"
	}
	if slices.Contains(open, port) {
		return "open"
	}
	return syscall.ECONNREFUSED.Error()
}

// tenantVerdict connects, and tells how that ends: open, or by whom the first packet was dropped and why, or else the error.
func tenantVerdict(rec *fabric.Recorder, ns *netns.Namespace, to netip.AddrPort) string {
	ctx, cancel := context.WithTimeout(fabric.Follow(context.Background(), rec), 30*time.Second)
	defer cancel()
	over := make(chan struct{})
	go func() { // nobody answers for what a filter drops: no use to wait for more
		defer close(over)
		for ctx.Err() == nil && !strings.HasPrefix(whereDropped(rec), "filter") {
			time.Sleep(2 * time.Millisecond) // a recorder does not tell when it has news
		}
		cancel()
	}()
	conn, err := ns.Dial(ctx, "tcp", to.String())
	cancel()
	<-over
	var errno syscall.Errno
	why := whereDropped(rec)
	switch {
	case err == nil:
		_ = conn.Close()
		return "open"
	case errors.As(err, &errno) && (errno == syscall.ECONNREFUSED || why == ""): // what was dropped before asked for an address
		return errno.Error()
	case why != "":
		return why
	}
	return err.Error()
}

// whereDropped returns why and where the first packet of the asker's that was dropped was, like filter at host-a/docker0; empty: none
// was. What an overlay does not flood is of no account: those are requests for addresses, which others answer (O7).
func whereDropped(rec *fabric.Recorder) string {
	packets, _ := rec.Packets()
	for _, p := range packets {
		for _, e := range p.Events {
			if p.Back || e.Kind != fabric.EventDrop || e.Reason == fabric.DropNoReceiver || e.Reason == fabric.DropNoRemote {
				continue
			}
			host, at, _ := strings.Cut(e.Place, "/")
			if i := strings.IndexAny(at, ".:/"); i > 0 {
				at = at[:i] // a task's name has an id, a bridge's port a name by chance
			}
			return fmt.Sprintf("%v at %s/%s", e.Reason, host, at)
		}
	}
	return ""
}
