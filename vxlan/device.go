package vxlan

import (
	"cmp"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/wire"
)

const (
	// DefaultMTU is the MTU of a device on an underlay of MTU 1500.
	DefaultMTU = 1500 - Overhead
	// EncryptedMTU is that of an encrypted one (X9): ESP takes 26 bytes and pads to a multiple of 4.
	EncryptedMTU = 1424
)

// DeviceConfig describes a Device. Docker's overlay driver wants Proxy and Learning, and no Flood.
type DeviceConfig struct {
	VNI  uint32 // the network, 0 to MaxVNI
	Name string // stands in traces; empty: "vxlan" and the VNI
	// Proxy answers ARP requests from the neighbour table and lets no ARP packet into the tunnel. Requests for unknown addresses
	// are dropped.
	Proxy bool
	// Learning notes behind which VTEP the senders of received frames are.
	Learning bool
	// Flood lists the VTEPs that get broadcasts, multicasts and frames to unknown addresses; empty: those are dropped.
	Flood []netip.Addr
	// MTU is the largest packet that is sent; zero: 1450, or 1424 if the network is encrypted.
	MTU int
	// Encrypted sends what goes into the tunnel by the VTEP's ESP, and takes nothing that comes in clear.
	Encrypted bool
	// Remote, if valid, is the one other end of the tunnel: everything goes there, whatever the tables say.
	Remote netip.AddrPort
}

// Device is one network's interface into the tunnel, the vxlan0 that a bridge sees: what is sent to it is encapsulated and
// goes to the VTEP of its destination, what arrives for its network goes to its receiver. It implements fabric.Port.
type Device struct {
	fabric.Counters // of inner frames

	vtep      *VTEP
	transport Transport // nil: what is sent is dropped
	vni       uint32
	name      string
	proxy     bool
	learning  bool
	encrypted bool
	mtu       int
	remote    netip.AddrPort // zero: the table tells
	closed    atomic.Bool
	receiver  atomic.Pointer[fabric.Receiver]

	mu    sync.Mutex
	table atomic.Pointer[Table] // never changed in place; replaced with mu held
}

// newDevice returns a device of v, whose mu the caller holds.
func newDevice(v *VTEP, c DeviceConfig) *Device {
	d := &Device{vtep: v, transport: v.transport, vni: c.VNI, name: c.Name, proxy: c.Proxy, learning: c.Learning, encrypted: c.Encrypted,
		mtu: max(c.MTU, 0), remote: netip.AddrPortFrom(c.Remote.Addr().Unmap(), c.Remote.Port())}
	if d.encrypted {
		d.mtu = cmp.Or(d.mtu, EncryptedMTU)
		if d.transport = nil; v.esp != nil {
			d.transport = v.esp
		}
	}
	d.mtu = cmp.Or(d.mtu, DefaultMTU)
	if d.name == "" {
		d.name = "vxlan" + strconv.FormatUint(uint64(c.VNI), 10)
	}
	t := new(Table)
	t.SetFlood(c.Flood)
	d.table.Store(t)
	return d
}

// Name returns the device's name.
func (d *Device) Name() string { return d.name }

// VNI returns the device's network identifier.
func (d *Device) VNI() uint32 { return d.vni }

// Encrypted tells whether the device's network is encrypted.
func (d *Device) Encrypted() bool { return d.encrypted }

// MTU returns the largest packet that the device sends.
func (d *Device) MTU() int { return d.mtu }

// Table returns what the device knows of the other hosts. The table must not be changed; Update does that.
func (d *Device) Table() *Table { return d.table.Load() }

// Update changes what the device knows of the other hosts. The change works on a copy, which frames go by once it returns;
// so several changes are best made in one call.
func (d *Device) Update(change func(t *Table)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	t := d.table.Load().Clone()
	change(t)
	d.table.Store(t)
}

// SetReceiver implements fabric.Port.
func (d *Device) SetReceiver(r fabric.Receiver) {
	if r == nil {
		d.receiver.Store(nil)
		return
	}
	d.receiver.Store(&r)
}

// Send implements fabric.Port. Runs of frames for one remote are handed to the transport as one batch.
func (d *Device) Send(batch []*fabric.Frame) {
	t := d.table.Load()
	var at time.Time
	if len(t.learned) > 0 {
		at = time.Now()
	}
	var remote netip.Addr // of batch[start:i]; zero: those are gone
	start := 0
	for i, f := range batch {
		to, whole := d.route(t, f, at)
		if to != remote {
			d.encapsulate(remote, batch[start:i])
			remote, start = to, i
		}
		if !whole { // what came before has left
			d.takeApart(f)
		}
	}
	d.encapsulate(remote, batch[start:])
}

// route returns the VTEP that f goes to; the zero Addr if f went elsewhere or was dropped. If f cannot be sent whole, it
// is left to takeApart.
func (d *Device) route(t *Table, f *fabric.Frame, at time.Time) (to netip.Addr, whole bool) {
	switch reason := d.admit(f); {
	case reason == fabric.DropMTU:
		return netip.Addr{}, false
	case reason != 0:
		d.Drop(f, reason, d.name)
	case d.proxy && f.EtherType == wire.TypeARP:
		d.answer(t, f)
	case uncuttable(f):
		return netip.Addr{}, false
	case d.remote.IsValid():
		return d.remote.Addr(), true
	default:
		if dst := f.Eth().Dst(); !dst.IsMulticast() {
			if to, ok := t.Lookup(dst, at); ok && d.vtep.sendsTo(to) {
				return to, true
			}
		}
		d.flood(t, f)
	}
	return netip.Addr{}, true
}

// takeApart sends what can be sent of f: finished wire frames, or the last one of a train that is too large.
func (d *Device) takeApart(f *fabric.Frame) {
	if f.Fits(d.mtu) {
		d.sendPlain(f)
		return
	}
	large, rest := f.CutToFit(d.mtu)
	d.Drop(large, fabric.DropMTU, d.name)
	if rest != nil {
		d.Send([]*fabric.Frame{rest})
	}
}

// admit tells why f cannot be sent; 0 if nothing is wrong with it. Nobody may have parsed it before.
func (d *Device) admit(f *fabric.Frame) fabric.DropReason {
	if d.closed.Load() {
		return fabric.DropClosed
	}
	if len(f.Linear()) < wire.EthernetLen {
		return fabric.DropTruncated
	}
	if f.EtherType == 0 {
		if r := f.ParseEthernet(); r != 0 {
			return r
		}
	}
	if !f.Fits(d.mtu) {
		return fabric.DropMTU
	}
	return 0
}

// answer is ARP suppression: a request for a known neighbour is answered with the neighbour's own MAC address, as if
// that had come through the tunnel. Everything else ends here.
func (d *Device) answer(t *Table, f *fabric.Frame) {
	e := f.Eth()
	arp, err := wire.ParseARP(f.Linear()[e.Len():])
	if err != nil {
		d.Drop(f, reason(err), d.name)
		return
	}
	ip, asker, askerIP := arp.TargetIP(), arp.SenderMAC(), arp.SenderIP()
	mac, ok := t.Neighbour(ip)
	if !ok || arp.Op() != wire.ARPRequest {
		d.Drop(f, fabric.DropNoRemote, d.name)
		return
	}
	e.SetDst(asker)
	e.SetSrc(mac)
	wire.PutARP(arp, wire.ARPReply, mac, ip, asker, askerIP)
	f.Hash = 0
	if f.Trace != nil {
		f.Trace.Add(fabric.Event{Kind: fabric.EventNeigh, Place: d.name, Before: ip.String(), After: mac.String()})
	}
	d.deliver([]*fabric.Frame{f})
}

// flood sends a copy of f to each VTEP of the flood list.
func (d *Device) flood(t *Table, f *fabric.Frame) {
	sent := false
	for _, to := range t.flood {
		if d.vtep.sendsTo(to) {
			d.encapsulate(to, []*fabric.Frame{f.Clone()})
			sent = true
		}
	}
	if !sent {
		d.Drop(f, fabric.DropNoRemote, d.name)
		return
	}
	f.Free()
}

// uncuttable tells whether f leaves work to whoever takes it out of the lab that cannot be done once f is in a tunnel:
// a frame knows of one tunnel only, and finds the transport header in it for IPv4 only.
func uncuttable(f *fabric.Frame) bool {
	unfinished := f.Segs > 1 || f.Checksum == fabric.ChecksumPartial
	return f.Tunnelled() || unfinished && f.EtherType != wire.TypeIPv4
}

// sendPlain sends f as finished wire frames.
func (d *Device) sendPlain(f *fabric.Frame) {
	plain := make([]*fabric.Frame, 0, f.Segs)
	for i := range int(f.Segs) {
		p := fabric.FromBytes(f.AppendSegment(nil, i))
		p.Hops, p.At, p.Trace = f.Hops, f.At, f.Trace
		if r := p.ParseEthernet(); r != 0 {
			d.Drop(p, r, d.name)
			continue
		}
		plain = append(plain, p)
	}
	f.Free()
	d.Send(plain)
}

// encapsulate puts the frames into the tunnel to remote; there is nothing to do if that is zero.
func (d *Device) encapsulate(remote netip.Addr, batch []*fabric.Frame) {
	if !remote.IsValid() || len(batch) == 0 {
		return
	}
	start := 0
	d.Tx(batch)
	for i, f := range batch {
		reason := fabric.DropMalformed // no room for the header: a frame that was built in a strange way
		if d.transport == nil {
			reason = fabric.DropTransport
		} else if d.wrap(f, remote) {
			continue
		}
		d.handOver(remote, batch[start:i])
		d.Drop(f, reason, d.name)
		start = i + 1
	}
	d.handOver(remote, batch[start:])
}

func (d *Device) handOver(remote netip.Addr, batch []*fabric.Frame) {
	if len(batch) == 0 {
		return
	}
	to := d.remote
	if !to.IsValid() {
		to = netip.AddrPortFrom(remote, d.vtep.port)
	}
	d.transport.Send(to, batch)
}

// wrap puts the VXLAN header in front of f; false if there is no room for it.
func (d *Device) wrap(f *fabric.Frame, remote netip.Addr) bool {
	f.FlowHash() // of the inner flow, for the outer source port
	h := f.Prepend(HeaderLen)
	if h == nil {
		return false
	}
	Put(h, d.vni)
	tunnelled(f)
	if f.Trace != nil {
		f.Trace.Add(fabric.Event{Kind: fabric.EventEncap, Place: d.name, Before: vniText(d.vni), After: "vtep " + remote.String()})
	}
	return true
}

// tunnelled marks f, which begins with the VXLAN header, as a tunnelled frame that has no outer headers yet. What was
// parsed is of the inner packet and would be taken for the outer one.
func tunnelled(f *fabric.Frame) {
	f.Encapsulated(HeaderLen)
	f.SetOuter(0, 0, 0, 0)
}

// receive takes decapsulated frames from remote. A nil device receives nothing.
func (d *Device) receive(remote netip.Addr, batch []*fabric.Frame) {
	if d == nil || len(batch) == 0 {
		return
	}
	if d.learning {
		d.learn(remote, batch)
	}
	d.Rx(batch)
	d.deliver(batch)
}

func (d *Device) learn(remote netip.Addr, batch []*fabric.Frame) {
	at := time.Now()
	var last wire.MAC
	for _, f := range batch {
		src := f.Eth().Src()
		if src == last || d.table.Load().Refresh(src, remote, at) {
			last = src
			continue
		}
		last = src
		d.Update(func(t *Table) { t.Learn(src, remote, at) })
		if f.Trace != nil {
			f.Trace.Add(fabric.Event{Kind: fabric.EventLearn, Place: d.name, Before: src.String(), After: "vtep " + remote.String()})
		}
	}
}

// deliver hands the batch to the receiver. Frames that have passed too many devices end here.
func (d *Device) deliver(batch []*fabric.Frame) {
	r := d.receiver.Load()
	start := 0
	for i, f := range batch {
		f.Hops++
		reason := fabric.DropNoReceiver
		if r != nil {
			if f.Hops < fabric.MaxHops {
				continue
			}
			reason = fabric.DropHopLimit
			if start < i {
				(*r).Receive(batch[start:i])
			}
		}
		d.Drop(f, reason, d.name)
		start = i + 1
	}
	if start < len(batch) {
		(*r).Receive(batch[start:])
	}
}
