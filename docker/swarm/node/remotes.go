package node

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"sync"

	swarmapi "github.com/moby/swarmkit/v2/api"
)

// remotes are the managers that a node knows of.
type remotes struct {
	mu    sync.Mutex
	luck  *rand.Rand // guarded by mu
	peers []swarmapi.Peer
	fails map[string]int // by address, since the last success
}

func newRemotes(luck *rand.Rand, addrs ...string) *remotes {
	r := &remotes{luck: luck, fails: make(map[string]int)}
	for _, a := range addrs {
		r.peers = append(r.peers, swarmapi.Peer{Addr: a})
	}
	return r
}

// set replaces the managers by those that a session's message lists. An empty list changes nothing: somebody sent it.
func (r *remotes) set(list []*swarmapi.WeightedPeer) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(list) > 0 {
		r.peers = r.peers[:0:0]
		for _, p := range list {
			r.peers = append(r.peers, *p.Peer)
		}
		slices.SortFunc(r.peers, func(a, b swarmapi.Peer) int { return cmp.Compare(a.Addr, b.Addr) })
	}
	addrs := make([]string, 0, len(r.peers))
	for _, p := range r.peers {
		addrs = append(addrs, p.Addr)
	}
	return addrs
}

// list returns the managers by address.
func (r *remotes) list() []swarmapi.Peer {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.peers)
}

// pick chooses a manager, among those that have failed least; but not one of avoid, unless there is no other. "": none is
// known.
func (r *remotes) pick(avoid ...string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var best []string
	least := 0
	for _, p := range r.peers {
		n := r.fails[p.Addr]
		if slices.Contains(avoid, p.Addr) {
			n += avoided
		}
		if best == nil || n < least {
			best, least = nil, n
		}
		if n == least {
			best = append(best, p.Addr)
		}
	}
	if best == nil {
		return ""
	}
	return best[r.luck.IntN(len(best))]
}

// avoided is as bad as so many failures.
const avoided = 1000

// observe notes how a call of a manager went.
func (r *remotes) observe(addr string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err == nil {
		delete(r.fails, addr)
		return
	}
	r.fails[addr] = min(r.fails[addr]+1, avoided/2)
}
