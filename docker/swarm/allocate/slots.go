package allocate

import "github.com/moby/swarmkit/v2/api"

// swarmkit's allocator asks for the addresses of tasks that come at once in no order. The tasks of a service that are new shall have
// theirs in the order of their slots, as the first to come has those before it keep theirs.

// slot is a task's place in a service, on a network.
type slot struct {
	service, network string
	number           uint64
}

// reserve keeps addresses for the slots before that of a new task, if none of them was asked for yet.
func (a *Allocator) reserve(t *api.Task) {
	if t.Slot == 0 || t.ServiceID == "" || t.Slot <= a.slots[t.ServiceID] {
		return
	}
	first := a.slots[t.ServiceID] + 1
	a.slots[t.ServiceID] = t.Slot
	if t.Slot-first > maxReserve {
		return
	}
	for _, n := range t.Networks {
		nw := a.networks[n.Network.ID]
		if nw == nil || nw.local || len(n.Addresses) > 0 {
			continue // it has one since before this allocator was made
		}
		for number := first; number < t.Slot; number++ {
			got, err := nw.request("")
			if err != nil {
				return // who comes finds out
			}
			a.reserved[slot{t.ServiceID, n.Network.ID, number}] = got
		}
	}
}

// maxReserve is how many addresses are kept at once.
const maxReserve = 4096

// claim gives back what was kept for a task, for the task to take it.
func (a *Allocator) claim(t *api.Task, n *api.NetworkAttachment) {
	key := slot{t.ServiceID, n.Network.ID, t.Slot}
	addr, ok := a.reserved[key]
	if !ok {
		return
	}
	delete(a.reserved, key)
	nw := a.networks[n.Network.ID]
	if nw == nil {
		return
	}
	nw.release(addr)
	if len(n.Addresses) == 0 {
		n.Addresses = []string{addr}
	}
}

// unreserve gives back all that is kept for a service. Its highest slot stays known: the service may be allocated again.
func (a *Allocator) unreserve(service string) {
	for key, addr := range a.reserved {
		if key.service == service {
			if nw := a.networks[key.network]; nw != nil {
				nw.release(addr)
			}
			delete(a.reserved, key)
		}
	}
}
