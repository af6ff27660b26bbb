package cnm

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/netns"
)

// isolation says what becomes of a connection from a row's zone to a column's: host-a has the networks bridge, n2, inner
// (internal) and apart (icc=false), host-b has far; every machine has routes to the others' networks.
//
//	o  the container itself answers                     a, b, c  host-a, host-b or the client answers, with its published ports
//	f  dropped by host-a's filter, F by host-b's        n  network is unreachable       u  host-b finds nobody of that address
const isolation = `
           bridge n2 inner apart far host-a host-b client
bridge     o      f  f     f     F   a      b      c
n2         f      o  f     f     F   a      b      c
inner      n      n  o     n     n   n      n      n
apart      f      f  f     f     F   a      b      c
far        F      f  f     f     o   a      b      c
host-a     o      o  o     o     F   a      b      c
host-b     u      f  f     f     o   a      b      c
client     f      f  f     f     F   a      b      c
`

// answers says which ports are open where a connection gets to: containers serve 80, machines 22; 8080 is published by a
// container of bridge and one of far, 8081 by one of apart. The others are refused.
var answers = map[string][]int{"o": {80}, "a": {22, 8080, 8081}, "b": {22, 8080}, "c": {22}}

var isolationPorts = []int{22, 80, 8080, 8081}

// spot is a place in the isolation lab: who asks, and one address of who is asked.
type spot struct {
	zone      string
	ns        *netns.Namespace
	addr      netip.Addr
	machine   string
	published bool // its port 80 is
}

// TestIsolationMatrix asks every address on several ports from every container and machine, and holds verdict and drop
// reason against the table, in both eras (B1 to B9, B11; E11, E12).
func TestIsolationMatrix(t *testing.T) {
	for _, modern := range []bool{false, true} {
		t.Run(fmt.Sprintf("modern=%t", modern), func(t *testing.T) {
			sources, targets := isolationLab(newRig(t), modern)
			limit := make(chan struct{}, 64)
			var wg sync.WaitGroup
			for _, src := range sources {
				for _, dst := range targets {
					for _, port := range isolationPorts {
						limit <- struct{}{}
						wg.Go(func() {
							defer func() { <-limit }()
							want := isolationWant(src, dst, port, modern)
							if got := verdict(src.ns, netip.AddrPortFrom(dst.addr, uint16(port))); got != want {
								t.Errorf("%s (%s, %s) to %s (%s) port %d: %s; want %s", src.ns.Name(), src.zone, src.addr, dst.ns.Name(), dst.addr, port, got, want)
							}
						})
					}
				}
			}
			wg.Wait()
		})
	}
}

func isolationLab(r *rig, modern bool) (sources, targets []spot) {
	era := func(cfg *Config) { cfg.Modern = modern }
	a, b := r.host("host-a", "192.168.1.2/24", era), r.host("host-b", "192.168.1.3/24", era)
	client := r.machine("client", "192.168.1.10/24")
	n2 := r.network(a, NetworkConfig{Name: "n2"})
	inner := r.network(a, NetworkConfig{Name: "inner", Internal: true})
	apart := r.network(a, NetworkConfig{Name: "apart", Options: map[string]string{optICC: "false"}})
	far := r.network(b, NetworkConfig{Name: "far", Subnet: netip.MustParsePrefix("10.5.0.0/24")})
	for _, x := range []struct {
		c         *Controller
		zone      string
		published uint16
	}{{a, "bridge", 8080}, {a, "n2", 0}, {a, "inner", 0}, {a, "apart", 8081}, {b, "far", 8080}} {
		for i := range 2 {
			ep := on(x.zone)
			if i == 0 && x.published != 0 {
				ep.Ports = []PortBinding{{HostPort: x.published, ContainerPort: 80}}
			}
			s := r.container(x.c, fmt.Sprintf("%s%d", x.zone, i+1), ep)
			r.serve(s.NS(), s.Name(), 80)
			sources = append(sources, spot{x.zone, s.NS(), ipOf(s, 0), x.c.Name(), len(ep.Ports) > 0})
		}
	}
	targets = append(targets, sources...)
	for _, m := range []struct {
		ns     *netns.Namespace
		addrs  []netip.Addr
		routes map[string]string
	}{
		{a.Host(), []netip.Addr{netip.MustParseAddr("192.168.1.2"), netip.MustParseAddr("172.17.0.1"), n2.Gateway(), inner.Gateway(), apart.Gateway()},
			map[string]string{"10.5.0.0/24": "192.168.1.3"}},
		{b.Host(), []netip.Addr{netip.MustParseAddr("192.168.1.3"), far.Gateway()}, map[string]string{"172.16.0.0/12": "192.168.1.2"}},
		{client, []netip.Addr{netip.MustParseAddr("192.168.1.10")}, map[string]string{"172.16.0.0/12": "192.168.1.2", "10.5.0.0/24": "192.168.1.3"}},
	} {
		r.serve(m.ns, m.ns.Name(), 22)
		for dst, via := range m.routes {
			if err := m.ns.AddRoute(netnsRoute(m.ns, dst, via)); err != nil {
				r.t.Fatal(err)
			}
		}
		for _, addr := range m.addrs {
			targets = append(targets, spot{zone: m.ns.Name(), ns: m.ns, addr: addr, machine: m.ns.Name()})
		}
		sources = append(sources, spot{zone: m.ns.Name(), ns: m.ns, addr: m.addrs[0], machine: m.ns.Name()})
	}
	return sources, targets
}

// isolationWant returns what the table says.
func isolationWant(src, dst spot, port int, modern bool) string {
	lines := strings.Split(strings.TrimSpace(isolation), "\n")
	columns := strings.Fields(lines[0])
	var cell string
	for _, line := range lines[1:] {
		row := strings.Fields(line)
		for i, zone := range columns {
			if row[0] == src.zone && zone == dst.zone {
				cell = row[i+1]
			}
		}
	}
	// What a table of zones cannot say.
	switch {
	case src.ns == dst.ns && dst.zone != "host-a" && dst.zone != "host-b" && dst.zone != "client":
		cell = "o" // itself
	case dst.addr.String() == "172.17.0.1" && (src.zone == "far" || src.zone == "host-b"):
		cell = "b" // host-b has a docker0 of its own
	case strings.ContainsAny(cell, "fF") && port == 80 && dst.published && src.machine != dst.machine && !modern:
		if dst.zone != "bridge" || src.machine != "host-b" { // who has a route gets to a published port past the host's own (B8)
			return "open"
		}
	case src.zone == "inner" && netip.PrefixFrom(src.addr, 16).Masked().Contains(dst.addr) && dst.zone == "host-a":
		cell = "a" // the internal network's gateway is all of the host that it sees
		if port == 8080 || port == 8081 {
			return "filter at host-a" // a published port is a container's, elsewhere
		}
	}
	switch cell {
	case "f":
		return "filter at host-a"
	case "F":
		return "filter at host-b"
	case "n":
		return syscall.ENETUNREACH.Error()
	case "u":
		return "neigh-failed at host-b"
	}
	for _, open := range answers[cell] {
		if port == open {
			return "open"
		}
	}
	return syscall.ECONNREFUSED.Error()
}

// verdict connects, and tells how that ends: open, the error, or why and where the first packet was dropped.
func verdict(ns *netns.Namespace, to netip.AddrPort) string {
	rec := fabric.NewRecorder()
	defer rec.Stop()
	ctx, cancel := context.WithTimeout(fabric.Follow(context.Background(), rec), time.Minute)
	defer cancel()
	dropped := make(chan string, 1)
	go func() {
		for ctx.Err() == nil {
			if why := firstDrop(rec); why != "" {
				dropped <- why
				cancel()
				return
			}
			time.Sleep(2 * time.Millisecond) // a recorder does not tell when it has news
		}
		dropped <- ""
	}()
	conn, err := ns.Dial(ctx, "tcp", to.String())
	cancel()
	why := <-dropped
	var errno syscall.Errno
	switch {
	case err == nil:
		_ = conn.Close()
		return "open"
	case errors.Is(err, syscall.EHOSTUNREACH): // because of a packet that was dropped
		return firstDrop(rec)
	case errors.As(err, &errno) && errno != syscall.ECANCELED:
		return errno.Error()
	case why != "":
		return why
	}
	return err.Error()
}

// firstDrop returns why and where the first packet that was dropped was; empty: none was.
func firstDrop(rec *fabric.Recorder) string {
	packets, _ := rec.Packets()
	for _, p := range packets {
		for _, e := range p.Events {
			if e.Kind == fabric.EventDrop && e.Reason != fabric.DropNoReceiver { // a bridge without ports has no receivers
				machine, _, _ := strings.Cut(e.Place, "/")
				return fmt.Sprintf("%v at %s", e.Reason, machine)
			}
		}
	}
	return ""
}
