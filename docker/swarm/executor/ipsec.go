package executor

import (
	"cmp"
	"fmt"
	"slices"

	swarmapi "github.com/moby/swarmkit/v2/api"

	"github.com/netsim-lab/netsim/docker/cnm"
)

// ipsecSubsystem is the part of the network keys that encrypted overlays are sealed with (C12).
const ipsecSubsystem = "networking:ipsec"

// keysOf returns the keys of a subsystem in libnetwork's order: by age, but the second oldest first. That one seals: it is known
// to all by the time that it does (C12).
func keysOf(keys []*swarmapi.EncryptionKey, subsystem string) []*swarmapi.EncryptionKey {
	var own []*swarmapi.EncryptionKey
	for _, k := range keys {
		if k.Subsystem == subsystem {
			own = append(own, k)
		}
	}
	slices.SortFunc(own, func(a, b *swarmapi.EncryptionKey) int { return cmp.Compare(a.LamportTime, b.LamportTime) })
	if len(own) > 1 {
		own[0], own[1] = own[1], own[0]
	}
	return own
}

// sealKeys returns the keys of encrypted overlays; their tags are their times (X3).
func sealKeys(keys []*swarmapi.EncryptionKey) ([]cnm.EncryptionKey, error) {
	var ring []cnm.EncryptionKey
	for _, k := range keysOf(keys, ipsecSubsystem) {
		key := cnm.EncryptionKey{Tag: uint32(k.LamportTime)}
		if len(k.Key) != len(key.Value) {
			return nil, fmt.Errorf("a key of encrypted overlays has %d bytes; want %d", len(k.Key), len(key.Value))
		}
		copy(key.Value[:], k.Key)
		ring = append(ring, key)
	}
	return ring, nil
}

// seal hands the keys of encrypted overlays to the engine, as soon as the host is in the swarm: where its tunnels end is
// known then.
func (x *Executor) seal() error {
	x.sealer.Lock() // so that newer keys are not followed by older ones
	defer x.sealer.Unlock()
	x.mu.Lock()
	ring := x.sealing
	x.mu.Unlock()
	ctl := x.cfg.Engine.Controller()
	if len(ring) == 0 || ctl.Directory() == nil {
		return nil
	}
	return ctl.SetEncryptionKeys(ring)
}
