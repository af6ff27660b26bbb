package vxlan

import (
	"iter"
	"maps"
	"net/netip"
	"sync/atomic"
)

// claims is what holders say of keys. It is kept in shards, so that a copy of it shares all of them until it changes one: a table
// of a thousand records, to which a thousand are added one by one, would else be copied whole a thousand times on every host.
// The zero value is empty.
type claims[K comparable, V any] struct {
	shards [claimShards]map[K][]claim[V]
	owned  atomic.Uint64 // a bit for each shard that no copy shares, which may be changed in place
}

const claimShards = 64 // as many as owned has bits

// claim is what one holder says of a key. Lists of claims are never changed in place, for copies share them.
type claim[V any] struct {
	holder string
	value  V
}

// macShard is the shard of wire.MAC.Uint64: Docker's addresses differ in what comes last.
func macShard(key uint64) int { return int((key ^ key>>8) % claimShards) }

// ipShard is the shard of an address.
func ipShard(ip netip.Addr) int {
	b := ip.As16()
	return int(b[15]^b[14]) % claimShards
}

// get returns what the last holder says of key.
func (c *claims[K, V]) get(shard int, key K) (value V, ok bool) {
	if list := c.shards[shard][key]; len(list) > 0 {
		return list[len(list)-1].value, true
	}
	return value, false
}

// has tells whether anybody says something of key.
func (c *claims[K, V]) has(shard int, key K) bool { return len(c.shards[shard][key]) > 0 }

// add makes what a holder says of key the last claim, instead of what it said before.
func (c *claims[K, V]) add(shard int, key K, said claim[V]) {
	c.own(shard)
	if c.shards[shard] == nil {
		c.shards[shard] = make(map[K][]claim[V])
	}
	c.shards[shard][key] = append(without(c.shards[shard][key], said.holder), said)
}

// remove takes back what holder said of key.
func (c *claims[K, V]) remove(shard int, key K, holder string) {
	if !c.has(shard, key) {
		return
	}
	c.own(shard)
	if list := without(c.shards[shard][key], holder); len(list) > 0 {
		c.shards[shard][key] = list
		return
	}
	delete(c.shards[shard], key)
}

// own makes a shard one that may be changed.
func (c *claims[K, V]) own(shard int) {
	bit := uint64(1) << shard
	if c.owned.Load()&bit != 0 {
		return
	}
	c.shards[shard] = maps.Clone(c.shards[shard])
	c.owned.Or(bit)
}

// share makes to, which is empty, a copy. Neither changes a shard in place from now on.
func (c *claims[K, V]) share(to *claims[K, V]) {
	c.owned.Store(0)
	to.shards = c.shards
}

// all yields each key with what its last holder says.
func (c *claims[K, V]) all() iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		for _, shard := range c.shards {
			for key, list := range shard {
				if !yield(key, list[len(list)-1].value) {
					return
				}
			}
		}
	}
}

// without returns a copy of list that lacks the holder's claim.
func without[V any](list []claim[V], holder string) []claim[V] {
	out := make([]claim[V], 0, len(list)+1)
	for _, c := range list {
		if c.holder != holder {
			out = append(out, c)
		}
	}
	return out
}
