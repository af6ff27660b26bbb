package fabric

import (
	"fmt"
	"slices"
)

// DropReason tells why a frame went no further, as Linux's SKB_DROP_REASON_* do. The zero value is no reason at all.
type DropReason uint8

// The reasons. New ones go at the end of their group; their names are what users see and match in expectations.
const (
	_ DropReason = iota
	DropTruncated
	DropMalformed
	DropChecksum
	DropQueueFull
	DropLinkDown
	DropHopLimit
	DropNoReceiver
	DropMTU
	DropVLAN
	DropHairpin
	DropReservedGroup
	DropSTP
	DropNotForUs
	DropNoForwarding
	DropNoRoute
	DropTTL
	DropNeighFailed
	DropNeighQueue
	DropMartian
	DropFilter
	DropReject
	DropNATExhausted
	DropConntrackFull
	DropConntrackInvalid
	DropNoBackend
	DropNoSocket
	DropForeignVNI
	DropNoRemote
	DropNotEncapsulated
	DropReassembly
	DropLoss
	DropRate
	DropPartition
	DropTransport
	DropClosed
	DropUnknownProto
	DropNotEncrypted
	DropESPNoKey
	DropESPUnknownSPI
	DropESPReplay
	DropESPBadICV
	DropESPSequence

	dropReasons
)

var dropNames = [dropReasons]string{
	DropTruncated:        "truncated",
	DropMalformed:        "malformed",
	DropChecksum:         "bad-checksum",
	DropQueueFull:        "queue-full",
	DropLinkDown:         "link-down",
	DropHopLimit:         "hop-limit",
	DropNoReceiver:       "no-receiver",
	DropMTU:              "mtu",
	DropVLAN:             "vlan",
	DropHairpin:          "hairpin",
	DropReservedGroup:    "reserved-group",
	DropSTP:              "stp-blocked",
	DropNotForUs:         "not-for-us",
	DropNoForwarding:     "no-forwarding",
	DropNoRoute:          "no-route",
	DropTTL:              "ttl-exceeded",
	DropNeighFailed:      "neigh-failed",
	DropNeighQueue:       "neigh-queue-full",
	DropMartian:          "martian",
	DropFilter:           "filter",
	DropReject:           "reject",
	DropNATExhausted:     "nat-exhausted",
	DropConntrackFull:    "conntrack-full",
	DropConntrackInvalid: "conntrack-invalid",
	DropNoBackend:        "no-backend",
	DropNoSocket:         "no-socket",
	DropForeignVNI:       "foreign-vni",
	DropNoRemote:         "no-remote",
	DropNotEncapsulated:  "not-encapsulated",
	DropReassembly:       "reassembly",
	DropLoss:             "loss",
	DropRate:             "rate",
	DropPartition:        "partition",
	DropTransport:        "transport",
	DropClosed:           "closed",
	DropUnknownProto:     "unknown-protocol",
	DropNotEncrypted:     "not-encrypted",
	DropESPNoKey:         "esp-no-key",
	DropESPUnknownSPI:    "esp-unknown-spi",
	DropESPReplay:        "esp-replay",
	DropESPBadICV:        "esp-bad-icv",
	DropESPSequence:      "esp-sequence",
}

// String returns the reason's name, as expectations and listings use it.
func (r DropReason) String() string {
	if r > 0 && r < dropReasons {
		return dropNames[r]
	}
	return "none"
}

// MarshalText implements encoding.TextMarshaler.
func (r DropReason) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (r *DropReason) UnmarshalText(b []byte) error {
	i := slices.Index(dropNames[:], string(b))
	if i <= 0 {
		return fmt.Errorf("there is no drop reason %q", b)
	}
	*r = DropReason(i)
	return nil
}

// DropReasons returns the names of all reasons.
func DropReasons() []string { return slices.Clone(dropNames[1:]) }
