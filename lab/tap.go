package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/kernel"
	"github.com/netsim-lab/netsim/l2switch"
	"github.com/netsim-lab/netsim/lab/topology"
	"github.com/netsim-lab/netsim/netns"
)

// ErrUnable is what errors wrap that this user or machine is the reason of, and not the topology: a lab with devices of the
// kernel that is run without root, say.
var ErrUnable = kernel.ErrUnable

// TAPRequest asks for a device of the machine's kernel that is plugged into a switch or a node.
type TAPRequest struct {
	Node        string       // a switch, host, router or container
	Name        string       // of the device; empty: the kernel's next, tap0 and so on
	Netns       string       // network namespace of the device, as ip netns names it or as a path; empty: the lab's own
	Address     netip.Prefix // of the kernel's end; zero: none
	HostAddress netip.Prefix // of the node's end; zero: none. A switch has none
}

// TAPInfo tells of a device that is plugged in.
type TAPInfo struct {
	Node  string `json:"node"`
	Name  string `json:"name"`
	Netns string `json:"netns,omitempty"`
	Whole bool   `json:"whole"` // trains pass whole
}

// tap is a TAP device that is plugged in somewhere.
type tap struct {
	TAPInfo
	dev    *fabric.TAPDevice
	gso    topology.GSO
	detach func()
}

// place is what counts of drops call it.
func (t *tap) place(l *Lab) string {
	if l.phys.switches[t.Node] != nil {
		return t.Node + ":" + t.Name
	}
	return t.Node + "/" + t.Name
}

// checkNeeds tells what of the machine the topology needs and is not there.
func (l *Lab) checkNeeds() error {
	for _, n := range l.spec.Needs {
		if n.What == topology.NeedRoot {
			if err := kernel.Check(); err != nil {
				return fmt.Errorf("%s: the lab needs root: %w", n.Pos, err)
			}
		} else if _, err := exec.LookPath(n.What); err != nil {
			return fmt.Errorf("%s: the lab needs the command %s: %w: this machine does not have it", n.Pos, n.What, ErrUnable)
		}
	}
	return nil
}

// openTAPs plugs the devices of the topology in.
func (l *Lab) openTAPs() error {
	f := &l.spec.Fabric
	for i := range f.Switches {
		if f.Switches[i].Remote.IsValid() {
			continue // its process has them
		}
		for _, t := range f.Switches[i].TAPs {
			if err := l.openTAP(f.Switches[i].Name, t); err != nil {
				return err
			}
		}
	}
	for i := range f.Hosts {
		if f.Hosts[i].Remote.IsValid() {
			continue
		}
		for _, t := range f.Hosts[i].TAPs {
			if err := l.openTAP(f.Hosts[i].Name, t); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l *Lab) openTAP(node string, t topology.TAP) error {
	p, err := l.plugTAP(TAPRequest{Node: node, Name: t.Name, Netns: t.Netns, Address: t.Address, HostAddress: t.HostAddress})
	if err != nil {
		return fmt.Errorf("%s: %w", t.Pos, err)
	}
	l.running().spawn(func(ctx context.Context) error {
		if err := l.runTAP(ctx, p); err != nil {
			l.log.Warn("the lab goes on without a TAP device", "node", p.Node, "error", err)
		}
		return nil
	})
	return nil
}

// plugTAP opens a device and connects it. It starts nothing.
func (l *Lab) plugTAP(r TAPRequest) (*tap, error) {
	connect, err := l.tapPlace(r)
	if err != nil {
		return nil, err
	}
	ns, err := r.namespace()
	if err != nil {
		return nil, err
	}
	t := &tap{TAPInfo: TAPInfo{Node: r.Node, Name: r.Name, Netns: r.Netns}}
	if t.dev, err = l.openDevice(ns, fabric.TAPConfig{Name: r.Name}, kernel.Settings{Up: true, Addr: r.Address}); err != nil {
		return nil, errors.Join(err, ns.Close())
	}
	if err := ns.Close(); err != nil {
		return nil, errors.Join(err, t.dev.Close())
	}
	t.Name, t.Whole = t.dev.Name(), t.dev.Whole()
	if t.detach, err = connect(t.dev); err != nil {
		return nil, errors.Join(err, t.dev.Close())
	}
	l.noteTAP(t)
	return t, nil
}

// namespace opens the namespace of the device; nil: the lab's own.
func (r TAPRequest) namespace() (*kernel.Namespace, error) {
	if r.Netns == "" {
		return nil, nil
	}
	return kernel.OpenNamespace(r.Netns)
}

// openDevice opens a device in a namespace of the kernel and sets it up there.
func (l *Lab) openDevice(ns *kernel.Namespace, c fabric.TAPConfig, s kernel.Settings) (dev *fabric.TAPDevice, err error) {
	c.Plain = l.cfg.PlainTAP
	err = ns.Do(func() error {
		if dev, err = fabric.OpenTAP(c); err != nil {
			return err
		}
		if err := kernel.Configure(dev.Name(), s); err != nil {
			return errors.Join(err, dev.Close())
		}
		return nil
	})
	return dev, err
}

// tapPlace returns what makes a device a port of the switch or an interface of the node that is asked for.
func (l *Lab) tapPlace(r TAPRequest) (connect func(*fabric.TAPDevice) (detach func(), err error), err error) {
	if sw := l.phys.switches[r.Node]; sw != nil {
		if r.HostAddress.IsValid() {
			return nil, fmt.Errorf("switch %s can have no address; give the kernel's end of the device one", r.Node)
		}
		return func(dev *fabric.TAPDevice) (func(), error) {
			_, err := sw.AddPort(dev.Name(), dev, l2switch.PortConfig{})
			return func() { _ = sw.RemovePort(dev.Name()) }, err // it is there until then
		}, nil
	}
	node, err := l.Lookup(r.Node)
	switch {
	case errors.Is(err, ErrNoNode):
		return nil, fmt.Errorf("%w; or name a switch: %s", err, strings.Join(slices.Sorted(maps.Keys(l.phys.switches)), ", "))
	case err != nil:
		return nil, err
	case node.kernel() != nil:
		return nil, fmt.Errorf("host %s is one of the kernel: make devices there with ip", r.Node)
	}
	return func(dev *fabric.TAPDevice) (func(), error) {
		_, err := node.ns.AddInterface(netns.InterfaceConfig{Name: dev.Name(), Port: dev, Addr: r.HostAddress})
		return func() { _ = node.ns.RemoveInterface(dev.Name()) }, err // or its namespace has ended
	}, nil
}

// noteTAP lists a device, and has it send trains or not.
func (l *Lab) noteTAP(t *tap) {
	l.mu.Lock()
	l.taps = append(l.taps, t)
	l.mu.Unlock()
	l.fitTrains()
}

func (l *Lab) allTAPs() []*tap {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.taps)
}

// runTAP carries frames until ctx ends or the device is removed, which is the error, and unplugs it.
func (l *Lab) runTAP(ctx context.Context, t *tap) error {
	err := t.dev.Run(ctx)
	t.detach()
	if err == nil { // what a device that was lost has dropped stays to be seen
		l.mu.Lock()
		defer l.mu.Unlock()
		l.taps = slices.DeleteFunc(l.taps, func(o *tap) bool { return o == t })
	}
	return err
}

// fitTAPs says which devices of the kernel may hand over trains; hurt are the nodes behind cables that hurt them.
func (l *Lab) fitTAPs(hurt map[string]bool) {
	for _, t := range l.allTAPs() {
		on := !hurt[t.Node]
		if t.gso == topology.GSOOn || t.gso == topology.GSOOff {
			on = t.gso == topology.GSOOn
		}
		if err := t.dev.SetSegmentation(on); err != nil {
			l.log.Warn("TAP device", "error", err)
		}
	}
}

// TAP plugs a device of the machine's kernel into a switch or node of a lab that is up, until ctx or the lab ends. ready,
// which may be nil, is called when it is there, and frames pass once that has returned. The error is nil if ctx ended; it
// wraps ErrUnable if this user or machine cannot have such a device, and fabric.ErrTAPGone if somebody removed it.
func (l *Lab) TAP(ctx context.Context, r TAPRequest, ready func(TAPInfo)) error {
	select {
	case <-l.ready:
	default:
		return fmt.Errorf("plug a TAP device into %s: lab %s is not up", r.Node, l.spec.Name)
	}
	ctx, cancel := l.within(ctx)
	defer cancel()
	t, err := l.plugTAP(r)
	if err != nil {
		return err
	}
	if ready != nil {
		ready(t.TAPInfo)
	}
	return l.runTAP(ctx, t)
}

// serveTAP plugs a device in for a client until the client leaves.
func (l *Lab) serveTAP(ctx context.Context, f *frames, r TAPRequest) answer {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	in := newInbox()
	var reader sync.WaitGroup
	reader.Go(func() { f.receive(in, cancel) })
	defer reader.Wait()
	defer func() { _ = f.conn.SetReadDeadline(time.Unix(1, 0)) }() // the reader ends
	defer in.close()
	err := l.TAP(ctx, r, func(i TAPInfo) {
		if f.writeJSON(frameOut, i) != nil {
			cancel() // the client has left
		}
	})
	if err != nil {
		return answer{Error: err.Error()}
	}
	return answer{}
}

// TAP is Lab.TAP in a running lab: the device is there until ctx ends.
func (c *Client) TAP(ctx context.Context, r TAPRequest, ready func(TAPInfo)) error {
	f, done, err := c.open(context.WithoutCancel(ctx), request{Op: opTAP, TAP: &r})
	if err != nil {
		return fmt.Errorf("tap %s: %w", r.Node, err)
	}
	defer done()
	stop := context.AfterFunc(ctx, func() { _ = f.write(frameStop, nil) }) // or the lab has ended, and await knows
	defer stop()
	a, err := f.await(context.WithoutCancel(ctx), tapReady(ready), nil)
	if err == nil && a.Error != "" {
		err = errors.New(a.Error)
	}
	if err != nil {
		return fmt.Errorf("tap %s: %w", r.Node, err)
	}
	return nil
}

// tapReady reads what serveTAP says once the device is there.
type tapReady func(TAPInfo)

// Write implements io.Writer.
func (t tapReady) Write(b []byte) (int, error) {
	var i TAPInfo
	if err := json.Unmarshal(b, &i); err != nil {
		return 0, fmt.Errorf("the lab's answer cannot be read: %w", err)
	}
	if t != nil {
		t(i)
	}
	return len(b), nil
}
