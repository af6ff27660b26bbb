package netns

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/wire"
	"github.com/netsim-lab/netsim/l2switch"
)

// Kind is what an interface is.
type Kind uint8

// The kinds of interfaces.
const (
	KindPhysical Kind = iota // the end of a cable
	KindVeth                 // one end of a pair
	KindBridge               // a bridge, and its own port
	KindVXLAN                // a tunnel
	KindLoopback
	KindVLAN    // the frames of one VLAN on another interface
	KindMacvlan // one of several addresses on another interface
	KindIPVlan  // shares another interface's hardware address
	KindDummy   // takes all and gives nothing
)

// String returns the kind as `ip -d link` names it; "" for a physical interface.
func (k Kind) String() string {
	return [...]string{"", "veth", "bridge", "vxlan", "loopback", "vlan", "macvlan", "ipvlan", "dummy"}[k]
}

// DefaultMTU is an Ethernet's MTU; LoopbackMTU that of lo.
const (
	DefaultMTU  = 1500
	LoopbackMTU = 65536
)

// InterfaceConfig says what a new interface is.
type InterfaceConfig struct {
	Name string
	Kind Kind
	MAC  wire.MAC     // zero: a random, locally administered one
	MTU  int          // 0: DefaultMTU
	Port fabric.Port  // where its frames go and come from
	Peer func() int   // the index of the other end of a veth pair, for listings; nil: none
	Addr netip.Prefix // an address to begin with; zero: none
	Down bool         // begin down
	// Device is the tunnel behind a KindVXLAN interface, for listings.
	Device any

	bridge *l2switch.Switch
	upper  upper
	index  int // that it gets if no other interface has it; 0: the next one
}

// Interface is a network interface of a namespace. It is a fabric.Port itself: what a bridge that it is enslaved to
// sends, it transmits.
type Interface struct {
	fabric.Counters
	ns    *Namespace
	name  string
	index int
	kind  Kind
	mac   wire.MAC
	mtu   atomic.Int32
	up    atomic.Bool
	port  fabric.Port // nil for lo
	peer  func() int
	veth  atomic.Pointer[Interface] // the other end of a pair
	dev   any
	place string
	taps  fabric.Taps
	rx    atomic.Pointer[fabric.Receiver] // the bridge port; nil: the namespace itself
	// localnet allows packets to 127.0.0.0/8 to come in (route_localnet).
	localnet atomic.Bool

	bridge *l2switch.Switch // KindBridge: what it bridges with
	upper  upper            // what it is on top of another interface
	vlans  atomic.Pointer[vlanGroup]
	l3s    atomic.Pointer[ipvlanPort] // whose packets pass this namespace's netfilter
	noARP  bool                       // neighbours have no addresses of their own

	neigh neighbours

	mu     sync.Mutex
	addrs  []netip.Prefix // guarded by mu
	master *Interface     // guarded by mu
	uppers []*Interface   // on top of this one, guarded by mu
	shared upperPort      // that macvlan or ipvlan interfaces share, guarded by mu; nil: there are none
}

// AddInterface adds an interface. The port's receiver is the interface from now on.
func (ns *Namespace) AddInterface(cfg InterfaceConfig) (*Interface, error) {
	i, err := ns.addInterface(cfg)
	if err != nil {
		return nil, err
	}
	if cfg.Port != nil {
		cfg.Port.SetReceiver(i.receiver())
	}
	if cfg.Addr.IsValid() {
		if err := i.AddAddr(cfg.Addr); err != nil {
			return nil, errors.Join(err, ns.RemoveInterface(cfg.Name))
		}
	}
	return i, nil
}

func (ns *Namespace) addInterface(cfg InterfaceConfig) (*Interface, error) {
	i, err := ns.newInterface(cfg)
	if err == nil && ns.cfg.Watch != nil {
		ns.cfg.Watch(i)
	}
	return i, err
}

func (ns *Namespace) newInterface(cfg InterfaceConfig) (*Interface, error) {
	ns.mu.Lock()
	defer ns.mu.Unlock()
	if cfg.Name == "" || len(cfg.Name) > 15 {
		return nil, fmt.Errorf("add interface %q in %s: a name has 1 to 15 characters", cfg.Name, ns.cfg.Name)
	}
	if _, ok := ns.ifaces[cfg.Name]; ok {
		return nil, fmt.Errorf("add interface %q in %s: it exists", cfg.Name, ns.cfg.Name)
	}
	if ns.closed {
		return nil, fmt.Errorf("add interface %q in %s: the namespace has ended", cfg.Name, ns.cfg.Name)
	}
	if cfg.MAC.IsZero() && cfg.Kind != KindLoopback {
		cfg.MAC = ns.randomMAC()
	}
	if cfg.MTU == 0 {
		cfg.MTU = DefaultMTU
	}
	i := &Interface{ns: ns, name: cfg.Name, index: ns.indexLocked(cfg.index), kind: cfg.Kind, mac: cfg.MAC, port: cfg.Port, peer: cfg.Peer,
		dev: cfg.Device, bridge: cfg.bridge, upper: cfg.upper, place: ns.cfg.Name + "/" + cfg.Name, noARP: cfg.upper.noARP()}
	i.mtu.Store(int32(cfg.MTU))
	i.setUp(!cfg.Down)
	i.neigh.init()
	ns.ifaces[cfg.Name] = i
	return i, nil
}

// indexLocked takes an index for a new interface: the one that it would have, if it is free.
func (ns *Namespace) indexLocked(want int) int {
	free := want > 0
	for _, i := range ns.ifaces {
		free = free && i.index != want
	}
	if !free {
		want = ns.nextIdx
	}
	ns.nextIdx = max(ns.nextIdx, want+1)
	return want
}

// randomMAC draws a locally administered unicast address. The caller holds ns.mu.
func (ns *Namespace) randomMAC() wire.MAC {
	v := ns.luck.Uint64()
	m := wire.MAC{byte(v), byte(v >> 8), byte(v >> 16), byte(v >> 24), byte(v >> 32), byte(v >> 40)}
	m[0] = m[0]&^1 | 2
	return m
}

func (ns *Namespace) addLoopback() {
	i, err := ns.addInterface(InterfaceConfig{Name: "lo", Kind: KindLoopback, MTU: LoopbackMTU})
	if err != nil {
		panic(err) // a new namespace has no interface of that name
	}
	if err := i.AddAddr(netip.MustParsePrefix("127.0.0.1/8")); err != nil {
		panic(err)
	}
	ns.lo = &Route{Dev: i}
}

// SetNextIndex says which index the next interface gets at least, as on a host whose other namespaces took the ones before.
func (ns *Namespace) SetNextIndex(n int) {
	ns.mu.Lock()
	defer ns.mu.Unlock()
	ns.nextIdx = max(ns.nextIdx, n)
}

// Name returns the interface's name.
func (i *Interface) Name() string { return i.name }

// Index returns the interface's index, from 1.
func (i *Interface) Index() int { return i.index }

// PeerIndex returns the index of the other end of a veth pair, or of the interface that this one is on top of; 0 if
// there is none.
func (i *Interface) PeerIndex() int {
	if i.upper.lower != nil {
		return i.upper.lower.index
	}
	if p := i.veth.Load(); p != nil {
		return p.index
	}
	if i.peer == nil {
		return 0
	}
	return i.peer()
}

// Kind returns what the interface is.
func (i *Interface) Kind() Kind { return i.kind }

// MAC returns the hardware address.
func (i *Interface) MAC() wire.MAC { return i.mac }

// MTU returns the largest packet in bytes.
func (i *Interface) MTU() int { return int(i.mtu.Load()) }

// SetMTU sets the largest packet.
func (i *Interface) SetMTU(n int) error {
	if n < 68 || n > LoopbackMTU {
		return fmt.Errorf("set mtu of %s: %d is not within 68 to %d", i.place, n, LoopbackMTU)
	}
	i.mtu.Store(int32(n))
	return i.ns.change(func(*config) error { return nil })
}

// Up tells whether the interface is administratively up.
func (i *Interface) Up() bool { return i.up.Load() }

// SetUp takes the interface up or down. The other end of a veth pair has no carrier while this end is down.
func (i *Interface) SetUp(up bool) {
	i.setUp(up)
	i.ns.stack.sync() // its routes' sources may be others now
}

func (i *Interface) setUp(up bool) {
	i.up.Store(up)
	if p, ok := i.port.(*fabric.VethEnd); ok {
		p.SetUp(up)
	}
}

// SetRouteLocalnet sets route_localnet: packets from and to 127.0.0.0/8 may pass the interface, as those of a
// published port that is reached by localhost do.
func (i *Interface) SetRouteLocalnet(on bool) { i.localnet.Store(on) }

// routesLocalnet tells whether packets to 127.0.0.0/8 may come in by the interface.
func (i *Interface) routesLocalnet() bool { return i.kind == KindLoopback || i.localnet.Load() }

// Device returns what is behind a tunnel interface, as it was given.
func (i *Interface) Device() any { return i.dev }

// Bridge returns the switch of a bridge interface; nil for others.
func (i *Interface) Bridge() *l2switch.Switch { return i.bridge }

// Namespace returns the namespace that the interface is in.
func (i *Interface) Namespace() *Namespace { return i.ns }

// Taps returns the interface's captures.
func (i *Interface) Taps() *fabric.Taps { return &i.taps }

// Send implements fabric.Port for the bridge that the interface is a port of.
func (i *Interface) Send(batch []*fabric.Frame) { i.transmit(batch) }

// SetReceiver implements fabric.Port: the bridge gets what arrives.
func (i *Interface) SetReceiver(r fabric.Receiver) {
	if r == nil {
		i.rx.Store(nil)
		return
	}
	i.rx.Store(&r)
}

// transmit sends frames with their Ethernet headers out of the interface.
func (i *Interface) transmit(batch []*fabric.Frame) {
	if !i.up.Load() || i.port == nil {
		for _, f := range batch {
			i.Drop(f, fabric.DropLinkDown, i.place)
		}
		return
	}
	i.Tx(batch)
	i.taps.See(fabric.Out, batch)
	i.port.Send(batch)
}

// receiver is what the port delivers to.
func (i *Interface) receiver() fabric.Receiver {
	return fabric.ReceiverFunc(func(batch []*fabric.Frame) {
		if !i.up.Load() {
			for _, f := range batch {
				i.Drop(f, fabric.DropLinkDown, i.place)
			}
			return
		}
		switch i.kind {
		case KindVeth, KindPhysical, KindMacvlan, KindIPVlan:
			if batch = i.dropOversized(batch); len(batch) == 0 {
				return
			}
		}
		i.Rx(batch)
		i.taps.See(fabric.In, batch)
		if g := i.vlans.Load(); g != nil {
			i.demux(g, batch)
			return
		}
		i.accept(batch)
	})
}

// accept hands what came in to what has taken the interface over, a bridge say, or else to the namespace.
func (i *Interface) accept(batch []*fabric.Frame) {
	if r := i.rx.Load(); r != nil {
		(*r).Receive(batch)
		return
	}
	i.ns.input(i, batch)
}

// tagSlack is how much longer than the MTU a packet that comes in may be: a VLAN tag (Linux's is_skb_forwardable).
const tagSlack = wire.VLANLen

// dropOversized drops what is longer than the interface takes, as Linux does at the end of a veth pair and network
// cards do. It returns the rest; the slice of the caller stays as it is.
func (i *Interface) dropOversized(batch []*fabric.Frame) []*fabric.Frame {
	mtu := i.MTU()
	if i.kind == KindPhysical {
		mtu = max(mtu, DefaultMTU) // the buffers of a network card hold a full Ethernet frame, whatever its MTU
	}
	mtu += tagSlack
	for n, f := range batch {
		if f.Len() <= mtu || f.Fits(mtu) {
			continue
		}
		kept := append(make([]*fabric.Frame, 0, len(batch)), batch[:n]...)
		for _, f := range batch[n:] {
			if f.Fits(mtu) {
				kept = append(kept, f)
				continue
			}
			large, rest := f.CutToFit(mtu)
			i.Drop(large, fabric.DropMTU, i.place)
			if rest != nil {
				kept = append(kept, rest)
			}
		}
		return kept
	}
	return batch
}
