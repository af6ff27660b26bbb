package vxlan

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/wire"
)

// Config describes a VTEP.
type Config struct {
	Name      string     // stands in traces; empty: "vtep"
	Local     netip.Addr // this host's address on the underlay; zero: unknown. Nothing is sent to it
	Port      uint16     // the UDP port of the other VTEPs; zero: 4789
	Transport Transport  // nil: what is sent is dropped
	ESP       *ESP       // the transport of encrypted networks; nil: what is sent there is dropped (yet; see SetESP)
}

// VTEP is a host's tunnel endpoint: it owns the transport and hands what arrives to the device of its network. It needs
// no goroutine. All methods may be called at once from several goroutines.
type VTEP struct {
	fabric.Counters // what arrived for no device

	name      string
	local     netip.Addr
	port      uint16
	transport Transport

	mu      sync.Mutex
	esp     *ESP                               // guarded by mu; nil: what is sent on encrypted networks is dropped
	devices atomic.Pointer[map[uint32]*Device] // never changed in place; replaced with mu held
}

// New returns a VTEP without devices and makes it the receiver of its transports.
func New(c Config) *VTEP {
	v := &VTEP{name: cmp.Or(c.Name, "vtep"), local: c.Local.Unmap(), port: cmp.Or(c.Port, Port), transport: c.Transport}
	v.devices.Store(&map[uint32]*Device{})
	if v.transport != nil {
		v.transport.SetReceiver(v.receive)
	}
	if c.ESP != nil {
		v.SetESP(c.ESP)
	}
	return v
}

// SetESP makes e the transport of encrypted networks that are added from now on, and the VTEP its receiver.
func (v *VTEP) SetESP(e *ESP) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.esp = e
	e.SetReceiver(v.receiveSealed)
}

// Add returns a new device for a network of which this VTEP has none yet.
func (v *VTEP) Add(c DeviceConfig) (*Device, error) {
	if c.VNI > MaxVNI {
		return nil, fmt.Errorf("add vxlan device %q: VNI %d does not fit in 24 bits; the largest is %d", c.Name, c.VNI, MaxVNI)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	old := *v.devices.Load()
	if d := old[c.VNI]; d != nil {
		return nil, fmt.Errorf("add vxlan device %q: VNI %d is in use by %s; remove that first", c.Name, c.VNI, d.name)
	}
	d := newDevice(v, c)
	devices := maps.Clone(old)
	devices[c.VNI] = d
	v.devices.Store(&devices)
	return d, nil
}

// Remove takes the device of that network away; it drops what it is then given to send. False if there is none.
func (v *VTEP) Remove(vni uint32) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	devices := maps.Clone(*v.devices.Load())
	d := devices[vni]
	if d == nil {
		return false
	}
	delete(devices, vni)
	v.devices.Store(&devices)
	d.closed.Store(true)
	return true
}

// Device returns the device of that network, nil if there is none.
func (v *VTEP) Device(vni uint32) *Device { return (*v.devices.Load())[vni] }

// Devices returns all devices, ordered by VNI.
func (v *VTEP) Devices() []*Device {
	return slices.SortedFunc(maps.Values(*v.devices.Load()), func(a, b *Device) int { return cmp.Compare(a.vni, b.vni) })
}

// sendsTo tells whether remote is another host's address.
func (v *VTEP) sendsTo(remote netip.Addr) bool { return remote.IsValid() && remote != v.local }

// receive takes what the transport received in clear.
func (v *VTEP) receive(from netip.AddrPort, batch []*fabric.Frame) { v.take(from, batch, false) }

// receiveSealed takes what came sealed, and was opened.
func (v *VTEP) receiveSealed(from netip.AddrPort, batch []*fabric.Frame) { v.take(from, batch, true) }

// take takes what a transport received. Runs of frames for one device are handed to it as one batch.
func (v *VTEP) take(from netip.AddrPort, batch []*fabric.Frame, sealed bool) {
	devices := *v.devices.Load()
	remote := from.Addr().Unmap()
	var dev *Device // of batch[start:i]; nil: those are gone
	start := 0
	for i, f := range batch {
		d := v.open(devices, remote, f, sealed)
		if d != dev {
			dev.receive(remote, batch[start:i])
			dev, start = d, i
		}
	}
	dev.receive(remote, batch[start:])
}

// open takes the VXLAN header off and returns the device that the frame is for; nil if it had to be dropped.
func (v *VTEP) open(devices map[uint32]*Device, remote netip.Addr, f *fabric.Frame, sealed bool) *Device {
	h, err := ParseHeader(f.Linear())
	if err != nil {
		v.Drop(f, reason(err), v.name)
		return nil
	}
	vni := h.VNI()
	d := devices[vni]
	if d == nil {
		v.Drop(f, fabric.DropForeignVNI, v.name)
		return nil
	}
	if d.encrypted && !sealed { // X6
		d.Drop(f, fabric.DropNotEncrypted, d.name)
		return nil
	}
	f.Encapsulated(HeaderLen) // a frame that came in as bytes, from a TAP say, does not know
	if r := f.Decapsulate(); r != 0 {
		d.Drop(f, r, d.name)
		return nil
	}
	if f.Trace != nil {
		f.Trace.Add(fabric.Event{Kind: fabric.EventDecap, Place: d.name, Before: "vtep " + remote.String(), After: vniText(vni)})
	}
	return d
}

// reason returns what a header that cannot be read is dropped for.
func reason(err error) fabric.DropReason {
	if err == wire.ErrTruncated {
		return fabric.DropTruncated
	}
	return fabric.DropMalformed
}

func vniText(vni uint32) string { return "vni " + strconv.FormatUint(uint64(vni), 10) }
