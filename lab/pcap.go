package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/netns"
)

// CaptureRequest says what a capture to a file or a pipe holds.
type CaptureRequest struct {
	Places []string // each NODE:INTERFACE, or NODE for all of its interfaces but lo
	Count  uint64   `json:",omitempty"` // packets after which it ends; 0: none
	// Last, if more than 0, asks for what passed in that time before now, as SaveLast has it, in place of what is to come.
	Last time.Duration `json:",omitempty"`
	Keys bool          `json:",omitempty"` // tell the keys of encrypted overlays, too
}

// CaptureStats counts the wire frames of a capture.
type CaptureStats struct {
	Written uint64 `json:"written"`
	Dropped uint64 `json:"dropped"` // for want of room
	// Keys are those of the encrypted overlays, if they were asked for.
	Keys []ESPKey `json:"keys,omitempty"`
}

// Capture writes what passes interfaces of nodes to w as pcapng, until ctx ends or there is enough. Each interface has a
// block of its own, named NODE:INTERFACE, packets are in the order of time, and one that is dropped at one of the
// interfaces, or on the cable that is plugged in there, is written once more with the reason as its comment. A w that
// blocks never holds up the lab: what there is no room for is counted.
func (l *Lab) Capture(ctx context.Context, req CaptureRequest, w io.Writer) (CaptureStats, error) {
	s, err := l.capture(ctx, req, w)
	if req.Keys {
		s.Keys = l.espKeys()
	}
	return s, err
}

func (l *Lab) capture(ctx context.Context, req CaptureRequest, w io.Writer) (CaptureStats, error) {
	if req.Last > 0 {
		return l.SaveLast(w, req.Last, req.Places...)
	}
	if len(req.Places) == 0 {
		return CaptureStats{}, errors.New("capture what? name a node, or NODE:INTERFACE")
	}
	ctx, cancel := l.within(ctx)
	defer cancel()
	c := fabric.NewCapture(w, fabric.CaptureConfig{Count: req.Count})
	seen := map[*netns.Interface]bool{}
	for _, place := range req.Places {
		node, ifaces, err := l.place(place)
		if err != nil {
			return CaptureStats{}, err
		}
		for _, i := range ifaces {
			if !seen[i] {
				defer l.watch(i, c.Interface(node.name+":"+i.Name()))()
			}
			seen[i] = true
		}
	}
	err := c.Run(ctx)
	s := c.Stats()
	return CaptureStats{Written: s.Written, Dropped: s.Dropped}, err
}

// watcher looks at the frames of an interface and at those that are dropped there.
type watcher interface {
	fabric.Tap
	fabric.DropTap
}

// watch shows tap what passes an interface, and what is dropped there or on its cable.
func (l *Lab) watch(i *netns.Interface, tap watcher) (stop func()) {
	stops := []func(){i.WatchDrops(tap), i.Taps().Add(tap)}
	plug := i.Namespace().Name() + "/" + i.Name()
	for _, c := range l.phys.cables {
		for _, end := range []*fabric.LinkEnd{c.link.A(), c.link.B()} {
			if end.Name() == plug {
				stops = append(stops, end.WatchDrops(tap))
			}
		}
	}
	return func() {
		for _, stop := range stops {
			stop()
		}
	}
}

// serveCapture captures until the client says that it is enough, or leaves, or the lab ends.
func (l *Lab) serveCapture(ctx context.Context, f *frames, req CaptureRequest) answer {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var reader sync.WaitGroup
	reader.Go(func() {
		defer cancel()
		_, _, _ = f.read() // whatever it is, it is the end
	})
	defer reader.Wait()
	defer func() { _ = f.conn.SetReadDeadline(time.Unix(1, 0)) }()
	stats, err := l.Capture(ctx, req, f.stream(frameOut))
	a := answer{Capture: &stats}
	if err != nil {
		a.Error = err.Error()
	}
	return a
}

// interfaces returns the interface that NODE:INTERFACE names, or all of a node's but lo.
func (l *Lab) interfaces(place string) ([]*netns.Interface, error) {
	_, all, err := l.place(place)
	return all, err
}

// place returns the node and the interface that NODE:INTERFACE names, or all of a node's but lo.
func (l *Lab) place(place string) (*Node, []*netns.Interface, error) {
	name, iface, one := strings.Cut(place, ":")
	node, err := l.Lookup(name)
	if err != nil {
		return nil, nil, err
	}
	if node.kernel() != nil {
		return nil, nil, fmt.Errorf("node %s is a host of the kernel: capture at the other end of its cable, or run tcpdump there", name)
	}
	if node.kind == KindSwitch {
		return nil, nil, fmt.Errorf("%s is a switch: capture at the other ends of its cables, %s", node.name, strings.Join(l.phys.peers(node.name), ", "))
	}
	all := node.ns.Interfaces()
	if one {
		i, ok := node.ns.Interface(iface)
		if !ok {
			var known []string
			for _, i := range all {
				known = append(known, i.Name())
			}
			return nil, nil, fmt.Errorf("node %s has no interface %q; there are %s", name, iface, strings.Join(known, ", "))
		}
		return node, []*netns.Interface{i}, nil
	}
	all = slices.DeleteFunc(all, func(i *netns.Interface) bool { return i.Kind() == netns.KindLoopback })
	if len(all) == 0 {
		return nil, nil, errors.New("node " + name + " has no interface but lo")
	}
	return node, all, nil
}
