// Package ipam hands out address pools and the addresses in them as Docker's default IPAM driver does: pools from a list
// of predefined ranges in their order, addresses from the lowest that is free, or from the one after the last.
//
// Allocator and Pool are plain values: no lock, no clock, no luck. Who shares an Allocator between goroutines guards it,
// and the pools that came from it, with one lock, as Driver does.
package ipam

// Error is an error of this package, a constant whose text is the one that Docker prints.
type Error string

// Error implements error.
func (e Error) Error() string { return string(e) }

// The errors.
const (
	ErrPoolOverlap  = Error("Pool overlaps with other one on this address space")
	ErrNoPool       = Error("could not find an available, non-overlapping IPv4 address pool among the defaults to assign to the network")
	ErrUnknownPool  = Error("Unknown address pool")
	ErrInvalidPool  = Error("Invalid address pool")
	ErrInvalidRange = Error("Invalid sub-pool: it must lie in the pool")
	ErrAddressInUse = Error("Address already in use")
	ErrNoAddress    = Error("No available addresses on this pool")
	ErrOutOfRange   = Error("Requested address is out of range")
)
