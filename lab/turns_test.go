package lab

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/netsim-lab/netsim/lab/topology"
)

// Tasks of replicated services run in the order of the topology and of their slots, whoever comes first; others at once.
func TestTurnsInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := newTurns([]topology.Service{
			{Name: "db", Replicas: 2}, {Name: "every", Mode: topology.ModeGlobal}, {Name: "web", Replicas: 1},
		}, func() bool { return true })
		var mu sync.Mutex
		var ran []turn
		var wg sync.WaitGroup
		for _, me := range []turn{{"web", 1}, {"every", 0}, {"db", 2}, {"db", 1}} {
			wg.Go(func() {
				if turns.Join(t.Context(), me.service, me.slot) != nil || turns.Run(t.Context(), me.service, me.slot) != nil {
					t.Errorf("%v was interrupted", me)
				}
				mu.Lock()
				ran = append(ran, me)
				mu.Unlock()
				turns.Done(me.service, me.slot)
			})
			synctest.Wait()
		}
		wg.Wait()
		if want := []turn{{"every", 0}, {"db", 1}, {"db", 2}, {"web", 1}}; !slices.Equal(ran, want) {
			t.Errorf("tasks ran in the order %v; want %v", ran, want)
		}
	})
}
