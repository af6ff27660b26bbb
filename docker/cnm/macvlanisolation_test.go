package cnm

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/wire"
	"github.com/netsim-lab/netsim/l2switch"
	"github.com/netsim-lab/netsim/netns"
)

// station is a namespace of the matrix: its addresses by VLAN, 1 being that of untagged frames.
type station struct {
	ns    *netns.Namespace
	addrs map[int]string
	below string // the host on whose eth0 a container of VLAN 1 stands
	cut   bool   // the switch does not carry its VLAN to it
}

// trunkRig is three hosts, each with a container in VLAN 10 and 20, a router of both that does not forward, and a machine
// on an access port of VLAN 20; host-a and host-b have a container on eth0 itself, and the switch carries no VLAN 10 to
// host-c.
type trunkRig struct {
	*rig
	stations []*station
}

func newTrunkRig(t *testing.T) *trunkRig {
	r := &trunkRig{rig: newRig(t)}
	r.tor = l2switch.New(l2switch.Config{Name: "tor", VLANFiltering: true})
	trunk := l2switch.PortConfig{Native: 1, Trunk: []uint16{10, 20}}
	gw := r.plug("gw", "192.168.1.1/24", "", trunk)
	eth0, _ := gw.Interface("eth0")
	for _, id := range []uint16{10, 20} {
		cfg := netns.InterfaceConfig{Name: fmt.Sprintf("eth0.%d", id), Addr: netip.MustParsePrefix(fmt.Sprintf("192.168.%d.1/24", id))}
		if _, err := gw.AddVLAN(eth0, id, cfg); err != nil {
			t.Fatal(err)
		}
	}
	r.add(&station{ns: gw, addrs: map[int]string{1: "192.168.1.1", 10: "192.168.10.1", 20: "192.168.20.1"}})
	pc := r.plug("pc20", "192.168.20.50/24", "192.168.20.1", l2switch.PortConfig{VLAN: 20})
	r.add(&station{ns: pc, addrs: map[int]string{20: "192.168.20.50"}})
	r.addHost("host-a", 2, trunk, 1, 10, 20)
	r.addHost("host-b", 3, trunk, 1, 10, 20)
	r.addHost("host-c", 4, l2switch.PortConfig{Native: 1, Trunk: []uint16{20}}, 10, 20)
	return r
}

// plug puts a machine on a port of the switch.
func (r *trunkRig) plug(name, addr, gateway string, port l2switch.PortConfig) *netns.Namespace {
	r.t.Helper()
	ns := r.machine(name, addr)
	err := r.tor.Port(name).Configure(port)
	if err == nil && gateway != "" {
		err = ns.AddDefaultRoute(netip.MustParseAddr(gateway))
	}
	if err != nil {
		r.t.Fatal(err)
	}
	return ns
}

func (r *trunkRig) add(s *station) {
	r.stations = append(r.stations, s)
	r.serve(s.ns, s.ns.Name(), 80)
}

// addHost adds a host, .n of VLAN 1, with a container .n, or .n+40 in VLAN 1, on a macvlan network of each VLAN.
func (r *trunkRig) addHost(name string, n int, port l2switch.PortConfig, vlans ...int) {
	own := fmt.Sprintf("192.168.1.%d", n)
	ns := r.plug(name, own+"/24", "192.168.1.1", port)
	c, err := New(Config{Name: name, Host: ns, Spawn: r.spawn, Seed: uint64(n)})
	if err != nil {
		r.t.Fatal(err)
	}
	r.add(&station{ns: ns, addrs: map[int]string{1: own}})
	for _, vlan := range vlans {
		parent, ip := fmt.Sprintf("eth0.%d", vlan), fmt.Sprintf("192.168.%d.%d", vlan, n)
		s := &station{cut: vlan != 1 && !slices.Contains(port.Trunk, uint16(vlan))}
		if vlan == 1 {
			parent, ip, s.below = "eth0", fmt.Sprintf("192.168.1.%d", n+40), name
		}
		s.addrs = map[int]string{vlan: ip}
		r.network(c, NetworkConfig{Name: parent, Driver: DriverMacvlan, Subnet: netip.MustParsePrefix(fmt.Sprintf("192.168.%d.0/24", vlan)),
			Options: map[string]string{"parent": parent}})
		s.ns = r.container(c, fmt.Sprintf("c%d", vlan), at(parent, ip)).NS()
		r.add(s)
	}
}

// fate is what becomes of packets: they are answered, or dropped somewhere for a reason.
type fate struct {
	answered bool
	place    string
	reason   fabric.DropReason
}

// fateOf is what Linux, Docker and the switch make of packets from a station to an address of another (V2 to V6).
func fateOf(from, to *station, vlan int) fate {
	card := "eth0"
	if from.ns.Name() == "gw" && vlan != 1 {
		card = fmt.Sprintf("eth0.%d", vlan)
	}
	unanswered := fate{place: from.ns.Name() + "/" + card, reason: fabric.DropNeighFailed}
	_, direct := from.addrs[vlan]
	switch {
	case from.cut || direct && to.cut:
		return unanswered // the switch drops what one asks, or does not carry it to who could answer
	case direct && (from.below == to.ns.Name() || to.below != "" && to.below == from.ns.Name()):
		return unanswered // V4: a host and what stands on it
	case direct || to.ns.Name() == "gw":
		return fate{answered: true}
	}
	for own := range from.addrs { // V6: the router is the only way, and it does not forward
		place := "gw/eth0"
		if own != 1 {
			place = fmt.Sprintf("gw/eth0.%d", own)
		}
		return fate{place: place, reason: fabric.DropNoForwarding}
	}
	return unanswered
}

// ping sends an echo request and returns what became of it, by its trace.
func ping(ctx context.Context, from *netns.Namespace, to netip.Addr) (fate, error) {
	p, err := from.NewPinger()
	if err != nil {
		return fate{}, err
	}
	defer p.Close() //nolint:errcheck // it returns nil
	trace := new(fabric.Trace)
	if err := p.Send(to, netns.PingOptions{Seq: 1, Size: 56, Trace: trace}); err != nil {
		return fate{}, err
	}
	for ctx.Err() == nil {
		wait, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
		reply, err := p.Receive(wait)
		cancel()
		if err == nil && reply.Type == wire.ICMPEchoReply && reply.From == to {
			return fate{answered: true}, nil
		}
		events, _ := trace.Events()
		for _, e := range events {
			if e.Kind == fabric.EventDrop && e.Before != "" { // not of a question for its neighbour
				return fate{place: e.Place, reason: e.Reason}, nil
			}
		}
	}
	return fate{}, fmt.Errorf("ping %s: neither an answer nor a drop", to)
}

// TestMacvlanIsolation: who reaches whom on macvlan networks in VLAN 1, 10 and 20 of three hosts with a trunk, every
// station to every address and port, and why not (V3 to V6, acceptance 19).
func TestMacvlanIsolation(t *testing.T) {
	r := newTrunkRig(t)
	ctx, cancel := context.WithTimeout(r.ctx, time.Minute)
	defer cancel()
	var wg sync.WaitGroup
	var mu sync.Mutex
	fates := map[fate]int{}
	for _, from := range r.stations {
		for _, to := range r.stations {
			for vlan, address := range to.addrs {
				if from == to {
					continue
				}
				wg.Go(func() {
					want := fateOf(from, to, vlan)
					got, err := ping(ctx, from.ns, netip.MustParseAddr(address))
					if err != nil || got != want {
						t.Errorf("%s to %s (%s): %+v, %v; want %+v", from.ns.Name(), address, to.ns.Name(), got, err, want)
					}
					checkPorts(t, from, address, want)
					mu.Lock()
					defer mu.Unlock()
					fates[want]++
				})
			}
		}
	}
	wg.Wait()
	if n := r.tor.Port("host-c").Read().Drops[fabric.DropVLAN.String()]; n == 0 {
		t.Error("the switch has dropped nothing of VLAN 10 from host-c")
	}
	if len(fates) < 10 || fates[fate{answered: true}] < 40 {
		t.Errorf("the matrix is too small to prove anything: %v", fates)
	}
}

// checkPorts holds a port that is open and one that is not against what becomes of packets: the first answers, the second
// refuses, and where they are dropped it is for the same reason.
func checkPorts(t *testing.T, from *station, address string, want fate) {
	t.Helper()
	for port, answer := range map[uint16]string{80: "open", 81: syscall.ECONNREFUSED.Error()} {
		if !want.answered {
			machine, _, _ := strings.Cut(want.place, "/")
			answer = fmt.Sprintf("%v at %s", want.reason, machine)
		}
		got := verdict(from.ns, netip.AddrPortFrom(netip.MustParseAddr(address), port))
		if from.cut && got == fabric.DropVLAN.String()+" at tor:"+from.ns.Name()[:len("host-c")] {
			continue // this connection was the one to ask for its neighbour, and shows why nobody answers
		}
		if got != answer {
			t.Errorf("%s to %s port %d: %s; want %s", from.ns.Name(), address, port, got, answer)
		}
	}
}
