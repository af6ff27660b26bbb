package lab

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/netns"
)

// A lab remembers the last packets of the interfaces at the ends of cables and of those of containers: what passes bridges,
// their ports and tunnels is seen there, too.

// rememberCables makes the ring, and shows it what passes the ends of the cables.
func (l *Lab) rememberCables() {
	if l.cfg.Ring < 0 {
		return
	}
	l.ring = fabric.NewRing(fabric.RingConfig{Bytes: l.cfg.Ring})
	for _, m := range l.phys.order {
		for _, i := range m.ns.Interfaces() {
			if i.Kind() == netns.KindPhysical {
				l.watch(i, l.ring.Interface(ringName(i)))
			}
		}
	}
}

// remember shows the ring what passes an interface of a container, for as long as that is there.
func (l *Lab) remember(i *netns.Interface) {
	if l.ring == nil || i.Kind() == netns.KindLoopback {
		return
	}
	tap := l.ring.Interface(ringName(i))
	i.WatchDrops(tap)
	i.Taps().Add(tap)
}

// ringName is what the ring calls an interface: the namespace and its own name, as drops do.
func ringName(i *netns.Interface) string { return i.Namespace().Name() + "/" + i.Name() }

// SaveLast writes what passed interfaces during the last time to w as pcapng: those of the places, each NODE or
// NODE:INTERFACE, or all that are remembered. These are the ends of cables and the interfaces of containers, also of
// those that are gone. Of large packets only the headers are kept, and only as much as there is memory for. Drops are told
// as Capture does.
func (l *Lab) SaveLast(w io.Writer, last time.Duration, places ...string) (CaptureStats, error) {
	if l.ring == nil {
		return CaptureStats{}, errors.New("this lab does not keep its last packets")
	}
	wanted := map[string]bool{}
	for _, place := range places {
		if err := l.wantLast(place, wanted); err != nil {
			return CaptureStats{}, err
		}
	}
	names := map[string]string{}
	for _, n := range l.Nodes() {
		names[n.ns.Name()] = n.name
	}
	written, err := l.ring.Save(w, time.Now().Add(-last), func(name string) (string, bool) {
		cut := strings.LastIndexByte(name, '/')
		node := name[:cut]
		if known := names[node]; known != "" {
			node = known
		}
		return node + ":" + name[cut+1:], len(wanted) == 0 || wanted[name]
	})
	return CaptureStats{Written: written}, err
}

// wantLast adds the interfaces of a place. One that is not remembered must not be asked for.
func (l *Lab) wantLast(place string, wanted map[string]bool) error {
	node, ifaces, err := l.place(place)
	if err != nil {
		return err
	}
	found := false
	for _, i := range ifaces {
		if i.Kind() == netns.KindPhysical || node.container != nil && i.Kind() != netns.KindLoopback {
			wanted[ringName(i)], found = true, true
		}
	}
	if !found {
		return fmt.Errorf("the last packets of %s are not kept, only those at the ends of cables and of containers; capture it while they pass", place)
	}
	return nil
}
