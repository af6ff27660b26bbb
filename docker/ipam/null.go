package ipam

import (
	"context"
	"errors"
	"net/netip"
)

// Null is Docker's address driver "null", for network drivers that have addresses from elsewhere, or none: its one pool is
// 0.0.0.0/0, and no address is ever given. Its zero value works, and nothing is kept.
type Null struct{}

// nullPool is the name of its pool.
const nullPool = "null/0.0.0.0/0"

// RequestPool returns the pool of no addresses, and refuses all others.
func (Null) RequestPool(_ context.Context, r PoolRequest) (Lease, error) {
	switch {
	case r.Subnet.IsValid():
		return Lease{}, errors.New("null ipam driver does not handle specific address pool requests")
	case r.Range.IsValid():
		return Lease{}, errors.New("null ipam driver does not handle specific address subpool requests")
	}
	return Lease{ID: nullPool, Subnet: netip.PrefixFrom(netip.IPv4Unspecified(), 0)}, nil
}

// ReleasePool does nothing.
func (Null) ReleasePool(context.Context, string) error { return nil }

// RequestAddress returns the zero Prefix: there is no address.
func (Null) RequestAddress(_ context.Context, r AddressRequest) (netip.Prefix, error) {
	if r.Pool != nullPool {
		return netip.Prefix{}, ErrUnknownPool
	}
	return netip.Prefix{}, nil
}

// ReleaseAddress does nothing.
func (Null) ReleaseAddress(context.Context, string, netip.Addr) error { return nil }
