package ipam

import (
	"context"
	"fmt"
	"net/netip"
	"strconv"
	"sync"

	"github.com/netsim-lab/netsim/fabric/wire"
)

// PoolRequest asks an address driver for a pool.
type PoolRequest struct {
	Subnet  netip.Prefix      // zero: the driver chooses
	Range   netip.Prefix      // the part of Subnet that addresses are chosen from; zero: all of it
	Avoid   []netip.Prefix    // what a pool that the driver chooses must not overlap
	Options map[string]string // the user's, for the driver
}

// Lease is a pool that an address driver has given.
type Lease struct {
	ID      string       // what the driver calls it
	Subnet  netip.Prefix // an IPv4 prefix without host bits
	Gateway netip.Addr   // chosen by the driver; zero: one is requested like any address
}

// AddressRequest asks an address driver for an address of a pool.
type AddressRequest struct {
	Pool    string     // Lease.ID
	Addr    netip.Addr // zero: the driver chooses
	Gateway bool       // it is the pool's gateway
	MAC     wire.MAC   // of the interface that it is for; zero: not known yet
}

// Driver is an address driver: an Allocator and its pools behind a lock, with names for the pools. All methods may be
// called at once from several goroutines, and none blocks.
type Driver struct {
	serial bool

	mu    sync.Mutex
	space *Allocator       // guarded by mu
	pools map[string]*Pool // by id, guarded by mu
	next  int              // guarded by mu
}

// NewDriver returns a driver whose predefined pools come from ranges. A serial one gives the address after the last one
// given, and not the lowest that is free.
func NewDriver(serial bool, ranges ...Range) *Driver {
	return &Driver{serial: serial, space: New(ranges...), pools: make(map[string]*Pool)}
}

// RequestPool takes a pool into use.
func (d *Driver) RequestPool(_ context.Context, r PoolRequest) (Lease, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	p, err := d.space.RequestPool(r.Subnet, r.Avoid)
	if err != nil {
		return Lease{}, err
	}
	if r.Range.IsValid() {
		if err := p.SetRange(r.Range); err != nil {
			_ = d.space.ReleasePool(p) // it is there
			return Lease{}, err
		}
	}
	p.SetSerial(d.serial)
	d.next++
	id := strconv.Itoa(d.next)
	d.pools[id] = p
	return Lease{ID: id, Subnet: p.Subnet()}, nil
}

// ReleasePool gives a pool back, with all its addresses.
func (d *Driver) ReleasePool(_ context.Context, id string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	p, ok := d.pools[id]
	if !ok {
		return ErrUnknownPool
	}
	delete(d.pools, id)
	return d.space.ReleasePool(p)
}

// RequestAddress takes an address. A gateway that may be chosen is the first of the subnet, whatever the range (I9, I12).
func (d *Driver) RequestAddress(_ context.Context, r AddressRequest) (netip.Prefix, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	p, ok := d.pools[r.Pool]
	if !ok {
		return netip.Prefix{}, ErrUnknownPool
	}
	if limit := p.Range(); r.Gateway && limit != p.Subnet() {
		_ = p.SetRange(p.Subnet()) // both ranges are parts of the pool
		defer func() { _ = p.SetRange(limit) }()
	}
	a, err := p.Request(r.Addr)
	if err != nil {
		return netip.Prefix{}, err
	}
	return netip.PrefixFrom(a, p.Subnet().Bits()), nil
}

// ReleaseAddress gives an address back.
func (d *Driver) ReleaseAddress(_ context.Context, id string, a netip.Addr) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	p, ok := d.pools[id]
	if !ok {
		return ErrUnknownPool
	}
	if !p.Release(a) {
		return fmt.Errorf("address %s is not in use", a)
	}
	return nil
}
